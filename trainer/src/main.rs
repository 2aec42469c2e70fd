//! Binary `trainer`.

#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use files::console;
use schemas::error::{ErrorBody, ErrorCode};
use serde_json::json;
use trainer::cli;
use trainer::cli::args::{self, Action};
use trainer::cli::telemetry;
use trainer::failure;
use trainer::nn::device;

fn main() -> ExitCode {
    telemetry::switch_off();
    device::fix_workspace();
    let (cli, settings) = match args::parse(std::env::args_os()) {
        Ok(parsed) => parsed,
        Err(error) => {
            // Help and version are no errors; for the rest, programs that asked for JSON get JSON.
            let mut said = Ok(());
            if error.use_stderr() && std::env::args_os().any(|arg| arg == "--json") {
                let body = ErrorBody::new(ErrorCode::InvalidArguments, error.to_string());
                said = console::line(&json!(body).to_string());
            }
            let printed = console::parsed(error.print());
            // Where standard error is gone, a wrong command line still ends as one.
            let said = if error.use_stderr() { said } else { printed };
            return told(said, error.exit_code());
        }
    };
    bridge::keep_freed_memory();
    let result = failure::contained(|| match &cli.command {
        Action::Train(args) => cli::train::run(args, &settings),
        Action::Check(args) => cli::check::run(args),
        Action::Evaluate(args) => cli::evaluate::run(args),
        Action::Predict(args) => cli::predict::run(args),
        Action::Embed(args) => cli::embed::run(args),
        Action::Convert(args) => cli::convert::run(args),
        Action::SampleData(args) => cli::convert::sample_data(args),
        Action::Models(args) => cli::models::run(args),
        Action::Job(args) => cli::sweep::run_job(args),
        Action::Sweep(args) => cli::sweep::run_sweep(args, &settings),
        Action::Runs(args) => cli::runs::run(args),
        Action::Register(args) => cli::register::run(args),
    });
    match result {
        Ok(answer) => {
            let said = match (cli.json, answer.text.as_str()) {
                (true, _) => console::line(&answer.json.to_string()),
                (false, "") => Ok(()),
                (false, text) => console::line(text),
            };
            told(said, i32::from(answer.exit))
        }
        Err(error) => {
            console::say(&format!("error: {}", failure::text(&error)));
            let body = failure::body(&error);
            let said = if cli.json { console::line(&json!(body).to_string()) } else { Ok(()) };
            told(said, body.code.exit_code())
        }
    }
}

/// The exit code of a command whose answer was `said`.
fn told(said: std::io::Result<()>, code: i32) -> ExitCode {
    console::exit_code(said, code, "error")
}
