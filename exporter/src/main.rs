//! `exporter`: checkpoint to ONNX file.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use exporter::{ExportError, ExportSettings, ExportSummary, Form};
use serde_json::json;

const EXAMPLES: &str = "\
Examples:
  exporter --checkpoint runs/fridge
      writes runs/fridge/checkpoints/best/model.onnx, which takes images of any size
  exporter --checkpoint runs/fridge --output fridge.onnx --json
      the same to another place; standard output is one JSON object
  exporter --checkpoint runs/fridge/checkpoints/last --form prepared --output fridge-prepared.onnx
      another checkpoint, and images are resized and cut by the caller

The file is run and compared with outputs that trainer recorded beside the checkpoint before it
appears under its name; when it differs, nothing is written.

Exit codes: 0 done, 2 bad input or configuration, 1 anything else.";

/// Turn a trained checkpoint into one ONNX file: raw uint8 images in, probabilities out, and everything
/// in between (resizing, normalisation, labels and settings as metadata) inside.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Arguments {
    /// Run folder (its best checkpoint is taken), checkpoint folder, or .safetensors file
    #[arg(long, value_name = "PATH")]
    checkpoint: PathBuf,
    /// File to write [default: model.onnx beside the checkpoint]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How much of the preprocessing is inside the file
    #[arg(long, value_enum, default_value = "whole")]
    form: FormName,
    /// Print exactly one JSON object to standard output
    #[arg(long)]
    json: bool,
    /// ONNX Runtime library, or its folder [default: the one that scripts/setup fetched]
    #[arg(long, value_name = "PATH")]
    onnxruntime: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum FormName {
    /// Images of any height and width; the model resizes and cuts them
    Whole,
    /// Images already resized and cut to the network's size
    Prepared,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into()))
        .init();
    match run(&arguments) {
        Ok(summary) if arguments.json => {
            println!("{}", json!({ "status": "done", "export": summary }));
            ExitCode::SUCCESS
        }
        Ok(summary) => {
            print!("{summary}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            if arguments.json {
                println!("{}", json!({ "status": "failed", "error": error.to_string() }));
            }
            eprintln!("exporter: {error}");
            ExitCode::from(if error.is_input() { 2 } else { 1 })
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExportSummary, ExportError> {
    let output = match &arguments.output {
        Some(output) => output.clone(),
        None => exporter::export::default_output(&arguments.checkpoint)?,
    };
    let form = match arguments.form {
        FormName::Whole => Form::Whole,
        FormName::Prepared => Form::Prepared,
    };
    let mut settings = ExportSettings { form, ..ExportSettings::default() };
    settings.runtime.library.clone_from(&arguments.onnxruntime);
    exporter::export(&arguments.checkpoint, &output, &settings)
}
