//! Faults planted in a detector's graph: each must be refused.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

mod support;

use exporter::Form;
use exporter::graph::{Attribute, Graph, Initializer, Node};
use exporter::preprocess::Contents;
use exporter::proto::{self, Header};
use exporter::verify::{self, Recording, Subject, VerifyError};
use models::ops::DType;
use models::weights::CheckpointFile;
use runtime::{Model, Options};
use schemas::{CheckpointMeta, Fit, Task};
use serde_json::json;
use support::decisions::{graph_of, record, write_recording};
use support::{Tensors, detector_meta, state_dict, write_checkpoint};
use tempfile::TempDir;

/// What a fault is called, and how it is planted.
type Fault = (&'static str, &'static dyn Fn(&mut Graph));

/// A checkpoint with its recording.
struct Case {
    _folder: TempDir,
    checkpoint: CheckpointFile,
    recording: Recording,
    weights: Tensors,
}

impl Case {
    fn new(meta: &CheckpointMeta) -> Self {
        let folder = TempDir::new().unwrap();
        let weights = state_dict(meta);
        write_checkpoint(folder.path(), meta, &weights);
        write_recording(folder.path(), &record(meta, &weights));
        let checkpoint = CheckpointFile::open(folder.path()).unwrap();
        let recording = verify::read(&checkpoint).unwrap();
        Self { _folder: folder, checkpoint, recording, weights }
    }

    /// Plants a fault in the graph and compares.
    fn verdict(&self, contents: Contents, plant: &dyn Fn(&mut Graph)) -> Result<(), VerifyError> {
        let (meta, form) = (self.checkpoint.meta(), contents.form);
        let mut graph = graph_of(meta, &self.weights, contents);
        plant(&mut graph);
        let metadata = [(runtime::META_KEY, self.checkpoint.meta_json()), (runtime::FORM_KEY, form.name())];
        let header = Header { graph: "planted", doc: "", metadata: &metadata };
        let options = Options { intra_threads: 2, library: None };
        let mut model = Model::from_bytes(&proto::bytes(graph.clone(), &header).unwrap(), &options).unwrap();
        let subject = Subject { checkpoint: &self.checkpoint, graph: &graph, form, options: &options };
        verify::compare(&self.recording, &subject, &mut model).map(drop)
    }

    fn refuses(&self, contents: impl Into<Contents>, faults: &[Fault]) {
        let contents = contents.into();
        let form = contents.form;
        self.verdict(contents, &|_| {}).unwrap();
        let passed: Vec<&str> = faults
            .iter()
            .filter(|(name, plant)| match self.verdict(contents, *plant) {
                Ok(()) => true,
                Err(error) => {
                    println!("{form} {name}: {error}");
                    false
                }
            })
            .map(|(name, _)| *name)
            .collect();
        assert!(passed.is_empty(), "these passed as {form}: {passed:?}");
    }
}

/// The graph and the bodies of its loops.
fn each(graph: &mut Graph, change: &mut dyn FnMut(&mut Graph)) {
    change(graph);
    for node in &mut graph.nodes {
        node.bodies_mut().for_each(|body| each(body, change));
    }
}

/// Changes every initialiser that fits; one must.
fn weights(graph: &mut Graph, fits: &dyn Fn(&Initializer) -> bool, change: &dyn Fn(usize, f32) -> f32) {
    let mut found = false;
    each(graph, &mut |graph| {
        for tensor in graph.initializers.iter_mut().filter(|t| t.dtype == DType::F32 && fits(t)) {
            found = true;
            for (i, bytes) in tensor.data.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                *bytes = change(i, f32::from_le_bytes(*bytes)).to_le_bytes();
            }
        }
    });
    assert!(found, "nothing to change");
}

fn named(graph: &mut Graph, name: &str, change: &dyn Fn(usize, f32) -> f32) {
    weights(graph, &|t| &*t.name == name, change);
}

/// Changes every node of this operator at this place; there must be one.
fn nodes(graph: &mut Graph, op: &str, place: &str, change: &mut dyn FnMut(&mut Node)) {
    let mut found = false;
    each(graph, &mut |graph| {
        for node in graph.nodes.iter_mut().filter(|node| node.op == op && node.name.contains(place)) {
            found = true;
            change(node);
        }
    });
    assert!(found, "no {op} at {place:?}");
}

