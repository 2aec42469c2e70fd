//! Names of classes, how many images a class has, and groups.

use schemas::Task;
use schemas::check::{DataPart, FindingKind as Kind};
use serde_json::{Value, json};

use crate::plot::{Place, Plot, boxed};

pub fn plant(plot: &mut Plot) {
    similar(plot);
    few(plot);
    untrained(plot);
}

/// The first name of a row's label.
fn name(row: &Value) -> Option<String> {
    let label = &row["label"];
    let one = [label, &label[0], &label[0]["label"]].into_iter().find_map(Value::as_str);
    one.map(str::to_owned)
}

/// A row's label under another name.
fn renamed(plot: &Plot, place: Place, to: &str) -> Value {
    match plot.task {
        Task::ImageClassification => to.into(),
        Task::ImageClassificationMultilabel => json!([to]),
        Task::ImageObjectDetection | Task::ImageInstanceSegmentation => {
            let mut label = plot.row(place)["label"].clone();
            label[0]["label"] = to.into();
            label
        }
    }
}

fn rename(plot: &mut Plot, place: Place, to: &str) {
    let label = renamed(plot, place, to);
    plot.change(place, |row| row["label"] = label);
}

/// Names that differ by capitals, a space, an underscore or a tab, and a dot.
fn similar(plot: &mut Plot) {
    for number in 0..4 {
        let place = plot.take(|row| name(row).is_some());
        let name = name(&plot.row(place)).unwrap();
        let other = match number {
            0 if name.to_uppercase() == name && name.to_lowercase() == name => format!(" {name}"),
            0 if name.to_uppercase() == name => name.to_lowercase(),
            0 => name.to_uppercase(),
            1 => format!("{name} "),
            // A mark before a digit may be a minus.
            2 if name.starts_with(|c: char| c.is_ascii_digit()) => format!("\t{name}"),
            2 => format!("_{name}"),
            _ => format!("{name}."),
        };
        rename(plot, place, &other);
        plot.planted(Kind::SimilarClassName, [place]);
        plot.planted(Kind::FewImages, [place]);
    }
}

/// Classes with one, two, three and four images.
fn few(plot: &mut Plot) {
    for (number, class) in ["glove", "lamp", "ladder", "violin"].into_iter().enumerate() {
        let places: Vec<Place> = (0..=number).map(|_| plot.take(|row| name(row).is_some())).collect();
        for &place in &places {
            rename(plot, place, class);
        }
        plot.planted(Kind::FewImages, places);
    }
}

/// Classes that only the other parts have.
fn untrained(plot: &mut Plot) {
    for (number, class) in ["drum", "anvil", "kettle", "sail"].into_iter().enumerate() {
        let part = plot.other_part(number);
        let place = plot.rows(part).filter(|&place| name(&plot.row(place)).is_some()).nth(number * 2).unwrap();
        rename(plot, place, class);
        plot.planted(Kind::UntrainedClass, [place]);
    }
}

/// Groups of which rows stand in two parts.
pub fn plant_groups(plot: &mut Plot) {
    plot.group_column = Some("patient");
    for part in plot.parts() {
        for place in plot.rows(part).collect::<Vec<_>>() {
            let group = format!("{}-{}", part.as_str(), place.1 / 7);
            plot.change(place, |row| row["patient"] = group.into());
        }
    }
    for number in 0..4 {
        let part = plot.other_part(number);
        let place = plot.rows(part).nth(number * 2).unwrap();
        let group = format!("training-{}", number + 1);
        // Findings show the first rows of either side.
        let first = plot.rows(DataPart::Training).find(|&place| plot.row(place)["patient"] == group.as_str()).unwrap();
        plot.change(place, |row| row["patient"] = group.into());
        plot.planted(Kind::SplitGroup, [first, place]);
    }
}

/// Names of parts in place of classes, as trees of folders and tables of others lead to them.
pub const PARTS: [[&str; 2]; 4] =
    [["Train", "VALID"], ["training_set", "test_set"], ["train", "dev"], ["Validation", "something"]];

/// Gives rows the names of parts as labels.
pub fn plant_parts(plot: &mut Plot, names: [&str; 2]) {
    for place in plot.rows(DataPart::Training).collect::<Vec<_>>() {
        rename(plot, place, names[place.1 as usize % 2]);
    }
    let first = plot.rows(DataPart::Training).find(|&place| name(&plot.row(place)).as_deref() == Some(names[0]));
    plot.planted(Kind::PartAsClass, first);
}

/// Names of files that tell of groups, by the number of a group and of an image.
pub const GROUPS: [fn(usize, usize) -> String; 4] = [
    |group, image| format!("patient{group}_{image:03}.jpg"),
    |group, image| format!("p{group}-{image}.jpg"),
    |group, image| format!("2024-05-{:02}_{image:04}.jpg", group + 1),
    |group, image| format!("scene {group}/{image:04}.jpg"),
];

/// Names images after groups, of which the first is the largest.
pub fn plant_names(plot: &mut Plot, name: fn(usize, usize) -> String) {
    let rows: Vec<Place> = plot.rows(DataPart::Training).collect();
    for (number, &place) in rows.iter().enumerate() {
        plot.relink(place, &name(number.saturating_sub(3) / 6, number));
    }
    plot.planted(Kind::SuggestedGroup, [rows[0]]);
}

/// A row's first object, as a box.
pub fn first_box(row: &Value) -> Option<[f64; 4]> {
    let mut corners = None;
    let object = row["label"].get(0)?;
    boxed(object, |found| {
        corners = Some(found);
        found
    });
    corners
}
