//! Flat files of settings, for `trainer train --config`: names and values, in YAML or TOML.

use std::path::Path;

use schemas::setting::{FIELDS, nearest};
use schemas::{Settings, Task};
use serde_json::Value;

use super::error::Problem;
use super::fields::{Fields, Item, Log};
use super::settings::{self, Meaning};
use super::tree::Node;
use super::{JobErrors, ReadOptions};

/// Fields of a plan whose values are paths. Those of a file are relative to it.
const PATHS: [&str; 3] = ["training_data", "validation_data", "data_root"];

/// Settings and fields of a plan, by their own names, in the order of the file. (TOML where its name ends so, else YAML.)
///
/// # Errors
/// The file cannot be read; everything that is wrong with it: unknown names, values that no training takes, names that stand twice.
pub fn read(path: &Path) -> Result<Vec<(String, Value)>, JobErrors> {
    let options = ReadOptions::of(path);
    let text = options.text()?;
    let mut log = Log::default();
    let tree = options.tree(&text, &mut log)?;
    let mut all: Vec<(String, Value)> = Vec::new();
    let items = Fields::of(tree, &mut log).map(|mut fields| fields.rest()).unwrap_or_default();
    for item in items {
        for part in settings::parts(item, &mut log) {
            let Some((name, value)) = value(&part, &options, &mut log) else { continue };
            if all.iter().any(|(known, _)| *known == name) {
                log.error(&part, Problem::Twice { other: format!("as {name} or another name of it") });
            }
            all.push((name, value));
        }
    }
    if log.errors.is_empty() { Ok(all) } else { Err(JobErrors { file: options.file, errors: log.errors }) }
}

fn value(item: &Item, options: &ReadOptions, log: &mut Log) -> Option<(String, Value)> {
    let data = options.data();
    let name = item.name.trim().to_ascii_lowercase().replace('-', "_");
    if item.tree.node == Node::Null && (name == "task" || PATHS.contains(&name.as_str())) {
        return None;
    }
    if PATHS.contains(&name.as_str()) {
        return Some((name, data.file(&item.text(log)?).into()));
    }
    if name == "task" {
        let task: Result<Task, _> = item.text(log)?.parse();
        let task = task.map_err(|error| log.error(item, Problem::refused(error.to_string()))).ok()?;
        return Some((name, task.as_str().into()));
    }
    match settings::meaning(&item.name) {
        Ok(Meaning::Setting(_) | Meaning::Option(_)) => {
            settings::fixed(item, &data, log).map(|(name, value)| (name.to_owned(), value))
        }
        // What is always so may be asked for, and nothing else may.
        Ok(Meaning::Instead(_)) => {
            if let Err(error) = Settings::default().set(&item.name, &item.tree.json()) {
                log.error(item, error);
            }
            None
        }
        Err(_) => {
            let nearest = nearest(&name, settings::names().chain(FIELDS.iter().copied())).map(str::to_owned);
            log.error(item, Problem::Unknown { nearest });
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(name: &str, text: &str) -> Result<Vec<(String, Value)>, JobErrors> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        let strip = |value: Value| match value.as_str().and_then(|text| text.strip_prefix(dir.path().to_str().unwrap()))
        {
            Some(rest) => Value::from(format!("DIR{rest}")),
            None => value,
        };
        super::read(&path).map(|all| all.into_iter().map(|(name, value)| (name, strip(value))).collect())
    }

    #[test]
    fn yaml_and_toml_say_the_same() {
        let yaml = "task: image_object_detection\ntraining_data: ./train.jsonl\n\
            model-name: YOLOv5\nrandom_seed: 7\nnms_iou_threshold: '0.4'\n\
            advanced_settings: '{\"apply_mosaic_for_yolo\": false}'\n\
            deterministic: true\npretrained: none\n";
        let toml = "task = 'image-object-detection'\ntraining_data = 'train.jsonl'\n\
            model_name = 'yolov5'\nseed = 7\nbox_nms_thresh = 0.4\napply_mosaic_for_yolo = 0\npretrained = 'none'\n";
        let expected = [
            ("task", json!("image-object-detection")),
            ("training_data", json!("DIR/train.jsonl")),
            ("model_name", json!("yolov5")),
            ("seed", json!(7)),
            ("box_nms_thresh", json!(0.4)),
            ("apply_mosaic_for_yolo", json!(false)),
            ("pretrained", json!("none")),
        ]
        .map(|(name, value)| (name.to_owned(), value));
        assert_eq!(read("a.yml", yaml).unwrap(), expected);
        assert_eq!(read("a.toml", toml).unwrap(), expected);
    }

    #[test]
    fn everything_wrong_is_told_with_its_line() {
        let errors = read(
            "a.yaml",
            "learning_rat: 1\nlearning_rate: 2\nmomentum: 0.9\ntask: cats\n\
            deterministic: false\nmomentum_: 1\nlr_scheduler: step\nlearning_rate_scheduler: step\n",
        )
        .unwrap_err();
        let lines: Vec<String> =
            errors.lines().iter().map(|line| line.split_once("a.yaml:").unwrap().1.to_owned()).collect();
        for (line, part) in lines.iter().zip([
            "1: learning_rat: unknown field; did you mean `learning_rate`?",
            "2: learning_rate: `learning_rate` is 2, outside its range [0, 1]",
            "4: task: `cats` is not a task",
            "5: deterministic: `deterministic` cannot be false",
            "6: momentum_: unknown field; did you mean `momentum`?",
            "8: learning_rate_scheduler: is given twice",
        ]) {
            assert!(line.starts_with(part), "{line}");
        }
        assert_eq!(lines.len(), 6);
        let missing = super::read(Path::new("/nowhere/x.toml")).unwrap_err();
        assert_eq!(schemas::Coded::code(&missing), schemas::ErrorCode::FileNotFound);
    }
}
