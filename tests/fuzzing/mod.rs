//! The harness of `scripts/fuzz`: files that were sound before they were changed, given to what reads them; none may panic.
//!
//! A target changes its seeds with numbers that follow from the target's name, a seed and the number of the run, so that a run is told
//! by these alone. What fails is saved, and its place printed. See `docs/testing.md`.

use std::{
    fs,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Instant,
};

/// What is put into text in place of something else.
const WORDS: [&str; 44] = [
    "0",
    "-1",
    "1e308",
    "-1e999",
    "NaN",
    "inf",
    "18446744073709551616",
    "9223372036854775807",
    "0.1",
    "null",
    "true",
    "[]",
    "{}",
    "[[",
    "{\"",
    "\"\"",
    "\\u0000",
    "\\ud800",
    "\\",
    "\"",
    "'",
    ",",
    ";",
    "\t",
    "\n",
    "\r\n",
    "\u{feff}",
    "<",
    "</",
    "<a>",
    "<![CDATA[",
    "&amp;",
    "&#0;",
    "<!--",
    "../",
    "/",
    "C:\\",
    "é",
    "\u{202e}",
    ":",
    "- ",
    "&a",
    "*a",
    "!!binary ",
];

/// Numbers that look like chance (SplitMix64).
struct Chance(u64);

impl Chance {
    fn new(target: &str, seed: u64, run: u64) -> Self {
        let name = target
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |sum: u64, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        let mut chance = Self(name ^ seed.rotate_left(40));
        Self(chance.next() ^ run)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, most: u64) -> u64 {
        self.next() % most
    }
}

fn at(rng: &mut Chance, len: usize) -> usize {
    rng.below(len.max(1) as u64) as usize
}

/// A stretch of up to 16 bytes.
fn stretch(rng: &mut Chance, len: usize) -> Range<usize> {
    let start = at(rng, len + 1).min(len);
    start..(start + at(rng, 17)).min(len)
}

/// The digits around a place, if there are any.
fn number(bytes: &[u8], from: usize) -> Option<Range<usize>> {
    let part = |b: &u8| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e');
    let start = from + bytes.get(from..)?.iter().position(u8::is_ascii_digit)?;
    let end = bytes[start..].iter().position(|b| !part(b)).map_or(bytes.len(), |n| start + n);
    Some(start..end)
}

/// One to six changes: numbers and stretches replaced, removed, repeated or taken from another seed, bytes set, an end cut off.
fn mutate(rng: &mut Chance, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = seeds[at(rng, seeds.len())].clone();
    for _ in 0..=rng.below(6) {
        let word = WORDS[at(rng, WORDS.len())].as_bytes();
        let place = stretch(rng, bytes.len());
        match rng.below(9) {
            0 | 1 => {
                if let Some(number) = number(&bytes, place.start) {
                    bytes.splice(number, word.iter().copied());
                }
            }
            2 => drop(bytes.splice(place, word.iter().copied())),
            3 => drop(bytes.splice(place.start..place.start, word.iter().copied())),
            4 => drop(bytes.drain(place)),
            5 => {
                let again = bytes[place.clone()].repeat(1 + at(rng, 40));
                drop(bytes.splice(place, again));
            }
            6 => {
                if let Some(byte) = bytes.get_mut(place.start) {
                    *byte = [0, 1, 0x7F, 0x80, 0xFF, *byte ^ 1 << rng.below(8)][at(rng, 6)];
                }
            }
            7 => {
                let other = &seeds[at(rng, seeds.len())];
                let part = other[stretch(rng, other.len())].to_vec();
                drop(bytes.splice(place, part));
            }
            _ if rng.below(5) == 0 => bytes.truncate(place.start),
            _ => {}
        }
    }
    bytes
}

fn asked(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

/// Gives `FOVEA_FUZZ_RUNS` changed seeds to `parse`, which says whether it took them. It takes the seeds as they are.
pub fn fuzz(target: &str, seeds: &[&[u8]], parse: impl Fn(&[u8]) -> bool) {
    let (runs, seed) = (asked("FOVEA_FUZZ_RUNS", 300), asked("FOVEA_FUZZ_SEED", 0));
    let seeds: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.to_vec()).collect();
    for whole in &seeds {
        assert!(parse(whole), "{target}: a seed is refused: {}", String::from_utf8_lossy(whole));
    }
    let start = Instant::now();
    let mut taken = 0_u64;
    for run in 0..runs {
        let bytes = mutate(&mut Chance::new(target, seed, run), &seeds);
        match catch_unwind(AssertUnwindSafe(|| parse(&bytes))) {
            Ok(sound) => taken += u64::from(sound),
            Err(_) => {
                let saved = std::env::temp_dir().join(format!("fovea-fuzz-{target}-{seed}-{run}"));
                fs::write(&saved, &bytes).unwrap();
                panic!("{target} panics on run {run} of seed {seed}: {}", saved.display());
            }
        }
    }
    let rate = runs as f64 / start.elapsed().as_secs_f64();
    println!("{target}: {runs} executions, {taken} of them taken, {rate:.0} a second");
}
