//! Detectors. For each recorded picture, from 0:
//!
//! | tensor | type, shape | what |
//! |---|---|---|
//! | `whole.0` | U8 `[1, H, W, 3]` | the picture |
//! | `whole.0.boxes`, `.scores`, `.labels` | F32 `[n, 4]`, F32 `[n]`, I64 `[n]` | what is in it, in its pixels; tiles included |
//! | `prepared.0` | U8 `[1, h, w, 3]` | the same picture, fitted and framed |
//! | `prepared.0.size` | I64 `[2]` | height and width of the picture |
//! | `prepared.0.boxes`, `.scores`, `.labels` | as above | what is in it, in pixels of the picture; without tiles |
//!
//! and `score_threshold` and `iou_threshold`, F32 `[1]`: what they were recorded with, which need not be the settings.
//!
//! Two lists of boxes agree if their boxes can be paired: the same label, corners and score within the limits. A box without
//! a partner is excused where the last digit decides about it: its score is about the threshold, or about the lowest score
//! of a list that is full. Where two boxes overlap by about the threshold, or are about as certain as each
//! other, suppression may keep either: a box that overlaps one of the same label in the other list so far is excused, too,
//! but only a limited share of all boxes (many boxes of a network that has learned little are equally certain).

use models::host::Placement;
use ndarray::{Array4, ArrayView4, Axis, concatenate, s};
use runtime::{Form, Overrides};
use safetensors::{Dtype, SafeTensors};
use schemas::CheckpointMeta;
use schemas::prediction::Detection;

use super::{BoxCheck, Check, VerifyError, floats, integers, tensor};
use crate::preprocess::Detecting;

/// What two answers may differ by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// In a corner, in pixels of the picture or of the network's input, whichever are larger.
    pub corner: f32,
    /// In a score.
    pub score: f32,
    /// How far from the end of a list a box is taken to be at it: at most `score`, and this share of the score there.
    pub end: f32,
    /// Share of boxes about which suppression may have decided otherwise.
    pub share: f64,
    /// Whether boxes that share nothing with one of the other list count among these; if not, they are refused at once.
    pub strangers: bool,
}

/// When the network is given the very same pixels.
pub const PREPARED: Limits = Limits { corner: 0.05, score: 1e-3, end: 0.05, share: 0.3, strangers: false };
/// When the graph resizes pictures itself. Pixels then differ by one step here and there, which moves the proposals of a
/// network that has learned little: this finds what is wrong by and large, and the narrow limits find the rest.
pub const WHOLE: Limits = Limits { corner: 0.5, score: 1e-2, end: f32::INFINITY, share: 0.6, strangers: true };
/// Boxes whose overlap is this close to the threshold may be kept or dropped.
const OVERLAP_MARGIN: f32 = 0.05;
/// Batch sizes besides 1.
const BATCHES: [usize; 2] = [2, 5];

/// One picture and what is in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// `uint8 [1, h, w, 3]`.
    pub image: Array4<u8>,
    /// Height and width of the picture that `image` was prepared from.
    pub size: Option<[i64; 2]>,
    /// What was recorded, by falling score.
    pub found: Vec<Detection>,
}

/// What the trainer recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    /// The settings of the model.
    pub detecting: Detecting,
    /// Thresholds that were used.
    pub overrides: Overrides,
    /// Pictures as the network sees them.
    pub prepared: Vec<Answered>,
    /// Pictures of any size.
    pub whole: Vec<Answered>,
}

/// Reads a detector's recording.
///
/// # Errors
/// What is missing or does not fit the model.
pub(super) fn read(file: &SafeTensors, meta: &CheckpointMeta) -> Result<Recording, String> {
    let all = |kind: &str| {
        let names = (0..).map(|i| format!("{kind}.{i}")).take_while(|name| file.tensor(name).is_ok());
        names.map(|name| answered(file, &name, meta)).collect::<Result<Vec<_>, _>>()
    };
    let (prepared, whole) = (all("prepared")?, all("whole")?);
    if prepared.is_empty() || prepared.len() != whole.len() {
        let (prepared, whole) = (prepared.len(), whole.len());
        return Err(format!(
            "it holds {prepared} prepared and {whole} whole images; it takes as many of both, and one at least"
        ));
    }
    if let Some(i) = prepared.iter().position(|picture| picture.size.is_none()) {
        return Err(format!("there is no tensor 'prepared.{i}.size'"));
    }
    let threshold = |name: &str| {
        let value = floats(&tensor(file, name, Dtype::F32, 1)?);
        let value = value.first().copied().filter(|value| (0.0..=1.0).contains(value));
        value.ok_or_else(|| format!("'{name}' is no number in [0, 1]")).map(Some)
    };
    let overrides =
        Overrides { score_threshold: threshold("score_threshold")?, iou_threshold: threshold("iou_threshold")? };
    let detecting = Detecting::of(meta).map_err(|error| format!("settings of the model: {error}"))?;
    Ok(Recording { detecting, overrides, prepared, whole })
}

