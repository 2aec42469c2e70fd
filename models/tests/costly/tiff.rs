//! TIFFs: a directory of tags, and bytes that they point to.

use super::Case;
use super::Fate::{Corrupt, Costly, Decoded, TooLarge, Truncated, Unsupported};
use super::deflate;

/// Tags of a grey image in strips; each has its values, of 4 bytes.
struct Tiff {
    tags: Vec<(u16, Vec<u32>)>,
    data: Vec<u8>,
}

impl Tiff {
    /// One strip of all rows at byte 8.
    fn new(width: u32, height: u32, compression: u32, data: &[u8]) -> Self {
        let tags = [(256, width), (257, height), (258, 8), (259, compression), (262, 1), (273, 8), (278, height)];
        let mut tags: Vec<_> = tags.into_iter().map(|(tag, value)| (tag, vec![value])).collect();
        tags.push((279, vec![data.len() as u32]));
        Self { tags, data: data.to_vec() }
    }

    /// With the values of a tag replaced, or added.
    fn with(mut self, tag: u16, values: &[u32]) -> Self {
        self.tags.retain(|(kept, _)| *kept != tag);
        self.tags.push((tag, values.to_vec()));
        self
    }

    /// In so many strips, all of which are the first.
    fn shared(self, strips: usize) -> Self {
        let (height, length) = (self.tags[1].1[0], self.data.len() as u32);
        let rows = height / strips as u32;
        self.with(273, &vec![8; strips]).with(278, &[rows]).with(279, &vec![length; strips])
    }

    fn tiled(mut self, width: u32, height: u32, tiles: usize) -> Self {
        let length = self.data.len() as u32;
        self.tags.retain(|(tag, _)| !matches!(tag, 273 | 278 | 279));
        self.with(322, &[width]).with(323, &[height]).with(324, &vec![8; tiles]).with(325, &vec![length; tiles])
    }

    fn file(mut self) -> Vec<u8> {
        self.tags.sort_by_key(|(tag, _)| *tag);
        self.data.resize(self.data.len().next_multiple_of(2), 0);
        let mut directory = (self.tags.len() as u16).to_le_bytes().to_vec();
        let mut place = 8 + self.data.len() + 2 + 12 * self.tags.len() + 4;
        let mut values = Vec::new();
        for (tag, of_tag) in &self.tags {
            directory.extend([tag.to_le_bytes(), 4u16.to_le_bytes()].concat());
            directory.extend((of_tag.len() as u32).to_le_bytes());
            if let [value] = of_tag[..] {
                directory.extend(value.to_le_bytes());
            } else {
                directory.extend((place as u32).to_le_bytes());
                place += of_tag.len() * 4;
                values.extend(of_tag.iter().flat_map(|value| value.to_le_bytes()));
            }
        }
        let start = (8 + self.data.len() as u32).to_le_bytes();
        [&b"II*\0"[..], &start, &self.data, &directory, &[0; 4], &values].concat()
    }
}

/// A file whose directory is written by hand, from byte 8 on.
fn by_hand(tags: &[(u16, u16, u32, u32)]) -> Vec<u8> {
    let mut file = b"II*\0\x08\0\0\0".to_vec();
    file.extend((tags.len() as u16).to_le_bytes());
    for (tag, kind, count, value) in tags {
        file.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
        file.extend([count.to_le_bytes(), value.to_le_bytes()].concat());
    }
    // The next directory is this one.
    [file, vec![8, 0, 0, 0], vec![0; 64]].concat()
}

/// A JPEG of few bytes that says that it is `width` x `height`; sound if that is at most 64x64.
fn jpeg(width: u16, height: u16) -> Vec<u8> {
    let (w, h) = (width.to_be_bytes(), height.to_be_bytes());
    let mut file = vec![0xFF, 0xD8, 0xFF, 0xDB, 0, 67, 0];
    file.extend([1; 64]);
    file.extend([0xFF, 0xC0, 0, 11, 8, h[0], h[1], w[0], w[1], 1, 1, 0x11, 0]);
    for class in [0x00, 0x10] {
        file.extend([0xFF, 0xC4, 0, 20, class, 1]);
        file.extend([0; 16]);
    }
    file.extend([0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 63, 0]);
    file.extend([0; 20]);
    [file, vec![0xFF, 0xD9]].concat()
}

pub fn cases() -> Vec<Case> {
    [jpegs(), data(), shapes(), directories()].concat()
}

/// Strips that hold JPEGs.
fn jpegs() -> Vec<Case> {
    vec![
        ("a TIFF around a sound JPEG", Tiff::new(64, 64, 7, &jpeg(64, 64)).file(), Decoded),
        ("a TIFF around a JPEG of 9900x9900", Tiff::new(64, 64, 7, &jpeg(9900, 9900)).file(), Corrupt),
        (
            "a TIFF of 6 strips, a JPEG of 16384x16384",
            Tiff::new(64, 6, 7, &jpeg(16_384, 16_384)).shared(6).file(),
            Corrupt,
        ),
        (
            "a TIFF of 16000 strips, a JPEG of 9900x9900",
            Tiff::new(64, 16_000, 7, &jpeg(9900, 9900)).shared(16_000).file(),
            Corrupt,
        ),
        (
            "a TIFF of 16000 strips that share a JPEG",
            Tiff::new(64, 16_000, 7, &jpeg(64, 1)).shared(16_000).file(),
            Costly,
        ),
        (
            "a TIFF whose tables of JPEG are larger than it",
            {
                let (tables, strip) = (jpeg(9900, 9900), jpeg(64, 64));
                let length = tables.len() as u32;
                let tables: Vec<u32> = tables.iter().map(|&byte| u32::from(byte)).collect();
                Tiff::new(64, 64, 7, &strip).with(347, &tables[..length as usize / 4 * 4]).file()
            },
            Corrupt,
        ),
        (
            "a TIFF of 8000 strips that share long JPEGs",
            {
                let long = [jpeg(8, 1), vec![0; 1 << 20]].concat();
                Tiff::new(8, 8000, 7, &long).shared(8000).file()
            },
            Costly,
        ),
        ("a TIFF with a JPEG of the old kind", Tiff::new(64, 64, 6, &jpeg(64, 64)).file(), Unsupported),
    ]
}

