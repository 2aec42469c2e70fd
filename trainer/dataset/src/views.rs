//! What views a loader makes of its samples: one for a classifier, any number for a detector.

use std::sync::Arc;

use models::host;
use schemas::Preprocessing;

use super::augment::{self, Augmentation};
use super::bad::BadSamples;
use super::batch::View;
use super::dataset::{Images, SampleError};
use super::detect::{DetectorViews, Units};
use super::error::DataError;
use super::viewing::{Ground, Scratch, ViewKey};

/// Which views.
#[derive(Clone, Debug)]
pub enum Views {
    /// One image, one square.
    Classifier(ClassifierViews),
    /// Images, tiles and mosaics with boxes.
    Detector(DetectorViews),
}

/// How a classifier sees images in training.
#[derive(Clone, Debug)]
pub struct ClassifierViews {
    /// Side of a training view, in pixels, at least 1.
    pub train_crop: u32,
    /// Random training views. Without it, training sees an image as evaluation does, cut to `train_crop`.
    pub augmentation: Option<Augmentation>,
}

/// Makes views of one data set.
pub(crate) struct ViewMaker {
    pub ground: Ground,
    views: Views,
    units: Units,
}

impl ViewMaker {
    /// # Errors
    /// A setting out of range, or one that does not fit the preprocessing.
    pub fn new(
        images: Arc<dyn Images>,
        preprocessing: Preprocessing,
        views: Views,
        ignore_data_errors: bool,
    ) -> Result<Self, DataError> {
        let setting = |name, value: String, limit| Err(DataError::Setting { name, value, limit });
        let units = match &views {
            Views::Classifier(views) => {
                if views.train_crop == 0 || preprocessing.side() == 0 {
                    return setting("crop size", "0".to_owned(), "it must be at least 1 pixel");
                }
                if let Some(Err(message)) = views.augmentation.as_ref().map(Augmentation::validate) {
                    return setting("augmentation", message, "see its range");
                }
                Units::images(images.len())
            }
            Views::Detector(views) => {
                if let Err(message) = preprocessing.check() {
                    return setting("image size", message, "correct it");
                }
                views.check(&preprocessing)?;
                Units::of(&*images, views.tiling)
            }
        };
        let ground = Ground { images, preprocessing, bad: BadSamples::new(ignore_data_errors) };
        Ok(Self { ground, views, units })
    }

    /// Training samples: images, and tiles with objects.
    pub fn units(&self) -> usize {
        self.units.len()
    }

    /// Views that evaluation makes of an image.
    pub fn views_per_image(&self) -> usize {
        match &self.views {
            Views::Classifier(_) => 1,
            Views::Detector(views) => views.tiling.per_image(),
        }
    }

    /// Most bytes of the views that evaluation makes of all images.
    pub fn eval_bytes(&self) -> u128 {
        self.ground.images.len() as u128 * self.views_per_image() as u128 * self.ground.preprocessing.largest() * 3
    }

    /// A training view; `None` where the sample's image is bad.
    pub fn train(&self, draw: ViewKey, scratch: &mut Scratch) -> Result<Option<View>, DataError> {
        let unit = self.units.get(draw.unit);
        scratch.current = unit.image;
        self.ground.bad.unless_bad(&*self.ground.images, unit.image, || match &self.views {
            Views::Classifier(views) => self.augmented(views, draw, scratch),
            Views::Detector(views) => views.train(&self.ground, &self.units, draw, scratch),
        })
    }

    /// What evaluation sees of an image; nothing where it is bad.
    pub fn eval(&self, index: usize, scratch: &mut Scratch) -> Result<Vec<View>, DataError> {
        scratch.current = index;
        let made = self.ground.bad.unless_bad(&*self.ground.images, index, || match &self.views {
            Views::Classifier(_) => {
                let image = scratch.resizer.prepare(&*self.ground.images.image(index)?, &self.ground.preprocessing);
                Ok(vec![View { index, image: Arc::new(image), scene: None }])
            }
            Views::Detector(views) => views.eval(&self.ground, index, scratch),
        })?;
        Ok(made.unwrap_or_default())
    }

    fn augmented(&self, views: &ClassifierViews, draw: ViewKey, scratch: &mut Scratch) -> Result<View, SampleError> {
        let (p, size, index) = (&self.ground.preprocessing, views.train_crop, draw.unit);
        let finished = |image| View { index, image: Arc::new(image), scene: None };
        let Some(augmentation) = &views.augmentation else {
            let resize = p.crop().map_or(size, |(resize, _)| resize.max(size));
            let p = p.cropped(resize, size);
            return Ok(finished(scratch.resizer.prepare(&*self.ground.images.image(index)?, &p)));
        };
        let mut rng = draw.rng();
        // The crop is the first draw and needs the size alone, so what lies below it need not be decoded.
        let mut region = None;
        let image = self
            .ground
            .images
            .top(index, &mut |width, height| region.insert(augmentation.crop(width, height, &mut rng)).y1 as u32)?;
        let region = region.unwrap_or_else(|| augmentation.crop(image.width, image.height, &mut rng));
        let view = augment::View { size, filter: p.interpolation, fill: host::fill(p) };
        Ok(finished(augmentation.apply(&image, region, view, &mut scratch.resizer, &mut rng)))
    }
}
