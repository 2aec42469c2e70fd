//! Where masks and images lie.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::super::locate::{child, files_below, visible};
use super::super::{absolute, io_error, part_name, text, wrong};
use super::{MaskKind, MaskOptions};
use crate::DataError;
use crate::convert::find::has_image_ending;
use crate::convert::parts::part_named;

/// Folders of masks by their usual names.
const MASKS: [&str; 4] = ["SegmentationObject", "masks", "mask", "instance_masks"];
/// Folders of images by their usual names.
const IMAGES: [&str; 5] = ["JPEGImages", "images", "image", "imgs", "img"];
/// What some add to the name of an image for that of its mask.
const ENDINGS: [&str; 8] = ["_mask", "-mask", "_masks", "_label", "_labels", "_ids", "_instances", "_gt"];
/// Folders deeper than this below the one that is named are not looked into.
const DEPTH: usize = 4;

/// The masks of one image.
#[derive(Debug)]
pub struct Sample {
    /// Such as `train`.
    pub part: String,
    /// The folder or file of its masks.
    pub place: PathBuf,
    /// Its image.
    pub image: Result<PathBuf, String>,
    /// What a file holds.
    pub kind: MaskKind,
    /// The files of its masks.
    pub files: Vec<MaskFile>,
}

/// A file of masks.
#[derive(Debug)]
pub struct MaskFile {
    /// Where it is.
    pub path: PathBuf,
    /// The class that its folder is named after.
    pub class: Option<String>,
}

/// What lies in a folder.
#[derive(Debug, Default)]
pub struct Layout {
    /// The images with masks, by part and place.
    pub samples: Vec<Sample>,
    /// Masks of classes in Pascal VOC's layout.
    pub class_masks: Option<PathBuf>,
    /// XML files in Pascal VOC's layout.
    pub annotations: Option<PathBuf>,
    /// Names of the colours of classes.
    pub label_map: Option<PathBuf>,
    /// What was taken for granted.
    pub notes: Vec<String>,
}

impl Layout {
    /// Looks through a folder.
    ///
    /// # Errors
    /// It holds no masks, or nothing says where images are.
    pub fn find(root: &Path, options: &MaskOptions) -> Result<Self, DataError> {
        let metadata = fs::metadata(root).map_err(|source| io_error("read", root, source))?;
        if !metadata.is_dir() {
            return Err(wrong(root, "is no folder; name the folder that holds the masks"));
        }
        let images = options.images.as_deref().map(absolute).transpose()?;
        let mut layout = Self::default();
        let mut folders = Vec::new();
        named_folders(root, 0, &mut folders);
        if folders.is_empty() {
            let lone = child(root, &["SegmentationClass"]).filter(|path| path.is_dir());
            if let Some(lone) = lone {
                let message = "holds pixels of classes, and there is no SegmentationObject that tells one object from the next; \
                               if each image shows one object of a class, name this folder and say --kind ids";
                return Err(wrong(&lone, message));
            }
            folders.push(root.to_owned());
        }
        for folder in folders {
            // VOC's own layout, whose other folders say more.
            let base = folder.parent().unwrap_or(root).to_owned();
            let is_voc = folder.file_name().is_some_and(|name| name.eq_ignore_ascii_case("SegmentationObject"));
            let beside = |name: &str| child(&base, &[name]).filter(|path| path.is_file());
            layout.label_map = layout.label_map.take().or_else(|| beside("label_map.json"));
            if is_voc {
                let beside = |name: &str| child(&base, &[name]).filter(|path| path.exists());
                layout.class_masks = beside("SegmentationClass");
                layout.annotations = beside("Annotations");
                layout.label_map = beside("labelmap.txt");
            }
            let of_parts: Vec<PathBuf> =
                visible(&folder).into_iter().filter(|path| path.is_dir() && part_of(path).is_some()).collect();
            let before = layout.samples.len();
            if of_parts.is_empty() {
                layout.gather(&Room { root, masks: &folder, base: &base, part: None }, images.as_deref(), options)?;
            }
            for masks in &of_parts {
                let part = part_of(masks);
                layout.gather(&Room { root, masks, base: &base, part }, images.as_deref(), options)?;
            }
            if is_voc {
                layout.by_lists(&base, before)?;
            }
        }
        if layout.samples.is_empty() {
            return Err(wrong(root, "holds no masks: no PNG or TIFF files in it or in folders called masks"));
        }
        layout.samples.sort_by(|a, b| (&a.part, &a.place).cmp(&(&b.part, &b.place)));
        Ok(layout)
    }

