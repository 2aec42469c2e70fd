//! Comparing a detector's graph with its recording.
//!
//! Final boxes are no measure of a graph: where two overlap by about the threshold, or are about as certain as each other,
//! suppression keeps either, and another processor decides otherwise. So the graph is cut open at its decisions
//! ([`crate::probe`]). The recorded results are given to it, and what lies between, the raw heads, the candidates and the boxes of
//! the answer, has to agree within narrow limits. Each decision that the graph takes itself has to follow from what it saw
//! ([`decisions`]). What tiles are merged into is compared with the host's merge of the same boxes.

use std::collections::{BTreeMap, BTreeSet};

use models::host::mask::Paste;
use models::host::{self, Merge, MergeRule, Placement, Tile};
use ndarray::{Array4, Axis, concatenate};
use runtime::{Data, Form, Model, Overrides, Tensor};
use schemas::prediction::{Detection, MASK_SIDE, SoftMask, Thresholds};

use super::check::{BoxCheck, Check};
use super::decisions::{self, Decided, PIXELS, SCORES, Taken};
use super::error::VerifyError;
use super::pixels::{bytes, same_pixels};
use super::recorded::{Image, Recording, Source};
use super::subject::{Subject, open};
use crate::graph::DecisionKind;
use crate::probe::{self, Probe};

/// Outputs of a file; the last one only of a model that outlines what it finds.
const ANSWER: [&str; 4] = [runtime::BOXES, runtime::SCORES, runtime::LABELS, runtime::MASKS];
/// Batch sizes besides 1.
const BATCHES: [usize; 2] = [2, 5];
/// Share of merged boxes that may differ: long chains of boxes that drop each other are merged approximately in the graph.
const MERGED_SHARE: f64 = 0.05;
/// A pixel may be the object's or not where its probability is as near to the threshold: a graph sums in another order.
const PASTED: f32 = 1e-5;

/// Compares the graph, and the file it was written to, with the recording.
///
/// # Errors
/// The first image on which it does not run or differs.
pub(super) fn compare(recording: &Recording, subject: &Subject, file: &mut Model) -> Result<Vec<Check>, VerifyError> {
    let mut network = Network::open(recording, subject)?;
    let mut checks = Vec::new();
    for batch in std::iter::once(1).chain(BATCHES) {
        checks.push(network.check(batch)?);
    }
    if network.tiled {
        checks.push(Merged { recording, subject }.check()?);
    }
    Answers { recording, subject, file }.check()?;
    Ok(checks)
}

fn differs(check: &str, image: usize, problem: String) -> VerifyError {
    VerifyError::Boxes { check: check.to_owned(), image, problem }
}

/// The network, cut open.
struct Network<'a> {
    recording: &'a Recording,
    subject: &'a Subject<'a>,
    decisions: Vec<DecisionKind>,
    given: BTreeSet<(usize, usize)>,
    tiled: bool,
    session: runtime::Probe,
    name: &'static str,
}

/// What came out for a batch of images.
struct Outcome {
    /// Of each image, each decision.
    decisions: Vec<Vec<Taken>>,
    /// Of each image, the boxes of the answer.
    found: Vec<Vec<Detection>>,
    /// Place of the tile that the graph itself would have looked at.
    places: Option<Tensor>,
}

/// What has been compared so far.
#[derive(Default)]
struct Tally {
    boxes: usize,
    corner: f32,
    score: f32,
    mask: f32,
    close: usize,
}

impl<'a> Network<'a> {
    fn open(recording: &'a Recording, subject: &'a Subject<'a>) -> Result<Self, VerifyError> {
        let name = match subject.form {
            Form::Prepared => "prepared images",
            Form::Whole => "whole images",
        };
        let Probe { graph, decisions, given, tiled } = probe::network(subject.graph);
        let asked: Vec<DecisionKind> = decisions.iter().copied().filter(|&k| k != DecisionKind::Pixels).collect();
        for (i, image) in recording.images.iter().enumerate() {
            for source in &image.sources {
                let taken: Vec<DecisionKind> = source.decisions.iter().map(|d| d.kind).collect();
                if taken != asked {
                    return Err(differs(name, i, format!("it decides {asked:?}, and the trainer decided {taken:?}")));
                }
            }
        }
        let session = open(graph, subject.options, name)?;
        Ok(Self { recording, subject, decisions, given, tiled, session, name })
    }

