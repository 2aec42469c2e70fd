//! The program `server`.

use std::{io, net::SocketAddr, num::NonZeroUsize, path::PathBuf, process::ExitCode, thread, time::Duration};

use actix_web::{
    dev::Server,
    rt::{self, task::JoinError},
    web::Data,
};
use anyhow::Context;
use clap::{Parser, Subcommand};
use schemas::registered::is_model_name;
use serde_json::json;
use server::{
    app::{self, Listening},
    config::{Config, Limits},
    grpc::Endpoint,
    log::{Log, write_patiently},
    manager::{Control, Wanted},
    providers::Providers,
    score,
    settings::ModelSettings,
    state::State,
    stop::{self, Stop},
    traffic::Split,
};
use tokio::sync::oneshot;

/// How long the reason for a failure may take to be written.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Serves exported models over HTTP: POST an image to /score, or open the page at / in a browser. Classifiers answer with the
/// probability of each label, detectors with boxes; a request may set a detector's score_threshold and iou_threshold, and, of a
/// `prepared` file, its tiles (tile_grid_size, tile_overlap_ratio, tile_predictions_nms_thresh)
#[derive(Parser)]
#[command(version, about, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// A model to serve and its name; repeat for several. The first one answers /score. `prepared` files are faster than
    /// `whole` ones; their answers differ by the rounding of the resize
    #[arg(long = "model", value_name = "NAME=FILE", required_unless_present = "model_repository", value_parser = named_model)]
    models: Vec<(String, PathBuf)>,
    /// A folder of models as `trainer register` writes them, NAME/VERSION/model.onnx; of each the highest version that can be served is.
    /// They come after those of --model
    #[arg(long, value_name = "DIR")]
    model_repository: Option<PathBuf>,
    /// Who changes what is served while the server runs
    #[arg(long, value_name = "MODE", default_value = "poll")]
    model_control: Control,
    #[command(flatten)]
    split: Split,
    /// Address and port to listen on; port 0 takes any free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080", env = "FOVEA_BIND")]
    bind: String,
    /// Address and port to listen on for the V2 protocol over gRPC, too; port 0 takes any free one [default: not at all]
    #[arg(long, value_name = "HOST:PORT", env = "FOVEA_GRPC")]
    grpc: Option<String>,
    /// Sessions per model; each runs one batch at a time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    workers: u32,
    /// Threads per session [default: processors / workers]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
    /// Threads that decode and resize images [default: processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    decode_threads: Option<u32>,
    /// Threads that speak HTTP
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    http_threads: u32,
    /// ONNX Runtime's file or folder [default: searched beside the program]
    #[arg(long, value_name = "PATH")]
    library: Option<PathBuf>,
    /// When told to stop, how long to say "not ready" before connections are refused, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 500)]
    drain: u64,
    /// After that, how long requests that are being answered may take, in seconds. From the first SIGTERM or SIGINT to the end
    /// pass at most --drain + --stop-timeout + 1 s; a second one ends the process at once
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    stop_timeout: u64,
    /// Print one JSON object instead of a line of text once it listens
    #[arg(long)]
    json: bool,
    #[command(flatten, next_help_heading = "Settings of models")]
    settings: ModelSettings,
    #[command(flatten, next_help_heading = "Providers")]
    providers: Providers,
    #[command(flatten, next_help_heading = "Limits")]
    limits: Limits,
}

/// What to do instead of serving.
#[derive(Subcommand)]
enum Command {
    Score(Box<score::Options>),
}

fn named_model(text: &str) -> Result<(String, PathBuf), String> {
    let (name, path) = text.split_once('=').ok_or("write NAME=FILE, such as fridge=model.onnx")?;
    if !is_model_name(name) {
        return Err("the name must be 1 to 64 of A-Z a-z 0-9 _ . - and not start with a dot".to_owned());
    }
    if path.is_empty() {
        return Err("the file is missing: write NAME=FILE".to_owned());
    }
    Ok((name.to_owned(), PathBuf::from(path)))
}

impl Arguments {
    fn config(&self) -> anyhow::Result<Config> {
        // Counts what this process may use (affinity, container quota), not what the machine has.
        let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let workers = self.workers as usize;
        Ok(Config {
            wanted: Wanted {
                files: self.models.clone(),
                repository: self.model_repository.clone(),
                control: self.model_control,
                traffic: self.split.traffic()?,
            },
            bind: self.bind.clone(),
            grpc: self.grpc.clone(),
            library: self.library.clone(),
            providers: self.providers.clone(),
            settings: self.settings.clone(),
            workers,
            threads: self.threads.map_or((processors / workers).max(1), |n| n as usize),
            decode_threads: self.decode_threads.map_or(processors, |n| n as usize),
            http_threads: self.http_threads as usize,
            drain: Duration::from_millis(self.drain),
            stop_timeout: Duration::from_secs(self.stop_timeout),
            limits: self.limits.clone(),
        })
    }
}