    /// Adds the samples of a folder of masks.
    fn gather(&mut self, room: &Room, images: Option<&Path>, options: &MaskOptions) -> Result<(), DataError> {
        let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) = visible(room.masks).into_iter().partition(|p| p.is_dir());
        let mut files: Vec<PathBuf> = files.into_iter().filter(|path| has_image_ending(path)).collect();
        let own = child(room.base, &IMAGES).filter(|folder| folder.is_dir() && folder != room.masks);
        // A folder for each image, as the Data Science Bowl has it.
        let lone = own.as_deref().or(Some(room.base)).filter(|folder| *folder != room.masks).and_then(only_image);
        let matches = lone.as_ref().is_some_and(|image| files.len() == 1 && same_name(image, &files[0]));
        if let Some(image) = lone.filter(|_| images.is_none() && !matches && options.kind != Some(MaskKind::Ids)) {
            self.samples.extend(of_lone_image(room, image, &folders, files));
            return Ok(());
        }
        let folder = match (images, own) {
            (Some(images), _) => images.to_owned(),
            (None, Some(own)) => own,
            (None, None) if files.is_empty() && folders.iter().all(|folder| image_files(folder).is_empty()) => {
                return Ok(());
            }
            (None, None) => {
                let message =
                    "holds masks, and there is no folder of images beside it; say where they are with --images FOLDER";
                return Err(wrong(room.masks, message));
            }
        };
        let within = room.part.and_then(|_| child(&folder, &[&name_of(room.masks)])).filter(|path| path.is_dir());
        let known = Images::below(&within.unwrap_or(folder), room.masks);
        let mut samples: BTreeMap<(String, MaskKindKey), Sample> = BTreeMap::new();
        let mut put = |stem: String, kind: MaskKind, file: MaskFile| {
            let image = known.of(&stem);
            let key = image.as_ref().map_or(stem, |path| path.display().to_string());
            let (part, place) = (room.part_name(), file.path.clone());
            let sample =
                samples.entry((key, kind.into())).or_insert(Sample { part, place, image, kind, files: Vec::new() });
            sample.files.push(file);
        };
        let direct = options.kind.unwrap_or(MaskKind::Ids);
        // A file of one object is called after its image and a number.
        let stem = |path: &Path| match direct {
            MaskKind::Instances => known.begun_by(&stem_of(path)),
            MaskKind::Ids => stem_of(path),
        };
        files.sort();
        for path in files {
            put(stem(&path), direct, MaskFile { path, class: None });
        }
        for folder in folders {
            let name = name_of(&folder);
            let is_image = known.has(&name);
            for path in image_files(&folder) {
                match is_image {
                    true => {
                        let kind = options.kind.unwrap_or(MaskKind::Instances);
                        put(name.clone(), kind, MaskFile { path, class: None });
                    }
                    false => put(stem(&path), direct, MaskFile { path, class: Some(name.clone()) }),
                }
            }
        }
        self.samples.extend(samples.into_values());
        let used = known.used(&self.samples);
        let others = known.count() - used;
        if others > 0 {
            self.notes.push(format!(
                "images of {} without masks, left out since it is not known whether they show anything: {others}",
                known.folder.display()
            ));
        }
        Ok(())
    }

    /// Puts the samples from `from` on into the parts that VOC's lists name.
    fn by_lists(&mut self, base: &Path, from: usize) -> Result<(), DataError> {
        let lists = visible(&base.join("ImageSets/Segmentation"));
        let mut of: BTreeMap<String, String> = BTreeMap::new();
        // `trainval` names what `train` and `val` name.
        let is_part = |path: &PathBuf| part_named(&stem_of(path)).is_some();
        let any = lists.iter().any(is_part);
        for list in lists.iter().filter(|list| !any || is_part(list)) {
            for line in text::read(list)?.lines().map(str::trim).filter(|line| !line.is_empty()) {
                of.entry(line.to_owned()).or_insert_with(|| part_name(list));
            }
        }
        if of.is_empty() {
            return Ok(());
        }
        let listed = self.samples.split_off(from);
        let all = listed.len();
        let named = listed.into_iter().filter_map(|mut sample| {
            sample.part = of.get(&stem_of(&sample.place))?.clone();
            Some(sample)
        });
        self.samples.extend(named);
        let unnamed = all - (self.samples.len() - from);
        if unnamed > 0 {
            self.notes.push(format!("masks in no list of ImageSets/Segmentation, which are not read: {unnamed}"));
        }
        Ok(())
    }
}

/// The files in a folder that are named as images are.
fn image_files(folder: &Path) -> Vec<PathBuf> {
    visible(folder).into_iter().filter(|path| path.is_file() && has_image_ending(path)).collect()
}

/// The only image that a folder of masks is for: an object in each file, those in folders of the class of that name.
fn of_lone_image(room: &Room, image: PathBuf, folders: &[PathBuf], files: Vec<PathBuf>) -> Option<Sample> {
    let of_class = folders.iter().flat_map(|folder| {
        let class = folder.file_name().map(|name| name.to_string_lossy().into_owned());
        image_files(folder).into_iter().map(move |path| MaskFile { path, class: class.clone() })
    });
    let plain = files.into_iter().map(|path| MaskFile { path, class: None });
    let files: Vec<MaskFile> = plain.chain(of_class).collect();
    let (part, place) = (room.part_name(), room.masks.to_owned());
    (!files.is_empty()).then_some(Sample { part, place, image: Ok(image), kind: MaskKind::Instances, files })
}

