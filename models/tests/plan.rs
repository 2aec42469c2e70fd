//! Plans as the registry resolves them, and the defaults of its models.

#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

use models::registry::{self, plan as resolve};
use schemas::plan::{Device, FIELDS, Pretrained};
use schemas::setting::SettingSpec;
use schemas::{Plan, PlanRequest, Precision, SETTINGS, SettingError, Source, Sources, Task};
use serde_json::{Value, json};

fn minimal() -> PlanRequest {
    request_for("efficientnet-lite0")
}

fn request_for(model: &str) -> PlanRequest {
    let mut request = PlanRequest::new();
    request.set("task", "image-classification", Source::CommandLine).set("model_name", model, Source::CommandLine).set(
        "training_data",
        "train.jsonl",
        Source::CommandLine,
    );
    request
}

fn messages(request: PlanRequest) -> Vec<String> {
    resolve(request).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn a_minimal_request_becomes_a_full_plan() {
    let plan = resolve(minimal()).unwrap();
    assert_eq!(
        (plan.model_name.as_str(), plan.pretrained.to_string().as_str(), plan.device.to_string().as_str()),
        ("efficientnet_lite0", "auto", "auto")
    );
    assert_eq!((plan.precision, plan.seed, plan.validation_data.as_deref()), (Precision::Auto, 0, None));
    assert_eq!(plan.settings, registry::settings(Task::ImageClassification, "efficientnet_lite0").defaults);
    assert_eq!(plan.source("task"), Source::CommandLine);
    assert_eq!(plan.source("optimizer"), Source::Model);
    assert_eq!(plan.source("momentum"), Source::Default);
    assert_eq!(plan.sources.len(), FIELDS.len() + SETTINGS.len());
    assert_eq!(plan.values().len(), plan.sources.len());
}

#[test]
fn the_command_line_wins_over_files_whatever_came_first() {
    let mut request = minimal();
    request
        .set("learning_rate", "0.25", Source::CommandLine)
        .set("learning_rate", 0.5, Source::File)
        .set("validation_data_size", 0.1, Source::File)
        .set("random_seed", "18446744073709551615", Source::File)
        .set("device", "CUDA", Source::File)
        .set("precision", "BF16", Source::CommandLine)
        .set("data_root", Value::Null, Source::File)
        .set("pretrained", "None", Source::Default);
    let plan = resolve(request).unwrap();
    assert_eq!((plan.settings.learning_rate, plan.source("learning_rate")), (0.25, Source::CommandLine));
    assert_eq!((plan.settings.split_ratio, plan.source("split_ratio")), (0.1, Source::File));
    assert_eq!((plan.seed, plan.device, plan.precision), (u64::MAX, Device::Cuda(0), Precision::Bf16));
    assert_eq!((plan.data_root.as_deref(), plan.source("data_root")), (None, Source::Default));
    assert_eq!(plan.pretrained, Pretrained::None);
}

#[test]
fn a_vision_transformer_trains_on_the_size_it_validates_on() {
    let ask = |model: &str, sizes: &[(&str, u32)]| {
        let mut request = request_for(model);
        for (name, size) in sizes {
            request.set(*name, *size, Source::CommandLine);
        }
        resolve(request)
    };
    let crops = |plan: Plan| (plan.settings.train_crop_size, plan.settings.valid_crop_size);
    let larger = [("valid_resize_size", 292), ("valid_crop_size", 256)];
    assert_eq!(crops(ask("vits16r224", &larger).unwrap()), (256, 256));
    assert_eq!(crops(ask("dinov2_small", &larger).unwrap()), (256, 256));
    assert_eq!(crops(ask("resnet18", &larger).unwrap()), (224, 256));
    assert_eq!(crops(ask("vitb16r224", &[("train_crop_size", 224)]).unwrap()), (224, 224));
    let error = ask("vitl16r224", &[("train_crop_size", 192)]).unwrap_err()[0].to_string();
    assert!(error.contains("train_crop_size 192") && error.contains("valid_crop_size 224"), "{error}");
}

#[test]
fn seresnext_keeps_its_sizes() {
    for (name, size, fits) in [
        ("valid_resize_size", 256, true),
        ("valid_resize_size", 288, false),
        ("valid_crop_size", 192, false),
        ("train_crop_size", 192, false),
    ] {
        let ask = |model: &str| {
            let mut request = request_for(model);
            request.set(name, size, Source::CommandLine);
            resolve(request)
        };
        assert!(ask("resnet50").is_ok(), "{name} {size}");
        assert_eq!(ask("seresnext").is_ok(), fits, "{name} {size}");
        if !fits {
            let error = ask("seresnext").unwrap_err()[0].to_string();
            assert!(error.contains(name) && error.contains("model_name seresnext"), "{error}");
        }
    }
}

#[test]
fn every_error_is_reported_at_once() {
    let mut request = PlanRequest::new();
    request
        .set("task", "detection", Source::CommandLine)
        .set("learning_rat", "0.1", Source::CommandLine)
        .set("learning_rate", "2", Source::CommandLine)
        .set("amsgrad", true, Source::File)
        .set("ams_gradient", true, Source::File)
        .set("seed", -1, Source::File)
        .set("device", "cuda:x", Source::CommandLine)
        .set("image_type", "PNG", Source::File)
        .set("advanced_settings", "no JSON", Source::File)
        .set("valid_crop_size", 300, Source::File);
    let found = messages(request);
    let expected = [
        "`task` is \"detection\"",
        "did you mean `learning_rate`",
        "outside its range [0, 1]",
        "`amsgrad` is given twice in the file",
        "`seed` is -1",
        "auto, cpu, cuda or cuda:N",
        "`image_type` cannot be \"PNG\"",
        "JSON object",
        "`model_name` is missing",
        "`training_data` is missing",
        "valid_crop_size 300 contradicts valid_resize_size 256",
        "amsgrad true contradicts optimizer sgd",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (message, part) in found.iter().zip(expected) {
        assert!(message.contains(part), "{message} should contain {part}");
    }
}

#[test]
fn a_default_warmup_fits_a_short_run_and_a_chosen_one_must() {
    let mut request = minimal();
    request.set("number_of_epochs", 1, Source::CommandLine);
    let plan = resolve(request.clone()).unwrap();
    assert_eq!(plan.settings.warmup_cosine_lr_warmup_epochs, 1);
    assert_eq!(plan.source("warmup_cosine_lr_warmup_epochs"), Source::Default);
    request.set("warmup_cosine_lr_warmup_epochs", 2, Source::CommandLine);
    assert!(messages(request)[0].contains("within its warm-up"));
}

#[test]
fn split_ratio_and_validation_data_exclude_each_other_only_when_both_are_chosen() {
    let mut request = minimal();
    request.set("validation_data", "val.jsonl", Source::File);
    assert!(resolve(request.clone()).is_ok());
    request.set("split_ratio", 0.3, Source::CommandLine);
    assert!(messages(request)[0].contains("split_ratio 0.3 contradicts validation_data val.jsonl"));
}

#[test]
fn a_plan_survives_its_file_bit_for_bit() {
    let mut request = minimal();
    request
        .set("learning_rate", 0.1_f64.next_up(), Source::CommandLine)
        .set("seed", u64::MAX, Source::CommandLine)
        .set("validation_data", "v", Source::File);
    let plan = resolve(request).unwrap();
    let text = serde_json::to_string_pretty(&plan).unwrap();
    let back: Plan = serde_json::from_str(&text).unwrap();
    assert_eq!(back, plan);
    assert_eq!(serde_json::to_string_pretty(&back).unwrap(), text);
    assert!(plan.differences(&back).is_empty());
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["settings"]["optimizer"], json!({"value": "adamw", "source": "model"}));
    assert_eq!(value["sources"]["seed"], "command_line");
}

#[test]
fn differences_name_values_and_not_sources() {
    let plan = resolve(minimal()).unwrap();
    let mut request = minimal();
    request.set("optimizer", "adamw", Source::File).set("number_of_epochs", 11, Source::File).set(
        "seed",
        7,
        Source::File,
    );
    let other = resolve(request).unwrap();
    let names: Vec<_> = plan.differences(&other).into_iter().map(|d| (d.name, d.this, d.other)).collect();
    assert_eq!(names, [("seed".into(), json!(0), json!(7)), ("number_of_epochs".into(), json!(10), json!(11))]);
}

#[test]
fn damaged_plan_files_are_refused() {
    let good = serde_json::to_value(resolve(minimal()).unwrap()).unwrap();
    let damaged = |pointer: &str, value: Value| {
        let mut plan = good.clone();
        *plan.pointer_mut(pointer).unwrap() = value;
        serde_json::from_value::<Plan>(plan).unwrap_err().to_string()
    };
    assert!(damaged("/schema_version", json!(99)).contains("schema_version is 99"));
    assert!(damaged("/settings/learning_rate/value", json!(7)).contains("outside its range"));
    assert!(damaged("/settings/learning_rate", json!(0.1)).contains("settings.learning_rate"));
    assert!(damaged("/task", json!("x")).contains("unknown variant"));
    let mut extra = good.clone();
    extra["colour"] = json!("red");
    assert!(serde_json::from_value::<Plan>(extra).is_err());
    let mut older = good;
    older["settings"].as_object_mut().unwrap().remove("optimizer");
    assert!(serde_json::from_value::<Plan>(older).is_ok(), "a setting added later takes its default");
}

#[test]
fn a_missing_task_does_not_hide_other_errors() {
    let mut request = PlanRequest::new();
    request.set("optimizer", "sdg", Source::CommandLine);
    let errors = resolve(request).unwrap_err();
    assert!(matches!(&errors[0], SettingError::WrongType { name, .. } if name == "optimizer"), "{errors:?}");
    assert_eq!(errors.len(), 4);
}

#[test]
fn every_default_is_inside_its_range_and_consistent() {
    let models = [
        "resnet18",
        "efficientnet_lite0",
        "vits16r224",
        "vitb16r224",
        "vitl16r224",
        "dinov2_base",
        "convnextv2_nano",
        "yolov5",
        "unheard-of",
    ];
    for (task, model) in Task::ALL.into_iter().flat_map(|task| models.map(|model| (task, model))) {
        let settings = registry::settings(task, model).defaults;
        for spec in SETTINGS {
            let value = settings.get(spec.name).unwrap();
            assert_eq!(spec.kind.parse(spec.name, &value), Ok(value), "{task} {model} {}", spec.name);
        }
        assert_eq!(
            settings.validate(task, (model, &registry::settings(task, model)), &Sources::new()),
            vec![],
            "{task} {model}"
        );
    }
    assert_eq!(registry::settings(Task::ImageClassificationMultilabel, "resnet18").defaults.learning_rate, 0.035);
    assert_eq!(registry::settings(Task::ImageClassificationMultilabel, "vitb16r224").defaults.learning_rate, 0.025);
    assert_eq!(registry::settings(Task::ImageClassification, "vitl16r224").defaults.training_batch_size, 10);
}

#[test]
fn classification_settings_are_refused_for_detection_only_when_chosen() {
    let settings = registry::settings(Task::ImageObjectDetection, "yolov5").defaults;
    let mut sources = Sources::from([("weighted_loss".to_owned(), Source::Default)]);
    assert_eq!(
        settings.validate(
            Task::ImageObjectDetection,
            ("yolov5", &registry::settings(Task::ImageObjectDetection, "yolov5")),
            &sources
        ),
        vec![]
    );
    sources.insert("weighted_loss".to_owned(), Source::File);
    let errors = settings.validate(
        Task::ImageObjectDetection,
        ("yolov5", &registry::settings(Task::ImageObjectDetection, "yolov5")),
        &sources,
    );
    assert!(errors[0].to_string().contains("`weighted_loss` is a classification setting"), "{errors:?}");
}

#[test]
fn settings_of_the_other_detector_family_are_refused_only_when_chosen() {
    let messages = |model: &str, given: &[(&str, Value)]| {
        let (mut settings, mut sources) = (
            registry::settings(Task::ImageObjectDetection, model).defaults,
            Sources::from([("min_size".to_owned(), Source::Default)]),
        );
        for (name, value) in given {
            settings.set(name, value).unwrap();
            sources.insert(SettingSpec::find(name).unwrap().name.to_owned(), Source::CommandLine);
        }
        let errors = settings.validate(
            Task::ImageObjectDetection,
            (model, &registry::settings(Task::ImageObjectDetection, model)),
            &sources,
        );
        errors.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let rcnn = "fasterrcnn_resnet50_fpn";
    assert!(messages(rcnn, &[("image_size", json!(320))])[0].contains("only yolov5 has this setting"));
    assert!(messages("yolov5", &[("max_size", json!(800))])[0].contains("only R-CNN and RetinaNet have"));
    assert!(messages(rcnn, &[("min_size", json!(900)), ("max_size", json!(800))])[0].contains("min_size 900"));
    assert!(messages("yolov5", &[("tile_overlap_ratio", json!(0.1))])[0].contains("tile_grid_size none"));
    assert_eq!(
        messages("yolov5", &[("tile_grid_size", json!("3x2")), ("tile_overlap_ratio", json!(0.1))]),
        Vec::<String>::new()
    );
    assert_eq!(messages("yolov5", &[("model_size", json!("extra-large"))]), Vec::<String>::new());
}
