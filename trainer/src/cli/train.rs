//! `trainer train`: from a plan to a finished run.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use anyhow::Context;
use models::registry;
use schemas::error::ErrorCode;
use schemas::event::{EndReason, PrimaryMetric, RunEvent};
use schemas::{Fit, Plan, PlanRequest, Precision, Preprocessing, Source, Task};
use serde_json::json;
use tch::{Device, Tensor};

use super::Answer;
use crate::cli::args::TrainArgs;
use crate::failure::{self, fail};
use crate::log::Log;
use crate::nn::checkpoint::{Checkpoint, TrainingState};
use crate::nn::device;
use crate::nn::ema::Ema;
use crate::nn::network::{Arithmetic, Network};
use crate::progress::Progress;
use crate::tasks;
use crate::tasks::classify::{Classify, MultiLabel, Softening};
use crate::tasks::detect::Detect;
use crate::train::engine::{End, Engine};
use crate::train::finish::{self, Finished};
use crate::train::optimizer::Optimizer;
use crate::train::recorder::{self, Recorder};
use crate::train::run_folder::RunFolder;
use crate::train::start;
use dataset::loading;
use dataset::{Images, Loader, ReadOptions, TrainingData, TrainingRequest};

/// Trains, or resumes; exports; evaluates the exported file; writes the report.
///
/// # Errors
/// Bad settings or data, a diverged training, a device that is not there, IO.
pub fn run(args: &TrainArgs, settings: &[(String, String)]) -> anyhow::Result<Answer> {
    let stop = stop_on_signals()?;
    let folder = RunFolder::open(&args.output, args.resume)?;
    let last = folder.last().join("model.safetensors");
    let last = folder.begun().then(|| Checkpoint::read(&last)).transpose()?;
    let planned = last.is_some() || args.resume && folder.plan().is_file();
    let mut plan = if planned { resumed_plan(&folder.plan(), settings)? } else { plan(args, settings)? };
    let options = StartOptions::of(args, planned.then(|| folder.options()));
    let log = Log::default();
    if let Some(checkpoint) = &last {
        log.write_to(&folder.log())?;
        may_finish(&folder, checkpoint)?;
    } else if planned {
        log.line("the run was stopped before its first checkpoint, and starts anew from its plan");
    }
    let spec = registry::find(&plan.model_name).ok_or_else(|| {
        let known: Vec<_> = registry::all().iter().map(|m| m.name).collect();
        fail(
            ErrorCode::UnsupportedModel,
            format!("there is no model {:?}; the models are {}", plan.model_name, known.join(", ")),
        )
    })?;
    let spec = spec.sized(plan.settings.model_size);
    match (plan.task, spec.kind) {
        (Task::ImageClassification | Task::ImageClassificationMultilabel, registry::Kind::Classifier(_))
        | (Task::ImageObjectDetection, registry::Kind::Detector(_)) => {}
        (Task::ImageClassification | Task::ImageClassificationMultilabel | Task::ImageObjectDetection, _) => {
            let fitting = registry::all().iter().filter(|m| m.detector().is_some() != spec.detector().is_some());
            let names: Vec<_> = fitting.map(|m| m.name).collect();
            let message = format!("{} is no model for {}; {} are", spec.name, plan.task, names.join(", "));
            return Err(fail(ErrorCode::UnsupportedModel, message));
        }
        (Task::ImageInstanceSegmentation, _) => {
            let message = format!(
                "task {} cannot be trained yet; image-classification, image-classification-multilabel and \
                 image-object-detection can",
                plan.task
            );
            return Err(fail(ErrorCode::UnsupportedModel, message));
        }
    }
    let device = device::open(&plan.device).map_err(|e| fail(ErrorCode::DeviceUnavailable, format!("{e:#}")))?;
    if device == Device::Cpu {
        // The same sums in the same order in every run; costs nothing measurable on a CPU.
        bridge::set_deterministic(true)?;
    }
    let arithmetic = device::arithmetic(plan.precision, device, spec)
        .map_err(|e| fail(ErrorCode::DeviceUnavailable, format!("{e:#}")))?;

    // What `auto` meant is part of the run: a resume on a changed machine must not compute otherwise.
    plan.device = if let Device::Cuda(index) = device { format!("cuda:{index}") } else { "cpu".to_owned() };
    plan.precision = if arithmetic == Arithmetic::Bf16 { Precision::Bf16 } else { Precision::Fp32 };

    let resumed = last.as_ref().and_then(|checkpoint| checkpoint.state.as_ref());
    let mut data = open_data(args, &plan, &folder, resumed, &log)?;
    let preprocessing = preprocessing(&plan, spec);
    let mut network = start::network(spec, &plan, &data, &preprocessing, device)?;
    let threads = set_threads(options.threads, last.as_ref(), &log);
    let weights = match &last {
        Some(checkpoint) => checkpoint.meta.weights.clone(),
        None => start::weights(&mut network, &plan, &log)?,
    };
    start::freeze(&mut network, &plan, weights.is_some())?;
    if last.is_none() {
        start::anchors(&mut network, &plan, data.train.as_ref(), &log);
    }
    let mut average = (plan.settings.ema_decay > 0.0).then(|| Ema::new(&network, plan.settings.ema_decay));
    let mut optimizer = Optimizer::new(&plan.settings, &network.params);
    let state = match &last {
        Some(checkpoint) => restore(checkpoint, &mut network, &mut optimizer, average.as_mut())?,
        None => TrainingState {
            threads,
            export: options.export.clone(),
            pictures_checked: data.train.is_checked(),
            ..TrainingState::default()
        },
    };
    if last.is_none() {
        folder.set_options(options.to_map())?;
        let mut writing = folder.start_files(&TrainingData::FILES)?.begin()?;
        data.write(&mut writing, Path::new("data"))?;
        writing.write("plan.json", |out| Ok(serde_json::to_writer_pretty(out, &plan)?))?;
        writing.publish()?;
    }
    let task: Box<dyn tasks::Task> = match (plan.task, spec.detector()) {
        (_, Some(detector)) => Box::new(Detect::new(detector, &plan.settings)),
        (Task::ImageClassificationMultilabel, None) => {
            let softening = Softening::of(&plan.settings);
            Box::new(MultiLabel { positive_weights: loss_weights(&plan, &data, device), softening })
        }
        (_, None) => {
            let softening = Softening::of(&plan.settings);
            Box::new(Classify { class_weights: loss_weights(&plan, &data, device), softening })
        }
    };
    let (settings, cache) = (&plan.settings, cache_bytes(args));
    let (train, validation) = match spec.kind {
        registry::Kind::Classifier(_) => {
            (loading::training(settings, &preprocessing), loading::validation(settings, &preprocessing, cache))
        }
        registry::Kind::Detector(_) => (
            loading::detection_training(settings, &preprocessing),
            loading::detection_validation(settings, &preprocessing, cache),
        ),
    };
    let train = Loader::new(data.train.clone(), train)?;
    let validation = Loader::new(data.validation.clone(), validation)?;
    let template = recorder::template(&plan, &network, weights);
    let recorder = Recorder::new(folder, template, recorder::examples(data.validation.as_ref()), state.epoch)?;
    log.line(&format!(
        "{} on {} training and {} validation images, {} classes, {arithmetic:?}, {threads} threads, seed {}",
        spec.name,
        data.train.len(),
        data.validation.len(),
        network.labels.len(),
        plan.seed
    ));
    let mut engine = Engine {
        plan: &plan,
        arithmetic,
        train: &train,
        validation: &validation,
        task: task.as_ref(),
        network,
        optimizer,
        average,
        state,
        recorder,
        stop,
        log: &log,
    };
    if last.is_none() {
        // From here on there is something to resume.
        engine.save_last()?;
        engine.recorder.folder().set_begun()?;
        log.write_to(&engine.recorder.folder().log())?;
    }
    let begun = RunEvent::RunStarted { plan: Box::new(plan.clone()), resumed_from_epoch: engine.state.epoch };
    engine.recorder.journal(&begun)?;
    let end = engine.run()?;
    let (recorder, state) = (engine.recorder, engine.state);
    if end == End::Interrupted {
        recorder.journal(&RunEvent::RunInterrupted { epoch: state.epoch })?;
        let text = format!("interrupted in epoch {}; continue with --resume", state.epoch + 1);
        let json = json!({ "interrupted": true, "epoch": state.epoch, "run": recorder.folder().root() });
        return Ok(Answer { text, json, exit: u8::try_from(ErrorCode::Interrupted.exit_code())? });
    }
    let best = state.early_stopping.best.map(|value| PrimaryMetric {
        epoch: state.early_stopping.best_epoch,
        name: PrimaryMetric::name_for(plan.task).to_owned(),
        value,
    });
    let reason = match &state {
        state if state.out_of_time => EndReason::TimeLimit,
        state if state.epoch == plan.settings.number_of_epochs => EndReason::Completed,
        _ => EndReason::EarlyStopping,
    };
    if reason == EndReason::TimeLimit {
        log.line(&format!("the time limit of {} minutes is reached", plan.settings.max_time));
    }
    recorder.journal(&RunEvent::RunFinished { reason, best })?;
    finish::run(&Finished {
        plan: &plan,
        folder: recorder.folder(),
        records: recorder.records(),
        state: &state,
        data: &data,
        train: &train,
        validation: &validation,
        export: &state.export,
        facts: vec![
            ("device", format!("{device:?}")),
            ("arithmetic", format!("{arithmetic:?}")),
            ("threads", threads.to_string()),
        ],
        log: &log,
    })
}

