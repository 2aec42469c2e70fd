//! What happens when memory or time runs out.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use dataset::loading;
use dataset::{self, Batch, Loader, ReadOptions, TrainingRequest};
use schemas::error::ErrorCode;
use schemas::{Plan, PlanRequest, Source};
use tch::Device;
use trainer::failure;
use trainer::log::Log;
use trainer::nn::network::{Arithmetic, Network};
use trainer::tasks::classify::Classify;
use trainer::tasks::{Evaluation, Losses, Measured, Step, Task};
use trainer::train::engine::{End, Engine};
use trainer::train::late::Late;
use trainer::train::optimizer::Optimizer;
use trainer::train::recorder::{self, Recorder};
use trainer::train::run_folder::RunFolder;
use trainer::train::start;
use trainer::train::state::TrainingState;

use crate::lab::{Lab, lines};

/// Images that fit at once.
const ROOM: usize = 3;

/// A classifier on a machine with room for so many images.
#[derive(Default)]
struct Tight {
    task: Classify,
    /// Images of every pass that was tried.
    tried: RefCell<Vec<usize>>,
}

impl Task for Tight {
    fn loss(&self, network: &Network, batch: &Batch, step: &Step) -> Losses {
        self.tried.borrow_mut().push(batch.n);
        assert!(batch.n <= ROOM, "DefaultCPUAllocator: can't allocate memory: you tried to allocate {} bytes", batch.n);
        self.task.loss(network, batch, step)
    }

    fn evaluate(&self, network: &Network, data: &Loader, evaluation: &Evaluation) -> anyhow::Result<Measured> {
        self.task.evaluate(network, data, evaluation)
    }

    fn headline(&self, scalars: &BTreeMap<String, f64>) -> Vec<(&'static str, String)> {
        self.task.headline(scalars)
    }
}

fn plan(lab: &Lab, shrinks: bool) -> Plan {
    let mut request = PlanRequest::new();
    let data = |name: &str| lab.data().join(name).to_str().unwrap().to_owned();
    let options = [
        ("task", "image-classification".to_owned()),
        ("model_name", "mobilenetv2".to_owned()),
        ("training_data", data("train.jsonl")),
        ("validation_data", data("validation.jsonl")),
        ("number_of_epochs", "1".to_owned()),
        ("training_batch_size", "8".to_owned()),
        ("train_crop_size", "32".to_owned()),
        ("valid_resize_size", "36".to_owned()),
        ("valid_crop_size", "32".to_owned()),
        ("auto_find_batch_size", shrinks.to_string()),
    ];
    for (name, value) in options {
        request.set(name, value, Source::File);
    }
    models::registry::plan(request).unwrap()
}

/// Trains by `plan` with little room; where the loop stood in the end, and what it said.
fn train(plan: &Plan, task: &Tight, folder: &Path) -> anyhow::Result<(TrainingState, String)> {
    // Other trainings run beside this one.
    trainer::nn::device::set_threads(1);
    let request = TrainingRequest {
        training: plan.training_data.clone().into(),
        validation: plan.validation_data.clone().map(Into::into),
        split: dataset::Split::Share(0.2),
        seed: 0,
        group_column: None,
        side: 224,
        read: ReadOptions { fetch_folder: Some(folder.join("fetched")), ..ReadOptions::new(plan.task, 1) },
    };
    let data = dataset::training(&request, &|_, _| {})?;
    let spec = models::registry::find(&plan.model_name).unwrap();
    let preprocessing = spec.preprocessing();
    let network = start::network(spec, plan, &data, &preprocessing, Device::Cpu)?;
    let folder = RunFolder::open(&folder.join("run"), false)?;
    let log = Log::default();
    let (log_file, settings) = (folder.log(), &plan.settings);
    log.write_to(&log_file)?;
    let train = Loader::new(
        Arc::clone(&data.train) as Arc<_>,
        loading::training(settings, &preprocessing, spec.augmentation()),
    )?;
    let validation = Loader::new(
        Arc::clone(&data.validation) as Arc<_>,
        loading::validation(settings, &preprocessing, spec.augmentation(), 0),
    )?;
    let template = recorder::template(plan, &network, None);
    let mut engine = Engine {
        plan,
        arithmetic: Arithmetic::Fp32,
        train: &train,
        validation: &validation,
        task,
        late: Late::of(Device::Cpu),
        optimizer: Optimizer::new(settings, &network.params, &network.spec.layers()),
        network,
        average: None,
        state: TrainingState::default(),
        recorder: Recorder::new(folder, plan, template, Vec::new(), 0)?,
        stop: Arc::default(),
        log: &log,
    };
    assert_eq!(engine.run()?, End::Finished);
    Ok((engine.state, std::fs::read_to_string(log_file)?))
}

/// Batches of eight where three fit: taken in parts of two from the first failure on, without another optimizer step, and
/// said; with the setting off, the run ends.
pub fn parts_that_do_not_fit_are_halved(lab: &Lab) {
    let folder = tempfile::tempdir().unwrap();
    let task = Tight::default();
    let (state, log) = train(&plan(lab, true), &task, &folder.path().join("on")).unwrap();
    assert_eq!(task.tried.into_inner(), [[8, 4].as_slice(), [2; 12].as_slice()].concat());
    assert_eq!((state.part, state.updates, state.epoch), (2, 3, 1));
    assert!(log.contains("memory ran out: batches of 8 images are taken in parts of at most 2"), "{log}");

    let error = train(&plan(lab, false), &Tight::default(), &folder.path().join("off")).err().unwrap();
    assert_eq!(failure::code(&error), ErrorCode::OutOfMemory, "{error:#}");
}

/// A run without time for more than a step ends with that step, evaluated, and complete.
pub fn time_is_limited(lab: &Lab) {
    let short = "--number_of_epochs 3 --max_time 0.00001";
    let epochs = lab.epochs(short);
    assert_eq!((epochs.len(), epochs[0].updates), (1, 1), "one step takes longer than 0.6 ms");
    assert!(epochs[0].is_best && !epochs[0].validation.is_empty());
    let events = lines(&lab.file(short, "journal.jsonl"));
    assert_eq!(events.last().unwrap()["reason"], "time_limit");
    assert!(!lab.file(short, "report.html").is_empty());
    assert_eq!(lab.epochs("--number_of_epochs 3 --max_time 1000").len(), 3);
}
