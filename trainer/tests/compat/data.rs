//! Generated data: discs and bars on a graded ground, as BMP files, drawn with whole numbers and written byte by byte, so that no
//! program and no library has a say in them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::skeleton::SplitMix;

/// Images of each list.
const LISTS: [(&str, u64); 4] = [("train", 8), ("validation", 3), ("test", 3), ("example", 1)];
/// Width and height of an image in pixels. A row of a BMP file is a multiple of four bytes.
const SIZE: [i64; 2] = [64, 48];

/// What a row of a list says about its image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Labels {
    /// The one shape in it.
    Class,
    /// The names of the shapes in it.
    Set,
    /// The box around each.
    Boxes,
}

/// A shape and its box: left, top, right, bottom in pixels.
struct Shape {
    name: &'static str,
    corners: [i64; 4],
}

impl Shape {
    fn random(name: &'static str, random: &mut SplitMix) -> Self {
        let size = random.between(14, 27);
        let (width, height) = if name == "disc" { (size, size) } else { (size, size / 2) };
        let (left, top) = (random.between(0, SIZE[0] - width), random.between(0, SIZE[1] - height));
        Self { name, corners: [left, top, left + width, top + height] }
    }

    /// Whether the middle of a pixel is in it; in halves of a pixel, since the middle of a box may lie between two.
    fn covers(&self, x: i64, y: i64) -> bool {
        let [left, top, right, bottom] = self.corners;
        let inside = x >= left && x < right && y >= top && y < bottom;
        let (dx, dy, diameter) = (2 * x + 1 - left - right, 2 * y + 1 - top - bottom, right - left);
        inside && (self.name == "bar" || dx * dx + dy * dy <= diameter * diameter)
    }

    fn row(&self) -> Value {
        let [left, top, right, bottom] = self.corners;
        let (x, y) = (|v: i64| v as f64 / SIZE[0] as f64, |v: i64| v as f64 / SIZE[1] as f64);
        json!({ "label": self.name, "topX": x(left), "topY": y(top), "bottomX": x(right), "bottomY": y(bottom) })
    }
}

/// Writes `data/NAME.jsonl` and the images of each list into `folder`.
pub fn write(folder: &Path, labels: Labels) {
    for (number, (list, images)) in LISTS.iter().enumerate() {
        let mut rows = String::new();
        fs::create_dir_all(folder.join("data").join(list)).unwrap();
        for image in 0..*images {
            let mut random = SplitMix(1000 * number as u64 + image);
            let shapes = shapes(image, labels, &mut random);
            let name = image_name(list, image);
            fs::write(folder.join("data").join(&name), bmp(&shapes, &mut random)).unwrap();
            rows.push_str(&json!({ "image_url": name, "label": label(&shapes, labels) }).to_string());
            rows.push('\n');
        }
        fs::write(folder.join("data").join(format!("{list}.jsonl")), rows).unwrap();
    }
}

/// Within the folder of the data.
pub fn image_name(list: &str, image: u64) -> String {
    format!("{list}/{image:02}.bmp")
}

fn shapes(image: u64, labels: Labels, random: &mut SplitMix) -> Vec<Shape> {
    let first = if image.is_multiple_of(2) { "disc" } else { "bar" };
    let mut names = vec![first];
    if labels != Labels::Class && image.is_multiple_of(3) {
        names.push("bar");
    }
    names.into_iter().map(|name| Shape::random(name, random)).collect()
}

fn label(shapes: &[Shape], labels: Labels) -> Value {
    match labels {
        Labels::Class => json!(shapes[0].name),
        Labels::Set => json!(shapes.iter().map(|shape| shape.name).collect::<BTreeSet<_>>()),
        Labels::Boxes => Value::Array(shapes.iter().map(Shape::row).collect()),
    }
}

/// An uncompressed BMP file of 24 bits a pixel.
fn bmp(shapes: &[Shape], random: &mut SplitMix) -> Vec<u8> {
    const HEADER: u32 = 54;
    let [width, height] = SIZE;
    let pixels = (3 * width * height) as u32;
    let mut file = b"BM".to_vec();
    for value in
        [HEADER + pixels, 0, HEADER, 40, width as u32, height as u32, 1 | 24 << 16, 0, pixels, 2835, 2835, 0, 0]
    {
        file.extend(value.to_le_bytes());
    }
    let ground = random.between(40, 110);
    let colours: Vec<[i64; 3]> = shapes.iter().map(|_| [0; 3].map(|_| random.between(130, 230))).collect();
    for y in (0..height).rev() {
        for x in 0..width {
            let shape = shapes.iter().position(|shape| shape.covers(x, y));
            let colour = shape.map_or([ground, ground + x / 2, ground + y / 2], |number| colours[number]);
            file.extend(colour.map(|value| value as u8));
        }
    }
    file
}
