//! Explanations through the binary.

use std::fs;

use crate::support::{expect, quick, run, sample};

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[test]
fn a_classifier_shows_what_its_answer_came_from() {
    let folder = tempfile::tempdir().unwrap();
    let data = sample(folder.path(), 24);
    let path = folder.path().join("run");
    let trained = json(&expect(0, quick(&data, &path, 1).into_iter().chain(["--json".to_owned()])));
    let (checkpoint, onnx) = (["--checkpoint", path.to_str().unwrap()], ["--onnx", trained["onnx"].as_str().unwrap()]);
    let first = json(fs::read_to_string(data.join("test.jsonl")).unwrap().lines().next().unwrap());
    let image = data.join(first["image_url"].as_str().unwrap());
    let saved = folder.path().join("saved");
    let asked = |model: [&str; 2], more: &[&str]| {
        let usual = ["predict", model[0], model[1], image.to_str().unwrap(), "--json"];
        let again: &[&str] = if more.contains(&"--save") { &["--overwrite"] } else { &[] };
        json(&expect(0, usual.iter().chain(more).chain(again)))["predictions"][0].clone()
    };
    for method in ["xrai", "integrated_gradients", "guided_backprop", "guided_gradcam", "occlusion"] {
        let more = ["--explain", method, "--n_steps", "3", "--save", saved.to_str().unwrap(), "--attributions"];
        let answer = asked(checkpoint, &more);
        let one = &answer["explanations"][0];
        let best = answer["probs"].as_array().unwrap().iter().map(|p| p.as_f64().unwrap()).fold(0.0, f64::max);
        let at = answer["labels"].as_array().unwrap().iter().position(|label| *label == one["label"]).unwrap();
        assert_eq!(answer["probs"][at].as_f64(), Some(best), "{method} explains the most probable class");
        let values = one["attributions"].as_array().unwrap();
        assert_eq!(
            (values.len(), values[2].as_array().unwrap().len(), values[0][63].as_array().unwrap().len()),
            (3, 64, 64)
        );
        let sum: f64 = values
            .iter()
            .flat_map(|c| c.as_array().unwrap())
            .flat_map(|r| r.as_array().unwrap())
            .filter_map(|v| v.as_f64())
            .sum();
        assert!(
            (sum - one["sum"].as_f64().unwrap()).abs() < 1e-3 && sum.is_finite(),
            "{method}: {sum}, {}",
            one["sum"]
        );
        let picture = image::open(answer["saved"].as_str().unwrap()).unwrap();
        assert!(picture.width() == 3 * 64 && picture.height() > 64, "{method}: an image, its map, and both");
    }
    let file = asked(onnx, &["--explain", "occlusion", "--save", saved.to_str().unwrap()]);
    let by_checkpoint = asked(checkpoint, &["--explain", "occlusion", "--save", saved.to_str().unwrap()]);
    let sum = |answer: &serde_json::Value| answer["explanations"][0]["sum"].as_f64().unwrap();
    assert!(
        (sum(&file) - sum(&by_checkpoint)).abs() < 2.0,
        "of 12288 values: {} and {}",
        sum(&file),
        sum(&by_checkpoint)
    );
    assert!(file["explanations"][0]["attributions"].is_null(), "attributions only when asked for");

    for (model, more, told) in [
        (onnx, vec!["--explain", "integrated_gradients", "--attributions"], "an exported file has none"),
        (onnx, vec!["--explain", "xrai", "--attributions"], "an exported file has none"),
        (checkpoint, vec!["--explain", "occlusion"], "--save"),
        (checkpoint, vec!["--explain", "sorcery", "--attributions"], "guided_gradcam"),
        (checkpoint, vec!["--attributions"], "--explain"),
        (checkpoint, vec!["--explain", "integrated_gradients", "--attributions", "--n_steps", "1"], "n_steps"),
    ] {
        let output = run(["predict", model[0], model[1], image.to_str().unwrap()].into_iter().chain(more.clone()));
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{more:?}: {error}");
        assert!(error.contains(told), "{more:?}: {error}");
    }
}