fn answered(file: &SafeTensors, name: &str, meta: &CheckpointMeta) -> Result<Answered, String> {
    let part = |part: &str, dtype: Dtype, rank: usize| tensor(file, &format!("{name}.{part}"), dtype, rank);
    let image = tensor(file, name, Dtype::U8, 4)?;
    let shape = image.shape();
    if shape[0] != 1 || shape[3] != 3 || shape[1] * shape[2] == 0 {
        return Err(format!("'{name}' is {shape:?}; [1, height, width, 3] is needed"));
    }
    let wrong = || format!("'{name}' has {shape:?} and does not hold as many values");
    let pixels = Array4::from_shape_vec((1, shape[1], shape[2], 3), image.data().to_vec()).map_err(|_| wrong())?;
    let size = file.tensor(&format!("{name}.size")).is_ok().then(|| part("size", Dtype::I64, 1)).transpose()?;
    let size = size.map(|t| <[i64; 2]>::try_from(integers(&t))).transpose();
    let size = size.ok().filter(|size| size.is_none_or(|size| size.iter().all(|side| *side > 0)));
    let size = size.ok_or_else(|| format!("'{name}.size' is no height and width"))?;

    let (boxes, scores, labels) =
        (part("boxes", Dtype::F32, 2)?, part("scores", Dtype::F32, 1)?, part("labels", Dtype::I64, 1)?);
    let count = scores.shape()[0];
    let place = |label: i64| usize::try_from(label).ok().filter(|&label| label < meta.labels.len());
    let labels: Option<Vec<usize>> = integers(&labels).into_iter().map(place).collect();
    match labels {
        Some(labels) if labels.len() == count && boxes.shape() == [count, 4] => {
            let boxes = floats(&boxes);
            let rows = boxes.as_chunks::<4>().0.iter().zip(floats(&scores)).zip(labels);
            let found = rows.map(|((corners, score), label)| Detection { corners: *corners, score, label }).collect();
            Ok(Answered { image: pixels, size, found })
        }
        _ => Err(format!(
            "the boxes, scores and labels of '{name}' do not belong together, or to {} classes",
            meta.labels.len()
        )),
    }
}

/// Runs a model on `uint8 [n, h, w, 3]`, with the sizes of the originals if these are prepared.
pub type Run<'a> =
    dyn FnMut(ArrayView4<u8>, Option<&[[i64; 2]]>, &Overrides) -> Result<Vec<Vec<Detection>>, String> + 'a;

/// A model and what it is compared with.
pub struct Comparison<'a> {
    /// What was recorded.
    pub recording: &'a Recording,
    /// The model's metadata.
    pub meta: &'a CheckpointMeta,
    /// The model's form.
    pub form: Form,
}

