use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::{Dtype, NamedTensor, Strided, TensorFile, contiguous, from_bytes, half_to_f32, read};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/weights").join(name)
}

#[track_caller]
fn floats(file: &TensorFile, key: &str) -> Vec<f32> {
    file.to_f32(file.get(key).unwrap())
}

/// The numbers that scripts/oracle/weight_files.py puts into every sound file.
#[track_caller]
fn check_numbers(name: &str, dtype: Dtype, last_bias: f32) {
    let file = read(&fixture(name)).unwrap();
    let keys: Vec<&str> = file.tensors().map(|t| t.key.as_str()).collect();
    let mut sorted = keys.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, ["a.bias", "a.weight", "steps"], "{name}");
    let weight = file.get("a.weight").unwrap();
    assert_eq!((weight.dtype, weight.shape.as_slice()), (dtype, [2, 3, 2, 2].as_slice()), "{name}");
    let expected: Vec<f32> = (0_u8..24).map(|i| f32::from(i) / 2.0).collect();
    assert_eq!(floats(&file, "a.weight"), expected, "{name}");
    assert_eq!(floats(&file, "a.bias"), [-1.0, 0.25, last_bias], "{name}");
    let steps = file.get("steps").unwrap();
    assert_eq!((steps.dtype, steps.shape.len(), file.to_i64(steps)), (Dtype::I64, 0, vec![7]), "{name}");
}

#[test]
fn every_way_torch_saves_a_state_dict() {
    let f32_files = [
        "zip.pth",
        "zip_plain_dict.pth",
        "zip_protocol4.pth",
        "zip_channels_last.pth",
        "zip_shared_storage.pth",
        "zip_parameters.pth",
        "zip_wrapped.pth",
        "zip_compiled_and_wrapped.pth",
        "zip_nested.pth",
        "zip_module.pth",
        "zip_parallel.pth",
        "zip_objects_2.pth",
        "zip_objects_4.pth",
        "zip_objects_5.pth",
        "legacy.pth",
        "legacy_channels_last.pth",
        "legacy_nested.pth",
        "plain.safetensors",
    ];
    for name in f32_files {
        check_numbers(name, Dtype::F32, 65504.0);
    }
    check_numbers("zip_half.pth", Dtype::F16, 65504.0);
    check_numbers("zip_yolov5.pth", Dtype::F16, 65504.0);
    check_numbers("legacy_half.pth", Dtype::F16, 65504.0);
    check_numbers("half.safetensors", Dtype::F16, 65504.0);
    check_numbers("zip_double.pth", Dtype::F64, 65504.0);
    check_numbers("zip_bfloat16.pth", Dtype::Bf16, 65536.0);
}

#[test]
fn state_dict_order_is_kept() {
    let file = read(&fixture("zip.pth")).unwrap();
    let keys: Vec<&str> = file.tensors().map(|t| t.key.as_str()).collect();
    assert_eq!(keys, ["a.weight", "a.bias", "steps"]);
}

#[test]
fn safetensors_metadata_is_there() {
    let file = read(&fixture("plain.safetensors")).unwrap();
    assert_eq!(file.metadata().get("fovea").map(String::as_str), Some("{}"));
}

#[track_caller]
fn refused(name: &str, part: &str) {
    let text = read(&fixture(name)).unwrap_err().to_string();
    assert!(text.contains(name) && text.contains(part), "{text}");
}

#[test]
fn anything_but_tensors_is_refused_by_name() {
    refused("refused_call.pth", "posix.system");
    refused("refused_call_legacy.pth", "posix.system");
    refused("no_tensors.pth", "no tensors");
}

#[test]
fn a_missing_file_says_so() {
    refused("not-there.pth", "cannot be read");
}

#[test]
fn halves_are_exact() {
    let file = read(&fixture("halves.safetensors")).unwrap();
    assert_eq!(floats(&file, "half"), floats(&file, "float"));
    assert!(half_to_f32(0x7e01).is_nan() && half_to_f32(0xfe01).is_nan());
    assert_eq!(half_to_f32(0x8000).to_bits(), (-0.0_f32).to_bits());
}

#[test]
fn truncated_and_damaged_files_never_panic() {
    for name in ["zip.pth", "zip_nested.pth", "legacy.pth", "zip_protocol4.pth", "plain.safetensors"] {
        let bytes = std::fs::read(fixture(name)).unwrap();
        for end in 0..bytes.len() {
            // A zip whose padding at the end is cut may still be whole; everything else must be refused.
            if let Ok(file) = from_bytes(Path::new(name), bytes[..end].to_vec()) {
                assert_eq!(file.tensors().len(), 3, "{name} cut at {end}");
            }
        }
        for at in 0..bytes.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] ^= flip;
                if let Ok(file) = from_bytes(Path::new(name), damaged) {
                    for t in file.tensors() {
                        assert!(file.to_f32(t).len() == t.len() && t.len() <= bytes.len());
                    }
                }
            }
        }
    }
}

