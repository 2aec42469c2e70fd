//! Settings of classification, shown on MobileNetV2 with images of 32 pixels: one epoch of three batches.

use std::collections::BTreeSet;
use std::fs;

use dataset::loading;
use models::registry::Augmentation;
use schemas::setting::SETTINGS;
use schemas::{Preprocessing, Settings, Task};

use crate::lab::{Effect, Lab, lines, show_all};
use crate::{memory, optimizer};

const TASK: &str = "image-classification";
const BASE: &str = "--model_name mobilenetv2 --train_crop_size 32 --valid_resize_size 36 --valid_crop_size 32
    --number_of_epochs 1 --training_batch_size 8 --pretrained none --export none --precision fp32 --number_of_workers 0
    --threads 1";
/// Nothing learns and no statistic moves, so no evaluation is better than the first.
const STUCK: &str = "--number_of_epochs 4 --learning_rate 0 --layers_to_freeze 19 --early_stopping_patience 1
    --early_stopping_delay 1";
const STEP: &str = "--number_of_epochs 2 --lr_scheduler step --step_lr_step_size";
/// Running statistics come near those of the data, so that validation tells images apart.
const SEEING: &str = "--number_of_epochs 4 --warmup_cosine_lr_warmup_epochs 0";
/// One batch an epoch, and a network that stays as it is: only the images can change the loss.
const STILL: &str = "--number_of_epochs 2 --training_batch_size 64 --learning_rate 0";

