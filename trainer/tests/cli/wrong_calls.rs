//! Wrong calls of every command: each ends with exit code 2, says its reason once, and names place, value and what to type.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Program, arguments, and what is said.
type Call = (&'static str, &'static str, &'static [&'static str]);

const CALLS: [Call; 63] = [
    // training
    ("trainer", "trian", &["unrecognized subcommand 'trian'", "'train'"]),
    ("trainer", "train", &["--training_data", "--output"]),
    (
        "trainer",
        "train --training_data no.jsonl --output r",
        &["cannot open no.jsonl", "No such file", "check the path"],
    ),
    ("trainer", "train --training_data none.jsonl --output r", &["none.jsonl", "no usable image", "0 rows"]),
    ("trainer", "train --training_data empty --output r", &["empty: is a folder without an MLTable", "JSONL file"]),
    (
        "trainer",
        "train --training_data rows.jsonl --output r --task cats",
        &["`task`", "\"cats\"", "image-object-detection"],
    ),
    ("trainer", "train --training_data rows.jsonl --output r --model_name resnet19", &["\"resnet19\"", "resnet18"]),
    (
        "trainer",
        "train --training_data rows.jsonl --output r --model_name yolov5",
        &["yolov5 is no model for image-classification", "mobilenetv2"],
    ),
    ("trainer", "train --training_data rows.jsonl --output r --learning_rat 1", &["--learning_rat", "--learning_rate"]),
    (
        "trainer",
        "train --training_data rows.jsonl --output r --learning_rate -1",
        &["`learning_rate`", "\"-1\"", "range"],
    ),
    (
        "trainer",
        "train --training_data rows.jsonl --output r --optimizer lion",
        &["`optimizer`", "\"lion\"", "sgd, adam, adamw"],
    ),
    ("trainer", "train --training_data rows.jsonl --output r --device tpu", &["`device`", "\"tpu\"", "cuda:N"]),
    (
        "trainer",
        "train --training_data rows.jsonl --output r --precision fp8",
        &["`precision`", "\"fp8\"", "fp32, bf16"],
    ),
    (
        "trainer",
        "train --training_data rows.jsonl --output r --number_of_epochs 0",
        &["`number_of_epochs`", "\"0\"", "[1, 1000000]"],
    ),
    ("trainer", "train --training_data rows.jsonl --output note.txt", &["note.txt is a file", "folder"]),
    ("trainer", "train --resume --output nowhere", &["nowhere does not exist", "nothing to resume"]),
    // evaluation
    ("trainer", "evaluate --data rows.jsonl", &["--checkpoint <PATH>", "--onnx <FILE>"]),
    (
        "trainer",
        "evaluate --checkpoint nowhere --data rows.jsonl",
        &["no checkpoint at \"nowhere\"", "give a run folder"],
    ),
    (
        "trainer",
        "evaluate --checkpoint m.onnx --data rows.jsonl",
        &["\"m.onnx\" is an ONNX file", "--onnx in place of --checkpoint"],
    ),
    ("trainer", "evaluate --checkpoint w.pth --data rows.jsonl", &["\"w.pth\" is a PyTorch file", "--pretrained FILE"]),
    ("trainer", "evaluate --checkpoint note.txt --data rows.jsonl", &["\"note.txt\"", "damaged or something else"]),
    (
        "trainer",
        "evaluate --checkpoint empty --data rows.jsonl",
        &["empty/checkpoints/best/model.safetensors", "give a run folder"],
    ),
    ("trainer", "evaluate --onnx no.onnx --data rows.jsonl", &["no.onnx", "no such file"]),
    ("trainer", "evaluate --onnx w.pth --data rows.jsonl", &["w.pth: ", "it is a PyTorch file", "--pretrained"]),
    ("trainer", "evaluate --onnx empty --data rows.jsonl", &["empty: ", "it is a folder", "--checkpoint"]),
    ("trainer", "evaluate --onnx empty.onnx --data rows.jsonl", &["empty.onnx", "it is empty", "export it again"]),
    ("trainer", "evaluate --onnx a --checkpoint b --data rows.jsonl", &["cannot be used with '--checkpoint"]),
    ("trainer", "evaluate --checkpoint nowhere --data rows.jsonl --device tpu", &["`tpu`", "--device", "cuda:N"]),
    (
        "trainer",
        "evaluate --onnx m.onnx --data rows.jsonl --device cuda:0",
        &["cuda:0", "exported files", "--checkpoint"],
    ),
    // prediction
    ("trainer", "predict --checkpoint nowhere a.jpg", &["no checkpoint at \"nowhere\""]),
    ("trainer", "predict --checkpoint m.onnx", &["<IMAGE>"]),
    ("trainer", "predict --checkpoint nowhere a.jpg --explain magic", &["'magic'", "occlusion"]),
    ("trainer", "predict --checkpoint nowhere a.jpg --overwrite", &["--save <DIR>"]),
    ("trainer", "embed --checkpoint nowhere --output v.csv a.jpg", &["--output v.csv", ".npy, .safetensors or .jsonl"]),
    ("trainer", "embed --checkpoint nowhere --output v.npy", &["<IMAGE>"]),
    // A machine without CUDA devices says so; one with some has none of this number.
    ("trainer", "predict --checkpoint nowhere a.jpg --device cuda:99", &["cuda:99", "--device cpu"]),
    ("trainer", "embed --checkpoint nowhere --output v.npy a.jpg --device cuda:99", &["cuda:99", "--device cpu"]),
    // data
    ("trainer", "convert pdf", &["unrecognized subcommand 'pdf'"]),
    ("trainer", "convert coco no.json --output o", &["no.json", "No such file", "check the path"]),
    ("trainer", "convert voc nodir --output o", &["nodir", "No such file", "check the path"]),
    ("trainer", "convert yolo no.yaml --output o", &["no.yaml", "No such file", "check the path"]),
    ("trainer", "convert masks nodir --output o", &["nodir", "No such file", "check the path"]),
    ("trainer", "convert masks empty --output o", &["empty", "holds no masks"]),
    ("trainer", "convert labelme nodir --output o", &["nodir", "No such file", "check the path"]),
    ("trainer", "convert cvat no.xml --output o", &["no.xml", "No such file", "check the path"]),
    ("trainer", "convert folders nodir --output o", &["nodir", "No such file", "check the path"]),
    ("trainer", "convert folders empty --output o", &["empty", "one subfolder per class"]),
    ("trainer", "convert jsonl no.jsonl --to coco --output o", &["no.jsonl", "No such file", "check the path"]),
    ("trainer", "convert jsonl rows.jsonl --to pascal --output o", &["'pascal'", "coco, voc, yolo"]),
    ("trainer", "sample-data", &["--output"]),
    ("trainer", "sample-data --output s --task cats", &["\"cats\"", "image-classification"]),
    ("trainer", "sample-data --output note.txt", &["note.txt is a file", "choose another output"]),
    ("trainer", "sample-data --output s --count 0", &["count is 0", "at least 12"]),
    ("trainer", "models --nope", &["--nope", "models"]),
    // the other programs
    ("exporter", "", &["--checkpoint <PATH>"]),
    ("exporter", "--checkpoint nowhere", &["no checkpoint at \"nowhere\"", "give a run folder"]),
    ("exporter", "--checkpoint m.onnx --output x.onnx", &["\"m.onnx\" is an ONNX file", "the run's folder"]),
    ("exporter", "--checkpoint empty --form half", &["'half'", "whole, prepared"]),
    ("server", "", &["--model <NAME=FILE>"]),
    ("server", "--model fridge", &["'fridge'", "fridge=model.onnx"]),
    ("server", "--model a=no.onnx", &["model 'a'", "no.onnx", "no such file"]),
    ("server", "--model a=w.pth", &["model 'a'", "w.pth", "PyTorch file"]),
    ("server", "--model .a=m.onnx", &["'.a=m.onnx'", "not start with a dot"]),
];