    /// All images one by one, or the first of them in company.
    fn check(&mut self, batch: usize) -> Result<Check, VerifyError> {
        let name = format!("{}, batch {batch}", self.name);
        let images = &self.recording.images;
        let mut tally = Tally::default();
        let firsts = if batch == 1 { 0..images.len() } else { 0..1 };
        let mut count = 0;
        for first in firsts {
            let sources = if self.tiled { images[first].sources.len() } else { 1 };
            for source in 0..sources {
                let rows = self.company(first, source, batch);
                count += rows.len();
                let outcome = self.run(&rows, source);
                let outcome =
                    outcome.map_err(|problem| VerifyError::Run { check: name.clone(), image: first, problem })?;
                for (row, &i) in rows.iter().enumerate() {
                    let source = &images[i].sources[source];
                    self.agree(&outcome, row, source, &mut tally).map_err(|problem| differs(&name, i, problem))?;
                }
                self.placed(&outcome, &images[first], source).map_err(|problem| differs(&name, first, problem))?;
            }
        }
        Ok(Check {
            name: self.name.to_owned(),
            batch,
            images: count,
            largest_difference: tally.score.max(tally.mask),
            limit: SCORES.absolute,
            labels_differ: 0,
            boxes: Some(BoxCheck {
                compared: tally.boxes,
                excused: tally.close,
                largest_difference: tally.corner,
                limit: PIXELS.absolute,
            }),
        })
    }

    /// Images of the size of the `first`, which is among them, over and over until there are enough.
    fn company(&self, first: usize, source: usize, batch: usize) -> Vec<usize> {
        let images = &self.recording.images;
        let shape = |i: usize| {
            let image = &images[i];
            // A prepared file is given what the host made, whatever the size of the image was.
            let whole = (self.subject.form == Form::Whole).then(|| image.pixels.dim());
            (whole, image.sources[source].prepared.dim())
        };
        let alike: Vec<usize> = (0..images.len()).filter(|&i| shape(i) == shape(first)).collect();
        let at = alike.iter().position(|&i| i == first).unwrap_or(0);
        (0..batch).map(|i| alike[(at + i) % alike.len()]).collect()
    }

    fn run(&mut self, rows: &[usize], source: usize) -> Result<Outcome, String> {
        let images: Vec<&Image> = rows.iter().map(|&i| &self.recording.images[i]).collect();
        let sources: Vec<&Source> = images.iter().map(|image| &image.sources[source]).collect();
        let prepared = batch(&sources.iter().map(|s| &s.prepared).collect::<Vec<_>>())?;
        let mut inputs: Vec<(String, Tensor)> = Vec::new();
        match self.subject.form {
            Form::Prepared => {
                let sizes = sources.iter().flat_map(|s| s.size()).collect();
                inputs.push((runtime::INPUT.to_owned(), prepared.clone()));
                inputs.push((runtime::SIZES.to_owned(), Tensor { shape: vec![rows.len(), 2], data: Data::I64(sizes) }));
            }
            Form::Whole => {
                let whole = batch(&images.iter().map(|image| &image.pixels).collect::<Vec<_>>())?;
                inputs.push((runtime::INPUT.to_owned(), whole));
            }
        }
        let Overrides { score_threshold, iou_threshold } = self.recording.overrides;
        for (name, value) in [(runtime::SCORE_THRESHOLD, score_threshold), (runtime::IOU_THRESHOLD, iou_threshold)] {
            let number = |value| (name.to_owned(), Tensor { shape: vec![1], data: Data::F32(vec![value]) });
            inputs.extend(value.map(number));
        }
        if self.tiled {
            let place = Tensor { shape: vec![1, 4], data: Data::I64(sources[0].place.to_vec()) };
            inputs.push((probe::PLACES[0].to_owned(), place));
        }
        for &(k, j) in &self.given {
            let recorded = match self.recorded(k) {
                None => prepared.clone(),
                Some(at) => {
                    let each: Vec<&Tensor> = sources.iter().map(|s| &s.decisions[at].outputs[j]).collect();
                    decisions::joined(&each).ok_or("a decision has no result")?
                }
            };
            inputs.push((probe::given(k, j), recorded));
        }
        let outputs = self.session.run(&inputs).map_err(|error| error.to_string())?;
        self.outcome(outputs, rows.len())
    }

