//! Options of the server for its operator, with the defaults.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use schemas::prediction::MAX_IMAGES;

use crate::{manager::Wanted, providers::Providers, settings::ModelSettings};

/// Bounds on what one request, and all of them together, may take. Every one of them has a clear answer when it is hit.
#[derive(Args, Clone, Debug)]
pub struct Limits {
    /// Largest request body, in MiB [answer beyond it: 413]
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub max_body: u64,
    /// Most images in one request [413]
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..=MAX_IMAGES as u64))]
    pub max_images: u64,
    /// Most images in one request whose answers are explained, each of which is run 65 times more; 0 allows none [413]
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(0..=MAX_IMAGES as u64))]
    pub max_explained: u64,
    /// Longest side of an image, in pixels [413]
    #[arg(long, value_name = "PIXELS", default_value_t = 16_384, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_side: u32,
    /// Most pixels of an image, before and after resizing, a detector's tiles included [413]
    #[arg(long, value_name = "PIXELS", default_value_t = 100_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub max_pixels: u64,
    /// Memory for request bodies and decoded images of all requests together, in MiB [429, or 413 if one needs more]
    #[arg(long, value_name = "MIB", default_value_t = 2048, value_parser = clap::value_parser!(u64).range(16..=1_048_576))]
    pub memory: u64,
    /// Longest time that one image is decoded, in seconds [413]; while a thread has been at one task for twice as long, the
    /// server says that it is not ready
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub decode_timeout: u64,
    /// Most requests being decoded or waiting for a model at once [429]
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    pub max_concurrent: u64,
    /// Most parts of requests waiting for one model [429]
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    pub queue: u64,
    /// Most images, or tiles of them, run at once; a larger request is run in parts
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub max_batch: u64,
    /// Most open connections per HTTP thread; further ones wait to be accepted
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub max_connections: u64,
    /// Time for a connection's first request head to arrive, in seconds [408]
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub header_timeout: u64,
    /// Time for a whole body to arrive, in seconds [408]
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub body_timeout: u64,
    /// Longest pause within a body, in seconds [408]
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub pause_timeout: u64,
    /// Time for an answer after the request's body is here, in seconds; a V2 request may ask for less by its parameter timeout, in
    /// microseconds. What waits for longer is not run [503]
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub answer_timeout: u64,
    /// Longest run of a batch, in seconds; while a model is at one for longer, the server says that it is not ready
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub run_timeout: u64,
    /// Time that an idle connection is kept open, in seconds; at most half a second longer
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub keep_alive: u64,
}

impl Limits {
    /// Largest body in bytes.
    #[must_use]
    pub fn body_bytes(&self) -> u64 {
        self.max_body << 20
    }

    /// How long one image may be decoded.
    #[must_use]
    pub fn decode_time(&self) -> Duration {
        Duration::from_secs(self.decode_timeout)
    }

    /// How long an answer may take.
    #[must_use]
    pub fn answer_time(&self) -> Duration {
        Duration::from_secs(self.answer_timeout)
    }

    /// How long a batch may run.
    #[must_use]
    pub fn run_time(&self) -> Duration {
        Duration::from_secs(self.run_timeout)
    }

    /// The decoder's share of the limits.
    #[must_use]
    pub fn decode(&self) -> models::host::Limits {
        models::host::Limits { max_bytes: self.body_bytes(), max_side: self.max_side, max_pixels: self.max_pixels }
    }
}

#[cfg(test)]
impl Limits {
    /// The defaults, but for what these options say.
    pub(crate) fn of(options: &[&str]) -> Self {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            limits: Limits,
        }
        <Line as clap::Parser>::parse_from(std::iter::once("test").chain(options.iter().copied())).limits
    }
}

/// Everything that a server needs to start.
#[derive(Clone, Debug)]
pub struct Config {
    /// The models; the first one answers `/score`.
    pub wanted: Wanted,
    /// Address and port to listen on; port 0 takes any free one.
    pub bind: String,
    /// Address and port to listen on for gRPC, if at all; port 0 takes any free one.
    pub grpc: Option<String>,
    /// ONNX Runtime's file or folder; `None` searches.
    pub library: Option<PathBuf>,
    /// What the models run on.
    pub providers: Providers,
    /// Settings in place of the models' own.
    pub settings: ModelSettings,
    /// Sessions (worker threads) per model, at least 1.
    pub workers: usize,
    /// Threads per session, at least 1.
    pub threads: usize,
    /// Threads that decode and resize, at least 1.
    pub decode_threads: usize,
    /// Threads that speak HTTP, at least 1.
    pub http_threads: usize,
    /// How long `ready` says no before connections are refused, when the process is told to stop.
    pub drain: Duration,
    /// How long requests that are being answered may take after that.
    pub stop_timeout: Duration,
    /// Bounds on requests.
    pub limits: Limits,
}
