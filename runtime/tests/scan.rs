//! Hostile model files: each class is refused with its reason, and what is sound passes.

#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod protobuf;

use std::{
    fs,
    path::{Path, PathBuf},
};

use protobuf::varint;
use runtime::{Model, Options, Probe, RuntimeError, scan};

fn fixtures() -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/tests/fixtures");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|end| end == "onnx")).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn fixture(name: &str) -> Vec<u8> {
    fixtures().into_iter().find(|(path, _)| path.ends_with(name)).unwrap().1
}

fn options() -> Options {
    Options { intra_threads: 1, library: None }
}

/// A field that is a number.
fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

/// A field of bytes: a text, or a message.
fn bytes(field: u64, content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    [varint(field << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
}

fn model(graph: &[u8]) -> Vec<u8> {
    [number(1, 10), bytes(8, number(2, 18)), bytes(7, graph)].concat()
}

fn node(attribute: impl AsRef<[u8]>) -> Vec<u8> {
    bytes(1, [bytes(4, "Constant"), bytes(5, attribute)].concat())
}

/// A model whose only initializer is this tensor.
fn with_tensor(tensor: &[u8]) -> Vec<u8> {
    model(&bytes(5, tensor))
}

/// A tensor of this type and shape, and what else it is made of.
fn tensor(elements: u64, shape: &[u64], rest: &[u8]) -> Vec<u8> {
    let shape: Vec<u8> = shape.iter().flat_map(|&length| number(1, length)).collect();
    [shape, number(2, elements), rest.to_vec()].concat()
}

/// A tensor whose elements are in another file, as ONNX writes it.
fn external(location: &str) -> Vec<u8> {
    let entry = |key: &str, value: &str| bytes(13, [bytes(1, key), bytes(2, value)].concat());
    tensor(1, &[4], &[entry("location", location), entry("offset", "0"), number(14, 1)].concat())
}

/// A model whose nodes hold graphs within graphs, innermost this one.
fn nested(levels: usize, innermost: &[u8]) -> Vec<u8> {
    model(&(0..levels).fold(innermost.to_vec(), |graph, _| node(bytes(6, graph))))
}

/// A function of this name, whose nodes call these others.
fn function(name: &str, calls: &[&str]) -> Vec<u8> {
    let nodes: Vec<u8> = calls.iter().flat_map(|call| bytes(7, [bytes(4, call), bytes(7, "own")].concat())).collect();
    bytes(25, [bytes(1, name), bytes(10, "own"), nodes].concat())
}

#[track_caller]
fn check(name: &str, file: &[u8], said: &str) {
    let error = scan::bytes(file).expect_err(name).to_string();
    assert!(error.contains(said), "{name}: {error}");
}

#[test]
fn sound_files_pass() {
    for (path, content) in fixtures() {
        scan::bytes(&content).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()));
        scan::file(&path).unwrap();
    }
    let raw =
        |elements, shape: &[u64], length: usize| with_tensor(&tensor(elements, shape, &bytes(9, vec![0; length])));
    let packed = [varint(3), varint(u64::MAX), varint(300)].concat();
    for (name, file) in [
        ("an empty graph", model(b"")),
        ("ONNX's own operators by name", model(&bytes(1, bytes(7, "ai.onnx")))),
        ("ten graphs in one another", nested(10, b"")),
        ("floats", raw(1, &[2, 3], 24)),
        ("a scalar", raw(7, &[], 8)),
        ("no elements", with_tensor(&tensor(1, &[0, 5], b""))),
        ("five numbers of four bits", raw(22, &[5], 3)),
        ("five numbers of two bits", raw(25, &[5], 2)),
        ("a packed shape", with_tensor(&[bytes(1, [2, 3]), number(2, 2), bytes(9, [0; 6])].concat())),
        ("packed whole numbers", with_tensor(&tensor(7, &[3], &bytes(7, packed)))),
        ("floats in a field of theirs", with_tensor(&tensor(1, &[2], &bytes(4, [0; 8])))),
        ("texts", with_tensor(&tensor(8, &[2], &[bytes(6, "a"), bytes(6, "")].concat()))),
        ("complex numbers", with_tensor(&tensor(15, &[1], &bytes(10, [0; 16])))),
    ] {
        scan::bytes(&file).unwrap_or_else(|fault| panic!("{name}: {fault}"));
    }
}

