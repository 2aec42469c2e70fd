use std::borrow::Cow;

use serde_json::json;

use super::*;
use crate::dataset::Corners;

fn score(text: &str) -> Result<ScoreRequest<'_>, serde_json::Error> {
    serde_json::from_str(text)
}

#[test]
fn a_scoring_request_borrows_its_images() {
    let request =
        score(r#"{"input_data": {"columns": ["image"], "index": [0, 1], "data": ["aGk=", ["YQ=="], "a\nb"]}}"#)
            .unwrap();
    let cells = &request.input_data.data;
    assert!(matches!(&cells[0].0, Cow::Borrowed("aGk=")));
    assert_eq!((cells[1].0.as_ref(), cells[2].0.as_ref()), ("YQ==", "a\nb"));
    let parsed = cells[0].parse().unwrap();
    assert_eq!((parsed.image_base64.as_ref(), parsed.model_explainability), ("aGk=", false));
}

#[test]
fn a_cell_may_hold_wishes() {
    let inner = r#" {"image_base64": "aGk=", "model_explainability": true, "xai_parameters": {"n_steps": 5}}"#;
    let body = json!({"input_data": {"columns": ["image"], "data": [inner]}}).to_string();
    let request = score(&body).unwrap();
    let image = request.input_data.data[0].parse().unwrap();
    assert!(image.model_explainability);
    assert_eq!(image.xai_parameters, XaiParameters { n_steps: 5, ..XaiParameters::default() });
    for bad in ["{", "{}", r#"{"image_base64": 1}"#, r#"{"image_base64": "", "colour": 1}"#] {
        assert!(ScoreCell(Cow::Borrowed(bad)).parse().is_err(), "{bad}");
    }
    let old: ImageRequest = serde_json::from_str(r#"{"image": "aGk="}"#).unwrap();
    assert_eq!(old.image_base64, "aGk=");
}

#[test]
fn malformed_scoring_requests_are_refused() {
    let many = format!(r#"{{"input_data": {{"columns": ["image"], "data": [{}""]}}}}"#, r#""","#.repeat(MAX_IMAGES));
    for bad in [
        "{}",
        r#"{"input_data": []}"#,
        r#"{"input_data": {"data": [""]}}"#,
        r#"{"input_data": {"columns": [], "data": []}}"#,
        r#"{"input_data": {"columns": ["image", "image"], "data": []}}"#,
        r#"{"input_data": {"columns": ["picture"], "data": []}}"#,
        r#"{"input_data": {"columns": ["image"], "data": {}}}"#,
        r#"{"input_data": {"columns": ["image"], "data": [1]}}"#,
        r#"{"input_data": {"columns": ["image"], "data": [[]]}}"#,
        r#"{"input_data": {"columns": ["image"], "data": [["", ""]]}}"#,
        r#"{"input_data": {"columns": ["image"], "data": [[[""]]]}}"#,
        r#"{"input_data": {"columns": ["image"], "data": [], "more": 1}}"#,
        r#"{"input_data": {"columns": ["image"], "data": []}, "more": 1}"#,
        many.as_str(),
    ] {
        assert!(score(bad).is_err(), "{}", &bad[..bad.len().min(80)]);
    }
}

#[test]
fn answers_have_the_specified_keys() {
    let answer = ClassificationAnswer {
        filename: None,
        probs: vec![0.25, 0.75],
        labels: vec!["a".to_owned(), "b".to_owned()],
        visualizations: None,
        attributions: None,
    };
    let text = serde_json::to_string(&answer).unwrap();
    let expected =
        r#"{"filename":null,"probs":[0.25,0.75],"labels":["a","b"],"visualizations":null,"attributions":null}"#;
    assert_eq!(text, expected);
    let corners = Corners { top_x: 0.1, top_y: 0.2, bottom_x: 0.3, bottom_y: 0.4 };
    let found = ScoredBox { corners, label: "a".to_owned(), score: 0.5, polygon: None };
    let text =
        serde_json::to_string(&DetectionAnswer { filename: Some("x.jpg".to_owned()), boxes: vec![found] }).unwrap();
    let expected = r#"{"filename":"x.jpg","boxes":[{"box":{"topX":0.1,"topY":0.2,"bottomX":0.3,"bottomY":0.4},"label":"a","score":0.5}]}"#;
    assert_eq!(text, expected);
}

fn tensor(text: &str) -> Result<TensorData, serde_json::Error> {
    serde_json::from_str(text)
}

#[test]
fn tensors_are_flattened_into_the_narrowest_form() {
    assert_eq!(tensor("[[0, 1], [2, 255.0]]").unwrap(), TensorData::Uint8(vec![0, 1, 2, 255]));
    assert_eq!(tensor("[0, 256]").unwrap(), TensorData::Number(vec![0.0, 256.0]));
    assert_eq!(tensor("[[-1], [0.5]]").unwrap(), TensorData::Number(vec![-1.0, 0.5]));
    assert_eq!(tensor(r#"["a", ["b"]]"#).unwrap(), TensorData::Text(vec!["a".to_owned(), "b".to_owned()]));
    assert!(tensor("[[], []]").unwrap().is_empty());
    let deep = format!("{}1{}", "[".repeat(MAX_RANK + 1), "]".repeat(MAX_RANK + 1));
    for bad in ["1", "\"a\"", "null", "{}", "[true]", "[null]", "[1, \"a\"]", "[\"a\", 1]", "[1.5, \"a\"]", &deep] {
        assert!(tensor(bad).is_err(), "{bad}");
    }
}

#[test]
fn an_infer_request_round_trips_and_counts_its_elements() {
    let text = r#"{"id":"42","inputs":[{"name":"images","shape":[1,1,2,3],"datatype":"UINT8","data":[1,2,3,4,5,6]}],"outputs":[{"name":"probabilities","parameters":{"binary_data":true}}]}"#;
    let request: InferRequest = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&request).unwrap(), text);
    assert!(request.inputs[0].is_complete());
    let count = |shape: &[u64]| InferInput { shape: shape.to_vec(), ..request.inputs[0].clone() }.element_count();
    assert_eq!(count(&[]), Some(1));
    assert_eq!(count(&[u64::MAX, 2]), None);
    assert_eq!(count(&[u64::MAX, 2, 0]), Some(0));
    assert_eq!(count(&[1; MAX_RANK + 1]), None);
    for bad in [
        "{}",
        r#"{"inputs": [{"name": "x", "shape": [-1], "datatype": "UINT8"}]}"#,
        r#"{"inputs": [{"name": "x", "shape": [1], "datatype": "UINT9"}]}"#,
        r#"{"inputs": [], "input": []}"#,
        r#"{"inputs": [{"name": "x", "shape": [1], "datatype": "UINT8", "parameters": {"a": [1]}}]}"#,
    ] {
        assert!(serde_json::from_str::<InferRequest>(bad).is_err(), "{bad}");
    }
}

#[test]
fn an_infer_response_is_written_as_the_protocol_says() {
    let output = InferOutput {
        name: "probabilities".to_owned(),
        datatype: Datatype::Fp32,
        shape: vec![1, 2],
        parameters: None,
        data: Some(OutputData::Float(vec![0.1, 0.9])),
    };
    let response = InferResponse { id: None, model_name: "m".into(), model_version: "1".into(), outputs: vec![output] };
    let text = serde_json::to_string(&response).unwrap();
    let expected = r#"{"model_name":"m","model_version":"1","outputs":[{"name":"probabilities","datatype":"FP32","shape":[1,2],"data":[0.1,0.9]}]}"#;
    assert_eq!(text, expected);
    assert_eq!(serde_json::from_str::<InferResponse>(&text).unwrap(), response);
}

#[test]
fn the_best_label_is_explained_or_all_above_the_threshold() {
    let p = XaiParameters { confidence_score_threshold_multilabel: 0.4, ..XaiParameters::default() };
    let said = [0.1, 0.45, 0.45, 0.4];
    assert_eq!(p.explained(crate::Task::ImageClassification, &said), [1]);
    assert_eq!(p.explained(crate::Task::ImageClassificationMultilabel, &said), [1, 2]);
}
