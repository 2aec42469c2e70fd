//! JPEGs whose codes have one bit, so that nothing is as short as their data.

use super::Case;
use super::Fate::{Corrupt, Costly, Decoded, TooLarge, Truncated};

fn segment(marker: u8, contents: &[u8]) -> Vec<u8> {
    let length = (contents.len() as u16 + 2).to_be_bytes();
    [&[0xFF, marker], &length[..], contents].concat()
}

/// A table of codes: class and number, then how many codes of each length, then their symbols.
fn codes(class: u8, symbols: &[&[u8]]) -> Vec<u8> {
    let mut counts = [0; 16];
    counts.iter_mut().zip(symbols).for_each(|(count, of_length)| *count = of_length.len() as u8);
    [&[class][..], &counts, &symbols.concat()].concat()
}

/// Frame header of `kind` (0xC0 sequential, 0xC2 progressive), with each component's sampling factors.
fn frame(kind: u8, width: u16, height: u16, sampling: &[u8]) -> Vec<u8> {
    let mut contents = vec![8];
    contents.extend(height.to_be_bytes());
    contents.extend(width.to_be_bytes());
    contents.push(sampling.len() as u8);
    contents.extend((1..).zip(sampling).flat_map(|(id, &factors)| [id, factors, 0]));
    segment(kind, &contents)
}

/// A scan of `components` over coefficients `from` to `to`, and its data.
fn scan(components: &[u8], from: u8, to: u8, data: &[u8]) -> Vec<u8> {
    let mut header = vec![components.len() as u8];
    header.extend(components.iter().flat_map(|&id| [id, 0]));
    header.extend([from, to, 0]);
    [segment(0xDA, &header), data.to_vec()].concat()
}

/// Start and tables: the DC code is 0 for no difference; the AC codes 0 for the end of a block and 10 for the end of 2^14 of them and more.
fn start() -> Vec<u8> {
    let quantisation = segment(0xDB, &[&[0][..], &[1; 64]].concat());
    let tables = segment(0xC4, &[codes(0x00, &[&[0]]), codes(0x10, &[&[0], &[0xE0]])].concat());
    [vec![0xFF, 0xD8], quantisation, tables].concat()
}

fn whole(parts: &[Vec<u8>]) -> Vec<u8> {
    [start(), parts.concat(), vec![0xFF, 0xD9]].concat()
}

/// A sound grey image of `width` x `height`.
fn grey(width: u16, height: u16) -> Vec<u8> {
    let blocks = usize::from(width).div_ceil(8) * usize::from(height).div_ceil(8);
    whole(&[frame(0xC0, width, height, &[0x11]), scan(&[1], 0, 63, &vec![0; blocks / 4 + 1])])
}

/// A grey progressive image with a sound first scan and `more` others that say that there is nothing more.
fn progressive(width: u16, height: u16, more: usize) -> Vec<u8> {
    let blocks = usize::from(width).div_ceil(8) * usize::from(height).div_ceil(8);
    let first = scan(&[1], 0, 0, &vec![0; blocks / 8 + 1]);
    // Each end-of-blocks code with its 14 bits covers 16384 blocks or more.
    let nothing = scan(&[1], 1, 63, &vec![0b1000_0000; blocks / 8192 + 2]);
    let rest = vec![nothing; more].concat();
    whole(&[frame(0xC2, width, height, &[0x11]), first, rest])
}

/// Of three components, each as large as the image.
const COLOUR: &[u8] = &[0x11, 0x11, 0x11];

pub fn cases() -> Vec<Case> {
    [sizes(), scans(), segments()].concat()
}

/// A sound image with segments before its own.
fn small(middle: &[Vec<u8>]) -> Vec<u8> {
    let image = grey(16, 16);
    [image[..2].to_vec(), middle.concat(), image[2..].to_vec()].concat()
}

/// Little data, whatever its frame header claims.
fn claims(kind: u8, width: u16, height: u16, sampling: &[u8]) -> Vec<u8> {
    whole(&[frame(kind, width, height, sampling), scan(&[1, 2, 3], 0, 0, &[0; 60])])
}

