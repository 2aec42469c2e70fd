//! Command lines. Every setting of `schemas` becomes an option of `train`, with its help and its other names.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand};
use schemas::error::ErrorCode;
use schemas::plan::Device;
use schemas::prediction::{ApproximationMethod, XaiAlgorithm};
use schemas::setting::SETTINGS;
use serde::de::DeserializeOwned;

use crate::failure::fail;
use crate::predict::trained::Trained;
use crate::train::Export;

use super::sweep::args::{JobArgs, SweepArgs};
use dataset::convert::Subfolders;
use dataset::convert::boxes::masks::{MaskKind, MaskOptions};
use dataset::convert::boxes::{Sizes, voc, yolo};
use dataset::convert::table::{BoxForm, TableOptions};

/// Trains vision models on labelled images.
#[derive(Debug, Parser)]
#[command(
    name = "trainer",
    version,
    after_help = "First five minutes:\n  \
        trainer sample-data --output data/shapes\n  \
        trainer train --training_data data/shapes/train.jsonl --validation_data data/shapes/validation.jsonl \\\n                --output runs/shapes\n  \
        trainer predict --checkpoint runs/shapes data/shapes/images/test/*.jpg\n\n\
        Options may be written with dashes or underscores. Exit codes: 0 done, 2 bad input or configuration,\n\
        75 interrupted and resumable, 3 `check` found errors, 1 anything else (some images of predict or embed\n\
        could not be read)."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Action,
    /// Print exactly one JSON object on standard output; progress goes to standard error.
    #[arg(long, global = true)]
    pub json: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Train a model: data in, run folder with the best model, its ONNX file and a report out.
    Train(Box<TrainArgs>),
    /// Find the faults of a data set before a model learns them: broken images, copies in two parts, bad boxes, odd
    /// classes.
    Check(CheckArgs),
    /// Measure a checkpoint or an exported file on labelled images.
    Evaluate(EvaluateArgs),
    /// Say what images show, or what is where in them.
    Predict(PredictArgs),
    /// Give the penultimate layer of a classifier for each image: vectors for search and for finding duplicates.
    Embed(EmbedArgs),
    /// Turn other layouts of labelled images into JSONL.
    Convert(ConvertArgs),
    /// Generate a small dataset, for the first five minutes.
    SampleData(SampleDataArgs),
    /// List the models, or show one.
    Models(ModelsArgs),
    /// Do what an Azure ML image job (`type: automl`) says: one training, or a study of many.
    Job(Box<JobArgs>),
    /// Train many times with other settings, and keep the best model.
    Sweep(Box<SweepArgs>),
    /// List runs, compare them, or remove checkpoints that nobody needs any more.
    Runs(RunsArgs),
    /// Give a trained model a name and a version in a folder of models, for a server.
    Register(RegisterArgs),
}

/// Options of `train` that are not settings.
#[derive(Clone, Debug, Args)]
pub struct TrainArgs {
    /// What the model shall answer.
    #[arg(long, default_value = "image-classification")]
    pub task: String,
    /// Model; `trainer models` lists them. Default: efficientnet_lite0; for detection and instance segmentation one whose published weights can be had, else yolov5 and maskrcnn.
    #[arg(long = "model_name", alias = "model")]
    pub model_name: Option<String>,
    /// Labelled images: a JSONL file or an MLTable folder.
    #[arg(long = "training_data", value_name = "PATH", required_unless_present_any = ["resume", "config"])]
    pub training_data: Option<PathBuf>,
    /// Options and settings in a file, YAML or TOML, by their names; what is given on the command line goes before them. Paths in it are
    /// relative to the file.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Labelled images to validate on; left out, a share of the training data (`split_ratio`) is held back.
    #[arg(long = "validation_data", value_name = "PATH")]
    pub validation_data: Option<PathBuf>,
    /// Folder that azureml:// and AmlDatastore:// image addresses are relative to.
    #[arg(long = "data_root", value_name = "DIR")]
    pub data_root: Option<PathBuf>,
    /// Weights to start from: auto (published ones, fetched when they are not on this machine), none, or a file
    /// (.safetensors, .pth).
    #[arg(long, default_value = "auto", value_name = "auto|none|FILE")]
    pub pretrained: String,
    /// Start from the model of a previous run instead (run folder, checkpoint folder or model.safetensors) of the same
    /// model_name: tensors of equal name and shape are taken over, the head where the labels are the same.
    #[arg(long = "checkpoint_run", value_name = "PATH")]
    pub checkpoint_run: Option<PathBuf>,
    /// Where settings that are not given come from: auto (from what is known of the data and the weights; printed with
    /// reasons), specification (the defaults of Azure's AutoML for Images, to the letter).
    #[arg(long, default_value = "auto", value_name = "auto|specification")]
    pub recipe: String,
    /// Where to compute: auto, cpu, cuda:0.
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// Arithmetic of the training step: auto (bf16 where the processor has it and the model gains
    /// by it), fp32, bf16, fp16 (CUDA devices, with a scaled loss). Evaluation is fp32 always.
    #[arg(long, default_value = "auto")]
    pub precision: String,
    /// Seed of everything random; the same seed gives the same run.
    #[arg(long, alias = "random_seed", default_value_t = 0)]
    pub seed: u64,
    /// Form of the ONNX file written at the end: whole (any size in; the default), prepared (resized images in), none.
    #[arg(long, value_parser = PossibleValuesParser::new(Export::NAMES).try_map(|word| word.parse::<Export>()))]
    pub export: Option<Export>,
    /// Threads that compute; 0 uses every core.
    #[arg(long, default_value_t = 0)]
    pub threads: usize,
    /// Memory for decoded images, in MiB; the default is a quarter of the machine's, at most 4096.
    #[arg(long = "cache_mib", value_name = "MIB")]
    pub cache_mib: Option<u64>,
    /// Folder in which decoded images are kept for other trainings on the same images, up to --cache_mib for each part of the data. Remove
    /// it whenever you like.
    #[arg(long = "image_cache", value_name = "DIR")]
    pub image_cache: Option<PathBuf>,
    /// Folder of the run: one that is not there, an empty one, or, with --resume, that of the run. (What a start that failed
    /// before its first checkpoint left there does not count.)
    #[arg(long, value_name = "DIR")]
    pub output: PathBuf,
    /// Names of the options that were given, as opposed to left at their defaults.
    #[arg(skip)]
    pub given: Vec<String>,
    /// Continue the run in --output exactly where its last checkpoint stands; other options are taken from its plan.
    #[arg(long)]
    pub resume: bool,
}