/// Files that are not what they are given for.
fn prepare(folder: &Path) {
    for (name, bytes) in [
        ("m.onnx", &b"\x08\x08\x12\x05fovea\x3a\x00"[..]),
        ("w.pth", b"PK\x03\x04 and so on"),
        ("empty.onnx", b""),
        ("none.jsonl", b""),
        ("note.txt", b"a note, nothing else"),
        ("rows.jsonl", br#"{"image_url":"a.jpg","label":"x"}"#),
    ] {
        fs::write(folder.join(name), bytes).unwrap();
    }
    fs::create_dir(folder.join("empty")).unwrap();
}

#[test]
fn wrong_calls_say_what_to_type() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let mut wrong = Vec::new();
    for (program, arguments, texts) in CALLS {
        let path = Path::new(env!("CARGO_BIN_EXE_trainer")).with_file_name(program);
        if !path.is_file() {
            println!("skipped: {program} is not built");
            continue;
        }
        let mut command = Command::new(path);
        command.args(arguments.split_whitespace()).current_dir(folder.path()).stdin(Stdio::null());
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let call = format!("{program} {arguments}");
        if output.status.code() != Some(2) {
            wrong.push(format!("{call}: exit code {:?}\n{said}", output.status.code()));
        }
        wrong.extend(
            texts.iter().filter(|text| !said.contains(**text)).map(|text| format!("{call}: no {text:?}\n{said}")),
        );
        if said.matches("No such file").count() > 1 {
            wrong.push(format!("{call}: the reason twice\n{said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
