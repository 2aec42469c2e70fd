//! Reading a COCO file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use models::host::mask::{Fill, Mask};

use super::super::draft::{Draft, DraftObject, Unit, box_used, settle};
use super::super::frame::StoredSize;
use super::super::{Part, Sizes, absolute, io_error, part_name, wrong};
use super::file::{Annotation, Category, Image, Listed, Root, Top, Unusable};
use super::json::{lenient, with_other_zeros};
use super::{foreign, unit};
use crate::DataError;
use crate::convert::find::{Finder, Found};
use crate::convert::folder_of;

/// Reads a COCO file. Images are looked for below `images`, or below the file's own folder and then in the usual ones beside it;
/// `sizes` says what boxes are counted in where a declared size is not the file's. Images, annotations and categories that
/// cannot be used are left out and listed.
///
/// # Errors
/// The file cannot be read or is no COCO file, two of its images or categories have one id, some boxes are pixels and others
/// fractions, or nothing of it can be used.
pub fn read(path: &Path, images: Option<&Path>, sizes: Sizes) -> Result<Part, DataError> {
    let top = parse(path)?;
    let mut part = Part { name: part_name(path), ..Part::default() };
    let listed = list(top.images).map_err(|_| wrong(path, foreign::of_object(&Top::default())))?;
    let annotations = match top.annotations {
        None => {
            part.assumed.push("the file has no annotations, so that all images are background".to_owned());
            Vec::new()
        }
        some => list(some).map_err(|what| wrong(path, format!("its annotations are {what}, not a list")))?,
    };
    let categories = named(path, &mut part, top.categories, annotations.is_empty())?;
    let finder = match images {
        Some(folder) => Finder::new(vec![absolute(folder)?]),
        None => beside(path)?,
    };
    let mut images = Images::default();
    images.add(path, &mut part, listed, &finder)?;
    part.assumed.extend(finder.notes());
    let mut zeros = Zeros::default();
    for (at, annotation) in annotations.into_iter().enumerate() {
        let place =
            |id: Option<&String>| id.map_or_else(|| format!("annotations[{at}]"), |id| format!("annotation {id}"));
        let mut annotation = match annotation {
            Ok(annotation) => annotation,
            Err(Unusable { reason, image }) => {
                images.lose(image.as_ref());
                part.leave_out(path, place(None), reason);
                continue;
            }
        };
        let place = place(annotation.id.as_ref());
        let settled = zeros
            .settle("image", &images.by_id, &mut annotation.image)
            .and_then(|()| zeros.settle("category", &categories, &mut annotation.category));
        settled.map_err(|reason| wrong(path, format!("{place}: {reason}")))?;
        let image = annotation.image.clone();
        if let Err(reason) = images.take(place.clone(), annotation, &categories) {
            images.lose(Some(&image));
            part.leave_out(path, place, reason);
        }
    }
    part.assumed.extend(zeros.note());
    if images.masks > 0 {
        part.assumed.push(format!(
            "masks of run lengths that became outlines along the edges of their pixels: {}",
            images.masks
        ));
    }
    for (place, reason) in std::mem::take(&mut images.faults) {
        part.note(path, place, reason);
    }
    for gone in images.gone {
        part.leave_out_image(path, gone.place, gone.reason, gone.objects);
    }
    let unit = unit::settled(&mut part, path, &mut images.drafts, sizes)?;
    if unit != Unit::Pixels(sizes) {
        part.assumed
            .push("boxes were taken as fractions of the image and not as pixels: no number is far above 1".to_owned());
    }
    settle(&mut part, images.drafts, unit);
    part.usable(path, "if they are elsewhere, say where with --images FOLDER:")
}

fn parse(path: &Path) -> Result<Top, DataError> {
    let bytes = fs::read(path).map_err(|source| io_error("read", path, source))?;
    let bytes = lenient(bytes).map_err(|message| wrong(path, message))?;
    match serde_json::from_slice(&bytes) {
        Ok(Root::Object(top)) if matches!(top.images, Some(Listed::List(_))) => Ok(top),
        Ok(Root::Object(top)) => Err(wrong(path, foreign::of_object(&top))),
        Ok(Root::List(first)) => Err(wrong(path, foreign::of_list(&first))),
        Err(error) => Err(wrong(path, format!("is no COCO file, which is JSON with images and annotations: {error}"))),
    }
}