/// A trained model: a checkpoint or an exported file, and where it computes.
#[derive(Clone, Debug, Args)]
pub struct ModelArgs {
    /// Where it lies.
    #[command(flatten)]
    pub file: ModelFile,
    /// Where a checkpoint computes: auto (the first CUDA device if there is one, otherwise the CPU), cpu, cuda:0. Exported files
    /// run on the CPU.
    #[arg(long, default_value_t)]
    pub device: Device,
}

/// The file of a trained model, of one kind or the other.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub struct ModelFile {
    /// Run folder, checkpoint folder, or model.safetensors.
    #[arg(long, value_name = "PATH")]
    pub checkpoint: Option<PathBuf>,
    /// Exported file, run by ONNX Runtime.
    #[arg(long, value_name = "FILE")]
    pub onnx: Option<PathBuf>,
}

impl ModelArgs {
    /// Opens the model that the options name.
    ///
    /// # Errors
    /// When there is no such model, or it is damaged; when the device is not there, or not for this kind of model.
    pub fn open(&self) -> anyhow::Result<Trained> {
        match (&self.file.checkpoint, &self.file.onnx) {
            (Some(path), _) => Trained::from_checkpoint(path, self.device),
            (None, Some(path)) => match self.device {
                Device::Auto | Device::Cpu => Trained::from_file(path),
                Device::Cuda(_) => {
                    let message = format!(
                        "device {}: exported files run on the CPU; give the checkpoint with --checkpoint, or use --device cpu",
                        self.device
                    );
                    Err(fail(ErrorCode::InvalidArguments, message))
                }
            },
            (None, None) => anyhow::bail!("name a model: --checkpoint runs/NAME or --onnx model.onnx"),
        }
    }

    /// The file that is read, as it was named.
    pub fn reads(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.file.checkpoint, &self.file.onnx].into_iter().flatten()
    }
}

