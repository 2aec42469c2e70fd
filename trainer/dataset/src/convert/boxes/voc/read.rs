//! Images and objects of a VOC folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::super::draft::{Draft, Unit, settle};
use super::super::{Part, Sizes, absolute, io_error, part_name, text, wrong};
use super::annotation::Annotation;
use super::layout::{self, ImageFolders, Listed};
use super::pixels::Pixels;
use crate::DataError;
use crate::convert::find::{Found, has_image_ending};

/// Reads a VOC folder, or a folder of XML files. There is one part per list in `ImageSets/Main`, or, without lists, one for each
/// folder that is named as a part is, or one of all annotations in the order of their names. Lists of single classes
/// (`cat_train.txt`) are passed over. Images are looked for in `images`, or in the usual folders and beside the XML files. What
/// cannot be used of a file is left out and listed.
///
/// # Errors
/// There are no annotations, a list or folder cannot be read, or nothing of a part can be used.
pub fn read(root: &Path, images: Option<&Path>, pixels: Pixels, sizes: Sizes) -> Result<Vec<Part>, DataError> {
    let root = absolute(root)?;
    let metadata = std::fs::metadata(&root).map_err(|source| io_error("read", &root, source))?;
    if !metadata.is_dir() {
        return Err(wrong(&root, "is no folder; name the folder that holds the annotations"));
    }
    let annotations = layout::annotations(&root);
    let images = ImageFolders::new(&root, &annotations, images.map(absolute).transpose()?);
    let reader = Reader { images, pixels, sizes };
    let lists = lists(&root, &annotations)?;
    let listed = if lists.is_empty() { layout::parts(&root, &annotations) } else { lists };
    if listed.iter().all(|part| part.annotations.is_empty()) {
        return Err(wrong(&annotations, "holds no annotation; expected XML files, or a folder Annotations of them"));
    }
    listed.into_iter().map(|listed| reader.part(listed)).collect()
}

/// The parts that lists in `ImageSets/Main` name.
fn lists(root: &Path, annotations: &Path) -> Result<Vec<Listed>, DataError> {
    let mut parts = Vec::new();
    for list in super::super::locate::visible(&root.join("ImageSets/Main")) {
        if list.extension().is_none_or(|ending| !ending.eq_ignore_ascii_case("txt")) {
            continue;
        }
        let text = text::read(&list)?;
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let bare = |line: &str| {
            let path = Path::new(line);
            let ends = has_image_ending(path) || path.extension().is_some_and(|e| e.eq_ignore_ascii_case("xml"));
            if ends { path.with_extension("").display().to_string() } else { line.to_owned() }
        };
        let annotation = |line: &&str| annotations.join(format!("{}.xml", bare(line)));
        let of_class = |line: &&str| says_of_class(line) && !annotation(line).is_file();
        if !lines.is_empty() && lines.iter().all(of_class) {
            continue;
        }
        let names = lines.iter().map(annotation).collect();
        parts.push(Listed { name: part_name(&list), source: list, annotations: names });
    }
    Ok(parts)
}

/// Whether a line may say that an image shows a class (`000012 -1`), as in lists that are no part. A name with a blank and a
/// number looks the same.
fn says_of_class(line: &str) -> bool {
    line.rsplit_once(char::is_whitespace).is_some_and(|(_, flag)| ["-1", "0", "1"].contains(&flag))
}

struct Reader {
    images: ImageFolders,
    pixels: Pixels,
    sizes: Sizes,
}

/// How an annotation came to its image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    /// They have the same name.
    Own,
    /// The annotation names it.
    Named,
}

/// An image that an annotation describes.
struct Claimed {
    annotation: PathBuf,
    claim: Claim,
    draft: Draft,
}

