//! The first step of a training: from what is asked to a run that is ready, or ready to go on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use models::registry::{self, Choice, ModelSpec, Situation};
use schemas::check::{Finding, Severity};
use schemas::error::ErrorCode;
use schemas::plan::Recipe;
use schemas::{Plan, PlanRequest, Precision, Settings, WeightsOrigin};
use tch::Device;

use super::run_folder::RunFolder;
use super::start::Weights;
use super::state::{Export, TrainingState};
use super::{choice, recorder, scene, start};
use crate::failure::{self, fail};
use crate::log::Log;
use crate::nn::checkpoint::Checkpoint;
use crate::nn::device;
use crate::nn::ema::Ema;
use crate::nn::network::{Arithmetic, Network};
use crate::progress::checking;
use crate::tasks::{self, Task, recorded};
use crate::train::optimizer::Optimizer;
use crate::train::recorder::Recorder;
use dataset::{Images, Loader, ReadOptions, Split, TrainingData, TrainingRequest, loading};

/// What is asked of a training.
#[derive(Clone)]
pub struct Request {
    /// Folder of the run.
    pub output: PathBuf,
    /// Continue the run in it.
    pub resume: bool,
    /// The plan of a new run; `None` when no training data was named.
    pub plan: Option<PlanRequest>,
    /// Settings that were named, by name, as text. A run that is resumed must have the same.
    pub settings: Vec<(String, String)>,
    /// Threads that compute; 0 is every core.
    pub threads: usize,
    /// What is exported at the end; `None` when it was not said.
    pub export: Option<Export>,
    /// Bytes of memory for decoded images.
    pub cache_bytes: u64,
    /// Folder in which decoded images are kept for other runs, too.
    pub image_cache: Option<PathBuf>,
}

/// A run that is ready.
pub struct Prepared {
    /// What does not change while it trains.
    pub run: Run,
    /// What the loop starts with.
    pub begin: Begin,
}

/// What the loop starts with, and changes.
pub struct Begin {
    /// What learns.
    pub learner: Learner,
    /// Writes checkpoints and records.
    pub recorder: Recorder,
    /// Whether there is a checkpoint to resume from already.
    pub begun: bool,
}

/// What stays as it is while a run trains.
pub struct Run {
    /// Every decision, `auto` included.
    pub plan: Plan,
    /// The data.
    pub data: TrainingData,
    /// Random views of the training images.
    pub train: Loader,
    /// Validation images as they will be served.
    pub validation: Loader,
    /// What is trained.
    pub task: Box<dyn Task>,
    /// Where it computes.
    pub device: Device,
    /// Arithmetic of the training step.
    pub arithmetic: Arithmetic,
    /// Threads that compute.
    pub threads: usize,
}

/// What a run changes while it trains.
pub struct Learner {
    /// The network in training.
    pub network: Network,
    /// Its optimizer.
    pub optimizer: Optimizer,
    /// The average of its weights, when the plan keeps one.
    pub average: Option<Ema>,
    /// Where the loop stands.
    pub state: TrainingState,
}

/// The folder of a run, and what an earlier start left in it.
struct Opened {
    folder: RunFolder,
    /// The last checkpoint and its state, of a run that is resumed.
    last: Option<Last>,
    plan: Plan,
    options: Options,
}

/// The checkpoint that a run continues from.
struct Last {
    checkpoint: Checkpoint,
    state: TrainingState,
}