/// An input of every such node becomes another number.
fn constant(graph: &mut Graph, op: &str, input: usize, value: f32) {
    let mut found = false;
    each(graph, &mut |graph| {
        let mut used = false;
        for node in graph.nodes.iter_mut().filter(|node| node.op == op) {
            node.inputs[input] = "planted".into();
            used = true;
        }
        if used {
            found = true;
            let data = value.to_le_bytes().to_vec();
            let (name, dims) = ("planted".into(), vec![1]);
            graph.initializers.push(Initializer { name, dtype: DType::F32, dims, data, parameter: false });
        }
    });
    assert!(found, "no {op}");
}

fn attribute(graph: &mut Graph, op: &str, name: &str, value: &Attribute) {
    nodes(graph, op, "", &mut |node| {
        let known = node.attributes.iter_mut().find(|(key, _)| *key == name);
        known.unwrap_or_else(|| panic!("{op} has no {name}")).1 = value.clone();
    });
}

const ANCHORS: &str = "model.24.anchors";
const HEAD: &str = "model.24.m.0.weight";

/// Faults that every form of a YOLOv5 file can have.
fn yolo_faults() -> Vec<Fault> {
    vec![
        ("anchors twice as large", &|g| named(g, ANCHORS, &|_, x| 2.0 * x)),
        ("one anchor a tenth larger", &|g| named(g, ANCHORS, &|i, x| if i == 0 { 1.1 * x } else { x })),
        ("a class dropped", &|g| {
            // Rows of the last class: 8 numbers for each of 3 anchors.
            named(g, "model.24.m.0.bias", &|i, x| if i % 8 == 7 { -20.0 } else { x });
        }),
        ("classes swapped", &|g| named(g, "model.24.m.1.bias", &|i, x| if i % 8 == 5 { x + 0.5 } else { x })),
        ("one weight of a head", &|g| named(g, HEAD, &|i, x| if i == 5 { x + 1.0 } else { x })),
        ("another epsilon", &|g| attribute(g, "BatchNormalization", "epsilon", &Attribute::Float(0.1))),
        ("a smaller pool", &|g| {
            attribute(g, "MaxPool", "kernel_shape", &Attribute::Ints(vec![3, 3]));
            attribute(g, "MaxPool", "pads", &Attribute::Ints(vec![1, 1, 1, 1]));
        }),
        ("other boxes kept: overlap", &|g| constant(g, "NonMaxSuppression", 3, 0.95)),
        ("other boxes kept: score", &|g| constant(g, "NonMaxSuppression", 4, 0.6)),
        ("fewer boxes of a class", &|g| {
            nodes(g, "NonMaxSuppression", "", &mut |node| node.inputs[2] = "few".into());
            each(g, &mut |graph| {
                if graph.nodes.iter().any(|node| node.op == "NonMaxSuppression") {
                    let data = 1_i64.to_le_bytes().to_vec();
                    let (name, dims) = ("few".into(), vec![1]);
                    graph.initializers.push(Initializer { name, dtype: DType::I64, dims, data, parameter: false });
                }
            });
        }),
        ("the smallest in place of the largest", &|g| {
            nodes(g, "TopK", "", &mut |node| node.attributes.push(("largest", Attribute::Int(0))));
        }),
        ("another default of the score", &|g| named(g, "score_threshold", &|_, _| 0.9)),
        ("another default of the overlap", &|g| named(g, "iou_threshold", &|_, _| 0.99)),
        ("pixels not scaled", &|g| {
            let small = |t: &Initializer| {
                !t.parameter
                    && t.data.as_chunks::<4>().0.iter().any(|b| (f32::from_le_bytes(*b) - 1.0 / 255.0).abs() < 1e-6)
            };
            weights(g, &small, &|_, x| 2.0 * x);
        }),
        ("centres moved by half a cell", &|g| {
            weights(g, &|t| !t.parameter && t.data == 0.5_f32.to_le_bytes(), &|_, _| 0.0);
        }),
        ("sigmoid of another slope", &|g| {
            nodes(g, "Sigmoid", "model.24", &mut |node| node.op = "Tanh");
        }),
        ("a kernel turned round", &|g| {
            let mut turned = Vec::new();
            each(g, &mut |graph| {
                for tensor in graph.initializers.iter_mut().filter(|t| &*t.name == "model.0.conv.weight") {
                    let mut values = tensor.data.as_chunks::<4>().0.to_vec();
                    values.reverse();
                    tensor.data = values.as_flattened().to_vec();
                    turned.push(());
                }
            });
            assert!(!turned.is_empty());
        }),
    ]
}

fn yolo(grid: &str) -> Case {
    Case::new(&detector_meta("yolov5", Fit::Letterbox { side: 96 }, &[("tile_grid_size", json!(grid))]))
}

