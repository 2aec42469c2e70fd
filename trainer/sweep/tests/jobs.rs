//! Jobs of both styles, valid and invalid, and the plan or message that each leads to, which lies beside it.
//!
//! After a change that is meant, `FOVEA_WRITE_DOCS=1 cargo test -p sweep --test jobs` writes what lies beside anew; look at the
//! difference.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, fail by panicking")]

use std::path::{Path, PathBuf};
use std::{env, fs};

use schemas::Task;
use serde_json::json;
use sweep::job::{self, Job, JobErrors, NoteKind, ReadOptions};
use sweep::space::Point;

/// The jobs, in order of their names.
fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/jobs");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_job = |path: &PathBuf| path.extension().is_some_and(|end| end == "yml" || end == "toml");
    let mut files: Vec<PathBuf> = entries.filter(is_job).collect();
    files.sort();
    files
}

/// Reads a job as its name and the options in its first lines (`# --set a=b`) say.
fn read(path: &Path) -> Result<Job, JobErrors> {
    let text = fs::read_to_string(path).unwrap();
    let name = path.file_name().unwrap();
    // Paths are relative to this folder wherever it lies.
    let mut options = ReadOptions::of(&Path::new("jobs").join(name));
    for line in text.lines().map_while(|line| line.strip_prefix("# ")) {
        if let Some(change) = line.strip_prefix("--set ") {
            options.changes.push(change.to_owned());
        }
        if let Some(root) = line.strip_prefix("--data_root ") {
            options.data_root = Some(root.into());
        }
    }
    let older = name.to_str().unwrap().contains("older");
    if older { job::v1::read(&text, &options) } else { job::v2::read(&text, &options) }
}

#[test]
fn every_job_leads_to_its_plan_or_message() {
    let write = env::var_os("FOVEA_WRITE_DOCS").is_some();
    let mut wrong = Vec::new();
    for path in files() {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let (end, said) = match read(&path) {
            Ok(job) => ("json", serde_json::to_string_pretty(&job).unwrap() + "\n"),
            Err(errors) => ("txt", errors.to_string() + "\n"),
        };
        assert_eq!(end == "txt", name.starts_with("bad-"), "{name}: {said}");
        let beside = path.with_file_name(format!("{name}.{end}"));
        if write {
            fs::write(&beside, &said).unwrap();
        } else if fs::read_to_string(&beside).unwrap_or_default() != said {
            wrong.push(format!("{}:\n{said}", beside.display()));
        }
    }
    assert!(wrong.is_empty(), "FOVEA_WRITE_DOCS=1 cargo test -p sweep --test jobs\n{}", wrong.join("\n"));
}

#[test]
fn jobs_cover_the_four_tasks_in_three_forms() {
    let jobs: Vec<Job> = files().iter().filter_map(|path| read(path).ok()).collect();
    assert!(files().len() >= 20);
    for task in Task::ALL {
        let of_task = || jobs.iter().filter(|job| job.plan.fixed["task"] == task.as_str());
        let single = |job: &&Job| job.plan.space.as_ref().is_some_and(|space| space.branches[0].parameters.is_empty());
        assert!(of_task().any(|job| job.plan.space.is_none()), "{task}: AutoMode");
        assert!(of_task().any(|job| single(&job)), "{task}: one training");
        assert!(of_task().any(|job| job.plan.space.is_some() && !single(&job)), "{task}: sweep");
    }
}

#[test]
fn plans_survive_json_and_are_described() {
    for path in files() {
        let Ok(job) = read(&path) else { continue };
        let text = serde_json::to_string(&job).unwrap();
        assert_eq!(serde_json::from_str::<Job>(&text).unwrap(), job);
        let described = job::describe(&job.plan, &job.notes);
        for name in job.plan.fixed.keys().chain(job.plan.labels.keys()) {
            assert!(described.contains(name.as_str()), "{name} in\n{described}");
        }
        for note in job.notes.iter().filter(|note| note.kind != NoteKind::Label) {
            assert!(described.contains(&note.text), "{note:?}");
        }
    }
}

/// Options of a trial do not hold what `trainer train` would refuse beside the model or the optimizer of its point.
#[test]
fn a_trial_leaves_out_what_has_no_effect() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/jobs");
    let plan = read(&folder.join("detection-sweep.yml")).unwrap().plan;
    let point = |optimizer: &str| Point {
        branch: 1,
        values: [
            ("model_name".to_owned(), json!("fasterrcnn_resnet50_fpn")),
            ("learning_rate".to_owned(), json!(0.001)),
            ("optimizer".to_owned(), json!(optimizer)),
            ("min_size".to_owned(), json!(480)),
        ]
        .into_iter()
        .collect(),
    };
    let (sgd, adamw) = (plan.options(&point("sgd")).unwrap(), plan.options(&point("adamw")).unwrap());
    assert_eq!((sgd.get("momentum"), adamw.get("momentum")), (Some(&json!(0.8)), None));
    assert_eq!(sgd.len(), adamw.len() + 1);
    assert_eq!((&adamw["min_size"], &adamw["recipe"]), (&json!(480), &json!("specification")));
    let wrong = Point { branch: 1, values: [("learning_rate".to_owned(), json!(2))].into_iter().collect() };
    assert!(plan.options(&wrong).unwrap_err()[0].to_string().contains("outside its range"));
}

