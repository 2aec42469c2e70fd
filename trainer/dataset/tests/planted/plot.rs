//! A copy of a data set, what was planted in it, and whether that is found.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use dataset::ReadOptions;
use dataset::check::{CheckRequest, check};
use models::host::{Limits, Rgb, decode};
use schemas::Task;
use schemas::check::{CheckReport, DataPart, Finding, FindingKind as Kind};
use serde_json::{Value, json};

use crate::sets::Set;

/// A row: its part, and its line from 1.
pub type Place = (DataPart, u64);

/// A fault: what it is, and the rows that a finding of it has to name.
#[derive(Debug)]
struct Fault {
    kind: Kind,
    places: Vec<Place>,
    /// Places of its objects in the label of the first row, where it has any.
    objects: Vec<u64>,
}

/// What was planted and found.
#[derive(Debug, Default)]
pub struct Tally {
    pub faults: usize,
    pub kinds: BTreeSet<Kind>,
}

impl Tally {
    pub fn add(&mut self, other: Self) {
        self.faults += other.faults;
        self.kinds.extend(other.kinds);
    }
}

/// A copy of a data set. Its images stay where they are until one is changed.
pub struct Plot {
    pub task: Task,
    pub group_column: Option<&'static str>,
    folder: tempfile::TempDir,
    parts: BTreeMap<DataPart, Vec<String>>,
    /// Training rows that nothing is said of and nothing was planted in, last first.
    free: Vec<usize>,
    faults: Vec<Fault>,
    before: CheckReport,
    files: usize,
}

impl Plot {
    /// A copy that nothing is planted in, with what is said of it already.
    pub fn of(set: &Set) -> Self {
        let rows = |rows: &[Value]| rows.iter().map(Value::to_string).collect();
        let mut plot = Self {
            task: set.task,
            group_column: None,
            folder: tempfile::tempdir().unwrap(),
            parts: set.parts.iter().map(|(part, all)| (*part, rows(all))).collect(),
            free: Vec::new(),
            faults: Vec::new(),
            before: empty(set.task),
            files: 0,
        };
        plot.before = plot.report();
        let single = |one: &&Finding| !is_of_many(one.kind);
        let said: BTreeSet<Place> = plot.before.findings.iter().filter(single).flat_map(places).collect();
        let rows = plot.parts[&DataPart::Training].len();
        plot.free = (0..rows).rev().filter(|&at| !said.contains(&(DataPart::Training, at as u64 + 1))).collect();
        plot
    }

