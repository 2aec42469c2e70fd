//! What the server does to an image, without a server: decodes, resizes and runs one JPEG after the other, on one thread beside those of ONNX
//! Runtime. `cargo run --release -p server --example bare -- MODEL THREADS SECONDS IMAGE...`
//!
//! Prints one JSON object: images a second, and seconds of processors an image.

use std::{env, fs, path::Path, time::Instant};

use anyhow::{Context, bail};
use models::host::{self, Limits, Resizer};
use ndarray::ArrayView4;
use runtime::{Model, Options, Outputs, Overrides};
use serde_json::json;

/// Seconds that this process has been on processors.
fn processors() -> anyhow::Result<f64> {
    let text = fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).context("/proc/self/stat");
    Ok((ticks(11)? + ticks(12)?) as f64 / rustix::param::clock_ticks_per_second() as f64)
}

fn main() -> anyhow::Result<()> {
    runtime::telemetry::switch_off();
    let given: Vec<String> = env::args().skip(1).collect();
    let [model, threads, seconds, images @ ..] = &given[..] else { bail!("MODEL THREADS SECONDS IMAGE...") };
    let options = Options { intra_threads: threads.parse().context("THREADS")?, library: None };
    let mut model = Model::open(Path::new(model), &options)?;
    let files = images.iter().map(fs::read).collect::<Result<Vec<_>, _>>()?;
    let (seconds, limits, mut resizer) = (seconds.parse::<f64>()?, Limits::default(), Resizer::default());
    let mut ask = |file: &[u8]| -> anyhow::Result<()> {
        let image = host::decode(file, &limits)?;
        let made = resizer.prepare(&image, &model.meta().preprocessing);
        let view = ArrayView4::from_shape((1, made.height as usize, made.width as usize, 3), &made.data)?;
        match model.outputs() {
            Outputs::Probabilities => drop(model.run(view)?),
            Outputs::Boxes | Outputs::Masks => {
                let size = [i64::from(image.height), i64::from(image.width)];
                drop(model.detect(view, Some(&[size]), &Overrides::default())?);
            }
        }
        Ok(())
    };
    ask(&files[0])?;
    let (start, before, mut count) = (Instant::now(), processors()?, 0);
    while start.elapsed().as_secs_f64() < seconds {
        ask(&files[count % files.len()])?;
        count += 1;
    }
    let (seconds, cost) = (start.elapsed().as_secs_f64(), processors()? - before);
    println!("{}", json!({ "images": count, "rate": count as f64 / seconds, "cpu": cost / count as f64 }));
    Ok(())
}