/// Options of a run that its plan does not have.
struct StartOptions {
    threads: usize,
    export: String,
}

impl StartOptions {
    /// As given, or as `recorded` of a start that is repeated.
    fn of(args: &TrainArgs, recorded: Option<&BTreeMap<String, String>>) -> Self {
        let recorded = |name: &str| recorded.and_then(|options| options.get(name));
        let threads = recorded("threads").and_then(|text| text.parse().ok()).unwrap_or(args.threads);
        let export = recorded("export").or(args.export.as_ref()).map_or("whole", String::as_str).to_owned();
        Self { threads, export }
    }

    fn to_map(&self) -> BTreeMap<String, String> {
        [("threads", self.threads.to_string()), ("export", self.export.clone())]
            .map(|(name, value)| (name.to_owned(), value))
            .into()
    }
}

/// Checks that what the end of a resumed run writes is in nobody's way, before the work that leads to it.
fn may_finish(folder: &RunFolder, last: &Checkpoint) -> anyhow::Result<()> {
    folder.results()?;
    let best = folder.best();
    if best.is_dir() && last.state.as_ref().is_some_and(|state| state.export != "none") {
        exporter::export::check(&best.join("model.onnx"), &best.join("model.safetensors"), true)?;
    }
    Ok(())
}

/// Computes with the threads asked for, or, when resuming, with those the run was begun with: sums of floats depend on
/// how they are split.
fn set_threads(wanted: usize, last: Option<&Checkpoint>, log: &Log) -> usize {
    match last.and_then(|checkpoint| checkpoint.state.as_ref()).map(|state| state.threads) {
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

/// A flag that SIGTERM and SIGINT set; a second signal ends the process at once.
fn stop_on_signals() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&stop))?;
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}

