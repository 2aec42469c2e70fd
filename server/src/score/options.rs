//! Options of `server score`, and what follows from them: the server's limits, and all that can be seen in an output.

use std::{collections::BTreeMap, num::NonZeroUsize, path::PathBuf, thread};

use clap::{Args, ValueEnum};
use schemas::{
    prediction::{MaskForm, ModelOptions, Scalar},
    registered::is_model_name,
};
use serde_json::{Value, json};

use super::error::ScoreError;
use crate::{config::Limits, providers::Providers, request::Overrides};

/// Memory of the server's own budget, in MiB, which then never is what refuses an image: the images under way are bounded by the
/// room that they wait for.
const BOUNDLESS: u64 = 16 << 20;

/// Score every image of a folder or a list into one file, on all processors, with the answers that /score gives.
///
/// Images are read, decoded, put together into full batches and run at the same time, as many as --memory allows. The answers are
/// written in the order of the input, whatever the number of threads. An image that cannot be read gets an error in place of an
/// answer, and the others are scored.
///
/// A run that ends early, however it ends, leaves OUTPUT.partial and OUTPUT.partial.json; the same command with --resume goes on
/// there, and the result is byte for byte that of an undisturbed run. Nothing is ever overwritten.
///
/// Exit code: 0 when every image has an answer, 1 when some have an error instead or the run failed, 2 for a wrong option or
/// input, 75 when told to stop by SIGTERM or SIGINT (a second one stops at once).
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The model; NAME= in front names it for --provider
    #[arg(long, value_name = "[NAME=]FILE", value_parser = model)]
    pub model: (String, PathBuf),
    /// A folder, whose images are scored with those of the folders below it, or a file of JSON lines with `image_url`: paths from
    /// that file's folder, absolute ones, or file:// URLs
    #[arg(long, value_name = "PATH")]
    pub input: PathBuf,
    /// File of JSON lines to make, one for each image
    #[arg(long, value_name = "FILE")]
    pub output: PathBuf,
    /// What a line is
    #[arg(long, value_enum, default_value_t)]
    pub format: Shape,
    /// Go on with a run that ended early; begin where there is none
    #[arg(long)]
    pub resume: bool,
    /// Print one JSON object in place of a line of text at the end
    #[arg(long)]
    pub json: bool,
    #[command(flatten, next_help_heading = "Answers")]
    pub(super) answers: Answers,
    #[command(flatten, next_help_heading = "Machine")]
    pub(super) machine: Machine,
    #[command(flatten, next_help_heading = "Providers")]
    pub(super) providers: Providers,
}

/// What a line of the output is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    /// The object that /score answers with; `filename` is the image's path as it was given
    #[default]
    Answer,
    /// A labelled row for a labelling tool, Azure or the trainer: image_url, label, label_confidence
    Rows,
}

/// What is answered.
#[derive(Args, Clone, Debug)]
pub struct Answers {
    /// Classifiers, --format answer: only the N most probable labels, the most probable first
    #[arg(long, value_name = "N", alias = "top_k", value_parser = clap::value_parser!(u32).range(1..))]
    pub top_k: Option<u32>,
    /// Multi-label classifiers, --format rows: labels above this probability [default: the model's own]
    #[arg(long, value_name = "P", alias = "label_threshold")]
    pub label_threshold: Option<f64>,
    /// Detectors: only boxes with a score above this [default: the model's own]
    #[arg(long, value_name = "P", alias = "score_threshold")]
    pub score_threshold: Option<String>,
    /// Detectors: of two boxes of a class that overlap by more than this, only the better [default: the model's own]
    #[arg(long, value_name = "IOU", alias = "iou_threshold")]
    pub iou_threshold: Option<String>,
    /// Prepared detectors: also look at tiles of the image; none for no tiles [default: the model's own]
    #[arg(long, value_name = "COLUMNSxROWS", alias = "tile_grid_size")]
    pub tile_grid_size: Option<String>,
    /// Prepared detectors: overlap of neighbouring tiles, as a share of their side [default: the model's own]
    #[arg(long, value_name = "SHARE", alias = "tile_overlap_ratio")]
    pub tile_overlap_ratio: Option<String>,
    /// Prepared detectors: boxes of two tiles that overlap by more than this are one [default: the model's own]
    #[arg(long, value_name = "IOU", alias = "tile_predictions_nms_thresh")]
    pub tile_predictions_nms_thresh: Option<String>,
    /// Mask models: polygon, rle, png or none [default: polygon]
    #[arg(long, value_name = "FORM", value_parser = str::parse::<MaskForm>)]
    pub masks: Option<MaskForm>,
    /// Mask models: a pixel is an object's above this probability [default: the model's own]
    #[arg(long, value_name = "P", alias = "mask_pixel_score_threshold")]
    pub mask_pixel_score_threshold: Option<String>,
    /// Mask models: most points of the polygons of one object [default: the model's own]
    #[arg(long, value_name = "N", alias = "max_number_of_polygon_points")]
    pub max_number_of_polygon_points: Option<String>,
    /// Prepared classifiers: length of an image's shorter side before it is cut, in pixels [default: the model's own]
    #[arg(long, value_name = "PIXELS", alias = "valid_resize_size")]
    pub valid_resize_size: Option<String>,
    /// Prepared classifiers exported with --any-size: side of the square that is cut, in pixels [default: the model's own]
    #[arg(long, value_name = "PIXELS", alias = "valid_crop_size")]
    pub valid_crop_size: Option<String>,
}