/// Options of `check`.
#[derive(Debug, Args)]
#[command(
    after_help = "What is found is an error (images are lost, or what a training learns or measures is wrong), a \
        warning (most likely a mistake) or a note. Exit codes: 0 no errors, 3 errors were found, 2 the data cannot be \
        read at all.\n\n\
        Name all parts at once: an image that is in two of them flatters every metric, and only then can it be found.\n  \
        trainer check train.jsonl --validation_data validation.jsonl --output runs/check\n\n\
        Images that look the same are copies saved again, resized or darkened, and photographs of one scene that hardly \
        differ. A copy that was mirrored or cut by a few per cent is not found.\n\n\
        A trained model finds labels that are likely wrong. Best are the models of a cross-validation, each of which is \
        asked about the images that it has not seen; a model that was trained on a wrong label may repeat it.\n  \
        trainer train --training_data train.jsonl --folds 5 --output runs/folds\n  \
        trainer check train.jsonl --checkpoint runs/folds --output runs/check"
)]
pub struct CheckArgs {
    /// Labelled images to train on: a JSONL file, an MLTable folder or, for image-classification, a folder of class
    /// folders, which may stand in folders train, validation and test.
    #[arg(value_name = "DATA")]
    pub data: PathBuf,
    /// What the labels are for.
    #[arg(long, default_value = "image-classification")]
    pub task: String,
    /// Labelled images to validate on.
    #[arg(long = "validation_data", value_name = "PATH")]
    pub validation_data: Option<PathBuf>,
    /// Labelled images to test on.
    #[arg(long = "test_data", value_name = "PATH")]
    pub test_data: Option<PathBuf>,
    /// Folder that azureml:// and AmlDatastore:// image addresses are relative to.
    #[arg(long = "data_root", value_name = "DIR")]
    pub data_root: Option<PathBuf>,
    /// Key of the rows, such as patient, scene or day, whose values are groups, of which none may be in two parts.
    #[arg(long = "group_column", value_name = "KEY")]
    pub group_column: Option<String>,
    /// Model that shall be trained, which says what sizes of images and boxes are too small or too large. Default: that
    /// of `train`.
    #[arg(long = "model_name", alias = "model")]
    pub model_name: Option<String>,
    /// Folder to write a page with the images concerned to (check.html), and all findings as JSON (check.json).
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Replace what an earlier check wrote to --output and nobody has changed since. Any other file that is in the way
    /// stays.
    #[arg(long, requires = "output")]
    pub overwrite: bool,
    /// The model that doubts labels.
    #[command(flatten)]
    pub doubts: DoubtArgs,
}

/// Options of `check` about the model that doubts labels.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Likely label errors")]
pub struct DoubtArgs {
    /// Run folder, checkpoint folder, or model.safetensors of a model that is asked about the images, or the folder of a
    /// cross-validation (`train --folds`), whose models are asked about the images that they have not seen. Labels that
    /// it doubts are listed.
    #[arg(long, value_name = "PATH", conflicts_with = "onnx")]
    pub checkpoint: Option<PathBuf>,
    /// The same with an exported file, run by ONNX Runtime.
    #[arg(long, value_name = "FILE")]
    pub onnx: Option<PathBuf>,
    /// Where a checkpoint computes: auto (the first CUDA device if there is one, otherwise the CPU), cpu, cuda:0. Exported files
    /// run on the CPU.
    #[arg(long, default_value_t)]
    pub device: Device,
    /// Most labels to list, the most suspicious first (default: 60).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub suspects: Option<u32>,
}

/// Options of `evaluate`.
#[derive(Debug, Args)]
pub struct EvaluateArgs {
    /// The model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Labelled images: a JSONL file or an MLTable folder.
    #[arg(long, value_name = "PATH")]
    pub data: PathBuf,
    /// Folder that azureml:// and AmlDatastore:// image addresses are relative to.
    #[arg(long = "data_root", value_name = "DIR")]
    pub data_root: Option<PathBuf>,
    /// Images at once.
    #[arg(long = "batch_size", default_value_t = 32)]
    pub batch_size: usize,
    /// Also cut each image into a grid of tiles, for small objects, such as 3x2 (detection; default: the model's).
    #[arg(long = "tile_grid_size", value_name = "GRID")]
    pub tile_grid_size: Option<String>,
    /// Skip bad rows and images and list them; false makes the first one fatal.
    #[arg(long = "ignore_data_errors", default_value_t = true, action = clap::ArgAction::Set)]
    pub ignore_data_errors: bool,
}

/// Options of `predict`.
#[derive(Debug, Args)]
pub struct PredictArgs {
    /// The model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Image files.
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<PathBuf>,
    /// Write each image with its answer drawn on it into this folder.
    #[arg(long, value_name = "DIR")]
    pub save: Option<PathBuf>,
    /// Replace what `predict` saved for these images earlier and nobody has changed since. Any other file that is in the way
    /// stays, and nothing is written.
    #[arg(long, requires = "save")]
    pub overwrite: bool,
    /// Most classes to print per image (classification; default: 3, and all above its label_threshold of a multi-label model).
    #[arg(long)]
    pub top: Option<usize>,
    /// Show boxes whose score is above it, 0 to 1 (detection; default: the model's).
    #[arg(long = "box_score_thresh", alias = "score_threshold", value_name = "FLOAT")]
    pub score_threshold: Option<f64>,
    /// Of two boxes of a class that overlap by more than this, leave the less certain one out (detection; default: the
    /// model's).
    #[arg(long = "box_nms_thresh", alias = "iou_threshold", value_name = "FLOAT")]
    pub iou_threshold: Option<f64>,
    /// Also cut each image into a grid of tiles, for small objects, such as 3x2 (detection; default: the model's).
    #[arg(long = "tile_grid_size", value_name = "GRID")]
    pub tile_grid_size: Option<String>,
    /// What explains the answer.
    #[command(flatten)]
    pub explain: ExplainArgs,
}

