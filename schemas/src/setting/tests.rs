//! Walks the table, so that a new setting is tested by being declared.

use serde_json::{Value, json};

use super::*;
use crate::Task;

fn defaults() -> Settings {
    Settings::default()
}

/// Values at the limits, and just outside them.
fn limits(kind: &Kind) -> (Vec<Value>, Vec<Value>) {
    match *kind {
        Kind::Bool => (vec![json!(true), json!(false)], vec![json!(2), json!("perhaps"), json!(null), json!([true])]),
        Kind::Int { min, max } => (
            vec![json!(min), json!(max), json!(f64::from(min)), json!(format!("{max}.0"))],
            vec![
                json!(i64::from(min) - 1),
                json!(u64::from(max) + 1),
                json!(1.5),
                json!("x"),
                json!(1e300),
                json!(null),
            ],
        ),
        Kind::Float { min, max, exclusive_min, exclusive_max } => {
            let (mut inside, mut outside) = (vec![], vec![json!("nan"), json!("inf"), json!(""), json!(true)]);
            if exclusive_min { &mut outside } else { &mut inside }.push(json!(min));
            if exclusive_max { &mut outside } else { &mut inside }.push(json!(max));
            inside.extend([json!(min.next_up()), json!(max.next_down()), json!(((min + max) / 2.0).to_string())]);
            outside.extend([json!(min.next_down()), json!(max.next_up())]);
            (inside, outside)
        }
        Kind::Choice(words) => {
            let loud = words.iter().map(|w| json!(w.to_uppercase().replace('_', "-")));
            (words.iter().map(|w| json!(w)).chain(loud).collect(), vec![json!("no such word"), json!(1), json!("")])
        }
        Kind::Grid => (
            vec![json!("none"), json!("3x2"), json!("(2, 4)"), json!("1X16")],
            vec![json!("1x1"), json!("0x2"), json!("17x1"), json!("3"), json!("3x2x1"), json!(3), json!("x")],
        ),
        Kind::Key => (
            vec![json!("none"), json!("NONE"), json!("patient"), json!("Day of capture"), json!("7")],
            vec![json!(""), json!(" "), json!("label"), json!("image_url"), json!(7), json!(null), json!(["a"])],
        ),
    }
}

#[test]
fn every_setting_keeps_its_limits_under_every_name() {
    for spec in SETTINGS {
        let (inside, outside) = limits(&spec.kind);
        let dashed = spec.name.replace('_', "-");
        for name in spec.aliases.iter().copied().chain([spec.name, dashed.as_str()]) {
            for value in &inside {
                let mut settings = defaults();
                settings.set(name, value).unwrap_or_else(|e| panic!("{name} {value}: {e}"));
                let stored = settings.get(spec.name).unwrap();
                assert_eq!(stored, spec.kind.parse(name, value).unwrap());
                assert_eq!(settings.to_map().len(), SETTINGS.len());
                let others = |s: &Settings| s.to_map().into_iter().filter(|(n, _)| n != spec.name).collect::<Vec<_>>();
                assert_eq!(others(&settings), others(&defaults()), "{name} changes nothing else");
            }
            for value in &outside {
                let mut settings = defaults();
                let error = settings.set(name, value).expect_err(&format!("{name} takes {value}"));
                assert!(error.to_string().contains(name), "{error}");
                assert_eq!(settings, defaults(), "a refused value changes nothing");
                let limit = match error {
                    SettingError::OutOfRange { range, .. } => range == spec.kind.range(),
                    SettingError::WrongType { .. } => true,
                    _ => false,
                };
                assert!(limit, "{name} {value}");
            }
        }
    }
}

