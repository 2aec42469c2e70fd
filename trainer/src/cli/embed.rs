//! `trainer embed`: the penultimate layer of a classifier for each image.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use files::Order;
use models::host::{Limits, Rgb};
use schemas::error::ErrorCode;
use serde_json::json;
use tch::Tensor;

use super::{Answer, predict};
use crate::cli::args::EmbedArgs;
use crate::failure::{self, fail};
use crate::nn::checkpoint;
use dataset::{Fetcher, Location, data_files, resolver};
use schemas::dataset::parse_image_url;

/// Writes a vector for each image, in the order of the images; one that cannot be read is reported and left out, and
/// the exit code is 1.
///
/// # Errors
/// When the model cannot be opened or gives no features, no image could be read, or the file cannot be written.
pub fn run(args: &EmbedArgs) -> anyhow::Result<Answer> {
    let format = Format::of(&args.output)?;
    let reads: Vec<PathBuf> = args.data.iter().chain(&args.images).chain(args.model.reads()).cloned().collect();
    let order = Order { command: "embed", output: &args.output, overwrite: args.overwrite, reads: &reads };
    // Before hours of work, whether its result may be written.
    let checked = order.file()?;
    let mut model = args.model.open()?;
    let named = match &args.data {
        Some(data) => listed(data, args.data_root.as_deref())?,
        None => args.images.iter().map(|path| Named::file(path)).collect(),
    };
    let fetcher = Fetcher::new(None, Limits::default().max_bytes);
    let mut vectors = Vectors::default();
    let (mut text, mut failed) = (String::new(), Vec::new());
    for one in named {
        match one.read(&fetcher) {
            Ok(image) => vectors.push(one.name, model.features(&image)?),
            Err(error) => {
                let error = failure::text(&error);
                writeln!(text, "{}: {error}", one.name)?;
                failed.push(json!({ "filename": one.name, "error": error }));
            }
        }
    }
    if vectors.names.is_empty() {
        let none = if text.is_empty() { "there are no images to embed" } else { text.trim_end() };
        return Err(fail(ErrorCode::InvalidImage, none));
    }
    let mut writing = checked.begin()?;
    let bytes = vectors.bytes(format)?;
    writing.write(args.output.file_name().unwrap_or_default(), |out| out.write_all(&bytes))?;
    writing.publish()?;
    write!(text, "{} vectors of {} values: {}", vectors.names.len(), vectors.width, args.output.display())?;
    let count = failed.len();
    let json = json!({ "output": args.output, "width": vectors.width, "images": vectors.names, "failed": failed });
    Ok(Answer::done(text, json).done_but(count))
}

/// An image by the name it is given, and where that leads.
struct Named {
    name: String,
    place: Result<Location, String>,
}

impl Named {
    fn file(path: &Path) -> Self {
        Self { name: path.display().to_string(), place: Ok(Location::File(path.to_owned())) }
    }

    fn read(&self, fetcher: &Fetcher) -> anyhow::Result<Rgb> {
        let path = match self.place.clone().map_err(anyhow::Error::msg)? {
            Location::File(path) => path,
            Location::Http(url) => fetcher.fetch(&url).map_err(anyhow::Error::msg)?,
        };
        predict::read(&path)
    }
}

/// The images of JSONL files, row by row; labels are not looked at. A row that cannot be read is an image that cannot be.
fn listed(data: &Path, data_root: Option<&Path>) -> anyhow::Result<Vec<Named>> {
    let mut images = Vec::new();
    for file in data_files(data)? {
        let resolver = resolver(&std::path::absolute(&file)?, data_root);
        let text = std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        for (number, line) in
            text.trim_start_matches('\u{feff}').lines().enumerate().filter(|(_, line)| !line.trim().is_empty())
        {
            images.push(match parse_image_url(line.as_bytes()) {
                Ok(url) => Named { place: resolver.resolve(&url), name: url.into_owned() },
                Err(error) => Named { name: format!("{}:{}", file.display(), number + 1), place: Err(error.message) },
            });
        }
    }
    Ok(images)
}

/// What the vectors are written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Jsonl,
    Npy,
    Safetensors,
}

impl Format {
    fn of(path: &Path) -> anyhow::Result<Self> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("jsonl") => Ok(Self::Jsonl),
            Some("npy") => Ok(Self::Npy),
            Some("safetensors") => Ok(Self::Safetensors),
            _ => {
                let message = format!("--output {}: its name must end in .npy, .safetensors or .jsonl", path.display());
                Err(fail(ErrorCode::InvalidArguments, message))
            }
        }
    }
}

/// Vectors of images, row by row.
#[derive(Default)]
struct Vectors {
    names: Vec<String>,
    /// Row-major `[N, width]`.
    values: Vec<f32>,
    width: usize,
}

impl Vectors {
    fn push(&mut self, name: String, row: Vec<f32>) {
        self.width = row.len();
        self.names.push(name);
        self.values.extend(row);
    }

    fn bytes(&self, format: Format) -> anyhow::Result<Vec<u8>> {
        match format {
            Format::Jsonl => Ok(self.jsonl()),
            Format::Npy => self.npy(),
            Format::Safetensors => {
                let shape = [i64::try_from(self.names.len())?, i64::try_from(self.width)?];
                let features = Tensor::from_slice(&self.values).reshape(shape);
                let names = HashMap::from([("filenames".to_owned(), json!(self.names).to_string())]);
                Ok(checkpoint::bytes(Path::new("the vectors"), &[("features".to_owned(), features)], names)?)
            }
        }
    }

    fn jsonl(&self) -> Vec<u8> {
        let rows = self.names.iter().zip(self.values.chunks_exact(self.width.max(1)));
        rows.flat_map(|(name, row)| format!("{}\n", json!({ "filename": name, "features": row })).into_bytes())
            .collect()
    }

    /// NumPy's format, version 1.0: magic, version, length of the header, the header padded so that the values begin at a
    /// multiple of 64, the values.
    fn npy(&self) -> anyhow::Result<Vec<u8>> {
        let (rows, width) = (self.names.len(), self.width);
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {width}), }}");
        let length = (10 + header.len() + 1).next_multiple_of(64) - 10;
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend(u16::try_from(length)?.to_le_bytes());
        bytes.extend(format!("{header:<0$}\n", length - 1).bytes());
        bytes.extend(self.values.iter().flat_map(|value| value.to_le_bytes()));
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_npy_header_is_padded_and_says_the_shape() {
        let mut vectors = Vectors::default();
        vectors.push("a".to_owned(), vec![1.0, 2.0, 3.0]);
        vectors.push("b".to_owned(), vec![4.0, 5.0, 6.0]);
        let bytes = vectors.npy().unwrap();
        assert_eq!((&bytes[..8], bytes.len() % 64), (&b"\x93NUMPY\x01\x00"[..], 24));
        let header = std::str::from_utf8(&bytes[10..bytes.len() - 24]).unwrap();
        assert!(header.contains("'shape': (2, 3)") && header.ends_with('\n'), "{header:?}");
        assert_eq!(usize::from(u16::from_le_bytes([bytes[8], bytes[9]])), header.len());
        assert_eq!(bytes[bytes.len() - 4..], 6.0_f32.to_le_bytes());
    }
}