/// Makes a run ready: opens its folder, resolves its plan, reads its data, builds or restores its network. A new run's plan
/// and data are written.
///
/// # Errors
/// Bad settings or data, a device that is not there, weights that cannot be had, IO.
pub fn prepare(request: &Request, log: &Log) -> anyhow::Result<Prepared> {
    let Opened { folder, last, mut plan, options } = open(request, log)?;
    let (device, arithmetic) = compute(&mut plan)?;
    let mut data = open_data(request, &plan, &folder, last.as_ref(), log)?;
    if last.is_none() {
        choose_shape(&mut plan, &data, device, log)?;
    }
    let spec = model(&plan)?;
    let preprocessing = spec.fitted(&plan.settings);
    let mut network = start::network(spec, &plan, &data, &preprocessing, device)?;
    let threads = set_threads(options.threads, last.as_ref(), log);
    let Weights { origin: weights, with_head } = match &last {
        Some(last) => Weights { origin: last.checkpoint.meta.weights.clone(), ..Weights::default() },
        None => start::weights(&mut network, &plan, log)?,
    };
    if last.is_none() {
        let (images, validation) = (data.train.len(), data.validation.len());
        let classes = data.train.class_counts();
        let has_weights = weights.is_some();
        let situation = Situation { has_weights, with_head, images, validation, classes: &classes };
        follow(&mut plan, |plan| spec.recipe(plan, &situation), log)?;
    }
    let task = tasks::of(spec, &plan, &data.train, device);
    start::freeze(&mut network, &plan, weights.is_some())?;
    if last.is_none() {
        task.fit(&mut network, &plan, data.train.as_ref(), log);
    }
    let of_validation = loading::validation(&plan.settings, &preprocessing, spec.augmentation(), request.cache_bytes);
    if plan.settings.fit_head && last.is_none() && weights.is_some() {
        let sets = matches!(plan.task.labels(), schemas::Labels::Classes);
        tasks::classify::head::fit(&mut network, &Loader::new(data.train.clone(), of_validation.clone())?, sets)?;
    }
    let begun = last.is_some();
    let fresh = || TrainingState {
        threads,
        export: options.export,
        images_checked: data.train.is_checked(),
        ..TrainingState::default()
    };
    let learner = learner(network, &plan, last, fresh)?;
    if !begun {
        folder.set_options(options.to_map())?;
        let mut writing = folder.start_files(&TrainingData::FILES)?.begin()?;
        data.write(&mut writing, Path::new("data"))?;
        writing.write("plan.json", |out| Ok(serde_json::to_writer_pretty(out, &plan)?))?;
        writing.publish()?;
    }
    let of_training = loading::training(&plan.settings, &preprocessing, spec.augmentation());
    let train = Loader::new(data.train.clone(), of_training)?;
    let validation = Loader::new(data.validation.clone(), of_validation)?;
    let recorder = recorder(folder, &plan, &learner, weights, data.validation.as_ref())?;
    let run = Run { plan, data, train, validation, task, device, arithmetic, threads };
    log.line(&run.headline(&learner.network));
    Ok(Prepared { run, begin: Begin { learner, recorder, begun } })
}

impl Run {
    /// The line that a run begins with.
    fn headline(&self, network: &Network) -> String {
        format!(
            "{} on {} training and {} validation images, {} classes, {:?}, {} threads, seed {}",
            network.spec.name,
            self.data.train.len(),
            self.data.validation.len(),
            network.labels.len(),
            self.arithmetic,
            self.threads,
            self.plan.seed
        )
    }
}

fn open(request: &Request, log: &Log) -> anyhow::Result<Opened> {
    let folder = RunFolder::open(&request.output, request.resume)?;
    let last = folder.begun().then(|| Last::read(&folder)).transpose()?;
    let planned = last.is_some() || request.resume && folder.plan().is_file();
    let plan = if planned { resumed_plan(&folder.plan(), &request.settings)? } else { new_plan(request, log)? };
    let options = Options::of(request, planned.then(|| folder.options()));
    if let Some(last) = &last {
        log.write_to(&folder.log())?;
        may_finish(&folder, &last.state)?;
    } else if planned {
        log.line("the run was stopped before its first checkpoint, and starts anew from its plan");
    }
    Ok(Opened { folder, last, plan, options })
}