    /// The same copy again.
    pub fn again(&self) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            parts: self.parts.clone(),
            free: self.free.clone(),
            faults: Vec::new(),
            before: self.before.clone(),
            ..*self
        }
    }

    pub fn has_boxes(&self) -> bool {
        self.task == Task::ImageObjectDetection
    }

    /// The parts beside the training part, over and over.
    pub fn other_part(&self, number: usize) -> DataPart {
        let others: Vec<DataPart> = self.parts.keys().copied().filter(|part| *part != DataPart::Training).collect();
        others[number % others.len()]
    }

    /// What was said to be of a kind before anything was planted.
    pub fn said(&self, kind: Kind) -> Vec<Place> {
        self.before.findings.iter().filter(|one| one.kind == kind).flat_map(places).collect()
    }

    /// A training row that nothing is said of yet and that is like this.
    pub fn take(&mut self, like: impl Fn(&Value) -> bool) -> Place {
        let at = self.free.iter().rposition(|&at| like(&self.row((DataPart::Training, at as u64 + 1))));
        let at = self.free.remove(at.expect("the set has a row of this sort"));
        (DataPart::Training, at as u64 + 1)
    }

    pub fn take_any(&mut self) -> Place {
        self.take(|_| true)
    }

    pub fn row(&self, (part, line): Place) -> Value {
        serde_json::from_str(&self.parts[&part][line as usize - 1]).unwrap()
    }

    pub fn change(&mut self, place: Place, change: impl FnOnce(&mut Value)) {
        let mut row = self.row(place);
        change(&mut row);
        self.parts.get_mut(&place.0).unwrap()[place.1 as usize - 1] = row.to_string();
    }

    /// Adds a line to a part.
    pub fn add_line(&mut self, part: DataPart, line: impl Into<String>) -> Place {
        let lines = self.parts.get_mut(&part).unwrap();
        lines.push(line.into());
        (part, lines.len() as u64)
    }

    /// Adds a row with a new image, labelled as another is.
    pub fn add(&mut self, part: DataPart, bytes: &[u8], like: &Value) -> Place {
        let mut row = like.clone();
        row["image_url"] = self.file(bytes).to_str().unwrap().into();
        self.add_line(part, row.to_string())
    }

    /// Places of all rows of a part.
    pub fn rows(&self, part: DataPart) -> impl Iterator<Item = Place> + use<> {
        (1..=self.parts[&part].len() as u64).map(move |line| (part, line))
    }

    /// Leaves all parts out but the training part.
    pub fn train_alone(&mut self) {
        self.parts.retain(|part, _| *part == DataPart::Training);
    }

    pub fn parts(&self) -> Vec<DataPart> {
        self.parts.keys().copied().collect()
    }

    pub fn bytes(&self, place: Place) -> Vec<u8> {
        fs::read(self.row(place)["image_url"].as_str().unwrap()).unwrap()
    }

    pub fn image(&self, place: Place) -> Rgb {
        decode(&self.bytes(place), &Limits::default()).unwrap()
    }

    /// Puts another image in the place of that of a row.
    pub fn replace(&mut self, place: Place, bytes: &[u8]) {
        let path = self.file(bytes);
        self.change(place, |row| row["image_url"] = path.to_str().unwrap().into());
    }

    fn file(&mut self, bytes: &[u8]) -> PathBuf {
        self.files += 1;
        // No number that could be that of a group.
        let name: String = self.files.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect();
        // Nor a folder of many.
        let folder = self.folder.path().join(&name);
        fs::create_dir(&folder).unwrap();
        let path = folder.join(format!("planted-{name}.img"));
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Gives the image of a row another name, in the folder of the copy.
    pub fn relink(&mut self, place: Place, name: &str) {
        let path = self.folder.path().join("images").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(self.row(place)["image_url"].as_str().unwrap(), &path).unwrap();
        self.change(place, |row| row["image_url"] = path.to_str().unwrap().into());
    }

    /// Notes that there is a fault now.
    pub fn planted(&mut self, kind: Kind, places: impl IntoIterator<Item = Place>) {
        let places = places.into_iter().collect();
        self.faults.push(Fault { kind, places, objects: Vec::new() });
    }

    /// The same, of objects by their places in the label of a row.
    pub fn planted_in(&mut self, kind: Kind, place: Place, objects: &[u64]) {
        self.faults.push(Fault { kind, places: vec![place], objects: objects.to_vec() });
    }

    fn report(&self) -> CheckReport {
        let list = |part: DataPart| self.folder.path().join(format!("{}.jsonl", part.as_str()));
        for (part, lines) in &self.parts {
            fs::write(list(*part), lines.join("\n") + "\n").unwrap();
        }
        let named = |part| self.parts.contains_key(&part).then(|| list(part));
        let mut request = request(self.task, &list(DataPart::Training));
        request.validation = named(DataPart::Validation);
        request.test = named(DataPart::Test);
        request.group_column = self.group_column.map(str::to_owned);
        check(&request, &|_, _| ()).unwrap().report
    }

    /// Looks for everything that was planted, and for nothing else.
    ///
    /// # Panics
    /// Something was not found, or something was found that is not there.
    pub fn harvest(self) -> Tally {
        let report = self.report();
        let all = || -> String {
            let line = |one: &Finding| format!("{} {:?} {}\n", one.kind.as_str(), places(one), one.message);
            report.findings.iter().filter(|one| !self.was_there(one)).map(line).collect()
        };
        for fault in &self.faults {
            let is_it = |one: &&Finding| one.kind == fault.kind && holds(one, fault);
            assert!(report.findings.iter().any(|one| is_it(&one)), "not found: {fault:?}; of what was:\n{}", all());
        }
        for one in report.findings.iter().filter(|one| !self.was_there(one)) {
            let is_planted = self.faults.iter().any(|fault| fault.kind == one.kind && holds(one, fault));
            assert!(is_planted, "a false alarm: {} {:?} {}", one.kind.as_str(), places(one), one.message);
            assert!(!one.message.is_empty() && !one.advice.is_empty());
        }
        Tally { faults: self.faults.len(), kinds: self.faults.iter().map(|fault| fault.kind).collect() }
    }

    /// Whether a finding was made before anything was planted.
    fn was_there(&self, one: &Finding) -> bool {
        // A copy of an image that is odd is odd, too, and joins the others.
        let same = |other: &&Finding| other.kind == one.kind && (is_of_many(one.kind) || places(other) == places(one));
        self.before.findings.iter().any(|other| same(&other))
    }
}

