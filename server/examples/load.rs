//! Asks a server as many clients do at once, each on a connection that it keeps: `cargo run --release -p server --example load -- --help`.
//!
//! Without `--rate` the loop is closed: every client sends its next request when it has its answer. With `--rate` it is open: requests are
//! due at a constant rate, whatever becomes of those before them, and a latency counts from the moment at which its request was due, so that
//! a server that falls behind cannot hide it. Prints one JSON object: requests and their latencies in milliseconds, by status.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use clap::Parser;
use serde_json::{Value, json};

/// Stack of a client's thread, of which there may be hundreds.
const STACK: usize = 256 * 1024;
/// Of the times that are printed.
const SLICE: f64 = 0.1;

/// Asks a server as many clients do at once
#[derive(Parser)]
struct Arguments {
    /// Address and port
    #[arg(long)]
    address: SocketAddr,
    /// Path of the requests
    #[arg(long, default_value = "/score")]
    path: String,
    /// Headers, NAME:VALUE
    #[arg(long = "header")]
    headers: Vec<String>,
    /// Clients, and connections, at once
    #[arg(long, default_value_t = 1)]
    clients: u32,
    /// Requests a second that are due, whatever becomes of them [default: as many as are answered]
    #[arg(long)]
    rate: Option<f64>,
    /// Time that is measured
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Time before that, which is not
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// Longest wait for an answer, in seconds
    #[arg(long, default_value_t = 60)]
    patience: u64,
    /// An answer within so many seconds is a good one
    #[arg(long, default_value_t = 1.0)]
    within: f64,
    /// Files that are sent, in turn
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// What became of a request.
struct Answered {
    /// Seconds from the start at which it was sent, or due.
    at: f64,
    /// Seconds until its answer.
    latency: f64,
    /// 0 without an answer.
    status: u16,
}

/// A client: its connection, which is opened again where the server has closed it.
struct Client {
    address: SocketAddr,
    patience: Duration,
    stream: Option<BufReader<TcpStream>>,
}

impl Client {
    fn ask(&mut self, request: &[u8]) -> u16 {
        let known = self.stream.is_some();
        // A connection that was closed while it was idle is no fault of the server's.
        let answer = self.try_ask(request).or_else(|error| if known { self.try_ask(request) } else { Err(error) });
        answer.unwrap_or(0)
    }

    fn try_ask(&mut self, request: &[u8]) -> io::Result<u16> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(self.address)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(self.patience))?;
                stream.set_write_timeout(Some(self.patience))?;
                BufReader::with_capacity(64 * 1024, stream)
            }
        };
        stream.get_mut().write_all(request)?;
        let (status, is_kept) = read_answer(&mut stream)?;
        if is_kept {
            self.stream = Some(stream);
        }
        Ok(status)
    }
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// The status of an answer that is read to its end, and whether the connection stays open.
fn read_answer(stream: &mut BufReader<TcpStream>) -> io::Result<(u16, bool)> {
    let mut line = String::new();
    let mut next = |stream: &mut BufReader<TcpStream>| -> io::Result<String> {
        line.clear();
        match stream.read_line(&mut line)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim_end().to_ascii_lowercase()),
        }
    };
    let first = next(stream)?;
    let status = first.split(' ').nth(1).and_then(|text| text.parse().ok()).ok_or_else(|| broken("no status"))?;
    let (mut length, mut is_chunked, mut is_kept) = (0, false, true);
    loop {
        let header = next(stream)?;
        let Some((name, value)) = header.split_once(':') else { break };
        match (name, value.trim()) {
            ("content-length", value) => length = value.parse().map_err(|_| broken("length"))?,
            ("transfer-encoding", "chunked") => is_chunked = true,
            ("connection", "close") => is_kept = false,
            _ => {}
        }
    }
    while is_chunked {
        let size = u64::from_str_radix(next(stream)?.split(';').next().unwrap_or_default(), 16);
        let size = size.map_err(|_| broken("chunk"))?;
        skip(stream, size)?;
        // The end of the chunk's line, or of the answer.
        next(stream)?;
        is_chunked = size > 0;
    }
    skip(stream, length)?;
    Ok((status, is_kept))
}

