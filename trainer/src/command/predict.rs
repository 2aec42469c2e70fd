//! `trainer predict`: classes of images, and pictures with the answer on them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use models::host::{self, Limits, Rgb};
use schemas::error::ErrorCode;
use serde_json::{Value, json};

use super::Answer;
use crate::caption;
use crate::classifier::Classifier;
use crate::cli::PredictArgs;
use crate::failure::fail;
use crate::files::write_atomic;

/// Classifies each image; an image that cannot be read is reported and the others are still answered.
///
/// # Errors
/// When the model cannot be opened, or no image could be read.
pub fn run(args: &PredictArgs) -> anyhow::Result<Answer> {
    let mut model = Classifier::open(&args.model)?;
    let labels = model.meta().labels.clone();
    let (mut text, mut rows, mut failed) = (String::new(), Vec::new(), 0);
    for path in &args.images {
        match read(path) {
            Ok(image) => {
                let probabilities = model.classify(&image)?;
                let ranked = ranked(&labels, &probabilities);
                let shown: Vec<String> =
                    ranked.iter().take(args.top.max(1)).map(|(label, p)| format!("{label} {p:.3}")).collect();
                writeln!(text, "{}: {}", path.display(), shown.join(", "))?;
                let saved = args.save.as_deref().map(|dir| save(dir, path, &image, &shown)).transpose()?;
                rows.push(json!({ "filename": path, "labels": labels, "probs": probabilities, "saved": saved }));
            }
            Err(error) => {
                failed += 1;
                writeln!(text, "{}: {error:#}", path.display())?;
                rows.push(json!({ "filename": path, "error": format!("{error:#}") }));
            }
        }
    }
    if failed == args.images.len() {
        return Err(fail(ErrorCode::InvalidImage, text.trim_end()));
    }
    Ok(Answer::done(text.trim_end().to_owned(), json!({ "predictions": Value::Array(rows) })))
}

fn read(path: &Path) -> anyhow::Result<Rgb> {
    let bytes = std::fs::read(path).context("cannot be read")?;
    Ok(host::decode(&bytes, &Limits::default())?)
}

/// Labels with their probabilities, the most probable first; ties keep the label order.
fn ranked<'a>(labels: &'a [String], probabilities: &[f32]) -> Vec<(&'a str, f32)> {
    let mut pairs: Vec<_> = labels.iter().map(String::as_str).zip(probabilities.iter().copied()).collect();
    pairs.sort_by(|a, b| b.1.total_cmp(&a.1));
    pairs
}

fn save(dir: &Path, path: &Path, image: &Rgb, lines: &[String]) -> anyhow::Result<PathBuf> {
    let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy();
    // Nothing that is there is overwritten: neither the picture itself nor the answer to another one of the same name.
    let target = std::iter::once(dir.join(format!("{name}.jpg")))
        .chain((2..).map(|n| dir.join(format!("{name}-{n}.jpg"))))
        .find(|target| !target.exists())
        .unwrap_or_else(|| dir.join(format!("{name}.jpg")));
    let jpeg = host::encode_jpeg(&caption::below(image, lines), 90);
    write_atomic(&target, &jpeg).with_context(|| format!("writing {}", target.display()))?;
    Ok(target)
}