static EFFECTS: &[Effect] = &[
    ("number_of_epochs", |lab| assert_eq!((lab.epochs("").len(), lab.epochs("--number_of_epochs 2").len()), (1, 2))),
    ("training_batch_size", |lab| {
        assert_eq!((lab.updates(""), lab.updates("--training_batch_size 12")), (3, 2));
    }),
    ("auto_find_batch_size", |lab| {
        memory::parts_that_do_not_fit_are_halved(lab);
    }),
    ("validation_batch_size", |lab| {
        let size = |size| {
            let settings = Settings { validation_batch_size: size, ..Settings::default() };
            loading::validation(&settings, &preprocessing(), Augmentation::Crop, 0).batch_size
        };
        assert_eq!((size(3), size(5)), (3, 5));
        // Kernels may sum in another order for another size of batch; which do depends on the processor.
        let (one, many) = (validation(lab, "--validation_batch_size 1"), validation(lab, ""));
        assert!((one - many).abs() <= 1e-5 * many, "{one} in batches of one, {many} in larger ones");
    }),
    ("grad_accumulation_step", |lab| assert_eq!(lab.updates("--grad_accumulation_step 3"), 1)),
    ("learning_rate", |lab| lab.other_weights("--learning_rate 0.002", "--learning_rate 0.001")),
    ("lr_scheduler", |lab| {
        assert_eq!(lab.rates("--lr_scheduler step"), [0.01]);
        assert!(lab.rates("")[0] < 0.01, "in the warm-up");
    }),
    ("step_lr_gamma", |lab| {
        assert_eq!(lab.rates(&format!("{STEP} 1 --step_lr_gamma 0.25")), [0.01, 0.0025]);
        assert_eq!(lab.rates(&format!("{STEP} 1")), [0.01, 0.005]);
    }),
    ("step_lr_step_size", |lab| assert_eq!(lab.rates(&format!("{STEP} 2")), [0.01, 0.01])),
    ("warmup_cosine_lr_cycles", |lab| {
        let rate = |more: &str| lab.rates(&format!("--warmup_cosine_lr_warmup_epochs 0 {more}"))[0];
        assert_eq!(rate("--warmup_cosine_lr_cycles 0"), 0.01);
        assert!(rate("") < 0.01);
    }),
    ("warmup_cosine_lr_warmup_epochs", |lab| lab.other_weights("--warmup_cosine_lr_warmup_epochs 0", "")),
    ("linear_lr_final", |lab| {
        let line = "--number_of_epochs 2 --lr_scheduler linear --warmup_cosine_lr_warmup_epochs 0 --linear_lr_final";
        assert_eq!(lab.rates(&format!("{line} 0.5")), [0.01, 0.0075]);
        assert_eq!(lab.rates(&format!("{line} 1")), [0.01, 0.01]);
    }),
    ("warmup_bias_lr", |lab| lab.other_weights("--warmup_bias_lr 0.1", "")),
    ("warmup_momentum", |lab| lab.other_weights("--warmup_momentum 0.5", "--warmup_momentum 0.1")),
    ("nominal_batch_size", |lab| {
        assert_eq!(lab.updates("--warmup_cosine_lr_warmup_epochs 0 --nominal_batch_size 24"), 1);
    }),
    ("calibrate", |lab| {
        // The validation part is too small to fit anything to.
        let rows = lab.data().join("train.jsonl");
        let data = format!("--validation_data {}", rows.to_str().unwrap());
        let meta = |more: &str| lab.meta(&format!("{SEEING} {data} {more}"))["fovea"].clone();
        let temperature =
            |more: &str| serde_json::from_str::<serde_json::Value>(&meta(more)).unwrap()["temperature"].as_f64();
        assert_eq!(temperature(""), None);
        assert!(temperature("--calibrate true").is_some_and(|t| t > 0.05 && t < 20.0 && t != 1.0));
    }),
    ("temperature", |lab| assert!(lab.meta("--temperature 3")["fovea"].contains("\"temperature\":3"))),
    ("folds", folds),
    ("validation_fold", |lab| {
        let line = "--validation_data - --folds 2";
        let part = |fold: u32| lab.file(&format!("{line} --validation_fold {fold}"), "data/validation.jsonl");
        assert_eq!(part(2), lab.file(line, "fold-2/data/validation.jsonl"));
        assert_ne!(part(1), part(2));
    }),
    ("best_epoch_by", |lab| {
        let more = "--number_of_epochs 4 --warmup_cosine_lr_warmup_epochs 0 --best_epoch_by";
        let epochs = lab.epochs(&format!("{more} log_loss"));
        let least = epochs.iter().map(|epoch| epoch.validation["log_loss"]).fold(f64::INFINITY, f64::min);
        let kept = epochs.iter().rfind(|epoch| epoch.is_best).unwrap();
        assert_eq!(kept.validation["log_loss"], least);
        let most = lab.epochs(&format!("{more} primary"));
        let best = most.iter().map(|epoch| epoch.validation["accuracy"]).fold(0.0, f64::max);
        assert_eq!(most.iter().rfind(|epoch| epoch.is_best).unwrap().validation["accuracy"], best);
    }),
    ("layer_lr_decay", |lab| {
        let moved = |more: &str| {
            let (start, end) = (lab.tensors("--learning_rate 0"), lab.tensors(more));
            move |key: &str| start[key] != end[key]
        };
        let slow = "--layer_lr_decay 1e-30";
        assert!(moved("")("features.0.0.weight") && moved(slow)("classifier.1.weight"));
        assert!(!moved(slow)("features.0.0.weight"), "nineteen groups from the head nothing is left of the rate");
    }),
    ("fit_head", |lab| {
        let first = lab.run("").get().unwrap().folder.to_str().unwrap().to_owned();
        let from = |more: &str| {
            lab.tensors(&format!(
                "--pretrained - --checkpoint_run {first} --learning_rate 0 --number_of_epochs 1 {more}"
            ))
        };
        let (plain, fitted) = (from(""), from("--fit_head true"));
        let (body, head) = ("features.0.0.weight", "classifier.1.weight");
        assert!(plain[body] == fitted[body] && plain[head] != fitted[head]);
        assert!(lab.tensors("--fit_head true") == lab.tensors(""), "random features are fitted to nothing");
    }),
    ("head_epochs", |lab| {
        let tensors =
            |more: &str| lab.tensors(&format!("--number_of_epochs 2 --warmup_cosine_lr_warmup_epochs 0 {more}"));
        let (start, alone) = (tensors("--learning_rate 0"), tensors("--head_epochs 2"));
        let (both, all) = (tensors("--head_epochs 1"), tensors(""));
        let (first, statistic, head) = ("features.0.0.weight", "features.0.1.running_mean", "classifier.1.weight");
        assert!(alone[first] == start[first] && alone[head] != start[head]);
        assert!(alone[statistic].iter().all(|&byte| byte == 0), "statistics of a body that waits stay, too");
        assert!(both[first] != start[first] && both[first] != all[first]);
        assert!(lab.refusal("--head_epochs 2").contains("the run would end"));
    }),
    ("ema_updates", |lab| {
        let average = |more: &str| validation(lab, &format!("--ema_decay 0.9 {more}"));
        assert_ne!(average("--ema_updates 1"), average(""));
        assert!(lab.refusal("--ema_updates 5").contains("no average"));
    }),
    ("ema_decay", |lab| {
        assert_eq!(lab.losses("--ema_decay 0.999"), lab.losses(""), "training itself is the same");
        assert_ne!(validation(lab, "--ema_decay 0.999"), validation(lab, ""), "what is validated is the average");
    }),
    ("amsgrad", |lab| {
        lab.other_weights("--optimizer adam --beta2 0.1 --amsgrad true", "--optimizer adam --beta2 0.1");
    }),
    ("grad_clip_type", |lab| {
        lab.other_weights("--grad_clip_type norm --grad_clip_value 0.01", "--grad_clip_value 0.01");
        lab.other_weights("--grad_clip_type none", "--grad_clip_value 0.01");
        assert!(lab.refusal("--grad_clip_type none --grad_clip_value 1").contains("nothing is limited"));
    }),
    ("grad_clip_value", |lab| lab.other_weights("--grad_clip_value 0.001", "--grad_clip_value 0.01")),
    ("early_stopping", |lab| {
        assert_eq!(lab.epochs(STUCK).len(), 2);
        let free = STUCK.replace("--early_stopping_patience 1", "").replace("--early_stopping_delay 1", "");
        assert_eq!(lab.epochs(&format!("{free} --early_stopping false")).len(), 4);
    }),
    ("early_stopping_patience", |lab| {
        assert_eq!(lab.epochs(&STUCK.replace("patience 1", "patience 2")).len(), 3);
    }),
    ("early_stopping_delay", |lab| assert_eq!(lab.epochs(&STUCK.replace("delay 1", "delay 2")).len(), 3)),
    ("evaluation_frequency", |lab| {
        let epochs = lab.epochs("--number_of_epochs 4 --early_stopping false --evaluation_frequency 2");
        let evaluated: Vec<bool> = epochs.iter().map(|epoch| !epoch.validation.is_empty()).collect();
        assert_eq!(evaluated, [true, false, true, true], "and the last one always");
    }),
    ("max_time", |lab| memory::time_is_limited(lab)),
    ("split_ratio", |lab| {
        let rows =
            |share| lines(&lab.file(&format!("--validation_data - --split_ratio {share}"), "data/validation.jsonl"));
        assert_eq!((rows("0.5").len(), rows("0.17").len()), (12, 4));
    }),
    ("group_column", |lab| groups(lab)),
    ("checkpoint_frequency", |lab| {
        let folder = lab.run("--number_of_epochs 2 --checkpoint_frequency 2").get().unwrap().folder.join("checkpoints");
        let kept = |name: &str| folder.join(name).join("model.safetensors").exists();
        assert_eq!((kept("epoch-0001"), kept("epoch-0002")), (false, true));
    }),
    ("layers_to_freeze", |lab| {
        let (loaded, frozen) = (lab.tensors("--learning_rate 0"), lab.tensors("--layers_to_freeze 1"));
        let (first, second) = ("features.0.0.weight", "features.1.conv.0.0.weight");
        assert!(loaded[first] == frozen[first] && loaded[second] != frozen[second]);
        assert_ne!(lab.tensors("")[first], loaded[first]);
        assert!(lab.refusal("--layers_to_freeze 20").contains("19 groups"));
    }),
    ("keep_frozen_statistics", |lab| {
        let moved = |more| lab.tensors(more)["features.0.1.running_mean"].iter().any(|&byte| byte != 0);
        assert!(!moved("--layers_to_freeze 1"));
        assert!(moved("--layers_to_freeze 1 --keep_frozen_statistics false"));
        assert!(lab.refusal("--keep_frozen_statistics false").contains("nothing is frozen"));
    }),
    ("weighted_loss", |lab| {
        let uneven = uneven(lab);
        let loss = |more: &str| lab.losses(&format!("{uneven} {more}"));
        assert_ne!(loss("--weighted_loss 1"), loss(""));
        assert_ne!(loss("--weighted_loss 1"), loss("--weighted_loss 2"));
    }),
    ("imbalance_rate_threshold", |lab| {
        let uneven = uneven(lab);
        let patient = format!("{uneven} --weighted_loss 1 --imbalance_rate_threshold 6");
        assert_eq!(lab.losses(&patient), lab.losses(&format!("{uneven} ")), "six to one is not beyond six");
    }),
    ("label_smoothing", |lab| {
        lab.other_weights("--label_smoothing 0.1", "");
        // The same first step from the same weights, but with a part of each target on the other classes.
        assert_ne!(lab.losses(&format!("{STILL} --label_smoothing 0.5")), lab.losses(STILL));
    }),
    ("mixup", |lab| lab.other_weights("--mixup 0.8", "")),
    ("cutmix", |lab| {
        lab.other_weights("--cutmix 1", "");
        lab.other_weights("--cutmix 0.8", "--mixup 0.8");
    }),
    ("random_erasing", |lab| {
        assert_ne!(lab.losses(&format!("{STILL} --random_erasing 1")), lab.losses(STILL));
        let off = "--apply_automl_train_augmentations false --random_erasing 1";
        assert!(lab.refusal(off).contains("no random views"));
    }),
    ("trivial_augment", |lab| {
        assert_ne!(lab.losses(&format!("{STILL} --trivial_augment true")), lab.losses(STILL));
        let off = "--apply_automl_train_augmentations false --trivial_augment true";
        assert!(lab.refusal(off).contains("no random views"));
    }),
    ("valid_resize_size", |lab| {
        let larger = format!("{SEEING} --valid_resize_size 48");
        assert_eq!(lab.losses(&larger), lab.losses(SEEING));
        assert_ne!(validation(lab, &larger), validation(lab, SEEING));
    }),
    ("valid_crop_size", |lab| {
        let smaller = format!("{SEEING} --valid_crop_size 24");
        assert_eq!(lab.losses(&smaller), lab.losses(SEEING));
        assert_ne!(validation(lab, &smaller), validation(lab, SEEING));
        assert!(lab.refusal("--valid_crop_size 40").contains("valid_resize_size"));
    }),
    ("train_crop_size", |lab| assert_ne!(lab.losses("--train_crop_size 48"), lab.losses(""))),
    ("apply_automl_train_augmentations", |lab| {
        let change = |more: &str| {
            // A step of no length still moves running statistics, which training does not look at.
            let losses = lab.losses(&format!("{STILL} {more}"));
            (losses[0] / losses[1] - 1.0).abs()
        };
        let (off, on) = (change("--apply_automl_train_augmentations false"), change(""));
        assert!(off < on / 2.0 && on > 1e-4, "without {off}, with {on}");
    }),
    ("ignore_data_errors", |lab| {
        let broken = lab.data().join("broken.jsonl");
        let rows = fs::read_to_string(lab.data().join("train.jsonl")).unwrap();
        fs::write(&broken, format!("{rows}not a row\n")).unwrap();
        let more = format!("--training_data {}", broken.to_str().unwrap());
        assert_eq!(lines(&lab.file(&more, "data/rejected.jsonl")).len(), 1);
        assert!(lab.refusal(&format!("{more} --ignore_data_errors false")).contains("broken.jsonl:25"));
    }),
    ("number_of_workers", |lab| {
        let workers = |number| {
            let settings = Settings { number_of_workers: number, ..Settings::default() };
            loading::training(&settings, &preprocessing(), Augmentation::Crop).workers
        };
        assert_eq!((workers(0), workers(1)), (0, 1));
        assert_eq!(lab.tensors("--number_of_workers 1"), lab.tensors(""), "results do not depend on it");
    }),
    ("log_validation_loss", |lab| {
        let logged = |more| lab.epochs(more)[0].validation.contains_key("log_loss");
        assert!(logged("") && !logged("--log_validation_loss false"));
    }),
    ("log_training_metrics", |lab| {
        let logged = |more| lab.epochs(more)[0].train.metrics.contains_key("accuracy");
        assert!(logged("--log_training_metrics true") && !logged(""));
    }),
];

