//! Training data: from a JSONL file or MLTable folder to batches.
//!
//! ```text
//! mltable   which JSONL files          -> paths
//! index     one pass over their lines  -> place and class of each row (row: one line; location: image_url -> where)
//! prepare   duplicates, preflight, split, class order -> Dataset x 2, Rejections
//! dataset   sample -> picture, with a cache in a stated budget
//! sampler, augment, loader             -> batches of uint8 views, the same for any number of workers
//! ```
//!
//! Nothing here knows tensors. Random choices come from named streams (`rng`), so they depend on (seed, epoch, sample) alone.

mod augment;
mod dataset;
mod error;
mod fetch;
mod index;
mod loader;
mod location;
mod mltable;
mod preflight;
mod prepare;
mod reject;
mod rng;
mod row;
mod sampler;
mod split;
mod write;

#[cfg(test)]
mod tests;

pub use augment::Augmentation;
pub use dataset::{Dataset, Images, SampleError};
pub use error::DataError;
pub use loader::{Batch, Epoch, Loader, LoaderOptions, default_workers};
pub use location::{Location, percent_encode_path};
pub use preflight::{FULL_CHECK, HEADER_CHECK, OnProgress};
pub use prepare::{
    ReadOptions, RowCount, TestData, TrainingData, TrainingRequest, count_rows, default_cache_bytes, test, training,
};
pub use reject::{RejectKind, Rejection, Rejections};
pub use rng::KeyedRng;
pub use write::replace;
