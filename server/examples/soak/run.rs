//! A whole run: the server is started, clients ask, models are swapped, and in quiet moments the server's process is looked at.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};

use super::{
    burst::{Burst, ask_at_once},
    calls::Calls,
    chance::Chance,
    gate::Gate,
    http::Answer,
    mixed::Mixed,
    program::{KEEP_ALIVE, Program, ROOM},
    repository::Repository,
    requests::Requests,
    sample::Sample,
    shared::{Client, Shared},
    slow::Slow,
    swap::Swaps,
    tally::{Counts, Group, Outcome, Tally},
    truth::Truth,
};

/// How long it is quiet before the process is looked at. A client that was refused is listened to for a second, and one that closed its
/// side as long.
const QUIET: Duration = Duration::from_secs(2);
/// How much longer is waited where threads or descriptors are not those of the moment before.
const SETTLING: Duration = Duration::from_secs(15);
/// How long a client may take to come to an end.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at what is to be done.
const LOOK: Duration = Duration::from_millis(50);
/// Requests of a burst for each that the server has room for.
const CROWD: usize = 3;

/// What is to be done.
pub struct Plan {
    /// The server's program.
    pub program: PathBuf,
    /// How long all of it takes, at least.
    pub length: Duration,
    /// Ordinary clients, beside one that is slow, one that comes in bursts and one that speaks gRPC.
    pub clients: u64,
    /// Mean time between two requests of a client.
    pub pause: Duration,
    /// Time between two quiet moments.
    pub every: Duration,
    /// Time between two swaps.
    pub swap: Duration,
    /// Whether threads, and not only descriptors, have to be as many as at the quiet moment before: one that has compressed an answer
    /// ends ten seconds later.
    pub awaits_threads: bool,
    /// What chance follows from.
    pub seed: u64,
}

/// What came of it.
pub struct Run {
    /// One for each quiet moment, the first before any client.
    pub samples: Vec<Sample>,
    /// What was asked, and what went wrong.
    pub counts: Counts,
}

/// Does it, until its time is over or `stop` says so. Each sample is told as soon as it is there.
///
/// # Errors
/// A server that cannot be started, or that has ended by itself; `tell`. Everything else that goes wrong is counted.
pub fn run(plan: &Plan, stop: &AtomicBool, mut tell: impl FnMut(&Sample) -> anyhow::Result<()>) -> anyhow::Result<Run> {
    let folder = tempfile::tempdir().context("there is no room for temporary files")?;
    let repository = Repository::create(folder.path().join("models"))?;
    let program = Program::start(&plan.program, repository.path(), folder.path().join("log"))?;
    let shared = Shared {
        http: program.http,
        grpc: program.grpc,
        requests: Requests::new()?,
        truth: Truth::default(),
        tally: Tally::default(),
        gate: Gate::default(),
    };
    let swaps = Swaps::new(&shared, &repository);
    let mut control = Control { plan, shared: &shared, program, swaps, samples: Vec::new(), started: Instant::now() };
    thread::scope(|scope| {
        let clients = clients(plan, &shared);
        let count = clients.len();
        for mut client in clients {
            let shared = &shared;
            scope.spawn(move || shared.work(&mut *client));
        }
        let done = control.go(count, stop, &mut tell);
        // Whatever came of it: clients that wait at the gate would wait for ever.
        shared.gate.end();
        done
    })?;
    let Control { program, samples, .. } = control;
    for fault in program.stop()? {
        shared.tally.count(Group::Idle, "the end", Err(fault));
    }
    Ok(Run { samples, counts: shared.tally.counts() })
}

fn clients<'a>(plan: &Plan, shared: &'a Shared) -> Vec<Box<dyn Client + Send + 'a>> {
    let chance = |number| Chance::new(plan.seed, number);
    let mut clients: Vec<Box<dyn Client + Send + 'a>> = vec![
        Box::new(Slow::new(shared)),
        Box::new(Burst::new(shared, chance(1), CROWD * ROOM, plan.every / 3)),
        Box::new(Calls::new(shared, chance(2), 2 * plan.pause)),
    ];
    for number in 0..plan.clients {
        clients.push(Box::new(Mixed::new(shared, chance(3 + number), plan.pause, KEEP_ALIVE)));
    }
    clients
}

