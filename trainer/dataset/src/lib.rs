//! Training data: from a JSONL file or MLTable folder to batches.
//!
//! ```text
//! mltable   which JSONL files          -> paths
//! index     one pass over their lines  -> place of each row and what it shows (boxes: a row of objects; location: image_url -> where)
//! part      rows of one image, preflight
//! prepare   split, class order         -> Dataset x 2, Rejections
//! dataset   sample -> image, with a cache in a stated budget (kept: one on disk, for other runs)
//! sampler   which sample when
//! views     sample -> uint8 views (augment: classifiers; detect: detectors)
//! loader, epoch, batch                 -> batches, the same for any number of workers
//! ```
//!
//! Nothing here knows tensors. Random choices come from named streams (`rng`), so they depend on (seed, epoch, sample) alone.

mod augment;
mod bad;
mod batch;
mod boxes;
pub mod check;
pub mod convert;
mod dataset;
mod detect;
mod epoch;
mod error;
mod facts;
mod fetch;
mod foreign;
mod group;
mod header;
mod index;
mod kept;
mod loader;
pub mod loading;
mod location;
mod look;
mod mltable;
pub mod offline;
mod options;
mod outline;
mod part;
mod preflight;
mod prepare;
mod reject;
mod rng;
pub mod sample_data;
mod sampler;
mod split;
mod target;
mod trivial;
mod viewing;
mod views;

#[cfg(test)]
mod tests;

pub use augment::Augmentation;
pub use batch::{Batch, Target};
pub use dataset::{Dataset, Images, SampleError};
pub use detect::{DetectorAugmentation, DetectorViews, RcnnAugmentation, Tiling, YoloAugmentation};
pub use epoch::Epoch;
pub use error::DataError;
pub use fetch::Fetcher;
pub use kept::clear_kept;
pub use loader::{Loader, LoaderOptions, default_workers};
pub use location::Location;
pub use options::ReadOptions;
pub use preflight::{FULL_CHECK, HEADER_CHECK, OnProgress};
pub use prepare::{
    RowCount, Split, TestData, TrainingData, TrainingRequest, count_rows, default_cache_bytes, test, training,
};
pub use reject::{RejectKind, Rejection, Rejections};
pub use rng::KeyedRng;
pub use target::Object;
pub use views::{ClassifierViews, Views};

/// The JSONL files that a path names: itself, or those of an MLTable folder.
pub fn data_files(path: &std::path::Path) -> Result<Vec<std::path::PathBuf>, DataError> {
    mltable::open(path).map(|source| source.files)
}

/// What leads from the `image_url`s of a JSONL file, whose path is absolute, to images.
pub fn resolver(file: &std::path::Path, data_root: Option<&std::path::Path>) -> location::Resolver {
    let base = file.parent().unwrap_or(file).to_owned();
    location::Resolver::new(base, data_root.map(std::path::Path::to_owned))
}