impl Comparison<'_> {
    /// A `whole` model without tiles is also given the recorded pictures in the size that they are resized to, so that its
    /// own resize changes nothing; so it too is held to the narrow limits.
    ///
    /// # Errors
    /// The first image on which the model does not run or differs.
    pub fn run(&self, run: &mut Run) -> Result<Vec<Check>, VerifyError> {
        let mut checks = Vec::new();
        match self.form {
            Form::Prepared => checks.extend(self.check("prepared images", &self.recording.prepared, PREPARED, run)?),
            Form::Whole => {
                if self.recording.detecting.tiling.is_none() {
                    let resized: Vec<Answered> = self.recording.prepared.iter().map(|p| self.unframed(p)).collect();
                    checks.extend(self.check("resized images", &resized, PREPARED, run)?);
                }
                checks.extend(self.check("whole images", &self.recording.whole, WHOLE, run)?);
            }
        }
        self.defaults(run)?;
        Ok(checks)
    }

    /// The resized picture without its frame, and the answer in its own pixels.
    fn unframed(&self, prepared: &Answered) -> Answered {
        let [height, width] = prepared.size.unwrap_or([1, 1]).map(|side| u32::try_from(side).unwrap_or(u32::MAX));
        let place = Placement::of(width, height, &self.meta.preprocessing.fit);
        let (top, left) = (usize::try_from(place.top).unwrap_or(0), usize::try_from(place.left).unwrap_or(0));
        let (rows, columns) = (place.inner_height as usize, place.inner_width as usize);
        let image = prepared.image.slice(s![.., top..top + rows, left..left + columns, ..]).to_owned();
        #[expect(clippy::cast_possible_truncation, reason = "a ratio")]
        let scale = |inner: u32, side: u32| (f64::from(inner) / f64::from(side)) as f32;
        let (x, y) = (scale(place.inner_width, width), scale(place.inner_height, height));
        let scaled = |one: &Detection| {
            let [x1, y1, x2, y2] = one.corners;
            Detection { corners: [x1 * x, y1 * y, x2 * x, y2 * y], ..*one }
        };
        Answered { image, size: None, found: prepared.found.iter().map(scaled).collect() }
    }

    /// All pictures one by one, then as many batches of each size as needed to run one picture in company.
    fn check(
        &self,
        name: &str,
        pictures: &[Answered],
        limits: Limits,
        run: &mut Run,
    ) -> Result<Vec<Check>, VerifyError> {
        let mut checks = vec![];
        for batch in std::iter::once(1).chain(BATCHES) {
            let mut tally = Tally::default();
            let check = format!("{name}, batch {batch}");
            let firsts = if batch == 1 { 0..pictures.len() } else { 0..1 };
            let mut images = 0;
            for first in firsts {
                let rows = company(pictures, first, batch);
                images += rows.len();
                let found = self.answers(&rows, pictures, &self.recording.overrides, run);
                let found =
                    found.map_err(|problem| VerifyError::Run { check: check.clone(), image: first, problem })?;
                for (&i, found) in rows.iter().zip(&found) {
                    let refuse = |problem: String| VerifyError::Boxes { check: check.clone(), image: i, problem };
                    tally.add(&self.pair(&pictures[i], found, limits), limits).map_err(refuse)?;
                }
            }
            tally.shares(limits).map_err(|problem| VerifyError::Boxes { check: check.clone(), image: 0, problem })?;
            checks.push(Check {
                name: name.to_owned(),
                batch,
                images,
                largest_difference: tally.score,
                limit: limits.score,
                labels_differ: 0,
                boxes: Some(BoxCheck {
                    compared: tally.compared,
                    excused: tally.near + tally.odd,
                    largest_difference: tally.corner,
                    limit: limits.corner,
                }),
            });
        }
        Ok(checks)
    }

    fn answers(
        &self,
        rows: &[usize],
        pictures: &[Answered],
        overrides: &Overrides,
        run: &mut Run,
    ) -> Result<Vec<Vec<Detection>>, String> {
        let views: Vec<_> = rows.iter().map(|&i| pictures[i].image.view()).collect();
        let batch = concatenate(Axis(0), &views).map_err(|e| e.to_string())?;
        let sizes: Option<Vec<[i64; 2]>> = rows.iter().map(|&i| pictures[i].size).collect();
        let found = run(batch.view(), sizes.as_deref(), overrides)?;
        if found.len() == rows.len() { Ok(found) } else { Err(format!("it answers for {} images", found.len())) }
    }

    /// Without thresholds the model must answer as with those of its settings.
    fn defaults(&self, run: &mut Run) -> Result<(), VerifyError> {
        let pictures = match self.form {
            Form::Prepared => &self.recording.prepared,
            Form::Whole => &self.recording.whole,
        };
        let check = "default thresholds".to_owned();
        let own = Overrides {
            score_threshold: Some(self.recording.detecting.score_threshold),
            iou_threshold: Some(self.recording.detecting.iou_threshold),
        };
        let mut answer = |overrides: &Overrides| {
            let found = self.answers(&[0], pictures, overrides, run);
            found.map_err(|problem| VerifyError::Run { check: check.clone(), image: 0, problem })
        };
        if answer(&Overrides::default())? == answer(&own)? {
            return Ok(());
        }
        let problem = "its answer changes when the thresholds of its settings are given".to_owned();
        Err(VerifyError::Boxes { check, image: 0, problem })
    }

    fn pair(&self, picture: &Answered, found: &[Detection], limits: Limits) -> Pairing {
        let recorded = &picture.found;
        let mut free: Vec<&Detection> = found.iter().collect();
        let mut pairing = Pairing { compared: found.len() + recorded.len(), ..Pairing::default() };
        let corner = limits.corner * self.shrinking(picture);
        for one in recorded {
            let candidate = |f: &&Detection| {
                let near = furthest(f, one) <= corner && (f.score - one.score).abs() <= limits.score;
                f.label == one.label && near
            };
            let nearest = (0..free.len())
                .filter(|&i| candidate(&free[i]))
                .min_by(|&a, &b| furthest(free[a], one).total_cmp(&furthest(free[b], one)));
            match nearest.map(|i| free.remove(i)) {
                Some(partner) => {
                    pairing.corner = pairing.corner.max(furthest(partner, one));
                    pairing.score = pairing.score.max((partner.score - one.score).abs());
                }
                None => pairing.lone.push(self.lone(one, "recorded", found, limits)),
            }
        }
        // Where a list is full, what would come next cannot be seen.
        let full = |list: &[Detection]| {
            list.last().filter(|_| list.len() as i64 >= self.recording.detecting.cap).map(|one| one.score)
        };
        let ends = [full(found), full(recorded), self.recording.overrides.score_threshold];
        let end = ends.into_iter().flatten().fold(0.0, f32::max);
        let end = end + limits.score.min(limits.end * end);
        pairing.lone.extend(free.into_iter().map(|one| self.lone(one, "found", recorded, limits)));
        pairing.lone.iter_mut().filter(|lone| lone.score <= end).for_each(|lone| lone.reason = Some(Reason::Near));
        pairing
    }

    fn lone(&self, one: &Detection, whose: &str, others: &[Detection], limits: Limits) -> Lone {
        let thresholds = [self.recording.overrides.iou_threshold, self.recording.detecting.tiling.map(|t| t.threshold)];
        let least = thresholds.into_iter().flatten().fold(1.0, f32::min) - OVERLAP_MARGIN;
        // Tiles are united by how much of a box lies in another, too.
        let overlap = |other: &Detection| match self.recording.detecting.tiling {
            None => one.iou(other),
            Some(_) => one.intersection(other) / one.area().min(other.area()),
        };
        let alike = || others.iter().filter(|other| other.label == one.label);
        // The same box with another score is no matter of suppression.
        let twin = alike().any(|other| furthest(one, other) <= limits.corner);
        let odd = limits.strangers || (!twin && alike().any(|other| overlap(other) >= least));
        let label = self.meta.labels.get(one.label).map_or("?", String::as_str);
        let text = format!("{label:?} with score {} at {:?} was {whose} without a counterpart", one.score, one.corners);
        Lone { score: one.score, text, reason: odd.then_some(Reason::Odd) }
    }

    /// How many pixels of the picture one of the network's input is, if more than one.
    fn shrinking(&self, picture: &Answered) -> f32 {
        let (_, rows, columns, _) = picture.image.dim();
        let size = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
        let [height, width] = match picture.size {
            Some(size) => size.map(|side| u32::try_from(side).unwrap_or(u32::MAX)),
            None => [size(rows), size(columns)],
        };
        let place = Placement::of(width, height, &self.meta.preprocessing.fit);
        #[expect(clippy::cast_precision_loss, reason = "a ratio")]
        let ratio = |side: u32, inner: u32| side as f32 / inner as f32;
        ratio(width, place.inner_width).max(ratio(height, place.inner_height)).max(1.0)
    }
}

