//! Rotation and shear of a view: pixels between pixels, outlines point by point, boxes around what they held.

use std::sync::Arc;

use models::host::{Affine, Region, Rgb, warp};

use super::Placed;

/// Rotation and shear about a point: what lies at `about + p` comes to `about + forward p`, in pixels of the view.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Turn {
    forward: [[f64; 2]; 2],
    about: [f64; 2],
}

/// What of the plane is painted before it is turned, in whole pixels; the view itself where nothing is turned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub left: i64,
    pub top: i64,
    pub width: u32,
    pub height: u32,
}

impl Turn {
    /// A counter-clockwise rotation by `angle`, then a shear along x and y, all in degrees; YOLOv5's `S R`.
    ///
    /// Both shears are less than 45, or an image could be folded onto a line.
    pub fn new(angle: f64, shear: [f64; 2], about: [f64; 2]) -> Self {
        let (sin, cos) = angle.to_radians().sin_cos();
        let [x, y] = shear.map(|degrees| degrees.to_radians().tan());
        Self { forward: [[cos - x * sin, sin + x * cos], [y * cos - sin, y * sin + cos]], about }
    }

    /// Where a point comes to lie.
    pub fn point(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        applied(self.forward, self.about, [x, y])
    }

    fn back(&self) -> [[f64; 2]; 2] {
        let [[a, b], [c, d]] = self.forward;
        let determinant = a * d - b * c;
        [[d / determinant, -b / determinant], [-c / determinant, a / determinant]]
    }

    /// What of the plane a view of `side` pixels shows, as far as it lies within `x1 y1 x2 y2`.
    pub fn frame(&self, side: u32, within: [f64; 4]) -> Frame {
        let side = f64::from(side);
        let back = self.back();
        let corners = [[0.0, 0.0], [side, 0.0], [0.0, side], [side, side]];
        let [x1, y1, x2, y2] = around(corners.map(|corner| applied(back, self.about, corner)));
        // A pixel more on either side, for places between the last one and the next.
        let stretch = |from: f64, to: f64, least: f64, most: f64| {
            let (from, to) = ((from - 1.0).max(least).floor(), (to + 1.0).min(most).ceil());
            (from as i64, (to - from).max(1.0) as u32)
        };
        let ((left, width), (top, height)) =
            (stretch(x1, x2, within[0], within[2]), stretch(y1, y2, within[1], within[3]));
        Frame { left, top, width, height }
    }

    /// The view of `side` pixels of what is painted in `frame`.
    pub fn view(&self, painted: &Rgb, frame: Frame, side: u32, fill: [u8; 3]) -> Rgb {
        let [[a, b], [c, d]] = self.back();
        let [x, y] = self.about;
        let start = [x - a * x - b * y - frame.left as f64, y - c * x - d * y - frame.top as f64];
        warp(painted, Affine([a, b, start[0], c, d, start[1]]), (side, side), fill)
    }

    /// An object in pixels of the view. Its box is taken again from its outline or, where it has none, from the corners of its
    /// box.
    pub fn object(&self, placed: &Placed) -> Placed {
        let outline = placed.outline.as_ref().map(|outline| Arc::new(outline.map(|point| self.point(point))));
        let [x1, y1, x2, y2] = placed.corners;
        let corners = match outline.as_ref().and_then(|outline| outline.bounds()) {
            Some(Region { x0, y0, x1, y1 }) => [x0, y0, x1, y1],
            None => around([[x1, y1], [x2, y1], [x1, y2], [x2, y2]].map(|corner| self.point(corner))),
        };
        Placed { corners, outline, ..*placed }
    }
}

fn applied(by: [[f64; 2]; 2], about: [f64; 2], [x, y]: [f64; 2]) -> [f64; 2] {
    let (x, y) = (x - about[0], y - about[1]);
    [0, 1].map(|axis| about[axis] + by[axis][0] * x + by[axis][1] * y)
}