impl Last {
    fn read(folder: &RunFolder) -> anyhow::Result<Self> {
        let checkpoint = Checkpoint::read(&folder.last().join("model.safetensors"))?;
        let missing = || {
            let message = format!("{}: holds no training state; it is no last checkpoint", checkpoint.path.display());
            fail(ErrorCode::InvalidCheckpoint, message)
        };
        let state = TrainingState::of(&checkpoint)?.ok_or_else(missing)?;
        Ok(Self { checkpoint, state })
    }
}

/// The model of a plan, in its size, which must be one for the plan's task.
fn model(plan: &Plan) -> anyhow::Result<&'static ModelSpec> {
    let names =
        |models: &mut dyn Iterator<Item = &'static ModelSpec>| models.map(|m| m.name).collect::<Vec<_>>().join(", ");
    let refuse = |message: String| Err(fail(ErrorCode::UnsupportedModel, message));
    let Some(spec) = registry::find(&plan.model_name) else {
        let known = names(&mut registry::all().iter());
        return refuse(format!("there is no model {:?}; the models are {known}", plan.model_name));
    };
    let fitting = names(&mut registry::for_task(plan.task));
    if fitting.is_empty() {
        let trained = schemas::Task::ALL.into_iter().filter(|&task| registry::for_task(task).next().is_some());
        let trained: Vec<&str> = trained.map(schemas::Task::as_str).collect();
        return refuse(format!("task {} cannot be trained yet; {} can", plan.task, trained.join(", ")));
    }
    if !spec.tasks().contains(&plan.task) {
        return refuse(format!("{} is no model for {}; {fitting} are", spec.name, plan.task));
    }
    Ok(spec.sized(plan.settings.model_size))
}

/// Where and in what arithmetic a run computes. What `auto` meant becomes part of its plan: a resume on a changed machine
/// must not compute otherwise.
fn compute(plan: &mut Plan) -> anyhow::Result<(Device, Arithmetic)> {
    let spec = model(plan)?;
    let device = device::open(plan.device)?;
    // The same sums in the same order in every run, which a resume that continues exactly rests on. It costs nothing measurable on
    // a CPU; on a CUDA device libtorch takes slower forms of a few operations, and cuDNN tries no algorithms out.
    bridge::set_deterministic(true)?;
    let arithmetic = device::arithmetic(plan.precision, device, spec)?;
    plan.device = device::named(device);
    plan.precision = match arithmetic {
        Arithmetic::Fp32 => Precision::Fp32,
        Arithmetic::Bf16 => Precision::Bf16,
        Arithmetic::Fp16 => Precision::Fp16,
    };
    Ok((device, arithmetic))
}

/// Takes from the recipe the size of the network and of the images it is shown, where nobody chose them.
fn choose_shape(plan: &mut Plan, data: &TrainingData, device: Device, log: &Log) -> anyhow::Result<()> {
    let spec = model(plan)?;
    let Some(scene) = scene::of(data.train.as_ref(), device == Device::Cpu) else { return Ok(()) };
    if let Some(grid) = spec.tiles_worth_trying(plan, &scene) {
        log.line(&format!(
            "one object in ten has a side of less than {:.1} % of its image; --tile_grid_size {grid} looks at each image in parts, too",
            100.0 * scene.small
        ));
    }
    follow(plan, |plan| spec.shape(plan, &scene), log)
}

/// Takes what a recipe chooses where nobody did, and says why.
fn follow(plan: &mut Plan, chosen: impl Fn(&Plan) -> Vec<Choice>, log: &Log) -> anyhow::Result<()> {
    match plan.recipe {
        Recipe::Specification => return Ok(()),
        Recipe::Auto => {}
    }
    for Choice { name, value, reason } in chosen(plan) {
        if plan.take(name, &value).map_err(|error| failure::settings(&[error]))? {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            log.line(&format!("recipe: {name} {value}: {reason}"));
        }
    }
    Ok(())
}

