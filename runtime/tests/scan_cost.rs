//! What a scan costs: next to nothing, whatever the file says.
//!
//! Files that are changed at random neither pass the limits nor end ONNX Runtime where they pass the scan. One test, so that the allocator's count is of one scan at a time.

#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod protobuf;

use std::{
    fs,
    io::{Seek, SeekFrom, Write},
    path::Path,
    time::{Duration, Instant},
};

use peak_alloc::PeakAlloc;
use protobuf::varint;
use runtime::{Model, Options, scan};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Bytes of each tensor of the large file.
const SIZE: u64 = 100_000_000;

#[test]
fn a_scan_costs_little_whatever_the_file_says() {
    let (large, start) = (large(), Instant::now());
    let (sound, most) = measured(|| scan::file(large.path()).is_ok());
    assert!(sound && start.elapsed() < Duration::from_millis(100), "{:?}", start.elapsed());
    assert!(most < 64 << 10, "{most} bytes");

    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/tests/fixtures");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = paths.filter(|path| path.extension().is_some_and(|end| end == "onnx")).collect();
    paths.sort();
    let (mut chance, mut passed, mut opened) = (Chance(7), 0, 0);
    for path in paths {
        let whole = fs::read(path).unwrap();
        for _ in 0..3000 {
            let file = mutate(&mut chance, &whole);
            let (sound, most) = measured(|| scan::bytes(&file).is_ok());
            assert!(most < 64 << 10, "{most} bytes");
            passed += u32::from(sound);
            if sound && chance.below(20) == 0 {
                // A model or an error, but no end of the process.
                let options = Options { intra_threads: 1, library: None };
                opened += u32::from(Model::from_bytes(&file, &options).is_ok());
            }
        }
    }
    assert!(
        passed > 100 && opened > 10,
        "{passed} changed files pass, {opened} open: they are too wild to reach what lies deep"
    );
}

/// What it gives, and the most bytes that it had allocated at once.
fn measured<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let result = work();
    (result, MEMORY.peak_usage().saturating_sub(before))
}

/// A model of 1 GB in ten tensors, of which the disk holds the beginnings only.
fn large() -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let tensor = [&[1 << 3][..], &varint(SIZE), &[2 << 3, 2, 9 << 3 | 2], &varint(SIZE)].concat();
    let initializer = [&[5 << 3 | 2][..], &varint(tensor.len() as u64 + SIZE), &tensor].concat();
    let graph = 10 * (initializer.len() as u64 + SIZE);
    file.write_all(&[vec![7 << 3 | 2], varint(graph)].concat()).unwrap();
    for _ in 0..10 {
        file.write_all(&initializer).unwrap();
        file.seek(SeekFrom::Current(SIZE as i64)).unwrap();
    }
    let end = file.stream_position().unwrap();
    file.as_file().set_len(end).unwrap();
    file
}

/// Numbers that look like chance, the same in each run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % most.max(1)
    }
}

/// One to four changes: bytes set, stretches removed or repeated, lengths made huge, an end cut off.
fn mutate(chance: &mut Chance, file: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    for _ in 0..=chance.below(4) {
        let at = chance.below(file.len());
        let end = (at + chance.below(40)).min(file.len());
        match chance.below(6) {
            0 | 1 => file[at..end.min(at + 1)].fill([0, 1, 0x7f, 0x80, 0xff][chance.below(5)]),
            2 => drop(file.drain(at..end)),
            3 => drop(file.splice(at..at, file[at..end].to_vec())),
            4 => drop(file.splice(at..end, varint(u64::MAX >> chance.below(64)))),
            _ if chance.below(10) == 0 => file.truncate(at),
            _ => {}
        }
    }
    file
}
