//! Our side of `scripts/bench/speed.py operations`: `vision_ops FOLDER THREADS ROUNDS` runs NMS and RoIAlign on the inputs of the folder and
//! writes, as JSON, the milliseconds of every round and a sum of the results, by which the harness sees that both sides do the same.

use bridge::{BridgeError, Nms, RoiAlign};
use std::{error::Error, time::Instant};
use tch::{Kind, Tensor};

const POOL: RoiAlign<'_> = RoiAlign {
    output: 7,
    sampling: 2,
    scales: &[0.25, 0.125, 0.0625, 0.03125],
    canonical_size: 224.0,
    canonical_level: 4,
    first_level: 2,
};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [folder, threads, rounds] = args.as_slice() else {
        return Err("usage: vision_ops FOLDER THREADS ROUNDS".into());
    };
    tch::set_num_threads(threads.parse()?);
    let rounds = rounds.parse()?;
    let read = |name: &str| Tensor::read_npy(format!("{folder}/{name}.npy"));
    let levels = [read("level0")?, read("level1")?, read("level2")?, read("level3")?];
    let (rois, upstream) = (read("rois")?, read("upstream")?);
    let mut results = Vec::new();
    for (order, reorder) in
        [("contiguous", Tensor::contiguous as fn(&Tensor) -> Tensor), ("channels_last", bridge::channels_last)]
    {
        let levels: Vec<Tensor> = levels.iter().map(|level| reorder(level).set_requires_grad(true)).collect();
        let levels: Vec<&Tensor> = levels.iter().collect();
        results.push(measure(&format!("roi_align {order}"), rounds, || {
            tch::no_grad(|| Ok(vec![bridge::roi_align(&levels, &rois, &POOL)?]))
        })?);
        results.push(measure(&format!("roi_align {order} with gradient"), rounds, || {
            let pooled = bridge::roi_align(&levels, &rois, &POOL)?;
            Ok(Tensor::run_backward(&[(&pooled * &upstream).sum(Kind::Float)], &levels, false, false))
        })?);
    }
    for (name, p) in [
        ("proposals", Nms { iou_threshold: 0.7, score_threshold: -1.0, cap: 1000 }),
        ("detections", Nms { iou_threshold: 0.45, score_threshold: 0.25, cap: 300 }),
        ("crowded", Nms { iou_threshold: 0.6, score_threshold: 0.001, cap: 300 }),
    ] {
        let (boxes, scores) = (read(&format!("{name}_boxes"))?, read(&format!("{name}_scores"))?);
        results.push(measure(&format!("nms {name}"), rounds, || {
            let [scores, ..] = bridge::nms(&boxes, &scores, &p)?;
            Ok(vec![scores])
        })?);
    }
    println!("{{{}}}", results.join(", "));
    Ok(())
}

fn measure(
    name: &str,
    rounds: usize,
    run: impl Fn() -> Result<Vec<Tensor>, BridgeError>,
) -> Result<String, BridgeError> {
    let sum = run()?.iter().map(|t| t.sum(Kind::Double).double_value(&[])).sum::<f64>();
    let mut times = Vec::new();
    for _ in 0..rounds {
        let start = Instant::now();
        let result = run()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        drop(result);
    }
    Ok(format!("\"{name}\": {{\"sum\": {sum}, \"milliseconds\": {times:?}}}"))
}