    /// Which of the recorded decisions the probe's decision `k` is; `None` for the pixels, which come first.
    fn recorded(&self, k: usize) -> Option<usize> {
        let pixels = self.decisions.iter().take_while(|&&kind| kind == DecisionKind::Pixels).count();
        k.checked_sub(pixels)
    }

    fn outcome(&self, mut outputs: BTreeMap<String, Tensor>, images: usize) -> Result<Outcome, String> {
        let tiled = self.tiled;
        let mut take = |name: &str| {
            let mut tensor = outputs.remove(name)?;
            if tiled {
                // The loop over one tile.
                tensor.shape.remove(0);
            }
            Some(tensor)
        };
        let mut taken: Vec<Vec<Taken>> = (0..images).map(|_| Vec::new()).collect();
        for (k, &kind) in self.decisions.iter().enumerate() {
            let (inputs, outputs) = kind.arity();
            let by: Vec<Tensor> = (0..inputs).filter_map(|j| take(&probe::seen(k, j))).collect();
            let results: Vec<Option<Tensor>> = (0..outputs).map(|j| take(&probe::own(k, j))).collect();
            for (i, taken) in taken.iter_mut().enumerate() {
                let share = |tensor: &Tensor| decisions::share(tensor, i, images);
                let outputs = results.iter().map(|result| result.as_ref().map(share)).collect();
                taken.push(Taken { kind, inputs: by.iter().map(share).collect(), outputs });
            }
        }
        let names = if tiled { [0, 1, 2, 3].map(probe::found) } else { ANSWER.map(str::to_owned) };
        let answer = names.each_ref().map(|name| take(name));
        let found = match &answer {
            [Some(boxes), Some(scores), Some(labels), masks] => detections(boxes, scores, labels, masks.as_ref()),
            _ => None,
        };
        let found = found.filter(|found| found.len() == images);
        let places = outputs.remove(probe::PLACES[1]);
        Ok(Outcome { decisions: taken, found: found.ok_or("it gives no boxes, scores and labels")?, places })
    }

    /// Whether one image of a batch came out as recorded.
    fn agree(&self, outcome: &Outcome, row: usize, source: &Source, tally: &mut Tally) -> Result<(), String> {
        for (k, taken) in outcome.decisions[row].iter().enumerate() {
            match self.recorded(k) {
                None => {
                    let own = taken.outputs.first().and_then(Option::as_ref).ok_or("it rounds no pixels")?;
                    same_pixels(own, &source.prepared.view())?;
                }
                Some(at) => {
                    let say = |problem: String| format!("decision {k} ({:?}): {problem}", source.decisions[at].kind);
                    let close = decided(taken, &source.decisions[at], tally).map_err(say)?;
                    tally.close += close;
                }
            }
        }
        let offset = if self.tiled { [source.place[1], source.place[0]] } else { [0, 0] };
        #[expect(clippy::cast_precision_loss, reason = "pixels")]
        let [x, y] = offset.map(|pixels| pixels as f32);
        let expected = source.found.iter().map(|one| {
            let [x1, y1, x2, y2] = one.corners;
            Detection { corners: [x1 + x, y1 + y, x2 + x, y2 + y], ..one.clone() }
        });
        let expected: Vec<Detection> = expected.collect();
        same_boxes(&outcome.found[row], &expected, self.shrinking(source), tally)
    }

