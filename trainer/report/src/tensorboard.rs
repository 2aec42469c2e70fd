//! TensorBoard event files: scalars and PNG images, so that `tensorboard --logdir RUN` shows a run while it trains.
//!
//! A file is a sequence of records: length (u64, little endian), masked CRC-32C of the length, the `Event` message,
//! masked CRC-32C of the message (TensorFlow's record format; field numbers are those of `event.proto`, `summary.proto` and of the plugin
//! `hparams`). A file is only ever appended to, and each session of a resumed run writes a new one.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
    #[prost(message, optional, tag = "7")]
    session: Option<Session>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    values: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    // Optional, so that a value of 0 is written and not left out as a default.
    #[prost(float, optional, tag = "2")]
    scalar: Option<f32>,
    #[prost(message, optional, tag = "4")]
    image: Option<Image>,
    #[prost(message, optional, tag = "8")]
    tensor: Option<Tensor>,
    #[prost(message, optional, tag = "9")]
    metadata: Option<Metadata>,
}

#[derive(Clone, PartialEq, Message)]
struct Image {
    #[prost(int32, tag = "1")]
    height: i32,
    #[prost(int32, tag = "2")]
    width: i32,
    #[prost(int32, tag = "3")]
    channels: i32,
    #[prost(bytes = "vec", tag = "4")]
    encoded: Vec<u8>,
}

/// `TensorProto`: what comes with hyperparameters is one zero, because every value has to have a content.
#[derive(Clone, PartialEq, Message)]
struct Tensor {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<Shape>,
    #[prost(float, repeated, tag = "5")]
    values: Vec<f32>,
}

#[derive(Clone, PartialEq, Message)]
struct Shape {
    #[prost(message, repeated, tag = "2")]
    sides: Vec<Side>,
}

#[derive(Clone, PartialEq, Message)]
struct Side {
    #[prost(int64, tag = "1")]
    size: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Metadata {
    #[prost(message, optional, tag = "1")]
    plugin: Option<Plugin>,
    #[prost(int32, tag = "4")]
    class: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Plugin {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bytes = "vec", tag = "2")]
    content: Vec<u8>,
}

/// `HParamsPluginData` of the plugin's `plugin_data.proto`.
#[derive(Clone, PartialEq, Message)]
struct Hyperparameters {
    #[prost(message, optional, tag = "3")]
    start: Option<Start>,
    #[prost(message, optional, tag = "4")]
    end: Option<End>,
}

#[derive(Clone, PartialEq, Message)]
struct Start {
    #[prost(btree_map = "string, message", tag = "1")]
    values: BTreeMap<String, Hyperparameter>,
    #[prost(double, tag = "5")]
    time: f64,
}

#[derive(Clone, PartialEq, Message)]
struct End {
    #[prost(int32, tag = "1")]
    status: i32,
    #[prost(double, tag = "2")]
    time: f64,
}

