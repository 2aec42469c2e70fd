//! Starting the program, and an HTTP client that sends exactly what it is told.

use std::{
    fmt::Write as _,
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// What no answer may contain: pieces of the program, of the machine, or of memory.
const LEAKS: [&str; 8] = ["panicked", ".rs:", "/home", "/root", "/tmp", "/usr", "backtrace", "thread '"];

pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

pub fn read(name: &str) -> Vec<u8> {
    std::fs::read(fixture(name)).unwrap()
}

/// The texts of these files, and of the files in these folders, of the repository; what is not there is left out.
pub fn read_text(names: &[&str]) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let in_folder = |path: &Path| std::fs::read_dir(path).into_iter().flatten().map(|entry| entry.unwrap().path());
    let files = names
        .iter()
        .map(|name| root.join(name))
        .flat_map(|path| in_folder(&path).chain([path.clone()]).collect::<Vec<_>>());
    files.filter_map(|path| std::fs::read_to_string(path).ok()).collect()
}

/// A model of every kind that finds objects, beside the classifiers `tiny` (prepared), `whole` and `multi`.
pub const OBJECT_MODELS: [(&str, &str); 5] = [
    ("d", "tiny_detector_prepared.onnx"),
    ("dw", "tiny_detector_whole.onnx"),
    ("dt", "tiny_detector_tiled.onnx"),
    ("m", "tiny_masks_prepared.onnx"),
    ("mw", "tiny_masks_whole.onnx"),
];

/// The program, killed when dropped.
pub struct Server {
    child: Child,
    pub port: u16,
    /// The port of gRPC; 0 without the option for it.
    pub grpc: u16,
    log: Arc<Mutex<String>>,
}

impl Server {
    /// The program, told to serve `tiny` (prepared), `whole` and `multi`, on a free port unless `options` name one.
    pub fn command(options: &[&str]) -> Command {
        let model = |name: &str, file: &str| format!("{name}={}", fixture(file).display());
        let models = [("tiny", "tiny_prepared.onnx"), ("whole", "tiny_whole.onnx"), ("multi", "tiny_multilabel.onnx")];
        let models = models.map(|(name, file)| format!("--model={}", model(name, file)));
        let all: Vec<&str> = models.iter().map(String::as_str).chain(options.iter().copied()).collect();
        Self::bare_command(&all)
    }

    /// The program without a model, on a free port unless `options` name one.
    pub fn bare_command(options: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
        command.args(["--threads", "1"]).args(options).stdout(Stdio::piped()).stderr(Stdio::piped());
        if !options.contains(&"--bind") {
            command.args(["--bind", "127.0.0.1:0"]);
        }
        command
    }

    pub fn start(options: &[&str]) -> Self {
        Self::start_from(&mut Self::command(options))
    }

    /// Serves the detectors `d` (prepared), `dw` (whole) and `dt` (prepared, 2x2 tiles) beside the classifiers.
    pub fn with_detectors(options: &[&str]) -> Self {
        Self::with_models(&OBJECT_MODELS[..3], options)
    }

    /// Serves these models, by name and fixture, beside the classifiers.
    pub fn with_models(models: &[(&str, &str)], options: &[&str]) -> Self {
        let model = |(name, file): &(&str, &str)| format!("--model={name}={}", fixture(file).display());
        let models: Vec<String> = models.iter().map(model).collect();
        let all: Vec<&str> = models.iter().map(String::as_str).chain(options.iter().copied()).collect();
        Self::start(&all)
    }