/// Headers that claim more than there is.
fn sizes() -> Vec<Case> {
    vec![
        ("a sound JPEG", grey(600, 400), Decoded),
        ("a JPEG of 9300x9300 in 600 bytes", claims(0xC0, 9300, 9300, COLOUR), Truncated),
        ("a JPEG of 9300x9300, subsampled 4x4", claims(0xC0, 9300, 9300, &[0x44, 0x11, 0x11]), Truncated),
        ("a progressive JPEG of 9300x9300 in 600 bytes", claims(0xC2, 9300, 9300, COLOUR), Truncated),
        ("a JPEG of 65535x65535", claims(0xC0, 65_535, 65_535, COLOUR), TooLarge),
        (
            "a grey JPEG of 9300x9300 with half its data",
            {
                let mut file = grey(9300, 9300);
                file.drain(1000..300_000);
                file
            },
            Truncated,
        ),
        ("a JPEG with two frame headers", small(&[frame(0xC0, 9000, 9000, &[0x11])]), Corrupt),
        (
            "a JPEG of no rows, which a later segment would name",
            { whole(&[frame(0xC0, 9000, 0, &[0x11]), scan(&[1], 0, 63, &[0; 60]), segment(0xDC, &[0x20, 0])]) },
            Corrupt,
        ),
        ("a JPEG with a huge one behind it", [grey(16, 16), claims(0xC0, 9300, 9300, COLOUR)].concat(), Decoded),
        (
            "a JPEG with a huge one in its EXIF data",
            {
                let inner = claims(0xC0, 9300, 9300, COLOUR);
                small(&[segment(0xE1, &[&b"Exif\0\0"[..], b"II*\0\x08\0\0\0", &inner].concat())])
            },
            Decoded,
        ),
    ]
}

/// Scans, of which there may be many.
fn scans() -> Vec<Case> {
    let restarts: Vec<u8> = (0..4000).flat_map(|i| [0x00, 0xFF, 0xD0 + (i % 8) as u8]).collect();
    vec![
        ("a progressive JPEG of 100 scans", progressive(1000, 1000, 99), Decoded),
        ("a progressive JPEG of 5000 scans", progressive(64, 64, 5000), Costly),
        ("a progressive JPEG of 9600x9600 and 60 scans", progressive(9600, 9600, 60), Costly),
        (
            "a JPEG of 3000 scans of a row",
            {
                let first = scan(&[1], 0, 63, &[0; 8]);
                whole(&[frame(0xC0, 2000, 16, COLOUR), vec![first; 3000].concat()])
            },
            Truncated,
        ),
        (
            "a JPEG of 3000 whole scans",
            {
                let first = scan(&[1], 0, 63, &[0; 2]);
                whole(&[frame(0xC0, 16, 16, COLOUR), vec![first; 3000].concat()])
            },
            Costly,
        ),
        (
            "a JPEG of 1x16000, subsampled 4x4",
            {
                let blocks = 16_000 / 32 * 18;
                whole(&[frame(0xC2, 1, 16_000, &[0x44, 0x11, 0x11]), scan(&[1, 2, 3], 0, 0, &vec![0; blocks / 8 + 1])])
            },
            Decoded,
        ),
        (
            "a JPEG of restart markers",
            {
                let interval = segment(0xDD, &[0, 1]);
                whole(&[interval, frame(0xC0, 504, 504, &[0x11]), scan(&[1], 0, 63, &restarts)])
            },
            Decoded,
        ),
    ]
}

/// Segments beside the image, of which there may be many.
fn segments() -> Vec<Case> {
    let xmp =
        [&b"http://ns.adobe.com/xmp/extension/\0"[..], &[b'x'; 32], &[0, 0, 1, 0, 0, 0, 0, 0], &[0; 200]].concat();
    let icc = |i: u8| segment(0xE2, &[&b"ICC_PROFILE\0"[..], &[i, 200], &vec![i; 60_000]].concat());
    let table = segment(0xC4, &codes(0x00, &[&[0]]));
    vec![
        ("a JPEG with 30000 parts of XMP", small(&vec![segment(0xE1, &xmp); 30_000]), Decoded),
        ("a JPEG with 200 parts of a profile", small(&(0..200).map(icc).collect::<Vec<_>>()), Decoded),
        ("a JPEG with 100000 comments", small(&vec![segment(0xFE, b"x"); 100_000]), Decoded),
        ("a JPEG with 100000 tables of codes", small(&vec![table.clone(); 100_000]), Costly),
        (
            "a JPEG with a table of codes in 50000 parts",
            small(&[segment(0xC4, &codes(0, &[&[0]]).repeat(3000))]),
            Costly,
        ),
    ]
}