fn main() -> ExitCode {
    runtime::telemetry::switch_off();
    let arguments = Arguments::parse();
    let Ok(log) = Log::start() else {
        return ExitCode::FAILURE;
    };
    let code = match &arguments.command {
        Some(Command::Score(options)) => score::main(options),
        None => outcome(rt::System::new().block_on(serve(&arguments, &log))),
    };
    log.flush(LAST_WORDS);
    code
}

/// Logs why serving ended, and returns its exit code.
fn outcome(served: Result<(), Failure>) -> ExitCode {
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Configuration(error)) => {
            tracing::error!("{}", schemas::error::chain(error.as_ref()));
            ExitCode::from(2)
        }
        Err(Failure::Other(error)) => {
            tracing::error!("{}", schemas::error::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

enum Failure {
    /// A model, or an option, that cannot be used.
    Configuration(anyhow::Error),
    Other(anyhow::Error),
}

async fn serve(arguments: &Arguments, log: &Log) -> Result<(), Failure> {
    let config = arguments.config().map_err(Failure::Configuration)?;
    let stop = Stop::new().map_err(|e| Failure::Other(e.into()))?;
    let (listening, loaded) = app::listen(&config).map_err(Failure::Configuration)?;
    let grpc_address = listening.grpc_address();
    let Listening { server, addresses, grpc, state } = listening;
    watch(stop, (&server, grpc.as_ref()), &state, (&config, log)).map_err(Failure::Other)?;
    let mut server = rt::spawn(server);
    tokio::select! {
        loaded = loaded => {
            loaded.context("the thread that loads models has ended").and_then(|first| first).map_err(Failure::Configuration)?;
            state.loaded();
            announce(&addresses, grpc_address, &state, arguments.json).map_err(Failure::Other)?;
            ended((&mut server).await).map_err(Failure::Other)?;
        }
        end = &mut server => ended(end).map_err(Failure::Other)?,
    }
    if let Some(grpc) = grpc {
        grpc.ended().await;
    }
    state.stop();
    tracing::info!("stopped");
    Ok(())
}

/// How the server has ended.
fn ended(end: Result<io::Result<()>, JoinError>) -> anyhow::Result<()> {
    end.context("the server's task has ended")?.context("the server has ended")
}

/// Tells the address, on a thread of its own: a standard output that is closed, full, or read by nobody must not keep the server
/// from serving.
fn announce(addresses: &[SocketAddr], grpc: Option<SocketAddr>, state: &State, as_json: bool) -> anyhow::Result<()> {
    let address = addresses.first().context("the server has no address")?;
    let url = format!("http://{address}");
    let names: Vec<String> = state.models.entries().into_iter().map(|(name, _)| name).collect();
    // Without a scheme, because clients want it so.
    let grpc = grpc.map(|address| address.to_string());
    let line = match (as_json, &grpc) {
        (true, Some(grpc)) => format!("{}\n", json!({ "listening": url, "grpc": grpc, "models": names })),
        (true, None) => format!("{}\n", json!({ "listening": url, "models": names })),
        (false, Some(grpc)) => format!("listening on {url}\ngRPC on {grpc}\n"),
        (false, None) => format!("listening on {url}\n"),
    };
    let tell = move || {
        if let Err(error) = write_patiently(&mut io::stdout().lock(), line.as_bytes()) {
            tracing::warn!(%error, "the address cannot be written to the standard output");
        }
    };
    thread::Builder::new().name("announce".to_owned()).spawn(tell)?;
    tracing::info!(%address, grpc, models = names.join(","), "ready");
    Ok(())
}

/// Begins the server's end when the process is told to stop.
fn watch(
    stop: Stop,
    (server, grpc): (&Server, Option<&Endpoint>),
    state: &Data<State>,
    (config, log): (&Config, &Log),
) -> anyhow::Result<()> {
    let limit = config.drain.saturating_add(config.stop_timeout).saturating_add(stop::GRACE);
    let (tell, told) = oneshot::channel();
    let state = state.clone();
    stop.watch(limit, log.clone(), move || {
        state.begin_stop();
        // Nobody listens any more when the server has ended by itself.
        let _ = tell.send(());
    })?;
    let (handle, drain) = (server.handle(), config.drain);
    let stop_grpc = grpc.map(Endpoint::stopper);
    rt::spawn(async move {
        if told.await.is_ok() {
            tokio::time::sleep(drain).await;
            if let Some(stop_grpc) = stop_grpc {
                stop_grpc();
            }
            // Told to stop with or without being awaited, the server begins at once.
            drop(handle.stop(true));
        }
    });
    Ok(())
}