    /// Starts [`Self::command`], changed as a test wants it. Its standard output must be a pipe. The log is kept when it is one too.
    pub fn start_from(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        if let Some(stderr) = child.stderr.take() {
            let copy = Arc::clone(&log);
            thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    writeln!(copy.lock().unwrap(), "{line}").unwrap();
                }
            });
        }
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let port = line.trim_end().strip_prefix("listening on http://127.0.0.1:").map(|port| port.parse().unwrap());
        let Some(port) = port else {
            child.wait().unwrap();
            thread::sleep(Duration::from_millis(200));
            panic!("the server did not start: {line:?}\n{}", log.lock().unwrap());
        };
        let is_grpc = command.get_args().any(|option| option == "--grpc");
        let grpc = if is_grpc { grpc_port(&mut stdout) } else { 0 };
        Self { child, port, grpc, log }
    }

    /// A program that was started without its output being read.
    pub fn from_child(child: Child, port: u16) -> Self {
        Self { child, port, grpc: 0, log: Arc::default() }
    }

    pub fn connect(&self) -> TcpStream {
        connect(self.port)
    }

    pub fn send(&self, raw: &[u8]) -> Response {
        send(self.port, raw)
    }

    pub fn get(&self, path: &str) -> Response {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes())
    }

    pub fn post(&self, path: &str, content_type: &str, body: &[u8]) -> Response {
        self.send(&post(path, &[("Content-Type", content_type)], body))
    }

    /// Resident memory in bytes.
    pub fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most that it ever was.
    pub fn peak_memory(&self) -> u64 {
        self.status("VmHWM:")
    }

    fn status(&self, key: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix(key)).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Open file descriptors.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// Time spent on a processor, in clock ticks (hundredths of a second).
    pub fn ticks(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = text.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    /// The soft limit on open files.
    pub fn descriptor_limit(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/limits", self.child.id())).unwrap();
        let line = text.lines().find_map(|l| l.strip_prefix("Max open files")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Exit code, which must come within `limit`.
    pub fn wait(&mut self, limit: Duration) -> Option<i32> {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("still running after {limit:?}\n{}", self.log());
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }
}

fn grpc_port(stdout: &mut impl BufRead) -> u16 {
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    line.trim_end().strip_prefix("gRPC on 127.0.0.1:").unwrap_or_else(|| panic!("{line:?}")).parse().unwrap()
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// Sends a request; what is answered must be what the published schemas say about it.
#[track_caller]
pub fn send(port: u16, raw: &[u8]) -> Response {
    let mut stream = connect(port);
    // The server may answer and close before it has read everything; what it said is still there to be read.
    let _ = stream.write_all(raw);
    let answer = Response::read(&mut stream);
    crate::contract::check(raw, &answer);
    answer
}

pub fn post(path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head =
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}

/// The bytes of an answer, taken apart.
#[derive(Debug)]
pub struct Response {
    /// 0 when the connection was closed without an answer.
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Response {
    pub fn read(stream: &mut TcpStream) -> Self {
        let mut all = Vec::new();
        let mut buffer = [0; 16 * 1024];
        loop {
            if let Some(response) = Self::parse(&all) {
                return response;
            }
            match stream.read(&mut buffer) {
                Ok(0) | Err(_) => break,
                Ok(n) => all.extend_from_slice(&buffer[..n]),
            }
        }
        let _ = stream.shutdown(Shutdown::Both);
        Self::parse(&all).unwrap_or(Self {
            status: 0,
            head: String::from_utf8_lossy(&all).into_owned(),
            body: Vec::new(),
        })
    }

    pub fn parse(all: &[u8]) -> Option<Self> {
        let end = all.windows(4).position(|w| w == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&all[..end]).into_owned();
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let response = Self { status, head, body: all[end + 4..].to_vec() };
        let length: usize = response.header("content-length").map_or(0, |n| n.parse().unwrap());
        let chunked = response.header("transfer-encoding") == Some("chunked");
        let is_whole = if chunked { response.body.ends_with(b"0\r\n\r\n") } else { response.body.len() >= length };
        is_whole.then_some(response)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (n, value) = line.split_once(':')?;
            n.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// The error code; an empty text when the answer is no error of the server's own.
    pub fn code(&self) -> String {
        serde_json::from_slice::<Value>(&self.body)
            .ok()
            .and_then(|v| v.get("code")?.as_str().map(str::to_owned))
            .unwrap_or_default()
    }

    #[track_caller]
    pub fn check_no_leak(&self) {
        let all = format!("{}\n{}", self.head, self.text());
        for leak in LEAKS {
            assert!(!all.contains(leak), "the answer contains {leak:?}:\n{all}");
        }
        // An address, as opposed to a size such as 640x480.
        let address = all
            .match_indices("0x")
            .any(|(at, _)| all[at + 2..].chars().take_while(char::is_ascii_hexdigit).count() >= 6);
        assert!(!address, "the answer contains an address:\n{all}");
    }
}