#[test]
fn faults_of_a_one_stage_detector_are_refused() {
    let case = yolo("none");
    case.refuses(Form::Prepared, &yolo_faults());
    let mut faults = yolo_faults();
    faults.extend::<Vec<Fault>>(vec![
        ("another frame", &|g| {
            each(g, &mut |graph| {
                let frames = graph.initializers.iter_mut().filter(|t| t.dtype == DType::U8);
                frames.for_each(|t| t.data.fill(0));
            });
        }),
        ("resized without smoothing", &|g| {
            nodes(g, "Resize", "frame", &mut |node| {
                node.attributes.retain(|(name, _)| *name != "antialias" && *name != "exclude_outside");
            });
        }),
        ("framed at the wrong end", &|g| nodes(g, "Concat", "frame", &mut |node| node.inputs.reverse())),
    ]);
    case.refuses(Form::Whole, &faults);
}

#[test]
fn faults_of_a_tiled_file_are_refused() {
    let case = yolo("2x1");
    let mut faults = yolo_faults();
    faults.extend::<Vec<Fault>>(vec![
        ("tiles elsewhere", &|g| {
            each(g, &mut |graph| {
                for tensor in graph.initializers.iter_mut().filter(|t| t.dtype == DType::F64) {
                    let scaled = |b: &[u8; 8]| (f64::from_le_bytes(*b) * 0.9).to_le_bytes();
                    tensor.data = tensor.data.as_chunks::<8>().0.iter().flat_map(scaled).collect();
                }
            });
        }),
        ("boxes of tiles not moved", &|g| nodes(g, "Add", "tile", &mut |node| node.op = "Sub")),
        ("tiles merged by another overlap", &|g| {
            weights(g, &|t| !t.parameter && t.data == 0.25_f32.to_le_bytes(), &|_, _| 0.99);
        }),
    ]);
    case.refuses(Form::Whole, &faults);
}

#[test]
fn faults_of_a_two_stage_detector_are_refused() {
    let case = Case::new(&detector_meta("fasterrcnn_resnet18_fpn", Fit::Shorter { min_size: 60, max_size: 133 }, &[]));
    let faults: Vec<Fault> = vec![
        ("proposals kept by another overlap", &|g| {
            weights(g, &|t| !t.parameter && t.data == 0.7_f32.to_le_bytes(), &|_, _| 0.5);
        }),
        ("a class dropped", &|g| {
            named(g, "roi_heads.box_predictor.cls_score.bias", &|i, x| if i == 3 { -20.0 } else { x });
        }),
        ("objectness moved", &|g| named(g, "rpn.head.cls_logits.bias", &|i, x| if i == 0 { x + 0.1 } else { x })),
        ("boxes moved", &|g| {
            named(g, "roi_heads.box_predictor.bbox_pred.bias", &|i, x| if i == 4 { x + 0.05 } else { x });
        }),
        ("fewer samples of a region", &|g| attribute(g, "RoiAlign", "sampling_ratio", &Attribute::Int(1))),
        ("regions aligned otherwise", &|g| {
            let half = Attribute::Text("half_pixel");
            attribute(g, "RoiAlign", "coordinate_transformation_mode", &half);
        }),
        ("boxes not clipped", &|g| nodes(g, "Min", "", &mut |node| node.op = "Max")),
        ("pyramid without its top-down path", &|g| {
            named(g, "backbone.fpn.inner_blocks.3.0.weight", &|_, _| 0.0);
        }),
    ];
    case.refuses(Form::Whole, &faults);
}

#[test]
fn wrong_pixels_of_objects_are_refused() {
    let fit = Fit::Shorter { min_size: 60, max_size: 133 };
    let few = [("mask_pixel_score_threshold", json!(0.45)), ("box_detections_per_img", json!(8))];
    let meta = detector_meta("maskrcnn_resnet18_fpn", fit, &few);
    let case = Case::new(&CheckpointMeta { task: Task::ImageInstanceSegmentation, ..meta });
    let faults: [Fault; 3] = [
        ("another threshold", &|g| named(g, "mask_threshold", &|_, t| t + 0.02)),
        ("no margin around the box", &|g| weights(g, &|t| t.data == (30.0_f32 / 28.0).to_le_bytes(), &|_, _| 1.0)),
        ("corners rounded to the nearest pixel", &|g| {
            nodes(g, "Clip", "paste/object", &mut |node| node.op = "Ceil");
            nodes(g, "Ceil", "paste/object", &mut |node| node.inputs.truncate(1));
        }),
    ];
    case.refuses(Contents { pixels: true, ..Contents::from(Form::Whole) }, &faults);
}
