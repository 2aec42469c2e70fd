//! One line of a JSONL file whose rows list objects.

use std::collections::BTreeSet;
use std::sync::Arc;

use models::host::mask::Outline;
use schemas::Labels;
use schemas::dataset::{BoxLabel, ClassName, Corners, Label, OutlineLabel, parse_line};

use super::reject::{Refusal, RejectKind, refusal};

/// An object of a row.
#[derive(Clone, Debug, PartialEq)]
pub struct RowBox {
    /// Place in the row's label, from 0.
    pub number: usize,
    /// Its class.
    pub label: ClassName,
    /// `x1 y1 x2 y2` as fractions of width and height.
    pub corners: [f32; 4],
    /// Whether it stands for a group.
    pub is_crowd: bool,
    /// Its outline, in the same fractions, where rows outline their objects.
    pub outline: Option<Arc<Outline>>,
    /// Whether it stuck out of the image and was cut at its edge.
    pub is_cut: bool,
}

/// The usable part of a row.
#[derive(Debug)]
pub struct BoxRow {
    /// As written.
    pub image_url: String,
    /// Empty for a background image.
    pub boxes: Vec<RowBox>,
    /// What was left out, in words that name its place in the label.
    pub rejected: Vec<String>,
}

impl BoxRow {
    /// Boxes that stuck out of the image and were cut at its edge.
    pub fn cut(&self) -> usize {
        self.boxes.iter().filter(|one| one.is_cut).count()
    }
}

/// Reads one line. Boxes that cannot be used are listed in the result.
///
/// # Errors
/// When nothing of the row can be used, though it lists objects.
pub fn parse(labels: Labels, line: &[u8]) -> Result<BoxRow, Refusal> {
    let row = parse_line(labels, line).map_err(refusal)?;
    let mut rejected: Vec<String> = row.rejected.iter().map(ToString::to_string).collect();
    let gone: BTreeSet<usize> = row.rejected.iter().filter(|r| r.segment.is_none()).map(|r| r.object).collect();
    let listed: Vec<Listed> = match row.label {
        Label::Boxes(boxes) => boxes.into_iter().map(Listed::from).collect(),
        Label::Outlines(outlines) => outlines.into_iter().map(Listed::from).collect(),
        Label::Class(_) | Label::Classes(_) => unreachable!("a row of objects lists objects"),
    };
    let listed_any = !listed.is_empty();
    let numbers = (0..).filter(|number| !gone.contains(number));
    let mut boxes = Vec::with_capacity(listed.len());
    for (number, one) in numbers.zip(listed) {
        match row_box(number, one) {
            Ok(one) => boxes.push(one),
            Err(reason) => rejected.push(reason),
        }
    }
    if boxes.is_empty() && listed_any {
        let reason = format!("none of its objects is usable: {}", rejected.join("; "));
        return Err((RejectKind::NoObject, Some(row.image_url), reason));
    }
    Ok(BoxRow { image_url: row.image_url, boxes, rejected })
}

/// An object as listed, with an outline or without.
struct Listed {
    label: ClassName,
    corners: Corners,
    is_crowd: bool,
    cut: bool,
    outline: Option<Arc<Outline>>,
}

impl From<BoxLabel> for Listed {
    fn from(BoxLabel { label, corners, is_crowd, cut }: BoxLabel) -> Self {
        Self { label, corners, is_crowd, cut, outline: None }
    }
}

impl From<OutlineLabel> for Listed {
    fn from(OutlineLabel { label, corners, is_crowd, polygon, cut }: OutlineLabel) -> Self {
        let rings = polygon.iter().map(|segment| segment.as_chunks().0.to_vec()).collect();
        Self { label, corners, is_crowd, cut, outline: Some(Arc::new(Outline { rings })) }
    }
}

fn row_box(number: usize, one: Listed) -> Result<RowBox, String> {
    let Corners { top_x, top_y, bottom_x, bottom_y } = one.corners;
    let corners = [top_x, top_y, bottom_x, bottom_y].map(|value| value as f32);
    // What is left of a box below the precision of its corners is nothing.
    if corners[0] >= corners[2] || corners[1] >= corners[3] {
        return Err(format!("object {number}: its box is narrower than a ten-millionth of the image"));
    }
    let (is_crowd, outline, is_cut) = (one.is_crowd, one.outline, one.cut);
    Ok(RowBox { number, label: one.label, corners, is_crowd, outline, is_cut })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_judged_one_by_one() {
        let line = br#"{"image_url":"a.jpg","label":[
            {"label":"x","topX":"0.1","topY":0.2,"bottomX":0.5,"bottomY":0.6,"isCrowd":"True"},
            {"label":"x","topX":0.5,"topY":0.2,"bottomX":0.5,"bottomY":0.6},
            {"label":"y","topX":1.2,"topY":0.2,"bottomX":1.5,"bottomY":0.6},
            {"label":"y","topX":0.5,"topY":0.2,"bottomX":0.500000001,"bottomY":0.6},
            {"label":"y","polygon":[[0.1,0.1,0.3,0.1,0.2,0.4]]},
            {"label":"y","topX":-0.01,"topY":0.2,"bottomX":0.5,"bottomY":1.02}]}"#;
        let row = parse(Labels::Boxes, line).unwrap();
        assert_eq!(row.boxes.iter().map(|one| one.number).collect::<Vec<_>>(), [0, 4, 5]);
        assert_eq!(row.boxes[0].corners, [0.1, 0.2, 0.5, 0.6]);
        assert!(row.boxes[0].is_crowd && !row.boxes[1].is_crowd);
        assert_eq!(row.boxes[1].corners, [0.1, 0.1, 0.3, 0.4]);
        assert_eq!((row.boxes[2].corners, row.boxes[2].is_cut, row.cut()), ([0.0, 0.2, 0.5, 1.0], true, 1));
        let named: Vec<&str> = row.rejected.iter().map(|reason| &reason[..8]).collect();
        assert_eq!(named, ["object 1", "object 2", "object 3"]);
    }

    #[test]
    fn background_is_kept_and_a_row_without_a_usable_box_is_not() {
        assert!(parse(Labels::Boxes, br#"{"image_url":"a","label":[]}"#).unwrap().boxes.is_empty());
        for (line, kind, part) in [
            (&br#"{"image_url":"a","label":[{"label":"x"}]}"#[..], RejectKind::NoObject, "none of its objects"),
            (
                br#"{"image_url":"a","label":[{"label":"x","topX":0.5,"topY":0,"bottomX":0.500000001,"bottomY":1}]}"#,
                RejectKind::NoObject,
                "ten-millionth",
            ),
            (br#"{"image_url":"a","label":"x"}"#, RejectKind::BadLabel, "a list of objects"),
            (br#"{"image_url":"a"}"#, RejectKind::BadLabel, "no label"),
            (br#"["a",[]]"#, RejectKind::BadJson, "not a JSON object"),
            (b"{\"image_url\":\"\xff\"}", RejectKind::BadJson, "UTF-8"),
        ] {
            let (found, _, reason) = parse(Labels::Boxes, line).unwrap_err();
            assert!(found == kind && reason.contains(part), "{reason}");
        }
    }
}
