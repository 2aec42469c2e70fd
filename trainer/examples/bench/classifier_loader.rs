//! The data path of a classifier, with nothing kept in memory: read, decode, random crop, resize, flip, normalise to `f32`. The peer is
//! `scripts/bench/peers/classifier_loader.py`.

use std::sync::Arc;
use std::time::Instant;

use dataset::{
    Augmentation, ClassifierViews, DataError, Images, Loader, LoaderOptions, ReadOptions, TrainingRequest, Views,
    count_rows, training,
};
use schemas::{Fit, Interpolation, Preprocessing, Task};

/// Time and memory that opening the rows of a dataset takes.
pub(crate) fn rows(arguments: &[String]) -> anyhow::Result<serde_json::Value> {
    let [path] = arguments else { anyhow::bail!("rows takes one argument: {}", crate::USAGE) };
    let before = crate::process::resident();
    let started = Instant::now();
    let found = count_rows(Task::ImageClassification, path.as_ref())?;
    let seconds = started.elapsed().as_secs_f64();
    Ok(serde_json::json!({
        "opening": seconds * 1e3, "rows": found.rows, "classes": found.classes, "rejected": found.rejected,
        "text": std::fs::metadata(path)?.len() as f64 / 1e6, "memory": crate::process::peak() - before,
    }))
}

/// Images a second of each pass, images a processor second over all of them, and the memory in use after each pass.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<serde_json::Value> {
    let [path, passes, workers] = arguments else {
        anyhow::bail!("classifier-loader takes three arguments: {}", crate::USAGE);
    };
    let (passes, workers): (u32, usize) = (passes.parse()?, workers.parse()?);
    let request = TrainingRequest {
        training: path.into(),
        validation: Some(path.into()),
        split: dataset::Split::Share(0.2),
        seed: 1,
        group_column: None,
        side: 224,
        read: ReadOptions::new(Task::ImageClassification, 1),
    };
    let data = training(&request, &|_, _| {})?;
    let loader = loader(data.train, workers)?;
    let (mut rates, mut resident_after) = (Vec::new(), Vec::new());
    let (mut images, mut processor) = (0, 0.0);
    let mut network_input = Vec::new();
    for pass in 0..=passes {
        let started = Instant::now();
        let used = crate::process::processor_seconds();
        let mut n = 0;
        for batch in loader.train_epoch(1, pass, 0) {
            let batch = batch?;
            normalise(&batch.images, batch.n, batch.height * batch.width, &mut network_input);
            n += batch.n;
        }
        // The first pass warms the file cache and is not counted.
        if pass > 0 {
            images += n;
            processor += crate::process::processor_seconds() - used;
            rates.push(n as f64 / started.elapsed().as_secs_f64());
            resident_after.push(crate::process::resident());
        }
    }
    let per_core = images as f64 / processor;
    Ok(serde_json::json!({ "images": rates, "images, by processor time": per_core, "resident": resident_after }))
}

fn loader(images: Arc<dyn Images>, workers: usize) -> Result<Loader, DataError> {
    let scale = |values: [f32; 3]| values.map(|value| value * 255.0);
    Loader::new(
        images,
        LoaderOptions {
            workers,
            batch_size: 16,
            prefetch: 2,
            cache_bytes: 0,
            ignore_data_errors: true,
            preprocessing: Preprocessing {
                fit: Fit::Crop { resize: 256, crop: 224 },
                interpolation: Interpolation::Bilinear,
                mean: scale([0.485, 0.456, 0.406]),
                std: scale([0.229, 0.224, 0.225]),
            },
            views: Views::Classifier(ClassifierViews {
                train_crop: 224,
                augmentation: Some(Augmentation { jitter_probability: 0.0, ..Augmentation::default() }),
            }),
        },
    )
}

/// `[n, pixels, 3]` bytes to `[n, 3, pixels]` normalised values, as the peer's `ToTensor` and `Normalize` do. Training itself
/// leaves this to the network's graph.
fn normalise(images: &[u8], n: usize, pixels: usize, out: &mut Vec<f32>) {
    let (mean, std) = ([0.485f32, 0.456, 0.406], [0.229f32, 0.224, 0.225]);
    out.resize(n * pixels * 3, 0.0);
    let (scale, shift) = (std.map(|std| 1.0 / (255.0 * std)), [0, 1, 2].map(|channel| -mean[channel] / std[channel]));
    for (image, planes) in images.chunks_exact(pixels * 3).zip(out.chunks_exact_mut(pixels * 3)) {
        let (red, rest) = planes.split_at_mut(pixels);
        let (green, blue) = rest.split_at_mut(pixels);
        let planes = red.iter_mut().zip(green).zip(blue);
        for (pixel, ((red, green), blue)) in image.as_chunks::<3>().0.iter().zip(planes) {
            *red = f32::from(pixel[0]) * scale[0] + shift[0];
            *green = f32::from(pixel[1]) * scale[1] + shift[1];
            *blue = f32::from(pixel[2]) * scale[2] + shift[2];
        }
    }
}