    /// Whether the graph puts its tiles where the host does.
    fn placed(&self, outcome: &Outcome, image: &Image, source: usize) -> Result<(), String> {
        let Some(places) = outcome.places.as_ref().and_then(Tensor::integers) else { return Ok(()) };
        let own = places.as_chunks::<4>().0.get(source);
        let expected = &image.sources[source].place;
        if own == Some(expected) { Ok(()) } else { Err(format!("tile {source} is {own:?} and should be {expected:?}")) }
    }

    /// How many pixels of the image one of the network's input is, if more than one.
    fn shrinking(&self, source: &Source) -> f32 {
        let [height, width] = source.size().map(|side| u32::try_from(side).unwrap_or(u32::MAX));
        let place = Placement::of(width, height, &self.subject.checkpoint.meta().preprocessing.fit);
        #[expect(clippy::cast_precision_loss, reason = "a ratio")]
        let ratio = |side: u32, inner: u32| side as f32 / inner as f32;
        ratio(width, place.inner_width).max(ratio(height, place.inner_height)).max(1.0)
    }
}

/// One decision beside the recorded one; gives how many overlaps were too close to call.
fn decided(taken: &Taken, recorded: &Decided, tally: &mut Tally) -> Result<usize, String> {
    let inputs = taken.floats().filter(|inputs| inputs.len() == recorded.inputs.len()).ok_or("it has other inputs")?;
    for (j, (found, sample)) in inputs.iter().zip(&recorded.inputs).enumerate() {
        let limit = decisions::limit(recorded.kind, j);
        if taken.inputs[j].shape != sample.shape {
            return Err(format!("input {j} is {:?}, and {:?} was recorded", taken.inputs[j].shape, sample.shape));
        }
        let step = decisions::step(found.len());
        let pairs = found.iter().step_by(step).zip(&sample.values);
        let worst = pairs.enumerate().map(|(i, (f, r))| (limit.share(*f, *r), i * step, *f, *r));
        if let Some((_, at, found, recorded)) = worst.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|worst| worst.0 > 1.0) {
            return Err(format!(
                "value {at} of input {j} is {found}, and {recorded} was recorded; the limit is {} and {} of the value",
                limit.absolute, limit.relative
            ));
        }
    }
    let limit = decisions::limit(recorded.kind, recorded.inputs.len() - 1);
    for (found, value) in decisions::at_places(taken, recorded)? {
        if limit.share(found, value) > 1.0 {
            return Err(format!("a value that was chosen is {found}, and {value} was recorded"));
        }
        if recorded.kind == DecisionKind::Nms {
            tally.score = tally.score.max((found - value).abs());
        }
    }
    decisions::follows(taken, &recorded.limits)
}

/// Whether two lists are the same boxes in the same order.
fn same_boxes(found: &[Detection], recorded: &[Detection], shrinking: f32, tally: &mut Tally) -> Result<(), String> {
    if found.len() != recorded.len() {
        return Err(format!("it answers with {} boxes where {} were recorded", found.len(), recorded.len()));
    }
    tally.boxes += found.len();
    for (i, (a, b)) in found.iter().zip(recorded).enumerate() {
        let (corner, score) = (furthest(a, b), (a.score - b.score).abs());
        let limit = PIXELS.absolute * shrinking + PIXELS.relative * b.corners.iter().fold(0.0, |m, c| c.abs().max(m));
        if a.label != b.label || corner.is_nan() || corner > limit || score.is_nan() || score > SCORES.absolute {
            return Err(format!(
                "box {i} is {a:?} and {b:?} was recorded; {limit} pixels and {} of the score are accepted",
                SCORES.absolute
            ));
        }
        let mask = mask_apart(a.mask.as_ref(), b.mask.as_ref());
        if mask.is_nan() || mask > SCORES.absolute {
            return Err(format!(
                "the mask of box {i} differs by {mask} from the one that was recorded; {} is accepted",
                SCORES.absolute
            ));
        }
        tally.mask = tally.mask.max(mask);
        tally.corner = tally.corner.max(corner);
        tally.score = tally.score.max(score);
    }
    Ok(())
}