impl Reader {
    fn part(&self, listed: Listed) -> Result<Part, DataError> {
        let mut part = Part { name: listed.name, ..Part::default() };
        let (mut claimed, mut stale, mut swapped) = (Vec::new(), 0, 0);
        for path in listed.annotations {
            let read = std::fs::read(&path).map_err(|error| format!("cannot be read: {error}"));
            let annotation =
                read.and_then(|bytes| text::xml(&bytes)).and_then(|text| Annotation::read(&text, self.pixels));
            let annotation = match annotation {
                Ok(annotation) => annotation,
                Err(reason) => {
                    part.leave_out_image(&path, "file".to_owned(), reason, 0);
                    continue;
                }
            };
            for (place, reason) in &annotation.left_out {
                part.leave_out(&path, place.clone(), reason.clone());
            }
            swapped += annotation.swapped;
            let objects = annotation.objects.len();
            match self.image(&path, &annotation.names) {
                Err(reason) => part.leave_out_image(&path, "image".to_owned(), reason, objects),
                Ok((image, claim, is_stale)) => {
                    stale += usize::from(is_stale);
                    let (source, place) = (path.clone(), "image".to_owned());
                    let Annotation { declared, objects, .. } = annotation;
                    let draft = Draft { source, place, path: image, declared, objects };
                    claimed.push(Claimed { annotation: path, claim, draft });
                }
            }
        }
        if stale > 0 {
            part.assumed
                .push(format!("{stale} annotations name another image than the one of their own name, which is taken"));
        }
        if swapped > 0 {
            part.assumed.push(format!("{swapped} boxes have their corners in another order, and were turned"));
        }
        let drafts = distinct(&mut part, claimed);
        part.assumed.extend(self.images.notes());
        settle(&mut part, drafts, Unit::Pixels(self.sizes));
        part.usable(&listed.source, "if they are elsewhere, say where with --images FOLDER:")
    }

    /// The image of an annotation: the one that has its name, or else the one it names; and whether it names another one than
    /// that it has. A file that was renamed or copied keeps the old name inside.
    fn image(&self, annotation: &Path, names: &[String]) -> Result<(PathBuf, Claim, bool), String> {
        let stem = annotation.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let named =
            || names.iter().map(|name| self.images.find(name)).find(|found| !matches!(found, Found::Missing(_)));
        if let Some(image) = self.images.of(annotation) {
            let last = |name: &String| {
                let name = name.replace('\\', "/");
                Path::new(name.rsplit('/').next().unwrap_or(&name)).with_extension("").to_string_lossy().to_lowercase()
            };
            let is_stale =
                names.first().is_some_and(|name| last(name) != stem.to_lowercase() && !name.ends_with(&stem));
            return Ok((image, Claim::Own, is_stale));
        }
        let missing = || names.first().map_or_else(|| self.images.find(&stem), |name| self.images.find(name));
        named().unwrap_or_else(missing).file().map(|image| (image, Claim::Named, false))
    }
}

/// The drafts of images that one annotation describes. Where several do, the one that has the image's name does; without one,
/// none.
fn distinct(part: &mut Part, claimed: Vec<Claimed>) -> Vec<Draft> {
    let mut by_image: BTreeMap<PathBuf, Vec<usize>> = BTreeMap::new();
    for (at, one) in claimed.iter().enumerate() {
        by_image.entry(one.draft.path.clone()).or_default().push(at);
    }
    let mut refused: BTreeMap<usize, usize> = BTreeMap::new();
    for all in by_image.values().filter(|all| all.len() > 1) {
        let owner = all.iter().copied().find(|&at| claimed[at].claim == Claim::Own);
        let losers: BTreeSet<usize> = all.iter().copied().filter(|&at| Some(at) != owner).collect();
        let other = |at: usize| owner.or_else(|| all.iter().copied().find(|&one| one != at)).unwrap_or(at);
        refused.extend(losers.into_iter().map(|at| (at, other(at))));
    }
    let sources: Vec<PathBuf> = claimed.iter().map(|one| one.annotation.clone()).collect();
    let mut drafts = Vec::with_capacity(claimed.len());
    for (at, one) in claimed.into_iter().enumerate() {
        match refused.get(&at) {
            None => drafts.push(one.draft),
            Some(&other) => {
                let (image, other) = (one.draft.path.display(), sources[other].display());
                let reason = format!("its image {image} is described by {other}, too");
                part.leave_out_image(&one.annotation, "image".to_owned(), reason, one.draft.objects.len());
            }
        }
    }
    drafts
}
