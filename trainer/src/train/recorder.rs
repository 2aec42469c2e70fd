//! What a run leaves behind while it trains: records, TensorBoard events, checkpoints.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::Context;
use files::write_atomic;
use models::host::Rgb;
use schemas::event::{EpochRecord, PrimaryMetric, RunEvent};
use schemas::{CheckpointMeta, Plan, SCHEMA_VERSION, Source};
use serde_json::{Map, Value};
use tch::Tensor;

use crate::nn::checkpoint;
use crate::nn::network::Network;
use crate::tasks::Measured;
use crate::tasks::recorded::save_with_examples;
use crate::train::run_folder::RunFolder;
use crate::train::state::TrainingState;
use dataset::Rejection;
use report::tensorboard::EventWriter;

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
    /// A recorder of a plan's run in `folder`, which keeps the records of epochs up to `epoch` and forgets later ones.
    ///
    /// # Errors
    /// When the folder cannot be read or written.
    pub fn new(
        folder: RunFolder,
        plan: &Plan,
        template: CheckpointMeta,
        examples: Vec<Rgb>,
        epoch: u32,
    ) -> anyhow::Result<Self> {
        let mut records = read_records(&folder.metrics())?;
        records.retain(|r| r.epoch <= epoch);
        let mut events = EventWriter::create(&folder.root().join("tensorboard"), i64::from(epoch) + 1)?;
        events.begin(&tried(plan))?;
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
        let name = self.template.task.primary_metric();
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

    /// Writes down that training ended, and how.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn finish(&mut self, event: &RunEvent) -> anyhow::Result<()> {
        self.events.end()?;
        self.journal(event)
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

    /// Adds images that turned out bad in training to `data/rejected.jsonl`; one that is listed already is not added
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

    fn meta(&self, epoch: u32, measured: &Measured) -> CheckpointMeta {
        let (metrics, temperature) = (measured.scalars.clone(), measured.temperature);
        let mut settings = self.template.settings.clone();
        settings.extend(measured.threshold.map(|(name, value)| (name.to_owned(), value.into())));
        CheckpointMeta { epoch, metrics, temperature, settings, ..self.template.clone() }
    }

    /// Replaces the best checkpoint, and records what it answers on the example images.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save_best(&self, network: &Network, epoch: u32, measured: &Measured) -> anyhow::Result<()> {
        save_with_examples(&self.folder.best(), network, &self.meta(epoch, measured), &self.examples)
    }

    /// Writes the checkpoint of one epoch.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save_epoch(&self, network: &Network, epoch: u32, measured: &Measured) -> anyhow::Result<()> {
        save_with_examples(&self.folder.epoch(epoch), network, &self.meta(epoch, measured), &self.examples)
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
        let scalars = self.records.last().map(|r| r.validation.clone()).unwrap_or_default();
        // What is trained further is not calibrated.
        let measured = Measured { scalars, ..Measured::default() };
        let path = self.folder.last().join("model.safetensors");
        let meta = self.meta(state.epoch, &measured);
        checkpoint::write_resumable(&path, &network.params, private, &meta, state)?;
        Ok(())
    }
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
pub fn template(plan: &Plan, network: &Network, weights: Option<schemas::WeightsOrigin>) -> CheckpointMeta {
    CheckpointMeta {
        schema_version: SCHEMA_VERSION,
        task: network.task,
        model_name: network.spec.name.to_owned(),
        labels: network.labels.clone(),
        preprocessing: network.preprocessing.clone(),
        epoch: 0,
        metrics: BTreeMap::new(),
        temperature: None,
        settings: plan.settings.to_map(),
        weights,
        versions: versions(),
    }
}

/// What a run tries, by which it is compared with others: its model, and every setting that somebody or the recipe chose.
fn tried(plan: &Plan) -> Map<String, Value> {
    let chosen = |name: &str| match plan.source(name) {
        Source::Default | Source::Model => false,
        Source::Recipe | Source::File | Source::CommandLine => true,
    };
    let settings = plan.settings.to_map().into_iter().filter(|(name, _)| chosen(name));
    [("model_name".to_owned(), plan.model_name.as_str().into())].into_iter().chain(settings).collect()
}

/// Versions of the software involved.
#[must_use]
pub fn versions() -> BTreeMap<String, String> {
    let libtorch = option_env!("FOVEA_LIBTORCH_VERSION").unwrap_or("2.13.0");
    [("fovea", env!("CARGO_PKG_VERSION")), ("libtorch", libtorch)].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
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
