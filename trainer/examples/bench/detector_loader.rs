//! Random views for YOLO: mosaics of four at 640 pixels, with scale, shift, flip and colours. The peer is
//! `scripts/bench/peers/detector_loader.py`.

use std::sync::Arc;
use std::time::Instant;

use dataset::{
    DetectorAugmentation, DetectorViews, Loader, LoaderOptions, ReadOptions, Tiling, TrainingRequest, Views,
    YoloAugmentation, training,
};
use schemas::{Fit, Interpolation, Preprocessing, Task};

const SIDE: u32 = 640;

/// Views a second of each pass, and views a processor second over all of them; once with every image decoded anew, and once with the
/// images in memory.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<serde_json::Value> {
    let [path, passes, workers] = arguments else {
        anyhow::bail!("detector-loader takes three arguments: {}", crate::USAGE);
    };
    let (passes, workers): (u32, usize) = (passes.parse()?, workers.parse()?);
    let mut answer = serde_json::Map::new();
    for (name, cache_bytes) in [("decoded", 0), ("in memory", 1 << 32)] {
        let request = TrainingRequest {
            training: path.into(),
            validation: Some(path.into()),
            split: dataset::Split::Share(0.2),
            seed: 1,
            group_column: None,
            side: 224,
            read: ReadOptions { cache_bytes, ..ReadOptions::new(Task::ImageObjectDetection, 2) },
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
                    degrees: 0.0,
                    shear: 0.0,
                    hsv: 1.0,
                    flip_probability: 0.5,
                    multi_scale: false,
                }),
            }),
        };
        let loader = Loader::new(Arc::clone(&data.train) as _, options)?;
        let (mut rates, mut views, mut boxes) = (Vec::new(), 0, 0);
        let used = crate::process::processor_seconds();
        for pass in 0..passes {
            let (started, mut n) = (Instant::now(), 0);
            for batch in loader.train_epoch(1, pass, 0) {
                let batch = batch?;
                n += batch.n;
                boxes += batch.objects.iter().map(Vec::len).sum::<usize>();
            }
            rates.push(n as f64 / started.elapsed().as_secs_f64());
            views += n;
        }
        let per_core = views as f64 / (crate::process::processor_seconds() - used);
        answer.insert(name.to_owned(), rates.into());
        answer.insert(format!("{name}, by processor time"), per_core.into());
        answer.insert(format!("{name}, boxes a view"), (boxes as f64 / views as f64).into());
    }
    Ok(answer.into())
}
