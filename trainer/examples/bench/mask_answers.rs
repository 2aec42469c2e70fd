//! What the server takes for an image of many objects, beside ONNX Runtime and pasting alone.
//!
//! A server is started on MODEL, a `prepared` file that segments instances, and asked about IMAGE with a score threshold of 0. In
//! this process the same file is run on the prepared image with as many threads, and each mask is pasted. One of each in turn.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};
use models::host::mask::Paste;
use models::host::{self, Limits};
use ndarray::ArrayView4;
use runtime::{Model, Options, Overrides};

pub(crate) fn run(arguments: &[String]) -> anyhow::Result<serde_json::Value> {
    trainer::cli::telemetry::switch_off();
    let [program, file, image, form, rounds, threads] = arguments else {
        anyhow::bail!("mask-answers takes a server, a model, an image, a form, rounds and threads: {}", crate::USAGE);
    };
    let (rounds, threads): (usize, usize) = (rounds.parse()?, threads.parse()?);
    let bytes = std::fs::read(image).with_context(|| image.clone())?;
    let decoded = host::decode(&bytes, &Limits::default())?;
    let mut model = Model::open(file.as_ref(), &Options { intra_threads: threads, library: None })?;
    let prepared = host::prepare(&decoded, &model.meta().preprocessing);
    let shape = (1, prepared.height as usize, prepared.width as usize, 3);
    let sizes = [[i64::from(decoded.height), i64::from(decoded.width)]];
    let all = Overrides { score_threshold: Some(0.0), iou_threshold: None };
    let paste = Paste { width: decoded.width, height: decoded.height, threshold: 0.5 };

    let server = Server::start(program, file, threads)?;
    let (mut bare, mut answered, mut objects, mut pixels) = (Vec::new(), Vec::new(), 0, 0);
    for _ in 0..rounds {
        let start = Instant::now();
        let found = model.detect(ArrayView4::from_shape(shape, &prepared.data)?, Some(&sizes), &all)?.remove(0);
        let masks = found.iter().filter_map(|one| Some(paste.mask(one.mask.as_ref()?.values(), one.corners)));
        pixels = masks.map(|mask| mask.area()).sum();
        bare.push(start.elapsed().as_secs_f64());
        objects = found.len();
        let start = Instant::now();
        let answer = server.score(&format!("score_threshold=0&masks={form}"), &bytes)?;
        answered.push(start.elapsed().as_secs_f64());
        let answer: serde_json::Value = serde_json::from_str(&answer)?;
        ensure!(answer["boxes"].as_array().is_some_and(|boxes| boxes.len() == objects), "{answer}");
    }
    Ok(serde_json::json!({ "bare": bare, "answered": answered, "objects": objects, "pixels": pixels }))
}

/// The program, ended when dropped.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(program: &str, file: &str, threads: usize) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        command.args([&format!("--model=m={file}"), "--bind=127.0.0.1:0", &format!("--threads={threads}")]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().context("the server")?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("its output")?).read_line(&mut line)?;
        let address = line.trim().strip_prefix("listening on http://").context("the server did not start")?.to_owned();
        Ok(Self { child, address })
    }

    /// The body of an answer.
    fn score(&self, query: &str, image: &[u8]) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(&self.address)?;
        let head = format!(
            "POST /score?{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n",
            image.len()
        );
        stream.write_all(&[head.as_bytes(), image].concat())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").context("no answer")?;
        Ok(body.to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A process that has ended already is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
