use std::borrow::Cow;

use serde_json::json;

use super::*;
use crate::dataset::Corners;

fn score(text: &str) -> Result<ScoreRequest<'_>, serde_json::Error> {
    ScoreRequest::from_json(text.as_bytes())
}

#[test]
fn a_scoring_request_borrows_its_images() {
    let request =
        score(r#"{"input_data": {"columns": ["image"], "index": [0, 1], "data": ["aGk=", ["YQ=="], "a\nb"]}}"#)
            .unwrap();
    let cells = &request.input_data.as_ref().unwrap().data;
    assert!(matches!(&cells[0].0, Cow::Borrowed("aGk=")));
    assert_eq!((cells[1].0.as_ref(), cells[2].0.as_ref()), ("YQ==", "a\nb"));
    let parsed = cells[0].parse().unwrap();
    assert_eq!((parsed.image_base64.as_ref(), parsed.model_explainability), ("aGk=", false));
}

#[test]
fn a_cell_may_hold_options() {
    let inner = r#" {"image_base64": "aGk=", "model_explainability": true, "xai_parameters": {"n_steps": 5}}"#;
    let body = json!({"input_data": {"columns": ["image"], "data": [inner]}}).to_string();
    let request = score(&body).unwrap();
    let image = request.input_data.as_ref().unwrap().data[0].parse().unwrap();
    assert!(image.model_explainability);
    assert_eq!(image.xai_parameters, XaiParameters { n_steps: 5, ..XaiParameters::default() });
    for bad in ["{", "{}", r#"{"image_base64": 1}"#, r#"{"image": "", "image_base64": ""}"#] {
        assert!(ScoreCell(Cow::Borrowed(bad)).parse().is_err(), "{bad}");
    }
    let unknown = ScoreCell(Cow::Borrowed(r#"{"image_base64": "", "colour": 1, "xai_parameters": {"n": 1}}"#));
    assert_eq!(unknown.parse().unwrap().xai_parameters, XaiParameters::default());
    let old: ImageRequest = serde_json::from_str(r#"{"image": "aGk="}"#).unwrap();
    assert_eq!(old.image_base64, "aGk=");
}

#[test]
fn malformed_scoring_requests_are_refused() {
    let many = format!(r#"{{"input_data": {{"columns": ["image"], "data": [{}""]}}}}"#, r#""","#.repeat(MAX_IMAGES));
    for bad in [
        "[]",
        r#"["aGk="]"#,
        r#"{"input_data": [["image"], []]}"#,
        r#"{"image": "", "xai_parameters": []}"#,
        r#"{"input_data": 1}"#,
        r#"{"image": 1}"#,
        r#"{"image": "", "image": ""}"#,
        r#"{"image": "", "score_threshold": [1]}"#,
        r#"{"image": "", "score_threshold": true}"#,
        r#"{"input_data": {"data": [""]}}"#,
        r#"{"input_data": {"columns": [], "data": []}}"#,
        r#"{"input_data": {"columns": ["image", "image"], "data": []}}"#,
        r#"{"input_data": {"columns": ["pixels"], "data": []}}"#,
        r#"{"input_data": {"columns": ["image"], "data": {}}}"#,
        r#"{"input_data": {"columns": ["image"], "data": [1]}}"#,
        r#"{"input_data": {"columns": ["image"], "data": [[]]}}"#,
        r#"{"input_data": {"columns": ["image"], "data": [["", ""]]}}"#,
        r#"{"input_data": {"columns": ["image"], "data": [[[""]]]}}"#,
        many.as_str(),
    ] {
        assert!(score(bad).is_err(), "{}", &bad[..bad.len().min(80)]);
    }
}

#[test]
fn unknown_keys_of_a_scoring_request_are_ignored() {
    for good in [
        r#"{"input_data": {"columns": ["image"], "data": [], "index": "any", "more": 1}}"#,
        r#"{"input_data": {"columns": ["image"], "data": []}, "more": [{}], "xai_parameters": {"n": 1}}"#,
        r#"{"image": "", "score_treshold": {}}"#,
    ] {
        assert!(score(good).is_ok(), "{good}");
    }
}

#[test]
fn options_are_read_by_name_and_set_in_a_models_settings() {
    let mut request =
        score(r#"{"image": "", "score_threshold": 0.25, "tile_grid_size": "3x2", "iou_threshold": "1e-1"}"#);
    let options = request.as_mut().unwrap().take_options();
    let names: Vec<&str> = options.given().map(|option| option.name).collect();
    assert_eq!(names, ["score_threshold", "iou_threshold", "tile_grid_size"]);
    let mut settings = crate::Settings::default();
    options.apply(&mut settings).unwrap();
    let detection = DetectionSettings::from(&settings);
    assert_eq!(detection.thresholds, Thresholds { score_threshold: 0.25, iou_threshold: 0.1 });
    assert_eq!((detection.tiling.grid.columns, detection.tiling.grid.rows, detection.tiling.sources()), (3, 2, 7));
    let mut other = ModelOptions::default();
    for option in &MODEL_OPTIONS {
        assert_eq!(other.replace(option, Scalar::from_text("0.5").unwrap()), None);
    }
    assert_eq!(other.given().count(), MODEL_OPTIONS.len());
    assert_eq!(options.join(&other).unwrap_err().name, "score_threshold");
    assert!(other.apply(&mut settings).unwrap_err().to_string().contains("tile_grid_size"));
    assert!(Scalar::from_text(&"0".repeat(MAX_OPTION_LENGTH + 1)).is_none());
}

#[test]
fn explanations_have_ranges() {
    let with = |text: &str| serde_json::from_str::<XaiParameters>(text).unwrap().check();
    assert_eq!(with(r#"{"n_steps": 2, "confidence_score_threshold_multilabel": 1}"#), Ok(()));
    assert!(with(r#"{"n_steps": 1}"#).unwrap_err().contains("less than 2"));
    assert!(with(r#"{"confidence_score_threshold_multilabel": -0.1}"#).unwrap_err().contains("not in [0, 1]"));
}

#[test]
fn answers_have_the_specified_keys() {
    let answer = ClassificationAnswer {
        filename: None,
        probs: vec![0.25, 0.75].into(),
        labels: vec!["a".to_owned(), "b".to_owned()].into(),
        visualizations: None,
        attributions: None,
    };
    let text = serde_json::to_string(&answer).unwrap();
    let expected =
        r#"{"filename":null,"probs":[0.25,0.75],"labels":["a","b"],"visualizations":null,"attributions":null}"#;
    assert_eq!(text, expected);
    let corners = Corners { top_x: 0.1, top_y: 0.2, bottom_x: 0.3, bottom_y: 0.4 };
    let found = ScoredBox { corners, label: "a".to_owned(), score: 0.5, polygon: None, rle: None, png: None };
    let text =
        serde_json::to_string(&DetectionAnswer { filename: Some("x.jpg".to_owned()), boxes: vec![found] }).unwrap();
    let expected = r#"{"filename":"x.jpg","boxes":[{"box":{"topX":0.1,"topY":0.2,"bottomX":0.3,"bottomY":0.4},"label":"a","score":0.5}]}"#;
    assert_eq!(text, expected);
}

fn tensor(text: &str) -> TensorData<'_> {
    serde_json::from_str(text).unwrap()
}

#[test]
fn flat_and_nested_data_are_the_same() {
    for json in ["[1,2,3,4,5,6]", "[[1,2,3],[4,5,6]]", "[ [[1],[2]] , [[3]], 4, [5 , 6]]"] {
        assert_eq!(tensor(json).bytes(6).unwrap(), [1, 2, 3, 4, 5, 6], "{json}");
    }
    assert_eq!(tensor("[]").bytes(0).unwrap(), [0u8; 0]);
    assert_eq!(tensor("[[1, 2], [3, 4]]").sizes().unwrap(), tensor("[1, 2, 3, 4]").sizes().unwrap());
    assert_eq!(tensor(r#"["a", ["b"]]"#).texts(2).unwrap(), ["a", "b"]);
    assert_eq!(tensor(r#"["a", "b"]"#).texts(1), Err(DataError::TooMany { given: 2, limit: 1 }));
}

#[test]
fn wrong_data_are_refused() {
    let deep = format!("{}1{}", "[".repeat(MAX_RANK + 1), "]".repeat(MAX_RANK + 1));
    for (json, count) in [
        ("[1,2]", 3),
        ("[1,2,3,4]", 3),
        ("[1,2,256]", 3),
        ("[1,2,-1]", 3),
        ("[1,2,3.0]", 3),
        ("[1,2,1e300]", 3),
        ("[1,2,\"3\"]", 3),
        ("[1,2,null]", 3),
        ("[1,2,{}]", 3),
        ("3", 1),
        ("\"abc\"", 3),
        (deep.as_str(), 1),
    ] {
        assert!(matches!(tensor(json).bytes(count), Err(DataError::Wrong(_))), "{json}");
    }
    for json in ["1", "{}", "[1]", "[[]]", r#"[["a", "b"]]"#, r#"[[["a"]]]"#] {
        assert!(matches!(tensor(json).texts(9), Err(DataError::Wrong(_))), "{json}");
    }
    for json in ["1", "[1]", "[[1]]", "[1.5, 2]", r#"["1", "2"]"#] {
        assert!(matches!(tensor(json).sizes(), Err(DataError::Wrong(_))), "{json}");
    }
}

#[test]
fn an_infer_request_round_trips_and_refuses_other_shapes() {
    let text = r#"{"id":"42","inputs":[{"name":"images","datatype":"UINT8","shape":[1,1,2,3],"data":[1,2,3,4,5,6]}],"outputs":[{"name":"probabilities","parameters":{"binary_data":true}}]}"#;
    let request: InferRequest = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&request).unwrap(), text);
    let input = |more: &str| format!(r#"{{"inputs": [{{"name": "x", "shape": [1], "datatype": "UINT8"{more}}}]}}"#);
    for bad in [
        "{}".to_owned(),
        r#"{"inputs": [{"name": "x", "shape": [-1], "datatype": "UINT8"}]}"#.to_owned(),
        r#"{"inputs": [{"name": "x", "shape": [1], "datatype": "UINT9"}]}"#.to_owned(),
        r#"{"inputs": [1]}"#.to_owned(),
        r#"{"inputs": [["x", "UINT8", [1], null, []]]}"#.to_owned(),
        format!(r#"{{"inputs": [{}]}}"#, [r#"{"name": "x", "shape": [1], "datatype": "UINT8"}"#; 3].join(",")),
        input(r#", "parameters": {"binary_data_size": [1]}"#),
    ] {
        assert!(InferRequest::from_json(bad.as_bytes()).is_err(), "{bad}");
    }
    for good in [input(r#", "parameters": {"a": [1]}, "more": {}"#), r#"{"inputs": [], "input": []}"#.to_owned()] {
        assert!(serde_json::from_str::<InferRequest>(&good).is_ok(), "{good}");
    }
    let unsupported = input(r#", "parameters": {"shared_memory_region": "a"}"#);
    let request: InferRequest = serde_json::from_str(&unsupported).unwrap();
    assert!(request.inputs[0].parameters.as_ref().unwrap().shared_memory_region.is_some());
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
fn elements_are_little_endian_and_texts_have_their_length_before_them() {
    for (data, datatype, bytes) in [
        (OutputData::Integer(vec![-2]), Datatype::Int64, b"\xfe\xff\xff\xff\xff\xff\xff\xff".to_vec()),
        (OutputData::Float(vec![1.0]), Datatype::Fp32, b"\x00\x00\x80\x3f".to_vec()),
        (
            OutputData::Text(vec!["a:b".into(), String::new(), "ü".into()]),
            Datatype::Bytes,
            b"\x03\0\0\0a:b\0\0\0\0\x02\0\0\0\xc3\xbc".to_vec(),
        ),
    ] {
        assert_eq!((data.datatype(), data.byte_length()), (datatype, bytes.len()));
        assert_eq!(data.to_bytes(), bytes);
    }
    let texts = OutputData::Text(vec!["0.500000:0:ü\n".into()]);
    let json = serde_json::to_string(&texts).unwrap();
    assert_eq!(json, r#"["0.500000:0:ü\n"]"#);
    assert_eq!(serde_json::from_str::<OutputData>(&json).unwrap(), texts);
}

#[test]
fn a_request_for_classes_is_kept_as_what_was_asked() {
    for (parameters, wanted) in
        [("{}", None), (r#"{"classification": null}"#, None), (r#"{"classification": 3}"#, Some(Some(3)))]
            .into_iter()
            .chain([r#"{"classification": 0}"#, r#"{"classification": [[1], {"a": 2}]}"#].map(|bad| (bad, Some(None))))
    {
        let text = format!(r#"{{"inputs": [], "outputs": [{{"name": "probabilities", "parameters": {parameters}}}]}}"#);
        let request = InferRequest::from_json(text.as_bytes()).unwrap();
        let given = request.outputs.unwrap()[0].parameters.as_ref().unwrap().classification;
        assert_eq!(given.map(|count| count.get().map(std::num::NonZeroUsize::get)), wanted, "{parameters}");
    }
}

#[test]
fn the_best_label_is_explained_or_all_above_the_threshold() {
    let p = XaiParameters { confidence_score_threshold_multilabel: 0.4, ..XaiParameters::default() };
    let probabilities = [0.1, 0.45, 0.45, 0.4];
    assert_eq!(p.explained(crate::Task::ImageClassification, &probabilities), [1]);
    assert_eq!(p.explained(crate::Task::ImageClassificationMultilabel, &probabilities), [1, 2]);
}
