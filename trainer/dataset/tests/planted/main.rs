//! Faults planted in copies of public data sets: each is found as what it is, where it is, and nothing else is said.
//!
//! Every set gets four faults of each kind that its task allows. The sets lie beside the project (see `sets`); a test whose
//! set is not there says so and does nothing.

#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod boxes;
mod files;
mod images;
mod labels;
mod outlines;
mod plot;
mod sets;
mod trees;

use ::files::Order;
use dataset::check::check;
use dataset::{DataError, sample_data};
use plot::Plot;
use schemas::Task;
use sets::Set;

/// Plants every kind that the task of a set allows, and looks for all of it.
fn sow(name: &str) {
    let Some(set) = Set::find(name) else { return };
    let untouched = Plot::of(&set);
    let mut all = plot::Tally::default();
    let mut plant = |how: fn(&mut Plot)| {
        let mut plot = untouched.again();
        how(&mut plot);
        all.add(plot.harvest());
    };
    plant(files::plant);
    plant(images::plant);
    plant(labels::plant);
    plant(labels::plant_groups);
    if untouched.has_boxes() {
        plant(boxes::plant);
    }
    println!("{name}: {} planted faults of {} kinds, all found", all.faults, all.kinds.len());
    assert!(all.faults >= 40 && all.kinds.len() >= 10, "{name}: {all:?}");
}

/// What is told by names alone needs all rows of a set for each fault, so that one set has to do.
#[test]
fn names_of_parts_and_groups_and_folders_are_found_in_signs() {
    let Some(set) = Set::find("signs") else { return };
    let mut untouched = Plot::of(&set);
    untouched.train_alone();
    let mut all = plot::Tally::default();
    for names in labels::PARTS {
        let mut plot = untouched.again();
        labels::plant_parts(&mut plot, names);
        all.add(plot.harvest());
    }
    for name in labels::GROUPS {
        let mut plot = untouched.again();
        labels::plant_names(&mut plot, name);
        all.add(plot.harvest());
    }
    all.add(trees::sow(&set.folder.unwrap()));
    println!("signs, names: {} planted faults of {} kinds, all found", all.faults, all.kinds.len());
}

/// Larger generated sets than the tests of the check itself make, of several seeds.
#[test]
fn nothing_is_said_of_clean_data() {
    for task in Task::ALL {
        for (seed, count) in [(1, 600), (2, 300), (7, 300)] {
            let folder = tempfile::tempdir().unwrap();
            let order = Order { command: "sample-data", output: folder.path(), overwrite: false, reads: &[] };
            let made = match sample_data::generate(task, &order, seed, count) {
                Ok(made) => made,
                Err(DataError::Setting { name: "task", .. }) => {
                    println!("skipped: no images are generated for {task}");
                    break;
                }
                Err(error) => panic!("{error}"),
            };
            let mut request = plot::request(task, &made.train);
            (request.validation, request.test) = (Some(made.validation), Some(made.test));
            let found = check(&request, &|_, _| ()).unwrap().report.findings;
            assert!(found.is_empty(), "{task} {seed}: {found:?}");
        }
    }
}

#[test]
fn all_are_found_in_fridge_classification() {
    sow("fridge/classification");
}

#[test]
fn all_are_found_in_fridge_multilabel() {
    sow("fridge/multilabel");
}

#[test]
fn all_are_found_in_fridge_detection() {
    sow("fridge/detection");
}

#[test]
fn all_are_found_in_fridge_segmentation() {
    sow("fridge/segmentation");
}

#[test]
fn outlines_of_fridge_segmentation_are_looked_at() {
    let Some(mut set) = Set::find("fridge/segmentation") else { return };
    set.task = Task::ImageInstanceSegmentation;
    for row in set.parts.iter_mut().flat_map(|(_, rows)| rows) {
        for object in row["label"].as_array_mut().unwrap() {
            // Most begin with the corner of the image, a slip of whoever wrote them.
            for ring in object["polygon"].as_array_mut().unwrap() {
                let ring = ring.as_array_mut().unwrap();
                if ring[0] == 0.0 && ring[1] == 0.0 {
                    ring.drain(..2);
                }
            }
        }
    }
    let untouched = Plot::of(&set);
    let mut all = plot::Tally::default();
    for plant in [outlines::plant, outlines::plant_boxes] {
        let mut plot = untouched.again();
        plant(&mut plot);
        all.add(plot.harvest());
    }
    println!("fridge/segmentation, outlines: {} planted faults of {} kinds, all found", all.faults, all.kinds.len());
}

#[test]
fn all_are_found_in_bccd() {
    sow("bccd");
}

#[test]
fn all_are_found_in_clothing() {
    sow("clothing");
}

#[test]
fn all_are_found_in_signs() {
    sow("signs");
}

#[test]
fn all_are_found_in_pcb() {
    sow("pcb");
}

#[test]
fn all_are_found_in_nuclei() {
    sow("nuclei");
}
