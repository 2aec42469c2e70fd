//! Random commands in random trees of files: no file that a command did not create is changed or gone, and a command that
//! refuses changes nothing. `FOVEA_OWNERSHIP_CASES` says how many trees.

use schemas::Coded as _;
use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use exporter::{ExportSettings, Form};
use models::weights::sha256_hex;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::ownership::{model, tiny};
use crate::support::run;

/// Folders that files are put into and that commands write to; `data` holds what is converted.
const FOLDERS: [&str; 10] = [
    ".",
    "data",
    "data/images",
    "data/images/train",
    "data/labels/train",
    "out",
    "out/images/train",
    "out/JPEGImages",
    "new/deep",
    "data/classes/x",
];
/// Names that commands write, and some that they do not.
const NAMES: [&str; 24] = [
    "train.jsonl",
    "validation.jsonl",
    "rows.jsonl",
    "report.html",
    "plan.json",
    "run.lock",
    "run.log",
    "data.yaml",
    "labels",
    "images",
    "a.jpg",
    "a.txt",
    "A.JPG",
    "a_2.jpg",
    "a.xml",
    "rows.txt",
    "model.onnx",
    "vectors.npy",
    ".fovea-written.json",
    ".fovea-writing-abc123",
    ".tmp-fovea-abc123",
    "coco.json",
    "checkpoints",
    "notes",
];

/// A file of the user's: where, of which name, of which kind.
type Extra = (usize, usize, usize);
/// A command, where it writes, a variant of it, whether with --overwrite, and what the user does first.
type Step = (usize, usize, usize, bool, usize);

/// What is at a path: the mode and contents of a file, where a link leads, or a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Thing {
    File(u32, String),
    Link(PathBuf),
    Folder,
}

type Tree = BTreeMap<PathBuf, Thing>;

fn tree(root: &Path) -> Tree {
    let mut found = Tree::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            let kind = entry.file_type().unwrap();
            let thing = if kind.is_dir() {
                waiting.push(path.clone());
                Thing::Folder
            } else if kind.is_symlink() {
                Thing::Link(fs::read_link(&path).unwrap())
            } else {
                let mode = entry.metadata().unwrap().permissions().mode();
                Thing::File(mode, sha256_hex(&fs::read(&path).unwrap()))
            };
            found.insert(path, thing);
        }
    }
    found
}

struct World {
    folder: tempfile::TempDir,
    /// What commands made and nobody has changed since.
    made: Tree,
}

impl World {
    fn new(extras: &[Extra]) -> Self {
        let world = Self { folder: tempfile::tempdir().unwrap(), made: Tree::new() };
        world.inputs();
        for &(folder, name, kind) in extras {
            world.extra(FOLDERS[folder], NAMES[name], kind);
        }
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        if fs::create_dir_all(path.parent().unwrap()).is_ok() && path.symlink_metadata().is_err() {
            fs::write(path, bytes).unwrap();
        }
    }

    /// What there is to convert, to train on and to ask about.
    fn inputs(&self) {
        let images = &model().2;
        for (name, number) in [
            ("data/images/train/a.jpg", 0),
            ("data/images/train/b.jpg", 1),
            ("data/more/a.jpg", 2),
            ("data/classes/x/1.jpg", 0),
            ("data/classes/x/2.jpg", 1),
            ("data/classes/y/1.jpg", 2),
        ] {
            self.put(name, fs::read(&images[number]).unwrap());
        }
        let object = r#"{"label":"a","topX":0.1,"topY":0.1,"bottomX":0.5,"bottomY":0.5}"#;
        let row = |url: &str| format!("{{\"image_url\":\"{url}\",\"label\":[{object}]}}\n");
        let urls = ["images/train/a.jpg", "images/train/b.jpg", "more/a.jpg"];
        self.put("data/rows.jsonl", urls.map(row).concat());
        let row = |(url, label): (&str, &str)| format!("{{\"image_url\":\"{url}\",\"label\":\"{label}\"}}\n");
        let classes = ["classes/x/1.jpg", "classes/x/2.jpg", "classes/y/1.jpg"].into_iter().zip(["x", "x", "y"]);
        self.put("data/train.jsonl", classes.map(row).collect::<String>());
        self.put("data/validation.jsonl", [("classes/x/1.jpg", "x"), ("classes/y/1.jpg", "y")].map(row).concat());
        self.put("data/labels.csv", "image,label\nclasses/x/1.jpg,x\nclasses/y/1.jpg,y\n");
        self.put("data/data.yaml", "train: images/train\nnames: [a]\n");
        self.put("data/labels/train/a.txt", "0 0.5 0.5 0.2 0.2\n");
        let image = r#"{"id":1,"file_name":"images/train/a.jpg","width":240,"height":180}"#;
        let annotation = r#"{"id":1,"image_id":1,"category_id":1,"bbox":[10,10,20,20]}"#;
        let categories = r#"[{"id":1,"name":"a"}]"#;
        let text = format!("{{\"images\":[{image}],\"annotations\":[{annotation}],\"categories\":{categories}}}");
        self.put("data/coco.json", text);
    }