#[test]
fn what_is_no_model_is_refused() {
    let whole = fixture("tiny_whole.onnx");
    for (name, file, said) in [
        ("nothing", vec![], "no graph"),
        ("text", b"not a model at all".to_vec(), "no ONNX model"),
        ("zeros", vec![0; 100], "no ONNX model"),
        ("no graph", number(1, 10), "no graph"),
        ("a length beyond the file", [varint(7 << 3 | 2), varint(100)].concat(), "100 bytes are announced where 0"),
        ("a length of 2^64-1", [varint(7 << 3 | 2), varint(u64::MAX)].concat(), "18446744073709551615 bytes"),
        ("an inner length beyond its message", model(&[1 << 3 | 2, 5]), "graph, byte"),
        ("a number without end", vec![8, 0xff, 0xff], "bytes are announced"),
        ("a number of 11 bytes", [vec![8], vec![0xff; 11], vec![0]].concat(), "more than 64 bits"),
        ("a group", vec![7 << 3 | 3], "kind 3"),
        ("a field that there is not", [number(1, 10), number(99, 1)].concat(), "number 99"),
        ("field 0", vec![0, 0], "number 0"),
        ("a graph that is a number", number(7, 5), "another kind"),
        ("two graphs", [model(b""), bytes(7, b"")].concat(), "twice"),
        ("ONNX Runtime's own format", b"\x20\0\0\0ORTM\0\0\0\0".to_vec(), "own format"),
        ("half of a model", whole[..whole.len() / 2].to_vec(), "cut off"),
    ] {
        check(name, &file, said);
    }
    // Between two fields of the model a cut leaves a smaller model.
    let sound = (0..whole.len()).filter(|&cut| scan::bytes(&whole[..cut]).is_ok()).count();
    assert!(sound < 10, "{sound} of {} beginnings pass", whole.len());
}

#[test]
fn data_in_other_files_are_refused_wherever_they_stand() {
    for location in ["/etc/passwd", "../secret", "weights.bin", "a/../../b", "link", ""] {
        let data = external(location);
        for (name, file) in [
            ("an initializer", with_tensor(&data)),
            ("an attribute", model(&node(bytes(5, &data)))),
            ("a list of tensors", model(&node([bytes(10, tensor(1, &[0], b"")), bytes(10, &data)].concat()))),
            ("an inner graph", nested(3, &bytes(5, &data))),
            ("a list of graphs", model(&node(bytes(11, bytes(5, &data))))),
        ] {
            check(name, &file, "another file (external data), which no file of Fovea has");
        }
        for (name, file, said) in [
            ("a sparse initializer", model(&bytes(15, bytes(1, &data))), "graph.sparse_initializer[0]"),
            (
                "a sparse attribute",
                model(&node(bytes(22, bytes(2, &data)))),
                "graph.node[0].attribute[0].sparse_tensor",
            ),
            ("sparse attributes", model(&node(bytes(23, bytes(1, &data)))), "sparse_tensors[0]"),
            ("a function", [model(b""), bytes(25, bytes(7, bytes(5, bytes(5, &data))))].concat(), "functions[0]"),
            ("training", [model(b""), bytes(20, bytes(1, bytes(5, &data)))].concat(), "training_info[0]"),
        ] {
            check(name, &file, said);
        }
    }
    // The location alone, and the entries alone, are enough.
    check("a location", &with_tensor(&tensor(1, &[0], &number(14, 1))), "graph.initializer[0].data_location");
    check("an unknown location", &with_tensor(&tensor(1, &[0], &number(14, 7))), "external data");
    check("entries", &with_tensor(&tensor(1, &[0], &bytes(13, b""))), "graph.initializer[0].external_data[0]");
    let both = [bytes(9, [0; 16]), bytes(13, [bytes(1, "location"), bytes(2, "/etc/passwd")].concat())].concat();
    check("data in the file as well", &with_tensor(&tensor(1, &[4], &both)), "external data");
}

#[test]
fn operators_of_others_are_refused() {
    for domain in ["com.microsoft", "ai.onnx.ml", "ai.onnx.training", "own", "\u{0}", &"d".repeat(5000)] {
        let operator = bytes(1, [bytes(4, "Op"), bytes(7, domain)].concat());
        for file in [model(&operator), nested(2, &operator)] {
            check(domain, &file, "files of Fovea use ONNX's own (ai.onnx) alone");
        }
    }
}

#[test]
fn functions_are_refused_whether_they_call_themselves_or_unfold_without_end() {
    for (name, functions) in [
        ("itself", function("a", &["a"])),
        ("each other", [function("a", &["b"]), function("b", &["a"])].concat()),
        ("two to the power of two", [function("a", &["b", "b"]), function("b", &["c", "c"])].concat()),
        ("none", function("a", &[])),
    ] {
        check(name, &[model(b""), functions].concat(), "functions[0], byte");
    }
}

