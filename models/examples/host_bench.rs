//! Times the image code on one thread: `cargo run --release -p models --example host_bench -- FOLDER`.
//!
//! Prints milliseconds per image over the first 60 JPEGs under the folder, each image's best of nine rounds.

use std::path::{Path, PathBuf};
use std::time::Instant;

use models::host::{self, Limits, Region, Resizer, Rgb};
use schemas::preprocessing::{Fit, Interpolation, Preprocessing};

fn main() {
    let folder = std::env::args().nth(1).expect("the folder of images as the first argument");
    let mut paths = Vec::new();
    collect(Path::new(&folder), &mut paths);
    paths.sort();
    paths.truncate(60);
    let files: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).expect("a readable file")).collect();
    let limits = Limits::default();
    let decode = |bytes: &Vec<u8>| host::decode(bytes, &limits).expect("a sound image");
    let images: Vec<Rgb> = files.iter().map(decode).collect();
    println!("{} images, the first is {}x{}", images.len(), images[0].width, images[0].height);

    let mut resizer = Resizer::default();
    let mut plan = Preprocessing {
        fit: Fit::Crop { resize: 256, crop: 224 },
        interpolation: Interpolation::Bilinear,
        mean: [123.675, 116.28, 103.53],
        std: [58.395, 57.12, 57.375],
    };
    time("decode", &files, |bytes| decode(bytes).data.len());
    time("probe", &files, |bytes| host::probe(bytes, &limits).map_or(0, |header| header.width as usize));
    for filter in [Interpolation::Bilinear, Interpolation::Bicubic] {
        time(&format!("resize whole to 224x224, {filter:?}"), &images, |image| {
            resizer.resize(image, Region::whole(image), 224, 224, filter).data.len()
        });
        plan.interpolation = filter;
        time(&format!("prepare 256 / 224, {filter:?}"), &images, |image| resizer.prepare(image, &plan).data.len());
    }
    plan.interpolation = Interpolation::Bilinear;
    let small: Vec<Rgb> = images.iter().map(|image| resizer.prepare(image, &plan)).collect();
    time("copy 224x224", &small, |image| image.clone().data.len());
    for (name, change) in [
        ("brightness", host::brightness as fn(&mut Rgb, f32)),
        ("contrast", host::contrast),
        ("saturation", host::saturation),
        ("hue", host::hue),
    ] {
        let factor = if name == "hue" { 0.05 } else { 1.2 };
        time(&format!("{name} 224x224"), &small, |image| {
            let mut image = image.clone();
            change(&mut image, factor);
            image.data.len()
        });
    }
    time("decode, prepare 256 / 224", &files, |bytes| resizer.prepare(&decode(bytes), &plan).data.len());
    time("decode, crop_resize to 224, flip", &files, |bytes| {
        let image = decode(bytes);
        let (width, height) = (f64::from(image.width), f64::from(image.height));
        // About half of the area, the mean of torchvision's random resized crop.
        let region = Region { x0: width * 0.15, y0: height * 0.15, x1: width * 0.85, y1: height * 0.85 };
        let mut out = resizer.crop_resize(&image, region, 224, 224, Interpolation::Bilinear);
        host::flip_horizontal(&mut out);
        out.data.len()
    });
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a readable folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "jpg") {
            paths.push(path);
        }
    }
}

/// The mean over the items of each one's fastest round, which a busy machine disturbs least.
fn time<T>(name: &str, items: &[T], mut run: impl FnMut(&T) -> usize) {
    let mut best = vec![f64::INFINITY; items.len()];
    for _ in 0..9 {
        for (item, best) in items.iter().zip(&mut best) {
            let start = Instant::now();
            std::hint::black_box(run(item));
            *best = best.min(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    println!("{:9.4} ms  {name}", best.iter().sum::<f64>() / best.len() as f64);
}
