//! Binary `trainer`.

#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use files::console;
use schemas::error::{ErrorBody, ErrorCode};
use serde_json::json;
use trainer::cli::{self, Action};
use trainer::command;
use trainer::{failure, telemetry};

fn main() -> ExitCode {
    telemetry::switch_off();
    let (cli, settings) = match cli::parse(std::env::args_os()) {
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
        Action::Train(args) => command::train::run(args, &settings),
        Action::Evaluate(args) => command::evaluate::run(args),
        Action::Predict(args) => command::predict::run(args),
        Action::Embed(args) => command::embed::run(args),
        Action::Convert(args) => command::convert::run(args),
        Action::SampleData(args) => command::convert::sample_data(args),
        Action::Models(args) => command::models::run(args),
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
            console::say(&format!("error: {error:#}"));
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
