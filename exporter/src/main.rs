//! `exporter`: checkpoint to ONNX file.

#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, Command, CommandFactory, FromArgMatches, Parser, ValueEnum};
use exporter::{ExportError, ExportSettings, ExportSummary, Form, change};
use files::console;
use schemas::Coded;
use serde_json::json;

const EXAMPLES: &str = "\
Examples:
  exporter --checkpoint runs/fridge --overwrite
      writes runs/fridge/checkpoints/best/model.onnx, which takes images of any size, in place of the run's own export
  exporter --checkpoint runs/fridge --output fridge.onnx --json
      the same to another place; standard output is one JSON object
  exporter --checkpoint runs/fridge/checkpoints/last --form prepared --output fridge-prepared.onnx
      another checkpoint, and images are resized and cut by the caller
  exporter --checkpoint runs/birds --box_score_thresh 0.5 --tile_grid_size 3x2 --output birds.onnx
      a detector with other settings: sure boxes only, and images are also looked at in six tiles
  exporter --checkpoint runs/fridge --features --output fridge-features.onnx
      a classifier with a second output, for search and for finding duplicates
  exporter --checkpoint runs/nuclei --masks full --output nuclei-pixels.onnx
      a model that outlines objects, whose file also gives the pixels of each

The file is run and compared with outputs that trainer recorded beside the checkpoint before it
appears under its name; when it differs, nothing is written. A file that is there already stays,
unless an export wrote it, nobody has changed it since, and --overwrite is given.

Exit codes: 0 done, 2 bad input or configuration, 1 anything else.";

/// Turn a trained checkpoint into one ONNX file: raw uint8 images in, probabilities or boxes out, and
/// everything in between (resizing, normalisation, tiles, suppression, labels and settings as metadata) inside.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Arguments {
    /// Run folder (its best checkpoint is taken), checkpoint folder, or .safetensors file
    #[arg(long, value_name = "PATH")]
    checkpoint: PathBuf,
    /// File to write [default: model.onnx beside the checkpoint]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file if it is what an earlier export wrote and nobody has changed it since; any other file stays
    #[arg(long)]
    overwrite: bool,
    /// How much of the preprocessing is inside the file
    #[arg(long, value_enum, default_value = "whole")]
    form: FormName,
    /// Also give the penultimate layer of a classifier, as output `features`, to compare images by
    #[arg(long)]
    features: bool,
    /// In the form prepared: let a classifier take images of any size, so that valid_crop_size can be chosen when it is served.
    /// Not of a Vision Transformer
    #[arg(long, alias = "any_size")]
    any_size: bool,
    /// What a model that outlines objects says of their pixels
    #[arg(long, value_enum, default_value = "parts")]
    masks: MaskName,
    /// Print exactly one JSON object to standard output
    #[arg(long)]
    json: bool,
    /// ONNX Runtime library, or its folder [default: the one that scripts/setup fetched]
    #[arg(long, value_name = "PATH")]
    onnxruntime: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum FormName {
    /// Images of any height and width; the model resizes, and cuts or frames them
    Whole,
    /// Images already resized, and cut or framed
    Prepared,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum MaskName {
    /// The probabilities of 28 x 28 parts of each box; the caller puts them into the image
    Parts,
    /// Also the pixels of each object in the image, as output `pixels`, a byte for each; in the form whole
    Full,
}

fn main() -> ExitCode {
    runtime::telemetry::switch_off();
    let parsed = command().try_get_matches_from(std::env::args_os().map(underscored)).and_then(|matches| {
        let arguments = Arguments::from_arg_matches(&matches)?;
        Ok((matches, arguments))
    });
    let (matches, arguments) = match parsed {
        Ok(parsed) => parsed,
        // Help and version come this way too. Where standard error is gone, a wrong command line still ends as one.
        Err(error) => {
            let printed = console::parsed(error.print());
            return told(if error.use_stderr() { Ok(()) } else { printed }, error.exit_code());
        }
    };
    let changes = change::SETTINGS
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), matches.get_one::<String>(name)?.clone())))
        .collect();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        // What cannot be logged cannot be complained about there either.
        .log_internal_errors(false)
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into()))
        .init();
    match run(&arguments, changes) {
        Ok(summary) if arguments.json => {
            told(console::line(&json!({ "status": "done", "export": summary }).to_string()), 0)
        }
        Ok(summary) => told(console::out(&summary.to_string()), 0),
        Err(error) => {
            let code = error.code();
            let failed = || json!({ "status": "failed", "error": error.to_string(), "code": code }).to_string();
            let said = if arguments.json { console::line(&failed()) } else { Ok(()) };
            console::say(&format!("exporter: {error}"));
            told(said, code.exit_code())
        }
    }
}

/// The exit code of a command whose answer was `said`.
fn told(said: std::io::Result<()>, code: i32) -> ExitCode {
    console::exit_code(said, code, "exporter")
}

/// The command line: the arguments, and an option for each setting that may be changed.
fn command() -> Command {
    let settings = change::specs().into_iter().map(|s| {
        Arg::new(s.name)
            .long(s.name)
            .aliases(s.aliases.iter().copied())
            .help(format!("{} [{}]", s.help, s.kind.range()))
            .value_name(s.kind.value_name())
            .help_heading("Settings of a detector, in place of the checkpoint's")
    });
    Arguments::command().args(settings)
}

/// Names of settings have underscores; dashes are accepted.
fn underscored(argument: OsString) -> OsString {
    let Some(text) = argument.to_str().and_then(|text| text.strip_prefix("--")) else { return argument };
    let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
    let name = name.replace('-', "_");
    match value {
        Some(value) => format!("--{name}={value}").into(),
        None => format!("--{name}").into(),
    }
}

fn run(arguments: &Arguments, changes: Vec<(String, String)>) -> Result<ExportSummary, ExportError> {
    let output = match &arguments.output {
        Some(output) => output.clone(),
        None => exporter::export::default_output(&arguments.checkpoint)?,
    };
    let form = match arguments.form {
        FormName::Whole => Form::Whole,
        FormName::Prepared => Form::Prepared,
    };
    let mut settings = ExportSettings { form, changes, ..ExportSettings::default() };
    (settings.features, settings.overwrite) = (arguments.features, arguments.overwrite);
    (settings.pixels, settings.any_size) = (arguments.masks == MaskName::Full, arguments.any_size);
    settings.runtime.library.clone_from(&arguments.onnxruntime);
    exporter::export(&arguments.checkpoint, &output, &settings)
}