#[test]
fn every_name_is_unique_and_every_typing_slip_is_led_back() {
    let mut seen = std::collections::BTreeSet::new();
    for name in SETTINGS.iter().flat_map(|s| s.aliases.iter().copied().chain([s.name])).chain(elsewhere::names()) {
        assert!(seen.insert(name), "{name} is declared twice");
    }
    for spec in SETTINGS {
        assert!(!spec.help.is_empty() && spec.help.ends_with('.'), "{}", spec.name);
        assert!(!spec.tasks.is_empty());
        let (head, tail) = spec.name.split_at(spec.name.len() / 2);
        let slips = [format!("{}x", spec.name), format!("{head}{}", &tail[1..])];
        for slip in slips.into_iter().filter(|slip| SettingSpec::find(slip).is_none()) {
            let error = defaults().set(&slip, &json!(1)).unwrap_err();
            let SettingError::Unknown { nearest: Some(nearest), .. } = &error else { panic!("{slip}: {error}") };
            let near = SettingSpec::find(nearest).unwrap_or_else(|| panic!("{slip} led to {nearest}"));
            assert!(near.name == spec.name || slip.starts_with("beta"), "{slip} led to {nearest}");
        }
    }
}

#[test]
fn booleans_and_whole_numbers_have_many_spellings() {
    let mut s = defaults();
    for (text, expected) in [
        ("true", true),
        ("0", false),
        ("YES", true),
        ("no", false),
        ("Enable", true),
        ("Disable", false),
        (" 1 ", true),
    ] {
        s.set("log-training-metrics", &json!(text)).unwrap();
        assert_eq!(s.log_training_metrics, expected, "{text}");
    }
    s.set("number_of_epochs", &json!("5.0")).unwrap();
    s.set("Gradient-Accumulation-Step", &json!(3.0)).unwrap();
    s.set("learning_rate", &json!("1e-4")).unwrap();
    assert_eq!((s.number_of_epochs, s.grad_accumulation_step, s.learning_rate), (5, 3, 1e-4));
}

#[test]
fn names_of_other_tasks_and_fixed_answers_are_explained() {
    let mut s = defaults();
    let refuse = |s: &mut Settings, name: &str, value: Value| s.set(name, &value).unwrap_err().to_string();
    assert!(refuse(&mut s, "image_type", json!("PNG")).contains("polygons"));
    assert!(refuse(&mut s, "checkpoint_run_id", json!("x")).contains("checkpoint_run"));
    assert!(refuse(&mut s, "deterministic", json!(false)).contains("reproducible"));
    assert!(refuse(&mut s, "enable_onnx_normalization", json!("maybe")).contains("true or false"));
    assert!(refuse(&mut s, "modelname", json!("x")).contains("did you mean `model_name`"));
    for (name, value) in [("deterministic", json!(1)), ("distributed", json!(true)), ("distributed", json!("false"))] {
        s.set(name, &value).unwrap();
    }
    assert_eq!(s, defaults());
}

