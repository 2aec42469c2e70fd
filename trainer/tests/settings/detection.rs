//! Settings of object detection. What the training loop does with a setting is shown on yolov5, which is the quickest; what
//! belongs to the images and layers of the other family, on a Faster R-CNN.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use dataset::loading;
use dataset::{Images, Loader, Object, RejectKind, Rejection, SampleError};
use models::host::Rgb;
use models::registry::Augmentation;
use schemas::setting::SETTINGS;
use schemas::{Fit, Interpolation, Preprocessing, Settings, Task};
use serde_json::json;

use crate::lab::{Effect, Lab, lines, show_all};
use crate::memory;
use crate::optimizer;

const TASK: &str = "image-object-detection";
const YOLO: &str = "--model_name yolov5 --model_size nano --img_size 64 --number_of_epochs 1 --training_batch_size 4
    --pretrained none --export none --precision fp32 --number_of_workers 0 --threads 1";
const RCNN: &str = "--model_name fasterrcnn_resnet18_fpn --min_size 64 --max_size 96 --number_of_epochs 1
    --training_batch_size 8 --pretrained none --export none --precision fp32 --number_of_workers 0 --threads 1";

/// Many boxes from a network that knows nothing yet.
const ALL: &str = "--box_score_thresh 0 --box_detections_per_img 1000";
/// No box is ever this exact, so no evaluation is better than the first.
const STUCK: &str =
    "--number_of_epochs 4 --validation_iou_threshold 1 --early_stopping_patience 1 --early_stopping_delay 1";
const STEP: &str = "--number_of_epochs 3 --lr_scheduler step --step_lr_step_size 1";
/// One batch an epoch, and a network that stays as it is: only the images can change the loss.
const STILL: &str = "--number_of_epochs 2 --training_batch_size 64 --learning_rate 0";