/// Options of an explanation.
#[derive(Debug, Args)]
#[command(next_help_heading = "Explanation (classification)")]
pub struct ExplainArgs {
    /// Show which pixels the answer came from, in the images of --save: xrai, integrated_gradients, guided_backprop,
    /// guided_gradcam (checkpoints), occlusion (exported files too). Of the most probable class, or of every label above the threshold.
    #[arg(long, value_name = "METHOD", value_parser = spelled::<XaiAlgorithm>)]
    pub explain: Option<XaiAlgorithm>,
    /// Put the attributions of every pixel into the JSON.
    #[arg(long, requires = "explain")]
    pub attributions: bool,
    /// Rank the regions of xrai once (true), or again after each one (false).
    #[arg(long = "xrai_fast", value_name = "BOOL", requires = "explain", default_value_t = true, action = clap::ArgAction::Set)]
    pub xrai_fast: bool,
    /// Steps of the integral of integrated_gradients and xrai.
    #[arg(long = "n_steps", value_name = "N", requires = "explain", default_value_t = 50, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    pub n_steps: u32,
    /// Its rule: riemann_left, riemann_middle, riemann_right, riemann_trapezoid, gausslegendre.
    #[arg(long = "approximation_method", value_name = "RULE", requires = "explain", default_value = "riemann_middle", value_parser = spelled::<ApproximationMethod>)]
    pub approximation_method: ApproximationMethod,
    /// Labels with a greater probability are explained (multi-label).
    #[arg(
        long = "confidence_score_threshold_multilabel",
        value_name = "FLOAT",
        requires = "explain",
        default_value_t = 0.5
    )]
    pub threshold: f64,
}

/// One of a fixed set of words.
fn spelled<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(text.into()).map_err(|error| error.to_string())
}

/// Options of `embed`.
#[derive(Debug, Args)]
pub struct EmbedArgs {
    /// The model; an exported file has to be one made with `exporter --features`.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Image files.
    #[arg(value_name = "IMAGE", required_unless_present = "data", conflicts_with = "data")]
    pub images: Vec<PathBuf>,
    /// The images of a JSONL file or an MLTable folder; labels are not looked at and may be missing.
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    /// Folder that azureml:// and AmlDatastore:// image addresses are relative to.
    #[arg(long = "data_root", value_name = "DIR")]
    pub data_root: Option<PathBuf>,
    /// File to write, by its ending: .npy (float32, a row per image), .safetensors (`features`, and the names of the images as
    /// metadata `filenames`) or .jsonl (a line per image: `filename`, `features`).
    #[arg(long, value_name = "FILE")]
    pub output: PathBuf,
    /// Replace --output if it is what `embed` wrote and nobody has changed it since. Any other file stays.
    #[arg(long)]
    pub overwrite: bool,
}

/// Options of `convert`.
#[derive(Debug, Args)]
pub struct ConvertArgs {
    /// Layout to read.
    #[command(subcommand)]
    pub from: ConvertFrom,
    /// Replace what an earlier conversion wrote to --output and nobody has changed since, and remove what of it no longer
    /// belongs. Any other file that is in the way stays, and nothing is written.
    #[arg(long, global = true)]
    pub overwrite: bool,
    /// Drop points of outlines that lie far from all others of their outline, such as a corner of the image that a program
    /// began with (`trainer check` finds them), and take boxes from what is left.
    #[arg(long = "drop_stray_points", global = true)]
    pub drop_stray_points: bool,
    /// Most points of an object's outline; one that has more is simplified, where that costs least area. Without it outlines stay
    /// exact.
    #[arg(long = "max_points", value_name = "POINTS", global = true, value_parser = clap::value_parser!(u32).range(3..=100_000))]
    pub max_points: Option<u32>,
}