fn empty(task: Task) -> CheckReport {
    CheckReport {
        task,
        parts: vec![],
        classes: vec![],
        errors: 0,
        warnings: 0,
        notes: 0,
        findings: vec![],
        suspects: None,
    }
}

/// How a data set is checked.
pub fn request(task: Task, training: &Path) -> CheckRequest {
    let read = ReadOptions::new(task, 2);
    let side = if task == Task::ImageObjectDetection { 640 } else { 224 };
    let training = training.to_owned();
    CheckRequest { training, validation: None, test: None, group_column: None, side, read }
}

/// Whether a finding tells of all images of a data set that are alike.
fn is_of_many(kind: Kind) -> bool {
    use Kind::{Alpha, Cmyk, LargeImage, MixedGrey, Palette, SixteenBit, SmallImage, SuggestedGroup, TurnedImage};
    matches!(
        kind,
        Alpha | Cmyk | LargeImage | MixedGrey | Palette | SixteenBit | SmallImage | SuggestedGroup | TurnedImage
    )
}

fn places(finding: &Finding) -> Vec<Place> {
    finding.images.iter().filter_map(|image| Some((image.part, image.line?))).collect()
}

fn holds(finding: &Finding, fault: &Fault) -> bool {
    let named = places(finding);
    let objects = || finding.images.first().map(|image| image.objects.as_slice());
    fault.places.iter().all(|place| named.contains(place))
        && (fault.objects.is_empty() || objects() == Some(&fault.objects))
}

/// Corners of an object of a row, and the object as a box with other ones.
pub fn boxed(object: &Value, change: impl FnOnce([f64; 4]) -> [f64; 4]) -> Value {
    let corner = |name: &str| object[name].as_f64();
    let corners = match (corner("topX"), corner("topY"), corner("bottomX"), corner("bottomY")) {
        (Some(x1), Some(y1), Some(x2), Some(y2)) => [x1, y1, x2, y2],
        _ => outline_bounds(&object["polygon"]),
    };
    let [x1, y1, x2, y2] = change(corners);
    json!({ "label": object["label"], "topX": x1, "topY": y1, "bottomX": x2, "bottomY": y2, "isCrowd": 0 })
}

/// The box around an outline.
pub fn outline_bounds(polygon: &Value) -> [f64; 4] {
    let numbers = |at: usize| {
        let segments = polygon.as_array().unwrap().iter();
        let all = segments.flat_map(|one| one.as_array().unwrap().iter().skip(at).step_by(2));
        all.map(|number| number.as_f64().unwrap()).collect::<Vec<f64>>()
    };
    let (x, y) = (numbers(0), numbers(1));
    let least = |all: &[f64]| all.iter().copied().fold(f64::INFINITY, f64::min);
    let most = |all: &[f64]| all.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    [least(&x), least(&y), most(&x), most(&y)]
}