fn preprocessing() -> Preprocessing {
    models::registry::find("mobilenetv2").unwrap().preprocessing()
}

/// Validation loss of the last epoch.
fn validation(lab: &Lab, more: &str) -> f64 {
    lab.metric(more, "log_loss")
}

/// The option that names training rows of which six are circles and one of each other shape.
fn uneven(lab: &Lab) -> String {
    let rows = lines(&fs::read(lab.data().join("train.jsonl")).unwrap());
    let mut seen = BTreeSet::new();
    let kept = rows.iter().filter(|row| row["label"] == "circle" || seen.insert(row["label"].to_string()));
    let path = lab.data().join("uneven.jsonl");
    fs::write(&path, kept.map(|row| format!("{row}\n")).collect::<String>()).unwrap();
    format!("--training_data {}", path.to_str().unwrap())
}

/// No value of the group is on both sides of the split.
pub fn groups(lab: &Lab) {
    let mut rows = lines(&fs::read(lab.data().join("train.jsonl")).unwrap());
    rows.iter_mut().enumerate().for_each(|(number, row)| row["scene"] = (number / 2).into());
    let path = lab.data().join("grouped.jsonl");
    fs::write(&path, rows.iter().map(|row| format!("{row}\n")).collect::<String>()).unwrap();
    let options = format!("--training_data {} --validation_data - --group_column scene", path.to_str().unwrap());
    let scenes = |part| -> BTreeSet<String> {
        lines(&lab.file(&options, part)).iter().map(|row| row["scene"].to_string()).collect()
    };
    let (train, validation) = (scenes("data/train.jsonl"), scenes("data/validation.jsonl"));
    assert!(train.is_disjoint(&validation) && !validation.is_empty(), "{train:?} and {validation:?}");
    assert!(lab.refusal("--validation_data - --group_column scene").contains("has no \"scene\""));
}

