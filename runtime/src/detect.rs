//! Detection: images in, lists of boxes out.

use ndarray::{Array2, Array4, ArrayView4};
use schemas::Form;
use schemas::prediction::{Detection, MASK_SIDE, SoftMask, Thresholds};

use crate::RuntimeError;
use crate::bound::Inputs;
use crate::describe::Outputs;
use crate::format::{BOXES, IOU_THRESHOLD, LABELS, MASKS, PIXELS, SCORE_THRESHOLD, SCORES, SIZES};
use crate::model::{Model, failed};

/// Thresholds for one run in place of those in the file.
pub type Overrides = Thresholds<Option<f32>>;

/// The inputs of the thresholds that are given.
fn given(thresholds: &Overrides) -> Result<Vec<(&'static str, f32)>, RuntimeError> {
    let both = [(SCORE_THRESHOLD, thresholds.score_threshold), (IOU_THRESHOLD, thresholds.iou_threshold)];
    let given = both.into_iter().filter_map(|(name, value)| Some((name, value?)));
    given
        .map(|(name, value)| match value {
            // Also refuses NaN.
            0.0..=1.0 => Ok((name, value)),
            _ => Err(input(format!("{name} is {value}; give a number in [0, 1]"))),
        })
        .collect()
}

fn input(problem: String) -> RuntimeError {
    RuntimeError::Input { problem }
}

impl Model {
    /// What is in each of `images`, uint8 `[n, h, w, 3]` RGB: the objects in descending order of score, in pixels of the
    /// original images. `n` may be 0.
    ///
    /// A `whole` model takes original images of any size, and no `sizes`. A `prepared` one takes images that the host
    /// has fitted and framed (sides multiples of [`schemas::STRIDE`]), and the `[height, width]` of each original.
    ///
    /// # Errors
    /// [`RuntimeError::Input`] when the model is no detector, a shape is not one that it takes, or a threshold is outside
    /// `[0, 1]`; [`RuntimeError::Run`] when ONNX Runtime fails (memory included).
    #[expect(clippy::needless_pass_by_value, reason = "a view is a reference")]
    pub fn detect(
        &mut self,
        images: ArrayView4<'_, u8>,
        sizes: Option<&[[i64; 2]]>,
        overrides: &Overrides,
    ) -> Result<Vec<Vec<Detection>>, RuntimeError> {
        let (n, h, w, c) = images.dim();
        let outlined = match self.outputs() {
            Outputs::Boxes => false,
            Outputs::Masks => true,
            Outputs::Probabilities => {
                return Err(input(format!("the model's task is {}; it finds no boxes", self.meta().task)));
            }
        };
        self.check([n, h, w, c])?;
        self.check_sizes(n, sizes)?;
        let overrides = given(overrides)?;
        if n == 0 {
            return Ok(vec![]);
        }
        let labels = self.meta().labels.len();
        let outputs = self.answer(Inputs { images: images.view(), sizes, thresholds: overrides })?;
        let missing = |name: &str| RuntimeError::Run { reason: format!("no output named {name}") };
        let floats = |name: &str| -> Result<_, RuntimeError> {
            outputs.get(name).ok_or_else(|| missing(name))?.try_extract_tensor::<f32>().map_err(|e| failed(&e))
        };
        let (boxes, scores) = (floats(BOXES)?, floats(SCORES)?);
        let found = outputs.get(LABELS).ok_or_else(|| missing(LABELS))?;
        let (shape, classes) = found.try_extract_tensor::<i64>().map_err(|e| failed(&e))?;
        let wrong = |reason: String| RuntimeError::Run { reason };
        let (rows, each) = match **shape {
            // A padded batch has more rows, at its end.
            [rows, each] if rows >= n as i64 && **scores.0 == [rows, each] && **boxes.0 == [rows, each, 4] => {
                (rows as usize, each)
            }
            _ => {
                let (boxes, scores) = (boxes.0, scores.0);
                return Err(wrong(format!("for {n} images: boxes {boxes:?}, scores {scores:?}, labels {shape:?}")));
            }
        };
        let each = usize::try_from(each).map_err(|e| wrong(e.to_string()))?;
        let classes = Array2::from_shape_vec((rows, each), classes.to_vec()).map_err(|e| wrong(e.to_string()))?;
        let masks = match outlined {
            false => None,
            true => Some(floats(MASKS)?),
        };
        let side = MASK_SIDE as i64;
        if let Some((shape, _)) = masks.as_ref().filter(|(shape, _)| ***shape != [rows as i64, each as i64, side, side])
        {
            return Err(wrong(format!("for {n} images of {each} objects: masks {shape:?}")));
        }
        let mask = |at: usize| {
            let all = masks.as_ref()?.1;
            let area = MASK_SIDE * MASK_SIDE;
            SoftMask::new(&all[at * area..(at + 1) * area])
        };
        let corners = boxes.1.as_chunks::<4>().0;
        let image = |(i, classes): (usize, ndarray::ArrayView1<i64>)| {
            let real = classes.iter().take_while(|&&class| class >= 0).enumerate();
            real.map(|(j, &class)| {
                let label = usize::try_from(class).ok().filter(|&label| label < labels);
                let label = label.ok_or_else(|| wrong(format!("label {class} of {labels}")))?;
                let at = i * each + j;
                Ok(Detection { corners: corners[at], score: scores.1[at], label, mask: mask(at) })
            })
            .collect()
        };
        classes.outer_iter().take(n).enumerate().map(image).collect()
    }

