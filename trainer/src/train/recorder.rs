//! What a run leaves behind while it trains: records, TensorBoard events, checkpoints.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::Context;
use exporter::verify::decisions::Sample;
use exporter::verify::recorded;
use files::write_atomic;
use models::host::{Rgb, Tile, cut, thumbnail, tiles};
use models::registry::Kind;
use schemas::event::{EpochRecord, PrimaryMetric, RunEvent};
use schemas::prediction::Detection;
use schemas::{CheckpointMeta, SCHEMA_VERSION, Settings};
use tch::Tensor;

use crate::nn::checkpoint::{self, TrainingState};
use crate::nn::eager::Decision;
use crate::nn::network::Network;
use crate::tasks::detect::evaluate::{self as boxes, Wish};
use crate::train::run_folder::RunFolder;
use dataset::{Images, Rejection};
use report::tensorboard::EventWriter;

/// Pictures whose answers are recorded beside each best checkpoint, for the verification of exports.
const EXAMPLES: usize = 5;
/// Recorded pictures are shrunk to this longer side, so that the file beside the checkpoint stays small.
const EXAMPLE_SIDE: u32 = 640;

/// Writes records and checkpoints of one run.
pub struct Recorder {
    folder: RunFolder,
    /// Metadata of the run; epoch and metrics are filled in per checkpoint.
    template: CheckpointMeta,
    /// Decoded images whose probabilities go beside each best checkpoint.
    examples: Vec<Rgb>,
    records: Vec<EpochRecord>,
    events: EventWriter,
}

impl Recorder {
    /// A recorder in `folder`, which keeps the records of epochs up to `epoch` and forgets later ones.
    ///
    /// # Errors
    /// When the folder cannot be read or written.
    pub fn new(folder: RunFolder, template: CheckpointMeta, examples: Vec<Rgb>, epoch: u32) -> anyhow::Result<Self> {
        let mut records = read_records(&folder.metrics())?;
        records.retain(|r| r.epoch <= epoch);
        let events = EventWriter::create(&folder.root().join("tensorboard"), i64::from(epoch) + 1)?;
        Ok(Self { folder, template, examples, records, events })
    }

    /// The run folder.
    #[must_use]
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// Records so far, by epoch.
    #[must_use]
    pub fn records(&self) -> &[EpochRecord] {
        &self.records
    }

    /// Adds the record of an epoch.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn record(&mut self, record: EpochRecord) -> anyhow::Result<()> {
        let step = i64::from(record.epoch);
        self.events.scalar("train/loss", step, record.train.loss)?;
        self.events.scalar("train/learning_rate", step, record.learning_rate)?;
        self.events.scalar("time/images_per_second", step, record.timing.images_per_second)?;
        for (name, value) in &record.train.metrics {
            self.events.scalar(&format!("train/{name}"), step, *value)?;
        }
        for (name, value) in &record.validation {
            self.events.scalar(&format!("validation/{name}"), step, *value)?;
        }
        self.events.flush()?;
        self.journal(&RunEvent::Epoch(record.clone()))?;
        let name = PrimaryMetric::name_for(self.template.task);
        if let Some(&value) = record.validation.get(name) {
            let metric = PrimaryMetric { epoch: record.epoch, name: name.to_owned(), value };
            self.journal(&RunEvent::PrimaryMetric(metric))?;
        }
        self.records.push(record);
        let mut text = String::new();
        for record in &self.records {
            text.push_str(&serde_json::to_string(record)?);
            text.push('\n');
        }
        write_atomic(&self.folder.metrics(), text.as_bytes()).context("writing metrics.jsonl")
    }

    /// Adds an event to `journal.jsonl`, which other programs may follow.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn journal(&self, event: &RunEvent) -> anyhow::Result<()> {
        let path = self.folder.journal();
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        let mut append = || {
            let mut file = OpenOptions::new().create(true).read(true).append(true).open(&path)?;
            if ends_in_mid_line(&mut file)? {
                line.insert(0, b'\n');
            }
            file.write_all(&line)?;
            file.sync_data()
        };
        append().with_context(|| format!("writing {}", path.display()))
    }

    /// Adds pictures that turned out bad in training to `data/rejected.jsonl`; one that is listed already is not added
    /// again, so that a resume which finds it once more changes nothing.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn reject(&self, rejected: &[Rejection]) -> anyhow::Result<()> {
        if rejected.is_empty() {
            return Ok(());
        }
        let path = self.folder.data().join("rejected.jsonl");
        let mut text = fs::read_to_string(&path).unwrap_or_default();
        for rejection in rejected {
            let line = serde_json::to_string(rejection)?;
            if !text.lines().any(|known| known == line) {
                text.push_str(&line);
                text.push('\n');
            }
        }
        write_atomic(&path, text.as_bytes()).with_context(|| format!("writing {}", path.display()))
    }

    fn meta(&self, epoch: u32, metrics: &BTreeMap<String, f64>) -> CheckpointMeta {
        CheckpointMeta { epoch, metrics: metrics.clone(), ..self.template.clone() }
    }

    /// Replaces the best checkpoint, and records what it answers on the example images.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save_best(&self, network: &Network, epoch: u32, metrics: &BTreeMap<String, f64>) -> anyhow::Result<()> {
        save_with_examples(&self.folder.best(), network, &self.meta(epoch, metrics), &self.examples)
    }

    /// Writes the checkpoint of one epoch.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save_epoch(&self, network: &Network, epoch: u32, metrics: &BTreeMap<String, f64>) -> anyhow::Result<()> {
        save_with_examples(&self.folder.epoch(epoch), network, &self.meta(epoch, metrics), &self.examples)
    }

    /// Replaces the last checkpoint; `private` is what a resume needs besides the network.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save_last(
        &self,
        network: &Network,
        private: &[(String, Tensor)],
        state: &TrainingState,
    ) -> anyhow::Result<()> {
        let metrics = self.records.last().map(|r| r.validation.clone()).unwrap_or_default();
        let path = self.folder.last().join("model.safetensors");
        let meta = self.meta(state.epoch, &metrics);
        checkpoint::write_resumable(&path, &network.params, private, &meta, state)?;
        Ok(())
    }
}

