//! Reading CVAT's file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::super::draft::{Draft, Unit, declared, settle};
use super::super::shapes::joined;
use super::super::{Part, Sizes, absolute, io_error, part_name, text, wrong};
use super::element::{Drawn, Image, images};
use super::shape;
use crate::DataError;
use crate::convert::find::Finder;
use crate::convert::parts::part_named;

/// Reads a file of CVAT for images 1.1 (or the `annotations.xml` of the folder of one): a part for each `subset`. Images are
/// looked for in `images`, or in `images` beside the file and beside it; `sizes` says what points are counted in where a declared
/// size is not the file's. Images and shapes that cannot be used are left out and listed.
///
/// # Errors
/// The file cannot be read, is of another kind, such as CVAT for video, or nothing of a part can be used.
pub fn read(path: &Path, folder: Option<&Path>, sizes: Sizes) -> Result<Vec<Part>, DataError> {
    let mut path = absolute(path)?;
    if path.is_dir() {
        path.push("annotations.xml");
    }
    let bytes = fs::read(&path).map_err(|source| io_error("read", &path, source))?;
    let text = text::xml(&bytes).map_err(|reason| wrong(&path, reason))?;
    let listed = images(&text).map_err(|reason| wrong(&path, reason))?;
    if listed.is_empty() {
        return Err(wrong(&path, "lists no image"));
    }
    let own = path.parent().unwrap_or(Path::new("/")).to_owned();
    let finder = match folder {
        Some(folder) => Finder::new(vec![absolute(folder)?]),
        None => Finder::new([own.join("images"), own].into_iter().filter(|folder| folder.is_dir()).collect()),
    };
    let mut gathered: BTreeMap<String, Gathered> = BTreeMap::new();
    for image in listed {
        let part = match image.tag.text("subset") {
            Some(subset) => part_named(subset).unwrap_or(subset).to_owned(),
            None => part_name(&path),
        };
        gathered.entry(part).or_default().take(&path, image, &finder);
    }
    let mut parts = Vec::new();
    for (name, Gathered { part, drafts, joined, .. }) in gathered {
        let mut part = Part { name, ..part };
        if joined > 0 {
            part.assumed.push(format!("shapes that are further parts of objects, as their group_id says: {joined}"));
        }
        settle(&mut part, drafts, Unit::Pixels(sizes));
        parts.push(part);
    }
    if let Some(first) = parts.first_mut() {
        first.assumed.extend(finder.notes());
    }
    parts.into_iter().map(|part| part.usable(&path, "say where the images are with --images FOLDER:")).collect()
}

/// The images of one part, as far as they have been read.
#[derive(Default)]
struct Gathered {
    part: Part,
    drafts: Vec<Draft>,
    /// By file, the image of the list that came first to it.
    known: BTreeMap<PathBuf, String>,
    joined: usize,
}

impl Gathered {
    fn take(&mut self, source: &Path, image: Image, finder: &Finder) {
        let place = match (image.tag.text("id"), image.tag.text("name")) {
            (Some(id), _) => format!("image {id}"),
            (None, name) => format!("image {:?}", name.unwrap_or_default()),
        };
        // Tags say what the whole image shows; they are no lost objects.
        let shapes: Vec<Drawn> = image.shapes.into_iter().filter(|shape| shape.tag.name != "tag").collect();
        let file = match image.tag.text("name") {
            Some(name) => finder.find(name).file(),
            None => Err("it has no name".to_owned()),
        };
        let file = file.and_then(|file| match self.known.get(&file) {
            Some(other) => Err(format!("its file {} is that of {other}, too", file.display())),
            None => Ok(file),
        });
        let file = match file {
            Ok(file) => file,
            Err(reason) => {
                self.part.leave_out_image(source, place, reason, shapes.len());
                return;
            }
        };
        self.known.insert(file.clone(), place.clone());
        let mut drawn = Vec::with_capacity(shapes.len());
        for (at, shape) in shapes.iter().enumerate() {
            let place = format!("{place}, shape {at}");
            match shape::read(shape, place.clone()) {
                Ok(shape) => drawn.push(shape),
                Err(reason) => self.part.leave_out(source, place, reason),
            }
        }
        let lost = shapes.len() - drawn.len();
        let (objects, parts) = joined(drawn);
        self.joined += parts;
        let declared = declared(|key| image.tag.number(key).ok(), ["width", "height"]);
        self.drafts.push(Draft { source: source.to_owned(), place, path: file, declared, objects, lost });
    }
}
