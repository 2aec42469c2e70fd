//! Lines of text on a band below an image.

use font8x8::legacy::{BASIC_LEGACY, LATIN_LEGACY};
use schemas::prediction::ranked;

use super::Rgb;

/// Pixels per glyph side before scaling.
pub(crate) const GLYPH: u32 = 8;
const BACKGROUND: u8 = 24;
const INK: u8 = 240;

/// Lines about the most probable of these labels, at most `most`, whose probability is above `threshold`, the most probable first; or
/// one that says that there are none.
#[must_use]
pub fn classes(labels: &[String], probabilities: &[f32], threshold: f32, most: usize) -> Vec<String> {
    let best = ranked(probabilities).into_iter().filter(|&at| probabilities[at] > threshold).take(most);
    let lines: Vec<String> = best.map(|at| class(&labels[at], probabilities[at])).collect();
    if lines.is_empty() { vec![format!("no label above {threshold}")] } else { lines }
}

/// A line about a label.
#[must_use]
pub fn class(label: &str, probability: f32) -> String {
    format!("{label} {probability:.3}")
}

/// The image with a dark band below it that holds one line of text each. The text is scaled to the image; what does
/// not fit its width is cut, and a character that the built-in font (Latin-1) lacks is drawn as a box.
#[must_use]
pub fn below(image: &Rgb, lines: &[String]) -> Rgb {
    let scale = scale(image.width);
    let mut out = Rgb::filled(image.width, image.height + height(image.width, lines.len()), [BACKGROUND; 3]);
    out.data[..image.data.len()].copy_from_slice(&image.data);
    for (row, line) in (0u32..).zip(lines) {
        let top = image.height + 4 * scale + row * (GLYPH + 4) * scale;
        write(&mut out, line, [4 * scale, top], scale, INK);
    }
    out
}

/// Height of the band of so many lines below an image of this width, in pixels.
#[must_use]
pub fn height(width: u32, lines: usize) -> u32 {
    ((GLYPH + 4) * u32::try_from(lines).unwrap_or(0) + 4) * scale(width)
}

/// Pixels of a side of a glyph's dot.
fn scale(width: u32) -> u32 {
    (width / 240).clamp(1, 8)
}

fn glyph(character: char) -> [u8; 8] {
    match u32::from(character) {
        code @ 0x20..=0x7e => BASIC_LEGACY[code as usize],
        code @ 0xa0..=0xff => LATIN_LEGACY[(code - 0xa0) as usize],
        _ => [0x7e, 0x42, 0x42, 0x42, 0x42, 0x42, 0x7e, 0],
    }
}

/// Writes a line of text whose first character has its top left corner at `[left, top]`. What lies outside is cut.
pub(crate) fn write(image: &mut Rgb, text: &str, [left, top]: [u32; 2], scale: u32, ink: u8) {
    for (column, character) in (0u32..).zip(text.chars()) {
        draw(image, glyph(character), [left + column * GLYPH * scale, top], scale, ink);
    }
}

fn draw(image: &mut Rgb, glyph: [u8; 8], [left, top]: [u32; 2], scale: u32, ink: u8) {
    for y in 0..GLYPH * scale {
        let bits = glyph[(y / scale) as usize];
        for x in 0..GLYPH * scale {
            let (px, py) = (left + x, top + y);
            if bits >> (x / scale) & 1 == 1 && px < image.width && py < image.height {
                let at = 3 * (py as usize * image.width as usize + px as usize);
                image.data[at..at + 3].fill(ink);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_probable_classes_above_a_threshold_come_first() {
        let labels = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(classes(&labels, &[0.25, 0.5, 0.25], f32::NEG_INFINITY, 2), ["b 0.500", "a 0.250"]);
        assert_eq!(classes(&labels, &[0.25, 0.5, 0.25], 0.25, 9), ["b 0.500"]);
        assert_eq!(classes(&labels, &[0.1, 0.1, 0.1], 0.5, 9), ["no label above 0.5"]);
    }

    #[test]
    fn the_image_stays_and_the_text_is_cut_at_its_edge() {
        let image = Rgb::filled(20, 10, [7, 8, 9]);
        let out = below(&image, &["x".repeat(1000), "é \u{4e2d}".into()]);
        assert_eq!((out.width, out.height), (20, 10 + 4 + 24));
        assert_eq!(out.data[..image.data.len()], image.data);
        assert!(out.data[image.data.len()..].contains(&INK));
    }
}
