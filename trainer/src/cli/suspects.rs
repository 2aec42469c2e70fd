//! Labels that a trained model doubts, for `trainer check`: the models that judge, the images that each has not seen, and what it says.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use dataset::check::{At, Checked, Shown};
use dataset::{Dataset, Images, Loader, TrainingData, loading, resolver};
use models::host::Rgb;
use models::host::draw::Mark;
use report::{RIGHT, ReportError, Thumbnail, WRONG};
use schemas::check::{FindingPlace, Suspect, SuspectSide, Suspects};
use schemas::dataset::parse_image_url;
use schemas::error::ErrorCode;
use schemas::{CheckpointMeta, Settings, Task};

use super::marked::Marked;
use crate::cli::args::{DoubtArgs, ModelArgs, ModelFile};
use crate::failure::fail;
use crate::predict::trained::Trained;
use crate::tasks::Outcome;
use crate::tasks::suspects::{self, Doubt};
use crate::train::folds;
use crate::train::run_folder::RunFolder;

/// Labels that are listed where nobody says how many.
const LISTED: u32 = 60;
/// Labels in the text.
const IN_TEXT: usize = 10;
/// Images at once.
const BATCH: usize = 32;
/// Longer side in pixels of an image with boxes on the page.
const MARKED: u32 = 400;

/// The models that judge labels, at least one, all of the same labels.
pub struct Judges {
    named: String,
    models: Vec<Judge>,
    meta: CheckpointMeta,
    settings: Settings,
    most: usize,
}

/// A model, and what is known of the images that it was trained on.
struct Judge {
    model: Trained,
    /// Their keys (see [`dataset::Location::key`]); `None` where no training is recorded beside the model.
    trained_on: Option<BTreeSet<Vec<u8>>>,
}

/// What the models doubt.
pub struct Doubted {
    /// For the report.
    pub suspects: Suspects,
    /// Part and image of each that is listed.
    images: Vec<(usize, usize)>,
    /// The parts, by the labels of the models.
    parts: Vec<Arc<Dataset>>,
}

impl Judges {
    /// Opens the models that the options name, for rows of a task; nothing where they name none.
    ///
    /// # Errors
    /// When there is no such model, it is of another task, or what it was trained on cannot be read.
    pub fn open(args: &DoubtArgs, task: Task) -> anyhow::Result<Option<Self>> {
        let Some(named) = args.checkpoint.as_ref().or(args.onnx.as_ref()) else {
            return match args.suspects {
                None => Ok(None),
                Some(most) => {
                    let message = format!("--suspects {most} is about a model: name one with --checkpoint or --onnx");
                    Err(fail(ErrorCode::InvalidArguments, message))
                }
            };
        };
        let models = files(args)?;
        let models = models.into_iter().map(|file| Judge::open(file, args)).collect::<anyhow::Result<Vec<_>>>()?;
        let first = models.first().with_context(|| format!("{}: no part was trained", named.display()))?;
        let (meta, settings) = (first.model.meta().clone(), first.model.settings()?);
        if meta.task != task {
            let message = format!(
                "{}: the model's task is {}, and the labels are checked for {task}; give --task {}, or a model of {task}",
                named.display(),
                meta.task,
                meta.task
            );
            return Err(fail(ErrorCode::UnsupportedModel, message));
        }
        if let Some(other) = models.iter().map(|one| one.model.meta()).find(|other| other.labels != meta.labels) {
            anyhow::bail!("the parts have other labels: {} and {}", meta.labels.join(", "), other.labels.join(", "));
        }
        let most = args.suspects.unwrap_or(LISTED) as usize;
        Ok(Some(Self { named: named.display().to_string(), models, meta, settings, most }))
    }

    /// Side in pixels that the models see images at.
    pub fn side(&self) -> u32 {
        self.meta.preprocessing.side()
    }