#[test]
fn advanced_settings_are_taken_apart() {
    let mut s = defaults();
    s.set("advanced_settings", &json!(r#"{"apply_automl_train_augmentations": false, "stream_image_files": true}"#))
        .unwrap();
    assert!(!s.apply_automl_train_augmentations);
    s.set("advanced-settings", &json!({"apply_automl_train_augmentations": true})).unwrap();
    assert!(s.apply_automl_train_augmentations);
    for (value, part) in [
        (json!("{"), "JSON object"),
        (json!("[]"), "JSON object"),
        (json!(1), "JSON object"),
        (json!({"image_type": "JPG"}), "polygons"),
        (json!({"aply_automl_train_augmentations": true}), "did you mean"),
    ] {
        let message = s.set("advanced_settings", &value).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
}

type Given<'a> = &'a [(&'a str, Value)];

fn contradictions(given: Given) -> Vec<String> {
    let (mut settings, mut sources) = (defaults(), Sources::new());
    for (name, value) in given {
        settings.set(name, value).unwrap();
        sources.insert((*name).to_owned(), Source::CommandLine);
    }
    settings
        .validate(Task::ImageClassification, ("resnet18", &ModelSettings::default()), &sources)
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn contradictions_name_both_sides_with_their_values() {
    let rows: &[(Given, &[&str])] = &[
        (&[("valid_crop_size", json!(300))], &["valid_crop_size 300", "valid_resize_size 256"]),
        (&[("optimizer", json!("adam")), ("momentum", json!(0.8))], &["momentum 0.8", "optimizer adam"]),
        (&[("optimizer", json!("adamw")), ("nesterov", json!(false))], &["nesterov false", "optimizer adamw"]),
        (&[("beta2", json!(0.9))], &["beta2 0.9", "optimizer sgd"]),
        (&[("momentum", json!(0)), ("nesterov", json!(true))], &["nesterov true", "momentum 0"]),
        (&[("step_lr_gamma", json!(0.1))], &["step_lr_gamma 0.1", "lr_scheduler warmup_cosine"]),
        (
            &[("lr_scheduler", json!("step")), ("warmup_cosine_lr_cycles", json!(0.4))],
            &["warmup_cosine_lr_cycles 0.4", "lr_scheduler step"],
        ),
        (
            &[("number_of_epochs", json!(3)), ("warmup_cosine_lr_warmup_epochs", json!(4))],
            &["warmup_cosine_lr_warmup_epochs 4", "number_of_epochs 3"],
        ),
        (&[("early_stopping", json!(0)), ("early_stopping_delay", json!(2))], &["early_stopping_delay 2"]),
        (&[("early_stopping_delay", json!(16))], &["early_stopping_delay 16", "number_of_epochs 15"]),
        (
            &[("grad_clip_type", json!("none")), ("grad_clip_value", json!(1))],
            &["grad_clip_value 1", "grad_clip_type none"],
        ),
        (&[("imbalance_rate_threshold", json!(3))], &["imbalance_rate_threshold 3", "weighted_loss 0"]),
    ];
    for (given, expected) in rows {
        let messages = contradictions(given);
        assert_eq!(messages.len(), 1, "{given:?}: {messages:?}");
        assert!(expected.iter().all(|part| messages[0].contains(part)), "{}", messages[0]);
    }
    let fine: &[Given] = &[
        &[("lr_scheduler", json!("step")), ("step_lr_gamma", json!(0.1))],
        &[("optimizer", json!("adam")), ("beta1", json!(0.8)), ("amsgrad", json!(true))],
        &[("momentum", json!(0)), ("nesterov", json!(false))],
        &[("early_stopping", json!(false))],
        &[("weighted_loss", json!(2)), ("imbalance_rate_threshold", json!(3))],
    ];
    for given in fine {
        assert_eq!(contradictions(given), Vec::<String>::new(), "{given:?}");
    }
}

#[test]
fn settings_survive_json_bit_for_bit() {
    let mut settings = defaults();
    settings.learning_rate = 0.1 + 0.2;
    settings.grad_clip_value = 1.0_f64.next_up();
    let text = serde_json::to_string(&settings).unwrap();
    assert_eq!(serde_json::from_str::<Settings>(&text).unwrap(), settings);
    assert_eq!(Value::Object(settings.to_map()), serde_json::to_value(&settings).unwrap());
    assert!(serde_json::from_str::<Settings>(r#"{"learning_rate": 2}"#).unwrap_err().to_string().contains("[0, 1]"));
    assert!(serde_json::from_str::<Settings>(r#"{"learning_rat": 0.2}"#).is_err());
}

#[test]
fn settings_without_effect_are_told_from_contradictions() {
    let idle = |given: Given<'_>| {
        let mut settings = defaults();
        let mut sources = Sources::new();
        for (name, value) in given {
            settings.set(name, value).unwrap();
            sources.insert((*name).to_owned(), Source::File);
        }
        let errors = settings.validate(Task::ImageClassification, ("resnet50", &ModelSettings::default()), &sources);
        errors.iter().map(|error| error.idle().map(str::to_owned)).collect::<Vec<_>>()
    };
    let some = |name: &str| vec![Some(name.to_owned())];
    assert_eq!(idle(&[("optimizer", json!("adam")), ("momentum", json!(0.8))]), some("momentum"));
    assert_eq!(
        idle(&[("early_stopping_delay", json!(9)), ("number_of_epochs", json!(3))]),
        some("early_stopping_delay")
    );
    assert_eq!(idle(&[("valid_crop_size", json!(300))]), vec![None]);
}
