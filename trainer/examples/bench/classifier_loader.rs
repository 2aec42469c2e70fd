//! Measures the data path on one core, with nothing kept in memory: read, decode, random crop, resize, flip, normalise to
//! `f32`. `scripts/bench/loader_peer.py` does the same with torchvision and Pillow.
//!
//! ```text
//! cargo run --release -p trainer --example loader -- DATA.jsonl [EPOCHS] [WORKERS]     # images per second
//! cargo run --release -p trainer --example loader -- --rows DATA.jsonl                 # time and memory of opening rows
//! ```

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use models::host::Limits;
use schemas::{Fit, Interpolation, Preprocessing, Task};
use trainer::data::{
    Augmentation, ClassifierViews, DataError, Images, Loader, LoaderOptions, ReadOptions, TrainingRequest, Views,
    count_rows, training,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [flag, path] if flag == "--rows" => rows(path),
        [path, rest @ ..] => {
            let number = |at: usize, default: usize| rest.get(at).map_or(Ok(default), |text| text.parse::<usize>());
            images(path, number(0, 5)?, number(1, 0)?)
        }
        [] => Err("name a JSONL file or an MLTable folder".into()),
    }
}

fn rows(path: &str) -> Result<(), Box<dyn Error>> {
    let before = resident();
    let started = Instant::now();
    let found = count_rows(Task::ImageClassification, path.as_ref())?;
    let seconds = started.elapsed().as_secs_f64();
    let bytes = std::fs::metadata(path)?.len();
    println!("{} rows, {} classes, {} rejected in {seconds:.2} s", found.rows, found.classes, found.rejected);
    println!(
        "text {:.1} MB, memory at most {:.1} MB above the {:.1} MB before",
        mb(bytes),
        mb(peak().saturating_sub(before)),
        mb(before)
    );
    Ok(())
}

fn images(path: &str, epochs: usize, workers: usize) -> Result<(), Box<dyn Error>> {
    let request = TrainingRequest {
        training: path.into(),
        validation: Some(path.into()),
        split_ratio: 0.2,
        seed: 1,
        read: ReadOptions {
            task: Task::ImageClassification,
            data_root: None,
            ignore_data_errors: true,
            limits: Limits::default(),
            cache_bytes: 0,
            threads: 1,
            fetch_folder: None,
            resumed: None,
        },
    };
    let data = training(&request, &|_, _| {})?;
    let loader = loader(data.train, workers)?;
    let (mut best, mut resident_after) = (0.0f64, Vec::new());
    let (mut images, mut processor) = (0, 0.0);
    let mut network_input = Vec::new();
    for epoch in 0..=epochs {
        let started = Instant::now();
        let used = processor_seconds();
        let mut n = 0;
        for batch in loader.train_epoch(1, epoch as u32, 0) {
            let batch = batch?;
            normalise(&batch.images, batch.n, batch.height * batch.width, &mut network_input);
            n += batch.n;
        }
        // The first pass warms the file cache and is not counted.
        if epoch > 0 {
            images += n;
            processor += processor_seconds() - used;
            best = best.max(n as f64 / started.elapsed().as_secs_f64());
            resident_after.push(format!("{:.0}", mb(resident())));
        }
    }
    let per_core = images as f64 / processor;
    println!(
        "{per_core:.1} images per processor second; {best:.1} images/s in the best of {epochs} passes, {workers} workers"
    );
    println!("resident MB after each pass: {}", resident_after.join(" "));
    Ok(())
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

/// Processor time of this process, in steps of 10 ms (the unit of `/proc` on Linux).
fn processor_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in brackets may hold blanks; user and system time are the 12th and 13th fields after it.
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    fields.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn resident() -> u64 {
    status("VmRSS:")
}

fn peak() -> u64 {
    status("VmHWM:")
}

fn status(key: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(key));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|kib| kib.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