/// Writes a model and, beside it, its answers on example images, against which an export is verified. The answers name
/// the model file by its hash, so that a pair torn by a crash is noticed.
///
/// # Errors
/// When a file cannot be written.
pub fn save_with_examples(
    folder: &Path,
    network: &Network,
    meta: &CheckpointMeta,
    examples: &[Rgb],
) -> anyhow::Result<()> {
    let sha256 = checkpoint::write_model(&folder.join("model.safetensors"), &network.params, meta)?;
    let settings = Settings::try_from(meta.settings.clone())?;
    save_answers(folder, network, &settings, examples, sha256)
}

/// Writes what the network answers on example images beside the model file of this hash. The names of the tensors are the
/// exporter's, which reads them (`exporter::verify`).
///
/// # Errors
/// When the file cannot be written.
pub fn save_answers(
    folder: &Path,
    network: &Network,
    settings: &Settings,
    examples: &[Rgb],
    sha256: String,
) -> anyhow::Result<()> {
    let tensors = match network.spec.kind {
        Kind::Classifier(_) => class_answers(network, examples)?,
        Kind::Detector(_) => box_answers(network, settings, examples)?,
    };
    let metadata = [("model_sha256".to_owned(), sha256)].into();
    checkpoint::write(&folder.join(exporter::verify::FILE), &tensors, metadata)?;
    Ok(())
}

/// Decoded pictures, prepared pictures, and the probabilities of each; of the prepared ones also the penultimate layer.
fn class_answers(network: &Network, examples: &[Rgb]) -> anyhow::Result<Vec<(String, Tensor)>> {
    let mut tensors: Vec<(String, Tensor)> = Vec::new();
    let mut prepared = Vec::new();
    let mut answers = Vec::new();
    for (i, image) in examples.iter().enumerate() {
        let small = models::host::prepare(image, &network.preprocessing);
        let tensor = network.images(&small.data, 1, usize::try_from(small.height)?, usize::try_from(small.width)?);
        let answer = network.probabilities(&tensor);
        tensors.push((format!("whole.{i}"), pixels(image)));
        tensors.push((format!("whole.{i}.probabilities"), answer.shallow_clone()));
        prepared.push(tensor);
        answers.push(answer);
    }
    if !prepared.is_empty() {
        let prepared = Tensor::cat(&prepared, 0);
        tensors.push(("prepared.features".into(), network.features(&prepared)));
        tensors.push(("prepared".into(), prepared));
        tensors.push(("prepared.probabilities".into(), Tensor::cat(&answers, 0)));
    }
    Ok(tensors)
}

/// Images, the places that are looked at, what is found there, and the decisions on the way.
fn box_answers(network: &Network, settings: &Settings, examples: &[Rgb]) -> anyhow::Result<Vec<(String, Tensor)>> {
    let mut wish = Wish::verifying(settings);
    let prepare = |image: &Rgb| models::host::prepare(image, &network.preprocessing);
    if examples.iter().all(|image| boxes::in_prepared(network, &prepare(image), image, &wish).is_empty()) {
        // The network is sure of nothing yet; without boxes an export could not be told from a wrong one.
        wish.score = 0.0;
    }
    let mut tensors = Vec::new();
    for (i, image) in examples.iter().enumerate() {
        let name = format!("image.{i}");
        tensors.push((name.clone(), pixels(image)));
        let tiles = tiles(image.width, image.height, settings.tile_grid_size, settings.tile_overlap_ratio);
        for (s, place) in std::iter::once(Tile::whole(image)).chain(tiles).enumerate() {
            let piece = cut(image, place);
            let small = prepare(&piece);
            let (answer, decisions) = boxes::decided(network, &small, &piece, &wish);
            let name = format!("{name}.source.{s}");
            let corners = [place.y0, place.x0, place.y1, place.x1].map(i64::from);
            tensors.push((format!("{name}.place"), Tensor::from_slice(&corners)));
            tensors.push((name.clone(), pixels(&small)));
            tensors.extend(found(&name, &answer));
            for (k, decision) in decisions.iter().enumerate() {
                tensors.extend(decided(&format!("{name}.decision.{k}"), decision)?);
            }
        }
    }
    tensors.push(("format".to_owned(), Tensor::from_slice(&[recorded::FORMAT])));
    tensors.push(("score_threshold".to_owned(), Tensor::from_slice(&[wish.score])));
    tensors.push(("iou_threshold".to_owned(), Tensor::from_slice(&[wish.iou])));
    Ok(tensors)
}

