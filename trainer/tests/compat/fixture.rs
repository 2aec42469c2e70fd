//! A folder of files as it is kept in the repository, and back. Text stays text, in which [`PLACE`] stands for the folder; a file
//! of weights becomes its skeleton, and any other file is compressed.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::skeleton::{Skeleton, gunzip, gzip, sha256};

/// Stands for the folder that a fixture is restored in.
pub const PLACE: &str = "{PLACE}";
/// Stands for the checksum of a file that names that folder, and so has another one in every place.
const CHECKSUM: &str = "{SHA256}";
/// The record of what was written into a folder.
const RECORD: &str = ".fovea-written.json";
const SKELETON: &str = ".skeleton.gz";
const COMPRESSED: &str = ".gz";

/// Every file below a folder, by its path within, in order.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(&next).unwrap_or_else(|e| panic!("{}: {e}", next.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// Keeps the file `name` of `place` in `fixture`. `skeleton` is what becomes of a file of weights.
pub fn keep(place: &Path, name: &Path, fixture: &Path, skeleton: Option<&Skeleton>) {
    let bytes = fs::read(place.join(name)).unwrap();
    let target = |ending: &str| {
        let path = fixture.join(format!("{}{ending}", name.display()));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    };
    match (skeleton, String::from_utf8(bytes)) {
        (Some(skeleton), _) => skeleton.write(&target(SKELETON)),
        (None, Ok(text)) => {
            let text = text.replace(place.to_str().unwrap(), PLACE);
            let text = if name.ends_with(RECORD) { without_checksums(&place.join(name), &text) } else { text };
            fs::write(target(""), text).unwrap();
        }
        (None, Err(binary)) => gzip(&target(COMPRESSED), &binary.into_bytes()),
    }
}

/// A record without the checksums of files that name the folder.
fn without_checksums(record: &Path, text: &str) -> String {
    let folder = record.parent().unwrap();
    let place = record.ancestors().find(|folder| folder.join("data").is_dir() && folder.join("run").is_dir());
    let place = place.unwrap().to_str().unwrap();
    let mut text = text.to_owned();
    for (name, checksum) in listed(&text) {
        if fs::read_to_string(folder.join(&name)).is_ok_and(|contents| contents.contains(place)) {
            text = text.replace(&checksum, &checksum_of(&name));
        }
    }
    text
}

fn checksum_of(name: &str) -> String {
    format!("{CHECKSUM} {name}")
}

/// Files and checksums of a record.
fn listed(record: &str) -> Vec<(String, String)> {
    let record: Value = serde_json::from_str(record).unwrap();
    let writes = record["writes"].as_array().into_iter().flatten();
    let files = writes.flat_map(|write| write["files"].as_object().unwrap().clone());
    files.map(|(name, entry)| (name, entry["sha256"].as_str().unwrap().to_owned())).collect()
}

/// Restores everything that is kept in `fixture` below `place`.
pub fn restore(fixture: &Path, place: &Path) {
    let names = files(fixture);
    for name in &names {
        let (from, name) = (fixture.join(name), name.to_str().unwrap());
        let (name, bytes) = if let Some(name) = name.strip_suffix(SKELETON) {
            (name, Skeleton::read(&from).fill())
        } else if let Some(name) = name.strip_suffix(COMPRESSED) {
            (name, gunzip(&from))
        } else {
            let text = fs::read_to_string(&from).unwrap();
            (name, text.replace(PLACE, place.to_str().unwrap()).into_bytes())
        };
        let path = place.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    for name in names.iter().filter(|name| name.ends_with(RECORD)) {
        with_checksums(&place.join(name));
    }
}

/// Fills in the checksums of a restored record. Those that it has must be right.
fn with_checksums(record: &Path) {
    let folder = record.parent().unwrap();
    let mut text = fs::read_to_string(record).unwrap();
    for (name, checksum) in listed(&text) {
        let found = sha256(&fs::read(folder.join(&name)).unwrap());
        if checksum == checksum_of(&name) {
            text = text.replace(&checksum, &found);
        } else {
            assert_eq!(found, checksum, "{name}, which {} lists", record.display());
        }
    }
    fs::write(record, text).unwrap();
}
