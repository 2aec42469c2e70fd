//! The server's program, as a process of its own.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    net::SocketAddr,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::requests::MAX_BODY;

/// Seconds that the server waits for the head of a request, and within a body.
const HEAD: u64 = 3;
/// Seconds that it keeps an idle connection.
const IDLE: u64 = 2;
/// Requests that it works on at once. So few that a burst is more.
pub const ROOM: usize = 8;
/// How long it keeps an idle connection.
pub const KEEP_ALIVE: Duration = Duration::from_secs(IDLE);
/// How long it may take to end.
const PATIENCE: Duration = Duration::from_secs(40);
/// What is logged about a version that is registered with another file.
const EXPECTED: &str = "cannot be loaded";

/// The running program; killed when dropped.
pub struct Program {
    child: Child,
    log: PathBuf,
    pub http: SocketAddr,
    pub grpc: SocketAddr,
}

impl Program {
    /// Starts it on a repository, on free ports of this machine.
    ///
    /// # Errors
    /// A program that cannot be started, or that does not say where it listens.
    pub fn start(program: &Path, repository: &Path, log: PathBuf) -> anyhow::Result<Self> {
        let errors = File::create_new(&log).with_context(|| format!("{} cannot be made", log.display()))?;
        let numbers = [
            ("--max-body", MAX_BODY as u64 >> 20),
            ("--max-concurrent", ROOM as u64),
            ("--header-timeout", HEAD),
            ("--pause-timeout", HEAD),
            ("--keep-alive", IDLE),
            ("--threads", 1),
        ];
        let mut command = Command::new(program);
        command
            .args(["--bind", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--json", "--model-repository"])
            .arg(repository);
        command.args(numbers.iter().flat_map(|(name, value)| [(*name).to_owned(), value.to_string()]));
        // In a group of its own, so that what stops us does not stop it before we do.
        command.process_group(0).stdout(Stdio::piped()).stderr(errors);
        let mut child = command.spawn().with_context(|| {
            format!("{} cannot be started; build it: cargo build --release --locked -p server", program.display())
        })?;
        match listening(&mut child) {
            Ok((http, grpc)) => Ok(Self { child, log, http, grpc }),
            Err(error) => {
                // It may have ended already.
                let _ = child.kill();
                let _ = child.wait();
                let said = fs::read_to_string(&log).unwrap_or_default();
                Err(error.context(format!("the server did not start:\n{said}")))
            }
        }
    }

    /// The process's number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// When it does not, with the end of its log.
    pub fn check_runs(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<&str> = log.lines().rev().take(15).collect();
            bail!(
                "the server has ended by itself ({status}). Its log ends, last line first, with:\n{}",
                lines.join("\n")
            );
        }
        Ok(())
    }

    /// Stops it, and tells what was wrong with its end or in its log.
    ///
    /// # Errors
    /// Those of the system.
    pub fn stop(mut self) -> anyhow::Result<Vec<String>> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let end = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait()? {
                Some(status) => break status,
                None if Instant::now() > end => bail!("the server did not end within {} s", PATIENCE.as_secs()),
                None => thread::sleep(Duration::from_millis(20)),
            }
        };
        let log = fs::read_to_string(&self.log).with_context(|| format!("{} cannot be read", self.log.display()))?;
        let bad = log
            .lines()
            .filter(|line| (line.contains("ERROR") || line.contains("panicked")) && !line.contains(EXPECTED));
        let mut faults: Vec<String> = bad.map(|line| format!("the server's log: {line}")).collect();
        if !status.success() {
            faults.push(format!("the server ended with {status}"));
        }
        Ok(faults)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where it says that it listens.
fn listening(child: &mut Child) -> anyhow::Result<(SocketAddr, SocketAddr)> {
    let stdout = child.stdout.take().context("it has no standard output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    let told: Value = serde_json::from_str(&line).context("it does not say where it listens")?;
    let address = |key: &str| -> anyhow::Result<SocketAddr> {
        let text = told[key].as_str().with_context(|| format!("it does not say '{key}'"))?;
        Ok(text.trim_start_matches("http://").parse()?)
    };
    Ok((address("listening")?, address("grpc")?))
}
