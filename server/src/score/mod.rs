//! `server score`: every image of a folder or a list into one file, along the server's own way from bytes to answers.
//!
//! `options` says what is asked for, `input` which images, `feed` hands them out, `scorer` answers them in units that `unit` cuts,
//! `format` makes lines, `output` keeps them so that a run can go on wherever it ended, and `state` is what it goes on from.

mod error;
mod feed;
mod format;
mod input;
mod options;
mod output;
mod progress;
mod scorer;
mod state;
mod unit;

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
};

use actix_web::rt;
use files::{console, digest};
use schemas::{Coded, ErrorBody, ErrorCode, error::chain};
use serde::Serialize;
use serde_json::json;
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};

pub use self::{error::ScoreError, options::Options};
use self::{
    feed::{Feed, Told},
    format::Format,
    input::{Input, Survey},
    options::Shape,
    output::{Begun, Output, Paths},
    progress::Progress,
    scorer::Scorer,
    state::{MadeFrom, Reached},
};
use crate::{
    backend::{Description, Id, ServedModel, Workers},
    error::ServerError,
    providers::Source,
    request::RequestOptions,
    settings::Chosen,
    state::State,
};

/// What a run has done.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// Images in the output, and rows that name none.
    images: u64,
    /// Those that have an error in place of an answer.
    failed: u64,
    /// Images that an earlier process had written.
    resumed_after: u64,
    /// Of this process, without opening the model.
    seconds: f64,
    /// Of this process.
    images_per_second: f64,
    /// The file.
    output: PathBuf,
}

impl Summary {
    fn text(&self) -> String {
        let Self { images, failed, resumed_after, seconds, images_per_second, output } = self;
        let before = if *resumed_after > 0 { format!(", {resumed_after} of them before") } else { String::new() };
        let failed =
            if *failed > 0 { format!("; {failed} have an error in place of an answer") } else { String::new() };
        let output = output.display();
        format!("scored {images} images{before} in {seconds:.1} s, {images_per_second:.1} images/s: {output}{failed}")
    }
}

/// Runs the command, says what came of it, and returns its exit code.
#[must_use]
pub fn main(options: &Options) -> ExitCode {
    match run(options) {
        Ok(summary) => {
            let text = if options.json { json!(summary).to_string() } else { summary.text() };
            console::exit_code(console::line(&text), i32::from(summary.failed > 0), "error")
        }
        Err(error) => {
            let (code, text) = (error.code(), chain(&error));
            console::say(&format!("error: {text}"));
            let body = json!(ErrorBody::new(code, text)).to_string();
            let said = if options.json { console::line(&body) } else { Ok(()) };
            console::exit_code(said, code.exit_code(), "error")
        }
    }
}

/// Scores what the options say.
///
/// # Errors
/// Whatever keeps the output from being complete.
pub fn run(options: &Options) -> Result<Summary, ScoreError> {
    let told = listen()?;
    let paths = Paths::new(&options.output, options.format == Shape::Rows)?;
    let left = paths.check(options.resume)?;
    let input = Input::open(&options.input, paths.folder())?;
    let survey = input.survey()?;
    let sha256 = digest::of_file(&options.model.1).map_err(ScoreError::io("read", &options.model.1))?;
    let state = open(options)?;
    let found = state.models.find(None, None)?;
    let about = &found.model.description;
    let format = Format::new(options.format, &options.answers, about)?;
    let request = request(options, about)?;
    let mut output = match Output::begin(paths, left, made_from(options, &survey, &sha256))? {
        Begun::Open(output) => output,
        Begun::Complete(reached) => return Ok(summary(options, reached, reached, None)),
    };
    announce(&survey);
    let from = output.reached();
    let feed = Feed::after(from.images, input.items()?, told.clone())?;
    let (end, mut progress) = (feed.end(), Progress::start(from, survey.images));
    let scorer = Scorer::new((state, found), &options.machine, request, format)?;
    let ran = rt::System::new().block_on(scorer.run(feed, &mut output, &mut progress));
    scorer.close();
    if let Err(error) = ran.and_then(|()| end.check(&options.input, &survey.sha256)) {
        // What came before it is kept if it can be; the error says more than another one would.
        let _ = output.save();
        return Err(error);
    }
    if end.is_early() {
        output.save()?;
        return Err(ScoreError::Interrupted { done: output.reached().images, images: survey.images });
    }
    let reached = output.finish()?;
    Ok(summary(options, from, reached, Some(&progress)))
}

/// From now on a first SIGTERM or SIGINT asks for an end, and a second one is the end.
fn listen() -> Result<Told, ScoreError> {
    let told = Arc::new(AtomicBool::new(false));
    let refused = |source| ScoreError::System { what: "to listen for signals", source };
    for signal in [SIGTERM, SIGINT] {
        flag::register_conditional_shutdown(signal, ErrorCode::Interrupted.exit_code(), Arc::clone(&told))
            .map_err(refused)?;
        flag::register(signal, Arc::clone(&told)).map_err(refused)?;
    }
    Ok(told)
}

/// A server of one model, to which nobody connects.
fn open(options: &Options) -> Result<State, ScoreError> {
    let (name, path) = &options.model;
    let machine = &options.machine;
    let refused = |error: anyhow::Error| ScoreError::Model { path: path.clone(), reason: chain(error.as_ref()) };
    options.providers.check(&[name], false).map_err(|error| ScoreError::Options(error.to_string()))?;
    let wanted = options.providers.of(name, machine.batch());
    let threads = runtime::Options { intra_threads: machine.threads(), library: machine.library.clone() };
    let source = Source { path: path.clone(), options: threads, wanted };
    // Batches are put together before the queue, so a worker adds nothing to them.
    let longest = machine.limits().run_time();
    let workers = Workers { count: machine.workers as usize, queue: usize::MAX, batch: 1, longest };
    let id = Id { name: name.clone(), version: 1 };
    let model = ServedModel::open(&id, source, workers, &Chosen::default()).map_err(refused)?;
    State::with_models(vec![model], Arc::default(), machine.decode_threads(), &machine.limits()).map_err(refused)
}

/// The options of a request that every image is answered with.
fn request(options: &Options, about: &Description) -> Result<RequestOptions, ScoreError> {
    let refused = |error: ServerError| ScoreError::Options(error.to_string());
    RequestOptions::of(&options.answers.overrides()?, about).map_err(refused)
}

fn made_from(options: &Options, survey: &Survey, model: &str) -> MadeFrom {
    let others = [
        ("the version of server", json!(env!("CARGO_PKG_VERSION"))),
        ("the model (SHA-256)", json!(model)),
        ("the list of images (SHA-256)", json!(survey.sha256)),
        ("the number of images", json!(survey.images)),
    ];
    options.visible().into_iter().chain(others.map(|(name, value)| (name.to_owned(), value))).collect()
}

fn announce(survey: &Survey) {
    let left_out = survey.left_out.text().map(|text| format!("; left out: {text}")).unwrap_or_default();
    console::say(&format!("scoring {} images{left_out}", survey.images));
}

fn summary(options: &Options, from: Reached, reached: Reached, progress: Option<&Progress>) -> Summary {
    let Reached { images, failed, .. } = reached;
    Summary {
        images,
        failed,
        resumed_after: from.images,
        seconds: progress.map_or(0.0, Progress::seconds),
        images_per_second: progress.map_or(0.0, Progress::rate),
        output: options.output.clone(),
    }
}
