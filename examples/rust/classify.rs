//! Asks an exported classifier (form `whole`) what images show: `classify model.onnx image.jpg ...`
//!
//! Prints a line for each image: its name, the most probable label, the probability. The crate `runtime` finds ONNX Runtime
//! (`runtime::init` says where) and opens the file; the crate `image` decodes.

use std::env;
use std::error::Error;
use std::path::Path;
use std::thread;

use image::{DynamicImage, ImageDecoder, ImageReader};
use ndarray::Array4;
use runtime::{Model, Options};

/// RGB pixels, uint8 `[1, height, width, 3]`, turned upright as EXIF says.
///
/// # Errors
/// When the file cannot be read or is no image.
pub fn read_image(path: &Path) -> Result<Array4<u8>, Box<dyn Error>> {
    let mut decoder = ImageReader::open(path)?.with_guessed_format()?.into_decoder()?;
    let orientation = decoder.orientation()?;
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    let pixels = image.into_rgb8();
    let shape = (1, pixels.height() as usize, pixels.width() as usize, 3);
    Ok(Array4::from_shape_vec(shape, pixels.into_raw())?)
}

/// The most probable label of an image, and its probability.
///
/// # Errors
/// When the image cannot be read or the model is no classifier.
pub fn classify(model: &mut Model, path: &Path) -> Result<(String, f32), Box<dyn Error>> {
    let probabilities = model.run(read_image(path)?.view())?;
    let (best, probability) =
        probabilities.iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b)).ok_or("the model has no labels")?;
    Ok((model.meta().labels[best].clone(), *probability))
}

/// # Errors
/// When a file cannot be opened.
pub fn main() -> Result<(), Box<dyn Error>> {
    // First of all: starts the program again where ORT_DISABLE_TELEMETRY is not 1.
    runtime::telemetry::switch_off();
    let mut arguments = env::args_os().skip(1);
    let file = arguments.next().ok_or("name a model and images: classify model.onnx image.jpg ...")?;
    let options = Options { intra_threads: thread::available_parallelism()?.get(), library: None };
    let mut model = Model::open(Path::new(&file), &options)?;
    for path in arguments {
        let path = Path::new(&path);
        let (label, probability) = classify(&mut model, path)?;
        println!("{}\t{label}\t{probability:.4}", path.display());
    }
    Ok(())
}
