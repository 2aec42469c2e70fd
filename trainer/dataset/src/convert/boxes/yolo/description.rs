//! `data.yaml`, or darknet's `obj.data`: where the images are, and what the classes are called.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::super::locate::{endings, visible, whatever_capitals};
use super::super::{text, wrong};
use crate::DataError;

/// A description as it was read.
pub struct Description {
    /// Its file.
    pub file: PathBuf,
    /// Folders that paths may be relative to, in their order.
    pub bases: Vec<PathBuf>,
    /// For each part its name and what holds its images.
    pub parts: Vec<(&'static str, Vec<String>)>,
    /// Names of the classes by number.
    pub names: BTreeMap<u64, String>,
    /// How many numbers the key points of an object are, where it has some.
    pub key_points: Option<usize>,
    /// It says that lines are outlines.
    pub outlines: bool,
    /// What was taken for granted, for people.
    pub assumed: Vec<String>,
}

/// What a path of a description leads to.
pub enum Place {
    /// What stands where it says.
    Named(PathBuf),
    /// What stands elsewhere, under a part of the path.
    Elsewhere(PathBuf),
}

impl Description {
    /// Reads a file, which is absolute.
    ///
    /// # Errors
    /// It cannot be read, is no description, or does not say what the classes are.
    pub fn read(file: PathBuf) -> Result<Self, DataError> {
        let text = text::read(&file)?;
        let keys = match file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("data")) {
            true => darknet(&text),
            false => serde_saphyr::from_str(&text)
                .map_err(|error| wrong(&file, format!("is no description of a YOLO data set: {error}")))?,
        };
        let get = |names: &[&str]| names.iter().filter_map(|name| keys.get(*name)).find(|value| !value.is_null());
        let mut parts = Vec::new();
        let known =
            [("train", &["train"] as &[&str]), ("validation", &["val", "valid", "validation"]), ("test", &["test"])];
        for (name, spellings) in known {
            let sources = get(spellings).map_or_else(Vec::new, paths);
            let good = |source: &String| !source.trim().is_empty();
            match sources.into_iter().collect::<Option<Vec<String>>>() {
                Some(sources) if sources.is_empty() => {}
                Some(sources) => parts.push((name, sources.into_iter().filter(good).collect())),
                None => return Err(wrong(&file, format!("{name} must be a path or a list of paths"))),
            }
        }
        parts.retain(|(_, sources): &(_, Vec<String>)| !sources.is_empty());
        let key_points = get(&["kpt_shape"]).map(key_points).transpose().map_err(|reason| wrong(&file, reason))?;
        let outlines = get(&["task"]).and_then(Value::as_str) == Some("segment");
        let path = get(&["path"]).and_then(Value::as_str).map(|path| path.replace('\\', "/"));
        let bases = bases(&file, path.as_deref());
        let (names, assumed) = (BTreeMap::new(), Vec::new());
        let mut description = Self { file, bases, parts, names, key_points, outlines, assumed };
        description.names = description.names(get(&["names"]), get(&["nc", "classes"]))?;
        Ok(description)
    }

    /// Finds what a path means: as written, below one of the folders; with one `..` less, of which some exporters write one too
    /// many; or by its ending, where it was written for another machine or folder.
    pub fn find(&self, source: &str) -> Option<Place> {
        let source = source.trim().replace('\\', "/");
        let shorter = source.strip_prefix("../").unwrap_or(&source);
        let spellings = [source.as_str(), shorter];
        let (near, far) = self.bases.split_at(self.bases.len().min(2));
        let joined = |bases: &[PathBuf]| -> Option<PathBuf> {
            let mut paths = spellings.iter().flat_map(|path| bases.iter().map(move |base| base.join(path)));
            paths.find(|path| path.exists())
        };
        if let Some(path) = joined(near) {
            return Some(Place::Named(path));
        }
        // `images` alone would be the images of another part.
        let telling = |ending: &String| ending.contains('/') || !ending.eq_ignore_ascii_case("images");
        let below = || endings(&source).into_iter().filter(telling);
        let capitals = || below().find_map(|path| near.iter().find_map(|base| whatever_capitals(base, &path)));
        let elsewhere = || below().find_map(|path| one_below(near, &path));
        capitals().or_else(|| joined(far)).or_else(elsewhere).map(Place::Elsewhere)
    }