static ON_YOLOV5: &[Effect] = &[
    ("number_of_epochs", |lab| assert_eq!((lab.epochs("").len(), lab.epochs("--number_of_epochs 3").len()), (1, 3))),
    ("training_batch_size", |lab| {
        let pictures = lines(&lab.file("", "data/train.jsonl")).len() as u64;
        assert_eq!(lab.updates(""), pictures.div_ceil(4));
        assert_eq!(lab.updates("--training_batch_size 2"), pictures.div_ceil(2));
    }),
    ("validation_batch_size", |lab| {
        let batches = |size| {
            let settings = Settings { validation_batch_size: size, ..settings() };
            let options = loading::validation(&settings, &letterbox(), Augmentation::Mosaic, 0);
            Loader::new(Arc::new(Grey(10)), options).unwrap().eval().count()
        };
        assert_eq!((batches(5), batches(2)), (2, 5));
        // The last digits of a score may depend on the size of the batch, and with them the order of two boxes.
        let (many, one) = (lab.metric("", "ap50_95"), lab.metric("--validation_batch_size 1", "ap50_95"));
        assert!((one - many).abs() <= 0.01, "{one} in batches of one, {many} in larger ones");
    }),
    ("grad_accumulation_step", |lab| {
        assert_eq!(lab.updates("--grad_accumulation_step 2"), lab.updates("").div_ceil(2));
    }),
    ("learning_rate", |lab| {
        assert!((lab.rates("--learning_rate 0.002")[0] / lab.rates("--learning_rate 0.001")[0] - 2.0).abs() < 1e-9);
        lab.other_weights("--learning_rate 0.002", "--learning_rate 0.001");
    }),
    ("lr_scheduler", |lab| {
        let (step, cosine) = (lab.rates(STEP), lab.rates("--number_of_epochs 3"));
        assert!(step[2] < step[0], "steps fall: {step:?}");
        assert!(cosine[0] < cosine[1], "a warm-up rises: {cosine:?}");
    }),
    ("step_lr_gamma", |lab| {
        let rates = lab.rates(&format!("{STEP} --step_lr_gamma 0.1"));
        assert!((rates[1] / rates[0] - 0.1).abs() < 1e-9, "{rates:?}");
        assert!((lab.rates(STEP)[1] / lab.rates(STEP)[0] - 0.5).abs() < 1e-9);
    }),
    ("step_lr_step_size", |lab| {
        let rates = lab.rates("--number_of_epochs 3 --lr_scheduler step --step_lr_step_size 2");
        assert!(rates[0] == rates[1] && rates[2] < rates[1], "{rates:?}");
    }),
    ("warmup_cosine_lr_cycles", |lab| {
        let last = |cycles: &str| lab.rates(&format!("--number_of_epochs 3 --warmup_cosine_lr_cycles {cycles}"))[2];
        assert!(last("0.5") < last("0.1"));
    }),
    ("warmup_cosine_lr_warmup_epochs", |lab| {
        let first =
            |epochs: &str| lab.rates(&format!("--number_of_epochs 3 --warmup_cosine_lr_warmup_epochs {epochs}"))[0];
        assert!(first("0") > first("1") && first("1") > first("3"));
    }),
    ("linear_lr_final", |lab| {
        let line = "--number_of_epochs 3 --lr_scheduler linear --warmup_cosine_lr_warmup_epochs 0 --linear_lr_final";
        assert!(lab.rates(&format!("{line} 0.01"))[2] < lab.rates(&format!("{line} 0.9"))[2]);
    }),
    ("warmup_bias_lr", |lab| lab.other_weights("--warmup_bias_lr 0.1", "")),
    ("warmup_momentum", |lab| lab.other_weights("--warmup_momentum 0.5", "")),
    ("nominal_batch_size", |lab| {
        let after =
            |more: &str| lab.updates(&format!("--number_of_epochs 3 --warmup_cosine_lr_warmup_epochs 0 {more}"));
        assert_eq!(after("--nominal_batch_size 16"), 3 * (after("") / 3).div_ceil(4));
    }),
    ("layer_lr_decay", |lab| {
        let (loaded, trained) = (lab.tensors("--learning_rate 0"), lab.tensors("--layer_lr_decay 1e-35"));
        let (first, neck) = ("model.0.conv.weight", "model.10.conv.weight");
        assert!(loaded[first] == trained[first] && loaded[neck] != trained[neck]);
    }),
    ("ema_updates", |lab| {
        let best = |more| lab.file(more, "checkpoints/best/model.safetensors");
        assert!(best("--ema_updates 1") != best(""), "an average over all that was");
    }),
    ("ema_decay", |lab| {
        let averages = |more| lab.tensors(more).keys().filter(|name| name.starts_with("fovea.average.")).count();
        assert!(averages("") > 0, "the default of yolov5 keeps an average");
        assert_eq!(averages("--ema_decay 0"), 0);
        let best = |more| lab.file(more, "checkpoints/best/model.safetensors");
        assert!(best("") != best("--ema_decay 0"), "what is kept is the average");
    }),
    ("amsgrad", |lab| {
        lab.other_weights("--optimizer adam --beta2 0.5 --amsgrad true", "--optimizer adam --beta2 0.5");
    }),
    ("grad_clip_type", |lab| {
        lab.other_weights(
            "--grad_clip_type norm --grad_clip_value 0.01",
            "--grad_clip_type value --grad_clip_value 0.01",
        );
        lab.other_weights("--grad_clip_type none", "--grad_clip_type value --grad_clip_value 0.01");
    }),
    ("grad_clip_value", |lab| {
        lab.other_weights(
            "--grad_clip_type norm --grad_clip_value 0.1",
            "--grad_clip_type norm --grad_clip_value 0.01",
        );
    }),
    ("early_stopping", |lab| {
        assert_eq!(lab.epochs(STUCK).len(), 2);
        assert_eq!(lab.epochs("--number_of_epochs 4 --validation_iou_threshold 1 --early_stopping false").len(), 4);
    }),
    ("early_stopping_patience", |lab| {
        assert_eq!(lab.epochs(&STUCK.replace("patience 1", "patience 2")).len(), 3);
    }),
    ("early_stopping_delay", |lab| assert_eq!(lab.epochs(&STUCK.replace("delay 1", "delay 2")).len(), 3)),
    ("evaluation_frequency", |lab| {
        let evaluated = lab.epochs("--number_of_epochs 4 --early_stopping false --evaluation_frequency 2");
        let evaluated: Vec<bool> = evaluated.iter().map(|epoch| !epoch.validation.is_empty()).collect();
        assert_eq!(evaluated, [true, false, true, true], "and the last one always");
    }),
    ("max_time", memory::time_is_limited),
    ("auto_find_batch_size", |_| {
        // The loop over parts is that of every task.
        memory::parts_that_do_not_fit_are_halved(&Lab::new("image-classification", "32", ""));
    }),
    ("split_ratio", |lab| {
        let rows = |part| lines(&lab.file("--validation_data - --split_ratio 0.5", part)).len();
        let (train, validation) = (rows("data/train.jsonl"), rows("data/validation.jsonl"));
        assert!(train.abs_diff(validation) <= 1, "{train} and {validation}");
    }),
    ("group_column", crate::classification::groups),
    ("checkpoint_frequency", |lab| {
        let kept = |more: &str| {
            let folder = lab.run(more).get().unwrap().folder.join("checkpoints");
            fs::read_dir(folder).unwrap().count()
        };
        let three = "--number_of_epochs 3 --early_stopping false";
        assert_eq!(kept(&format!("{three} --checkpoint_frequency 1")), kept(three) + 3);
    }),
    ("layers_to_freeze", |lab| {
        let (loaded, trained) = (lab.tensors("--learning_rate 0"), lab.tensors(""));
        let frozen = lab.tensors("--layers_to_freeze 2");
        for (key, stays) in
            [("model.0.conv.weight", true), ("model.1.conv.weight", true), ("model.2.cv1.conv.weight", false)]
        {
            assert_ne!(loaded[key], trained[key], "{key} is trained by default");
            assert_eq!(loaded[key] == frozen[key], stays, "{key}");
        }
    }),
    ("validation_metric_type", |lab| {
        let measured = |kind: &str| format!("--validation_iou_threshold 0.1 --validation_metric_type {kind}");
        for (kind, name) in
            [("voc", "mean_average_precision"), ("coco_voc", "mean_average_precision"), ("coco", "ap50")]
        {
            assert_eq!(lab.primary(&measured(kind)), [lab.metric(&measured(kind), name)], "{kind}");
        }
        assert_ne!(lab.primary(&measured("voc")), lab.primary(&measured("coco")));
        assert!(lab.primary(&measured("none")).is_empty());
    }),
    ("validation_iou_threshold", |lab| {
        let precision = |iou: &str| lab.metric(&format!("--validation_iou_threshold {iou}"), "mean_average_precision");
        assert!(precision("0.1") > precision("0.9"), "{} and {}", precision("0.1"), precision("0.9"));
    }),
    ("box_score_thresh", |lab| {
        assert!(lab.boxes(ALL) > 0);
        assert_eq!(lab.boxes("--box_score_thresh 1"), 0);
    }),
    ("fit_threshold", |_| {
        assert_eq!(threshold(""), 0.1);
        assert!(threshold("--fit_threshold true") < 0.1);
    }),
    ("wanted_precision", |_| assert!(threshold("--wanted_precision 0.001") < 0.1)),
    ("best_epoch_by", |lab| {
        let epochs = lab.epochs("--number_of_epochs 3 --validation_iou_threshold 1 --best_epoch_by last");
        assert!(epochs.iter().all(|epoch| epoch.is_best));
        assert!(lab.refusal("--best_epoch_by log_loss").contains("detectors have no log loss"));
    }),
    ("folds", crate::classification::folds),
    ("validation_fold", |lab| {
        let part = |fold: u32| {
            lab.file(&format!("--validation_data - --folds 2 --validation_fold {fold}"), "data/validation.jsonl")
        };
        assert_ne!(part(1), part(2));
    }),
    ("box_nms_thresh", |lab| {
        let left = |iou: &str| lab.boxes(&format!("{ALL} --box_nms_thresh {iou}"));
        assert!(left("0.1") < left("0.9"), "{} and {}", left("0.1"), left("0.9"));
    }),
    ("box_detections_per_img", |lab| assert_eq!(lab.boxes("--box_score_thresh 0 --box_detections_per_img 7"), 7)),
    ("img_size", |lab| {
        assert!(lab.meta("--img_size 96")["fovea"].contains("96"));
        assert_ne!(lab.losses("--img_size 96"), lab.losses(""));
    }),
    ("model_size", |lab| {
        let bytes = |more| lab.file(more, "checkpoints/best/model.safetensors").len();
        assert!(bytes("--model_size small") > 3 * bytes(""));
    }),
    ("multi_scale", |lab| assert_ne!(lab.losses("--multi_scale true"), lab.losses(""))),
    ("apply_mosaic_for_yolo", |lab| assert_ne!(lab.losses("--apply_mosaic_for_yolo false"), lab.losses(""))),
    ("close_mosaic", |lab| {
        let (open, closed) = (lab.losses("--number_of_epochs 3"), lab.losses("--number_of_epochs 3 --close_mosaic 1"));
        assert!(open[..2] == closed[..2] && open[2] != closed[2], "{open:?} and {closed:?}");
    }),
    ("augment_scale", |lab| assert_ne!(lab.losses("--augment_scale 0.1"), lab.losses(""))),
    ("augment_translate", |lab| assert_ne!(lab.losses("--augment_translate 0.2"), lab.losses(""))),
    ("augment_degrees", |lab| assert_ne!(lab.losses("--augment_degrees 45"), lab.losses(""))),
    ("augment_shear", |lab| assert_ne!(lab.losses("--augment_shear 20"), lab.losses(""))),
    ("augment_hsv", |lab| assert_ne!(lab.losses("--augment_hsv 1"), lab.losses(""))),
    ("autoanchor", |lab| {
        let slim = slim_objects(lab);
        let anchors = |more: &str| lab.tensors(&format!("--training_data {slim} {more}"))["model.24.anchors"].clone();
        assert_ne!(anchors("--autoanchor true"), anchors(""));
        assert_eq!(anchors(""), lab.tensors("")["model.24.anchors"]);
    }),
    ("tile_grid_size", |lab| assert!(lab.updates("--tile_grid_size 2x1") > lab.updates(""))),
    ("tile_overlap_ratio", |lab| {
        assert_ne!(lab.losses("--tile_grid_size 2x1 --tile_overlap_ratio 0.6"), lab.losses("--tile_grid_size 2x1"));
    }),
    ("tile_predictions_nms_thresh", |lab| {
        let left = |iou: &str| lab.boxes(&format!("{ALL} --tile_grid_size 2x1 --tile_predictions_nms_thresh {iou}"));
        assert!(left("0") < left("1"), "{} and {}", left("0"), left("1"));
    }),
    ("apply_automl_train_augmentations", |lab| {
        let change = |more: &str| {
            let losses = lab.losses(&format!("{STILL} {more}"));
            (losses[0] / losses[1] - 1.0).abs()
        };
        let (off, on) = (change("--apply_automl_train_augmentations false"), change(""));
        assert!(off < 1e-5 && on > 1e-4, "without {off}, with {on}");
    }),
    ("ignore_data_errors", |lab| {
        let broken = lab.data().join("broken.jsonl");
        let rows = fs::read_to_string(lab.data().join("train.jsonl")).unwrap();
        fs::write(&broken, format!("{rows}{{\"image_url\": \"no-such-picture.png\", \"label\": []}}\n")).unwrap();
        let more = format!("--training_data {}", broken.to_str().unwrap());
        assert_eq!(lines(&lab.file(&more, "data/rejected.jsonl")).len(), 1);
        assert!(lab.refusal(&format!("{more} --ignore_data_errors false")).contains("no-such-picture.png"));
    }),
    ("number_of_workers", |lab| {
        assert!(starts_loaders(0) && starts_loaders(1));
        assert_eq!(lab.tensors("--number_of_workers 2"), lab.tensors(""), "results do not depend on it");
    }),
    ("log_validation_loss", |lab| validation_loss(lab, &["loss_box", "loss_objectness", "loss_class"], 4.0)),
    ("log_training_metrics", |lab| {
        let logged = |more| lab.epochs(more)[0].train.metrics.contains_key("ap50");
        assert!(logged("--log_training_metrics true") && !logged(""));
    }),
];

