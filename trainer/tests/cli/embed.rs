//! `embed`: the same vectors from a checkpoint and from its exported files, in each of the formats.

use schemas::Coded as _;
use std::fs;
use std::path::{Path, PathBuf};

use exporter::{ExportSettings, Form};
use safetensors::SafeTensors;
use serde_json::Value;

use crate::support::{expect, quick, run, sample};

const WIDTH: usize = 512;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The first three images of the test part.
fn images(data: &Path) -> Vec<PathBuf> {
    let rows = fs::read_to_string(data.join("test.jsonl")).unwrap();
    let image = |line: &str| data.join(serde_json::from_str::<Value>(line).unwrap()["image_url"].as_str().unwrap());
    rows.lines().take(3).map(image).collect()
}

/// Runs `embed` on these images and reads the JSONL that it writes.
fn vectors(model: [&str; 2], images: &[PathBuf], output: &Path) -> Vec<Vec<f64>> {
    let args = ["embed", model[0], model[1], "--overwrite", "--output", text(output)];
    expect(0, args.into_iter().chain(images.iter().map(|path| text(path))));
    let written = fs::read_to_string(output).unwrap();
    let rows = written.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    rows.map(|row| serde_json::from_value(row["features"].clone()).unwrap()).collect()
}

/// Largest difference, as a share of the largest value.
fn distance(a: &[Vec<f64>], b: &[Vec<f64>]) -> f64 {
    let (a, b) = (a.concat(), b.concat());
    assert_eq!((a.len(), b.len()), (3 * WIDTH, 3 * WIDTH));
    let scale = a.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    assert!(scale > 0.0);
    a.iter().zip(&b).map(|(x, y)| (x - y).abs() / scale).fold(0.0, f64::max)
}

/// Expects no file where other features were recorded, or none.
fn unlike_what_was_recorded(trained: &Path, output: &Path) {
    let file = trained.join("checkpoints/best/verification.safetensors");
    let recorded = fs::read(&file).unwrap();
    let refused = |bytes: &[u8], why: &str, is_input: bool| {
        fs::write(&file, bytes).unwrap();
        let settings = ExportSettings { features: true, ..ExportSettings::default() };
        let error = exporter::export(trained, output, &settings).unwrap_err();
        assert!(
            error.to_string().contains(why) && (error.code().exit_code() == 2) == is_input && !output.exists(),
            "{error}"
        );
    };
    let (header, metadata) = SafeTensors::read_metadata(&recorded).unwrap();
    let mut other = recorded.clone();
    let first = 8 + header + metadata.info("prepared.features").unwrap().data_offsets.0;
    other[first..first + 4].copy_from_slice(&100.0_f32.to_le_bytes());
    refused(&other, "features", false);

    let name = b"prepared.features";
    let place = recorded.windows(name.len()).position(|bytes| bytes == name).unwrap();
    let mut none = recorded.clone();
    none[place..place + 8].copy_from_slice(b"obsolete");
    refused(&none, "trainer evaluate", true);
    fs::write(&file, &recorded).unwrap();
}

#[test]
fn a_checkpoint_and_its_files_give_the_same_vectors() {
    let folder = tempfile::tempdir().unwrap();
    let data = sample(folder.path(), 24);
    let trained = folder.path().join("run");
    // After so few steps the features of EfficientNet-Lite0 are the same for every image; those of ResNet-18 are not.
    let args = quick(&data, &trained, 1).into_iter().map(|arg| arg.replace("efficientnet_lite0", "resnet18"));
    expect(0, args.chain(["--export", "none"].map(str::to_owned)));
    let (images, output) = (images(&data), folder.path().join("vectors.jsonl"));
    let own = vectors(["--checkpoint", text(&trained)], &images, &output);
    assert!(distance(&own, &[own[1].clone(), own[2].clone(), own[0].clone()]) > 0.05, "they must tell images apart");

    for (form, limit) in [(Form::Prepared, 1e-4), (Form::Whole, 2e-2)] {
        let file = folder.path().join(format!("{form}.onnx"));
        let settings = ExportSettings { form, features: true, ..ExportSettings::default() };
        let summary = exporter::export(&trained, &file, &settings).unwrap();
        let outputs: Vec<_> = summary.graph.outputs.iter().map(|port| port.name.as_str()).collect();
        assert_eq!(outputs, ["probabilities", "features"]);
        assert!(summary.checks.iter().any(|check| check.name.contains("features")));
        let distance = distance(&own, &vectors(["--onnx", text(&file)], &images, &output));
        assert!(distance <= limit, "{form}: {distance}");
    }

    // Rows need no label, and one without an image is left out.
    let list = data.join("list.jsonl");
    let rows = images.iter().map(|path| format!("{}\n", serde_json::json!({ "image_url": text(path) })));
    fs::write(&list, rows.chain(["{\"image_url\": \"nowhere.jpg\"}\n".to_owned()]).collect::<String>()).unwrap();
    for name in ["vectors.npy", "vectors.safetensors"] {
        let output = folder.path().join(name);
        let args =
            ["embed", "--checkpoint", text(&trained), "--data", text(&list), "--output", text(&output), "--json"];
        let answer: Value = serde_json::from_str(&expect(1, args)).unwrap();
        assert_eq!((answer["width"].as_u64(), answer["images"].as_array().unwrap().len()), (Some(WIDTH as u64), 3));
        assert_eq!(answer["failed"][0]["filename"], "nowhere.jpg");
        // In either format the values are the end of the file.
        let bytes = fs::read(&output).unwrap();
        let values = &bytes[bytes.len() - 3 * WIDTH * 4..];
        let values = values.chunks_exact(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap())));
        let values: Vec<f64> = values.collect();
        let rows: Vec<Vec<f64>> = values.chunks_exact(WIDTH).map(<[f64]>::to_vec).collect();
        assert!(distance(&own, &rows) <= 1e-6, "{name}");
    }

    unlike_what_was_recorded(&trained, &folder.path().join("refused.onnx"));

    let plain = folder.path().join("plain.onnx");
    let summary = exporter::export(&trained, &plain, &ExportSettings::default()).unwrap();
    assert_eq!(summary.graph.outputs.len(), 1);
    let refused = |output: &str, why: &str| {
        let result = run(["embed", "--onnx", text(&plain), text(&images[0]), "--output", output]);
        assert_eq!(result.status.code(), Some(2));
        let error = String::from_utf8_lossy(&result.stderr).into_owned();
        assert!(error.contains(why), "{error}");
    };
    refused(text(&output), "--overwrite");
    refused(text(&folder.path().join("none.jsonl")), "exporter --features");
    refused("vectors.txt", ".safetensors");
}
