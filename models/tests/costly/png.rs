//! PNGs with sound checksums.

use super::Case;
use super::Fate::{Corrupt, Decoded, TooLarge, Truncated};
use super::deflate;

fn chunk(kind: &[u8; 4], contents: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(kind);
    crc.update(contents);
    [&(contents.len() as u32).to_be_bytes()[..], kind, contents, &crc.sum().to_be_bytes()].concat()
}

fn header(width: u32, height: u32, kind: [u8; 5]) -> Vec<u8> {
    let contents = [&width.to_be_bytes()[..], &height.to_be_bytes(), &kind].concat();
    [&b"\x89PNG\r\n\x1a\n"[..], &chunk(b"IHDR", &contents)].concat()
}

/// 8x8 pixels, with chunks before and after its data.
fn small(before: &[Vec<u8>], after: &[Vec<u8>]) -> Vec<u8> {
    let data = chunk(b"IDAT", &deflate(&[0; 8 * 25]));
    [header(8, 8, [8, 2, 0, 0, 0]), before.concat(), data, after.concat(), chunk(b"IEND", &[])].concat()
}

pub fn cases() -> Vec<Case> {
    // What inflates to it is made once; it takes longer than all the decoding.
    let bomb = deflate(&vec![0; 256 << 20]);
    let named = |name: &[u8]| [name, &bomb].concat();
    let short = |width, height, kind, data: &[u8]| {
        [header(width, height, kind), chunk(b"IDAT", data), chunk(b"IEND", &[])].concat()
    };
    let few = deflate(&[0; 3000]);
    let frame = |width: u32, height: u32| {
        let sizes = [&0u32.to_be_bytes()[..], &width.to_be_bytes(), &height.to_be_bytes()].concat();
        [
            chunk(b"acTL", &[0, 0, 0, 1, 0, 0, 0, 0]),
            chunk(b"fcTL", &[&sizes[..], &[0; 8], &[0, 1, 0, 1, 0, 0]].concat()),
        ]
        .concat()
    };
    vec![
        ("a sound PNG", small(&[], &[]), Decoded),
        ("a PNG whose profile inflates", small(&[chunk(b"iCCP", &named(b"p\0\0"))], &[]), Decoded),
        ("a PNG whose text inflates", small(&[chunk(b"zTXt", &named(b"t\0\0"))], &[]), Decoded),
        (
            "a PNG whose other text inflates",
            small(&[chunk(b"iTXt", &named(b"XML:com.adobe.xmp\0\x01\0\0\0"))], &[]),
            Decoded,
        ),
        (
            "a PNG with 30 MiB of text",
            small(&[chunk(b"tEXt", &[&b"k\0"[..], &vec![b'x'; 30 << 20]].concat())], &[]),
            Decoded,
        ),
        ("a PNG with 30 MiB of EXIF data", small(&[chunk(b"eXIf", &vec![7; 30 << 20])], &[]), Decoded),
        ("a PNG with 1 MiB of EXIF data, twice", small(&vec![chunk(b"eXIf", &vec![7; 1 << 20]); 2], &[]), Decoded),
        ("a PNG with a suggested palette of 30 MiB", small(&[chunk(b"sPLT", &vec![7; 30 << 20])], &[]), Decoded),
        ("a PNG of 500000 empty chunks", small(&vec![chunk(b"teXt", &[]); 500_000], &[]), Decoded),
        ("a PNG of 100000 empty parts of its data", small(&vec![chunk(b"IDAT", &[]); 100_000], &[]), Decoded),
        ("a PNG whose data inflate to far more than it needs", short(8, 8, [8, 2, 0, 0, 0], &bomb), Decoded),
        ("a PNG with a second one's data behind", small(&[], &[chunk(b"IDAT", &bomb)]), Decoded),
        ("a PNG of 9900x9900 in 100 bytes", short(9900, 9900, [8, 6, 0, 0, 0], &few), Truncated),
        ("a PNG of 9900x9900 in 16 bits", short(9900, 9900, [16, 6, 0, 0, 0], &few), Truncated),
        ("an interlaced PNG of 9900x9900", short(9900, 9900, [8, 2, 0, 0, 1], &few), Truncated),
        ("an interlaced PNG of 1x1 with too much data", short(1, 1, [8, 2, 0, 0, 1], &bomb), Decoded),
        ("a PNG of 2^31-1 squared", short(0x7FFF_FFFF, 0x7FFF_FFFF, [1, 0, 0, 0, 0], &few), TooLarge),
        ("a PNG of 16384x16384 bits", short(16_384, 16_384, [1, 0, 0, 0, 0], &few), TooLarge),
        (
            "a PNG with a chunk of 2^31-1 bytes",
            small(&[[&0x7FFF_FFFFu32.to_be_bytes()[..], b"tEXt"].concat()], &[]),
            Truncated,
        ),
        ("an animated PNG with a frame beyond its canvas", small(&[frame(9000, 9000)], &[]), Corrupt),
        ("a PNG with 30 MiB behind its end", [small(&[], &[]), vec![9; 30 << 20]].concat(), Decoded),
    ]
}
