//! The programs, run as a user runs them, in a folder of their own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Longest wait for an answer or an event.
const LIMIT: Duration = Duration::from_secs(120);

/// Programs of one build, and the folder they are run in.
pub struct Programs<'a> {
    /// Where they lie; the server and the exporter beside the trainer.
    pub folder: PathBuf,
    /// Where they are run.
    pub place: &'a Path,
}

impl<'a> Programs<'a> {
    /// Those that belong to this test.
    pub fn built(place: &'a Path) -> Self {
        Self { folder: Path::new(env!("CARGO_BIN_EXE_trainer")).parent().unwrap().to_owned(), place }
    }

    fn command(&self, name: &str, arguments: &[&str]) -> Command {
        let program = self.folder.join(name);
        assert!(program.is_file(), "{} is not there; build the whole workspace first", program.display());
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.place).stdin(Stdio::null()).env("FOVEA_OFFLINE", "1");
        command
    }

    /// The JSON that a program prints when all goes well.
    #[track_caller]
    pub fn answer(&self, name: &str, arguments: &[&str]) -> Value {
        let output = self.command(name, arguments).arg("--json").output().unwrap();
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name} {arguments:?}: {}\n{log}", output.status);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{name} {arguments:?}: {e}"))
    }

    /// Trains until `file` is there, and then asks the program to stop; it must say that it can go on.
    pub fn stop_once_there(&self, arguments: &[&str], file: &Path) {
        let mut child = self.command("trainer", arguments).stdout(Stdio::null()).spawn().unwrap();
        let started = Instant::now();
        while !file.is_file() {
            assert!(started.elapsed() < LIMIT && child.try_wait().unwrap().is_none(), "{} never came", file.display());
            std::thread::sleep(Duration::from_millis(2));
        }
        terminate(&child);
        assert_eq!(child.wait().unwrap().code(), Some(75), "it should have been stopped before its end");
    }

    /// Starts the server on these models, `NAME=FILE`.
    pub fn serve(&self, models: &[&str]) -> Server {
        let mut command = self.command("server", &["--bind", "127.0.0.1:0", "--threads", "1", "--drain", "0"]);
        command.args(models.iter().flat_map(|model| ["--model", model]));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on http://");
        let address = address.unwrap_or_else(|| panic!("the server did not start: {line:?}")).to_owned();
        Server { child, address }
    }
}

fn terminate(child: &Child) {
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
}

/// A server, ended when dropped.
pub struct Server {
    child: Child,
    address: String,
}

impl Server {
    /// Status and JSON of the answer to a request whose body is `body`, and has this type.
    pub fn ask(&self, line: &str, media_type: &str, body: &[u8]) -> Value {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let head = format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {media_type}\r\n");
        write!(stream, "{head}Content-Length: {}\r\n\r\n", body.len()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?} is no answer"));
        let status: u32 = head.split(' ').nth(1).unwrap().parse().unwrap();
        json!({ "status": status, "body": serde_json::from_str::<Value>(body).unwrap_or_else(|_| body.into()) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
