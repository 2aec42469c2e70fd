//! Making the fixtures of a version, with the programs of that version. `scripts/compat fixtures` runs this.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::answers::{Asked, requests};
use crate::cases::{ALL, COMMON, Case};
use crate::data;
use crate::fixture::{files, keep, restore};
use crate::programs::Programs;
use crate::skeleton::{Skeleton, gzip};

/// Files that a run has beside what is kept: they say nothing, or are made again.
const LEFT_OUT: [&str; 2] = ["run.lock", "verification.safetensors"];

/// Makes the fixtures of `FOVEA_COMPAT_VERSION` with the programs in the folder `FOVEA_COMPAT_PROGRAMS`.
#[test]
#[ignore = "writes into the repository; scripts/compat fixtures runs it"]
fn record() {
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
    let (folder, version) = (PathBuf::from(variable("FOVEA_COMPAT_PROGRAMS")), variable("FOVEA_COMPAT_VERSION"));
    let wanted = std::env::var("FOVEA_COMPAT_CASE").ok();
    for case in ALL.iter().filter(|case| wanted.as_ref().is_none_or(|wanted| wanted == case.name)) {
        let fixture = case.fixture(&version);
        if fixture.exists() {
            fs::remove_dir_all(&fixture).unwrap();
        }
        train(case, &folder, &fixture);
        export(case, &folder, &fixture);
        answer(case, &folder, &fixture);
        eprintln!(
            "{}: {} bytes",
            case.name,
            files(&fixture).iter().map(|f| fs::metadata(fixture.join(f)).unwrap().len()).sum::<u64>()
        );
    }
}

/// Keeps a run that was stopped after its first epoch.
fn train(case: &Case, programs: &Path, fixture: &Path) {
    let temporary = tempfile::tempdir().unwrap();
    let place = fs::canonicalize(temporary.path()).unwrap();
    data::write(&place, case.labels);
    let programs = Programs { folder: programs.to_owned(), place: &place };
    let options = COMMON.iter().chain(case.options).flat_map(|&(name, value)| [name, value]);
    let arguments: Vec<&str> = std::iter::once("train").chain(options).collect();
    programs.stop_once_there(&arguments, &place.join("run/metrics.jsonl"));
    for name in files(&place.join("run")) {
        let file = name.file_name().unwrap().to_str().unwrap();
        if LEFT_OUT.contains(&file) {
            continue;
        }
        let name = Path::new("run").join(&name);
        let skeleton = (file == "model.safetensors")
            .then(|| Skeleton::of_checkpoint(&fs::read(place.join(&name)).unwrap(), case.variance));
        keep(&place, &name, fixture, skeleton.as_ref());
    }
}

/// Keeps what the trainer records of the filled-in weights, and the files that the exporter makes from them.
fn export(case: &Case, programs: &Path, fixture: &Path) {
    let temporary = tempfile::tempdir().unwrap();
    let place = fs::canonicalize(temporary.path()).unwrap();
    data::write(&place, case.labels);
    restore(fixture, &place);
    let programs = Programs { folder: programs.to_owned(), place: &place };
    programs.answer("trainer", &["evaluate", "--checkpoint", "run", "--data", "data/example.jsonl"]);
    keep(&place, Path::new("run/checkpoints/best/verification.safetensors"), fixture, None);
    let weights = "run/checkpoints/best/model.safetensors";
    let checkpoint = fs::read(place.join(weights)).unwrap();
    let known = Skeleton::read(&fixture.join(format!("{weights}.skeleton.gz")));
    for form in case.forms {
        let name = format!("{form}.onnx");
        programs.answer("exporter", &["--checkpoint", "run", "--form", form, "--output", &name]);
        let file = fs::read(place.join(&name)).unwrap();
        let skeleton = Skeleton::of_copy(&file, &checkpoint, &known);
        assert!(skeleton.fill() == file, "{name} cannot be filled in");
        keep(&place, Path::new(&name), fixture, Some(&skeleton));
    }
}

/// Keeps what the programs answer.
fn answer(case: &Case, programs: &Path, fixture: &Path) {
    let temporary = tempfile::tempdir().unwrap();
    let place = fs::canonicalize(temporary.path()).unwrap();
    data::write(&place, case.labels);
    restore(fixture, &place);
    let requests = requests(case);
    let programs = Programs { folder: programs.to_owned(), place: &place };
    let answers: Value = Asked { case, programs: &programs }.all(&requests);
    gzip(&fixture.join("answers.json.gz"), &serde_json::to_vec(&answers).unwrap());
    fs::write(fixture.join("requests.json"), serde_json::to_vec_pretty(&requests).unwrap()).unwrap();
}
