//! Shapes that people draw, as outlines; and shapes that are one object.

use std::collections::BTreeMap;

use models::host::mask::Fill;

use super::draft::DraftObject;

/// Largest distance in pixels between an ellipse and its outline.
const CLOSE: f64 = 0.05;

/// The four corners of a box, turned clockwise by so many degrees around its centre.
pub fn rectangle([x1, y1, x2, y2]: [f64; 4], degrees: f64) -> Vec<f64> {
    let (centre, half) = ([(x1 + x2) / 2.0, (y1 + y2) / 2.0], [(x2 - x1) / 2.0, (y2 - y1) / 2.0]);
    let corners = [[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]];
    corners.into_iter().flat_map(|[x, y]| turned(centre, [x * half[0], y * half[1]], degrees)).collect()
}

/// An ellipse of the same area as the one with these half axes, turned clockwise by so many degrees.
pub fn ellipse(centre: [f64; 2], axes: [f64; 2], degrees: f64) -> Vec<f64> {
    let longest = axes[0].max(axes[1]);
    let half_step = (1.0 - CLOSE / longest.max(1.0)).acos();
    let points = (std::f64::consts::PI / half_step).ceil().clamp(12.0, 720.0);
    let step = std::f64::consts::TAU / points;
    let grown = (step / step.sin()).sqrt();
    let point = |at: u32| {
        let angle = step * f64::from(at);
        turned(centre, [axes[0] * grown * angle.cos(), axes[1] * grown * angle.sin()], degrees)
    };
    (0..points as u32).flat_map(point).collect()
}

fn turned(centre: [f64; 2], [x, y]: [f64; 2], degrees: f64) -> [f64; 2] {
    if degrees == 0.0 {
        return [centre[0] + x, centre[1] + y];
    }
    let (sin, cos) = degrees.to_radians().sin_cos();
    [centre[0] + x * cos - y * sin, centre[1] + x * sin + y * cos]
}

/// A shape, and the number that it shares with others that are one object.
pub struct Shape {
    /// The object, if it stood alone.
    pub object: DraftObject,
    /// Shapes of one number and class are one object.
    pub group: Option<i64>,
}

/// The objects of an image: shapes of one group and class together, in the place of the first. With how many shapes became
/// part of another.
pub fn joined(shapes: Vec<Shape>) -> (Vec<DraftObject>, usize) {
    let mut objects: Vec<DraftObject> = Vec::with_capacity(shapes.len());
    let mut known: BTreeMap<(i64, String), usize> = BTreeMap::new();
    let mut parts = 0;
    for Shape { object, group } in shapes {
        let Some(group) = group else {
            objects.push(object);
            continue;
        };
        match known.entry((group, object.label.clone())) {
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(objects.len());
                objects.push(object);
            }
            std::collections::btree_map::Entry::Occupied(at) => {
                let first = &mut objects[*at.get()];
                parts += 1;
                first.segments.extend(object.segments);
                first.is_crowd |= object.is_crowd;
                // Holes of either would be filled; rings of a mask beside others are rare, and united they hold no less.
                first.fill = Fill::Coco;
            }
        }
    }
    (objects, parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_outlines() {
        assert_eq!(rectangle([1.0, 2.0, 5.0, 4.0], 0.0), [1.0, 2.0, 5.0, 2.0, 5.0, 4.0, 1.0, 4.0]);
        let quarter = rectangle([1.0, 2.0, 5.0, 4.0], 90.0);
        let wanted = [4.0, 1.0, 4.0, 5.0, 2.0, 5.0, 2.0, 1.0];
        assert!(quarter.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-9), "{quarter:?}");
        for radius in [0.5, 10.0, 4000.0] {
            let circle = ellipse([50.0, 60.0], [radius, radius], 0.0);
            let (points, _) = circle.as_chunks::<2>();
            let next = points.iter().cycle().skip(1);
            let area: f64 = points.iter().zip(next).map(|(a, b)| a[0] * b[1] - b[0] * a[1]).sum::<f64>() / 2.0;
            assert!((area / (std::f64::consts::PI * radius * radius) - 1.0).abs() < 1e-9, "{radius}");
        }
    }
}