    /// Names of the classes, from a list, a map of numbers, a map to numbers, or a file with a name on each line.
    fn names(&mut self, names: Option<&Value>, count: Option<&Value>) -> Result<BTreeMap<u64, String>, DataError> {
        let own = self.file.parent().unwrap_or(Path::new("/")).to_owned();
        let count = count.and_then(whole);
        let names = match names {
            Some(Value::String(file)) => match self.find(file) {
                Some(Place::Named(path) | Place::Elsewhere(path)) => Some(lines(&text::read(&path)?)),
                None => return Err(wrong(&self.file, format!("there is no file of names {file:?}"))),
            },
            Some(value) => listed(value),
            None => ["classes.txt", "labels/classes.txt", "labels/train/classes.txt"]
                .iter()
                .flat_map(|name| [own.join(name), self.bases[0].join(name)])
                .find(|path| path.is_file())
                .map(|path| {
                    self.assumed.push(format!("names of the classes are taken from {}", path.display()));
                    text::read(&path).map(|text| lines(&text))
                })
                .transpose()?,
        };
        let names = names.or_else(|| {
            let count = count?;
            self.assumed.push(format!(
                "names nothing but the number of classes: they are called class_0 to class_{}",
                count.saturating_sub(1)
            ));
            Some((0..count).map(|number| (number, format!("class_{number}"))).collect())
        });
        let message = "names must list the classes, or map numbers to them";
        let names = names.filter(|names| !names.is_empty()).ok_or_else(|| wrong(&self.file, message))?;
        if let Some(count) = count.filter(|count| *count != names.len() as u64) {
            self.assumed.push(format!("nc is {count}, but names has {} classes, which hold", names.len()));
        }
        Ok(names)
    }
}

/// Folders that paths may be relative to: `path` and the file's own, then the same from one folder higher.
fn bases(file: &Path, path: Option<&str>) -> Vec<PathBuf> {
    let own = file.parent().unwrap_or(Path::new("/"));
    let higher = own.parent().unwrap_or(own);
    let from = |folder: &Path| [path.map_or_else(|| folder.to_owned(), |path| folder.join(path)), folder.to_owned()];
    [from(own), from(higher)].concat()
}

/// What is at `path` in the one subfolder that has it.
fn one_below(bases: &[PathBuf], path: &str) -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = bases
        .iter()
        .flat_map(|base| visible(base))
        .map(|folder| folder.join(path))
        .filter(|path| path.exists())
        .collect();
    found.sort();
    found.dedup();
    match found.as_slice() {
        [one] => Some(one.clone()),
        _ => None,
    }
}

/// Lines `key = value` as darknet has them.
fn darknet(text: &str) -> Map<String, Value> {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(key, value)| (key.trim().to_owned(), Value::from(value.trim()))).collect()
}

fn paths(value: &Value) -> Vec<Option<String>> {
    match value {
        Value::Array(list) => list.iter().map(|one| one.as_str().map(str::to_owned)).collect(),
        Value::String(one) => vec![Some(one.clone())],
        Value::Null => Vec::new(),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => vec![None],
    }
}

/// How many numbers `[points, 2 or 3]` makes.
fn key_points(shape: &Value) -> Result<usize, String> {
    let numbers: Option<Vec<u64>> = shape.as_array().and_then(|list| list.iter().map(whole).collect());
    match numbers.as_deref() {
        Some(&[points, each @ (2 | 3)]) if points > 0 && points < 10_000 => Ok((points * each) as usize),
        _ => Err(format!("kpt_shape is {shape}; it must be the number of key points, and 2 or 3 numbers for each")),
    }
}

/// A whole number, also written as text or as `2.0`.
fn whole(value: &Value) -> Option<u64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    number.filter(|number| number.fract() == 0.0 && (0.0..1e9).contains(number)).map(|number| number as u64)
}

fn lines(text: &str) -> BTreeMap<u64, String> {
    (0..).zip(text.trim_end().lines().map(|line| line.trim().to_owned())).collect()
}

fn listed(value: &Value) -> Option<BTreeMap<u64, String>> {
    let name = |value: &Value| match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    match value {
        Value::Array(list) => (0..).zip(list).map(|(number, one)| Some((number, name(one)?))).collect(),
        Value::Object(map) => {
            let number = |text: &String| whole(&Value::from(text.as_str()));
            let plain: Option<BTreeMap<u64, String>> =
                map.iter().map(|(key, one)| Some((number(key)?, name(one)?))).collect();
            // Some write names first and their numbers after them.
            plain.or_else(|| map.iter().map(|(key, one)| Some((whole(one)?, key.clone()))).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
    .filter(|names| names.values().all(|name| !name.is_empty()))
}