/// `x1 y1 x2 y2` around points.
fn around(points: [[f64; 2]; 4]) -> [f64; 4] {
    let least = |axis: usize| points.iter().map(|point| point[axis]).fold(f64::INFINITY, f64::min);
    let most = |axis: usize| points.iter().map(|point| point[axis]).fold(f64::NEG_INFINITY, f64::max);
    [least(0), least(1), most(0), most(1)]
}

#[cfg(test)]
mod tests {
    use models::host::mask::Outline;
    use serde_json::Value;

    use super::*;

    fn numbers(value: &Value) -> Vec<f64> {
        value.as_array().expect("a list").iter().map(|value| value.as_f64().expect("a number")).collect()
    }

    fn pair(value: &Value) -> [f64; 2] {
        numbers(value).try_into().expect("two numbers")
    }

    fn pixels(value: &Value) -> Vec<u8> {
        numbers(value).into_iter().map(|value| value as u8).collect()
    }

    #[test]
    fn points_and_pixels_go_where_opencv_puts_them() {
        let text = include_str!("../../tests/fixtures/turn.json");
        let cases: Vec<Value> = serde_json::from_str(text).unwrap();
        assert_eq!(cases.len(), 7);
        for case in cases {
            let turn = Turn::new(case["angle"].as_f64().unwrap(), pair(&case["shear"]), pair(&case["about"]));
            for (point, moved) in case["points"].as_array().unwrap().iter().zip(case["moved"].as_array().unwrap()) {
                let (found, wanted) = (turn.point(pair(point)), pair(moved));
                let off = found.iter().zip(wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(off < 1e-9, "{point} comes to {found:?}, not {wanted:?}");
            }
            let [width, height] = pair(&case["source"]).map(|side| side as u32);
            let image = Rgb { width, height, data: pixels(&case["pixels"]) };
            let frame = Frame { left: 0, top: 0, width, height };
            let side = case["side"].as_u64().unwrap() as u32;
            let turned = turn.view(&image, frame, side, pixels(&case["fill"]).try_into().unwrap());
            let wanted = pixels(&case["turned"]);
            assert_eq!(turned.data.len(), wanted.len());
            let most = turned.data.iter().zip(&wanted).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            assert!(most <= 3, "{} {}: off by {most}", case["angle"], case["shear"]);
        }
    }

    #[test]
    fn what_is_painted_is_what_is_seen() {
        let turn = Turn::new(45.0, [0.0, 0.0], [50.0, 50.0]);
        let half = 50.0 * 2.0_f64.sqrt() + 1.0;
        let (start, length) = ((50.0 - half).floor() as i64, (2.0 * half).ceil() as u32);
        let frame = turn.frame(100, [-1000.0, -1000.0, 1000.0, 1000.0]);
        assert_eq!((frame.left, frame.top), (start, start));
        assert!(frame.width.abs_diff(length) <= 1 && frame.height == frame.width, "{frame:?}");
        assert_eq!(turn.frame(100, [10.0, 20.0, 90.0, 60.0]), Frame { left: 10, top: 20, width: 80, height: 40 });
        assert_eq!(turn.frame(100, [500.0, 500.0, 600.0, 600.0]).width, 1, "nothing to be seen");
    }

    #[test]
    fn a_box_is_taken_again_from_its_outline_or_its_corners() {
        let turn = Turn::new(45.0, [0.0, 0.0], [0.0, 0.0]);
        let boxed = Placed { corners: [-1.0, -1.0, 1.0, 1.0], class: 2, is_crowd: true, outline: None };
        let diamond = Outline { rings: vec![vec![[-1.0, 0.0], [0.0, -1.0], [1.0, 0.0], [0.0, 1.0]]] };
        let outlined = Placed { outline: Some(Arc::new(diamond)), ..boxed.clone() };
        let close = |found: [f64; 4], reach: f64| {
            let wanted = [-reach, -reach, reach, reach];
            assert!(found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?} {reach}");
        };
        let turned = turn.object(&boxed);
        close(turned.corners, 2.0_f64.sqrt());
        assert_eq!((turned.class, turned.is_crowd, turned.outline), (2, true, None));
        close(turn.object(&outlined).corners, 0.5_f64.sqrt());
    }
}