fn learner(
    mut network: Network,
    plan: &Plan,
    last: Option<Last>,
    fresh: impl FnOnce() -> TrainingState,
) -> anyhow::Result<Learner> {
    let mut average =
        (plan.settings.ema_decay > 0.0).then(|| Ema::new(&network, plan.settings.ema_decay, plan.settings.ema_updates));
    let optimizer = Optimizer::new(&plan.settings, &network.params, &network.spec.layers());
    let mut optimizer =
        if plan.precision == Precision::Fp16 { optimizer.scaled(network.params.device()) } else { optimizer };
    let state = match last {
        None => fresh(),
        Some(Last { checkpoint, state }) => {
            checkpoint.restore(&mut network.params)?;
            let private = checkpoint.private_tensors();
            let mut missing = optimizer.restore(state.updates, &private);
            missing.extend(average.as_mut().map(|average| average.restore(&private)).unwrap_or_default());
            if let Some(name) = missing.first() {
                let path = checkpoint.path.display();
                let message = format!("{path}: {name} is missing; the checkpoint is of another run");
                return Err(fail(ErrorCode::InvalidCheckpoint, message));
            }
            state
        }
    };
    if state.epoch < plan.settings.head_epochs {
        let layers = network.spec.layers();
        network.params.train_alone(|key| layers.is_head(key));
        optimizer.train_head();
    } else {
        optimizer.train_body(state.joined);
    }
    Ok(Learner { network, optimizer, average, state })
}

fn recorder(
    folder: RunFolder,
    plan: &Plan,
    learner: &Learner,
    weights: Option<WeightsOrigin>,
    validation: &dyn Images,
) -> anyhow::Result<Recorder> {
    let template = recorder::template(plan, &learner.network, weights);
    Recorder::new(folder, plan, template, recorded::examples(validation), learner.state.epoch)
}

/// Options of a run that its plan does not have.
struct Options {
    threads: usize,
    export: Export,
}

impl Options {
    /// As given, or as `recorded` of a start that is repeated.
    fn of(request: &Request, recorded: Option<&BTreeMap<String, String>>) -> Self {
        let recorded = |name: &str| recorded.and_then(|options| options.get(name));
        let threads = recorded("threads").and_then(|text| text.parse().ok()).unwrap_or(request.threads);
        let export = recorded("export").and_then(|text| text.parse().ok()).or(request.export).unwrap_or_default();
        Self { threads, export }
    }

    fn to_map(&self) -> BTreeMap<String, String> {
        [("threads", self.threads.to_string()), ("export", self.export.to_string())]
            .map(|(name, value)| (name.to_owned(), value))
            .into()
    }
}

/// Checks that what the end of a resumed run writes is in nobody's way, before the work that leads to it.
fn may_finish(folder: &RunFolder, state: &TrainingState) -> anyhow::Result<()> {
    folder.results()?;
    let best = folder.best();
    if best.is_dir() && state.export != Export::Nothing {
        exporter::export::check(&best.join("model.onnx"), &best.join("model.safetensors"), true)?;
    }
    Ok(())
}

/// Computes with the threads asked for, or, when resuming, with those the run was begun with: sums of floats depend on
/// how they are split.
fn set_threads(wanted: usize, last: Option<&Last>, log: &Log) -> usize {
    match last.map(|last| last.state.threads) {
        Some(begun) if begun > 0 => {
            if wanted != 0 && wanted != begun {
                log.line(&format!(
                    "--threads {wanted} is ignored: the run was begun with {begun}, and resumes exactly"
                ));
            }
            device::set_threads(begun)
        }
        _ => device::set_threads(wanted),
    }
}

/// The plan of a new run.
fn new_plan(request: &Request, log: &Log) -> anyhow::Result<Plan> {
    let Some(asked) = &request.plan else {
        let message = format!(
            "{} holds no run yet, nor a plan of one; repeat the command that was to begin it, without --resume",
            request.output.display()
        );
        return Err(fail(ErrorCode::FileNotFound, message));
    };
    let plan = registry::plan(asked.clone()).map_err(|errors| failure::settings(&errors))?;
    let on_processor = device::open(plan.device)? == Device::Cpu;
    Ok(choice::model(asked, plan, on_processor, log))
}