/// `google.protobuf.Value`, as far as the plugin shows it.
#[derive(Clone, PartialEq, Message)]
struct Hyperparameter {
    #[prost(oneof = "Kind", tags = "2, 3, 4")]
    kind: Option<Kind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Kind {
    #[prost(double, tag = "2")]
    Number(f64),
    #[prost(string, tag = "3")]
    Text(String),
    #[prost(bool, tag = "4")]
    Switch(bool),
}

impl From<&serde_json::Value> for Hyperparameter {
    fn from(value: &serde_json::Value) -> Self {
        let kind = match value {
            serde_json::Value::Bool(value) => Kind::Switch(*value),
            serde_json::Value::Number(value) => Kind::Number(value.as_f64().unwrap_or(f64::NAN)),
            serde_json::Value::String(value) => Kind::Text(value.clone()),
            // It knows scalars only.
            other => Kind::Text(other.to_string()),
        };
        Self { kind: Some(kind) }
    }
}

#[derive(Clone, PartialEq, Message)]
struct Session {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// `SessionLog.START`: readers forget what earlier files say of this step and later ones.
const SESSION_START: i32 = 1;
/// `DT_FLOAT`, and `DATA_CLASS_TENSOR`.
const FLOAT: i32 = 1;
const TENSORS: i32 = 2;
/// `STATUS_SUCCESS`.
const SUCCESS: i32 = 1;

/// Appends events to one file. Events are buffered; [`EventWriter::flush`] after each epoch makes them visible.
#[derive(Debug)]
pub struct EventWriter {
    file: BufWriter<File>,
    path: PathBuf,
}

impl EventWriter {
    /// Creates a new event file in `dir` (made if missing), never touching an existing one.
    ///
    /// `first_step` is the first step this session will write. A resumed run repeats the steps after its checkpoint; with
    /// the mark this leaves, TensorBoard drops what the interrupted session had written of them.
    ///
    /// # Errors
    /// When the folder or the file cannot be made or written.
    pub fn create(dir: &Path, first_step: i64) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        // Readers take files in the order of their names, so the time comes first and has a fixed width.
        let seconds = now() as u64;
        let process = std::process::id();
        let (path, file) = (0_u32..)
            .find_map(|attempt| {
                let path = dir.join(format!("events.out.tfevents.{seconds:010}.{attempt:04}.{process}.fovea"));
                match OpenOptions::new().append(true).create_new(true).open(&path) {
                    Ok(file) => Some(Ok((path, file))),
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => None,
                    Err(error) => Some(Err(error)),
                }
            })
            .expect("some attempt ends the search")?;
        let mut writer = Self { file: BufWriter::new(file), path };
        writer.append(&Event { file_version: Some("brain.Event:2".to_owned()), ..event(0) })?;
        writer.append(&Event { session: Some(Session { status: SESSION_START }), ..event(first_step) })?;
        writer.flush()?;
        Ok(writer)
    }

    /// Where the events go.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds one point to the curve `tag`. NaN and infinities are written as they are.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn scalar(&mut self, tag: &str, step: i64, value: f64) -> io::Result<()> {
        self.value(step, Value { tag: tag.to_owned(), scalar: Some(value as f32), ..Value::default() })
    }

    /// Adds an image of `width` x `height` pixels: the bytes of an RGB PNG (or JPEG) file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn image(&mut self, tag: &str, step: i64, (width, height): (u32, u32), encoded: Vec<u8>) -> io::Result<()> {
        let side = |pixels: u32| i32::try_from(pixels).unwrap_or(i32::MAX);
        let image = Image { height: side(height), width: side(width), channels: 3, encoded };
        self.value(step, Value { tag: tag.to_owned(), image: Some(image), ..Value::default() })
    }

    /// Says what is being tried, for the tab HPARAMS, in which runs are compared: scalars by name.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn begin(&mut self, hyperparameters: &serde_json::Map<String, serde_json::Value>) -> io::Result<()> {
        let values = hyperparameters.iter().map(|(name, value)| (name.clone(), value.into())).collect();
        let start = Some(Start { values, time: now() });
        self.hyperparameters("_hparams_/session_start_info", &Hyperparameters { start, end: None })?;
        self.flush()
    }

    /// Says, for the same tab, that the run came to its end.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn end(&mut self) -> io::Result<()> {
        let end = Some(End { status: SUCCESS, time: now() });
        self.hyperparameters("_hparams_/session_end_info", &Hyperparameters { start: None, end })?;
        self.flush()
    }

    fn hyperparameters(&mut self, tag: &str, data: &Hyperparameters) -> io::Result<()> {
        let plugin = Some(Plugin { name: "hparams".to_owned(), content: data.encode_to_vec() });
        let shape = Some(Shape { sides: vec![Side { size: 1 }] });
        let tensor = Some(Tensor { kind: FLOAT, shape, values: vec![0.0] });
        let metadata = Some(Metadata { plugin, class: TENSORS });
        self.value(0, Value { tag: tag.to_owned(), tensor, metadata, ..Value::default() })
    }

    /// Hands everything written so far to the operating system.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    fn value(&mut self, step: i64, value: Value) -> io::Result<()> {
        self.append(&Event { summary: Some(Summary { values: vec![value] }), ..event(step) })
    }

    fn append(&mut self, event: &Event) -> io::Result<()> {
        let message = event.encode_to_vec();
        let length = (message.len() as u64).to_le_bytes();
        self.file.write_all(&length)?;
        self.file.write_all(&masked_crc(&length).to_le_bytes())?;
        self.file.write_all(&message)?;
        self.file.write_all(&masked_crc(&message).to_le_bytes())
    }
}