/// A legacy stream around a hand-written object pickle, with no storages.
fn stream(object: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.".to_vec();
    bytes.extend_from_slice(object);
    bytes.extend_from_slice(b"\x80\x02].");
    bytes
}

#[track_caller]
fn stream_refused(object: &[u8], part: &str) {
    let text = from_bytes(Path::new("x.pth"), stream(object)).unwrap_err().to_string();
    assert!(text.contains(part), "{text}");
}

#[test]
fn hostile_pickles_are_refused() {
    let mut deep = b"\x80\x02)".to_vec();
    deep.extend(std::iter::repeat_n(0x85, 300_000)); // a tuple in a tuple, 300,000 deep
    deep.push(b'.');
    stream_refused(&deep, "does not hold a dictionary");

    stream_refused(b"\x80\x02]q\x00h\x00a.", "does not hold a dictionary"); // a list that contains itself
    stream_refused(b"\x80\x02}q\x00X\x05\x00\x00\x00modelh\x00s.", "no tensors"); // a dictionary that is its own model
    stream_refused(b"\x80\x02X\xff\xff\xff\xffa.", "truncated"); // 4 GiB of text that are not there
    stream_refused(b"\x80\x02\x8d\xff\xff\xff\xff\xff\xff\xff\xffa.", "truncated");
    stream_refused(b"\x80\x02j\xff\xff\xff\xff.", "memo 4294967295");
    stream_refused(b"\x80\x020.", "empty stack");
    stream_refused(b"\x80\x02(0.", "empty stack"); // below a mark
    stream_refused(b"\x80\x02t.", "never begun");
    stream_refused(b"\x80\x02K\x01)R.", "not a known name");
    stream_refused(b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.", "'os.system' is refused");
    stream_refused(b"\x80\x02\x8c\x02os\x8c\x06system\x93.", "'os.system' is refused");
    stream_refused(b"\x80\x02ibuiltins\neval\n.", "opcode 0x69");

    // One list of many pairs, copied into a dictionary again and again: the copies count as operations.
    let mut copies = b"\x80\x02ccollections\nOrderedDict\nq\x00](".to_vec();
    for _ in 0..2_000 {
        copies.extend_from_slice(b"K\x01K\x02\x86");
    }
    copies.extend_from_slice(b"e\x85q\x01");
    for _ in 0..2_000 {
        copies.extend_from_slice(b"h\x00h\x01R0");
    }
    copies.push(b'.');
    stream_refused(&copies, "operations");
}

/// A module as a pickle has one, put into the memo under `index`: its class, and these entries of `_modules`, each a name and
/// where in the memo its module is.
fn module(index: u8, parts: &[(&str, u8)]) -> Vec<u8> {
    let mut pickle = b"cmodels.yolo\nModel\n)\x81q".to_vec();
    pickle.push(index);
    let text = |pickle: &mut Vec<u8>, text: &str| {
        pickle.extend([0x8c, u8::try_from(text.len()).unwrap()]);
        pickle.extend(text.as_bytes());
    };
    pickle.extend(b"}(");
    for name in ["_parameters", "_buffers"] {
        text(&mut pickle, name);
        pickle.push(b'}');
    }
    text(&mut pickle, "_modules");
    pickle.extend(b"}(");
    for (name, at) in parts {
        text(&mut pickle, name);
        pickle.extend([b'h', *at]);
    }
    pickle.extend(b"uub");
    pickle
}

#[test]
fn hostile_modules_end_soon_and_run_nothing() {
    // Forty modules, each twice the one before: 2^40 places for tensors.
    let mut doubled = b"\x80\x02".to_vec();
    for index in 0..40_u8 {
        let before = index.saturating_sub(1);
        let parts = [("a", before), ("b", before)];
        doubled.extend(module(index, if index == 0 { &[] } else { &parts }));
        doubled.push(b'0');
    }
    doubled.extend(b"h\x27.");
    stream_refused(&doubled, "has no end");
    // A module that is a part of itself.
    stream_refused(&[&b"\x80\x02"[..], &module(0, &[("a", 0)]), b"."].concat(), "has no end");
    // One name of a million letters for each of a thousand tensors would be a gigabyte.
    let mut long = b"\x80\x02}(".to_vec();
    long.extend(b"X\x40\x42\x0f\x00");
    long.extend(std::iter::repeat_n(b'a', 1_000_000));
    long.extend(b"q\x00}q\x01");
    for _ in 0..1000 {
        long.extend(b"h\x00}");
    }
    long.extend(b"u.");
    stream_refused(&long, "has no end");
    // Every instance is built from one dictionary, which is copied each time.
    let mut copies = b"\x80\x02}q\x00(".to_vec();
    for _ in 0..2_000 {
        copies.extend(b"K\x01K\x02");
    }
    copies.extend(b"u0cm\nC\nq\x01");
    for _ in 0..2_000 {
        copies.extend(b"h\x01)\x81h\x00b0");
    }
    copies.push(b'.');
    stream_refused(&copies, "operations");

    for (pickle, part) in [
        (&b"\x80\x02cos\nsystem\n)\x81."[..], "'os.system' is refused"),
        (b"\x80\x02c__builtin__\neval\nX\x01\x00\x00\x001\x85R.", "'__builtin__.eval' is refused"),
        (
            b"\x80\x02\x8c\x0amodels.sys\x8c\x01x\x93\x8c\x0asubprocess\x8c\x05Popen\x93.",
            "'subprocess.Popen' is refused",
        ),
        (b"\x80\x02K\x01)\x81.", "not a class"),
        (b"\x80\x02}K\x01b.", "no tensors"),
        (b"\x80\x02cm\nC\n)\x81}X\x0c\x00\x00\x00__setstate__cm\nf\nsb.", "no tensors"), // its own way to be built
        (b"\x80\x02c__builtin__\ngetattr\ncm\nC\nX\x01\x00\x00\x00x\x86R)R.", "no tensors"), // what it gives is called
        (b"\x80\x02\x8b\xff\xff\xff\x7fa.", "truncated"),
        (b"\x80\x02\x8e\xff\xff\xff\xff\xff\xff\xff\x7fa.", "truncated"),
        (b"\x80\x02\x82\x01.", "opcode 0x82"), // a name by a number of this machine's registry
    ] {
        stream_refused(pickle, part);
    }
}

#[test]
fn a_module_of_the_old_format_comes_with_its_source() {
    // ("module", class, file, source) names the class; the source is text.
    let pickle = b"\x80\x02(X\x06\x00\x00\x00modulecm\nC\nX\x01\x00\x00\x00fX\x04\x00\x00\x00codetQ)\x81}(\
        X\x0b\x00\x00\x00_parameters}X\x08\x00\x00\x00_buffers}X\x08\x00\x00\x00_modules}ub.";
    stream_refused(pickle, "no tensors");
}

#[test]
fn views_stay_inside_their_storage() {
    let view = |offset, shape: &[i64], strides: &[i64]| {
        NamedTensor::view("k".to_owned(), Dtype::F32, &(100..140), Strided { offset, shape: shape.to_vec(), strides })
    };
    assert!(view(0, &[10], &[1]).is_ok());
    assert!(view(0, &[], &[]).is_ok());
    assert!(view(10, &[0, 5], &[5, 1]).is_ok());
    assert!(view(1, &[10], &[1]).is_err());
    assert!(view(0, &[11], &[1]).is_err());
    assert!(view(0, &[2, 2], &[9, 1]).is_err());
    assert!(view(0, &[1_000_000], &[0]).is_err());
    assert!(view(0, &[-1], &[1]).is_err());
    assert!(view(0, &[2], &[-1]).is_err());
    assert!(view(-1, &[1], &[1]).is_err());
    assert!(view(0, &[i64::MAX, i64::MAX], &[i64::MAX, 1]).is_err());
    assert!(view(0, &[2, 2], &[1]).is_err());
    assert!(view(i64::MAX, &[0], &[1]).is_ok()); // nothing is read
}

#[test]
fn the_published_efficientnet_lite0_loads() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/weights/efficientnet-lite0-57934424.pth");
    if !path.is_file() {
        println!("skipped: {} is not there", path.display());
        return;
    }
    let file = read(&path).unwrap();
    assert_eq!(file.tensors().len(), 296);
    let keys = std::fs::read_to_string(fixture("../keys/efficientnet_lite0.txt")).unwrap();
    let lines: Vec<String> = file
        .tensors()
        .map(|t| {
            let dims: Vec<String> = t.shape.iter().map(ToString::to_string).collect();
            format!("{} {} [{}]", t.key, t.dtype.name(), dims.join(","))
        })
        .collect();
    assert!(keys.lines().eq(lines.iter().map(String::as_str)));
    // Transposed in the file (strides 1, 1000); the value was read with PyTorch.
    let fc = floats(&file, "_fc.weight");
    assert_eq!(fc.len(), 1_280_000);
    assert_eq!((fc[1], fc[1280]), LITE0_FC);
}

/// `_fc.weight[0, 1]` and `_fc.weight[1, 0]`.
const LITE0_FC: (f32, f32) = (-0.09470871, -0.0049702562);

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = from_bytes(Path::new("x"), bytes.clone());
        let _ = from_bytes(Path::new("x"), stream(&bytes));
        let mut zip = b"PK\x03\x04".to_vec();
        zip.extend(&bytes);
        zip.extend(b"PK\x05\x06");
        zip.extend(&bytes[bytes.len().min(18)..]);
        let _ = from_bytes(Path::new("x"), zip);
    }

    #[test]
    fn strides_of_any_shape_index_row_major(shape in proptest::collection::vec(0_i64..5, 0..5)) {
        let count: i64 = shape.iter().product();
        let bytes = usize::try_from(count).unwrap();
        let strides = contiguous(&shape).unwrap();
        let view = NamedTensor::view("k".to_owned(), Dtype::U8, &(3..3 + bytes), Strided { offset: 0, shape, strides: &strides }).unwrap();
        prop_assert!(view.positions().eq(3..3 + bytes));
    }
}