    fn extra(&self, folder: &str, name: &str, kind: usize) {
        let path = self.path(folder).join(name);
        if fs::create_dir_all(self.path(folder)).is_err() || path.symlink_metadata().is_ok() {
            return;
        }
        match kind {
            0 => fs::write(&path, format!("mine: {name}")).unwrap(),
            1 => fs::create_dir(&path).unwrap(),
            2 => symlink(self.path("data/images/train"), &path).unwrap(),
            3 => symlink("nowhere", &path).unwrap(),
            4 => drop(fs::hard_link(self.path("data/images/train/b.jpg"), &path)),
            5 => symlink(self.path("data/images/train/a.jpg"), &path).unwrap(),
            6 => fs::write(&path, "{\"version\": 1, \"writes\": []}").unwrap(),
            _ => {
                fs::write(&path, "mine, and not to be written").unwrap();
                fs::set_permissions(&path, Permissions::from_mode(0o444)).unwrap();
            }
        }
    }

    /// What the user does between two commands.
    fn meddle(&mut self, what: usize) {
        let files = self.made.iter().filter(|(_, thing)| matches!(thing, Thing::File(..)));
        let files: Vec<PathBuf> = files.map(|(path, _)| path.clone()).collect();
        match (what, files.is_empty()) {
            (0..4, _) | (_, true) => {}
            (4, false) => {
                let path = &files[files.len() / 2];
                fs::write(path, "changed by me").unwrap();
                self.made.remove(path);
            }
            (5, false) => {
                let path = &files[files.len() / 3];
                fs::remove_file(path).unwrap();
                self.made.remove(path);
            }
            _ => {
                let path = &files[files.len() - 1];
                let elsewhere = self.path("moved.away");
                fs::rename(path, &elsewhere).unwrap();
                symlink(&elsewhere, path).unwrap();
                self.made.remove(path);
            }
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        let &(_, _, _, overwrite, what) = step;
        self.meddle(what);
        let before = tree(self.folder.path());
        let (code, said) = self.command(step);
        let after = tree(self.folder.path());
        let told = |problem: String| format!("{step:?}: {problem}; exit code {code}: {said}");
        if !(0..=2).contains(&code) {
            return Err(told("a strange exit code".to_owned()));
        }
        if code == 2 && before != after {
            let differs = |path: &&PathBuf| before.get(*path) != after.get(*path);
            let first = before.keys().chain(after.keys()).find(differs);
            return Err(told(format!("{first:?} differs though the command refused")));
        }
        for (path, was) in &before {
            let ours = self.made.get(path) == Some(was);
            // Folders that were made may go again when they are empty.
            if after.get(path) == Some(was) || ours && (overwrite || is_record(path)) {
                continue;
            }
            return Err(told(format!("{} was {was:?} and is {:?}", path.display(), after.get(path))));
        }
        self.made.retain(|path, _| after.contains_key(path));
        for (path, is) in after {
            if !before.contains_key(&path) || self.made.contains_key(&path) {
                self.made.insert(path, is);
            }
        }
        Ok(())
    }

    /// Runs a command: its exit code and what it said.
    fn command(&self, &(command, output, variant, overwrite, _): &Step) -> (i32, String) {
        let (_, trained, _) = model();
        let path = |name: &str| self.path(name).to_str().unwrap().to_owned();
        let to = |name: &str| self.path(FOLDERS[output]).join(name).to_str().unwrap().to_owned();
        let (folder, checkpoint) = (path(FOLDERS[output]), trained.to_str().unwrap().to_owned());
        let list = |args: &[&str]| args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>();
        let mut args = match (command, variant % 3) {
            (0, 0) => list(&["convert", "csv", &path("data/labels.csv"), "--output", &to("train.jsonl")]),
            (0, _) => list(&["convert", "csv", &path("data/labels.csv"), "--output", &to("rows.jsonl")]),
            (1, 0) => list(&["convert", "folders", &path("data/classes"), "--output", &folder]),
            (1, _) => list(&["convert", "folders", &path("data/classes"), "--output", &to("train.jsonl")]),
            (2, 0) => list(&["convert", "coco", &path("data/coco.json"), "--output", &folder]),
            (2, _) => list(&["convert", "yolo", &path("data/data.yaml"), "--output", &folder]),
            (3, 0) => list(&["convert", "jsonl", &path("data/rows.jsonl"), "--to", "coco", "--output", &folder]),
            (3, _) => {
                list(&["convert", "jsonl", &path("data/rows.jsonl"), "--to", "coco", "--output", &to("coco.json")])
            }
            (4, 0) => {
                list(&["convert", "jsonl", &path("data/rows.jsonl"), "--to", "yolo", "--link", "--output", &folder])
            }
            (4, _) => list(&["convert", "jsonl", &path("data/rows.jsonl"), "--to", "yolo", "--output", &folder]),
            (5, 0) => {
                list(&["convert", "jsonl", &path("data/rows.jsonl"), "--to", "voc", "--link", "--output", &folder])
            }
            (5, _) => list(&["convert", "jsonl", &path("data/rows.jsonl"), "--to", "voc", "--output", &folder]),
            (6, _) => list(&["sample-data", "--count", "12", "--output", &folder]),
            (7, 0) => {
                list(&["embed", "--checkpoint", &checkpoint, &path("data/more/a.jpg"), "--output", &to("vectors.npy")])
            }
            (7, _) => {
                list(&["embed", "--checkpoint", &checkpoint, &path("data/more/a.jpg"), "--output", &to("train.jsonl")])
            }
            (8, _) => {
                let (a, b) = (path("data/more/a.jpg"), path("data/images/train/a.jpg"));
                list(&["predict", "--checkpoint", &checkpoint, &a, &b, "--save", &folder])
            }
            (9, _) => {
                let settings =
                    ExportSettings { form: Form::Prepared, overwrite, verify: false, ..ExportSettings::default() };
                let result = exporter::export(trained, Path::new(&to("model.onnx")), &settings);
                return result.map_or_else(|e| (e.code().exit_code(), e.to_string()), |_| (0, String::new()));
            }
            _ => {
                let mut args = tiny(&self.path("data"), Path::new(&folder));
                args.extend((variant == 2).then(|| "--resume".to_owned()));
                args
            }
        };
        if overwrite && args[0] != "train" {
            args.push("--overwrite".to_owned());
        }
        let output = run(&args);
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code().unwrap_or(-1), said)
    }
}

fn is_record(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == files::manifest::FILE)
}

#[test]
fn no_file_that_a_command_did_not_create_is_changed_or_gone() {
    let cases = std::env::var("FOVEA_OWNERSHIP_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(10);
    let mut runner =
        TestRunner::new(Config { cases, failure_persistence: None, max_shrink_iters: 60, ..Config::default() });
    // A training takes longest and is the last of twelve kinds, so that there are few.
    let steps = vec((0..12_usize, 0..FOLDERS.len(), 0..3_usize, any::<bool>(), 0..7_usize), 1..6);
    let extras = vec((0..FOLDERS.len(), 0..NAMES.len(), 0..8_usize), 0..8);
    let result = runner.run(&(extras, steps), |(extras, steps)| {
        let mut world = World::new(&extras);
        for step in &steps {
            world.step(step).map_err(TestCaseError::fail)?;
            // At once again, sometimes: it finds its own output there.
            if step.2 == 1 {
                world.step(step).map_err(TestCaseError::fail)?;
            }
        }
        Ok(())
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
}
