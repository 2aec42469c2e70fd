//! Recordings of detectors without a trainer: what a graph itself decides, from its own values.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use exporter::Form;
use exporter::graph::{Dim, Graph, Node, ValueInfo};
use exporter::preprocess::{self, Contents};
use exporter::proto::{self, Header};
use exporter::source::{ParamError, ParamSource};
use exporter::verify::decisions::Sample;
use exporter::verify::recorded::{self, word};
use models::host::{self, Rgb, Tile};
use runtime::{Data, Options, Probe, Tensor};
use safetensors::{Dtype, SafeTensors};
use schemas::prediction::{DetectionSettings, MASK_SIDE};
use schemas::{CheckpointMeta, Settings};
use sha2::{Digest, Sha256};

use super::{Tensors, picture, write_tensors};

/// Thresholds of recordings: overlap, score.
pub const LIMITS: [f32; 2] = [0.5, 0.05];
/// Height and width of recorded images.
const SIZES: [(usize, usize); 3] = [(70, 96), (201, 120), (90, 64)];

/// Weights in memory.
struct Weights<'a>(&'a Tensors);

impl ParamSource for Weights<'_> {
    fn parameter(&self, key: &str, _: &[i64]) -> Result<Vec<u8>, ParamError> {
        let tensor = self.0.get(key).ok_or_else(|| ParamError::Missing { key: key.to_owned() })?;
        Ok(tensor.2.clone())
    }
}

/// The graph of a detector with these weights.
pub fn graph_of(meta: &CheckpointMeta, weights: &Tensors, contents: impl Into<Contents>) -> Graph {
    let detector = models::registry::described(meta).unwrap().detector().unwrap();
    let settings = DetectionSettings::try_from(meta).unwrap();
    preprocess::detector(&detector, meta, &settings, contents, &Weights(weights)).unwrap()
}

/// The graph with every decision's inputs and outputs among its outputs.
fn open(mut graph: Graph) -> Graph {
    for (k, decision) in graph.decisions.clone().iter().enumerate() {
        let ports = [("input", &decision.inputs), ("output", &decision.outputs)];
        for (what, j, port) in
            ports.into_iter().flat_map(|(what, p)| p.iter().enumerate().map(move |(j, p)| (what, j, p)))
        {
            if !graph.nodes.iter().any(|node| node.outputs.contains(&port.name)) {
                continue;
            }
            let name = format!("{k}.{what}.{j}");
            graph.nodes.push(Node {
                name: format!("{name}/Identity").into(),
                op: "Identity",
                inputs: vec![port.name.clone()],
                outputs: vec![name.clone().into()],
                attributes: vec![],
            });
            let dims = vec![Dim::Any; port.rank];
            graph.outputs.push(ValueInfo { name: name.into(), dtype: port.dtype, dims, doc: String::new() });
        }
    }
    graph
}

/// What a trainer with these weights would record.
pub fn record(meta: &CheckpointMeta, weights: &Tensors) -> Tensors {
    let graph = open(graph_of(meta, weights, Form::Prepared));
    let kinds: Vec<_> = graph.decisions.iter().map(|decision| decision.kind).collect();
    let bytes = proto::bytes(graph, &Header { graph: "test", doc: "", metadata: &[] }).unwrap();
    let mut probe = Probe::open(&bytes, &Options { intra_threads: 2, library: None }).unwrap();
    let s = Settings::try_from(meta.settings.clone()).unwrap();
    let mut all = Tensors::new();
    for (i, (h, w)) in SIZES.into_iter().enumerate() {
        let image = picture(&format!("{h}x{w}"), 1, h, w);
        put(&mut all, &format!("image.{i}"), &bytes_of(image.shape(), image.iter().copied().collect()));
        let rgb = Rgb { width: w as u32, height: h as u32, data: image.into_raw_vec_and_offset().0 };
        let tiles = host::tiles(rgb.width, rgb.height, s.tile_grid_size, s.tile_overlap_ratio);
        for (t, place) in std::iter::once(Tile::whole(&rgb)).chain(tiles).enumerate() {
            let name = format!("image.{i}.source.{t}");
            let fitted = host::prepare(&host::cut(&rgb, place), &meta.preprocessing);
            let fitted = bytes_of(&[1, fitted.height as usize, fitted.width as usize, 3], fitted.data);
            let corners = [place.y0, place.x0, place.y1, place.x1].map(i64::from);
            put(&mut all, &name, &fitted);
            put(&mut all, &format!("{name}.place"), &integers(&[4], corners.to_vec()));
            let size = integers(&[1, 2], vec![corners[2] - corners[0], corners[3] - corners[1]]);
            let [iou, score] = LIMITS.map(|limit| floats(&[1], vec![limit]));
            let inputs = [("images", &fitted), ("sizes", &size), ("iou_threshold", &iou), ("score_threshold", &score)];
            let mut out = probe.run(&inputs.map(|(name, tensor)| (name.to_owned(), tensor.clone()))).unwrap();
            let labels = out["labels"].integers().unwrap().iter().take_while(|&&label| label >= 0).count();
            let part = |name: &str, width: usize| out[name].floats().unwrap()[..labels * width].to_vec();
            put(&mut all, &format!("{name}.boxes"), &floats(&[labels, 4], part("boxes", 4)));
            put(&mut all, &format!("{name}.scores"), &floats(&[labels], part("scores", 1)));
            let found = out["labels"].integers().unwrap()[..labels].to_vec();
            put(&mut all, &format!("{name}.labels"), &integers(&[labels], found));
            if out.contains_key("masks") {
                let masks = part("masks", MASK_SIDE * MASK_SIDE);
                put(&mut all, &format!("{name}.masks"), &floats(&[labels, MASK_SIDE, MASK_SIDE], masks));
            }
            for (k, kind) in kinds.iter().enumerate() {
                let decision = format!("{name}.decision.{k}.{}", word(*kind).unwrap());
                let limits = rule(&decision, &mut out, k, meta);
                put(&mut all, &format!("{decision}.limits"), &floats(&[limits.len()], limits));
                for j in 0..2 {
                    let Some(input) = out.remove(&format!("{k}.input.{j}")) else { continue };
                    let sample = Sample::of(&input.shape, input.floats().unwrap());
                    let shape = input.shape.iter().map(|&d| d as i64).collect::<Vec<_>>();
                    put(&mut all, &format!("{decision}.input.{j}"), &floats(&[sample.values.len()], sample.values));
                    put(&mut all, &format!("{decision}.input.{j}.shape"), &integers(&[shape.len()], shape));
                }
                for j in 0..3 {
                    let Some(output) = out.remove(&format!("{k}.output.{j}")) else { continue };
                    put(&mut all, &format!("{decision}.output.{j}"), &output);
                }
            }
        }
    }
    put(&mut all, "format", &integers(&[1], vec![recorded::FORMAT]));
    put(&mut all, "iou_threshold", &floats(&[1], vec![LIMITS[0]]));
    put(&mut all, "score_threshold", &floats(&[1], vec![LIMITS[1]]));
    all
}