/// Two parts, each of which validates once, and all of the data.
pub(crate) fn folds(lab: &Lab) {
    let file = |name: &str| lines(&lab.file("--validation_data - --folds 2", name)).len();
    let (train, validation) = (file("fold-1/data/train.jsonl"), file("fold-1/data/validation.jsonl"));
    assert_eq!(train, file("fold-2/data/validation.jsonl"));
    assert_eq!(train + validation, file("final/data/train.jsonl"));
}

#[test]
fn every_classification_setting_has_an_effect_to_show() {
    let all: BTreeSet<&str> =
        SETTINGS.iter().filter(|s| s.tasks.contains(&Task::ImageClassification)).map(|s| s.name).collect();
    assert_eq!(all, EFFECTS.iter().chain(optimizer::EFFECTS).map(|(name, _)| *name).collect());
}

#[test]
fn settings_act_on_mobilenet() {
    show_all(&Lab::new(TASK, "32", BASE), &[EFFECTS, optimizer::EFFECTS].concat());
}

/// What has a formula of its own where images have any number of labels.
static ON_LABEL_SETS: &[Effect] = &[
    ("label_threshold", |lab| {
        let found = |threshold: &str| lab.metric(&format!("--label_threshold {threshold}"), "recall_score_micro");
        // Every probability is between them.
        assert_eq!((found("0.001"), found("0.999")), (1.0, 0.0));
    }),
    ("fit_threshold", |lab| {
        // The validation part is too small to fit anything to.
        let data = format!("--validation_data {}", lab.data().join("train.jsonl").to_str().unwrap());
        let kept = |more: &str| {
            let meta: serde_json::Value = serde_json::from_str(&lab.meta(&format!("{data} {more}"))["fovea"]).unwrap();
            meta["settings"]["label_threshold"].as_f64().unwrap()
        };
        assert_eq!(kept(""), 0.5);
        assert_ne!(kept("--wanted_precision 0.1"), 0.5);
    }),
    ("label_smoothing", |lab| lab.other_weights("--label_smoothing 0.1", "")),
    ("mixup", |lab| lab.other_weights("--mixup 0.8", "")),
    ("cutmix", |lab| lab.other_weights("--cutmix 1", "")),
    ("weighted_loss", |lab| {
        let uneven = "--imbalance_rate_threshold 0 --weighted_loss";
        assert_ne!(lab.losses(&format!("{uneven} 1")), lab.losses(&format!("{uneven} 2")));
    }),
];

#[test]
fn settings_act_on_label_sets() {
    show_all(&Lab::new("image-classification-multilabel", "32", BASE), ON_LABEL_SETS);
}

#[test]
fn settings_of_detection_are_refused_by_name() {
    let lab = Lab::new(TASK, "12", BASE);
    for setting in SETTINGS.iter().filter(|s| !s.tasks.contains(&Task::ImageClassification)) {
        let value = Settings::default().get(setting.name).unwrap();
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let error = lab.refusal(&format!("--{} {value}", setting.name));
        let owner = match setting.tasks {
            [Task::ImageInstanceSegmentation] => "an instance segmentation setting",
            [Task::ImageClassificationMultilabel, ..] => "a setting of label sets",
            _ => "a detection setting",
        };
        assert!(error.contains(setting.name) && error.contains(owner), "{error}");
    }
}