/// Layouts that can be converted.
#[derive(Debug, Subcommand)]
pub enum ConvertFrom {
    /// One folder of images per class; where all folders are called `train`, `val`, `Testing` and the like, each is a part
    /// with class folders in it, and one file each is written.
    Folders {
        /// Folder that holds the class folders.
        input: PathBuf,
        /// What its folders are; otherwise told by their names. In doubt the folder is refused.
        #[arg(long, value_enum, value_name = "KIND")]
        subfolders: Option<SubfolderKind>,
        /// JSONL file to write, or a folder for the files of several parts.
        #[arg(long, value_name = "PATH")]
        output: PathBuf,
    },
    /// A table with an image per row, and its label, a list of labels, a column of 0 and 1 per class, or a box: CSV
    /// with a header or of a known kind without one. What its columns hold is told by their names; in doubt the table
    /// is refused.
    Csv {
        /// Table to read.
        input: PathBuf,
        /// JSONL file to write, or a folder where the table tells training and test rows apart.
        #[arg(long, value_name = "PATH")]
        output: PathBuf,
        /// How it is read.
        #[command(flatten)]
        table: TableArgs,
    },
    /// COCO's detection JSON.
    Coco {
        /// COCO files.
        #[arg(required = true, value_name = "FILE")]
        inputs: Vec<PathBuf>,
        /// Folder that file names are relative to; the default is each file's own.
        #[arg(long, value_name = "DIR")]
        images: Option<PathBuf>,
        /// What boxes are counted in where a declared size is not the file's: whatever all fit, or as said.
        #[arg(long, value_enum, default_value_t)]
        sizes: BoxSizes,
        /// JSONL file to write, or a folder for those of several inputs.
        #[arg(long, value_name = "PATH")]
        output: PathBuf,
    },
    /// A Pascal VOC folder (Annotations, JPEGImages, ImageSets), or a folder of its XML files; a JSONL file per list.
    Voc {
        /// Folder to read.
        input: PathBuf,
        /// Folder of the images; the default is JPEGImages.
        #[arg(long, value_name = "DIR")]
        images: Option<PathBuf>,
        /// What coordinates are: corners of the box in pixels, or its first and last pixel counted from 1.
        #[arg(long = "voc_pixels", value_enum, default_value_t)]
        pixels: VocPixels,
        /// What boxes are counted in where a declared size is not the file's: whatever all fit, or as said.
        #[arg(long, value_enum, default_value_t)]
        sizes: BoxSizes,
        /// JSONL file to write, or a folder for those of several lists.
        #[arg(long, value_name = "PATH")]
        output: PathBuf,
    },
    /// A YOLO data set: data.yaml, and a text file of boxes per image.
    Yolo {
        /// The data.yaml.
        input: PathBuf,
        /// What lines with more numbers than a box are; otherwise told by kpt_shape, or by all lines together. In doubt the
        /// data set is refused.
        #[arg(long, value_enum, value_name = "KIND")]
        rows: Option<RowKind>,
        /// Folder for a JSONL file per part, or the file to write where there is one part.
        #[arg(long, value_name = "PATH")]
        output: PathBuf,
    },
    /// Masks as PNG, TIFF or BMP files: an image of numbers, one for each object (Pascal VOC's SegmentationObject, or a folder of
    /// masks beside one of images), or an image for each object, in a folder for each image. Masks become outlines along
    /// the edges of their pixels.
    Masks {
        /// Folder to read.
        input: PathBuf,
        /// How it is read.
        #[command(flatten)]
        masks: MaskArgs,
        /// JSONL file to write, or a folder for those of several parts.
        #[arg(long, value_name = "PATH")]
        output: PathBuf,
    },
    /// LabelMe: a JSON file for each image. Polygons, rectangles, circles and masks are read, and shapes of one group_id and
    /// label are one object; points and lines are left out.
    Labelme {
        /// Folder of the JSON files, or one of them.
        input: PathBuf,
        /// Folder of the images; the default is where each file says, beside it.
        #[arg(long, value_name = "DIR")]
        images: Option<PathBuf>,
        /// What points are counted in where a declared size is not the file's: whatever all fit, or as said.
        #[arg(long, value_enum, default_value_t)]
        sizes: BoxSizes,
        /// JSONL file to write, or a folder for those of several parts.
        #[arg(long, value_name = "PATH")]
        output: PathBuf,
    },
    /// "CVAT for images 1.1": an XML file. Polygons, boxes (also rotated ones), ellipses and masks are read, and shapes of one
    /// group_id and label are one object; points and lines are left out.
    Cvat {
        /// The XML file, or the folder of an annotations.xml.
        input: PathBuf,
        /// Folder of the images; the default is `images` beside the file, and its own.
        #[arg(long, value_name = "DIR")]
        images: Option<PathBuf>,
        /// What points are counted in where a declared size is not the file's: whatever all fit, or as said.
        #[arg(long, value_enum, default_value_t)]
        sizes: BoxSizes,
        /// JSONL file to write, or a folder for those of several subsets.
        #[arg(long, value_name = "PATH")]
        output: PathBuf,
    },
    /// The other way: rows of objects to COCO, VOC, YOLO, masks, LabelMe or CVAT.
    Jsonl {
        /// JSONL files or MLTable folders, one per part.
        #[arg(required = true, value_name = "PATH")]
        inputs: Vec<PathBuf>,
        /// Layout to write.
        #[arg(long, value_enum)]
        to: BoxLayout,
        /// Folder that azureml:// and AmlDatastore:// image addresses are relative to.
        #[arg(long = "data_root", value_name = "DIR")]
        data_root: Option<PathBuf>,
        /// What VOC's coordinates are: corners of the box in pixels, or its first and last pixel counted from 1.
        #[arg(long = "voc_pixels", value_enum, default_value_t)]
        pixels: VocPixels,
        /// Put hard links to the images into the folder that is written, in place of copies. They take no space, and a change
        /// of one is a change of the other.
        #[arg(long)]
        link: bool,
        /// Folder to write, or, with one input, a .json file for COCO and a .jsonl file for JSONL.
        #[arg(long, value_name = "PATH")]
        output: PathBuf,
    },
}