/// Largest difference between two masks; NaN, which is within no limit, if one is no number or only one is there.
fn mask_apart(a: Option<&SoftMask>, b: Option<&SoftMask>) -> f32 {
    match (a, b) {
        (Some(a), Some(b)) => largest(a.values().iter().zip(b.values()).map(|(a, b)| (a - b).abs())),
        (None, None) => 0.0,
        (Some(_), None) | (None, Some(_)) => f32::NAN,
    }
}

/// Largest difference in a corner; NaN, which is within no limit, if a corner is no number.
fn furthest(a: &Detection, b: &Detection) -> f32 {
    largest(a.corners.iter().zip(b.corners).map(|(a, b)| (a - b).abs()))
}

/// The largest; NaN if one is.
fn largest(differences: impl Iterator<Item = f32>) -> f32 {
    differences.fold(0.0, |worst: f32, d| if d.is_nan() || d > worst { d } else { worst })
}

fn batch(images: &[&Array4<u8>]) -> Result<Tensor, String> {
    let views: Vec<_> = images.iter().map(|image| image.view()).collect();
    let all = concatenate(Axis(0), &views).map_err(|error| error.to_string())?;
    Ok(bytes(&all.view()))
}

/// Dense tensors `[N, D, ..]` as a list for each image, without the padding; `None` if they do not belong together.
fn detections(boxes: &Tensor, scores: &Tensor, labels: &Tensor, masks: Option<&Tensor>) -> Option<Vec<Vec<Detection>>> {
    let &[images, each] = labels.shape.as_slice() else { return None };
    if scores.shape != [images, each] || boxes.shape != [images, each, 4] {
        return None;
    }
    let (corners, _) = boxes.floats()?.as_chunks::<4>();
    let (scores, labels) = (scores.floats()?, labels.integers()?);
    let masks = match masks {
        None => None,
        Some(masks) if masks.shape == [images, each, MASK_SIDE, MASK_SIDE] => Some(masks.floats()?),
        Some(_) => return None,
    };
    let mask = |at: usize| SoftMask::new(&masks?[at * MASK_SIDE * MASK_SIDE..][..MASK_SIDE * MASK_SIDE]);
    let one = |at: usize| {
        let label = usize::try_from(labels[at]).ok()?;
        Some(Detection { corners: corners[at], score: scores[at], label, mask: mask(at) })
    };
    Some((0..images).map(|image| (image * each..(image + 1) * each).filter_map(one).collect()).collect())
}

/// What is found in tiles, merged in the graph and on the host.
struct Merged<'a> {
    recording: &'a Recording,
    subject: &'a Subject<'a>,
}