#[test]
fn what_is_beyond_the_limits_is_refused() {
    let shaped = |axes: usize| with_tensor(&tensor(1, &vec![1; axes], &bytes(9, [0; 4])));
    scan::bytes(&shaped(32)).unwrap();
    check("axes", &shaped(33), "more than 32 axes of a tensor");
    scan::bytes(&nested(20, b"")).unwrap();
    check("22 graphs in one another", &nested(22, b""), "more than 64 messages within one another");
    check("10000 graphs in one another", &nested(10_000, b""), "more than 64 messages within one another");
    let list = (0..5000).fold(Vec::new(), |inner, _| bytes(4, bytes(1, inner)));
    check("lists of lists", &model(&bytes(11, bytes(2, list))), "more than 64 messages within one another");
    scan::bytes(&model(&bytes(1, b"").repeat(100_000))).unwrap();
    check("nodes", &model(&bytes(1, b"").repeat(100_001)), "more than 100000 nodes");
    check("tensors", &model(&bytes(5, tensor(1, &[0], b"")).repeat(100_001)), "more than 100000 tensors");
    check("inner nodes", &nested(1, &bytes(1, b"").repeat(100_000)), "more than 100000 nodes");
    check("values", &model(&bytes(11, b"").repeat(4_000_000)), "more than 4000000 fields");
    let long = tempfile::NamedTempFile::new().unwrap();
    long.as_file().set_len(1 << 31).unwrap();
    let error = scan::file(long.path()).unwrap_err().to_string();
    assert!(error.contains("it has 2147483648 bytes, the limit is 2147483647"), "{error}");
}

#[test]
fn tensors_hold_what_their_shapes_say() {
    let raw = |elements, shape: &[u64], length: usize| tensor(elements, shape, &bytes(9, vec![0; length]));
    for (name, tensor, said) in [
        ("too few bytes", raw(1, &[2, 3], 20), "says 24 bytes, it holds 20"),
        ("too many bytes", raw(1, &[2, 3], 28), "says 24 bytes, it holds 28"),
        ("no bytes", tensor(1, &[1 << 40], b""), "says 1099511627776 values, it holds 0"),
        ("lengths that overflow", raw(1, &[1 << 32, 1 << 32], 4), "more elements than can be counted"),
        ("bytes that overflow", raw(11, &[1 << 60, 8], 0), "more elements than can be counted"),
        ("a length of -1", raw(1, &[u64::MAX, 1], 4), "more elements than can be counted"),
        ("two lengths of -1", raw(1, &[u64::MAX, u64::MAX], 4), "negative length"),
        ("an unknown type", raw(99, &[1], 4), "the type 99"),
        ("no type", bytes(9, [0; 4]), "the type 0"),
        ("texts in bytes", raw(8, &[1], 4), "not for their type, 8"),
        ("floats among whole numbers", tensor(7, &[1], &bytes(4, [0; 4])), "not for their type, 7"),
        ("two fields", tensor(1, &[1], &[bytes(9, [0; 4]), bytes(4, [0; 4])].concat()), "two fields"),
        ("half a float", tensor(1, &[1], &bytes(4, [0; 3])), "another kind"),
        ("a whole number without end", tensor(7, &[1], &bytes(7, [0x80])), "does not end"),
        ("too few whole numbers", tensor(7, &[3], &bytes(7, [1, 2])), "says 3 values, it holds 2"),
        ("segments", tensor(1, &[1], &bytes(3, b"")), "segments"),
        ("bytes twice", tensor(2, &[2], &[bytes(9, [0]), bytes(9, [0])].concat()), "twice"),
    ] {
        check(name, &with_tensor(&tensor), said);
        check(name, &model(&node(bytes(5, &tensor))), said);
    }
}

#[test]
fn hostile_files_are_refused_before_onnx_runtime_sees_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    fs::write(folder.path().join("weights.bin"), [0; 16]).unwrap();
    for location in ["weights.bin", "/etc/passwd", "../weights.bin"] {
        let file = with_tensor(&external(location));
        fs::write(&path, &file).unwrap();
        for error in [
            Model::open(&path, &options()).unwrap_err(),
            Model::from_bytes(&file, &options()).unwrap_err(),
            Probe::open(&file, &options()).err().unwrap(),
        ] {
            assert!(matches!(error, RuntimeError::Refused { .. }), "{error}");
            assert!(error.to_string().contains("exporter --checkpoint RUN"), "{error}");
        }
    }
}

#[test]
fn a_file_may_be_a_link_and_is_scanned_each_time_that_it_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (folder.path().join("a.onnx"), folder.path().join("b.onnx"));
    fs::write(&file, fixture("tiny_whole.onnx")).unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let model = Model::open(&link, &options()).unwrap();
    fs::write(&file, with_tensor(&external("/etc/passwd"))).unwrap();
    let error = model.open_again(&link, &options(), &runtime::Execution::default()).unwrap_err();
    assert!(matches!(error, RuntimeError::Refused { .. }), "{error}");
}
