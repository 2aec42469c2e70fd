//! A study whose trials train nothing, to try the coordinator: `study_stub run FOLDER [--resume]` runs one, whose trials are this same
//! program, started as `study_stub train --output FOLDER ...`. `STUB` is JSON: see [`Stub`].
//!
//! `STUB='{"trials":1000,"at_once":2,"epochs":1,"pause":0}' study_stub run /tmp/study` measures what the coordinator itself takes.

use std::error::Error;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use indexmap::IndexMap;
use schemas::event::{EndReason, PrimaryMetric, RunEvent};
use serde::Deserialize;
use serde_json::json;
use signal_hook::consts::SIGTERM;
use sweep::plan::{Limits, StudyPlan};
use sweep::sampler::Sampling;
use sweep::space::{Branch, Distribution, Space};
use sweep::study::{self, Local, Options, Study};
use sweep::termination::{Rule, Slack, Termination};

/// What the trials do.
#[derive(Deserialize)]
#[serde(default)]
struct Stub {
    trials: u64,
    at_once: u64,
    /// Epochs of a trial.
    epochs: u32,
    /// Milliseconds of an epoch.
    pause: u64,
    /// Trials end that are so far behind the best.
    slack: Option<f64>,
    /// Minutes for all of them.
    minutes: Option<f64>,
    /// Every so many trials one ends with this code, in each of its attempts.
    fails: Option<(u64, i32)>,
    retries: u32,
}

impl Default for Stub {
    fn default() -> Self {
        Self { trials: 12, at_once: 2, epochs: 5, pause: 20, slack: None, minutes: None, fails: None, retries: 2 }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let stub: Stub = std::env::var("STUB").map_or_else(|_| Ok(Stub::default()), |text| serde_json::from_str(&text))?;
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("run") => run(&stub, Path::new(&args[1]), args.get(2).is_some_and(|arg| arg == "--resume")),
        Some("train") => train(&stub, &args[1..]),
        _ => Err("study_stub run FOLDER [--resume]".into()),
    }
}

fn run(stub: &Stub, folder: &Path, resume: bool) -> Result<(), Box<dyn Error>> {
    let rates = Distribution::Uniform { low: 0.0, high: 1.0 };
    let space = Space { branches: vec![Branch { parameters: IndexMap::from([("learning_rate".to_owned(), rates)]) }] };
    let fixed =
        [("task", json!("image-classification")), ("model_name", json!("resnet18")), ("training_data", json!("t"))];
    let rule = stub.slack.map_or(Rule::Never, |slack| Rule::Bandit(Slack::Amount(slack)));
    let plan = StudyPlan {
        fixed: fixed.map(|(name, value)| (name.to_owned(), value)).into_iter().collect(),
        space: Some(space),
        first: Vec::new(),
        sampling: Sampling::Random { sobol: false },
        termination: Termination { rule, every: 1, delay: 0 },
        limits: Limits { trials: stub.trials, at_once: stub.at_once, minutes: stub.minutes, trial_minutes: None },
        seed: 1,
        test_data: None,
        labels: IndexMap::new(),
    };
    let mut study = if resume { Study::resume(folder)? } else { Study::begin(folder, &plan, &[])? };
    let stop = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGTERM, Arc::clone(&stop))?;
    let mut launcher = Local::new(std::env::current_exe()?, 1);
    let options = Options { earlier: &[], retries: stub.retries, patience: Duration::from_secs(60) };
    let ended = study::run(&mut study, &mut launcher, &options, &stop, &mut ())?;
    let trials: Vec<_> = (study.trials()?.iter())
        .map(|trial| {
            let reports: Vec<_> = trial.reports.iter().map(|(report, _)| (report.epoch, report.value)).collect();
            json!({
                "number": trial.number, "state": trial.state, "attempts": trial.attempts, "epochs": trial.epochs, "why": trial.why,
                "rate": trial.point.values["learning_rate"], "reports": reports,
            })
        })
        .collect();
    println!("{}", json!({ "ended": format!("{ended:?}"), "trials": trials, "check": study.check()? }));
    Ok(())
}

/// What is said after so many epochs: it rises toward a value that is best at a rate of .3.
fn value(rate: f64, epoch: u32) -> f64 {
    (1.0 - (rate - 0.3).powi(2)) * (1.0 - 0.5_f64.powi(epoch.cast_signed()))
}

fn train(stub: &Stub, args: &[String]) -> Result<(), Box<dyn Error>> {
    let after = |name: &str| args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1));
    let folder = PathBuf::from(after("--output").ok_or("--output")?);
    let number: u64 = folder.file_name().unwrap_or_default().to_string_lossy().parse()?;
    if let Some((every, code)) = stub.fails
        && number % every == every - 1
    {
        eprintln!("trial {number} fails as it was told");
        std::process::exit(code);
    }
    let last = folder.join("checkpoints/last");
    fs::create_dir_all(&last)?;
    let lock = File::create(folder.join("lock"))?;
    if lock.try_lock().is_err() {
        // Two processes in one folder: the test looks for this.
        fs::write(folder.with_extension("twice"), "")?;
        std::process::exit(1);
    }
    let kept = last.join("model.safetensors");
    let (rate, done) = match fs::read_to_string(&kept) {
        Ok(text) => serde_json::from_str(&text)?,
        Err(_) => {
            let rate = args.iter().find_map(|arg| arg.strip_prefix("--learning_rate=")).ok_or("--learning_rate")?;
            (rate.parse::<f64>()?, 0_u32)
        }
    };
    let stop = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGTERM, Arc::clone(&stop))?;
    let mut journal = File::options().create(true).append(true).open(folder.join("journal.jsonl"))?;
    let mut say = |event: &RunEvent| -> Result<(), Box<dyn Error>> {
        // In two pieces, so that readers see half a line now and then.
        let line = serde_json::to_string(event)? + "\n";
        journal.write_all(&line.as_bytes()[..9])?;
        Ok(journal.write_all(&line.as_bytes()[9..])?)
    };
    for epoch in done + 1..=stub.epochs {
        thread::sleep(Duration::from_millis(stub.pause));
        if stop.load(Ordering::Relaxed) {
            say(&RunEvent::RunInterrupted { epoch: epoch - 1 })?;
            std::process::exit(75);
        }
        say(&RunEvent::PrimaryMetric(PrimaryMetric { epoch, name: "accuracy".to_owned(), value: value(rate, epoch) }))?;
        fs::write(folder.join("aside"), serde_json::to_string(&(rate, epoch))?)?;
        fs::rename(folder.join("aside"), &kept)?;
    }
    say(&RunEvent::RunFinished { reason: EndReason::Completed, best: None })
}