/// What is recorded of one decision; nothing of those that the exporter takes from the host.
fn decided(name: &str, decision: &Decision) -> anyhow::Result<Vec<(String, Tensor)>> {
    let Some(word) = recorded::word(decision.kind) else { return Ok(vec![]) };
    let name = format!("{name}.{word}");
    let mut tensors = vec![(format!("{name}.limits"), Tensor::from_slice(&decision.limits))];
    for (j, input) in decision.inputs.iter().enumerate() {
        let shape = input.size();
        let values = Vec::<f32>::try_from(input.to_device(tch::Device::Cpu).contiguous().reshape([-1]))?;
        let lengths: Vec<usize> = shape.iter().map(|&length| usize::try_from(length)).collect::<Result<_, _>>()?;
        let sample = Sample::of(&lengths, &values);
        tensors.push((format!("{name}.input.{j}"), Tensor::from_slice(&sample.values)));
        tensors.push((format!("{name}.input.{j}.shape"), Tensor::from_slice(&shape)));
    }
    let outputs = decision.outputs.iter().enumerate();
    tensors.extend(outputs.map(|(j, output)| (format!("{name}.output.{j}"), output.shallow_clone())));
    Ok(tensors)
}

/// `uint8 [1, h, w, 3]`.
fn pixels(image: &Rgb) -> Tensor {
    Tensor::from_slice(&image.data).reshape([1, i64::from(image.height), i64::from(image.width), 3])
}

fn found(name: &str, found: &[Detection]) -> [(String, Tensor); 3] {
    let corners: Vec<f32> = found.iter().flat_map(|d| d.corners).collect();
    let scores: Vec<f32> = found.iter().map(|d| d.score).collect();
    let labels: Vec<i64> = found.iter().map(|d| d.label as i64).collect();
    [
        (format!("{name}.boxes"), Tensor::from_slice(&corners).reshape([-1, 4])),
        (format!("{name}.scores"), Tensor::from_slice(&scores)),
        (format!("{name}.labels"), Tensor::from_slice(&labels)),
    ]
}

/// Whether an append was cut off by a crash.
fn ends_in_mid_line(file: &mut fs::File) -> std::io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

fn read_records(path: &Path) -> anyhow::Result<Vec<EpochRecord>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e).with_context(|| format!("reading {}", path.display())),
    };
    let parse = |(i, line): (usize, &str)| {
        serde_json::from_str(line).with_context(|| format!("{}:{}: not an epoch record", path.display(), i + 1))
    };
    text.lines().enumerate().map(parse).collect()
}

/// Metadata that all checkpoints of a run share.
#[must_use]
pub fn template(plan: &schemas::Plan, network: &Network, weights: Option<schemas::WeightsOrigin>) -> CheckpointMeta {
    CheckpointMeta {
        schema_version: SCHEMA_VERSION,
        task: network.task,
        model_name: network.spec.name.to_owned(),
        labels: network.labels.clone(),
        preprocessing: network.preprocessing.clone(),
        epoch: 0,
        metrics: BTreeMap::new(),
        settings: plan.settings.to_map(),
        weights,
        versions: versions(),
    }
}

/// Versions of the software involved.
#[must_use]
pub fn versions() -> BTreeMap<String, String> {
    let libtorch = option_env!("FOVEA_LIBTORCH_VERSION").unwrap_or("2.13.0");
    [("fovea", env!("CARGO_PKG_VERSION")), ("libtorch", libtorch)].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
}

/// A few pictures, spread over the data set, shrunk to a bounded size.
pub fn examples(data: &dyn Images) -> Vec<Rgb> {
    let step = (data.len() / EXAMPLES).max(1);
    (0..data.len())
        .step_by(step)
        .filter_map(|i| data.image(i).ok())
        .take(EXAMPLES)
        .map(|image| thumbnail(&image, EXAMPLE_SIDE))
        .collect()
}

/// Whether answers may be recorded in this folder: where none are, or where a run of ours keeps its checkpoints.
///
/// # Errors
/// When a file of that name is there and could be somebody else's.
pub fn may_record(folder: &Path) -> anyhow::Result<()> {
    let path = folder.join(exporter::verify::FILE);
    let run = folder.parent().and_then(Path::parent);
    if path.symlink_metadata().is_err() || run.is_some_and(RunFolder::is_run) {
        return Ok(());
    }
    anyhow::bail!(
        "{} is of other weights, and stays since it lies in no run of Fovea's; move it away to have it made anew",
        path.display()
    )
}