/// What of the machine is used.
#[derive(Args, Clone, Debug)]
pub struct Machine {
    /// Sessions; each runs one batch at a time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub workers: u32,
    /// Threads per session [default: processors / workers]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub threads: Option<u32>,
    /// Threads that decode and resize images [default: processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub decode_threads: Option<u32>,
    /// Images, or tiles of them, that are run at once
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub max_batch: u64,
    /// Memory for files and decoded images under way, in MiB. Images wait for it; one that needs more alone gets an error
    #[arg(long, value_name = "MIB", default_value_t = 2048, value_parser = clap::value_parser!(u64).range(16..=1_048_576))]
    pub memory: u64,
    /// Largest file, in MiB; a larger one gets an error
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub max_file: u64,
    /// Longest side of an image, in pixels; a larger one gets an error
    #[arg(long, value_name = "PIXELS", default_value_t = 16_384, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_side: u32,
    /// Most pixels of an image, before and after resizing, a detector's tiles included; a larger one gets an error
    #[arg(long, value_name = "PIXELS", default_value_t = 100_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub max_pixels: u64,
    /// Longest time that one image is decoded, in seconds; one that takes longer gets an error
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub decode_timeout: u64,
    /// ONNX Runtime's file or folder [default: searched beside the program]
    #[arg(long, value_name = "PATH")]
    pub library: Option<PathBuf>,
}

/// A model's name, `model` where none is given, and its file.
fn model(text: &str) -> Result<(String, PathBuf), String> {
    let path = PathBuf::from(text);
    match text.split_once('=') {
        // A file may be called so, too.
        Some((name, file)) if is_model_name(name) && !file.is_empty() && !path.exists() => {
            Ok((name.to_owned(), PathBuf::from(file)))
        }
        Some(_) | None if text.is_empty() => Err("name a file, such as model.onnx".to_owned()),
        Some(_) | None => Ok(("model".to_owned(), path)),
    }
}

impl Answers {
    /// What is said in place of the model's own settings.
    ///
    /// # Errors
    /// A value that is too long for any option.
    pub(super) fn overrides(&self) -> Result<Overrides, ScoreError> {
        let scalar = |name: &str, given: &Option<String>| match given.as_deref().map(Scalar::from_text) {
            None => Ok(None),
            Some(Some(value)) => Ok(Some(value)),
            Some(None) => Err(ScoreError::Options(format!("--{name} is no number; give one, such as 0.5"))),
        };
        let options = ModelOptions {
            score_threshold: scalar("score-threshold", &self.score_threshold)?,
            iou_threshold: scalar("iou-threshold", &self.iou_threshold)?,
            tile_grid_size: scalar("tile-grid-size", &self.tile_grid_size)?,
            tile_overlap_ratio: scalar("tile-overlap-ratio", &self.tile_overlap_ratio)?,
            tile_predictions_nms_thresh: scalar("tile-predictions-nms-thresh", &self.tile_predictions_nms_thresh)?,
            mask_pixel_score_threshold: scalar("mask-pixel-score-threshold", &self.mask_pixel_score_threshold)?,
            max_number_of_polygon_points: scalar("max-number-of-polygon-points", &self.max_number_of_polygon_points)?,
            valid_resize_size: scalar("valid-resize-size", &self.valid_resize_size)?,
            valid_crop_size: scalar("valid-crop-size", &self.valid_crop_size)?,
            // Lines are cut where they are made.
            top_k: None,
        };
        Ok(Overrides { options, masks: self.masks })
    }
}

impl Machine {
    // Counts what this process may use (affinity, container quota), not what the machine has.
    fn processors() -> usize {
        thread::available_parallelism().map_or(1, NonZeroUsize::get)
    }

    /// Threads of each session.
    pub(super) fn threads(&self) -> usize {
        self.threads.map_or((Self::processors() / self.workers as usize).max(1), |n| n as usize)
    }

    /// Threads that decode.
    pub(super) fn decode_threads(&self) -> usize {
        self.decode_threads.map_or_else(Self::processors, |n| n as usize)
    }

