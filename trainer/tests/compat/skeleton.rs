//! A skeleton is a file of weights without its weights: every byte that says something is kept, and each large tensor is
//! replaced by a rule that draws numbers like it. Drawing is whole-number arithmetic and single IEEE operations, so that the
//! same skeleton gives the same bytes on every machine.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Tensors of at most so many elements are kept exactly; YOLOv5's anchors have as many.
const KEPT_ELEMENTS: usize = 18;
/// Bytes by which a tensor is found in a file of another format.
const PROBE: usize = 16;

/// The rule for one tensor of float32: uniform numbers of this mean and standard deviation, cut to these ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Name of the tensor; names its numbers, too.
    pub key: String,
    /// Elements.
    pub count: usize,
    mean: f64,
    std: f64,
    min: f64,
    max: f64,
}

impl Rule {
    /// The rule for a tensor, little-endian float32.
    fn of(key: &str, bytes: &[u8]) -> Self {
        let values = || bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b));
        let count = bytes.len() / 4;
        let mean = values().map(f64::from).sum::<f64>() / count as f64;
        let std = (values().map(|v| (f64::from(v) - mean).powi(2)).sum::<f64>() / count as f64).sqrt();
        let (min, max) = values().fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
        assert!(mean.is_finite() && std.is_finite(), "{key} is not finite");
        let [min, max] = [min, max].map(f64::from);
        let [mean, std, min, max] = [mean, std, min, max].map(short);
        Self { key: key.to_owned(), count, mean, std, min, max }
    }

    /// The same, but with running variances `variance` times as large.
    fn scaled(self, variance: f64) -> Self {
        if !self.key.ends_with(".running_var") {
            return self;
        }
        let [mean, std, min, max] = [self.mean, self.std, self.min, self.max].map(|value| short(value * variance));
        Self { mean, std, min, max, ..self }
    }

    /// The numbers, little-endian float32.
    pub fn draw(&self) -> Vec<u8> {
        let digest = Sha256::digest(self.key.as_bytes());
        let mut random = SplitMix(u64::from_le_bytes(digest[..8].try_into().unwrap()));
        let half = self.std * 1.732_050_807_568_877_2; // a uniform number of half width sqrt(3) has standard deviation 1
        let mut bytes = Vec::with_capacity(4 * self.count);
        for _ in 0..self.count {
            let value = (self.mean + half * (2.0 * random.unit() - 1.0)).clamp(self.min, self.max);
            bytes.extend((value as f32).to_le_bytes());
        }
        bytes
    }
}

/// A number to three digits, which is all that a rule needs and keeps skeletons small. Its sign stays.
fn short(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap()
}

/// SplitMix64, written out so that no library's next version can change a fixture.
pub struct SplitMix(pub u64);

impl SplitMix {
    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `[0, 1)`.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A whole number in `[low, high)`.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low + (self.next() % (high - low).unsigned_abs()) as i64
    }
}

/// A stretch of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Segment {
    /// So many bytes as they are.
    Kept(usize),
    /// A tensor.
    Drawn(Rule),
}

/// A file of weights without them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Skeleton {
    /// Of the file that is filled in, lower-case hexadecimal.
    sha256: String,
    segments: Vec<Segment>,
    /// Bytes of all kept segments; in the file they follow the JSON line.
    #[serde(skip)]
    kept: Vec<u8>,
}

impl Skeleton {
    /// The skeleton of a safetensors file. Running variances are multiplied by `variance`: where it is below 1, a network that
    /// has seen only a few steps lets more of its image through.
    pub fn of_checkpoint(bytes: &[u8], variance: f64) -> Self {
        let file = SafeTensors::deserialize(bytes).unwrap();
        let start = bytes.as_ptr() as usize;
        let large = file.iter().filter(|(_, t)| t.dtype() == Dtype::F32 && t.data().len() > 4 * KEPT_ELEMENTS);
        let mut places: Vec<_> = large
            .map(|(key, t)| (t.data().as_ptr() as usize - start, Rule::of(key, t.data()).scaled(variance)))
            .collect();
        places.sort_by_key(|(place, _)| *place);
        Self::cut(bytes, places)
    }

    /// The skeleton of a file that holds tensors of `checkpoint`, a safetensors file that was filled in from its skeleton `known`.
    pub fn of_copy(bytes: &[u8], checkpoint: &[u8], known: &Self) -> Self {
        let file = SafeTensors::deserialize(checkpoint).unwrap();
        let rules = known.segments.iter().filter_map(|segment| match segment {
            Segment::Drawn(rule) => Some(rule),
            Segment::Kept(_) => None,
        });
        let probes: HashMap<[u8; PROBE], (&Rule, &[u8])> = rules
            .map(|rule| (rule, file.tensor(&rule.key).unwrap().data()))
            .map(|(rule, data)| (data[..PROBE].try_into().unwrap(), (rule, data)))
            .collect();
        let (mut places, mut at) = (Vec::new(), 0);
        while at + PROBE <= bytes.len() {
            let probe: &[u8; PROBE] = bytes[at..at + PROBE].try_into().unwrap();
            match probes.get(probe) {
                Some((rule, data)) if bytes[at..].starts_with(data) => {
                    places.push((at, (*rule).clone()));
                    at += data.len();
                }
                Some(_) | None => at += 1,
            }
        }
        Self::cut(bytes, places)
    }

