//! Running the program on images made on the spot.

use std::{
    fs,
    io::{BufRead, BufReader, Cursor, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use image::{ImageFormat, Rgb, RgbImage};
use serde_json::Value;
use tempfile::TempDir;

pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// An image that differs from those of other seeds.
pub fn image(seed: u32, side: u32, format: ImageFormat) -> Vec<u8> {
    let image = RgbImage::from_fn(side, side, |x, y| {
        let v = (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(2_246_822_519)).wrapping_add(seed * 97).to_le_bytes();
        Rgb([v[3] / 2 + (seed * 37 % 128) as u8, v[1] / 4 + (seed * 61 % 192) as u8, v[2] / 8])
    });
    let mut out = Cursor::new(Vec::new());
    image.write_to(&mut out, format).unwrap();
    out.into_inner()
}

/// A folder that is removed with it.
pub struct Place(TempDir);

impl Place {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// `count` images in `images/`, of several formats and sizes.
    pub fn with_images(count: u32) -> Self {
        let place = Self::new();
        place.add_images(count, 20);
        place
    }

    /// `count` images of about this many pixels a side.
    fn add_images(&self, count: u32, side: u32) {
        for seed in 0..count {
            let format = if seed % 2 == 0 { ImageFormat::Png } else { ImageFormat::Jpeg };
            self.write(&format!("images/{seed:03}.png"), image(seed, side + seed % 3 * 11, format));
        }
    }

    /// `rows` rows over 20 images, which take a little longer, and now and then one that is not there.
    pub fn with_list(rows: usize) -> Self {
        let place = Self::new();
        place.add_images(20, 90);
        let row = |n: usize| match n % 41 {
            40 => format!("{{\"image_url\": \"images/absent-{n}.png\"}}\n"),
            _ => format!("{{\"image_url\": \"images/{:03}.png\", \"number\": {n}}}\n", n % 20),
        };
        place.write("list.jsonl", (0..rows).map(row).collect::<String>());
        place
    }

    /// The command, run within this folder.
    pub fn command(&self, model: &str, input: &str, options: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
        command
            .arg("score")
            .current_dir(self.0.path())
            .arg("--model")
            .arg(fixture(model))
            .args(["--input", input, "--threads", "1"])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if !options.contains(&"--output") {
            command.args(["--output", "out.jsonl"]);
        }
        command
    }

    pub fn score(&self, model: &str, input: &str, options: &[&str]) -> Scored {
        Scored(self.command(model, input, options).output().unwrap())
    }

    pub fn lines(&self, name: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.path(name)).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "{text}");
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Names in the folder that begin with `out`.
    pub fn outputs(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name.starts_with("out")).collect();
        names.sort();
        names
    }
}

/// What a run said.
pub struct Scored(pub Output);

impl Scored {
    pub fn code(&self) -> Option<i32> {
        self.0.status.code()
    }

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.0.stdout).unwrap_or_else(|e| panic!("{e}: {}", self.log()))
    }

    #[track_caller]
    pub fn ended(self, code: i32) -> Self {
        assert_eq!(self.code(), Some(code), "{}", self.log());
        assert!(!self.log().contains("panicked"), "{}", self.log());
        self
    }
}

/// The program as a server, killed when dropped.
pub struct Server {
    child: Child,
    port: u16,
}

impl Server {
    pub fn start(models: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
        for model in models {
            command.arg(format!("--model={model}={}", fixture(model).display()));
        }
        command.args(["--bind", "127.0.0.1:0", "--threads", "1"]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim_end().rsplit(':').next().unwrap().parse().unwrap();
        Self { child, port }
    }

    /// What `/score` answers about the bytes of an image.
    pub fn score(&self, query: &str, bytes: &[u8]) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let head = format!(
            "POST /score?{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: image/png\r\n\
             Content-Length: {}\r\n\r\n",
            bytes.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let text = String::from_utf8(answer).unwrap();
        serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