/// A folder of masks and where it stands.
struct Room<'a> {
    root: &'a Path,
    masks: &'a Path,
    base: &'a Path,
    part: Option<&'static str>,
}

impl Room<'_> {
    /// The part that one of the folders down to the masks is named after, or else the folder that was named.
    fn part_name(&self) -> String {
        let below = self.masks.strip_prefix(self.root).unwrap_or(Path::new(""));
        let named = below.iter().find_map(|name| part_named(&name.to_string_lossy()));
        self.part.or(named).map_or_else(|| part_name(self.root), str::to_owned)
    }
}

/// [`MaskKind`] as part of a key.
type MaskKindKey = bool;

impl From<MaskKind> for MaskKindKey {
    fn from(kind: MaskKind) -> Self {
        kind == MaskKind::Ids
    }
}

/// Folders of masks by their names, from the named one down.
fn named_folders(folder: &Path, at: usize, found: &mut Vec<PathBuf>) {
    let is_named = |name: &str| MASKS.iter().any(|known| known.eq_ignore_ascii_case(name));
    if is_named(&name_of(folder)) {
        found.push(folder.to_owned());
        return;
    }
    if at == DEPTH {
        return;
    }
    for inner in visible(folder).into_iter().filter(|path| path.is_dir() && !path.is_symlink()) {
        named_folders(&inner, at + 1, found);
    }
}

fn part_of(folder: &Path) -> Option<&'static str> {
    part_named(&name_of(folder))
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn stem_of(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn same_name(one: &Path, other: &Path) -> bool {
    let bare = stem_of(other).to_lowercase();
    let bare = ENDINGS.iter().find_map(|ending| bare.strip_suffix(ending)).unwrap_or(&bare).to_owned();
    stem_of(one).to_lowercase() == bare
}

/// The image of a folder that holds one alone.
fn only_image(folder: &Path) -> Option<PathBuf> {
    let images: BTreeSet<PathBuf> =
        visible(folder).into_iter().filter(|path| path.is_file() && has_image_ending(path)).collect();
    if images.len() == 1 { images.into_iter().next() } else { None }
}

/// Images by the names of their files without endings.
struct Images {
    folder: PathBuf,
    by_stem: BTreeMap<String, Vec<PathBuf>>,
}

impl Images {
    /// The images in and below a folder, but those in `masks`.
    fn below(folder: &Path, masks: &Path) -> Self {
        let mut by_stem: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        let is_other = |path: &Path| !path.starts_with(masks) || folder.starts_with(masks);
        for path in files_below(folder, |path| has_image_ending(path) && is_other(path)) {
            by_stem.entry(stem_of(&path).to_lowercase()).or_default().push(path);
        }
        Self { folder: folder.to_owned(), by_stem }
    }

    fn count(&self) -> usize {
        self.by_stem.values().map(Vec::len).sum()
    }

    /// How many are images of samples.
    fn used(&self, samples: &[Sample]) -> usize {
        let paths: BTreeSet<&PathBuf> = self.by_stem.values().flatten().collect();
        let used: BTreeSet<&PathBuf> = samples.iter().filter_map(|sample| sample.image.as_ref().ok()).collect();
        paths.intersection(&used).count()
    }

    /// Whether there are images of a mask's name, be it one or several.
    fn has(&self, stem: &str) -> bool {
        self.named(&stem.to_lowercase()).is_some()
    }

    /// The images of a mask's name in small letters, with what some add to it or without.
    fn named(&self, stem: &str) -> Option<&[PathBuf]> {
        let bare = ENDINGS.iter().filter_map(|ending| stem.strip_suffix(ending));
        std::iter::once(stem).chain(bare).find_map(|name| self.by_stem.get(name)).map(Vec::as_slice)
    }

    /// The only image of a mask's name.
    ///
    /// # Errors
    /// There is none, or there are several.
    fn of(&self, stem: &str) -> Result<PathBuf, String> {
        let stem = stem.to_lowercase();
        let missing = || format!("there is no image {stem}.* in {}", self.folder.display());
        let found = self.named(&stem).ok_or_else(missing)?;
        let near = found.iter().filter(|path| path.parent() == Some(&self.folder));
        match (found, near.collect::<Vec<_>>().as_slice()) {
            ([one], _) => Ok(one.clone()),
            (_, [one]) => Ok((*one).clone()),
            ([one, other, ..], _) => {
                Err(format!("its image could be {} or {}; name one of them otherwise", one.display(), other.display()))
            }
            ([], _) => Err(missing()),
        }
    }

    /// The longest beginning of a mask's name up to a `_`, `-` or `.` that is an image's: `a_1` of `a_1_2` where `a_1.jpg` is there.
    fn begun_by(&self, stem: &str) -> String {
        let cuts = stem.char_indices().rev().filter(|(_, c)| ['_', '-', '.'].contains(c)).map(|(at, _)| at);
        let mut starts = std::iter::once(stem.len()).chain(cuts).map(|at| &stem[..at]);
        starts.find(|start| !start.is_empty() && self.has(start)).unwrap_or(stem).to_owned()
    }
}
