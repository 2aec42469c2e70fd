//! Masks of an answer, in the form that was asked for. Each is pasted and put into its form before the next, so that an image
//! of many objects never needs as many whole masks.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use models::host::mask::{Mask, Paste};
use schemas::prediction::{Detection, MaskForm, MaskPng, MaskRle, ScoredBox};

use crate::{
    admit::{Budget, Reservation},
    answer::Predicted,
    backend::Predictions,
    error::ServerError,
    metrics::Stage,
    prepare::{Original, Work},
};

/// How masks are answered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct MaskOptions {
    /// In what form.
    pub form: MaskForm,
    /// A pixel is an object's if its probability is above it.
    pub threshold: f32,
    /// Most points of the polygons of one object.
    pub most_points: usize,
}

/// The mask of an object, as it is answered.
#[derive(Debug, PartialEq)]
pub(crate) enum ObjectMask {
    /// The model has none, or none was asked for.
    None,
    /// `x1 y1 x2 y2 ..` for each ring, as fractions of the image.
    Polygon(Vec<Vec<f32>>),
    /// Run lengths of the image.
    Rle(MaskRle),
    /// A PNG of the rectangle around it.
    Png(MaskPng),
}

/// Masks of what was found in each image, and the memory that they take.
pub(crate) struct Masks {
    /// One list per image, in the order of what was found.
    pub of_images: Vec<Vec<ObjectMask>>,
    reservation: Reservation,
}

impl ObjectMask {
    /// The box with this mask.
    pub(crate) fn on(self, scored: ScoredBox) -> ScoredBox {
        match self {
            Self::None => scored,
            Self::Polygon(polygon) => ScoredBox { polygon: Some(polygon), ..scored },
            Self::Rle(rle) => ScoredBox { rle: Some(rle), ..scored },
            Self::Png(png) => ScoredBox { png: Some(png), ..scored },
        }
    }

    /// Bytes that it takes.
    fn size(&self) -> u64 {
        let bytes = match self {
            Self::None => 0,
            Self::Polygon(rings) => rings.iter().map(|ring| ring.len() * size_of::<f32>()).sum(),
            Self::Rle(rle) => rle.counts.len(),
            Self::Png(png) => png.image.len(),
        };
        bytes as u64
    }
}

impl MaskOptions {
    fn answer(self, one: &Detection, original: &Original) -> Result<ObjectMask, ServerError> {
        let Some(probabilities) = one.mask.as_ref() else { return Ok(ObjectMask::None) };
        let (width, height) = (original.width, original.height);
        let paste = Paste { width, height, threshold: self.threshold };
        Ok(match self.form {
            MaskForm::None => ObjectMask::None,
            MaskForm::Polygon => {
                let rings = paste.polygon(probabilities.values(), one.corners, self.most_points);
                ObjectMask::Polygon(
                    rings.into_iter().map(|ring| ring.into_iter().map(|at| at as f32).collect()).collect(),
                )
            }
            MaskForm::Rle => {
                let rle = paste.mask(probabilities.values(), one.corners).rle(width, height);
                let counts = rle.map_err(|_| ServerError::Internal)?.text();
                ObjectMask::Rle(MaskRle { size: [height, width], counts })
            }
            MaskForm::Png => ObjectMask::Png(png(&paste.mask(probabilities.values(), one.corners))),
        })
    }
}

fn png(mask: &Mask) -> MaskPng {
    match mask.bounds() {
        Some(around) => MaskPng { left: around.x0, top: around.y0, image: STANDARD.encode(mask.png(around)) },
        None => MaskPng { left: 0, top: 0, image: String::new() },
    }
}

impl Work {
    /// Masks of what was found in each image.
    ///
    /// # Errors
    /// They take more memory than there is.
    pub(crate) async fn masks(
        &self,
        predicted: Predicted,
        options: MaskOptions,
    ) -> Result<(Predicted, Masks), ServerError> {
        let budget = self.state.admission.budget.clone();
        let has_masks = match &predicted.predictions {
            Predictions::Boxes(images) => images.iter().flatten().any(|one| one.mask.is_some()),
            Predictions::Probabilities(_) => false,
        };
        if !has_masks {
            let masks = of_images(&predicted, options, &budget)?;
            return Ok((predicted, masks));
        }
        let (timings, permit) = (Arc::clone(&self.timings), self.permit.clone());
        let made = self.state.pool.run(move || {
            let _permit = permit;
            let made = timings.time(Stage::Render, || of_images(&predicted, options, &budget));
            made.map(|masks| (predicted, masks))
        });
        made.await
    }
}

fn of_images(predicted: &Predicted, options: MaskOptions, budget: &Budget) -> Result<Masks, ServerError> {
    let mut masks = Masks { of_images: Vec::new(), reservation: budget.reserve(0)? };
    let Predictions::Boxes(images) = &predicted.predictions else { return Ok(masks) };
    for (original, found) in predicted.originals.iter().zip(images) {
        let mut of_image = Vec::with_capacity(found.len());
        for one in found {
            let mask = options.answer(one, original)?;
            masks.reservation.absorb(budget.reserve(mask.size())?);
            of_image.push(mask);
        }
        masks.of_images.push(of_image);
    }
    Ok(masks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_without_pixels_is_an_empty_image() {
        let empty = Mask::empty(models::host::Tile { x0: 3, y0: 4, x1: 3, y1: 4 });
        assert_eq!(png(&empty), MaskPng { left: 0, top: 0, image: String::new() });
    }
}
