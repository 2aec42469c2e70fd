//! Windows bitmaps: headers with little behind them.

use super::Case;
use super::Fate::{Corrupt, Decoded, TooLarge, Truncated, Unsupported};

struct Header {
    width: i32,
    height: i32,
    bits: u16,
    compression: u32,
    colours: u32,
    offset: u32,
}

impl Header {
    fn with(&self, data: &[u8]) -> Vec<u8> {
        let mut file = b"BM".to_vec();
        file.extend([0; 8]);
        file.extend(self.offset.to_le_bytes());
        file.extend(40u32.to_le_bytes());
        file.extend(self.width.to_le_bytes());
        file.extend(self.height.to_le_bytes());
        file.extend(1u16.to_le_bytes());
        file.extend(self.bits.to_le_bytes());
        file.extend(self.compression.to_le_bytes());
        file.extend([0; 12]);
        file.extend(self.colours.to_le_bytes());
        file.extend([0; 4]);
        file.resize(self.offset.min(2000) as usize, 0);
        [file, data.to_vec()].concat()
    }
}

pub fn cases() -> Vec<Case> {
    let header =
        |width, height, bits, compression| Header { width, height, bits, compression, colours: 0, offset: 1078 };
    let deltas = [0, 2, 0, 0].repeat(2_000_000);
    vec![
        ("a sound BMP", header(8, 8, 24, 0).with(&[9; 192]), Decoded),
        ("a BMP of 9900x9900 in 2 KB", header(9900, 9900, 24, 0).with(&[9; 900]), Truncated),
        ("a BMP of 9900x9900 bits", header(9900, 9900, 1, 0).with(&[9; 900]), Truncated),
        ("a BMP of 9900x-9900", header(9900, -9900, 32, 3).with(&[9; 900]), Truncated),
        ("a BMP of 8x-2^31", header(8, i32::MIN, 24, 0).with(&[9; 900]), TooLarge),
        ("a BMP of -8x8", header(-8, 8, 24, 0).with(&[9; 900]), TooLarge),
        ("a BMP of 4000x4000 that ends at once", header(4000, 4000, 8, 1).with(&[0, 1]), Decoded),
        (
            "a BMP that goes nowhere, two million times",
            header(4000, 4000, 8, 1).with(&[deltas, vec![0, 1]].concat()),
            Decoded,
        ),
        ("a BMP of runs of nothing", header(9900, 9900, 8, 1).with(&[255, 1].repeat(400)), Truncated),
        ("a BMP that contains a JPEG", header(9000, 9000, 0, 4).with(&[0xFF, 0xD8, 0xFF]), Unsupported),
        ("a BMP that contains a PNG", header(9000, 9000, 0, 5).with(b"\x89PNG\r\n\x1a\n"), Unsupported),
        ("a BMP of 2^32-1 colours", Header { colours: u32::MAX, ..header(8, 8, 8, 0) }.with(&[9; 900]), Corrupt),
        (
            "a BMP whose data lie far outside",
            Header { offset: u32::MAX, ..header(8, 8, 24, 0) }.with(&[9; 900]),
            Truncated,
        ),
    ]
}