#[test]
fn both_spellings_of_a_distribution_are_the_same() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/jobs");
    let space = read(&folder.join("distributions.yml")).unwrap().plan.space.unwrap();
    let (long, short) = (&space.branches[0].parameters, &space.branches[1].parameters);
    let shared: Vec<&String> = long.keys().filter(|name| short.contains_key(*name)).collect();
    assert_eq!(shared.len(), 11);
    for name in shared.into_iter().filter(|name| *name != "model_name") {
        assert_eq!(long[name], short[name], "{name}");
    }
}

/// A normal distribution has no ends: what it draws outside the range of a setting does not make a trial fail.
#[test]
fn draws_outside_a_range_become_its_end() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/jobs");
    let plan = read(&folder.join("distributions.yml")).unwrap().plan;
    let drawn = |smoothing: f64, batch: f64| {
        let mut values = indexmap::IndexMap::from([("model_name".to_owned(), json!("resnet18"))]);
        values.insert("label_smoothing".to_owned(), json!(smoothing));
        values.insert("training_batch_size".to_owned(), json!(batch));
        let options = plan.options(&Point { branch: 0, values }).unwrap();
        (options["label_smoothing"].as_f64().unwrap(), options["training_batch_size"].clone())
    };
    assert_eq!(drawn(0.1, 32.0), (0.1, json!(32)));
    assert_eq!(drawn(-0.1, -4.0), (0.0, json!(1)));
    assert_eq!(drawn(1.5, 1e9), (1.0_f64.next_down(), json!(65_536)));
}

#[test]
fn data_that_is_not_there_is_told_before_anything_begins() {
    let dir = tempfile::tempdir().unwrap();
    let table = dir.path().join("train");
    fs::create_dir(&table).unwrap();
    fs::write(table.join("MLTable"), "paths: [{file: train.jsonl}]\n").unwrap();
    fs::write(table.join("train.jsonl"), "").unwrap();
    let options = ReadOptions::of(&dir.path().join("job.yml"));
    let text = "type: automl\ntask: image_classification\ntraining_data: {path: train}\n";
    let there = job::v2::read(text, &options).unwrap();
    job::check_data(&there.plan).unwrap();
    let text = format!("{text}validation_data: {{path: nowhere}}\ntest_data: {{path: ./}}\n");
    let errors = job::check_data(&job::v2::read(&text, &options).unwrap().plan).unwrap_err();
    let lines = errors.lines();
    assert!(lines.len() == 2 && lines[0].contains("nowhere") && lines[1].contains("without an MLTable"), "{lines:?}");
    assert_eq!(schemas::Coded::code(&errors), schemas::ErrorCode::FileNotFound);
    let missing = job::v2::open(&ReadOptions::of(&dir.path().join("none.yml"))).unwrap_err();
    assert_eq!(schemas::Coded::code(&missing), schemas::ErrorCode::FileNotFound);
}

/// The files on the page are read without an error.
#[test]
fn examples_of_the_page_are_jobs() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/sweeps.md")).unwrap();
    let blocks: Vec<&str> = page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 2);
    let (newer, older) =
        (job::v2::read(blocks[0], &ReadOptions::default()), job::v1::read(blocks[1], &ReadOptions::default()));
    assert_eq!(newer.unwrap().plan.space.unwrap().branches.len(), 2);
    assert_eq!(older.unwrap().plan.space.unwrap().branches.len(), 2);
    // So are the distributions of its table, in both columns.
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `{type: ")?.split_once("` | "));
    let mut read = 0;
    for (mapping, rest) in rows {
        for form in [format!("{{type: {mapping}"), rest.split('`').nth(1).unwrap().to_owned()] {
            let setting = if form.contains("'a'") || form.contains("[a") { "model_size" } else { "augment_degrees" };
            let form = form.replace("'a', 'b'", "'small', 'large'").replace("[a, b]", "[small, large]");
            let form = if form.starts_with('{') { form } else { format!("\"{form}\"") };
            let job = format!(
                "type: automl\ntask: image_object_detection\ntraining_data: x\nlimits: {{max_trials: 2}}\nsearch_space: {{{setting}: {form}}}\n"
            );
            assert!(job::v2::read(&job, &ReadOptions::default()).is_ok(), "{form}");
            read += 1;
        }
    }
    assert_eq!(read, 12);
}

/// Whatever a file holds, the answer is a job or errors with places.
#[test]
fn cut_and_mixed_files_are_no_panic() {
    let texts: Vec<String> = files().iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let mut read = 0;
    for (index, text) in texts.iter().enumerate() {
        let lines: Vec<&str> = text.lines().collect();
        let other: Vec<&str> = texts[(index + 1) % texts.len()].lines().collect();
        for at in (index % 2..lines.len()).step_by(2) {
            let without = [&lines[..at], &lines[at + 1..]].concat().join("\n");
            let cut = text[..text.floor_char_boundary(text.len() * at / lines.len())].to_owned();
            let mixed = [&lines[..at], &[other[at % other.len()]], &lines[at..]].concat().join("\n");
            for text in [without, cut, mixed] {
                for toml in [false, true] {
                    let options = ReadOptions::of(Path::new(if toml { "a.toml" } else { "a.yml" }));
                    for answer in [job::v1::read(&text, &options), job::v2::read(&text, &options)] {
                        assert!(
                            answer.map_or_else(|errors| !errors.errors.is_empty(), |job| !job.plan.fixed.is_empty()),
                            "{text}"
                        );
                        read += 1;
                    }
                }
            }
        }
    }
    assert!(read > 2000, "{read}");
}