    /// Takes tensors, sorted by their first byte, out of a file.
    fn cut(bytes: &[u8], places: Vec<(usize, Rule)>) -> Self {
        let (mut segments, mut kept, mut at) = (Vec::new(), Vec::new(), 0);
        for (place, rule) in places {
            segments.push(Segment::Kept(place - at));
            kept.extend(&bytes[at..place]);
            at = place + 4 * rule.count;
            segments.push(Segment::Drawn(rule));
        }
        segments.push(Segment::Kept(bytes.len() - at));
        kept.extend(&bytes[at..]);
        let mut skeleton = Self { sha256: String::new(), segments, kept };
        skeleton.sha256 = sha256(&skeleton.drawn());
        skeleton
    }

    fn drawn(&self) -> Vec<u8> {
        let (mut bytes, mut kept) = (Vec::new(), self.kept.as_slice());
        for segment in &self.segments {
            match segment {
                Segment::Kept(length) => {
                    let (now, rest) = kept.split_at(*length);
                    bytes.extend(now);
                    kept = rest;
                }
                Segment::Drawn(rule) => bytes.extend(rule.draw()),
            }
        }
        bytes
    }

    /// The file, filled in.
    ///
    /// # Panics
    /// When it is not, byte for byte, the file that it was when the fixture was made.
    pub fn fill(&self) -> Vec<u8> {
        let bytes = self.drawn();
        assert_eq!(sha256(&bytes), self.sha256, "a fixture is filled in otherwise than when it was made");
        bytes
    }

    /// The same with other numbers in the tensor of this name.
    pub fn fill_with_another(&self, key: &str) -> Vec<u8> {
        let mut changed = self.clone();
        let rules = changed.segments.iter_mut().filter_map(|segment| match segment {
            Segment::Drawn(rule) if rule.key == key => Some(rule),
            Segment::Drawn(_) | Segment::Kept(_) => None,
        });
        let changes = rules.map(|rule| rule.key.push_str(" (changed)")).count();
        assert_eq!(changes, 1, "{key}");
        changed.drawn()
    }

    /// Reads a skeleton.
    pub fn read(path: &Path) -> Self {
        let bytes = gunzip(path);
        let mut reader = BufReader::new(bytes.as_slice());
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let mut skeleton: Self = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        reader.read_to_end(&mut skeleton.kept).unwrap();
        skeleton
    }

    /// Writes it: a line of JSON and the kept bytes, compressed.
    pub fn write(&self, path: &Path) {
        let mut bytes = serde_json::to_vec(self).unwrap();
        bytes.push(b'\n');
        bytes.extend(&self.kept);
        gzip(path, &bytes);
    }
}

/// Lower-case hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Contents of a compressed file.
pub fn gunzip(path: &Path) -> Vec<u8> {
    let compressed = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut bytes = Vec::new();
    GzDecoder::new(compressed.as_slice()).read_to_end(&mut bytes).unwrap();
    bytes
}

/// Writes a compressed file.
pub fn gzip(path: &Path, bytes: &[u8]) {
    let mut encoder = GzEncoder::new(File::create(path).unwrap(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap();
}

/// A checkpoint of one large and one small tensor.
fn example() -> Vec<u8> {
    let mut random = SplitMix(7);
    let large: Vec<u8> = (0..1000).flat_map(|_| (random.unit() as f32).to_le_bytes()).collect();
    let small: Vec<u8> = [1.0_f32, 2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    let view = |shape, data| safetensors::tensor::TensorView::new(Dtype::F32, vec![shape], data).unwrap();
    safetensors::serialize([("large", view(1000, &large)), ("small", view(2, &small))], None).unwrap()
}

#[test]
fn a_skeleton_keeps_what_is_small_and_draws_what_is_large() {
    let file = example();
    let skeleton = Skeleton::of_checkpoint(&file, 1.0);
    let filled = skeleton.fill();
    assert_eq!(filled.len(), file.len());
    let (before, after) = (SafeTensors::deserialize(&file).unwrap(), SafeTensors::deserialize(&filled).unwrap());
    assert_eq!(before.tensor("small").unwrap().data(), after.tensor("small").unwrap().data());
    let rule = Rule::of("large", after.tensor("large").unwrap().data());
    assert_ne!(before.tensor("large").unwrap().data(), after.tensor("large").unwrap().data());
    assert!((rule.mean - 0.5).abs() < 0.05 && (rule.std - 0.29).abs() < 0.02, "{rule:?}");
    assert!(rule.min >= 0.0 && rule.max < 1.0, "{rule:?}");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("example.skeleton.gz");
    skeleton.write(&path);
    assert_eq!(Skeleton::read(&path), skeleton);
    assert!(std::fs::metadata(&path).unwrap().len() < 600);
    assert_ne!(skeleton.fill_with_another("large"), filled);
}

#[test]
fn a_tensor_is_found_in_a_file_of_another_format() {
    let known = Skeleton::of_checkpoint(&example(), 1.0);
    let checkpoint = known.fill();
    let tensor = SafeTensors::deserialize(&checkpoint).unwrap().tensor("large").unwrap().data().to_vec();
    let copy = [b"before".as_slice(), &tensor, b"after"].concat();
    let skeleton = Skeleton::of_copy(&copy, &checkpoint, &known);
    assert_eq!(skeleton.kept, b"beforeafter");
    assert_eq!(skeleton.fill(), copy);
}

#[test]
#[should_panic(expected = "filled in otherwise")]
fn a_file_that_is_not_as_it_was_is_noticed() {
    let mut skeleton = Skeleton::of_checkpoint(&example(), 1.0);
    skeleton.sha256 = sha256(b"another");
    skeleton.fill();
}
