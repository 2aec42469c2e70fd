//! One shape of CVAT's.

use models::host::mask::{Fill, MAX_PIXELS, Mask, Rle};
use serde_json::Value;

use super::super::crowd::{CROWD, crowd};
use super::super::draft::DraftObject;
use super::super::geometry::bounds;
use super::super::shapes::{Shape, ellipse, rectangle};
use super::element::Drawn;

/// Most pixels along a side of a mask.
const FARTHEST: f64 = 1e6;

/// Reads a shape.
///
/// # Errors
/// Why it is no object.
pub fn read(drawn: &Drawn, place: String) -> Result<Shape, String> {
    let tag = &drawn.tag;
    let label = tag.text("label").ok_or("it has no label")?.to_owned();
    let mut fill = Fill::Coco;
    let turn = || if tag.text("rotation").is_some() { tag.number("rotation") } else { Ok(0.0) };
    let segments = match tag.name.as_str() {
        "polygon" => vec![points(tag.text("points").ok_or("its polygon has no points")?)?],
        "box" => {
            let [x1, y1] = [tag.number("xtl")?, tag.number("ytl")?];
            let [x2, y2] = [tag.number("xbr")?, tag.number("ybr")?];
            vec![rectangle([x1, y1, x2, y2], turn()?)]
        }
        "ellipse" => {
            let centre = [tag.number("cx")?, tag.number("cy")?];
            vec![ellipse(centre, [tag.number("rx")?.abs(), tag.number("ry")?.abs()], turn()?)]
        }
        "mask" => {
            fill = Fill::CocoEvenOdd;
            mask(drawn)?
        }
        "polyline" | "points" => return Err(format!("it is a {}, which encloses nothing", tag.name)),
        "tag" => return Err("it is a tag of the whole image".to_owned()),
        other => return Err(format!("it is a {other}; polygon, box, ellipse and mask are read")),
    };
    let [x1, y1, x2, y2] = bounds(&segments);
    if x1 >= x2 || y1 >= y2 {
        return Err(format!("its {} has no area", tag.name));
    }
    let written = |key: &str| drawn.attributes.get(key).map_or(Value::Null, |text| Value::from(text.as_str()));
    let crowds = CROWD.map(|key| crowd(key, &written(key)));
    let is_crowd = crowds.into_iter().try_fold(false, |any, one| Ok::<_, String>(any | one?))?;
    let group = tag.text("group_id").and_then(|group| group.parse().ok()).filter(|group| *group != 0);
    Ok(Shape { object: DraftObject { place, label, corners: None, segments, fill, is_crowd }, group })
}

/// `x,y;x,y;..`.
fn points(text: &str) -> Result<Vec<f64>, String> {
    let point = |pair: &str| {
        let (x, y) = pair.split_once(',')?;
        let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
        Some([number(x)?, number(y)?])
    };
    let all: Option<Vec<[f64; 2]>> = text.split(';').filter(|pair| !pair.trim().is_empty()).map(point).collect();
    let all = all.ok_or("its points are no pairs of numbers")?;
    if all.len() < 3 {
        return Err(format!("its polygon has {} points, and 3 are the fewest", all.len()));
    }
    Ok(all.concat())
}

/// The outline of a mask: its rectangle, and run lengths row by row in it, beginning with one outside.
fn mask(drawn: &Drawn) -> Result<Vec<Vec<f64>>, String> {
    let tag = &drawn.tag;
    let [left, top, width, height] =
        [tag.number("left")?, tag.number("top")?, tag.number("width")?, tag.number("height")?];
    let fits = |value: f64, lowest: f64| (lowest..=FARTHEST).contains(&value) && value.fract() == 0.0;
    let sound = fits(width, 1.0) && fits(height, 1.0) && fits(left.abs(), 0.0) && fits(top.abs(), 0.0);
    if !sound || width * height > MAX_PIXELS as f64 {
        return Err(format!("its mask is of {width} x {height} pixels at {left} {top}, which is none of an image"));
    }
    let text = tag.text("rle").ok_or("its mask has no rle")?;
    let runs: Option<Vec<u64>> = text.split(',').map(|run| run.trim().parse().ok()).collect();
    let runs = runs.ok_or("the rle of its mask is no list of run lengths")?;
    let sum = runs.iter().fold(0_u64, |sum, run| sum.saturating_add(*run));
    if sum != width as u64 * height as u64 {
        return Err(format!(
            "the run lengths of its mask of {width} x {height} pixels add up to {sum}; they must cover it exactly"
        ));
    }
    // COCO's runs go down the columns: those of the mask with its sides exchanged.
    let rle = Rle::new(height as u32, width as u32, runs).map_err(|error| error.to_string())?;
    if rle.bounds().is_none() {
        return Err("its mask has no pixel".to_owned());
    }
    let outline = Mask::from(&rle).outline().map(|[y, x]| [x + left, y + top]);
    Ok(outline.rings.iter().map(|ring| ring.concat()).collect())
}
