//! Training in three steps: [`prepare`], the loop ([`engine`]), [`finish`].

pub mod blame;
mod choice;
pub mod early_stopping;
pub mod engine;
pub mod finish;
pub mod folds;
pub mod late;
pub mod optimizer;
pub mod parts;
pub mod prepare;
pub mod recorder;
pub mod run_folder;
pub mod scaler;
mod scene;
pub mod schedule;
pub mod start;
pub mod state;
pub mod survey;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use schemas::event::{EndReason, EpochRecord, PrimaryMetric, RunEvent};

use crate::log::Log;
use crate::tasks::Outcome;
use engine::{End, Engine};
use finish::{Finished, Summary};
use folds::CrossValidation;
use late::Late;
use prepare::{Begin, Learner, Prepared, Run, prepare};
use recorder::Recorder;
use state::TrainingState;

pub use prepare::Request;
pub use state::Export;

/// How a training ended.
pub enum Ended {
    /// Told to stop, resumable.
    Interrupted {
        /// Epochs finished.
        epoch: u32,
        /// The run folder.
        run: PathBuf,
    },
    /// Trained to its end, exported, measured and reported.
    Finished(Box<Summary>),
    /// Cross-validated, and trained on all data.
    CrossValidated(Box<CrossValidation>),
}

/// Trains, or resumes; exports; evaluates the exported file; writes the report; of a cross-validation part by part.
/// `stop` ends it after the step under way.
///
/// # Errors
/// Bad settings or data, a diverged training, a device that is not there, IO.
pub fn run(request: &Request, stop: &Arc<AtomicBool>) -> anyhow::Result<Ended> {
    match folds::asked(request)? {
        Some(count) => folds::run(request, count, stop),
        None => Ok(match one(request, Arc::clone(stop))? {
            One::Interrupted { epoch, run } => Ended::Interrupted { epoch, run },
            One::Finished(done) => Ended::Finished(Box::new(done.0)),
        }),
    }
}

/// How one training ended.
enum One {
    Interrupted {
        epoch: u32,
        run: PathBuf,
    },
    /// What it has come to, and what it says of its validation data.
    Finished(Box<(Summary, Outcome)>),
}

/// One training to its end.
fn one(request: &Request, stop: Arc<AtomicBool>) -> anyhow::Result<One> {
    let log = Log::default();
    let Prepared { run, begin } = prepare(request, &log)?;
    let (end, state, mut recorder) = train(&run, begin, stop, &log)?;
    if end == End::Interrupted {
        recorder.journal(&RunEvent::RunInterrupted { epoch: state.epoch })?;
        return Ok(One::Interrupted { epoch: state.epoch, run: recorder.folder().root().to_owned() });
    }
    recorder.finish(&ended(&run, &state, recorder.records(), &log))?;
    let done = finish::run(&Finished { run: &run, state: &state, recorder: &recorder, log: &log })?;
    Ok(One::Finished(Box::new(done)))
}

/// Runs the loop; a new run gets its first checkpoint before it.
fn train(
    run: &Run,
    Begin { learner, recorder, begun }: Begin,
    stop: Arc<AtomicBool>,
    log: &Log,
) -> anyhow::Result<(End, TrainingState, Recorder)> {
    let Learner { network, optimizer, average, state } = learner;
    let mut engine = Engine {
        plan: &run.plan,
        arithmetic: run.arithmetic,
        train: &run.train,
        validation: &run.validation,
        task: run.task.as_ref(),
        late: Late::of(run.device),
        network,
        optimizer,
        average,
        state,
        recorder,
        stop,
        log,
    };
    if !begun {
        // From here on there is something to resume.
        engine.save_last()?;
        engine.recorder.folder().set_begun()?;
        log.write_to(&engine.recorder.folder().log())?;
    }
    let resumed_from_epoch = engine.state.epoch;
    engine.recorder.journal(&RunEvent::RunStarted { plan: Box::new(run.plan.clone()), resumed_from_epoch })?;
    let end = engine.run()?;
    Ok((end, engine.state, engine.recorder))
}

/// Why training ended, and with what.
fn ended(run: &Run, state: &TrainingState, records: &[EpochRecord], log: &Log) -> RunEvent {
    // Whatever the best epoch was chosen by.
    let (epoch, name) = (state.early_stopping.best_epoch, run.plan.task.primary_metric());
    let record = records.iter().find(|record| record.epoch == epoch);
    let best = record
        .and_then(|record| Some(PrimaryMetric { epoch, name: name.to_owned(), value: *record.validation.get(name)? }));
    let reason = if state.out_of_time {
        EndReason::TimeLimit
    } else if state.epoch == run.plan.settings.number_of_epochs {
        EndReason::Completed
    } else {
        EndReason::EarlyStopping
    };
    if reason == EndReason::TimeLimit {
        log.line(&format!("the time limit of {} minutes is reached", run.plan.settings.max_time));
    }
    RunEvent::RunFinished { reason, best }
}
