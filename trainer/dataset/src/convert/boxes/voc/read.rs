//! Images and objects of a VOC folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::super::draft::{Draft, Unit, settle};
use super::super::{Part, Sizes, absolute, io_error, part_name, text, wrong};
use super::annotation::Annotation;
use super::layout::{self, ImageFolders, Listed};
use super::pixels::Pixels;
use crate::DataError;
use crate::convert::find::{Found, has_image_ending, shared};

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
    let (listed, note) = if lists.is_empty() { layout::parts(&root, &annotations) } else { (lists, None) };
    // A part whose annotations are kept back, as those of a competition's test part are.
    let (listed, gone): (Vec<Listed>, Vec<Listed>) =
        listed.into_iter().partition(|part| part.annotations.iter().any(|path| path.is_file()));
    if listed.is_empty() {
        let message = match gone.iter().find(|part| !part.annotations.is_empty()) {
            None => "holds no annotation; expected XML files, or a folder Annotations of them".to_owned(),
            Some(part) => format!(
                "holds none of the annotations that {} names; the first is {}",
                part.source.display(),
                part.annotations[0].display()
            ),
        };
        return Err(wrong(&annotations, message));
    }
    let mut parts = listed.into_iter().map(|listed| reader.part(listed)).collect::<Result<Vec<Part>, _>>()?;
    if let Some(first) = parts.first_mut() {
        first.assumed.extend(note);
        for part in gone {
            let reason = match part.annotations.len() {
                0 => "it names no annotation".to_owned(),
                all => format!("none of the {all} annotations that it names is there"),
            };
            first.note(&part.source, "list".to_owned(), reason);
        }
    }
    Ok(parts)
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
        let file = |line: &str| annotations.join(format!("{}.xml", bare(line)));
        // A list of one class: a name, and whether the image shows it. A name may hold blanks, too.
        let of_class = |line: &&str| {
            let mark = line.split_whitespace().skip(1).last();
            mark.is_some_and(|mark| ["-1", "0", "1"].contains(&mark)) && !file(line).is_file()
        };
        if !lines.is_empty() && lines.iter().all(of_class) {
            continue;
        }
        let mut known = BTreeSet::new();
        let names: Vec<PathBuf> =
            lines.iter().map(|line| file(line)).filter(|path| known.insert(path.clone())).collect();
        parts.push(Listed { name: part_name(&list), source: list, annotations: names });
    }
    Ok(parts)
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
        let (mut claimed, mut stale, mut swapped, mut inner) = (Vec::new(), 0, 0, 0);
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
            inner += annotation.parts;
            let objects = annotation.objects.len();
            match self.image(&path, &annotation) {
                Err(reason) => part.leave_out_image(&path, "image".to_owned(), reason, objects),
                Ok((image, claim, is_stale)) => {
                    stale += usize::from(is_stale);
                    let (source, place) = (path.clone(), "image".to_owned());
                    let Annotation { declared, objects, left_out, .. } = annotation;
                    let draft = Draft { source, place, path: image, declared, objects, lost: left_out.len() };
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
        if inner > 0 {
            part.assumed.push(format!("{inner} parts of objects have boxes of their own, which are not read"));
        }
        let drafts = distinct(&mut part, claimed);
        part.assumed.extend(self.images.notes());
        settle(&mut part, drafts, Unit::Pixels(self.sizes));
        part.usable(&listed.source, "if they are elsewhere, say where with --images FOLDER:")
    }

    /// The image of an annotation: the one that has its name, or else the one it names; and whether it names another one than
    /// that it has. A file that was renamed or copied keeps the old name inside.
    fn image(&self, path: &Path, annotation: &Annotation) -> Result<(PathBuf, Claim, bool), String> {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let folder = annotation.folder.as_deref();
        let found = annotation.names.iter().map(|name| self.images.find(name, folder));
        let named = found.into_iter().find(|found| !matches!(found, Found::Missing(_)));
        let named_file = match &named {
            Some(Found::Named(file) | Found::Elsewhere(file)) => Some(file),
            Some(Found::Several(..) | Found::Litter(_) | Found::Missing(_)) | None => None,
        };
        match self.images.of(path).as_slice() {
            [] => {
                let first = annotation.names.first().map_or(stem.as_str(), String::as_str);
                named
                    .unwrap_or_else(|| self.images.find(first, folder))
                    .file()
                    .map(|image| (image, Claim::Named, false))
            }
            [own] => {
                let last = |name: &String| {
                    let name = name.replace('\\', "/");
                    let last = Path::new(name.rsplit('/').next().unwrap_or(&name));
                    last.with_extension("").to_string_lossy().to_lowercase()
                };
                let differs = |name: &String| last(name) != stem.to_lowercase() && !name.ends_with(&stem);
                let is_stale = match named_file {
                    Some(file) => file != own && annotation.names.first().is_some_and(differs),
                    None => annotation.names.first().is_some_and(differs),
                };
                Ok((own.clone(), Claim::Own, is_stale))
            }
            several => match several.iter().find(|own| named_file == Some(own)) {
                Some(own) => Ok((own.clone(), Claim::Own, false)),
                None => Err(Found::Several(several[0].clone(), several[1].clone()).file().err().unwrap_or_default()),
            },
        }
    }
}

/// The drafts of images that one annotation describes. Where several do, the one that has the image's name does, and of several
/// of these the one in a folder of the same name; without one, none.
fn distinct(part: &mut Part, claimed: Vec<Claimed>) -> Vec<Draft> {
    let mut by_image: BTreeMap<PathBuf, Vec<usize>> = BTreeMap::new();
    for (at, one) in claimed.iter().enumerate() {
        by_image.entry(one.draft.path.clone()).or_default().push(at);
    }
    let mut refused: BTreeMap<usize, usize> = BTreeMap::new();
    for all in by_image.values().filter(|all| all.len() > 1) {
        let near = |at: usize| shared(&claimed[at].annotation.to_string_lossy(), &claimed[at].draft.path);
        let own: Vec<usize> = all.iter().copied().filter(|&at| claimed[at].claim == Claim::Own).collect();
        let nearest = own.iter().map(|&at| near(at)).max();
        let best: Vec<usize> = own.into_iter().filter(|&at| Some(near(at)) == nearest).collect();
        let owner = best.first().copied().filter(|_| best.len() == 1);
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
