use serde_json::json;

use super::*;
use crate::Task::{self, *};

fn ok(task: Task, line: &str) -> Row {
    parse_row(task.labels(), line).unwrap_or_else(|e| panic!("{line}: {e}"))
}

fn fails(task: Task, line: &str) -> RowErrorKind {
    parse_row(task.labels(), line).expect_err(line).kind
}

fn text(name: &str) -> ClassName {
    ClassName::Text(name.to_owned())
}

fn boxes(label: &str) -> Result<Row, RowError> {
    parse_row(ImageObjectDetection.labels(), &format!(r#"{{"image_url": "a.jpg", "label": {label}}}"#))
}

fn outlines(label: &str) -> Result<Row, RowError> {
    parse_row(ImageInstanceSegmentation.labels(), &format!(r#"{{"image_url": "a.jpg", "label": {label}}}"#))
}

#[test]
fn classification_takes_texts_and_whole_numbers() {
    let row = ok(
        ImageClassification,
        r#"{"image_url": "a b.jpg", "image_details": {"format": "jpg", "width": "400px", "height": 258}, "label": "milk", "label_confidence": 0.3}"#,
    );
    assert_eq!((row.image_url.as_str(), &row.label), ("a b.jpg", &Label::Class(text("milk"))));
    let details = ImageDetails { format: Some("jpg".to_owned()), width: Some(400), height: Some(258) };
    assert_eq!(row.image_details, Some(details));
    let row = ok(ImageClassification, r#"{"imageUrl": "AmlDatastore://d/a.jpg", "label": -3}"#);
    assert_eq!(row.label, Label::Class(ClassName::Integer(-3)));
    assert_eq!(
        ok(ImageClassification, "\u{feff}{\"image_url\":\"a\",\"label\":\"\\u00e9\"}").label,
        Label::Class(text("é"))
    );
}

#[test]
fn bad_rows_say_what_is_wrong_and_never_panic() {
    for (line, kind) in [
        ("", RowErrorKind::Json),
        ("{", RowErrorKind::Json),
        ("null", RowErrorKind::Json),
        ("[]", RowErrorKind::Json),
        (r#"["a", null, "x"]"#, RowErrorKind::Json),
        (r#"{"image_url": "a", "label": "x"} trailing"#, RowErrorKind::Json),
        (r#"{"image_url": "a", "label": "x", "label": "y"}"#, RowErrorKind::Json),
        (r#"{"label": "x"}"#, RowErrorKind::ImageUrl),
        (r#"{"image_url": null, "label": "x"}"#, RowErrorKind::ImageUrl),
        (r#"{"image_url": 7, "label": "x"}"#, RowErrorKind::ImageUrl),
        (r#"{"image_url": "  ", "label": "x"}"#, RowErrorKind::ImageUrl),
        (r#"{"image_url": "a"}"#, RowErrorKind::LabelMissing),
        (r#"{"image_url": "a", "label": null}"#, RowErrorKind::LabelMissing),
        (r#"{"image_url": "a", "label": ""}"#, RowErrorKind::LabelType),
        (r#"{"image_url": "a", "label": " "}"#, RowErrorKind::LabelType),
        (r#"{"image_url": "a", "label": 1.0}"#, RowErrorKind::LabelType),
        (r#"{"image_url": "a", "label": true}"#, RowErrorKind::LabelType),
        (r#"{"image_url": "a", "label": ["x"]}"#, RowErrorKind::LabelType),
        (r#"{"image_url": "a", "label": 18446744073709551615}"#, RowErrorKind::LabelType),
    ] {
        assert_eq!(fails(ImageClassification, line), kind, "{line}");
    }
    let error = parse_row(ImageClassification.labels(), r#"{"image_url": "a.jpg", "label": {}}"#).unwrap_err();
    assert_eq!(error.image_url.as_deref(), Some("a.jpg"));
    let deep = "[".repeat(100_000);
    for task in Task::ALL {
        assert_eq!(fails(task, &deep), RowErrorKind::Json);
    }
    let long = format!(r#"{{"image_url": "a", "label": [{}1]}}"#, "1,".repeat(500_000));
    assert!(parse_row(ImageClassification.labels(), &long).unwrap_err().message.len() < 300);
}

#[test]
fn numbers_that_json_does_not_have_matter_only_where_they_are_asked_for() {
    let line = r#"{"image_url":"a","label":"cat","score":NaN,"e":[Infinity,-Infinity],"t":"NaN"}"#;
    assert_eq!(ok(Task::ImageClassification, line).label, Label::Class(text("cat")));
    assert_eq!(parse_image_url(line.as_bytes()).unwrap(), "a");
    let error = parse_row(ImageClassification.labels(), r#"{"image_url":"a","label":NaN}"#).unwrap_err();
    assert!(error.message.contains("missing or null") && error.message.contains("NaN"), "{error}");
    let error =
        parse_row(ImageClassificationMultilabel.labels(), r#"{"image_url":"a","label":["x",NaN]}"#).unwrap_err();
    assert!(error.message.contains("label 1 of the list is null"), "{error}");
    let good = r#"{"label":"x","topX":0,"topY":0,"bottomX":1,"bottomY":1,"area":NaN}"#;
    let bad = r#"{"label":"x","topX":0,"topY":0,"bottomX":Infinity,"bottomY":1}"#;
    let row = boxes(&format!("[{good},{bad}]")).unwrap();
    assert_eq!((row.rejected.len(), row.rejected[0].object), (1, 1));
    assert!(row.rejected[0].reason.contains("bottomX is null"), "{}", row.rejected[0]);
}

#[test]
fn multilabel_takes_lists_only() {
    let row = ok(ImageClassificationMultilabel, r#"{"image_url": "a", "label": ["b", "a", "b"]}"#);
    assert_eq!(row.label, Label::Classes(vec![text("b"), text("a")]), "each class once, in the order written");
    let row = ok(ImageClassificationMultilabel, r#"{"image_url": "a", "label": [2, 1]}"#);
    assert_eq!(row.label, Label::Classes(vec![ClassName::Integer(2), ClassName::Integer(1)]));
    let row = ok(ImageClassificationMultilabel, r#"{"image_url": "a", "label": []}"#);
    assert_eq!(row.label, Label::Classes(vec![]));
    for label in [r#""a""#, "1", r#"["a", 1]"#, r#"["a", null]"#, r#"[["a"]]"#, "{}"] {
        let line = format!(r#"{{"image_url": "a", "label": {label}}}"#);
        assert_eq!(fails(ImageClassificationMultilabel, &line), RowErrorKind::LabelType, "{label}");
    }
}

#[test]
fn boxes_take_numbers_and_their_texts() {
    let row = boxes(
        r#"[{"label": "a", "topX": 0, "topY": "0.25", "bottomX": " 0.5 ", "bottomY": 1, "isCrowd": "True"},
            {"label": "b", "topX": 0.1, "topY": 0.1, "bottomX": 0.2, "bottomY": 0.2, "polygon": null, "bbox": "null"}]"#,
    )
    .unwrap();
    let first = Corners { top_x: 0.0, top_y: 0.25, bottom_x: 0.5, bottom_y: 1.0 };
    let second = Corners { top_x: 0.1, top_y: 0.1, bottom_x: 0.2, bottom_y: 0.2 };
    let expected = vec![
        BoxLabel { label: text("a"), corners: first, is_crowd: true, cut: false },
        BoxLabel { label: text("b"), corners: second, is_crowd: false, cut: false },
    ];
    assert_eq!((row.label, row.rejected), (Label::Boxes(expected), vec![]));
    assert_eq!(boxes("[]").unwrap().label, Label::Boxes(vec![]), "a background image");
}

#[test]
fn a_bad_box_is_dropped_and_a_row_of_bad_boxes_is_refused() {
    let good = r#"{"label": "a", "topX": 0.1, "topY": 0.1, "bottomX": 0.9, "bottomY": 0.9}"#;
    for (bad, part) in [
        (good.replace("0.9, \"bottomY\"", "0.1, \"bottomY\""), "topX 0.1 must be less than bottomX 0.1"),
        (good.replace("\"bottomY\": 0.9", "\"bottomY\": 0.05"), "topY 0.1 must be less than bottomY 0.05"),
        (good.replace("0.9}", "2.1}"), "bottomY is 2.1"),
        (good.replace("\"topX\": 0.1", "\"topX\": -1.1"), "topX is -1.1"),
        (good.replace("\"topX\": 0.1", "\"topX\": \"nan\""), "topX is \"nan\""),
        (good.replace("\"topX\": 0.1", "\"topX\": null"), "topX is null"),
        (good.replace("\"topX\": 0.1,", ""), "topX is missing"),
        (good.replace("\"a\"", "1.5"), "label is 1.5"),
        (good.replace("\"label\": \"a\",", ""), "label is null"),
        ("7".to_owned(), "7 is not an object"),
    ] {
        let row = boxes(&format!("[{bad}, {good}]")).unwrap();
        assert!(matches!(&row.label, Label::Boxes(kept) if kept.len() == 1), "{bad}");
        assert_eq!((row.rejected[0].object, row.rejected[0].segment), (0, None));
        assert!(row.rejected[0].reason.contains(part), "{}", row.rejected[0]);
        let error = boxes(&format!("[{bad}]")).unwrap_err();
        assert_eq!(error.kind, RowErrorKind::NoObject);
        assert!(error.message.contains(part), "{error}");
    }
    assert_eq!(boxes(good).unwrap_err().kind, RowErrorKind::LabelType, "an object where a list is expected");
    let mixed = good.replace("\"a\"", "1");
    assert_eq!(boxes(&format!("[{good}, {mixed}]")).unwrap_err().kind, RowErrorKind::LabelType);
}

#[test]
fn boxes_over_the_edge_are_cut() {
    let one = |corners: [f64; 4]| {
        let [x1, y1, x2, y2] = corners;
        let row =
            boxes(&format!(r#"[{{"label": "a", "topX": {x1}, "topY": {y1}, "bottomX": {x2}, "bottomY": {y2}}}]"#))?;
        let Label::Boxes(found) = row.label else { panic!("boxes expected") };
        let Corners { top_x, top_y, bottom_x, bottom_y } = found[0].corners;
        Ok::<_, RowError>(([top_x, top_y, bottom_x, bottom_y], found[0].cut))
    };
    assert_eq!(one([-0.01, 0.5, 0.5, 1.02]).unwrap(), ([0.0, 0.5, 0.5, 1.0], true));
    assert_eq!(one([-1e-9, 0.5, 0.5, 1.000_000_1]).unwrap(), ([0.0, 0.5, 0.5, 1.0], false));
    for outside in [[1.01, 0.1, 1.2, 0.5], [0.1, -0.5, 0.5, -0.01], [1.0, 0.1, 1.2, 0.5]] {
        assert!(one(outside).unwrap_err().message.contains("lies outside"));
    }
    assert!(one([0.0, 0.0, 200.0, 100.0]).is_err(), "pixels are no fractions");
    let outline = "[[-0.1, 0.2, 0.5, 0.2, 0.5, 0.8], [1.1, 0.1, 1.2, 0.1, 1.2, 0.3]]";
    let row = outlines(&format!(r#"[{{"label": "a", "polygon": {outline}}}]"#)).unwrap();
    let Label::Outlines(found) = row.label else { panic!("outlines expected") };
    assert!(found[0].cut && found[0].corners.top_x == 0.0 && found[0].polygon.len() == 1);
    assert_eq!((row.rejected.len(), row.rejected[0].segment), (1, Some(1)));
}

#[test]
fn an_outline_wins_over_corners() {
    let row = boxes(
        r#"[{"label": "a", "topX": 9, "polygon": [[0.1, 0.2, 0.5, 0.2, 0.5, 0.8], [0.6, 0.1, 0.7, 0.1, 0.7, 0.3]]}]"#,
    );
    let Label::Boxes(found) = row.unwrap().label else { panic!("boxes expected") };
    assert_eq!(found[0].corners, Corners { top_x: 0.1, top_y: 0.1, bottom_x: 0.7, bottom_y: 0.8 });
}

#[test]
fn the_older_form_of_detection_rows_is_one_box() {
    let line = r#"{"imageUrl": "a", "label": 4, "topX": 0, "topY": 0, "bottomX": 0.5, "bottomY": "0.5", "isCrowd": 1}"#;
    let Label::Boxes(found) = ok(ImageObjectDetection, line).label else { panic!("boxes expected") };
    assert_eq!((found.len(), &found[0].label, found[0].is_crowd), (1, &ClassName::Integer(4), true));
    assert_eq!(fails(ImageObjectDetection, r#"{"imageUrl": "a", "label": 4, "topX": 0}"#), RowErrorKind::LabelType);
}

#[test]
fn outlines_lose_bad_segments_and_need_one_good_one() {
    let good = "[0.1, 0.1, 0.9, 0.1, 0.9, 0.9]";
    let row = outlines(&format!(
        r#"[{{"label": "a", "polygon": [[0.1, 0.1, 0.2, 0.2], {good}, [0, 0, 1, 0, 1, 2.5], "x"]}}]"#
    ));
    let row = row.unwrap();
    let Label::Outlines(found) = &row.label else { panic!("outlines expected") };
    assert_eq!(found[0].polygon, vec![vec![0.1, 0.1, 0.9, 0.1, 0.9, 0.9]]);
    assert_eq!(found[0].corners, Corners { top_x: 0.1, top_y: 0.1, bottom_x: 0.9, bottom_y: 0.9 });
    assert_eq!(row.rejected.iter().map(|r| r.segment).collect::<Vec<_>>(), [Some(0), Some(2), Some(3)]);
    assert!(row.rejected[1].to_string().starts_with("object 0, segment 2: 2.5 is not"), "{}", row.rejected[1]);
    for (polygon, kind) in [
        ("[[0, 0, 1, 0, 1, 1, 0.5]]", RowErrorKind::OddOutline),
        ("[[0, 0, 1, 0, 1]]", RowErrorKind::OddOutline),
        ("[[0, 0, 1]]", RowErrorKind::NoObject),
        ("[]", RowErrorKind::NoObject),
        ("null", RowErrorKind::NoObject),
        ("\"null\"", RowErrorKind::NoObject),
        ("[0, 0, 1, 0, 1, 1]", RowErrorKind::NoObject),
        ("[[0.5, 0, 0.5, 1, 0.5, 0.5]]", RowErrorKind::NoObject),
    ] {
        let error = outlines(&format!(r#"[{{"label": "a", "polygon": {polygon}}}]"#)).unwrap_err();
        assert_eq!(error.kind, kind, "{polygon}: {error}");
    }
    assert_eq!(outlines("[]").unwrap().label, Label::Outlines(vec![]));
}

#[test]
fn crowds_are_marked_in_five_ways_and_no_other() {
    for (mark, expected) in [
        ("true", true),
        ("1", true),
        ("\"1\"", true),
        ("\"true\"", true),
        ("\"True\"", true),
        ("1.0", true),
        ("0", false),
        ("2", false),
        ("\"yes\"", false),
        ("\"TRUE\"", false),
        ("null", false),
        ("[1]", false),
        ("false", false),
    ] {
        let row = boxes(&format!(r#"[{{"label":"a","topX":0,"topY":0,"bottomX":1,"bottomY":1,"isCrowd":{mark}}}]"#));
        assert!(matches!(row.unwrap().label, Label::Boxes(found) if found[0].is_crowd == expected), "{mark}");
    }
}

#[test]
fn rows_serialise_as_rows() {
    for (task, line) in [
        (ImageClassification, r#"{"image_url":"a","label":"x"}"#),
        (ImageClassificationMultilabel, r#"{"image_url":"a","image_details":{"width":3},"label":[1,2]}"#),
        (
            ImageObjectDetection,
            r#"{"image_url":"a","label":[{"label":"x","topX":0.1,"topY":0.2,"bottomX":0.3,"bottomY":0.4,"isCrowd":false}]}"#,
        ),
        (
            ImageInstanceSegmentation,
            r#"{"image_url":"a","label":[{"label":"x","isCrowd":true,"polygon":[[0.1,0.1,0.9,0.1,0.9,0.9]]}]}"#,
        ),
    ] {
        let row = ok(task, line);
        assert_eq!(serde_json::to_string(&row).unwrap(), line);
    }
}

#[test]
fn class_names_sort_by_value() {
    let mut names = [ClassName::Integer(10), ClassName::Integer(9), ClassName::Integer(-1)];
    names.sort();
    assert_eq!(names.iter().map(ToString::to_string).collect::<Vec<_>>(), ["-1", "9", "10"]);
}

#[test]
fn the_schema_accepts_exactly_the_rows_that_lose_nothing() {
    let rows = [
        json!({"image_url": "a", "label": "x"}),
        json!({"imageUrl": "a", "label": 3}),
        json!({"image_url": "a", "label": 1.5}),
        json!({"image_url": " ", "label": "x"}),
        json!({"label": "x"}),
        json!({"image_url": "a"}),
        json!({"image_url": "a", "label": ""}),
        json!({"image_url": "a", "label": []}),
        json!({"image_url": "a", "label": ["x", "y"]}),
        json!({"image_url": "a", "label": [true]}),
        json!({"image_url": "a", "label": [{"label": "x", "topX": 0, "topY": 0, "bottomX": 1, "bottomY": "1"}]}),
        json!({"image_url": "a", "label": [{"label": "x", "topX": 0, "topY": 0, "bottomX": 1.5, "bottomY": 1}]}),
        json!({"image_url": "a", "label": [{"label": "x", "topX": 0, "topY": 0, "bottomX": 1}]}),
        json!({"image_url": "a", "label": [{"label": "x", "polygon": [[0, 0, 1, 0, 1, 1]]}]}),
        json!({"image_url": "a", "label": [{"label": "x", "polygon": [[0, 0, 1, 0]]}]}),
        json!({"image_url": "a", "label": [{"label": "x", "polygon": []}]}),
        json!({"image_url": "a", "label": {"label": "x", "polygon": [[0, 0, 1, 0, 1, 1]]}}),
    ];
    for task in Task::ALL {
        let validator = jsonschema::validator_for(row_schema(task).as_value()).unwrap();
        for row in &rows {
            let whole = parse_row(task.labels(), &row.to_string()).is_ok_and(|parsed| parsed.rejected.is_empty());
            assert_eq!(validator.is_valid(row), whole, "{task}: {row}");
        }
    }
}

#[test]
fn rejections_round_trip() {
    let rejection = Rejection {
        source: "t.jsonl".into(),
        line: 3,
        image_url: None,
        kind: RejectionKind::BadLabel,
        reason: "no label".into(),
    };
    let text = serde_json::to_string(&rejection).unwrap();
    assert_eq!(text, r#"{"source":"t.jsonl","line":3,"image_url":null,"kind":"bad_label","reason":"no label"}"#);
    assert_eq!(serde_json::from_str::<Rejection>(&text).unwrap(), rejection);
}

#[test]
fn labels_that_are_none_are_named() {
    for (text, part) in [
        ("null", "missing"),
        ("\" \"", "empty"),
        ("1.5", "1.5"),
        ("true", "true"),
        ("[\"a\"]", "a list"),
        ("{\"a\":1}", "an object"),
        ("99999999999999999999", "the number"),
    ] {
        let line = format!(r#"{{"image_url":"a","label":{text}}}"#);
        let message = parse_line(ImageClassification.labels(), line.as_bytes()).unwrap_err().message;
        assert!(message.contains(part) && message.contains("an image has one label"), "{message}");
    }
    for (text, part) in [
        ("\"a\"", "the string \"a\" alone; an image has a list"),
        ("7", "the number 7 alone"),
        ("null", "missing"),
        ("{}", "an object"),
        ("[\"a\", 1]", "label 0 of the list is a string, label 1 an integer"),
        ("[\"a\", \" \"]", "label 1 of the list is empty"),
        ("[[\"a\"]]", "label 0 of the list is a list"),
        ("[1.5]", "the number 1.5"),
    ] {
        let line = format!(r#"{{"image_url":"a","label":{text}}}"#);
        let message = parse_row(ImageClassificationMultilabel.labels(), &line).unwrap_err().message;
        assert!(message.contains(part), "{message}");
    }
    let one = boxes(r#"{"label": "a", "topX": 0}"#).unwrap_err().message;
    assert!(
        one.contains(r#"one object, not a list of objects; write it in brackets: "label": [{"label":"a""#),
        "{one}"
    );
}

#[test]
fn lines_that_are_no_rows_say_why() {
    for (line, part) in [
        (&b"{"[..], "a row stands on one line"),
        (b"[]", "not a JSON object"),
        (br#"["a.jpg","cat"]"#, "not a JSON object"),
        (b"\"x\"", "not a JSON object"),
        (br#"{"label":"a"}"#, "image_url is missing"),
        (br#"{"image_url":7,"label":"a"}"#, "image_url is 7"),
        (b"{\"image_url\":\"\xff\",\"label\":\"a\"}", "not UTF-8"),
        (br#"{"image_url":"a","label":"a"} x"#, "not a JSON object"),
        (br#"{"image_url":"a","label":"a",}"#, r#"write {"image_url":"a","label":"a"}"#),
        (br#"{"image_url":"a","label":"a"},"#, r#"nothing else: {"image_url":"a","label":"a"}"#),
    ] {
        let message = parse_line(ImageClassification.labels(), line).unwrap_err().message;
        assert!(message.contains(part), "{message}");
        if let Ok(url) = parse_image_url(line) {
            panic!("{url}");
        }
    }
    assert_eq!(parse_image_url(br#"{"image_url":"a\u00e4.jpg","label":{"x":1}}"#).unwrap(), "a\u{e4}.jpg");
    let row = parse_line(ImageClassification.labels(), br#" {"label": -3, "image_url": "x"} "#).unwrap();
    assert_eq!(row.label, Label::Class(ClassName::Integer(-3)));
}
