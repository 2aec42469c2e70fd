//! `docs/settings.md`: its lists of settings and defaults are made from the table and the registry, and this test compares them.
//!
//! After a change of a setting, `FOVEA_WRITE_DOCS=1 cargo test -p models --test settings_page` writes them anew.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, fail by panicking")]

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

use models::registry::{self, ModelSpec};
use schemas::{SETTINGS, SettingSpec, Settings, Task};
use serde_json::Value;

/// The line that the generated part of the page begins after.
const BEGIN: &str = "<!-- begin: made by models/tests/settings_page.rs -->\n";
/// The line that it ends before.
const END: &str = "<!-- end -->\n";
/// Longest line of a paragraph, in characters.
const WIDTH: usize = 118;
/// The tasks that can be trained, in the order of the page.
const TRAINED: [Task; 4] = Task::ALL;

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/settings.md")
}

/// A list item of words that are separated by single spaces, broken into lines of at most [`WIDTH`].
fn item(text: &str) -> String {
    let mut lines = vec!["-".to_owned()];
    for word in text.split(' ') {
        let line = lines.last_mut().unwrap();
        if line.chars().count() + 1 + word.chars().count() <= WIDTH {
            write!(line, " {word}").unwrap();
        } else {
            lines.push(format!("  {word}"));
        }
    }
    lines.join("\n") + "\n"
}

/// A value as it is written on a command line.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn setting(spec: &SettingSpec, default: &Value) -> String {
    let mut text = format!("`{}` ({}; {})", spec.name, spec.kind.range(), shown(default));
    for alias in spec.aliases {
        write!(text, ", also `{alias}`").unwrap();
    }
    write!(text, ": {}", spec.help.split_whitespace().collect::<Vec<_>>().join(" ")).unwrap();
    item(&text)
}

/// What means something to the tasks that `belongs` accepts, under a heading.
fn section(title: &str, belongs: impl Fn(&[Task]) -> bool) -> String {
    let defaults = Settings::default();
    let specs = SETTINGS.iter().filter(|spec| belongs(spec.tasks));
    let items: String = specs.map(|spec| setting(spec, &defaults.get(spec.name).unwrap())).collect();
    format!("\n## {title}\n\n{items}")
}

/// The defaults of a model in a task that are not the general ones.
fn differences(task: Task, model: &ModelSpec) -> String {
    let (own, general) = (model.defaults(task), Settings::default());
    let specs = SETTINGS.iter().filter(|spec| spec.tasks.contains(&task));
    let values = specs.map(|spec| (spec.name, own.get(spec.name).unwrap(), general.get(spec.name).unwrap()));
    let other: Vec<String> = values
        .filter(|(_, own, general)| own != general)
        .map(|(name, own, _)| format!("`{name}` {}", shown(&own)))
        .collect();
    if other.is_empty() { "the general ones".to_owned() } else { other.join(", ") }
}

/// A list item for each set of models of a task that have the same defaults.
fn models_of(task: Task) -> String {
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    for model in registry::all().iter().filter(|model| model.tasks().contains(&task)) {
        let differences = differences(task, model);
        match groups.iter_mut().find(|(known, _)| *known == differences) {
            Some((_, names)) => names.push(model.name),
            None => groups.push((differences, vec![model.name])),
        }
    }
    let list = |(differences, names): &(String, Vec<&str>)| {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        item(&format!("{}: {differences}", names.join(", ")))
    };
    groups.iter().map(list).collect()
}

fn is_classification(task: Task) -> bool {
    matches!(task, Task::ImageClassification | Task::ImageClassificationMultilabel)
}

fn generated() -> String {
    let general = section("Of all tasks", |tasks| Task::ALL.iter().all(|task| tasks.contains(task)));
    let classification = section("Of classification", |tasks| tasks.iter().all(|task| is_classification(*task)));
    let boxes = |tasks: &[Task]| tasks.contains(&Task::ImageObjectDetection);
    let detection =
        section("Of detection and segmentation", |tasks| boxes(tasks) && !tasks.contains(&Task::ImageClassification));
    let outlines = section("Of segmentation", |tasks| tasks == [Task::ImageInstanceSegmentation]);
    let mut text = general + &classification + &detection + &outlines + "\n## Defaults of models\n";
    for task in TRAINED {
        write!(text, "\n`{task}`:\n\n{}", models_of(task)).unwrap();
    }
    text + "\n"
}

#[test]
fn the_page_lists_what_the_table_and_the_registry_say() {
    let text = fs::read_to_string(page()).unwrap();
    let (head, rest) = text.split_once(BEGIN).expect("the page has a line that the generated part begins after");
    let (old, tail) = rest.split_once(END).expect("the page has a line that the generated part ends before");
    let new = generated();
    if env::var_os("FOVEA_WRITE_DOCS").is_some() {
        fs::write(page(), [head, BEGIN, &new, END, tail].concat()).unwrap();
        return;
    }
    assert!(
        old == new,
        "docs/settings.md is out of date: FOVEA_WRITE_DOCS=1 cargo test -p models --test settings_page"
    );
}

#[test]
fn every_setting_is_in_one_list() {
    let text = generated();
    for spec in SETTINGS {
        assert_eq!(text.matches(&format!("- `{}` (", spec.name)).count(), 1, "{}", spec.name);
    }
}