static ON_FASTER_RCNN: &[Effect] = &[
    ("log_validation_loss", |lab| {
        validation_loss(lab, &["loss_rpn_objectness", "loss_rpn_box", "loss_roi_class", "loss_roi_box"], 1.0);
    }),
    ("min_size", |lab| assert_ne!(lab.losses("--min_size 48"), lab.losses(""))),
    ("max_size", |lab| assert_ne!(lab.losses("--max_size 64"), lab.losses(""))),
    ("layers_to_freeze", |lab| {
        let (loaded, frozen) = (lab.tensors("--learning_rate 0"), lab.tensors("--layers_to_freeze 1"));
        let (stem, above) = ("backbone.body.conv1.weight", "backbone.body.layer1.0.conv1.weight");
        assert!(loaded[stem] == frozen[stem] && loaded[above] != frozen[above]);
        assert_ne!(lab.tensors("")[stem], loaded[stem]);
    }),
    ("box_score_thresh", |lab| assert_eq!(lab.boxes("--box_score_thresh 1"), 0)),
    ("box_nms_thresh", |lab| {
        let left = |iou: &str| lab.boxes(&format!("{ALL} --box_nms_thresh {iou}"));
        assert!(left("0.1") < left("0.9"), "{} and {}", left("0.1"), left("0.9"));
    }),
    ("box_detections_per_img", |lab| assert_eq!(lab.boxes("--box_score_thresh 0 --box_detections_per_img 7"), 7)),
    ("tile_grid_size", |lab| assert!(lab.updates("--tile_grid_size 2x1") > lab.updates(""))),
    ("apply_automl_train_augmentations", |lab| {
        assert_ne!(lab.losses("--apply_automl_train_augmentations false"), lab.losses(""));
    }),
];

