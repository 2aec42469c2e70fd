//! GIFs: one image of LZW codes that stand for ever longer runs of one colour.

use super::Case;
use super::Fate::{Corrupt, Costly, Decoded, TooLarge, Truncated};
use super::bits::Bits;

/// Header with two colours.
fn header(width: u16, height: u16) -> Vec<u8> {
    [&b"GIF89a"[..], &width.to_le_bytes(), &height.to_le_bytes(), &[0x80, 0, 0, 10, 20, 30, 200, 100, 50]].concat()
}

/// Sub-blocks of at most 255 bytes, and the empty one.
fn blocks(contents: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = contents.chunks(255).flat_map(|part| [&[part.len() as u8], part].concat()).collect();
    out.push(0);
    out
}

/// An image at a place, its pixels all of colour 1.
fn image(place: [u16; 2], size: [u16; 2]) -> Vec<u8> {
    let mut out = vec![b','];
    [place, size].concat().iter().for_each(|value| out.extend(value.to_le_bytes()));
    out.extend([0, 2]);
    out.extend(blocks(&run(u64::from(size[0]) * u64::from(size[1]))));
    out
}

/// Codes for so many pixels: colour 1, then the string that each code adds, a pixel longer than the one before.
fn run(mut pixels: u64) -> Vec<u8> {
    let mut bits = Bits::after(&[]);
    bits.put(4, 3);
    while pixels > 0 {
        // A table of 4096 holds strings of 1 to 4091 pixels; then it is begun anew.
        let (mut next, mut width) = (6_u32, 3);
        bits.put(1, width);
        pixels = pixels.saturating_sub(1);
        let mut length = 2;
        while pixels > 0 && next < 4096 {
            bits.put(next, width);
            pixels = pixels.saturating_sub(length);
            length += 1;
            next += 1;
            if next == 1 << width && width < 12 {
                width += 1;
            }
        }
        if pixels > 0 {
            bits.put(4, width);
        }
    }
    bits.put(5, 12);
    bits.bytes
}

fn extension(label: u8, contents: &[u8]) -> Vec<u8> {
    [vec![b'!', label], blocks(contents)].concat()
}

pub fn cases() -> Vec<Case> {
    let whole = |width, height| [header(width, height), image([0, 0], [width, height]), b";".to_vec()].concat();
    let claims = |width, height| [header(width, height), image([0, 0], [4, 4])].concat();
    let profile = |bytes: usize| {
        let application = [b"!\xFF\x0BICCRGBG1012".to_vec(), blocks(&vec![7; bytes])].concat();
        [header(4, 4), application, image([0, 0], [4, 4])].concat()
    };
    let stretched = {
        let mut file = claims(9000, 9000);
        let at = file.iter().position(|byte| *byte == b',').unwrap();
        file[at + 5..at + 9].copy_from_slice(&[0x28, 0x23, 0x28, 0x23]); // 9000 x 9000
        file
    };
    vec![
        ("a sound GIF", whole(16, 16), Decoded),
        ("a GIF of 4000x4000 in 20 kB", whole(4000, 4000), Decoded),
        ("a GIF of 65535x65535", claims(65_535, 65_535), TooLarge),
        ("a GIF of 3000x3000 around 16 pixels", claims(3000, 3000), Decoded),
        ("a GIF whose image of 9000x9000 has 16 pixels", stretched, Truncated),
        ("a GIF with a frame beyond its canvas", [header(1, 1), image([0, 0], [900, 900])].concat(), Corrupt),
        ("a GIF with a frame outside its canvas", [header(9, 9), image([5, 5], [9, 9])].concat(), Corrupt),
        ("a GIF without an image", [header(9, 9), b";".to_vec()].concat(), Corrupt),
        ("a GIF with 30 MiB of profile", profile(30 << 20), Costly),
        ("a GIF with 900 kB of profile", profile(900_000), Decoded),
        (
            "a GIF with 100000 comments",
            [header(4, 4), extension(0xFE, b"x").repeat(100_000), image([0, 0], [4, 4])].concat(),
            Decoded,
        ),
        (
            "a GIF of 100000 frames",
            [header(4, 4), image([0, 0], [4, 4]).repeat(100_000), b";".to_vec()].concat(),
            Decoded,
        ),
    ]
}