/// The numbers of a decision's rule, which a graph does not show: those of the definitions. Classes that nothing reads are
/// filled in.
fn rule(
    decision: &str,
    out: &mut std::collections::BTreeMap<String, Tensor>,
    k: usize,
    meta: &CheckpointMeta,
) -> Vec<f32> {
    let word = decision.rsplit('.').next().unwrap();
    match word {
        "nms" => {
            let proposals = !out.contains_key(&format!("{k}.output.1"));
            if proposals {
                let scores = &out[&format!("{k}.output.0")];
                let classes = scores.floats().unwrap().iter().map(|s| i64::from(*s > 0.0) - 1).collect();
                let classes = integers(&scores.shape.clone(), classes);
                out.insert(format!("{k}.output.1"), classes);
            }
            // Proposals are suppressed at 0.7 from 0 on; that of R-CNN's classes looks like them, but comes after them.
            let rcnn = ["fasterrcnn", "maskrcnn"].iter().any(|family| meta.model_name.starts_with(family));
            if proposals && rcnn && !is_last_nms(out, k) { vec![0.7, 0.0] } else { LIMITS.to_vec() }
        }
        "topk" => vec![],
        _ => {
            // Of lengths the shortest side, of scores anything above 0.
            let mask = out[&format!("{k}.output.0")].floats().unwrap();
            let input = out[&format!("{k}.input.0")].floats().unwrap();
            let kept =
                input.iter().zip(mask).filter(|(_, m)| **m == 1.0).map(|(x, _)| *x).fold(f32::INFINITY, f32::min);
            let dropped = input.iter().zip(mask).filter(|(_, m)| **m == 0.0).map(|(x, _)| *x).fold(0.0, f32::max);
            let limits = [1e-3, 1e-2, f32::MIN_POSITIVE];
            vec![*limits.iter().find(|&&limit| dropped < limit && kept >= limit).unwrap()]
        }
    }
}

/// Whether no suppression comes after decision `k`.
fn is_last_nms(out: &std::collections::BTreeMap<String, Tensor>, k: usize) -> bool {
    !out.keys().any(|name| name.ends_with(".input.1") && name.split('.').next().unwrap().parse::<usize>().unwrap() > k)
}

pub fn floats(shape: &[usize], values: Vec<f32>) -> Tensor {
    Tensor { shape: shape.to_vec(), data: Data::F32(values) }
}

pub fn integers(shape: &[usize], values: Vec<i64>) -> Tensor {
    Tensor { shape: shape.to_vec(), data: Data::I64(values) }
}

fn bytes_of(shape: &[usize], values: Vec<u8>) -> Tensor {
    Tensor { shape: shape.to_vec(), data: Data::U8(values) }
}

fn put(all: &mut Tensors, name: &str, tensor: &Tensor) {
    let (dtype, bytes) = match &tensor.data {
        Data::F32(values) => (Dtype::F32, values.iter().flat_map(|v| v.to_le_bytes()).collect()),
        Data::I64(values) => (Dtype::I64, values.iter().flat_map(|v| v.to_le_bytes()).collect()),
        Data::U8(values) => (Dtype::U8, values.clone()),
    };
    all.insert(name.to_owned(), (dtype, tensor.shape.clone(), bytes));
}

/// Writes a recording of the weights in this folder.
pub fn write_recording(folder: &Path, tensors: &Tensors) {
    let digest = Sha256::digest(fs::read(folder.join("model.safetensors")).unwrap());
    let sha256: String = digest.iter().map(|b| format!("{b:02x}")).collect();
    write_tensors(&folder.join("verification.safetensors"), tensors, ("model_sha256", &sha256));
}

/// Every tensor of a file.
pub fn read_tensors(path: &Path) -> Tensors {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let all: HashMap<_, _> = file
        .tensors()
        .into_iter()
        .map(|(name, view)| (name, (view.dtype(), view.shape().to_vec(), view.data().to_vec())))
        .collect();
    all.into_iter().collect()
}