/// The loss on the validation data and its parts are recorded unless that is switched off; the loss is their sum times `images`.
fn validation_loss(lab: &Lab, parts: &[&str], images: f64) {
    let on = lab.epochs("--validation_batch_size 2").remove(0).validation;
    let sum: f64 = parts.iter().map(|part| on[*part]).sum();
    assert!(sum > 0.0 && (on["loss"] / (images * sum) - 1.0).abs() < 1e-5, "{on:?}");
    // Samples are drawn for each image, wherever it lies.
    assert_eq!(on, lab.epochs("--validation_batch_size 2 --number_of_workers 2").remove(0).validation);
    let off = lab.epochs("--validation_batch_size 2 --log_validation_loss false").remove(0).validation;
    assert!(off.keys().all(|name| !name.contains("loss")) && off["ap50_95"] == on["ap50_95"], "{off:?}");
}

/// What the settings of tasks other than detection, and those of the other family, are given to be refused.
const SOME_VALUE: &[(&str, &str)] = &[
    ("apply_mosaic_for_yolo", "true"),
    ("autoanchor", "true"),
    ("augment_degrees", "10"),
    ("augment_hsv", "0.5"),
    ("augment_scale", "0.5"),
    ("augment_shear", "5"),
    ("augment_translate", "0.5"),
    ("close_mosaic", "1"),
    ("img_size", "64"),
    ("max_size", "100"),
    ("min_size", "100"),
    ("model_size", "small"),
    ("multi_scale", "true"),
];

