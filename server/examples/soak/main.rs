//! Asks the server for an hour as many different clients do, and looks at what stays of it: `scripts/soak --help`, and docs/soak.md.
//!
//! The server is a process of its own, on a repository whose models are swapped meanwhile. Every answer is checked: its status, and that
//! the same request gets the same answer as the first time. `run` is the order of it all; `mixed`, `slow`, `burst` and `calls` are the
//! clients; `report` judges.

mod burst;
mod calls;
mod chance;
mod gate;
#[expect(clippy::unwrap_used, dead_code, reason = "it is the tests', and does more")]
#[path = "../../tests/http/grpc/client.rs"]
mod grpc_client;
mod http;
#[expect(clippy::unwrap_used, dead_code, reason = "they are the tests', of which there are more")]
#[path = "../../tests/http/images.rs"]
mod images;
mod mixed;
mod program;
#[path = "../../tests/http/registered.rs"]
mod registered;
mod report;
mod repository;
mod requests;
pub(crate) mod run;
pub(crate) mod sample;
mod shared;
mod slow;
mod swap;
pub(crate) mod tally;
mod trend;
mod truth;

use std::{
    env,
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use anyhow::{Context, ensure};
use clap::Parser;
use signal_hook::consts::{SIGINT, SIGTERM};

use self::{
    report::{Limits, Report},
    run::Plan,
    sample::Sample,
};

/// Asks the server for an hour as many different clients do, and looks at what stays of it
///
/// Starts the server's program on models of its tests, with gRPC, and asks it: good requests of every kind, requests that have to be
/// refused, clients that go away in the middle, slow ones, bursts beyond its room, and versions of models that come and go. Every answer is
/// checked. Now and then all clients stop, and memory, threads and descriptors of the process are read.
///
/// Prints tables, and ends with 1 when an answer was not as it should be, when memory grew by more than --limit after the warm-up, or when
/// threads or descriptors of quiet moments were not the same. Ctrl-C ends it early, with its tables.
#[derive(Parser)]
#[command(name = "scripts/soak")]
struct Arguments {
    /// Time that all of it takes
    #[arg(long, default_value_t = 60.0)]
    minutes: f64,
    /// Ordinary clients, beside one that is slow, one that comes in bursts and one that speaks gRPC
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=64))]
    clients: u64,
    /// Mean pause of a client after a request, in milliseconds; the default leaves most of a processor idle
    #[arg(long, value_name = "MS", default_value_t = 40)]
    pause_ms: u64,
    /// Seconds of traffic between two quiet moments
    #[arg(long, value_name = "SECONDS", default_value_t = 45, value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
    /// Seconds between two swaps of a model
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    swap: u64,
    /// What chance follows from: each client does the same for the same seed
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Share of the time at the start that is not judged
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    warm_up: f64,
    /// MB an hour by which memory may grow; judged are runs of half an hour and more
    #[arg(long, value_name = "MB", default_value_t = 1.0)]
    limit: f64,
    /// A new file for what was read in each quiet moment, a line of JSON each
    #[arg(long, value_name = "FILE")]
    samples: Option<PathBuf>,
    /// The server's program [default: the one that was built with this]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

impl Arguments {
    fn plan(&self) -> anyhow::Result<Plan> {
        let beside = || -> anyhow::Result<PathBuf> {
            let own = env::current_exe()?;
            let folder = own.parent().and_then(Path::parent).context("this program is in no folder")?;
            Ok(folder.join("server"))
        };
        ensure!((0.0..1.0).contains(&self.warm_up), "--warm-up {}: it is a share from 0 to less than 1", self.warm_up);
        Ok(Plan {
            program: self.program.clone().map_or_else(beside, Ok)?,
            length: Duration::try_from_secs_f64(self.minutes * 60.0).context("--minutes")?,
            clients: self.clients,
            pause: Duration::from_millis(self.pause_ms),
            every: Duration::from_secs(self.every),
            swap: Duration::from_secs(self.swap),
            awaits_threads: true,
            seed: self.seed,
        })
    }

    fn run(&self) -> anyhow::Result<Report> {
        let named = |path: &PathBuf| File::create_new(path).with_context(|| format!("--samples {}", path.display()));
        let mut file = self.samples.as_ref().map(named).transpose()?;
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&stop))?;
        }
        let tell = |sample: &Sample| -> anyhow::Result<()> {
            if let Some(file) = &mut file {
                writeln!(file, "{}", sample.to_json()).context("--samples")?;
            }
            eprintln!("{}", line(sample));
            Ok(())
        };
        let run = run::run(&self.plan()?, &stop, tell)?;
        Ok(Report::of(&run, Limits { growth: self.limit * 1e6, warm_up: self.warm_up }))
    }
}

/// What is told of a quiet moment while it goes on.
fn line(sample: &Sample) -> String {
    let Sample { hours, requests, resident, anonymous, threads, descriptors, .. } = sample;
    let (resident, anonymous) = (*resident as f64 / 1e6, *anonymous as f64 / 1e6);
    format!(
        "minute {:.1}: {requests} done, {resident:.2} MB resident, {anonymous:.2} MB anonymous, {threads} threads, \
         {descriptors} descriptors",
        hours * 60.0
    )
}

fn main() -> ExitCode {
    match Arguments::parse().run() {
        Ok(Report { text, is_kept }) => {
            println!("{text}");
            if is_kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("soak: {error:#}");
            ExitCode::from(2)
        }
    }
}