/// Pictures of the size of the `first`, which is among them, over and over until there are enough.
fn company(pictures: &[Answered], first: usize, batch: usize) -> Vec<usize> {
    let like = pictures[first].image.dim();
    let alike: Vec<usize> = (0..pictures.len()).filter(|&i| pictures[i].image.dim() == like).collect();
    let at = alike.iter().position(|&i| i == first).unwrap_or(0);
    (0..batch).map(|i| alike[(at + i) % alike.len()]).collect()
}

/// Largest difference in a corner; NaN, which is within no limit, if a corner is no number.
fn furthest(a: &Detection, b: &Detection) -> f32 {
    let differences = a.corners.iter().zip(b.corners).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, |worst, d| if d.is_nan() || d > worst { d } else { worst })
}

/// Why a box may have no counterpart.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reason {
    /// Its score is about that of the end of the list.
    Near,
    /// Suppression may have decided otherwise.
    Odd,
}

struct Lone {
    score: f32,
    text: String,
    reason: Option<Reason>,
}

/// How two lists fit together.
#[derive(Default)]
struct Pairing {
    compared: usize,
    corner: f32,
    score: f32,
    lone: Vec<Lone>,
}

/// The same over several pictures.
#[derive(Default)]
struct Tally {
    compared: usize,
    corner: f32,
    score: f32,
    near: usize,
    odd: usize,
    example: String,
}

impl Tally {
    fn add(&mut self, pairing: &Pairing, limits: Limits) -> Result<(), String> {
        self.compared += pairing.compared;
        self.corner = self.corner.max(pairing.corner);
        self.score = self.score.max(pairing.score);
        for lone in &pairing.lone {
            match lone.reason {
                Some(Reason::Near) => self.near += 1,
                Some(Reason::Odd) => {
                    self.odd += 1;
                    self.example.clone_from(&lone.text);
                }
                None => {
                    let Limits { corner, score, .. } = limits;
                    return Err(format!("{} (limits: {corner} pixels, {score} in the score)", lone.text));
                }
            }
        }
        Ok(())
    }

    /// Whether suppression decided otherwise about few enough boxes: a share, and always two, since a swap is two.
    fn shares(&self, limits: Limits) -> Result<(), String> {
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        if self.odd as f64 <= (limits.share * self.compared as f64).max(2.0) {
            return Ok(());
        }
        let Self { odd, compared, example, .. } = self;
        Err(format!("{odd} of {compared} boxes have no counterpart; one of them: {example}"))
    }
}