/// Images of one colour.
struct Grey(usize);

impl Images for Grey {
    fn len(&self) -> usize {
        self.0
    }

    fn objects(&self, _: usize) -> &[Object] {
        &[]
    }

    fn image(&self, _: usize) -> Result<Arc<Rgb>, SampleError> {
        Ok(Arc::new(Rgb::filled(64, 64, [114; 3])))
    }

    fn rejection(&self, index: usize, kind: RejectKind, reason: String) -> Rejection {
        Rejection { source: String::new(), line: index as u64, image_url: None, kind, reason }
    }
}

fn settings() -> Settings {
    models::registry::settings(Task::ImageObjectDetection, "yolov5").defaults
}

fn letterbox() -> Preprocessing {
    let fit = Fit::Letterbox { side: 64 };
    Preprocessing { fit, interpolation: Interpolation::Bilinear, mean: [0.0; 3], std: [255.0; 3] }
}

/// The training rows with objects that no usual anchor is near to: 3 % of the width, at most nine tenths of the
/// height.
fn slim_objects(lab: &Lab) -> String {
    let mut rows = lines(&fs::read(lab.data().join("train.jsonl")).unwrap());
    for (number, row) in (0..).zip(&mut rows) {
        let bottom = 0.95 - 0.01 * f64::from(number);
        let object = |left: f64| json!({"label": "circle", "topX": left, "topY": 0.05, "bottomX": left + 0.03, "bottomY": bottom});
        row["label"] = (1..=5).map(|i| object(0.15 * f64::from(i))).collect();
    }
    let path = lab.data().join("slim.jsonl");
    fs::write(&path, rows.iter().map(|row| format!("{row}\n")).collect::<String>()).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Whether a loader with this setting has as many threads. A thread takes its name only once it runs.
fn starts_loaders(workers: u32) -> bool {
    let options =
        loading::training(&Settings { number_of_workers: workers, ..settings() }, &letterbox(), Augmentation::Mosaic);
    let _loader = Loader::new(Arc::new(Grey(4)), options).unwrap();
    let count = || {
        let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
        let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
        names.filter(|name| name.starts_with("loader")).count()
    };
    (0..500).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        count() == workers as usize
    })
}