/// What the folders in a folder are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum SubfolderKind {
    /// Each is a class, whatever it is called; images may lie deeper.
    Classes,
    /// Those called as parts are (train, validation, test) are parts with class folders in them; others are left out.
    Parts,
}

impl From<SubfolderKind> for Subfolders {
    fn from(kind: SubfolderKind) -> Self {
        match kind {
            SubfolderKind::Classes => Self::Classes,
            SubfolderKind::Parts => Self::Parts,
        }
    }
}

/// Options of `convert csv`.
#[derive(Debug, Args)]
pub struct TableArgs {
    /// Column of the image file, by name or number from 1; otherwise found by its usual names.
    #[arg(long = "image_column", value_name = "COLUMN")]
    pub image_column: Option<String>,
    /// Column of the label, likewise; several, separated by commas, are columns of 0 and 1 named after classes.
    #[arg(long = "label_column", value_name = "COLUMN")]
    pub label_column: Option<String>,
    /// Column of what images have in common that belong together, such as a patient, likewise: written into the rows under
    /// its name, for --group_column of train and check.
    #[arg(long = "group_column", value_name = "COLUMN")]
    pub group_column: Option<String>,
    /// Folder in and below which images are looked for; the default is that of the table.
    #[arg(long, value_name = "DIR")]
    pub images: Option<PathBuf>,
    /// Write a list of labels per image, for multi-label classification. Labels are separated by commas, else by | or
    /// ;, or, in a column called tags or labels, by blanks; quoted with ' where they hold one themselves. Nothing is an
    /// image without labels, and rows of one image are united.
    #[arg(long)]
    pub multilabel: bool,
    /// What separates fields: one character, or `tab`; otherwise found out.
    #[arg(long, value_name = "CHARACTER", value_parser = delimiter)]
    pub delimiter: Option<char>,
    /// What the four numbers of a box are; otherwise told by the names of their columns, or by which fit the images.
    #[arg(long = "box", value_enum, value_name = "FORM")]
    pub form: Option<TableBox>,
    /// Class of every box, of a table without a column of classes.
    #[arg(long = "one_class", value_name = "NAME")]
    pub one_class: Option<String>,
    /// What boxes are counted in where a declared size is not the file's: whatever all fit, or as said.
    #[arg(long, value_enum, default_value_t)]
    pub sizes: BoxSizes,
}

impl From<&TableArgs> for TableOptions {
    fn from(args: &TableArgs) -> Self {
        Self {
            image_column: args.image_column.clone(),
            label_column: args.label_column.clone(),
            group_column: args.group_column.clone(),
            delimiter: args.delimiter,
            images: args.images.clone(),
            lists: args.multilabel,
            boxes: args.form.map(Into::into),
            sizes: args.sizes.into(),
            one_class: args.one_class.clone(),
        }
    }
}

fn delimiter(text: &str) -> Result<char, String> {
    let mut letters = text.chars();
    match (text, letters.next(), letters.next()) {
        ("tab" | "\\t", ..) => Ok('\t'),
        (_, Some(letter), None) => Ok(letter),
        _ => Err("expected one character, or tab".to_owned()),
    }
}

/// Options of `convert masks`.
#[derive(Debug, Args)]
pub struct MaskArgs {
    /// What a file holds; otherwise told by the folders: a folder of masks for each image holds an object in each file, a
    /// folder beside one of images holds a file of numbers for each.
    #[arg(long, value_enum, value_name = "KIND")]
    pub kind: Option<MaskHolds>,
    /// Folder of the images; the default is `images` or JPEGImages beside the masks.
    #[arg(long, value_name = "DIR")]
    pub images: Option<PathBuf>,
    /// Class of every object.
    #[arg(long, value_name = "NAME")]
    pub label: Option<String>,
    /// File that names numbers: {"1": "can"} of all masks, {"a.png": {"1": "can"}} of one, or CVAT's labelmap.txt. Numbers
    /// are those of --class_masks where they are there, else of the masks themselves; a colour is "#rrggbb".
    #[arg(long = "label_map", value_name = "FILE")]
    pub label_map: Option<PathBuf>,
    /// Folder of images of the same names whose numbers are classes, such as Pascal VOC's SegmentationClass.
    #[arg(long = "class_masks", value_name = "DIR")]
    pub class_masks: Option<PathBuf>,
    /// Folder of Pascal VOC's XML files of the same names: an object is of the class whose box is around it.
    #[arg(long, value_name = "DIR")]
    pub annotations: Option<PathBuf>,
    /// Number of pixels that belong to no object, beside 0; without it 255, where it is far above all other numbers of a mask.
    #[arg(long, value_name = "NUMBER")]
    pub void: Option<u32>,
    /// Which version of its image a mask is of, where EXIF rotates that or they differ in size: the one that has its size, or as
    /// said.
    #[arg(long, value_enum, default_value_t)]
    pub sizes: BoxSizes,
}

