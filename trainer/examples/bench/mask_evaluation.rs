//! From what a mask model says to its metrics: pasting, overlaps, average precision. The peer is
//! `scripts/bench/peers/mask_evaluation.py`, whose `prepare` writes FOLDER.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use dataset::Object;
use models::host::mask::Outline;
use schemas::Settings;
use schemas::prediction::{Detection, MASK_SIDE, SoftMask};
use tch::{Kind, Tensor};
use trainer::tasks::detect::evaluate::{Outcome, judged, pasting};

use crate::detector_step::{outlines, read};
use crate::process;

/// Seconds, two of the metrics, and the most memory that was in use, in MB.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<serde_json::Value> {
    let [size, folder] = arguments else {
        anyhow::bail!("mask-evaluation takes two arguments: {}", crate::USAGE);
    };
    let (height, width) = size.split_once('x').context("the size is HEIGHTxWIDTH")?;
    let (height, width): (u32, u32) = (height.parse()?, width.parse()?);
    let case = read(&Path::new(folder).join("case.safetensors"))?;
    let images = tensor(&case, "boxes")?.size()[0];
    let most = tensor(&case, "boxes")?.size()[1];
    let settings = Settings { box_detections_per_img: u32::try_from(most)?, ..Settings::default() };
    let paste = pasting(&settings, width, height);
    let truths: Vec<Vec<Object>> =
        (0..images).map(|image| truth(&case, image, [width, height])).collect::<anyhow::Result<_>>()?;
    let classes = tensor(&case, "truth_labels")?.max().int64_value(&[]) + 1;
    let labels: Vec<String> = (0..classes).map(|class| class.to_string()).collect();

    let started = Instant::now();
    let mut outcome = Outcome::default();
    for (image, objects) in (0..images).zip(&truths) {
        let found = found(&case, image)?;
        outcome.results.push(judged(objects, &found, paste));
    }
    let scalars = outcome.report(&labels, &settings).scalars();
    let seconds = started.elapsed().as_secs_f64();
    Ok(serde_json::json!({
        "evaluation": seconds,
        "AP50:95": scalars["ap50_95"],
        "AP50": scalars["ap50"],
        "peak": process::peak(),
    }))
}

fn tensor<'a>(case: &'a BTreeMap<String, Tensor>, name: &str) -> anyhow::Result<&'a Tensor> {
    case.get(name).with_context(|| format!("no {name} in the case"))
}

fn floats(tensor: &Tensor) -> anyhow::Result<Vec<f32>> {
    Ok(Vec::<f32>::try_from(tensor.to_kind(Kind::Float).reshape([-1]))?)
}

/// The objects of an image as a data set has them, in fractions.
fn truth(case: &BTreeMap<String, Tensor>, image: i64, size: [u32; 2]) -> anyhow::Result<Vec<Object>> {
    let classes = Vec::<i64>::try_from(tensor(case, "truth_labels")?.get(image))?;
    let size = size.map(f64::from);
    let object = |(outline, class): (Outline, i64)| -> anyhow::Result<Object> {
        let outline = outline.map(|[x, y]| [x / size[0], y / size[1]]);
        let around = outline.bounds().context("an outline has points")?;
        let corners = [around.x0, around.y0, around.x1, around.y1].map(|value| value as f32);
        Ok(Object { corners, class: u32::try_from(class)?, is_crowd: false, outline: Some(Arc::new(outline)) })
    };
    let polygons = tensor(case, "polygons")?.get(image);
    outlines(Some(&polygons))?.into_iter().zip(classes).map(object).collect()
}

/// What was found in an image.
fn found(case: &BTreeMap<String, Tensor>, image: i64) -> anyhow::Result<Vec<Detection>> {
    let of = |name: &str| anyhow::Ok(tensor(case, name)?.get(image));
    let (boxes, scores, masks) = (floats(&of("boxes")?)?, floats(&of("scores")?)?, floats(&of("masks")?)?);
    let labels = Vec::<i64>::try_from(of("labels")?)?;
    let masks = masks.chunks_exact(MASK_SIDE * MASK_SIDE).map(SoftMask::new);
    let all = boxes.as_chunks::<4>().0.iter().zip(scores).zip(labels).zip(masks);
    all.map(|(((corners, score), label), mask)| {
        Ok(Detection { corners: *corners, score, label: usize::try_from(label)?, mask })
    })
    .collect()
}
