//! Where annotations and images lie: VOC's folders, LabelImg's, or XML files beside the images; a folder per part or lists.

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
    child(root, &ANNOTATIONS).filter(|folder| folder.is_dir()).unwrap_or_else(|| root.to_owned())
}

/// The parts of a data set without lists: folders named as parts are, or all XML files as one.
pub fn parts(root: &Path, annotations: &Path) -> Vec<Listed> {
    if !has_xml(annotations) {
        let folders = || visible(annotations).into_iter().filter(|path| path.is_dir());
        let named = |folder: PathBuf| {
            let name = part_named(&folder.file_name()?.to_string_lossy())?.to_owned();
            let annotations = files_below(&folder, is_xml);
            (!annotations.is_empty()).then_some(Listed { name, source: folder, annotations })
        };
        let parts: Vec<Listed> = folders().filter_map(named).collect();
        if !parts.is_empty() {
            return parts;
        }
    }
    let files = files_below(annotations, is_xml);
    vec![Listed { name: part_name(root), source: annotations.to_owned(), annotations: files }]
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

    /// Finds an image by what an annotation calls it.
    pub fn find(&self, name: &str) -> Found {
        self.finder.find(name)
    }

    /// The image that has the name of an annotation: beside it, or in or below one of the folders.
    pub fn of(&self, annotation: &Path) -> Option<PathBuf> {
        let stem = annotation.file_stem()?.to_string_lossy().into_owned();
        let endings = IMAGE_EXTENSIONS.iter().flat_map(|ending| [(*ending).to_owned(), ending.to_uppercase()]);
        let mut names: Vec<String> = endings.map(|ending| format!("{stem}.{ending}")).collect();
        names.extend(has_image_ending(Path::new(&stem)).then(|| stem.clone()));
        let folders = annotation.parent().into_iter().chain(self.folders.iter().map(PathBuf::as_path));
        let mut paths = folders.flat_map(|folder| names.iter().map(move |name| folder.join(name)));
        paths.find(|path| path.is_file()).or_else(|| match self.find(&stem) {
            Found::Missing(_) => None,
            found @ (Found::Named(_) | Found::Elsewhere(_) | Found::Several(..)) => found.file().ok(),
        })
    }

    /// What people should know of where images were found.
    pub fn notes(&self) -> Vec<String> {
        self.finder.notes()
    }
}