    /// Asks about the usable images of every part. A model is surer of what it has seen, so that what is usual is told of each part
    /// alone.
    ///
    /// # Errors
    /// A label that the models do not know, data that cannot be read, or a file that fails.
    pub fn judge(&mut self, checked: &Checked) -> anyhow::Result<Doubted> {
        let labels = self.meta.labels.clone();
        let keys = (0..checked.report.parts.len()).map(|part| checked.keys(part)).collect::<Result<Vec<_>, _>>()?;
        // Unknown labels are said before the work.
        let whole = |(part, keys): (usize, &Vec<Vec<u8>>)| {
            let all: Vec<u32> = (0..keys.len() as u32).collect();
            checked.dataset(part, &labels, &all)
        };
        let parts = keys.iter().enumerate().map(whole).collect::<Result<Vec<_>, _>>()?;
        let (mut doubts, mut seen) = (Vec::new(), 0);
        for (part, keys) in keys.iter().enumerate() {
            let shares = self.shares(keys);
            seen += shares.seen;
            if let Some(outcome) = self.ask(checked, part, &shares)? {
                let of_part = suspects::doubts(&outcome, &labels, &self.settings);
                doubts.extend(of_part.into_iter().map(|doubt| (part, doubt)));
            }
        }
        doubts.sort_by(|a: &(usize, Doubt), b| b.1.score.total_cmp(&a.1.score));
        let found = doubts.len() as u64;
        doubts.truncate(self.most);
        let shown = |&(side, ref doubt): &(usize, Doubt)| Shown {
            at: At { side, index: doubt.index },
            objects: doubt.object.into_iter().collect(),
        };
        let places = checked.places(&doubts.iter().map(shown).collect::<Vec<_>>())?;
        let images: u64 = keys.iter().map(|keys| keys.len() as u64).sum();
        let recorded = self.models.iter().all(|one| one.trained_on.is_some());
        let seen = recorded.then_some(seen);
        let suspect = |((_, doubt), place): (&(usize, Doubt), FindingPlace)| Suspect {
            kind: doubt.kind,
            score: doubt.score,
            place,
            given: doubt.given.clone(),
            predicted: doubt.predicted.clone(),
            message: doubt.message(),
        };
        let listed = doubts.iter().zip(places).map(suspect).collect();
        let note = note(images, seen, self.models.len());
        Ok(Doubted {
            suspects: Suspects { model: self.named.clone(), images, seen, note, found, listed },
            images: doubts.iter().map(|(part, doubt)| (*part, doubt.index)).collect(),
            parts,
        })
    }

    /// Who judges which image: the first model that was not trained on it or, where all were, the first.
    fn shares(&self, keys: &[Vec<u8>]) -> Shares {
        let mut shares = Shares { of: vec![Vec::new(); self.models.len()], seen: 0 };
        for (image, key) in keys.iter().enumerate() {
            let knows = |one: &Judge| one.trained_on.as_ref().is_some_and(|seen| seen.contains(key));
            let fresh = self.models.iter().position(|one| !knows(one));
            shares.seen += u64::from(fresh.is_none());
            shares.of[fresh.unwrap_or(0)].push(image as u32);
        }
        shares
    }

    /// What the models say of a part, each of its share; nothing where the part has no image.
    fn ask(&mut self, checked: &Checked, part: usize, shares: &Shares) -> anyhow::Result<Option<Outcome>> {
        let mut outcomes = Vec::new();
        for (judge, images) in self.models.iter_mut().zip(&shares.of).filter(|(_, images)| !images.is_empty()) {
            let meta = judge.model.meta().clone();
            let settings = judge.model.settings()?;
            let options = loading::evaluation(meta.task, &settings, &meta.preprocessing, BATCH);
            let loader = Loader::new(checked.dataset(part, &meta.labels, images)?, options)?;
            let label = format!("judging {}", checked.report.parts[part].part.as_str());
            outcomes.push(numbered(judge.model.evaluate(&loader, &settings, &label)?, images));
        }
        Ok(Outcome::joined(outcomes))
    }
}

/// Which images each model judges, and how many of them it was trained on.
struct Shares {
    of: Vec<Vec<u32>>,
    seen: u64,
}

/// An outcome about a share of the images, by their places among all.
fn numbered(outcome: Outcome, images: &[u32]) -> Outcome {
    let all = |indices: &mut Vec<usize>| indices.iter_mut().for_each(|index| *index = images[*index] as usize);
    match outcome {
        Outcome::Classes(mut classes) => {
            all(&mut classes.indices);
            Outcome::Classes(classes)
        }
        Outcome::Boxes(mut boxes) => {
            all(&mut boxes.indices);
            Outcome::Boxes(boxes)
        }
    }
}

/// The models that are named: one, or those of the parts of a cross-validation.
fn files(args: &DoubtArgs) -> anyhow::Result<Vec<ModelFile>> {
    let of = |checkpoint: PathBuf| ModelFile { checkpoint: Some(checkpoint), onnx: None };
    let parts = args.checkpoint.as_deref().map(folds::runs_of_parts).transpose()?.unwrap_or_default();
    if parts.is_empty() {
        return Ok(vec![ModelFile { checkpoint: args.checkpoint.clone(), onnx: args.onnx.clone() }]);
    }
    Ok(parts.into_iter().map(of).collect())
}

