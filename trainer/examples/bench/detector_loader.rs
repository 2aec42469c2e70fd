//! Random views for YOLO per second: mosaics of four at 640 pixels, with scale, shift, flip and colours.
//!
//! ```text
//! cargo run --release -p trainer --example detect_loader -- DATA.jsonl [PASSES] [WORKERS]
//! ```
//!
//! `scripts/bench/detect_loader_peer.py` does the same with OpenCV.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use models::host::Limits;
use schemas::{Fit, Interpolation, Preprocessing, Task};
use trainer::data::{
    DetectorAugmentation, DetectorViews, Loader, LoaderOptions, ReadOptions, Tiling, TrainingRequest, Views,
    YoloAugmentation, training,
};

const SIDE: u32 = 640;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("usage: detect_loader DATA.jsonl [PASSES] [WORKERS]")?;
    let passes: u32 = args.next().map_or(Ok(3), |text| text.parse())?;
    let workers: usize = args.next().map_or(Ok(1), |text| text.parse())?;
    for (name, cache_bytes) in [("decoding every picture", 0), ("pictures in memory", 1 << 32)] {
        let request = TrainingRequest {
            training: path.clone().into(),
            validation: Some(path.clone().into()),
            split_ratio: 0.2,
            seed: 1,
            read: ReadOptions {
                task: Task::ImageObjectDetection,
                data_root: None,
                ignore_data_errors: true,
                limits: Limits::default(),
                cache_bytes,
                threads: 2,
                fetch_folder: None,
                resumed: None,
            },
        };
        let data = training(&request, &|_, _| {})?;
        let options = LoaderOptions {
            workers,
            batch_size: 16,
            prefetch: 1,
            cache_bytes: 0,
            ignore_data_errors: true,
            preprocessing: Preprocessing {
                fit: Fit::Letterbox { side: SIDE },
                interpolation: Interpolation::Bilinear,
                mean: [0.0; 3],
                std: [255.0; 3],
            },
            views: Views::Detector(DetectorViews {
                tiling: Tiling::NONE,
                augmentation: DetectorAugmentation::Yolo(YoloAugmentation {
                    mosaic_epochs: u32::MAX,
                    scale: 0.5,
                    translate: 0.1,
                    hsv: 1.0,
                    flip_probability: 0.5,
                    multi_scale: false,
                }),
            }),
        };
        let loader = Loader::new(Arc::clone(&data.train) as _, options)?;
        let (mut best, mut views, mut boxes) = (0.0f64, 0, 0);
        let used = processor_seconds();
        for pass in 0..passes {
            let (started, mut n) = (Instant::now(), 0);
            for batch in loader.train_epoch(1, pass, 0) {
                let batch = batch?;
                n += batch.n;
                boxes += batch.objects.iter().map(Vec::len).sum::<usize>();
            }
            best = best.max(n as f64 / started.elapsed().as_secs_f64());
            views += n;
        }
        let per_core = views as f64 / (processor_seconds() - used);
        println!(
            "{name}: {per_core:.1} views per processor second, {best:.1} views/s in the best of {passes} passes, {:.1} boxes a view",
            boxes as f64 / views as f64
        );
    }
    Ok(())
}

/// Processor time of this process, in steps of 10 ms (the unit of `/proc` on Linux).
fn processor_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in brackets may hold blanks; user and system time are the 12th and 13th fields after it.
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    fields.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
}