/// The elements of a list; the error is what stands there instead.
fn list<T>(listed: Option<Listed<T>>) -> Result<Vec<Result<T, Unusable>>, String> {
    match listed {
        Some(Listed::List(elements)) => Ok(elements),
        Some(Listed::Other(value)) => Err(super::json::shown(&value)),
        None => Ok(Vec::new()),
    }
}

/// Where images are that a file in its usual place is about: `annotations/instances_val2017.json` of `val2017/` or `images/`.
fn beside(path: &Path) -> Result<Finder, DataError> {
    let own = folder_of(path)?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let last = stem.rsplit('_').next().unwrap_or_default();
    let mut folders = vec![own.clone()];
    for base in [Some(own.as_path()), own.parent()].into_iter().flatten() {
        let inner = [
            "images".to_owned(),
            format!("images/{stem}"),
            format!("images/{last}"),
            stem.to_string(),
            last.to_owned(),
        ];
        folders.extend(inner.iter().map(|name| base.join(name)));
    }
    folders.extend(own.parent().map(Path::to_owned));
    folders.retain(|folder| folder.is_dir());
    let mut searched = folders.clone();
    // Whatever else is beside the file's folder is not searched.
    searched.retain(|folder| Some(folder.as_path()) != own.parent());
    Ok(Finder::among(folders, searched))
}

/// Names of categories by their ids.
fn named(
    path: &Path,
    part: &mut Part,
    listed: Option<Listed<Category>>,
    unused: bool,
) -> Result<BTreeMap<String, String>, DataError> {
    let listed = match listed {
        Some(Listed::Other(serde_json::Value::Object(names))) => {
            // A dictionary of names.
            let name = |(id, name): (String, serde_json::Value)| match name {
                serde_json::Value::String(name) => Ok(Category { id, name }),
                other => {
                    let reason = format!("category {id} is {}", super::json::shown(&other));
                    Err(Unusable { reason, image: None })
                }
            };
            names.into_iter().map(name).collect()
        }
        other => list(other).map_err(|what| wrong(path, format!("its categories are {what}, not a list")))?,
    };
    if listed.is_empty() && !unused {
        let message = "has no categories, so that its classes have no names; add \"categories\": [{\"id\": 1, \"name\": \"...\"}, ...]";
        return Err(wrong(path, message));
    }
    let mut names: BTreeMap<String, (usize, String)> = BTreeMap::new();
    let mut ids: BTreeMap<String, String> = BTreeMap::new();
    for (at, category) in listed.into_iter().enumerate() {
        let category = match category {
            Ok(category) => category,
            Err(Unusable { reason, .. }) => {
                part.note(path, format!("categories[{at}]"), reason);
                continue;
            }
        };
        match names.get(&category.id) {
            Some((_, name)) if *name == category.name => continue,
            Some((first, name)) => {
                let (id, other) = (category.id, category.name);
                return Err(wrong(
                    path,
                    format!(
                        "categories[{first}] and categories[{at}] have the id {id} and are named {name:?} and {other:?}, so that it is \
                         not known which an annotation means; give each category an id of its own"
                    ),
                ));
            }
            None => {}
        }
        if let Some(first) = ids.get(&category.name) {
            let (name, id) = (&category.name, &category.id);
            part.assumed.push(format!("categories {first} and {id} are both named {name:?} and become one class"));
        } else {
            ids.insert(category.name.clone(), category.id.clone());
        }
        names.insert(category.id, (at, category.name));
    }
    Ok(names.into_iter().map(|(id, (_, name))| (id, name)).collect())
}