    /// The pixels of each object that [`Self::detect`] finds in whole `images`: uint8 `[n, objects, h, w]`, 1 where the pixel
    /// is the object's. Images with fewer objects than others have empty ones at their end.
    ///
    /// # Errors
    /// As [`Self::detect`]; [`RuntimeError::Input`] also when the file was exported without pixels.
    #[expect(clippy::needless_pass_by_value, reason = "a view is a reference")]
    pub fn pixels(&mut self, images: ArrayView4<'_, u8>, overrides: &Overrides) -> Result<Array4<u8>, RuntimeError> {
        if !self.has_pixels() {
            let problem = "the file gives no pixels of objects; export it again with `exporter --masks full`";
            return Err(input(problem.to_owned()));
        }
        let (n, h, w, c) = images.dim();
        self.check([n, h, w, c])?;
        self.check_sizes(n, None)?;
        let overrides = given(overrides)?;
        if n == 0 {
            return Ok(Array4::zeros((0, 0, h, w)));
        }
        let outputs = self.answer(Inputs { images: images.view(), sizes: None, thresholds: overrides })?;
        let output =
            outputs.get(PIXELS).ok_or_else(|| RuntimeError::Run { reason: format!("no output named {PIXELS}") })?;
        let (shape, values) = output.try_extract_tensor::<u8>().map_err(|e| failed(&e))?;
        let wrong = || RuntimeError::Run { reason: format!("for {n} images of {h} x {w}: {PIXELS} {shape:?}") };
        match **shape {
            // A padded batch has more rows, at its end.
            [rows, each, height, width] if rows >= n as i64 && height == h as i64 && width == w as i64 => {
                let each = usize::try_from(each).map_err(|_| wrong())?;
                let values = values.get(..n * each * h * w).ok_or_else(wrong)?;
                Array4::from_shape_vec((n, each, h, w), values.to_vec()).map_err(|_| wrong())
            }
            _ => Err(wrong()),
        }
    }

    fn check_sizes(&self, n: usize, sizes: Option<&[[i64; 2]]>) -> Result<(), RuntimeError> {
        match (self.form(), sizes) {
            (Form::Whole, None) => Ok(()),
            (Form::Whole, Some(_)) => Err(input("a whole model sees the sizes of its images; give none".to_owned())),
            (Form::Prepared, None) => Err(input(format!(
                "a prepared model needs '{SIZES}': height and width of each of the {n} original images"
            ))),
            (Form::Prepared, Some(sizes)) if sizes.len() != n => {
                Err(input(format!("there are {} sizes for {n} images; give one for each", sizes.len())))
            }
            (Form::Prepared, Some(sizes)) => match sizes.iter().find(|size| size.iter().any(|&side| side < 1)) {
                Some(size) => {
                    Err(input(format!("an original image of {size:?} (height, width); sides are at least 1")))
                }
                None => Ok(()),
            },
        }
    }

    /// Whether the sides of prepared images are ones that a detector takes.
    pub(crate) fn framed(height: usize, width: usize) -> bool {
        [height, width].iter().all(|side| side.is_multiple_of(schemas::STRIDE as usize))
    }
}
