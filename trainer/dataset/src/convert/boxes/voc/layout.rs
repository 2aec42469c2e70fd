//! Where annotations and images lie: VOC's folders, LabelImg's, or XML files beside the images; a folder per part or lists.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::super::locate::{child, files_below, visible};
use super::super::part_name;
use crate::convert::IMAGE_EXTENSIONS;
use crate::convert::find::{Finder, Found, has_image_ending};
use crate::convert::parts::part_named;

/// Annotations that belong to one part.
pub struct Listed {
    /// Such as `train`.
    pub name: String,
    /// The folder or list that names them.
    pub source: PathBuf,
    /// The XML files.
    pub annotations: Vec<PathBuf>,
}

/// Folders of annotations by their usual names.
const ANNOTATIONS: [&str; 5] = ["Annotations", "annotation", "xmls", "xml", "labels"];
/// Folders of images by their usual names.
const IMAGES: [&str; 5] = ["JPEGImages", "images", "image", "imgs", "img"];

fn is_xml(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("xml"))
}

fn has_xml(folder: &Path) -> bool {
    visible(folder).iter().any(|path| is_xml(path) && path.is_file())
}

/// The folder of annotations of a data set: one of the usual names, or the folder itself.
pub fn annotations(root: &Path) -> PathBuf {
    let usual = child(root, &ANNOTATIONS).filter(|folder| folder.is_dir());
    // A folder of another tool's files may have such a name, too.
    usual.filter(|folder| !files_below(folder, is_xml).is_empty()).unwrap_or_else(|| root.to_owned())
}

/// The parts of a data set without lists: folders named as parts are, or all XML files as one; and what is to be said of it.
pub fn parts(root: &Path, annotations: &Path) -> (Vec<Listed>, Option<String>) {
    let of_folder = |folder: PathBuf| {
        let name = folder.file_name()?.to_string_lossy().into_owned();
        let annotations = files_below(&folder, is_xml);
        (!annotations.is_empty()).then_some(Listed { name, source: folder, annotations })
    };
    let folders = visible(annotations).into_iter().filter(|path| path.is_dir()).filter_map(of_folder);
    let (mut named, others): (Vec<Listed>, Vec<Listed>) = folders.partition(|one| part_named(&one.name).is_some());
    let names = |listed: &[Listed]| listed.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(", ");
    let apart = !named.is_empty() && !has_xml(annotations);
    let note = match apart {
        true if others.is_empty() => None,
        true => {
            Some(format!("WARNING: annotations in {} are not read: others are in folders of parts", names(&others)))
        }
        false if named.is_empty() => None,
        false => Some(format!(
            "WARNING: the annotations in {} are put together with those beside these folders; to keep the parts apart, convert \
             each folder by itself",
            names(&named)
        )),
    };
    if apart {
        named.iter_mut().for_each(|one| one.name = part_named(&one.name).unwrap_or_default().to_owned());
        return (named, note);
    }
    let files = files_below(annotations, is_xml);
    (vec![Listed { name: part_name(root), source: annotations.to_owned(), annotations: files }], note)
}

/// Where images are looked for.
pub struct ImageFolders {
    folders: Vec<PathBuf>,
    finder: Finder,
}

impl ImageFolders {
    /// `images`, or the usual folders of a data set and those of the annotations.
    pub fn new(root: &Path, annotations: &Path, images: Option<PathBuf>) -> Self {
        let named = |folder: &Path| child(folder, &IMAGES).filter(|path| path.is_dir());
        let usual = || {
            let mut folders: Vec<PathBuf> = named(root).into_iter().collect();
            // The annotations' folder was named, and its images stand beside it.
            folders.extend(root.parent().filter(|_| root == annotations).and_then(named));
            folders.extend([annotations.to_owned(), root.to_owned()]);
            folders.dedup();
            folders
        };
        let folders = images.map_or_else(usual, |images| vec![images]);
        Self { finder: Finder::new(folders.clone()), folders }
    }

    /// Finds an image by what an annotation calls it, and, of several, that in the folder that it names.
    pub fn find(&self, name: &str, folder: Option<&str>) -> Found {
        match (self.finder.find(name), folder) {
            (Found::Several(..), Some(folder)) => self.finder.find(&format!("{folder}/{name}")),
            (found, _) => found,
        }
    }

    /// The images that have the name of an annotation: beside it, or in or below one of the folders. Several where they differ
    /// in their endings alone.
    pub fn of(&self, annotation: &Path) -> Vec<PathBuf> {
        let stem = annotation.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let endings = IMAGE_EXTENSIONS.iter().flat_map(|ending| [(*ending).to_owned(), ending.to_uppercase()]);
        let mut names: Vec<String> = endings.map(|ending| format!("{stem}.{ending}")).collect();
        names.extend(has_image_ending(Path::new(&stem)).then(|| stem.clone()));
        let folders = annotation.parent().into_iter().chain(self.folders.iter().map(PathBuf::as_path));
        for folder in folders {
            let mut there: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).filter(|p| p.is_file()).collect();
            // There are file systems on which capital letters do not count.
            let mut known = BTreeSet::new();
            there.retain(|path| known.insert(fs::canonicalize(path).unwrap_or_else(|_| path.clone())));
            if !there.is_empty() {
                return there;
            }
        }
        // With its folders, of which those of the image may have the same names.
        match self.finder.find(&annotation.with_extension("").to_string_lossy()) {
            Found::Named(path) | Found::Elsewhere(path) => vec![path],
            Found::Several(..) | Found::Litter(_) | Found::Missing(_) => Vec::new(),
        }
    }

    /// What people should know of where images were found.
    pub fn notes(&self) -> Vec<String> {
        self.finder.notes()
    }
}