/// Ids that are written with other zeros before them than where they are listed, as texts are.
#[derive(Default)]
struct Zeros {
    known: BTreeMap<(&'static str, String), Option<String>>,
    count: usize,
    first: Option<String>,
}

impl Zeros {
    /// Replaces an id that is not in a list by the one that it means there.
    ///
    /// # Errors
    /// It may mean several.
    fn settle<T>(&mut self, what: &'static str, list: &BTreeMap<String, T>, id: &mut String) -> Result<(), String> {
        if list.contains_key(id) {
            return Ok(());
        }
        let key = (what, id.clone());
        let meant = match self.known.get(&key) {
            Some(meant) => meant.clone(),
            None => {
                let meant = with_other_zeros(list.keys(), id).map_err(|[one, other]| {
                    format!("its {what}_id {id} is in no list, and {what} {one} as well as {what} {other} could be meant; write one of them")
                })?;
                self.known.insert(key, meant.cloned());
                meant.cloned()
            }
        };
        if let Some(meant) = meant {
            self.count += 1;
            self.first.get_or_insert_with(|| format!("{what}_id {id} for {what} {meant}"));
            *id = meant;
        }
        Ok(())
    }

    fn note(self) -> Option<String> {
        let first = self.first?;
        Some(format!(
            "{} ids of annotations are written with other zeros than in the lists, such as {first}",
            self.count
        ))
    }
}

/// Images that are there and those that are not, by id.
#[derive(Default)]
struct Images {
    drafts: Vec<Draft>,
    gone: Vec<Gone>,
    by_id: BTreeMap<String, Slot>,
    by_file: BTreeMap<PathBuf, First>,
    /// Annotations whose run lengths became outlines.
    masks: usize,
    /// Annotations whose boxes are used in place of their masks, and segments of outlines that cannot be used; and why.
    faults: Vec<(String, String)>,
}

#[derive(Clone, Copy)]
enum Slot {
    Draft(usize),
    Gone(usize),
}

/// The image of the list that came first to a file.
struct First {
    at: usize,
    name: String,
    declared: Option<[u32; 2]>,
    draft: usize,
}

/// An image that cannot be used, and how many objects it would show.
struct Gone {
    place: String,
    reason: String,
    objects: usize,
}

/// An image of the list that has its file, or the reason why not.
struct Placed {
    at: usize,
    image: Image,
    file: Result<PathBuf, String>,
}

impl Images {
    fn add(
        &mut self,
        path: &Path,
        part: &mut Part,
        listed: Vec<Result<Image, Unusable>>,
        finder: &Finder,
    ) -> Result<(), DataError> {
        let mut united = Vec::new();
        for placed in placed(path, part, listed, finder)? {
            let Placed { at, image, file } = placed;
            let place = format!("image {}", image.id);
            let slot = match file {
                Ok(file) => match self.by_file.get(&file) {
                    Some(first) if first.declared == image.declared => {
                        united.push(format!("images[{}] and images[{at}]", first.at));
                        Slot::Draft(first.draft)
                    }
                    Some(first) => {
                        let message = format!(
                            "images[{}] ({}) and images[{at}] ({}) are the same file {} and declare different sizes; keep the right one",
                            first.at,
                            first.name,
                            image.name,
                            file.display()
                        );
                        return Err(wrong(path, message));
                    }
                    None => {
                        let draft = self.drafts.len();
                        let first = First { at, name: image.name, declared: image.declared, draft };
                        self.by_file.insert(file.clone(), first);
                        let (source, declared) = (path.to_owned(), image.declared);
                        self.drafts.push(Draft { source, place, path: file, declared, objects: Vec::new(), lost: 0 });
                        Slot::Draft(draft)
                    }
                },
                Err(reason) => {
                    self.gone.push(Gone { place, reason, objects: 0 });
                    Slot::Gone(self.gone.len() - 1)
                }
            };
            self.by_id.insert(image.id, slot);
        }
        if let Some(first) = united.first() {
            let more = match united.len() - 1 {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            part.assumed.push(format!("{first}{more} are the same file under two ids; their objects are put together"));
        }
        Ok(())
    }

    /// Counts an annotation that cannot be used to its image.
    fn lose(&mut self, image: Option<&String>) {
        if let Some(Slot::Draft(at)) = image.and_then(|image| self.by_id.get(image)) {
            self.drafts[*at].lost += 1;
        }
    }

    /// Puts an annotation to its image.
    fn take(
        &mut self,
        place: String,
        annotation: Annotation,
        categories: &BTreeMap<String, String>,
    ) -> Result<(), String> {
        let Some(slot) = self.by_id.get(&annotation.image).copied() else {
            return Err(format!("there is no image {}", annotation.image));
        };
        let Some(name) = categories.get(&annotation.category) else {
            return Err(format!("there is no category {}", annotation.category));
        };
        match slot {
            Slot::Gone(at) => self.gone[at].objects += 1,
            Slot::Draft(at) => {
                let draft = &mut self.drafts[at];
                let Annotation { corners, mask, fault, rings, is_crowd, .. } = annotation;
                self.faults.extend(fault.map(|fault| (place.clone(), box_used(&fault))));
                let of_ring = |(ring, reason)| (format!("{place}, segment {ring}"), reason);
                self.faults.extend(rings.faults.into_iter().map(of_ring));
                let (segments, fill) = match mask {
                    None => (rings.segments, Fill::Coco),
                    Some(mask) => {
                        let [width, height] = [mask.width(), mask.height()];
                        let [across, down] = declared_or_stored(draft, [width, height]);
                        if [across, down] != [width, height] {
                            let fault = format!(
                                "its mask is of {width} x {height} pixels where its image is of {across} x {down}"
                            );
                            if corners.is_none() {
                                return Err(fault);
                            }
                            self.faults.push((place.clone(), box_used(&fault)));
                            (Vec::new(), Fill::CocoEvenOdd)
                        } else {
                            self.masks += 1;
                            let rings = Mask::from(&mask).outline().rings;
                            (rings.into_iter().map(|ring| ring.concat()).collect(), Fill::CocoEvenOdd)
                        }
                    }
                };
                let label = name.clone();
                draft.objects.push(DraftObject { place, label, corners, segments, fill, is_crowd });
            }
        }
        Ok(())
    }
}

/// The size that a mask of `size` has to have: what its image declares, or else its file has, before or after its
/// rotation. Where neither is known, that of the first mask.
fn declared_or_stored(draft: &mut Draft, size: [u32; 2]) -> [u32; 2] {
    let stored =
        || StoredSize::read(&draft.path).map(|stored| if stored.size == size { size } else { stored.upright() });
    let wanted = draft.declared.or_else(stored).unwrap_or(size);
    if wanted == size {
        draft.declared = Some(size);
    }
    wanted
}

/// Finds the files of the listed images; of several images with one id and one name, the first stands for all.
fn placed(
    path: &Path,
    part: &mut Part,
    listed: Vec<Result<Image, Unusable>>,
    finder: &Finder,
) -> Result<Vec<Placed>, DataError> {
    let mut ids: BTreeMap<String, (usize, String)> = BTreeMap::new();
    let mut found: Vec<(usize, Image, Found)> = Vec::new();
    // By file, those that were found by their file name alone: with all names that lead there.
    let mut names: BTreeMap<PathBuf, Vec<(usize, String)>> = BTreeMap::new();
    for (at, image) in listed.into_iter().enumerate() {
        let image = match image {
            Ok(image) => image,
            Err(Unusable { reason, .. }) => {
                part.leave_out_image(path, format!("images[{at}]"), reason, 0);
                continue;
            }
        };
        match ids.get(&image.id) {
            Some((_, name)) if *name == image.name => continue,
            Some((first, name)) => {
                let message = format!(
                    "images[{first}] ({name}) and images[{at}] ({}) have the same id {}, so that it is not known which one an annotation \
                     means; number the images of merged files anew, or convert the files one by one",
                    image.name, image.id
                );
                return Err(wrong(path, message));
            }
            None => ids.insert(image.id.clone(), (at, image.name.clone())),
        };
        let file = finder.find(&image.name);
        if let Found::Named(file) | Found::Elsewhere(file) = &file {
            names.entry(file.clone()).or_default().push((at, image.name.clone()));
        }
        found.push((at, image, file));
    }
    let file = |(at, image, file): (usize, Image, Found)| {
        let rival = match &file {
            Found::Elsewhere(file) => names[file].iter().find(|(_, name)| *name != image.name),
            Found::Named(_) | Found::Several(..) | Found::Litter(_) | Found::Missing(_) => None,
        };
        let file = match rival {
            Some((other, name)) => Err(format!(
                "its image {} is not there, and the only file of that name is that of images[{other}] ({name}), too",
                image.name
            )),
            None => file.file(),
        };
        Placed { at, image, file }
    };
    Ok(found.into_iter().map(file).collect())
}