struct Control<'a> {
    plan: &'a Plan,
    shared: &'a Shared,
    program: Program,
    swaps: Swaps<'a>,
    samples: Vec<Sample>,
    started: Instant,
}

impl Control<'_> {
    fn go(
        &mut self,
        clients: usize,
        stop: &AtomicBool,
        tell: &mut dyn FnMut(&Sample) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        // What is opened when it is first needed is open from now on.
        self.check_idle();
        self.sample(tell)?;
        let mut next = self.started + self.plan.swap / 2;
        while self.started.elapsed() < self.plan.length && !stop.load(Ordering::SeqCst) {
            self.shared.gate.open();
            let end = Instant::now() + self.plan.every;
            while Instant::now() < end && !stop.load(Ordering::SeqCst) {
                if Instant::now() >= next {
                    self.swaps.next();
                    next += self.plan.swap;
                }
                self.program.check_runs()?;
                thread::sleep(LOOK);
            }
            ensure!(
                self.shared.gate.close(clients, PATIENCE),
                "a client has not come back within {} s",
                PATIENCE.as_secs()
            );
            self.sample(tell)?;
            self.check_idle();
        }
        Ok(())
    }

    /// Looks at the process in a quiet moment, so that what requests take while they are answered is not taken for what stays.
    fn sample(&mut self, tell: &mut dyn FnMut(&Sample) -> anyhow::Result<()>) -> anyhow::Result<()> {
        thread::sleep(QUIET);
        let end = Instant::now() + SETTLING;
        loop {
            self.program.check_runs()?;
            let sample = Sample::read(
                self.program.id(),
                self.started.elapsed().as_secs_f64() / 3600.0,
                self.shared.tally.done(),
            )?;
            let is_settled = self.samples.last().is_none_or(|before| {
                let has_threads = before.threads == sample.threads || !self.plan.awaits_threads;
                has_threads && before.descriptors == sample.descriptors
            });
            if is_settled || Instant::now() > end {
                tell(&sample)?;
                self.samples.push(sample);
                return Ok(());
            }
            thread::sleep(LOOK);
        }
    }

    /// Whether nothing is left of the requests before: no memory that is reserved, none that waits, and room for as many as ever.
    fn check_idle(&self) {
        let tally = &self.shared.tally;
        let result = self.metrics().and_then(|answer| check_metrics(&String::from_utf8_lossy(&answer.body)));
        tally.count(Group::Idle, "the metrics", result.map(|()| Outcome::Right).map_err(|error| format!("{error:#}")));
        ask_at_once(self.shared, (&self.shared.requests.large, Group::Idle), ROOM, true);
    }

    fn metrics(&self) -> anyhow::Result<Answer> {
        let mut connection = self.shared.connect()?;
        connection.send(b"GET /metrics HTTP/1.1\r\nHost: soak\r\nConnection: close\r\n\r\n")?;
        Ok(connection.read()?)
    }
}

/// Whether the metrics are those of a server that does nothing, and has never failed.
fn check_metrics(text: &str) -> anyhow::Result<()> {
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').with_context(|| format!("'{line}' is no metric"))?;
        let most = match name {
            // The request for the metrics is one.
            "fovea_in_flight_requests" => "1",
            "fovea_memory_reserved_bytes" => "0",
            name if name.starts_with("fovea_queue_jobs{") || name.contains("outcome=\"server_error\"") => "0",
            _ => continue,
        };
        ensure!(value == most, "{line}, and it should be {most}");
    }
    ensure!(text.contains("\nfovea_memory_reserved_bytes 0\n"), "nothing is said of the memory that is reserved");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_tell_what_is_left_over() {
        let idle = "# HELP x y\nfovea_in_flight_requests 1\nfovea_memory_reserved_bytes 0\n\
                    fovea_queue_jobs{model=\"m\"} 0\nz 9\n";
        check_metrics(idle).unwrap();
        for (from, to) in
            [("requests 1", "requests 2"), ("bytes 0", "bytes 4096"), ("} 0", "} 1"), ("fovea_memory", "x")]
        {
            check_metrics(&idle.replace(from, to)).unwrap_err();
        }
        check_metrics(&format!("{idle}fovea_requests_total{{route=\"score\",outcome=\"server_error\"}} 1\n"))
            .unwrap_err();
    }
}