/// What a file of masks holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum MaskHolds {
    /// One object: all pixels that are not 0.
    Instances,
    /// The objects of an image, each a number of its own.
    Ids,
}

impl From<&MaskArgs> for MaskOptions {
    fn from(args: &MaskArgs) -> Self {
        Self {
            kind: args.kind.map(|kind| match kind {
                MaskHolds::Instances => MaskKind::Instances,
                MaskHolds::Ids => MaskKind::Ids,
            }),
            images: args.images.clone(),
            label: args.label.clone(),
            label_map: args.label_map.clone(),
            class_masks: args.class_masks.clone(),
            annotations: args.annotations.clone(),
            void: args.void,
            sizes: args.sizes.into(),
        }
    }
}

/// What the four numbers of a box in a table are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum TableBox {
    /// Left, top, right, bottom.
    Corners,
    /// Left, top, width, height.
    Size,
    /// Centre across, centre down, width, height.
    Centre,
}

impl From<TableBox> for BoxForm {
    fn from(form: TableBox) -> Self {
        match form {
            TableBox::Corners => Self::Corners,
            TableBox::Size => Self::Size,
            TableBox::Centre => Self::Centre,
        }
    }
}

/// What the lines of YOLO's label files are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum RowKind {
    /// Boxes; what follows the four numbers of one, such as key points, is dropped.
    Boxes,
    /// Outlines, where there are six numbers or more.
    Outlines,
}

impl From<RowKind> for yolo::YoloRows {
    fn from(kind: RowKind) -> Self {
        match kind {
            RowKind::Boxes => Self::Boxes,
            RowKind::Outlines => Self::Outlines,
        }
    }
}

/// What boxes are counted in where an annotation declares another size than its image has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum BoxSizes {
    /// The version of the images that all boxes fit; what that does not tell is left out and listed.
    #[default]
    Fitting,
    /// The image as it is seen, after its EXIF rotation.
    Upright,
    /// The image as it is stored, before its EXIF rotation.
    Stored,
    /// The declared size, whatever the image has.
    Declared,
}

impl From<BoxSizes> for Sizes {
    fn from(sizes: BoxSizes) -> Self {
        match sizes {
            BoxSizes::Fitting => Self::Fitting,
            BoxSizes::Upright => Self::Upright,
            BoxSizes::Stored => Self::Stored,
            BoxSizes::Declared => Self::Declared,
        }
    }
}

/// What the numbers of a VOC box mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum VocPixels {
    /// Corners in continuous pixels, 0 at the edge.
    #[default]
    Corners,
    /// First and last pixel, counted from 1.
    Inclusive,
}

impl From<VocPixels> for voc::Pixels {
    fn from(pixels: VocPixels) -> Self {
        match pixels {
            VocPixels::Corners => Self::Corners,
            VocPixels::Inclusive => Self::Inclusive,
        }
    }
}

/// Layouts that detection rows can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum BoxLayout {
    /// COCO's JSON.
    Coco,
    /// Pascal VOC's folders, with boxes; images are copied, or linked with --link, as into all folders below.
    Voc,
    /// YOLO's folders.
    Yolo,
    /// JSONL again: rows of one form, with their images where they are.
    Jsonl,
    /// Pascal VOC's folders, with SegmentationObject and SegmentationClass: at most 254 objects an image.
    VocMasks,
    /// A folder for each image, and in it a PNG for each object in a folder of its class: overlaps are kept.
    InstanceMasks,
    /// A PNG of numbers for each image, and label_map.json for their classes.
    IdMasks,
    /// LabelMe: a JSON file beside each image.
    Labelme,
    /// "CVAT for images 1.1": annotations.xml.
    Cvat,
}

/// Options of `sample-data`.
#[derive(Debug, Args)]
pub struct SampleDataArgs {
    /// Task to generate for.
    #[arg(long, default_value = "image-classification")]
    pub task: String,
    /// Folder to write.
    #[arg(long, value_name = "DIR")]
    pub output: PathBuf,
    /// Replace what was generated into --output earlier and nobody has changed since. Any other file that is in the way stays,
    /// and nothing is written.
    #[arg(long)]
    pub overwrite: bool,
    /// Images in all; about 70 % to train on, 15 % to validate on, the rest to test on.
    #[arg(long, default_value_t = 240)]
    pub count: usize,
    /// Seed of the images.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

/// Options of `models`.
#[derive(Debug, Args)]
pub struct ModelsArgs {
    /// Show this model alone, with its defaults.
    pub name: Option<String>,
}

/// Options of `runs`.
#[derive(Clone, Debug, Args)]
pub struct RunsArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: RunsAction,
}

