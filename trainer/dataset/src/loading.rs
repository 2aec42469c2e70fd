//! How the settings of a run become options of its loaders.

use schemas::{CheckpointMeta, Fit, Preprocessing, Settings};

use crate::{
    Augmentation, ClassifierViews, DetectorAugmentation, DetectorViews, LoaderOptions, RcnnAugmentation, Tiling, Views,
    YoloAugmentation, default_workers,
};

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
        views: Views::Classifier(ClassifierViews {
            train_crop: settings.train_crop_size,
            augmentation: settings.apply_automl_train_augmentations.then(|| Augmentation {
                trivial: settings.trivial_augment,
                erase_probability: settings.random_erasing,
                ..Augmentation::default()
            }),
        }),
    }
}

/// Validation images as they will be served; their finished views are kept when they fit `cache_bytes`.
#[must_use]
pub fn validation(settings: &Settings, preprocessing: &Preprocessing, cache_bytes: u64) -> LoaderOptions {
    LoaderOptions {
        batch_size: settings.validation_batch_size as usize,
        cache_bytes,
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
        views: Views::Classifier(ClassifierViews { train_crop: preprocessing.side(), augmentation: None }),
    }
}

/// Random views of the training images of a detector; what is random follows from how its pictures are fitted.
#[must_use]
pub fn detection_training(settings: &Settings, preprocessing: &Preprocessing) -> LoaderOptions {
    let augmentation = match preprocessing.fit {
        _ if !settings.apply_automl_train_augmentations => DetectorAugmentation::None,
        Fit::Letterbox { .. } => DetectorAugmentation::Yolo(yolo(settings)),
        Fit::Shorter { .. } => DetectorAugmentation::Rcnn(RcnnAugmentation::default()),
        Fit::Crop { .. } => DetectorAugmentation::None,
    };
    LoaderOptions {
        views: Views::Detector(DetectorViews { tiling: tiling(settings), augmentation }),
        ..training(settings, preprocessing)
    }
}

/// Validation images of a detector as they will be served: whole and, where `settings` says so, every tile; finished views
/// are kept when all fit `cache_bytes`.
#[must_use]
pub fn detection_validation(settings: &Settings, preprocessing: &Preprocessing, cache_bytes: u64) -> LoaderOptions {
    LoaderOptions {
        batch_size: settings.validation_batch_size as usize,
        cache_bytes,
        views: Views::Detector(DetectorViews { tiling: tiling(settings), augmentation: DetectorAugmentation::None }),
        ..training(settings, preprocessing)
    }
}

/// Images for a trained detector.
#[must_use]
pub fn detection_evaluation(
    preprocessing: &Preprocessing,
    tiling: Tiling,
    batch_size: usize,
    ignore_data_errors: bool,
) -> LoaderOptions {
    LoaderOptions {
        views: Views::Detector(DetectorViews { tiling, augmentation: DetectorAugmentation::None }),
        ..evaluation(preprocessing, batch_size, ignore_data_errors)
    }
}

/// Images for the trained model that `meta` describes.
#[must_use]
pub fn evaluation_of(
    meta: &CheckpointMeta,
    settings: &Settings,
    batch_size: usize,
    ignore_data_errors: bool,
) -> LoaderOptions {
    let p = &meta.preprocessing;
    match p.fit {
        Fit::Crop { .. } => evaluation(p, batch_size, ignore_data_errors),
        Fit::Letterbox { .. } | Fit::Shorter { .. } => {
            detection_evaluation(p, tiling(settings), batch_size, ignore_data_errors)
        }
    }
}

/// The tiles that settings name.
#[must_use]
pub fn tiling(settings: &Settings) -> Tiling {
    Tiling { grid: settings.tile_grid_size, overlap: settings.tile_overlap_ratio }
}

fn yolo(settings: &Settings) -> YoloAugmentation {
    let mosaics = settings.number_of_epochs.saturating_sub(settings.close_mosaic);
    YoloAugmentation {
        mosaic_epochs: if settings.apply_mosaic_for_yolo { mosaics } else { 0 },
        scale: settings.augment_scale,
        translate: settings.augment_translate,
        hsv: settings.augment_hsv,
        flip_probability: 0.5,
        multi_scale: settings.multi_scale,
    }
}

#[cfg(test)]
mod tests {
    use schemas::Interpolation;
    use schemas::setting::TileGrid;

    use super::*;

    fn preprocessing(fit: Fit) -> Preprocessing {
        Preprocessing { fit, interpolation: Interpolation::Bilinear, mean: [0.0; 3], std: [255.0; 3] }
    }

    fn detector(options: LoaderOptions) -> DetectorViews {
        match options.views {
            Views::Detector(views) => views,
            Views::Classifier(_) => panic!("views of a classifier"),
        }
    }

    #[test]
    fn every_setting_of_yolo_views_arrives() {
        let letterbox = preprocessing(Fit::Letterbox { side: 64 });
        let settings = Settings {
            number_of_epochs: 10,
            close_mosaic: 3,
            augment_scale: 0.25,
            augment_translate: 0.125,
            augment_hsv: 0.75,
            multi_scale: true,
            tile_grid_size: TileGrid { columns: 3, rows: 2 },
            tile_overlap_ratio: 0.375,
            ..Settings::default()
        };
        let views = detector(detection_training(&settings, &letterbox));
        assert_eq!(views.tiling, Tiling { grid: TileGrid { columns: 3, rows: 2 }, overlap: 0.375 });
        let DetectorAugmentation::Yolo(yolo) = views.augmentation else { panic!("views of another detector") };
        let wanted = YoloAugmentation {
            mosaic_epochs: 7,
            scale: 0.25,
            translate: 0.125,
            hsv: 0.75,
            flip_probability: 0.5,
            multi_scale: true,
        };
        assert_eq!(yolo, wanted);
        let still = Settings { apply_mosaic_for_yolo: false, ..settings.clone() };
        let views = detector(detection_training(&still, &letterbox));
        assert!(matches!(views.augmentation, DetectorAugmentation::Yolo(yolo) if yolo.mosaic_epochs == 0));
        let validation = detection_validation(&settings, &letterbox, 5);
        assert_eq!((validation.cache_bytes, validation.batch_size), (5, settings.validation_batch_size as usize));
        assert!(matches!(detector(validation).augmentation, DetectorAugmentation::None));
    }

    #[test]
    fn views_follow_the_fit_and_can_be_switched_off() {
        let shorter = preprocessing(Fit::Shorter { min_size: 64, max_size: 128 });
        let views = detector(detection_training(&Settings::default(), &shorter));
        assert!(matches!(views.augmentation, DetectorAugmentation::Rcnn(rcnn) if rcnn == RcnnAugmentation::default()));
        let off = Settings { apply_automl_train_augmentations: false, ..Settings::default() };
        for fit in [shorter.fit, Fit::Letterbox { side: 64 }] {
            let views = detector(detection_training(&off, &preprocessing(fit)));
            assert!(matches!(views.augmentation, DetectorAugmentation::None));
        }
    }
}