    /// Most images of a batch.
    pub(super) fn batch(&self) -> usize {
        usize::try_from(self.max_batch).unwrap_or(usize::MAX)
    }

    /// Limits of a server that refuses no image for want of room. What concerns HTTP is not used.
    pub(super) fn limits(&self) -> Limits {
        Limits {
            max_body: self.max_file,
            max_images: 1,
            max_explained: 0,
            max_side: self.max_side,
            max_pixels: self.max_pixels,
            memory: BOUNDLESS,
            decode_timeout: self.decode_timeout,
            max_concurrent: 65_536,
            queue: 65_536,
            max_batch: self.max_batch,
            max_connections: 1,
            header_timeout: 1,
            body_timeout: 1,
            pause_timeout: 1,
            answer_timeout: 1,
            run_timeout: 86_400,
            keep_alive: 1,
        }
    }
}

impl Options {
    /// Everything of the options that can be seen in an output, by name. The number of sessions and of decoding threads cannot; the
    /// threads of a session can, in the last digits of its sums.
    pub(super) fn visible(&self) -> BTreeMap<String, Value> {
        let Answers {
            top_k,
            label_threshold,
            score_threshold,
            iou_threshold,
            tile_grid_size,
            tile_overlap_ratio,
            tile_predictions_nms_thresh,
            masks,
            mask_pixel_score_threshold,
            max_number_of_polygon_points,
            valid_resize_size,
            valid_crop_size,
        } = &self.answers;
        let Machine { max_batch, memory, max_file, max_side, max_pixels, decode_timeout, .. } = &self.machine;
        let Providers { choices, fallback, pad, cuda_graphs } = &self.providers;
        let format = match self.format {
            Shape::Answer => "answer",
            Shape::Rows => "rows",
        };
        let providers: Vec<String> = choices.iter().map(|choice| choice.provider.to_string()).collect();
        let values = [
            ("--format", json!(format)),
            ("--top-k", json!(top_k)),
            ("--label-threshold", json!(label_threshold)),
            ("--score-threshold", json!(score_threshold)),
            ("--iou-threshold", json!(iou_threshold)),
            ("--tile-grid-size", json!(tile_grid_size)),
            ("--tile-overlap-ratio", json!(tile_overlap_ratio)),
            ("--tile-predictions-nms-thresh", json!(tile_predictions_nms_thresh)),
            ("--masks", json!(masks)),
            ("--mask-pixel-score-threshold", json!(mask_pixel_score_threshold)),
            ("--max-number-of-polygon-points", json!(max_number_of_polygon_points)),
            ("--valid-resize-size", json!(valid_resize_size)),
            ("--valid-crop-size", json!(valid_crop_size)),
            ("--threads", json!(self.machine.threads())),
            ("--max-batch", json!(max_batch)),
            ("--memory", json!(memory)),
            ("--max-file", json!(max_file)),
            ("--max-side", json!(max_side)),
            ("--max-pixels", json!(max_pixels)),
            ("--decode-timeout", json!(decode_timeout)),
            ("--provider", json!(providers)),
            ("--provider-fallback", json!(fallback.is_some())),
            ("--pad-batches", json!(format!("{pad:?}").to_lowercase())),
            ("--cuda-graphs", json!(cuda_graphs)),
        ];
        values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Score {
        #[command(flatten)]
        options: Options,
    }

    #[derive(Parser)]
    struct Serve {
        #[command(flatten)]
        limits: Limits,
    }

    fn options(more: &[&str]) -> Options {
        let given = ["score", "--model", "m.onnx", "--input", "in", "--output", "out"];
        Score::parse_from(given.iter().chain(more)).options
    }

    #[test]
    fn an_image_is_refused_where_serving_refuses_it() {
        let (score, serve) = (options(&[]).machine, Serve::parse_from(["serve"]).limits);
        assert_eq!(score.limits().decode(), serve.decode());
        assert_eq!(score.limits().decode_time(), serve.decode_time());
        assert_eq!((score.memory, score.max_batch), (serve.memory, serve.max_batch));
    }

    #[test]
    fn a_model_has_a_name_or_gets_one() {
        assert_eq!(options(&[]).model, ("model".to_owned(), "m.onnx".into()));
        assert_eq!(model("a=b.onnx"), Ok(("a".to_owned(), "b.onnx".into())));
        assert_eq!(model("a/x=b.onnx"), Ok(("model".to_owned(), "a/x=b.onnx".into())));
        assert!(model("").is_err());
    }

    #[test]
    fn options_have_the_names_of_requests_too() {
        let given =
            options(&["--score_threshold", "0.5", "--tile-grid-size", "2x2"]).answers.overrides().unwrap().options;
        assert_eq!(given.given().count(), 2);
        let long = "1".repeat(40);
        assert!(options(&["--score-threshold", &long]).answers.overrides().is_err());
    }
}
