//! Reading LabelMe's files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::super::coco::{lenient, number};
use super::super::draft::{Draft, Unit, declared, settle};
use super::super::locate::files_below;
use super::super::shapes::joined;
use super::super::{Part, Sizes, absolute, io_error, part_name, wrong};
use super::shape;
use crate::DataError;
use crate::convert::find::Finder;
use crate::convert::parts::part_named;

/// Reads a LabelMe file, or all in and below a folder: a part for each folder that is named as one. Images are looked for beside
/// each file, or in `images`; `sizes` says what points are counted in where a declared size is not the file's. Shapes and files
/// that cannot be used are left out and listed.
///
/// # Errors
/// There is no LabelMe file, or nothing of a part can be used.
pub fn read(root: &Path, images: Option<&Path>, sizes: Sizes) -> Result<Vec<Part>, DataError> {
    let root = absolute(root)?;
    let is_json = |path: &Path| path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
    let metadata = fs::metadata(&root).map_err(|source| io_error("read", &root, source))?;
    let files = if metadata.is_dir() { files_below(&root, is_json) } else { vec![root.clone()] };
    let images = images.map(absolute).transpose()?;
    let mut gathered: BTreeMap<String, Gathered> = BTreeMap::new();
    let (mut read, mut last) = (0, String::new());
    for file in files {
        let map = match document(&file) {
            Ok(map) => map,
            Err(reason) => {
                last = format!("; {} {reason}", file.display());
                let gathered = gathered.entry(part_of(&root, &file)).or_default();
                gathered.part.leave_out_image(&file, "file".to_owned(), reason, 0);
                continue;
            }
        };
        read += 1;
        gathered.entry(part_of(&root, &file)).or_default().take(&file, &map, images.as_deref());
    }
    if read == 0 {
        return Err(wrong(&root, format!("holds no LabelMe file, which is JSON with shapes and imagePath{last}")));
    }
    // Files of other programs alone are no part.
    let (kept, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
        gathered.into_iter().partition(|(_, gathered)| gathered.files > 0);
    let mut parts = Vec::new();
    for (name, gathered) in kept {
        parts.push(
            gathered
                .settled(name, sizes)
                .usable(&root, "images are looked for beside the files, or in --images FOLDER:")?,
        );
    }
    if let Some(first) = parts.first_mut() {
        first.left_out.extend(others.into_values().flat_map(|gathered| gathered.part.left_out));
    }
    Ok(parts)
}

fn part_of(root: &Path, file: &Path) -> String {
    let folders = file.parent().and_then(|folder| folder.strip_prefix(root).ok()).unwrap_or(Path::new(""));
    let named = folders.iter().find_map(|name| part_named(&name.to_string_lossy()));
    named.map_or_else(|| part_name(root), str::to_owned)
}

/// The object in a LabelMe file.
fn document(file: &Path) -> Result<Map<String, Value>, String> {
    let bytes = fs::read(file).map_err(|error| format!("cannot be read: {error}"))?;
    let value: Value = serde_json::from_slice(&lenient(bytes)?).map_err(|error| format!("is no JSON: {error}"))?;
    match value {
        Value::Object(map) if map.get("shapes").is_some_and(Value::is_array) => Ok(map),
        Value::Object(map) if map.contains_key("annotations") && map.contains_key("images") => {
            Err("is a COCO file; convert it with `trainer convert coco`".to_owned())
        }
        _ => Err("is no LabelMe file: it has no list of shapes".to_owned()),
    }
}

/// The images of one part, as far as they have been read.
#[derive(Default)]
struct Gathered {
    part: Part,
    drafts: Vec<Draft>,
    /// By image, the file that describes it.
    known: BTreeMap<PathBuf, PathBuf>,
    files: usize,
    joined: usize,
    finders: BTreeMap<PathBuf, Finder>,
}

impl Gathered {
    fn take(&mut self, file: &Path, map: &Map<String, Value>, images: Option<&Path>) {
        self.files += 1;
        let listed = map.get("shapes").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let folder = images.or(file.parent()).unwrap_or(Path::new("")).to_owned();
        let finder = self.finders.entry(folder.clone()).or_insert_with(|| Finder::new(vec![folder]));
        let stem = || file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let named = map.get("imagePath").and_then(Value::as_str).filter(|name| !name.trim().is_empty());
        let image = match finder.find(named.map_or_else(stem, str::to_owned).as_str()).file() {
            Ok(image) => image,
            Err(mut reason) => {
                if map.get("imageData").is_some_and(Value::is_string) {
                    reason.push_str("; the copy in imageData is not read");
                }
                self.part.leave_out_image(file, "file".to_owned(), reason, listed.len());
                return;
            }
        };
        if let Some(other) = self.known.get(&image) {
            let reason = format!("its image {} is described by {}, too", image.display(), other.display());
            self.part.leave_out_image(file, "file".to_owned(), reason, listed.len());
            return;
        }
        self.known.insert(image.clone(), file.to_owned());
        let mut shapes = Vec::with_capacity(listed.len());
        for (at, value) in listed.iter().enumerate() {
            let place = format!("shape {at}");
            match shape::read(value, place.clone()) {
                Ok(shape) => shapes.push(shape),
                Err(reason) => self.part.leave_out(file, place, reason),
            }
        }
        let lost = listed.len() - shapes.len();
        let (objects, parts) = joined(shapes);
        self.joined += parts;
        let declared = declared(|key| number(map.get(key)?), ["imageWidth", "imageHeight"]);
        let (source, place) = (file.to_owned(), "file".to_owned());
        self.drafts.push(Draft { source, place, path: image, declared, objects, lost });
    }

    fn settled(self, name: String, sizes: Sizes) -> Part {
        let mut part = Part { name, ..self.part };
        part.assumed.extend(self.finders.values().flat_map(Finder::notes));
        if self.joined > 0 {
            part.assumed
                .push(format!("shapes that are further parts of objects, as their group_id says: {}", self.joined));
        }
        settle(&mut part, self.drafts, Unit::Pixels(sizes));
        part
    }
}
