//! How the settings of a run become options of its loaders.

use models::registry::Augmentation as Family;
use schemas::{Labels, Preprocessing, Settings, Task};

use crate::{
    Augmentation, ClassifierViews, DetectorAugmentation, DetectorViews, LoaderOptions, RcnnAugmentation, Tiling, Views,
    YoloAugmentation, default_workers,
};

/// Batches made ahead of the training step.
const PREFETCH: usize = 4;

/// Random views of the training images, as the model's family makes them.
#[must_use]
pub fn training(settings: &Settings, preprocessing: &Preprocessing, family: Family) -> LoaderOptions {
    let random = settings.apply_automl_train_augmentations;
    let views = match family {
        Family::Crop => Views::Classifier(ClassifierViews {
            train_crop: settings.train_crop_size,
            augmentation: random.then(|| Augmentation {
                trivial: settings.trivial_augment,
                erase_probability: settings.random_erasing,
                ..Augmentation::default()
            }),
        }),
        Family::Mosaic => detector(
            settings,
            if random { DetectorAugmentation::Yolo(yolo(settings)) } else { DetectorAugmentation::None },
        ),
        Family::Flip => detector(
            settings,
            if random { DetectorAugmentation::Rcnn(RcnnAugmentation::default()) } else { DetectorAugmentation::None },
        ),
    };
    LoaderOptions {
        workers: default_workers(settings.number_of_workers as usize),
        batch_size: settings.training_batch_size as usize,
        prefetch: PREFETCH,
        cache_bytes: 0,
        ignore_data_errors: settings.ignore_data_errors,
        preprocessing: preprocessing.clone(),
        views,
    }
}

/// Validation images as they will be served: whole and, where `settings` says so, every tile. Finished views are kept when
/// all fit `cache_bytes`.
#[must_use]
pub fn validation(
    settings: &Settings,
    preprocessing: &Preprocessing,
    family: Family,
    cache_bytes: u64,
) -> LoaderOptions {
    let like_training = training(settings, preprocessing, family);
    LoaderOptions {
        batch_size: settings.validation_batch_size as usize,
        cache_bytes,
        views: match family {
            // Evaluation takes the crop of the preprocessing, whatever the training crop is.
            Family::Crop => like_training.views,
            Family::Mosaic | Family::Flip => detector(settings, DetectorAugmentation::None),
        },
        ..like_training
    }
}

/// Images for a trained model of `task`, whose settings say how they are cut into tiles.
#[must_use]
pub fn evaluation(task: Task, settings: &Settings, preprocessing: &Preprocessing, batch_size: usize) -> LoaderOptions {
    LoaderOptions {
        workers: default_workers(usize::MAX),
        batch_size,
        prefetch: PREFETCH,
        cache_bytes: 0,
        ignore_data_errors: true,
        preprocessing: preprocessing.clone(),
        views: match task.labels() {
            Labels::Class | Labels::Classes => {
                Views::Classifier(ClassifierViews { train_crop: preprocessing.side(), augmentation: None })
            }
            Labels::Boxes | Labels::Outlines => detector(settings, DetectorAugmentation::None),
        },
    }
}

fn detector(settings: &Settings, augmentation: DetectorAugmentation) -> Views {
    Views::Detector(DetectorViews { tiling: tiling(settings), augmentation })
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
        degrees: settings.augment_degrees,
        shear: settings.augment_shear,
        hsv: settings.augment_hsv,
        flip_probability: 0.5,
        multi_scale: settings.multi_scale,
    }
}

#[cfg(test)]
mod tests {
    use schemas::setting::TileGrid;
    use schemas::{Fit, Interpolation};

    use super::*;

    fn preprocessing(fit: Fit) -> Preprocessing {
        Preprocessing { fit, interpolation: Interpolation::Bilinear, mean: [0.0; 3], std: [255.0; 3] }
    }

    fn of_detector(options: LoaderOptions) -> DetectorViews {
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
            augment_degrees: 10.0,
            augment_shear: 2.0,
            augment_hsv: 0.75,
            multi_scale: true,
            tile_grid_size: TileGrid { columns: 3, rows: 2 },
            tile_overlap_ratio: 0.375,
            ..Settings::default()
        };
        let views = of_detector(training(&settings, &letterbox, Family::Mosaic));
        assert_eq!(views.tiling, Tiling { grid: TileGrid { columns: 3, rows: 2 }, overlap: 0.375 });
        let DetectorAugmentation::Yolo(yolo) = views.augmentation else { panic!("views of another detector") };
        let wanted = YoloAugmentation {
            mosaic_epochs: 7,
            scale: 0.25,
            translate: 0.125,
            degrees: 10.0,
            shear: 2.0,
            hsv: 0.75,
            flip_probability: 0.5,
            multi_scale: true,
        };
        assert_eq!(yolo, wanted);
        let still = Settings { apply_mosaic_for_yolo: false, ..settings.clone() };
        let views = of_detector(training(&still, &letterbox, Family::Mosaic));
        assert!(matches!(views.augmentation, DetectorAugmentation::Yolo(yolo) if yolo.mosaic_epochs == 0));
        let kept = validation(&settings, &letterbox, Family::Mosaic, 5);
        assert_eq!((kept.cache_bytes, kept.batch_size), (5, settings.validation_batch_size as usize));
        assert!(matches!(of_detector(kept).augmentation, DetectorAugmentation::None));
    }

    #[test]
    fn views_follow_the_family_and_can_be_switched_off() {
        let shorter = preprocessing(Fit::Shorter { min_size: 64, max_size: 128 });
        let views = of_detector(training(&Settings::default(), &shorter, Family::Flip));
        assert!(matches!(views.augmentation, DetectorAugmentation::Rcnn(rcnn) if rcnn == RcnnAugmentation::default()));
        let off = Settings { apply_automl_train_augmentations: false, ..Settings::default() };
        for family in [Family::Flip, Family::Mosaic] {
            let views = of_detector(training(&off, &shorter, family));
            assert!(matches!(views.augmentation, DetectorAugmentation::None));
        }
    }
}
