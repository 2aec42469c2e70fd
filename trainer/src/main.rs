//! Binary `trainer`.

use std::process::ExitCode;

use schemas::error::{ErrorBody, ErrorCode};
use serde_json::json;
use trainer::cli::{self, Action};
use trainer::command::{self, Answer};
use trainer::{failure, telemetry};

fn main() -> ExitCode {
    telemetry::switch_off();
    let (cli, settings) = match cli::parse(std::env::args_os()) {
        Ok(parsed) => parsed,
        Err(error) => {
            // Help and version are no errors; for the rest, programs that asked for JSON get JSON.
            if error.use_stderr() && std::env::args().any(|arg| arg == "--json") {
                println!("{}", json!(ErrorBody::new(ErrorCode::InvalidArguments, error.to_string())));
            }
            error.exit()
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
            print(&answer, cli.json);
            ExitCode::from(answer.exit)
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            let body = failure::body(&error);
            if cli.json {
                println!("{}", json!(body));
            }
            ExitCode::from(u8::try_from(body.code.exit_code()).unwrap_or(1))
        }
    }
}

fn print(answer: &Answer, json: bool) {
    if json {
        println!("{}", answer.json);
    } else {
        if !answer.text.is_empty() {
            println!("{}", answer.text);
        }
    }
}