fn plan(args: &TrainArgs, settings: &[(String, String)]) -> anyhow::Result<Plan> {
    if args.training_data.is_none() {
        let message = format!(
            "{} holds no run yet, nor a plan of one; repeat the command that was to begin it, without --resume",
            args.output.display()
        );
        return Err(fail(ErrorCode::FileNotFound, message));
    }
    let mut request = PlanRequest::new();
    let path = |p: &Option<std::path::PathBuf>| p.as_ref().map(|p| p.to_string_lossy().into_owned());
    let fields = [
        ("task", Some(args.task.clone())),
        ("model_name", Some(args.model_name.clone().unwrap_or_else(|| default_model(&args.task).to_owned()))),
        ("training_data", path(&args.training_data)),
        ("validation_data", path(&args.validation_data)),
        ("data_root", path(&args.data_root)),
        ("pretrained", Some(args.pretrained.clone())),
        ("checkpoint_run", path(&args.checkpoint_run)),
        ("device", Some(args.device.clone())),
        ("precision", Some(args.precision.clone())),
        ("seed", Some(args.seed.to_string())),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            let given = args.given.iter().any(|id| id == name);
            request.set(name, value, if given { Source::CommandLine } else { Source::Default });
        }
    }
    for (name, value) in settings {
        request.set(name, value.as_str(), Source::CommandLine);
    }
    Plan::resolve(request).map_err(|errors| failure::settings(&errors))
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