impl Merged<'_> {
    const NAME: &'static str = "merged tiles";

    fn check(&self) -> Result<Check, VerifyError> {
        let Some(graph) = probe::merge(self.subject.graph) else {
            return Err(differs(Self::NAME, 0, "it merges no tiles".to_owned()));
        };
        let mut session = open(graph, self.subject.options, Self::NAME)?;
        let (mut compared, mut odd) = (0, 0);
        for (i, image) in self.recording.images.iter().enumerate() {
            let found = self.run(&mut session, image);
            let found =
                found.map_err(|problem| VerifyError::Run { check: Self::NAME.to_owned(), image: i, problem })?;
            let expected = self.expected(image);
            compared += expected.len();
            let stranger = |one: &&Detection| !expected.contains(one);
            odd += found.iter().filter(stranger).count();
            odd += expected.iter().filter(|one| !found.contains(one)).count();
        }
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        if odd as f64 > (MERGED_SHARE * compared as f64).max(2.0) {
            let problem = format!("{odd} of {compared} merged boxes are not those of the host");
            return Err(differs(Self::NAME, 0, problem));
        }
        Ok(Check {
            name: Self::NAME.to_owned(),
            batch: 1,
            images: self.recording.images.len(),
            largest_difference: 0.0,
            limit: 0.0,
            labels_differ: 0,
            boxes: Some(BoxCheck { compared, excused: odd, largest_difference: 0.0, limit: 0.0 }),
        })
    }

    /// What was recorded of each source, in pixels of the image.
    fn sources(image: &Image) -> Vec<(Tile, Vec<Detection>)> {
        let moved = |source: &Source| {
            let [y0, x0, y1, x1] = source.place.map(|side| u32::try_from(side).unwrap_or(0));
            let tile = Tile { x0, y0, x1, y1 };
            let mut found = source.found.clone();
            host::shift(&mut found, tile);
            (tile, found)
        };
        image.sources.iter().map(moved).collect()
    }

    fn run(&self, session: &mut runtime::Probe, image: &Image) -> Result<Vec<Detection>, String> {
        let sources = Self::sources(image);
        let cap = self.recording.settings.max_boxes as usize;
        let count = sources.len();
        let places = image.sources.iter().flat_map(|source| source.place).collect();
        let rows = || sources.iter().flat_map(|(_, found)| (0..cap).map(|i| found.get(i)));
        let boxes = rows().flat_map(|one| one.map_or([0.0; 4], |one| one.corners)).collect();
        let scores = rows().map(|one| one.map_or(0.0, |one| one.score)).collect();
        let labels = rows().map(|one| one.map_or(-1, |one| i64::try_from(one.label).unwrap_or(-1))).collect();
        let mut inputs = vec![
            (probe::PLACES[0].to_owned(), Tensor { shape: vec![count, 4], data: Data::I64(places) }),
            (probe::found(0), Tensor { shape: vec![count, 1, cap, 4], data: Data::F32(boxes) }),
            (probe::found(1), Tensor { shape: vec![count, 1, cap], data: Data::F32(scores) }),
            (probe::found(2), Tensor { shape: vec![count, 1, cap], data: Data::I64(labels) }),
        ];
        // Also where nothing was found.
        if self.subject.graph.outputs.iter().any(|output| *output.name == *runtime::MASKS) {
            let nothing = [0.0; MASK_SIDE * MASK_SIDE];
            let values = |one: Option<&Detection>| {
                one.and_then(|one| one.mask.as_ref()).map_or(nothing.to_vec(), |mask| mask.values().to_vec())
            };
            let shape = vec![count, 1, cap, MASK_SIDE, MASK_SIDE];
            inputs.push((probe::found(3), Tensor { shape, data: Data::F32(rows().flat_map(values).collect()) }));
        }
        let outputs = session.run(&inputs).map_err(|error| error.to_string())?;
        let part = |name: &str| outputs.get(name).ok_or_else(|| format!("no output named {name}"));
        let [boxes, scores, labels, masks] = ANSWER;
        let found = detections(part(boxes)?, part(scores)?, part(labels)?, outputs.get(masks));
        found.and_then(|mut found| found.pop()).ok_or_else(|| "its outputs do not belong together".to_owned())
    }

    fn expected(&self, image: &Image) -> Vec<Detection> {
        let mut sources = Self::sources(image).into_iter();
        let whole = sources.next().map(|(_, found)| found).unwrap_or_default();
        let (_, height, width, _) = image.pixels.dim();
        let side = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
        let settings = &self.recording.settings;
        let how = Merge {
            width: side(width),
            height: side(height),
            threshold: settings.tiling.threshold,
            limit: settings.max_boxes as usize,
            rule: MergeRule::default(),
        };
        host::merge(&whole, &sources.collect::<Vec<_>>(), &how)
    }
}

/// The file as a user runs it.
struct Answers<'a> {
    recording: &'a Recording,
    subject: &'a Subject<'a>,
    file: &'a mut Model,
}

