//! Bytes nobody would send on purpose.

use models::host::{Limits, decode, decode_top, probe};
use proptest::prelude::*;

use super::fixtures;

/// Small enough that a file which claims a large image stays cheap.
const LIMITS: Limits = Limits { max_bytes: 1 << 20, max_side: 2000, max_pixels: 1_000_000 };

const FILES: [&str; 15] = [
    "baseline_420.jpg",
    "progressive.jpg",
    "restarts.jpg",
    "cmyk.jpg",
    "orientation_6.jpg",
    "palette.png",
    "rgb16.png",
    "animated.png",
    "lossy.webp",
    "lossless.webp",
    "animated.webp",
    "animated.gif",
    "palette.bmp",
    "lzw.tiff",
    "orientation_6.tiff",
];

/// Decodes and looks at the result; the test is that this returns.
fn survives(bytes: &[u8]) {
    let header = probe(bytes, &LIMITS);
    if let Ok(image) = decode(bytes, &LIMITS) {
        assert!(header.is_ok());
        assert_eq!(image.data.len(), (image.width * image.height * 3) as usize);
        let top = decode_top(bytes, &LIMITS, |_, height| height / 2).expect("no more than the whole asks for");
        assert!(image.data.starts_with(&top.data));
    } else {
        // Damage below the top may stay hidden.
        let _ = decode_top(bytes, &LIMITS, |_, height| height / 2);
    }
}

#[test]
fn single_bytes_may_take_any_value() {
    for name in FILES {
        let bytes = std::fs::read(fixtures().join(name)).expect("a readable fixture");
        // Headers and tables are at the start; the rest is pixels.
        for at in 0..bytes.len().min(400) {
            for value in [0, 1, 0x7F, 0x80, 0xFF] {
                let mut changed = bytes.clone();
                changed[at] = value;
                survives(&changed);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn random_bytes_after_any_magic(
        magic in proptest::sample::select(vec![
            &b""[..], b"\xFF\xD8", b"\xFF\xD8\xFF\xC0\x00\x11\x08", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"RIFF\x40\0\0\0WEBPVP8 ",
            b"RIFF\x40\0\0\0WEBPVP8L", b"RIFF\x40\0\0\0WEBPVP8X", b"BM", b"II*\0", b"MM\0*", b"GIF89a",
        ]),
        rest in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        survives(&[magic, &rest].concat());
    }

    #[test]
    fn mutated_files(
        name in proptest::sample::select(FILES.to_vec()),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
        cut in proptest::option::of(any::<proptest::sample::Index>()),
    ) {
        let mut bytes = std::fs::read(fixtures().join(name)).expect("a readable fixture");
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        survives(&bytes);
    }
}