/// Inflates to 256 MiB.
fn bomb() -> Vec<u8> {
    deflate(&vec![0; 256 << 20])
}

/// Strips of other data.
fn data() -> Vec<Case> {
    // Stored blocks without contents, two million of them, and then an end.
    let empty = [&[0x78, 0x01][..], &[0, 0, 0, 0xFF, 0xFF].repeat(2_000_000), &deflate(&[0; 64])[2..]].concat();
    vec![
        ("a sound TIFF", Tiff::new(64, 64, 1, &[9; 4096]).file(), Decoded),
        ("a TIFF whose strip inflates to far more than it needs", Tiff::new(64, 64, 8, &bomb()).file(), Decoded),
        (
            "a TIFF of 8000 strips of empty blocks",
            Tiff::new(8, 8000, 8, &empty).shared(8000).with(279, &[9; 8000]).file(),
            Costly,
        ),
        ("a TIFF of 9900x9900, deflated to 100 bytes", Tiff::new(9900, 9900, 8, &deflate(&[0; 64])).file(), Truncated),
        ("a TIFF of 9900x9900 in LZW codes", Tiff::new(9900, 9900, 5, &[0x80; 100]).file(), Truncated),
        ("a TIFF of 9900x9900 in run lengths", Tiff::new(9900, 9900, 32_773, &[0x81, 7].repeat(900)).file(), Truncated),
        ("a TIFF of 9900x9900 as it is", Tiff::new(9900, 9900, 1, &[7; 900]).file(), Truncated),
        ("a TIFF of 9000x3000 from a fax", Tiff::new(9000, 3000, 4, &[0xFF; 900]).with(258, &[1]).file(), Decoded),
    ]
}

/// Tiles, strips and values of odd sizes.
fn shapes() -> Vec<Case> {
    let bomb = bomb();
    vec![
        (
            "a TIFF of 64x64 in a tile of 2^20 squared",
            Tiff::new(64, 64, 8, &bomb).tiled(1 << 20, 1 << 20, 1).file(),
            Costly,
        ),
        ("a TIFF of 1x1 in a tile of 2^32-16 squared", Tiff::new(1, 1, 8, &bomb).tiled(!15, !15, 1).file(), Costly),
        (
            "a TIFF of 65535 values per pixel",
            { Tiff::new(9000, 1, 8, &bomb).with(262, &[2]).with(277, &[65_535]).with(338, &[0; 65_532]).file() },
            Costly,
        ),
        ("a TIFF of 2^31 bits per value", Tiff::new(64, 64, 8, &bomb).with(258, &[1 << 31]).file(), Costly),
        ("a TIFF of 2^32-1 squared", Tiff::new(u32::MAX, u32::MAX, 1, &[7; 900]).file(), TooLarge),
        (
            "a TIFF of one row per strip and too few strips",
            Tiff::new(64, 9000, 1, &[7; 900]).with(278, &[1]).file(),
            Corrupt,
        ),
        ("a TIFF with no rows per strip", Tiff::new(64, 64, 1, &[7; 4096]).with(278, &[0]).file(), Corrupt),
    ]
}

/// Directories that are long, or lead anywhere.
fn directories() -> Vec<Case> {
    let big = {
        let mut file = b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0".to_vec();
        file.extend(u64::MAX.to_le_bytes());
        [file, vec![0; 4000]].concat()
    };
    let wide = (256, 4, 1, 16);
    vec![
        ("a TIFF with 2^32-1 places of strips", by_hand(&[wide, (257, 4, 1, 16), (273, 4, u32::MAX, 8)]), Costly),
        ("a TIFF with 2^32-1 widths", by_hand(&[(256, 1, u32::MAX, 8)]), Costly),
        (
            "a TIFF with a million orientations",
            { Tiff::new(64, 64, 1, &[9; 4096]).with(274, &vec![1; 1_000_000]).file() },
            Costly,
        ),
        (
            "a TIFF with a profile of 30 MiB",
            { Tiff::new(64, 64, 1, &[9; 4096]).with(34_675, &vec![1; 8_000_000]).file() },
            Decoded,
        ),
        (
            "a TIFF that leads to itself",
            {
                let mut file = Tiff::new(64, 64, 1, &[9; 4096]).file();
                let next = file.len() - 4;
                file[next..].copy_from_slice(&(8u32 + 4096).to_le_bytes());
                file
            },
            Corrupt,
        ),
        (
            "a TIFF of 65535 tags",
            {
                let tags: Vec<_> = (0..65_535).map(|i| (i / 10, 4, 1, i.into())).collect();
                by_hand(&tags)
            },
            Costly,
        ),
        ("a BigTIFF of 2^64-1 tags", big, Costly),
    ]
}