fn event(step: i64) -> Event {
    Event { wall_time: now(), step, file_version: None, summary: None, session: None }
}

/// Seconds since 1970; the clock only labels points, nothing is computed from it.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |elapsed| elapsed.as_secs_f64())
}

fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads records back, checking both checksums.
    fn read(path: &Path) -> Vec<Event> {
        let bytes = std::fs::read(path).unwrap();
        let (mut at, mut events) = (0, Vec::new());
        while at < bytes.len() {
            let length = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
            assert_eq!(masked_crc(&bytes[at..at + 8]).to_le_bytes(), bytes[at + 8..at + 12]);
            let message = &bytes[at + 12..at + 12 + length];
            assert_eq!(masked_crc(message).to_le_bytes(), bytes[at + 12 + length..at + 16 + length]);
            events.push(Event::decode(message).unwrap());
            at += 16 + length;
        }
        events
    }

    #[test]
    fn the_mask_is_tensorflows() {
        // CRC-32C of "123456789" is the check value of its catalogue entry; the mask is a rotation and a sum.
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(masked_crc(b"123456789"), 0xe306_9283_u32.rotate_right(15).wrapping_add(0xa282_ead8));
    }

    #[test]
    fn what_is_tried_is_what_its_plugin_reads() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = EventWriter::create(dir.path(), 1).unwrap();
        let tried =
            serde_json::json!({ "learning_rate": 0.5, "model_name": "resnet18", "nesterov": true, "steps": [1, 2] });
        writer.begin(tried.as_object().unwrap()).unwrap();
        writer.end().unwrap();
        let events = read(writer.path());
        let values: Vec<&Value> = events[2..].iter().map(|event| &event.summary.as_ref().unwrap().values[0]).collect();
        assert_eq!(
            values.iter().map(|value| value.tag.as_str()).collect::<Vec<_>>(),
            ["_hparams_/session_start_info", "_hparams_/session_end_info",]
        );
        let data = |value: &Value| {
            let plugin = value.metadata.clone().unwrap().plugin.unwrap();
            assert_eq!(
                (plugin.name.as_str(), value.tensor.as_ref().unwrap().values.as_slice()),
                ("hparams", &[0.0][..])
            );
            Hyperparameters::decode(&plugin.content[..]).unwrap()
        };
        let start = data(values[0]).start.unwrap();
        let kinds: Vec<Kind> = start.values.values().map(|value| value.kind.clone().unwrap()).collect();
        let text = |text: &str| Kind::Text(text.to_owned());
        assert_eq!(kinds, [Kind::Number(0.5), text("resnet18"), Kind::Switch(true), text("[1,2]")]);
        assert_eq!(data(values[1]).end.unwrap().status, SUCCESS);
    }

    #[test]
    fn each_session_has_its_own_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = EventWriter::create(dir.path(), 0).unwrap();
        first.scalar("loss", 0, 0.0).unwrap();
        first.scalar("loss", 1, f64::NAN).unwrap();
        first.flush().unwrap();
        let mut second = EventWriter::create(dir.path(), 1).unwrap();
        second.image("batch", 1, (2, 1), vec![1, 2, 3]).unwrap();
        second.flush().unwrap();
        assert!(first.path() < second.path(), "{:?} {:?}", first.path(), second.path());

        let events = read(first.path());
        assert_eq!(events[0].file_version.as_deref(), Some("brain.Event:2"));
        assert_eq!(events.len(), 4);
        let value = &events[2].summary.as_ref().unwrap().values[0];
        assert_eq!((value.tag.as_str(), value.scalar), ("loss", Some(0.0)));
        assert!(events[3].summary.as_ref().unwrap().values[0].scalar.unwrap().is_nan());
        let events = read(second.path());
        assert_eq!((events[1].step, events[1].session.as_ref().unwrap().status), (1, SESSION_START));
        let image = events[2].summary.as_ref().unwrap().values[0].image.clone().unwrap();
        assert_eq!((image.width, image.height, image.encoded), (2, 1, vec![1, 2, 3]));
    }
}