/// The plan of the run to resume. Settings named again must be those of the run.
fn resumed_plan(path: &Path, settings: &[(String, String)]) -> anyhow::Result<Plan> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let plan: Plan = serde_json::from_str(&text).with_context(|| format!("{} is no plan", path.display()))?;
    let mut named = plan.settings.clone();
    for (name, value) in settings {
        named.set(name, &value.as_str().into()).map_err(|error| failure::settings(&[error]))?;
        let (now, then) = (named.get(name), plan.settings.get(name));
        if now != then {
            let message = format!(
                "{name} is {} in the run that --resume continues; leave the option out, or begin a new run with another --output",
                then.unwrap_or_default()
            );
            return Err(fail(ErrorCode::InvalidSettings, message));
        }
    }
    Ok(plan)
}

/// The worst kinds of findings, a line each; notes are left to `trainer check`.
fn worst(findings: &[Finding]) -> Vec<String> {
    const SHOWN: usize = 3;
    let kinds: Vec<&[Finding]> = findings.chunk_by(|a, b| a.kind == b.kind).collect();
    let matter = kinds.iter().filter(|of_kind| of_kind[0].severity < Severity::Note);
    let line = |of_kind: &&[Finding]| {
        let (first, more) = (&of_kind[0], of_kind.len() - 1);
        let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
        format!("check: {}: {}: {}{more}", first.severity.as_str(), first.kind.title().to_lowercase(), first.message)
    };
    let mut lines: Vec<String> = matter.take(SHOWN).map(line).collect();
    if !lines.is_empty() {
        lines.push(format!("check: {} findings in all; `trainer check` lists them, with what to do", findings.len()));
    }
    lines
}

/// What validates where the plan names no validation data.
fn split(settings: &Settings) -> Split {
    match (settings.folds, settings.validation_fold) {
        (0, _) => Split::Share(settings.split_ratio),
        (_, 0) => Split::Nothing,
        (count, fold) => Split::Fold { index: fold - 1, count },
    }
}

/// Data of a new run as the plan names it; of a resumed one as it was used.
fn open_data(
    request: &Request,
    plan: &Plan,
    folder: &RunFolder,
    last: Option<&Last>,
    log: &Log,
) -> anyhow::Result<TrainingData> {
    let used = |name: &str| folder.data().join(name);
    let (training, validation) = if last.is_some() {
        (used("train.jsonl"), Some(used("validation.jsonl")))
    } else {
        (plan.training_data.clone().into(), plan.validation_data.clone().map(Into::into))
    };
    let reading = TrainingRequest {
        training,
        validation,
        split: split(&plan.settings),
        seed: plan.seed,
        side: model(plan)?.fitted(&plan.settings).side(),
        group_column: plan.settings.group_column.key().map(str::to_owned),
        read: ReadOptions {
            task: plan.task,
            data_root: plan.data_root.clone().map(Into::into),
            ignore_data_errors: plan.settings.ignore_data_errors,
            limits: models::host::Limits::default(),
            cache_bytes: request.cache_bytes,
            kept_folder: request.image_cache.clone(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            fetch_folder: Some(used("fetched")),
            resumed: last.map(|last| last.state.images_checked),
        },
    };
    let data = dataset::training(&reading, &checking())?;
    for warning in &data.warnings {
        log.line(&format!("warning: {warning}"));
    }
    for line in worst(&data.findings) {
        log.line(&line);
    }
    if data.rejections.total() > 0 {
        log.line(&format!(
            "{} rows or objects were left out, see {}:",
            data.rejections.total(),
            used("rejected.jsonl").display()
        ));
        for rejection in data.rejections.examples() {
            log.line(&format!("  {}:{}: {}", rejection.source, rejection.line, rejection.reason));
        }
    }
    Ok(data)
}
