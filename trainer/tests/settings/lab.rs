//! Small trainings through the binary, each done once, whatever number of settings looks at it.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use safetensors::SafeTensors;
use schemas::event::EpochRecord;
use serde_json::Value;

/// Trainings at once: each computes on one thread.
const AT_ONCE: usize = 2;

/// A data set, and the arguments that every training on it has unless a test says otherwise.
pub struct Lab {
    folder: tempfile::TempDir,
    base: Vec<(String, String)>,
    runs: Mutex<HashMap<String, Arc<OnceLock<Run>>>>,
}

/// A finished training.
pub struct Run {
    /// Its folder.
    pub folder: PathBuf,
}

/// What a setting does, as assertions about trainings.
pub type Effect = (&'static str, fn(&Lab));

fn pairs(line: &str) -> Vec<(String, String)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    words.chunks(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect()
}

fn trainer(args: &[String]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
    command.args(args).stdin(Stdio::null()).output().expect("the binary starts")
}

impl Lab {
    /// Generates images for `task`; `base` is a line of options.
    pub fn new(task: &str, count: &str, base: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let args = ["sample-data", "--task", task, "--count", count, "--output", data.to_str().unwrap()];
        assert!(trainer(&args.map(str::to_owned)).status.success());
        let mut all = pairs(base);
        let path = |name: &str| data.join(name).to_str().unwrap().to_owned();
        all.push(("--task".to_owned(), task.to_owned()));
        // A setting is shown beside the specification's values of the others.
        all.push(("--recipe".to_owned(), "specification".to_owned()));
        all.push(("--training_data".to_owned(), path("train.jsonl")));
        all.push(("--validation_data".to_owned(), path("validation.jsonl")));
        Self { folder, base: all, runs: Mutex::default() }
    }

    /// The folder of the data.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The base arguments, with those of `more` in the place of or beside them; `-` leaves one out.
    fn arguments(&self, more: &str, output: &Path) -> Vec<String> {
        let more = pairs(more);
        let base = self.base.iter().filter(|(name, _)| more.iter().all(|(other, _)| other != name));
        let chosen = base.chain(&more).filter(|(_, value)| value != "-");
        let mut args: Vec<String> = chosen.flat_map(|(name, value)| [name.clone(), value.clone()]).collect();
        args.splice(0..0, ["train".to_owned()]);
        args.extend(["--output".to_owned(), output.to_str().unwrap().to_owned()]);
        args
    }

    fn place(&self, more: &str) -> PathBuf {
        let letters = more.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
        self.folder.path().join(format!("run{}", letters.collect::<String>()))
    }

    /// A training with these further options; done once.
    #[track_caller]
    pub fn run(&self, more: &str) -> Arc<OnceLock<Run>> {
        let slot = Arc::clone(self.runs.lock().unwrap().entry(more.to_owned()).or_default());
        slot.get_or_init(|| {
            let folder = self.place(more);
            let output = trainer(&self.arguments(more, &folder));
            assert!(output.status.success(), "{more}: {}", String::from_utf8_lossy(&output.stderr));
            Run { folder }
        });
        slot
    }

    /// What is said about options that are refused.
    #[track_caller]
    pub fn refusal(&self, more: &str) -> String {
        let output = trainer(&self.arguments(more, &self.place(more)));
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{more}: {error}");
        error
    }

    /// Records of a training's epochs.
    pub fn epochs(&self, more: &str) -> Vec<EpochRecord> {
        lines(&self.file(more, "metrics.jsonl")).into_iter().map(|l| serde_json::from_value(l).unwrap()).collect()
    }

    /// Learning rate at the end of each epoch.
    pub fn rates(&self, more: &str) -> Vec<f64> {
        self.epochs(more).iter().map(|epoch| epoch.learning_rate).collect()
    }

    /// Optimizer steps of the whole training.
    pub fn updates(&self, more: &str) -> u64 {
        self.epochs(more).last().unwrap().updates
    }

    /// Training loss of each epoch.
    pub fn losses(&self, more: &str) -> Vec<f64> {
        self.epochs(more).iter().map(|epoch| epoch.train.loss).collect()
    }

    /// A metric of the last epoch.
    pub fn metric(&self, more: &str, name: &str) -> f64 {
        self.epochs(more).last().unwrap().validation[name]
    }

    /// Primary metrics, as the journal has them.
    pub fn primary(&self, more: &str) -> Vec<f64> {
        let events = lines(&self.file(more, "journal.jsonl"));
        events.iter().filter(|e| e["event"] == "primary_metric").map(|e| e["value"].as_f64().unwrap()).collect()
    }

    /// A file of a training's folder.
    pub fn file(&self, more: &str, name: &str) -> Vec<u8> {
        let path = self.run(more).get().unwrap().folder.join(name);
        std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// Names of the tensors in the last checkpoint, and their bytes.
    pub fn tensors(&self, more: &str) -> HashMap<String, Vec<u8>> {
        let bytes = self.file(more, "checkpoints/last/model.safetensors");
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        tensors.tensors().into_iter().map(|(name, view)| (name, view.data().to_vec())).collect()
    }

    /// Metadata of the best checkpoint.
    pub fn meta(&self, more: &str) -> HashMap<String, String> {
        let bytes = self.file(more, "checkpoints/best/model.safetensors");
        SafeTensors::read_metadata(&bytes).unwrap().1.metadata().clone().unwrap()
    }

    /// Boxes that the best checkpoint of a training finds in the first image of the test part.
    pub fn boxes(&self, more: &str) -> usize {
        let test = std::fs::read(self.data().join("test.jsonl")).unwrap();
        let image = self.data().join(lines(&test)[0]["image_url"].as_str().unwrap());
        let folder = self.run(more).get().unwrap().folder.clone();
        let (folder, image) = (folder.to_str().unwrap(), image.to_str().unwrap());
        let output = trainer(&["predict", "--checkpoint", folder, image, "--json"].map(str::to_owned));
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        answer["predictions"][0]["boxes"].as_array().unwrap().len()
    }

    /// The training changes the network: with options `a` the weights end otherwise than with `b`.
    #[track_caller]
    pub fn other_weights(&self, a: &str, b: &str) {
        let (a, b) = (self.tensors(a), self.tensors(b));
        let changed = a.iter().any(|(name, bytes)| b.get(name) != Some(bytes) && !name.starts_with("fovea."));
        assert!(changed, "the weights are the same");
    }
}

/// Lines of JSON.
pub fn lines(text: &[u8]) -> Vec<Value> {
    std::str::from_utf8(text).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Has each effect shown, [`AT_ONCE`] at a time, and names every setting that shows none.
pub fn show_all(lab: &Lab, effects: &[Effect]) {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((name, show)) = effects.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if catch_unwind(AssertUnwindSafe(|| show(lab))).is_err() {
                        failed.lock().unwrap().push(*name);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "these settings do not act as stated: {failed:?}");
}
