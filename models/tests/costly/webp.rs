//! WebPs: RIFF chunks around images of a few bits.

use super::Case;
use super::Fate::{Corrupt, Costly, Decoded, TooLarge};
use super::bits::Bits;

fn chunk(kind: &[u8; 4], contents: &[u8]) -> Vec<u8> {
    let filling = vec![0; contents.len() % 2];
    [&kind[..], &(contents.len() as u32).to_le_bytes(), contents, &filling].concat()
}

fn file(chunks: &[Vec<u8>]) -> Vec<u8> {
    let contents = [b"WEBP".to_vec(), chunks.concat()].concat();
    chunk(b"RIFF", &contents)
}

fn sides(width: u32, height: u32) -> Vec<u8> {
    [&(width - 1).to_le_bytes()[..3], &(height - 1).to_le_bytes()[..3]].concat()
}

/// Extended header: flags (2 animation, 8 EXIF, 16 alpha), canvas.
fn extended(flags: u8, width: u32, height: u32) -> Vec<u8> {
    chunk(b"VP8X", &[vec![flags, 0, 0, 0], sides(width, height)].concat())
}

/// A code of one symbol below 256, which takes no bits.
fn single(bits: &mut Bits, symbol: u32) {
    bits.put(0b101, 3);
    bits.put(symbol, 8);
}

/// A code of eleven symbols with lengths of 1 to 10 bits: twelve bytes that become a table of four kilobytes.
fn long_code(bits: &mut Bits) {
    bits.put(0, 1);
    // Lengths of the codes for the lengths 17, 18, 0, 1 .. 10 (16 after 5): six of 3 bits, four of 4.
    bits.put(10, 4);
    for length in [0, 0, 0, 3, 3, 3, 3, 3, 0, 3, 4, 4, 4, 4] {
        bits.put(length, 3);
    }
    // Eleven symbols follow.
    bits.put(1, 1);
    bits.put(1, 3);
    bits.put(9, 4);
    for length in [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10] {
        if length <= 6 { bits.put_code(length - 1, 3) } else { bits.put_code(12 + length - 7, 4) }
    }
}

/// An image of one colour without transforms: everything is said by its codes.
fn plain(bits: &mut Bits) {
    bits.put(0, 3);
    for symbol in [1, 2, 3, 255, 0] {
        single(bits, symbol);
    }
}

fn lossless(width: u32, height: u32, image: impl FnOnce(&mut Bits)) -> Vec<u8> {
    let mut bits = Bits::after(&[0x2F]);
    bits.put(width - 1, 14);
    bits.put(height - 1, 14);
    bits.put(0, 4);
    image(&mut bits);
    chunk(b"VP8L", &bits.bytes)
}

/// An image that names `groups` of codes, all of them long.
fn grouped(bits: &mut Bits, groups: u32) {
    bits.put(0, 2); // no transform, no colour cache
    bits.put(1, 1); // several groups
    bits.put(7, 3); // one for all pixels
    bits.put(0, 1); // no cache in the image of groups either
    for symbol in [(groups - 1) & 255, (groups - 1) >> 8, 0, 0, 0] {
        single(bits, symbol);
    }
    for _ in 0..groups * 5 {
        long_code(bits);
    }
    (0..64).for_each(|_| bits.put(0, 32)); // the first symbol of each code, for all pixels
}

/// A lossy image's first ten bytes, and zeros.
fn lossy(width: u16, height: u16) -> Vec<u8> {
    let mut contents = vec![0x50, 0x01, 0x00, 0x9D, 0x01, 0x2A];
    contents.extend(width.to_le_bytes());
    contents.extend(height.to_le_bytes());
    contents.extend([0; 200]);
    contents
}

fn frame(width: u32, height: u32, image: &[u8]) -> Vec<u8> {
    chunk(b"ANMF", &[vec![0; 6], sides(width, height), vec![0; 4], image.to_vec()].concat())
}