/// What `runs` does.
#[derive(Clone, Debug, Subcommand)]
pub enum RunsAction {
    /// List the runs in a folder and the folders in it: how far each has come, and the best of its primary metric.
    List {
        /// Folder of runs.
        #[arg(value_name = "DIR", default_value = "runs")]
        folder: PathBuf,
    },
    /// Show the settings in which runs differ, and their metrics.
    Compare {
        /// Folders of runs, at least two.
        #[arg(value_name = "RUN", num_args = 2.., required = true)]
        runs: Vec<PathBuf>,
    },
    /// Remove the checkpoints of ended runs that only a resume would need: the last one, and those of single epochs. The best one, the
    /// exported file and the report stay.
    Prune {
        /// Folder of runs.
        #[arg(value_name = "DIR", default_value = "runs")]
        folder: PathBuf,
        /// Remove them. Without it, they are only listed.
        #[arg(long)]
        yes: bool,
    },
}

/// Options of `register`.
#[derive(Clone, Debug, Args)]
pub struct RegisterArgs {
    /// Folder of a run that has ended and exported its model.
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Name of the model: 1 to 64 of A-Z a-z 0-9 _ . -
    #[arg(long)]
    pub name: String,
    /// Folder of models. The model goes into NAME/VERSION of it; the version is one above the highest that is there.
    #[arg(long, value_name = "DIR", default_value = "models")]
    pub models: PathBuf,
}

/// The whole command line, settings included.
#[must_use]
pub fn command() -> Command {
    let settings = || {
        SETTINGS.iter().map(|s| {
            Arg::new(s.name)
                .long(s.name)
                .aliases(s.aliases.iter().copied())
                .help(format!("{} [{}]", s.help, s.kind.range()))
                .value_name(s.kind.value_name())
                .help_heading("Settings")
                .allow_negative_numbers(true)
        })
    };
    WITH_SETTINGS
        .into_iter()
        .fold(Cli::command(), |cli, name| cli.mut_subcommand(name, |command| command.args(settings())))
}

/// Commands that take settings.
const WITH_SETTINGS: [&str; 2] = ["train", "sweep"];

/// Parses a command line. Also gives the settings that were named, as `(name, text)`.
///
/// # Errors
/// clap's, which print themselves.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<(Cli, Vec<(String, String)>), clap::Error> {
    let matches = command().try_get_matches_from(args.into_iter().map(underscored))?;
    let train = matches.subcommand_matches("train");
    let with_settings = WITH_SETTINGS.into_iter().find_map(|name| matches.subcommand_matches(name));
    let settings = with_settings.map(named_settings).unwrap_or_default();
    let mut cli = Cli::from_arg_matches(&matches)?;
    if let (Action::Train(options), Some(train)) = (&mut cli.command, train) {
        let given = |id: &clap::Id| train.value_source(id.as_str()) == Some(ValueSource::CommandLine);
        options.given = train.ids().filter(|id| given(id)).map(|id| id.as_str().to_owned()).collect();
    }
    Ok((cli, settings))
}

fn named_settings(matches: &ArgMatches) -> Vec<(String, String)> {
    SETTINGS.iter().filter_map(|s| Some((s.name.to_owned(), matches.get_one::<String>(s.name)?.clone()))).collect()
}

/// `--learning-rate=0.1` as `--learning_rate=0.1`; anything that is no long option stays.
fn underscored(arg: OsString) -> OsString {
    let Some(text) = arg.to_str().filter(|t| t.starts_with("--") && t.len() > 2) else { return arg };
    let (name, value) = text[2..].split_once('=').map_or((&text[2..], None), |(n, v)| (n, Some(v)));
    let name = name.replace('-', "_");
    value.map_or_else(|| format!("--{name}"), |v| format!("--{name}={v}")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<(Cli, Vec<(String, String)>), clap::Error> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn the_command_line_is_well_formed() {
        command().debug_assert();
    }

    #[test]
    fn settings_are_options_under_every_name_and_spelling() {
        let line =
            "trainer train --training-data a.jsonl --output r --learning-rate=0.1 --gradient_accumulation_step 2";
        let (_, settings) = parsed(line).unwrap();
        let expected = [("grad_accumulation_step", "2"), ("learning_rate", "0.1")];
        assert_eq!(settings, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    }

    #[test]
    fn an_unknown_option_names_the_nearest() {
        let error = parsed("trainer train --training_data a --output r --learning_rat 0.1").unwrap_err().to_string();
        assert!(error.contains("learning_rate"), "{error}");
    }
}