fn skip(stream: &mut BufReader<TcpStream>, length: u64) -> io::Result<()> {
    match io::copy(&mut stream.take(length), &mut io::sink())? {
        read if read == length => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Everything that the clients share.
struct Load {
    requests: Vec<Vec<u8>>,
    start: Instant,
    end: f64,
    rate: Option<f64>,
    next: AtomicU64,
}

impl Load {
    fn now(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    /// When the next request is sent, and which; `None` at the end.
    fn due(&self) -> Option<(f64, &[u8])> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let at = match self.rate {
            None => self.now(),
            Some(rate) => {
                let at = number as f64 / rate;
                if at < self.end {
                    thread::sleep(Duration::from_secs_f64((at - self.now()).max(0.0)));
                }
                at
            }
        };
        let turn = usize::try_from(number).unwrap_or_default() % self.requests.len();
        (at < self.end).then(|| (at, &self.requests[turn][..]))
    }

    fn run(&self, mut client: Client) -> Vec<Answered> {
        let mut answers = Vec::new();
        while let Some((at, request)) = self.due() {
            let status = client.ask(request);
            answers.push(Answered { at, latency: self.now() - at, status });
        }
        answers
    }
}

/// The value below or at which this share of sorted values is; null of none.
fn percentile(sorted: &[f64], share: f64) -> Value {
    let at = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(at.saturating_sub(1)).map_or(Value::Null, |seconds| json!(seconds * 1e3))
}

fn latencies(answers: &[&Answered]) -> Value {
    let mut sorted: Vec<f64> = answers.iter().map(|one| one.latency).collect();
    sorted.sort_by(f64::total_cmp);
    let [p50, p90, p99, p999, most] = [0.5, 0.9, 0.99, 0.999, 1.0].map(|share| percentile(&sorted, share));
    json!({ "count": answers.len(), "p50": p50, "p90": p90, "p99": p99, "p99.9": p999, "most": most })
}

/// Of each tenth of a second: when it began, how many requests of it were answered well, and how many were not.
fn slices(answers: &[Answered], seconds: f64) -> Vec<(f64, usize, usize)> {
    let count = (seconds / SLICE).ceil() as usize;
    let mut slices: Vec<(f64, usize, usize)> = (0..count).map(|at| (at as f64 * SLICE, 0, 0)).collect();
    for one in answers {
        if let Some(slice) = slices.get_mut((one.at / SLICE) as usize) {
            *(if one.status == 200 { &mut slice.1 } else { &mut slice.2 }) += 1;
        }
    }
    slices
}

fn request(arguments: &Arguments, body: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut head = format!("POST {} HTTP/1.1\r\nHost: {}\r\n", arguments.path, arguments.address);
    for header in &arguments.headers {
        ensure!(header.contains(':'), "--header {header}: it is NAME:VALUE");
        head = head + header + "\r\n";
    }
    Ok([format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat())
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let read = |path: &PathBuf| fs::read(path).with_context(|| format!("{} cannot be read", path.display()));
    let requests: Vec<Vec<u8>> =
        arguments.files.iter().map(|path| request(&arguments, &read(path)?)).collect::<anyhow::Result<_>>()?;
    let (warm_up, seconds, patience) = (arguments.warm_up, arguments.seconds, Duration::from_secs(arguments.patience));
    let end = warm_up + seconds;
    let load = Load { requests, start: Instant::now(), end, rate: arguments.rate, next: AtomicU64::new(0) };
    let mut answers: Vec<Answered> = thread::scope(|scope| {
        let client = |_| {
            let client = Client { address: arguments.address, patience, stream: None };
            thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || load.run(client))
        };
        let clients: Vec<_> = (0..arguments.clients).map(client).collect::<io::Result<_>>()?;
        anyhow::Ok(clients.into_iter().filter_map(|client| client.join().ok()).flatten().collect())
    })?;
    answers.retain(|one| one.at >= warm_up);
    for one in &mut answers {
        one.at -= warm_up;
    }
    let mut by_status: BTreeMap<u16, Vec<&Answered>> = BTreeMap::new();
    for one in &answers {
        by_status.entry(one.status).or_default().push(one);
    }
    let well = by_status.get(&200).map_or(&[][..], Vec::as_slice);
    let good = well.iter().filter(|one| one.latency <= arguments.within).count();
    // A closed loop's last answers come after the end, in place of those that came after the start.
    println!(
        "{}",
        json!({
            "seconds": seconds, "requests": answers.len(), "rate": well.len() as f64 / seconds,
            "good": good as f64 / seconds,
            "statuses": by_status.iter().map(|(status, of)| (status.to_string(), latencies(of))).collect::<BTreeMap<_, _>>(),
            "slices": slices(&answers, seconds),
        })
    );
    Ok(())
}