fn names(effects: &[Effect]) -> BTreeSet<&'static str> {
    effects.iter().map(|(name, _)| *name).collect()
}

/// The score from which on boxes are answered, where a network that knows little validates on its training images: there are enough of
/// them to fit a threshold to, and a box that touches an object counts.
fn threshold(more: &str) -> f64 {
    let lab = Lab::new(TASK, "40", YOLO);
    let data = lab.data().join("train.jsonl");
    let line = format!("--validation_data {} --validation_iou_threshold 0.1 {more}", data.to_str().unwrap());
    let meta: serde_json::Value = serde_json::from_str(&lab.meta(line.trim())["fovea"]).unwrap();
    meta["settings"]["box_score_thresh"].as_f64().unwrap()
}

#[test]
fn every_detection_setting_has_an_effect_to_show() {
    let all: BTreeSet<&str> =
        SETTINGS.iter().filter(|s| s.tasks.contains(&Task::ImageObjectDetection)).map(|s| s.name).collect();
    let shown: BTreeSet<&str> = names(&[ON_YOLOV5, ON_FASTER_RCNN, optimizer::EFFECTS].concat());
    assert_eq!(all, shown);
}

#[test]
fn settings_act_on_yolov5() {
    show_all(&Lab::new(TASK, "24", YOLO), &[ON_YOLOV5, optimizer::EFFECTS].concat());
}

#[test]
fn settings_act_on_faster_rcnn() {
    show_all(&Lab::new(TASK, "24", RCNN), ON_FASTER_RCNN);
}

#[test]
fn what_a_family_or_the_task_does_not_have_is_refused_by_name() {
    let lab = Lab::new(TASK, "12", "--number_of_epochs 1 --pretrained none --threads 1");
    for (name, value) in SOME_VALUE {
        let (models, whose) = match *name {
            "min_size" | "max_size" => (&["yolov5"][..], "only R-CNN and RetinaNet have"),
            _ => (&["fasterrcnn_resnet50_fpn", "retinanet_resnet50_fpn"][..], "only yolov5 has"),
        };
        for model in models {
            let error = lab.refusal(&format!("--model_name {model} --{name} {value}"));
            assert!(error.contains(&format!("{name} {value}")) && error.contains(whose), "{model}: {error}");
        }
    }
    for setting in SETTINGS.iter().filter(|s| !s.tasks.contains(&Task::ImageObjectDetection)) {
        let value = Settings::default().get(setting.name).unwrap();
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let error = lab.refusal(&format!("--model_name yolov5 --{} {value}", setting.name));
        let owner = match setting.tasks {
            [Task::ImageInstanceSegmentation] => "an instance segmentation setting",
            [Task::ImageClassificationMultilabel] => "a setting of label sets",
            _ => "a classification setting",
        };
        assert!(error.contains(setting.name) && error.contains(owner), "{error}");
    }
}
