//! A line of a label file.

use std::collections::{BTreeMap, BTreeSet};

use models::host::mask::Fill;

use super::super::draft::DraftObject;
use super::shape::Shape;

/// What lines may hold.
pub struct Lines<'a> {
    /// Names of the classes by number.
    pub names: &'a BTreeMap<u64, String>,
    /// What their numbers are.
    pub shape: Shape,
}

/// What was seen beyond objects.
#[derive(Default)]
pub struct LineCounts {
    /// Objects with key points.
    key_points: usize,
    /// Boxes with a confidence.
    confidences: usize,
    /// Boxes with something behind them that nobody looked at.
    behind: usize,
    /// Class numbers, also such as have no name.
    classes: BTreeSet<u64>,
}

/// Beyond this no fraction of an image lies, however far a box sticks out.
const FURTHEST: f64 = 1.5;

impl Lines<'_> {
    /// The object of a line: a class, then a box, a box and a confidence, a box and key points, or an outline.
    ///
    /// # Errors
    /// Why it is none.
    pub fn object(&self, line: &str, place: String, counts: &mut LineCounts) -> Result<DraftObject, String> {
        let fields = fields(line);
        let (class, rest) = fields.split_first().ok_or("it holds no number")?;
        let values = numbers(rest)?;
        let label = self.label(class, number(class)?, counts)?;
        let used = match self.shape {
            Shape::ByCount => values.len(),
            // What is behind the box is dropped, whatever it is.
            Shape::KeyPoints(_) | Shape::Boxes => 4,
        };
        if let Some((text, _)) = rest.iter().zip(&values).take(used).find(|(_, value)| !value.is_finite()) {
            return Err(format!("{text:?} is no finite number; coordinates go from 0 to 1"));
        }
        let shape = self.shape(&values, counts)?;
        if let Some(far) = shape.iter().find(|value| value.abs() > FURTHEST) {
            return Err(format!(
                "{far} is no fraction of the image; coordinates go from 0 to 1, so divide pixels by the image's width or height"
            ));
        }
        let (corners, segments) = match *shape {
            [x, y, width, height] => {
                (Some([x - width / 2.0, y - height / 2.0, x + width / 2.0, y + height / 2.0]), Vec::new())
            }
            _ => (None, vec![shape.to_vec()]),
        };
        Ok(DraftObject { place, label, corners, segments, fill: Fill::CocoEvenOdd, is_crowd: false })
    }

    fn label(&self, text: &str, class: f64, counts: &mut LineCounts) -> Result<String, String> {
        let whole = (class >= 0.0 && class.fract() == 0.0 && class < 1e9).then_some(class as u64);
        counts.classes.extend(whole);
        let known = whole.and_then(|class| self.names.get(&class));
        known.cloned().ok_or_else(|| match self.names.len() {
            1 => format!("class {text} is none of the 1 that has a name; classes are counted from 0"),
            many => format!("class {text} is none of the {many} that have a name; classes are counted from 0"),
        })
    }

    /// The four numbers of a box, or those of an outline.
    fn shape<'v>(&self, values: &'v [f64], counts: &mut LineCounts) -> Result<&'v [f64], String> {
        let count = values.len();
        match (count, self.shape) {
            (4, _) => Ok(values),
            (_, Shape::KeyPoints(points)) if count == 4 + points => {
                counts.key_points += 1;
                Ok(&values[..4])
            }
            (5.., Shape::Boxes) => {
                counts.behind += 1;
                Ok(&values[..4])
            }
            (5, _) if (0.0..=1.0).contains(&values[4]) => {
                counts.confidences += 1;
                Ok(&values[..4])
            }
            (_, Shape::KeyPoints(points)) => Err(format!(
                "{count} numbers are neither a box, which has 4, nor a box with key points, which here has {}",
                4 + points
            )),
            (6.., Shape::ByCount) if count.is_multiple_of(2) => Ok(values),
            (_, Shape::Boxes) => Err(format!("{count} numbers are no box, which has 4")),
            (0..=5, Shape::ByCount) => {
                Err(format!("{count} numbers are neither a box, which has 4, nor an outline, which has 6 or more"))
            }
            (_, Shape::ByCount) => Err(format!(
                "{count} numbers are neither a box nor an outline, which has an even count, two for each point; --rows boxes \
                 takes the first 4 of each line for a box"
            )),
        }
    }
}

impl LineCounts {
    /// What was taken for granted, for people.
    pub fn notes(&self, names: &BTreeMap<u64, String>) -> Vec<String> {
        let mut notes = Vec::new();
        if self.key_points > 0 {
            notes.push(format!(
                "{} objects have key points; their boxes are kept and the key points dropped",
                self.key_points
            ));
        }
        if self.confidences > 0 {
            notes.push(format!(
                "{} boxes have a fifth number, taken for a prediction's confidence and dropped",
                self.confidences
            ));
        }
        if self.behind > 0 {
            notes.push(format!(
                "{} lines have more than a box, and the box is taken, as --rows boxes says",
                self.behind
            ));
        }
        let count = names.len() as u64;
        let from_one = self.classes.first() == Some(&1) && self.classes.last() == Some(&count);
        if from_one && !names.contains_key(&count) {
            notes.push(format!(
                "WARNING: classes 1 to {count} occur and class 0 does not, with {count} names for 0 to {}: if these files count \
                 from 1, every label is wrong; then put a name for class 0 before the others in `names`",
                count - 1
            ));
        }
        notes
    }
}

/// Fields between blanks, or between commas or semicolons where there are no blanks or these follow a comma.
pub fn fields(line: &str) -> Vec<&str> {
    let line = line.trim().trim_end_matches([',', ';']);
    let plain: Vec<&str> = line.split_whitespace().collect();
    let (last, others) = plain.split_last().map_or((line, &[] as &[&str]), |(last, others)| (*last, others));
    let separated = others.iter().all(|field| field.ends_with([',', ';']));
    if separated && (plain.len() > 1 || last.contains([',', ';'])) {
        return line.split([',', ';']).map(str::trim).collect();
    }
    plain
}

/// The numbers of fields.
///
/// # Errors
/// The first that is none.
pub fn numbers(fields: &[&str]) -> Result<Vec<f64>, String> {
    fields.iter().map(|text| number(text)).collect()
}

fn number(text: &str) -> Result<f64, String> {
    text.parse::<f64>().map_err(|_| format!("{text:?} is no number"))
}
