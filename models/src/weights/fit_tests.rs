//! Checkpoints as training scripts write them, made here as streams of pickles.

use std::path::Path;

use crate::ops::Role;
use crate::weights::tensors::from_bytes;
use crate::weights::{LoadReport, TensorFile, Values, Wanted, load};

/// What a file holds.
#[derive(Clone)]
enum Node {
    /// Values of a tensor of one dimension.
    Tensor(Vec<f32>),
    Dict(Vec<(&'static str, Node)>),
    /// An optimizer's: its keys are numbers.
    Numbered(Vec<Node>),
    Number,
}
use Node::{Dict, Number, Numbered, Tensor};

/// Writes a pickle and its storages.
#[derive(Default)]
struct Writer {
    pickle: Vec<u8>,
    storages: Vec<Vec<f32>>,
}

impl Writer {
    fn text(&mut self, text: &str) {
        self.pickle.push(b'X');
        self.pickle.extend((text.len() as u32).to_le_bytes());
        self.pickle.extend(text.as_bytes());
    }

    fn int(&mut self, value: usize) {
        self.pickle.push(b'J');
        self.pickle.extend((value as i32).to_le_bytes());
    }

    fn node(&mut self, node: &Node) {
        match node {
            Number => self.int(7),
            Dict(items) => {
                self.pickle.extend(b"}(");
                for (key, value) in items {
                    self.text(key);
                    self.node(value);
                }
                self.pickle.push(b'u');
            }
            Numbered(items) => {
                self.pickle.extend(b"}(");
                for (key, value) in items.iter().enumerate() {
                    self.int(key);
                    self.node(value);
                }
                self.pickle.push(b'u');
            }
            Tensor(values) => {
                self.pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
                self.text("storage");
                self.pickle.extend(b"ctorch\nFloatStorage\n");
                self.text(&self.storages.len().to_string());
                self.text("cpu");
                self.int(values.len());
                self.pickle.extend(b"NtQ");
                self.int(0);
                self.int(values.len());
                self.pickle.push(0x85);
                self.int(1);
                self.pickle.push(0x85);
                self.pickle.extend(b"\x89}tR");
                self.storages.push(values.clone());
            }
        }
    }
}

fn file(root: &Node) -> TensorFile {
    let mut writer = Writer::default();
    writer.node(root);
    let Writer { pickle, storages } = writer;
    let mut bytes = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.".to_vec();
    bytes.extend([b"\x80\x02", &pickle[..], b"."].concat());
    let mut keys = Writer::default();
    (0..storages.len()).for_each(|key| keys.text(&key.to_string()));
    bytes.extend([b"\x80\x02](", &keys.pickle[..], b"e."].concat());
    for values in storages {
        bytes.extend((values.len() as u64).to_le_bytes());
        bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    }
    from_bytes(Path::new("net.pth"), bytes).unwrap()
}

/// The network of these tests: two layers and a head.
const KEYS: [(&str, &[i64]); 3] = [("a.weight", &[2]), ("b.weight", &[3]), ("fc.weight", &[4])];

fn wanted() -> Vec<Wanted<'static>> {
    let entry = |(key, shape): (&'static str, &'static [i64])| Wanted {
        key,
        shape,
        role: Role::Weight,
        head: key.starts_with("fc."),
    };
    KEYS.map(entry).to_vec()
}

/// The network's tensors under `names`, all of value `value`.
fn weights(names: [&'static str; 3], value: f32) -> Node {
    Dict(names.into_iter().zip([2, 3, 4]).map(|(name, len)| (name, Tensor(vec![value; len]))).collect())
}

fn plain(value: f32) -> Node {
    weights(["a.weight", "b.weight", "fc.weight"], value)
}

/// The first value of the first layer, and what loading said.
#[track_caller]
fn loaded(root: &Node) -> (f32, LoadReport) {
    let file = file(root);
    let wanted = wanted();
    let assignments = load("resnet18", &wanted, &file).unwrap();
    let Some((_, Values::F32(values))) = assignments.iter().next() else { panic!("no values") };
    (values[0], assignments.report.clone())
}

#[test]
fn the_weights_are_found_among_other_tensors() {
    let score = || Tensor(vec![76.1]);
    let optimizer = || Dict(vec![("state", Numbered(vec![plain(9.0)])), ("param_groups", Number)]);
    for name in ["state_dict", "model_state_dict", "model", "net", "network", "ema", "weights", "whatever"] {
        let root =
            Dict(vec![("best_acc1", score()), ("loss", score()), (name, plain(1.0)), ("optimizer", optimizer())]);
        let (first, report) = loaded(&root);
        assert_eq!((first, report.loaded.len(), &*report.origin.dictionary), (1.0, 3, name));
        assert!(report.to_string().contains(&format!("taken: '{name}'")), "{report}");
    }
    let deep = Dict(vec![("epoch", score()), ("ckpt", Dict(vec![("model", plain(2.0)), ("step", score())]))]);
    assert_eq!(&*loaded(&deep).1.origin.dictionary, "ckpt.model");
}

#[test]
fn of_several_networks_the_one_that_fits_best_is_taken() {
    // An average is another network of the same kind: the one that was trained is taken, and that is said.
    let (first, report) = loaded(&Dict(vec![("model_ema", plain(2.0)), ("state_dict", plain(1.0))]));
    assert_eq!((first, report.origin.as_good.as_slice()), (1.0, &["model_ema".to_owned()][..]));
    assert!(report.to_string().contains("taken: 'state_dict' ('model_ema' fits as well)"), "{report}");

    // A larger teacher has the same keys with other shapes.
    let teacher = Dict(vec![("a.weight", Tensor(vec![5.0; 20])), ("b.weight", Tensor(vec![5.0; 30]))]);
    let root = Dict(vec![("model", teacher), ("student", plain(3.0))]);
    assert_eq!((loaded(&root).0, &*loaded(&root).1.origin.dictionary), (3.0, "student"));
}

#[test]
fn what_wrappers_put_before_the_keys_is_removed() {
    for (prefix, names) in [
        ("model.", ["model.a.weight", "model.b.weight", "model.fc.weight"]),
        ("backbone.", ["backbone.a.weight", "backbone.b.weight", "backbone.fc.weight"]),
        ("model._orig_mod.", ["model._orig_mod.a.weight", "model._orig_mod.b.weight", "model._orig_mod.fc.weight"]),
        ("net.encoder.", ["net.encoder.a.weight", "net.encoder.b.weight", "net.encoder.fc.weight"]),
    ] {
        let Dict(mut items) = weights(names, 4.0) else { panic!("a dictionary") };
        items.insert(0, ("criterion.weight", Tensor(vec![1.0])));
        let (first, report) = loaded(&Dict(vec![("state_dict", Dict(items)), ("loss", Tensor(vec![0.5]))]));
        assert_eq!((first, report.loaded.len(), &*report.origin.prefix), (4.0, 3, prefix));
        assert_eq!(report.left_out, ["criterion.weight"]);
        assert!(report.to_string().contains("1 not taken: criterion.weight"), "{report}");
    }
    // Of all keys, without a word.
    let (_, report) = loaded(&weights(["module.a.weight", "module.b.weight", "module.fc.weight"], 4.0));
    assert_eq!((report.loaded.len(), report.to_string()), (3, "3 loaded".to_owned()));
}

#[test]
fn weights_that_are_no_numbers_are_refused_by_name() {
    for (value, shown) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf")] {
        let mut items = vec![("a.weight", Tensor(vec![1.0; 2])), ("fc.weight", Tensor(vec![1.0; 4]))];
        items.push(("b.weight", Tensor(vec![0.0, value, value])));
        let text = load("resnet18", &wanted(), &file(&Dict(items.clone()))).unwrap_err().to_string();
        for part in ["net.pth", "'b.weight'", &format!("has {shown} as element 1"), "2 of its 3 values", "checkpoint"] {
            assert!(text.contains(part), "{text}");
        }
        // In a tensor that is not taken they do no harm.
        let beside = Dict(vec![("state_dict", plain(1.0)), ("loss", Tensor(vec![value]))]);
        assert_eq!(loaded(&beside).1.loaded.len(), 3);
    }
}
