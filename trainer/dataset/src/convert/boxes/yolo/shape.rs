//! What the numbers of a line are: nothing in a label file says so.

use super::labels::{fields, numbers};
use crate::convert::boxes::geometry::is_outline;

/// What the numbers behind the class of a line are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Four are a box, and an even count from six on is an outline.
    ByCount,
    /// A box, and so many numbers of key points.
    KeyPoints(usize),
    /// The first four are a box, whatever follows.
    Boxes,
}

/// What a user says that lines are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum YoloRows {
    /// The first four numbers are a box, and what follows, such as key points, is dropped.
    Boxes,
    /// Lines of more than a box are outlines.
    Outlines,
}

impl From<YoloRows> for Shape {
    fn from(rows: YoloRows) -> Self {
        match rows {
            YoloRows::Boxes => Self::Boxes,
            YoloRows::Outlines => Self::ByCount,
        }
    }
}

/// This share of lines fits where a reading is the right one: people click beside boxes, and cross their outlines.
const FITS: f64 = 0.95;
/// Outlines that are looked at.
const OUTLINES: usize = 1000;
/// Points may lie outside of their box, and boxes outside of the image, by this fraction of the image.
const SLACK: f64 = 0.02;

/// What the lines of a data set are that says nothing of key points. Lines with key points are all of one count, of two or
/// three numbers a point, and their box lies in the image and holds the points that are seen; read as outlines, they cross
/// themselves.
///
/// # Errors
/// They may be either, with what to type.
pub fn told<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Shape, String> {
    let (mut count, mut rows, mut with_points, mut outlines, mut crossed) = (0, 0, [0; 2], 0, 0);
    for line in texts.flat_map(str::lines) {
        let Ok(values) = numbers(fields(line).get(1..).unwrap_or_default()) else { continue };
        if values.len() < 6 {
            continue;
        }
        if count == 0 {
            count = values.len();
        } else if count != values.len() {
            return Ok(Shape::ByCount);
        }
        rows += 1;
        for (fitting, each) in with_points.iter_mut().zip([2, 3]) {
            *fitting += usize::from(holds_points(&values, each));
        }
        if outlines < OUTLINES {
            outlines += 1;
            crossed += usize::from(!is_plain_outline(&values));
        }
    }
    let share = |part: usize, of: usize| if of == 0 { 0.0 } else { part as f64 / of as f64 };
    let with_points = share(with_points[0].max(with_points[1]), rows);
    let outlined = 1.0 - share(crossed, outlines);
    match (with_points >= FITS, outlined >= FITS) {
        (true, false) => Ok(Shape::KeyPoints(count - 4)),
        (true, true) => Err(doubt(count)),
        (false, false) if with_points > 0.5 => Err(doubt(count)),
        (false, _) => Ok(Shape::ByCount),
    }
}

fn doubt(count: usize) -> String {
    format!(
        "its lines have {count} numbers behind the class, which may be outlines as well as boxes with key points. Say which: \
         --rows outlines, or --rows boxes, which keeps the boxes and drops the key points (kpt_shape in the file says so, too)"
    )
}

/// Whether a line is a box in the image that holds its points, of two numbers each, or of three with 0, 1 or 2 for unknown,
/// hidden and seen.
fn holds_points(values: &[f64], each: usize) -> bool {
    let (corners, points) = values.split_at(4);
    let [x, y, width, height] = [corners[0], corners[1], corners[2], corners[3]];
    let [left, top, right, bottom] = [x - width / 2.0, y - height / 2.0, x + width / 2.0, y + height / 2.0];
    let inside = |value: f64, from: f64, to: f64| (from - SLACK..=to + SLACK).contains(&value);
    let held = |point: &[f64]| match point {
        [_, _, seen] if ![0.0, 1.0, 2.0].contains(seen) => false,
        [_, _, 0.0] | [0.0, 0.0, ..] => true,
        [x, y, ..] => inside(*x, left, right) && inside(*y, top, bottom),
        _ => false,
    };
    let in_image = [left, top, right, bottom].into_iter().all(|side| inside(side, 0.0, 1.0));
    points.len().is_multiple_of(each) && width > 0.0 && height > 0.0 && in_image && points.chunks(each).all(held)
}

/// Whether a line is an outline that does not cross itself.
fn is_plain_outline(values: &[f64]) -> bool {
    if !is_outline(values) || !values.iter().all(|value| (-SLACK..=1.0 + SLACK).contains(value)) {
        return false;
    }
    let (points, _) = values.as_chunks::<2>();
    let side = |a: [f64; 2], b: [f64; 2], c: [f64; 2]| (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);
    let crosses = |[a, b]: [[f64; 2]; 2], [c, d]: [[f64; 2]; 2]| {
        side(a, b, c) * side(a, b, d) < 0.0 && side(c, d, a) * side(c, d, b) < 0.0
    };
    let edge = |at: usize| [points[at], points[(at + 1) % points.len()]];
    (0..points.len()).all(|one| (one + 1..points.len()).all(|other| !crosses(edge(one), edge(other))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(numbers: &[f64]) -> String {
        let numbers: Vec<String> = numbers.iter().map(f64::to_string).collect();
        format!("0 {}\n", numbers.join(" "))
    }

    #[test]
    fn lines_are_told_by_all_of_them() {
        // Eyes, a nose and the corners of a mouth in a face.
        let face = |x: f64, y: f64, seen: &[f64]| {
            let points = [[-0.05, -0.05], [0.05, -0.05], [0.0, 0.0], [-0.04, 0.06], [0.04, 0.06]];
            let points =
                points.iter().flat_map(|point| [x + point[0], y + point[1]].into_iter().chain(seen.iter().copied()));
            line(&[x, y, 0.2, 0.24].into_iter().chain(points).collect::<Vec<_>>())
        };
        let faces = |seen: &[f64]| face(0.3, 0.4, seen) + &face(0.7, 0.6, seen) + &face(0.55, 0.3, seen);
        let told = |text: &str| told(std::iter::once(text));
        assert_eq!(told(&faces(&[2.0])), Ok(Shape::KeyPoints(15)));
        assert_eq!(told(&faces(&[])), Ok(Shape::KeyPoints(10)));
        assert_eq!(told(&(faces(&[]) + "0 0.5 0.5 0.1 0.1\n")), Ok(Shape::KeyPoints(10)));
        // Unknown points stand at 0.
        let unknown = "0 0.5 0.5 0.2 0.2 0 0 0 0.55 0.52 2 0 0 0\n";
        assert_eq!(told(unknown), Ok(Shape::KeyPoints(9)));
        // Rotated boxes.
        let tilted = |x: f64, y: f64| line(&[x, y - 0.1, x + 0.1, y, x, y + 0.1, x - 0.1, y]);
        assert_eq!(told(&(tilted(0.2, 0.3) + &tilted(0.8, 0.7) + &tilted(0.9, 0.2))), Ok(Shape::ByCount));
        assert_eq!(told(&(faces(&[]) + &tilted(0.2, 0.3))), Ok(Shape::ByCount));
        assert_eq!(told("0 0.5 0.5 0.2 0.2\n0 0.5 0.5 0.2 0.2 0.9\n"), Ok(Shape::ByCount));
        assert_eq!(told(""), Ok(Shape::ByCount));
        let either = line(&[0.5, 0.5, 0.6, 0.6, 0.55, 0.7]);
        let message = told(&either).unwrap_err();
        assert!(message.contains("--rows outlines") && message.contains("6 numbers"), "{message}");
    }
}