/// Data of a new run as the plan names it; of a resumed one as it was used.
fn open_data(
    args: &TrainArgs,
    plan: &Plan,
    folder: &RunFolder,
    resume: Option<&TrainingState>,
    log: &Log,
) -> anyhow::Result<TrainingData> {
    let used = |name: &str| folder.data().join(name);
    let (training, validation) = if resume.is_some() {
        (used("train.jsonl"), Some(used("validation.jsonl")))
    } else {
        (plan.training_data.clone().into(), plan.validation_data.clone().map(Into::into))
    };
    let request = TrainingRequest {
        training,
        validation,
        split_ratio: plan.settings.split_ratio,
        seed: plan.seed,
        read: ReadOptions {
            task: plan.task,
            data_root: plan.data_root.clone().map(Into::into),
            ignore_data_errors: plan.settings.ignore_data_errors,
            limits: models::host::Limits::default(),
            cache_bytes: cache_bytes(args),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            fetch_folder: Some(used("fetched")),
            resumed: resume.map(|state| state.pictures_checked),
        },
    };
    let data = dataset::training(&request, &checking())?;
    for warning in &data.warnings {
        log.line(&format!("warning: {warning}"));
    }
    if data.rejections.total() > 0 {
        log.line(&format!("{} rows were rejected, see {}:", data.rejections.total(), used("rejected.jsonl").display()));
        for rejection in data.rejections.examples() {
            log.line(&format!("  {}:{}: {}", rejection.source, rejection.line, rejection.reason));
        }
    }
    Ok(data)
}

/// How far counts may arrive out of order from the threads that check pictures.
const SLACK: usize = 64;

/// Shows how far the check of the pictures is; called from several threads.
pub(super) fn checking() -> impl Fn(usize, usize) + Sync {
    let progress: Mutex<Option<(usize, Progress)>> = Mutex::new(None);
    move |done, total| {
        // A thread that finds the bar in use leaves it to the next one.
        let Ok(mut shown) = progress.try_lock() else { return };
        // Each part of the data is checked in its own stretches; a count that falls far back begins the next one.
        let stale = |(of, bar): &(usize, Progress)| *of != total || done + SLACK < bar.count();
        if shown.as_ref().is_none_or(stale) {
            *shown = Some((total, Progress::start("checking", total)));
        }
        if let Some((_, bar)) = shown.as_mut() {
            bar.reach(done);
        }
    }
}

/// Memory for pictures.
fn cache_bytes(args: &TrainArgs) -> u64 {
    args.cache_mib.map_or_else(dataset::default_cache_bytes, |mib| mib.saturating_mul(1 << 20))
}

/// The model of a task when none is named.
fn default_model(task: &str) -> &'static str {
    match task.parse() {
        Ok(Task::ImageObjectDetection) => "yolov5",
        Ok(Task::ImageClassification | Task::ImageClassificationMultilabel | Task::ImageInstanceSegmentation)
        | Err(_) => "efficientnet_lite0",
    }
}

/// The model's own pixels, at the sizes of the plan.
fn preprocessing(plan: &Plan, spec: &registry::ModelSpec) -> Preprocessing {
    let (own, s) = (spec.preprocessing(), &plan.settings);
    let fit = match own.fit {
        Fit::Crop { .. } => Fit::Crop { resize: s.valid_resize_size, crop: s.valid_crop_size },
        Fit::Letterbox { .. } => Fit::Letterbox { side: s.img_size.next_multiple_of(Fit::MULTIPLE) },
        Fit::Shorter { .. } => Fit::Shorter { min_size: s.min_size, max_size: s.max_size },
    };
    Preprocessing { fit, ..own }
}

/// Weights of the classes in the loss, when the plan asks for them.
fn loss_weights(plan: &Plan, data: &TrainingData, device: Device) -> Option<Tensor> {
    let (counts, s) = (data.train.class_counts(), &plan.settings);
    let (weighted_loss, threshold) = (s.weighted_loss, s.imbalance_rate_threshold as usize);
    let weights = if plan.task == Task::ImageClassificationMultilabel {
        tasks::classify::positive_weights(&counts, data.train.len(), weighted_loss, threshold)
    } else {
        tasks::classify::class_weights(&counts, weighted_loss, threshold)
    };
    Some(Tensor::from_slice(&weights?).to_device(device))
}

fn restore(
    checkpoint: &Checkpoint,
    network: &mut Network,
    optimizer: &mut Optimizer,
    average: Option<&mut Ema>,
) -> anyhow::Result<TrainingState> {
    let invalid =
        |problem: &str| fail(ErrorCode::InvalidCheckpoint, format!("{}: {problem}", checkpoint.path.display()));
    checkpoint.restore(&mut network.params)?;
    let state = checkpoint.state.clone().ok_or_else(|| invalid("holds no training state; it is no last checkpoint"))?;
    let private = checkpoint.private_tensors();
    let mut missing = optimizer.restore(state.updates, &private);
    missing.extend(average.map(|average| average.restore(&private)).unwrap_or_default());
    match missing.first() {
        Some(name) => Err(invalid(&format!("{name} is missing; the checkpoint is of another run"))),
        None => Ok(state),
    }
}
