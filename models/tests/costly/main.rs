//! Small files that ask for much: each is refused, or decoded, within the memory that its structure said and in little time.
//!
//! One test, so that the allocator's count is of one decoding at a time. All files are made here; [`jpeg`], [`png`], [`webp`],
//! [`bmp`], [`gif`] and [`tiff`] write just enough of their formats.

#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod bits;
mod bmp;
mod gif;
mod jpeg;
mod png;
mod tiff;
mod webp;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use models::host::{DecodeError, Limits, decode, decode_top, probe, probe_memory};
use peak_alloc::PeakAlloc;

#[global_allocator]
static COUNTED: PeakAlloc = PeakAlloc;

/// Far above what any of them takes, for machines that are busy with other things.
const LONG: Duration = Duration::from_secs(10);

/// What must become of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    /// It is odd but sound, and its pixels are few.
    Decoded,
    /// Cut off, or claiming more than its bytes can hold.
    Truncated,
    /// Contradicting itself.
    Corrupt,
    /// Of a kind that is not read.
    Unsupported,
    /// Asking for too much.
    Costly,
    /// Too many pixels.
    TooLarge,
}

/// A name, the file, and what must become of it.
type Case = (&'static str, Vec<u8>, Fate);

fn fate<T>(result: &Result<T, DecodeError>) -> Fate {
    match result {
        Ok(_) => Fate::Decoded,
        Err(DecodeError::Truncated { .. }) => Fate::Truncated,
        Err(DecodeError::Corrupt { .. } | DecodeError::Empty | DecodeError::Stopped) => Fate::Corrupt,
        Err(
            DecodeError::Unsupported { .. }
            | DecodeError::Lossy { .. }
            | DecodeError::Foreign { .. }
            | DecodeError::UnknownFormat,
        ) => Fate::Unsupported,
        Err(DecodeError::TooCostly { .. }) => Fate::Costly,
        Err(DecodeError::TooManyBytes { .. } | DecodeError::SideTooLong { .. } | DecodeError::TooManyPixels { .. }) => {
            Fate::TooLarge
        }
    }
}

/// Runs `work` and returns the most bytes that it had allocated at once, and the time it took.
fn measured<T>(work: impl FnOnce() -> T) -> (T, u64, Duration) {
    let before = COUNTED.current_usage();
    COUNTED.reset_peak_usage();
    let start = Instant::now();
    let result = work();
    (result, COUNTED.peak_usage().saturating_sub(before) as u64, start.elapsed())
}

#[test]
fn small_files_take_no_more_than_their_structure_says() {
    let cases: Vec<Case> =
        [jpeg::cases(), png::cases(), webp::cases(), bmp::cases(), gif::cases(), tiff::cases(), others()].concat();
    assert!(cases.len() >= 30, "{} cases", cases.len());
    let limits = Limits::default();
    let mut wrong = Vec::new();
    for (name, file, expected) in cases {
        let (header, taken, probing) = measured(|| probe(&file, &limits));
        if taken > probe_memory(&file) {
            wrong.push(format!("{name}: probing took {taken} bytes, not {}", probe_memory(&file)));
        }
        let (image, decoded, decoding) = measured(|| decode(&file, &limits));
        let allowed = header.as_ref().map_or(probe_memory(&file), |header| header.memory);
        if decoded > allowed {
            wrong.push(format!("{name}: decoding took {decoded} bytes, not {allowed}"));
        }
        let found = fate(&image);
        if found != expected {
            wrong.push(format!("{name}: {found:?} ({:?}), not {expected:?}", image.as_ref().err()));
        }
        if header.is_err() && image.is_ok() {
            wrong.push(format!("{name}: refused by its header only"));
        }
        drop(image);
        let (_, _, top) = measured(|| decode_top(&file, &limits, |_, height| height / 2));
        let times = [("probing", probing), ("decoding", decoding), ("its upper half", top)];
        wrong.extend(
            times.iter().filter(|(_, time)| *time > LONG).map(|(what, time)| format!("{name}: {what} {time:?}")),
        );
        println!("{name:60} {:>9} bytes {found:?} {decoding:.1?}, {decoded} of {allowed} bytes", file.len());
    }
    for path in files_at_hand() {
        let file = std::fs::read(&path).unwrap();
        let (header, probed, _) = measured(|| probe(&file, &limits));
        let (image, decoded, _) = measured(|| decode(&file, &limits));
        drop(image);
        let allowed = header.map_or(probe_memory(&file), |header| header.memory);
        if probed > probe_memory(&file) || decoded > allowed {
            wrong.push(format!("{}: {probed} and {decoded} of {allowed} bytes", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Sound and odd files of other tests and, where they are at hand, of other projects.
fn files_at_hand() -> Vec<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![here.join("tests/fixtures/host"), here.join("../../shared/data/odd-images")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            println!("skipped: no {}", folder.display());
            continue;
        };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}

fn others() -> Vec<Case> {
    vec![("60 MiB of nothing", vec![0; 60 << 20], Fate::Unsupported)]
}

/// As zlib writes it.
fn deflate(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