impl Answers<'_> {
    const NAME: &'static str = "answers of the file";

    /// Whether it runs, answers with boxes of the image by falling score, and takes its settings when no thresholds are given.
    fn check(&mut self) -> Result<(), VerifyError> {
        let recording = self.recording;
        let Thresholds { score_threshold, iou_threshold } = self.recording.settings.thresholds;
        let own = Overrides { score_threshold: Some(score_threshold), iou_threshold: Some(iou_threshold) };
        for (i, image) in self.recording.images.iter().enumerate() {
            let found = self.answer(i, image, &recording.overrides)?;
            self.sound(&found, image).map_err(|problem| differs(Self::NAME, i, problem))?;
            if self.file.has_pixels() {
                self.pasted(i, image, &found)?;
            }
            if self.answer(i, image, &Overrides::default())? != self.answer(i, image, &own)? {
                let problem = "its answer changes when the thresholds of its settings are given".to_owned();
                return Err(differs("default thresholds", i, problem));
            }
        }
        Ok(())
    }

    fn answer(&mut self, i: usize, image: &Image, overrides: &Overrides) -> Result<Vec<Detection>, VerifyError> {
        let source = &image.sources[0];
        let found = match self.subject.form {
            Form::Prepared => self.file.detect(source.prepared.view(), Some(&[source.size()]), overrides),
            Form::Whole => self.file.detect(image.pixels.view(), None, overrides),
        };
        let fail = |problem: String| VerifyError::Run { check: Self::NAME.to_owned(), image: i, problem };
        found.map_err(|error| fail(error.to_string()))?.pop().ok_or_else(|| fail("it answers for no image".to_owned()))
    }

    /// Whether the pixels of what was found are those that the host pastes.
    fn pasted(&mut self, i: usize, image: &Image, found: &[Detection]) -> Result<(), VerifyError> {
        let name = "pixels of objects";
        let pixels = self.file.pixels(image.pixels.view(), &self.recording.overrides);
        let pixels = pixels.map_err(|error| VerifyError::Run {
            check: name.to_owned(),
            image: i,
            problem: error.to_string(),
        })?;
        let (_, each, height, width) = pixels.dim();
        if each < found.len() {
            return Err(differs(name, i, format!("it gives those of {each} objects, and finds {}", found.len())));
        }
        let side = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
        let threshold = self.recording.settings.mask_threshold;
        let paste = Paste { width: side(width), height: side(height), threshold };
        for (at, one) in found.iter().enumerate() {
            let Some(mask) = &one.mask else { continue };
            let (window, probabilities) = paste.probabilities(mask.values(), one.corners);
            let mut expected = vec![0.0; width * height];
            for (row, values) in (window.y0 as usize..).zip(probabilities.chunks_exact(window.width().max(1) as usize))
            {
                expected[row * width + window.x0 as usize..][..values.len()].copy_from_slice(values);
            }
            let given = pixels.slice(ndarray::s![0, at, .., ..]);
            let wrong = |(probability, pixel): (&f32, &u8)| {
                (*probability > threshold) != (*pixel == 1) && (probability - threshold).abs() > PASTED
            };
            let wrong = expected.iter().zip(given.iter()).filter(|pair| wrong(*pair)).count();
            if wrong > 0 {
                let problem = format!("{wrong} pixels of object {at} are not those that its mask gives");
                return Err(differs(name, i, problem));
            }
        }
        Ok(())
    }

    fn sound(&self, found: &[Detection], image: &Image) -> Result<(), String> {
        let least = self.recording.overrides.score_threshold.unwrap_or(0.0);
        if let Some(one) = found.iter().find(|one| !(one.score > least && one.score <= 1.0)) {
            return Err(format!("{one:?} has a score outside of {least} to 1"));
        }
        if let Some(pair) = found.windows(2).find(|pair| pair[0].score < pair[1].score) {
            return Err(format!("{:?} comes before {:?}", pair[0], pair[1]));
        }
        let (_, height, width, _) = image.pixels.dim();
        #[expect(clippy::cast_precision_loss, reason = "pixels")]
        let (height, width) = (height as f32 + PIXELS.absolute, width as f32 + PIXELS.absolute);
        let inside = |one: &&Detection| {
            let [x1, y1, x2, y2] = one.corners;
            let ordered = x1 <= x2 && y1 <= y2;
            ordered && x1 >= -PIXELS.absolute && y1 >= -PIXELS.absolute && x2 <= width && y2 <= height
        };
        match found.iter().find(|one| !inside(one)) {
            Some(one) => Err(format!("{one:?} lies outside of the image")),
            None => Ok(()),
        }
    }
}