impl Judge {
    fn open(file: ModelFile, args: &DoubtArgs) -> anyhow::Result<Self> {
        let args = ModelArgs { file, device: args.device };
        let model = args.open()?;
        let path = match &model {
            Trained::Checkpoint(_, _, origin) => Some(&origin.path),
            Trained::File(_) => args.file.onnx.as_ref(),
        };
        let trained_on = path.map(|path| trained_on(path)).transpose()?.flatten();
        Ok(Self { model, trained_on })
    }
}

/// The keys of the images that a model was trained on; nothing where its file does not lie in a run.
fn trained_on(model: &Path) -> anyhow::Result<Option<BTreeSet<Vec<u8>>>> {
    let model = std::path::absolute(model)?;
    // ROOT/checkpoints/best/model.onnx
    let Some(root) = model.ancestors().nth(3).filter(|root| RunFolder::is_run(root)) else { return Ok(None) };
    let rows = root.join("data").join(TrainingData::FILES[0]);
    let text = match std::fs::read_to_string(&rows) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("reading {}", rows.display())),
    };
    // Its addresses are absolute.
    let resolver = resolver(&rows, None);
    let key = |line: &str| Some(resolver.resolve(&parse_image_url(line.as_bytes()).ok()?).ok()?.key());
    Ok(Some(text.lines().filter_map(key).collect()))
}

/// How far the models can be believed.
fn note(images: u64, seen: Option<u64>, models: usize) -> String {
    const ADVICE: &str = "`trainer train --folds 5` trains models that each judge what they have not seen: name its folder \
                          with --checkpoint";
    match (seen, models) {
        (Some(0), 1) => "The model was trained on none of these images".to_owned(),
        (Some(0), _) => "Each image was judged by a model that was not trained on it".to_owned(),
        (Some(seen), _) => format!(
            "{seen} of {images} images were judged by a model that was trained on them. It may have learnt wrong labels \
             by heart, and then misses them. {ADVICE}"
        ),
        (None, _) => format!(
            "Which images were trained on is not recorded beside the model. Of those it may have learnt wrong labels by \
             heart, and then misses them. {ADVICE}"
        ),
    }
}

impl Doubted {
    /// Small images of each that is listed, with the box that is labelled and the one that the model sees drawn on it; none of an image
    /// that can no longer be read.
    ///
    /// # Errors
    /// When an image cannot be encoded.
    pub fn thumbnails(&self) -> anyhow::Result<Vec<Vec<Thumbnail>>> {
        let drawn = |(suspect, &(part, index)): (&Suspect, &(usize, usize))| {
            let dataset = &self.parts[part];
            let Ok(image) = dataset.image(index) else { return Ok(Vec::new()) };
            Ok(thumbnails(&image, &dataset.name(index), suspect)?)
        };
        self.suspects.listed.iter().zip(&self.images).map(drawn).collect()
    }
}

fn thumbnails(image: &Rgb, name: &str, suspect: &Suspect) -> Result<Vec<Thumbnail>, ReportError> {
    let mark = |side: &Option<SuspectSide>, colour| {
        let side = side.as_ref()?;
        let corners = side.corners?.map(|corner| corner as f32);
        Some(Mark { corners, colour, text: side.label.clone(), covered: None })
    };
    let marks = [mark(&suspect.given, WRONG), mark(&suspect.predicted, RIGHT)].into_iter().flatten().collect();
    Marked { image, marks, caption: name.to_owned(), side: MARKED }.thumbnails(|_| {})
}

/// The suspects for people: the first few, and how far they can be believed.
pub fn text(suspects: &Suspects) -> String {
    let Suspects { model, images, found, listed, note, .. } = suspects;
    let mut text = format!("\n\nlabels that {model} doubts, of {images} images: {found}");
    for one in listed.iter().take(IN_TEXT) {
        text.push_str(&format!("\n  {:.2} {}: {}", one.score, one.place, one.message));
    }
    if listed.len() > IN_TEXT {
        let more = listed.len() - IN_TEXT;
        text.push_str(&format!("\n  ... and {more} more, listed by --output and --json"));
    }
    if *found > listed.len() as u64 {
        text.push_str(&format!("\n  ... and {} less suspicious ones (--suspects)", found - listed.len() as u64));
    }
    text.push_str(&format!("\n  {note}."));
    text
}
