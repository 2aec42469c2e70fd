//! How the settings of a run become options of its loaders.

use schemas::{Preprocessing, Settings};

use crate::data::{Augmentation, LoaderOptions, default_workers};

/// Batches made ahead of the training step.
const PREFETCH: usize = 4;

/// Random views of the training images.
#[must_use]
pub fn training(settings: &Settings, preprocessing: &Preprocessing) -> LoaderOptions {
    LoaderOptions {
        workers: default_workers(settings.number_of_workers as usize),
        batch_size: settings.training_batch_size as usize,
        prefetch: PREFETCH,
        cache_bytes: 0,
        ignore_data_errors: settings.ignore_data_errors,
        preprocessing: preprocessing.clone(),
        train_crop: settings.train_crop_size,
        augmentation: settings.apply_automl_train_augmentations.then(Augmentation::default),
    }
}

/// Validation images as they will be served; their finished views are kept when they fit `cache_bytes`.
#[must_use]
pub fn validation(settings: &Settings, preprocessing: &Preprocessing, cache_bytes: u64) -> LoaderOptions {
    LoaderOptions {
        batch_size: settings.validation_batch_size as usize,
        cache_bytes,
        augmentation: None,
        ..training(settings, preprocessing)
    }
}

/// Images for a trained model.
#[must_use]
pub fn evaluation(preprocessing: &Preprocessing, batch_size: usize, ignore_data_errors: bool) -> LoaderOptions {
    LoaderOptions {
        workers: default_workers(usize::MAX),
        batch_size,
        prefetch: PREFETCH,
        cache_bytes: 0,
        ignore_data_errors,
        preprocessing: preprocessing.clone(),
        train_crop: preprocessing.side(),
        augmentation: None,
    }
}
