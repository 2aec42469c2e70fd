//! Where the label file of an image is.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// A rule by which label files are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `../images/x/a.jpg` has its objects in `../labels/x/a.txt`.
    Swapped,
    /// `x/a.jpg` in `x/labels/a.txt`.
    Within,
    /// `x/a.jpg` in `labels/x/a.txt`.
    Above,
    /// `x/a.jpg` in `x/a.txt`.
    Beside,
}

impl Layout {
    const ALL: [Self; 4] = [Self::Swapped, Self::Within, Self::Above, Self::Beside];

    /// The first rule that finds a label file for one of the images, and how many images have theirs by another one only.
    pub fn of(images: &[PathBuf]) -> Option<(Self, usize)> {
        let has = |layout: Self, image: &PathBuf| layout.label_file(image).is_some_and(|file| file.is_file());
        let layout = Self::ALL.into_iter().find(|layout| images.iter().any(|image| has(*layout, image)))?;
        let other = |image: &&PathBuf| !has(layout, image) && Self::ALL.iter().any(|layout| has(*layout, image));
        Some((layout, images.iter().filter(other).count()))
    }

    /// Places that were looked at for an image.
    pub fn places(image: &Path) -> String {
        let mut places: Vec<String> = Vec::new();
        for file in Self::ALL.iter().filter_map(|layout| layout.label_file(image)) {
            let place = file.display().to_string();
            if !places.contains(&place) {
                places.push(place);
            }
        }
        places.join(", ")
    }

    /// The label file that an image would have; none where the rule has nothing to say.
    pub fn label_file(self, image: &Path) -> Option<PathBuf> {
        let name = Path::new(image.file_name()?).with_extension("txt");
        let folder = image.parent()?;
        Some(match self {
            Self::Swapped => swapped(folder)?.join(name),
            Self::Within => folder.join("labels").join(name),
            Self::Above => folder.parent()?.join("labels").join(folder.file_name()?).join(name),
            Self::Beside => folder.join(name),
        })
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Swapped => "in `labels`, beside `images`",
            Self::Within => "in `labels`, within the folder of the images",
            Self::Above => "in `labels`, beside the folder of the images",
            Self::Beside => "beside the images",
        }
    }
}

/// The folder with its last `images` (or darknet's `JPEGImages`) called `labels`.
fn swapped(folder: &Path) -> Option<PathBuf> {
    let parts: Vec<&OsStr> = folder.iter().collect();
    let is_images = |part: &&OsStr| ["images", "jpegimages"].iter().any(|name| part.eq_ignore_ascii_case(name));
    let at = parts.iter().rposition(is_images)?;
    let with = |name: &str| -> PathBuf {
        let swap = |(index, part): (usize, &&OsStr)| if index == at { name.into() } else { part.to_os_string() };
        parts.iter().enumerate().map(swap).collect()
    };
    let names = ["labels", "Labels", "LABELS"].map(with);
    names.iter().find(|folder| folder.is_dir()).or(names.first()).cloned()
}

/// Two images whose label file is the same one, as of `a.jpg` and `a.png`.
pub fn shared(images: &[PathBuf], layout: Layout) -> Option<[&Path; 2]> {
    let mut known: BTreeMap<PathBuf, &Path> = BTreeMap::new();
    for image in images {
        let file = layout.label_file(image).filter(|file| file.is_file());
        if let Some(other) = file.and_then(|file| known.insert(file, image)) {
            return Some([other, image]);
        }
    }
    None
}