pub fn cases() -> Vec<Case> {
    let animation = chunk(b"ANIM", &[0; 6]);
    let tiny = || lossless(1, 1, plain);
    let alpha = |image: &dyn Fn(&mut Bits)| {
        let mut bits = Bits::after(&[1]);
        image(&mut bits);
        chunk(b"ALPH", &bits.bytes)
    };
    let cut = |mut file: Vec<u8>, kind: &[u8; 4], length: u32| {
        let at = file.windows(4).position(|w| w == kind).unwrap();
        file[at + 4..at + 8].copy_from_slice(&length.to_le_bytes());
        file
    };
    vec![
        ("a sound WebP", file(&[lossless(16, 16, plain)]), Decoded),
        ("a WebP of 4000x4000 in 60 bytes", file(&[lossless(4000, 4000, plain)]), Decoded),
        ("a WebP of 16384x16384 in 60 bytes", file(&[lossless(16_384, 16_384, plain)]), TooLarge),
        ("a WebP with 300 groups of codes", file(&[lossless(16, 16, |bits| grouped(bits, 300))]), Decoded),
        ("a WebP with 65536 groups of codes", file(&[lossless(16, 16, |bits| grouped(bits, 65_536))]), Costly),
        ("a lossy WebP of 16383x16383", file(&[chunk(b"VP8 ", &lossy(16_383, 16_383))]), TooLarge),
        (
            "a WebP of 1x1 around one of 9900x9900",
            file(&[extended(0, 1, 1), chunk(b"VP8 ", &lossy(9900, 9900))]),
            Corrupt,
        ),
        ("a WebP of 1x1 around a lossless one", file(&[extended(0, 1, 1), lossless(9900, 9900, plain)]), Corrupt),
        ("a WebP of 2^24 squared", file(&[extended(0, 1 << 24, 1 << 24), tiny()]), TooLarge),
        (
            "a WebP whose EXIF data have 4 GiB",
            { cut(file(&[extended(8, 1, 1), tiny(), chunk(b"EXIF", b"II*\0")]), b"EXIF", 0xFFFF_FFF0) },
            Decoded,
        ),
        (
            "a WebP with 30 MiB of EXIF data",
            file(&[extended(8, 1, 1), tiny(), chunk(b"EXIF", &vec![7; 30 << 20])]),
            Decoded,
        ),
        (
            "a WebP with a profile of 4 GiB",
            { cut(file(&[extended(32, 1, 1), tiny(), chunk(b"ICCP", b"xx")]), b"ICCP", 0xFFFF_FFF0) },
            Decoded,
        ),
        (
            "a WebP whose alpha has 65536 groups of codes",
            { file(&[extended(16, 16, 16), alpha(&|bits| grouped(bits, 65_536)), chunk(b"VP8 ", &lossy(16, 16))]) },
            Costly,
        ),
        (
            "an animated WebP of 100000 frames",
            { file(&[extended(2, 1, 1), animation.clone(), frame(1, 1, &tiny()).repeat(100_000)]) },
            Decoded,
        ),
        (
            "an animated WebP with a frame beyond its canvas",
            { file(&[extended(2, 1, 1), animation.clone(), frame(9900, 9900, &chunk(b"VP8 ", &lossy(9900, 9900)))]) },
            Corrupt,
        ),
        (
            "an animated WebP with a frame around a larger one",
            { file(&[extended(2, 1, 1), animation.clone(), frame(1, 1, &chunk(b"VP8 ", &lossy(9900, 9900)))]) },
            Corrupt,
        ),
        (
            "an animated WebP with something else behind its alpha",
            {
                let parts = [alpha(&plain), chunk(b"JUNK", &lossy(9900, 9900))].concat();
                file(&[extended(2, 1, 1), animation, frame(1, 1, &parts)])
            },
            Corrupt,
        ),
    ]
}
