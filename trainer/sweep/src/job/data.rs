//! Where the data of a job is.

use std::path::{Path, PathBuf};

use schemas::Coded;

use super::error::{JobError, JobErrors, Place, Problem};
use crate::plan::StudyPlan;

/// What leads from the paths of a job to those of this machine.
#[derive(Clone, Debug, Default)]
pub(super) struct Data {
    /// Folder of the job file, which its paths are relative to.
    pub folder: PathBuf,
    /// Folder that stands for the cloud's stores.
    pub root: Option<PathBuf>,
}

impl Data {
    /// The same, for what is written at a place: paths of options are relative to the working directory.
    pub fn at(&self, place: &Place) -> Self {
        match place {
            Place::Option(_) => Self { folder: PathBuf::new(), root: self.root.clone() },
            Place::Line(_) | Place::Nowhere => self.clone(),
        }
    }

    /// A path of the job, as this machine has it: relative to its file.
    pub fn file(&self, path: &str) -> String {
        let path = path.strip_prefix("file://").unwrap_or(path);
        // Without the dots of `./train`, which every message would have in its middle.
        self.folder.join(path).components().collect::<PathBuf>().to_string_lossy().into_owned()
    }

    /// Where labelled images are, and a remark where that is not what was written; `field` is that of the path.
    pub fn locate(&self, path: &str, field: &str) -> Result<(String, Option<String>), Problem> {
        let cloud = |reason: &'static str| Problem::Cloud {
            address: path.to_owned(),
            reason,
            hint: format!("give a copy on this machine by --set {field}=PATH"),
        };
        let below = |rest: &str, reason: &'static str| match &self.root {
            Some(root) => {
                let local = root.join(rest.trim_start_matches('/')).components().collect::<PathBuf>();
                let local = local.to_string_lossy().into_owned();
                Ok((local.clone(), Some(format!("{path} is read from {local}"))))
            }
            None => Err(Problem::Cloud {
                address: path.to_owned(),
                reason,
                hint: format!(
                    "give a copy on this machine by --set {field}=PATH, or its folder of data by --data_root DIR"
                ),
            }),
        };
        if path.contains("${{") {
            return Err(cloud("is filled in by a pipeline"));
        }
        if let Some((scheme, rest)) = path.split_once("://") {
            return match scheme.to_ascii_lowercase().as_str() {
                "file" => Ok((self.file(path), None)),
                "azureml" => match (rest.split_once("/paths/"), rest.split_once("data/")) {
                    (Some((_, rest)), _) => below(rest, "is in a datastore"),
                    (None, Some((_, asset))) => below(asset.split('/').next().unwrap_or(asset), "is registered data"),
                    (None, None) => Err(cloud("is in the cloud")),
                },
                "amldatastore" => below(rest, "is in a datastore"),
                _ => Err(cloud("is an address, which is not fetched")),
            };
        }
        if let Some(asset) = path.strip_prefix("azureml:") {
            let name = asset.split([':', '@']).next().unwrap_or(asset);
            return below(name, "is registered data");
        }
        Ok((self.file(path), None))
    }
}

/// Whether the labelled images of a plan are there: a JSONL file or an MLTable each. (Images themselves are looked at by a training.)
///
/// # Errors
/// Those that are not there, or not readable.
pub fn check_data(plan: &StudyPlan) -> Result<(), JobErrors> {
    let named = ["training_data", "validation_data"].map(|name| (name, plan.fixed.get(name).and_then(|v| v.as_str())));
    let all = named.into_iter().chain([("test_data", plan.test_data.as_deref())]);
    let mut errors = Vec::new();
    for (name, path) in all.filter_map(|(name, path)| Some((name, path?))) {
        if let Err(error) = dataset::data_files(Path::new(path)) {
            let problem = Problem::Data(error.to_string(), error.code());
            errors.push(JobError { place: Place::Nowhere, field: name.to_owned(), problem });
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(JobErrors { file: None, errors }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(root: Option<&str>) -> Data {
        Data { folder: "jobs/fridge".into(), root: root.map(PathBuf::from) }
    }

    #[test]
    fn local_paths_are_relative_to_the_file() {
        for (path, expected) in [
            ("data/train", "jobs/fridge/data/train"),
            ("./data/./train/", "jobs/fridge/data/train"),
            ("../train", "jobs/fridge/../train"),
            ("/abs/train", "/abs/train"),
            ("file:///abs/train", "/abs/train"),
        ] {
            assert_eq!(data(None).locate(path, "x").unwrap(), (expected.to_owned(), None), "{path}");
        }
    }

    #[test]
    fn clouds_are_mapped_or_refused() {
        for (path, expected) in [
            ("azureml:fridge-train:3", "/d/fridge-train"),
            ("azureml:fridge-train@latest", "/d/fridge-train"),
            ("azureml://datastores/store/paths/a/b/", "/d/a/b"),
            ("azureml://subscriptions/s/resourcegroups/r/workspaces/w/datastores/store/paths/a", "/d/a"),
            ("azureml://registries/r/data/fridge/versions/1", "/d/fridge"),
            ("AmlDatastore://a/b", "/d/a/b"),
        ] {
            assert_eq!(data(Some("/d")).locate(path, "x").unwrap().0, expected);
            let text = data(None).locate(path, "training_data.path").unwrap_err().to_string();
            assert!(text.contains("--set training_data.path=PATH") && text.contains("--data_root"), "{text}");
        }
        for path in ["https://x/y", "wasbs://c@a/b", "${{parent.inputs.train}}", "azureml://locations/x"] {
            let text = data(Some("/d")).locate(path, "training_data.path").unwrap_err().to_string();
            assert!(text.contains("--set training_data.path=PATH") && text.contains(path), "{text}");
        }
    }
}
