//! Reading masks.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use models::host::mask::{Fill, Mask, Rle};
use models::host::{Limits, Turn, Values, values};

use super::super::draft::{Draft, DraftObject, add};
use super::super::frame::{Frame, Sizes, StoredSize};
use super::super::{Part, absolute, io_error, wrong};
use super::classes::{Classes, Names, VOID};
use super::layout::{Layout, MaskFile, Sample};
use super::{MaskKind, MaskOptions, objects};
use crate::DataError;

/// Reads a folder of masks, a part for each folder or list of `ImageSets/Segmentation` that is named as one. Masks of objects
/// whose class nothing says, and of images that are not there or have another size, are left out and listed.
///
/// # Errors
/// There are no masks, nothing says the classes, or nothing of a part can be used.
pub fn read(root: &Path, options: &MaskOptions) -> Result<Vec<Part>, DataError> {
    let root = absolute(root)?;
    let layout = Layout::find(&root, options)?;
    let folder = |given: &Option<PathBuf>, found: Option<PathBuf>| -> Result<Option<PathBuf>, DataError> {
        match given {
            Some(given) if !given.is_dir() => Err(wrong(given, "is no folder")),
            Some(given) => absolute(given).map(Some),
            None => Ok(found),
        }
    };
    let names = options.label_map.as_ref().or(layout.label_map.as_ref()).map(|path| Names::read(path)).transpose()?;
    let classes = Classes {
        label: options.label.clone(),
        names,
        class_masks: folder(&options.class_masks, layout.class_masks)?,
        annotations: folder(&options.annotations, layout.annotations)?,
    };
    let has_folders = layout.samples.iter().flat_map(|sample| &sample.files).any(|file| file.class.is_some());
    let told = classes.label.is_some() || classes.names.is_some() || classes.annotations.is_some();
    if !told && !has_folders {
        let message = "holds masks, and nothing says of what class: give --label NAME for one class of all, --label_map FILE \
                       for names of numbers, or --annotations FOLDER of Pascal VOC's XML files";
        return Err(wrong(&root, message));
    }
    let mut readings: BTreeMap<String, Reading> = BTreeMap::new();
    for sample in layout.samples {
        let name = sample.part.clone();
        let new = || Reading { part: Part { name, ..Part::default() }, ..Reading::new(&classes, options) };
        readings.entry(sample.part.clone()).or_insert_with(new).take(sample);
    }
    let mut parts: Vec<Part> = readings.into_values().map(Reading::done).collect();
    if let Some(first) = parts.first_mut() {
        first.assumed.extend(layout.notes);
    }
    parts.into_iter().map(|part| part.usable(&root, "if they are elsewhere, say where with --images FOLDER:")).collect()
}

/// The numbers of an image file.
///
/// # Errors
/// It cannot be read, or holds none.
pub fn numbers_of(path: &Path) -> Result<Values, String> {
    let bytes = fs::read(path).map_err(|source| io_error("read", path, source).to_string())?;
    values(&bytes, &Limits::default()).map_err(|error| error.to_string())
}

/// Masks of one part, as far as they have been read.
struct Reading<'a> {
    part: Part,
    classes: &'a Classes,
    options: &'a MaskOptions,
    masks: usize,
    /// Files of one object with several numbers, and the first.
    several: Option<(usize, PathBuf)>,
    /// Files with VOC's number of pixels between objects.
    void: usize,
    /// Masks that do not have the EXIF rotation of their image, those of which that cannot be told, and those of another
    /// size.
    turned: usize,
    either: usize,
    scaled: usize,
}

/// How the size of a mask is that of its image.
enum Fit {
    /// As the image is seen.
    Upright,
    /// As it is seen, or before its EXIF rotation.
    Either,
    /// Before its EXIF rotation.
    Turned,
    /// Not at all.
    Scaled,
}

/// An object of a mask.
struct Object {
    place: String,
    label: String,
    is_crowd: bool,
    rle: Rle,
}

impl<'a> Reading<'a> {
    fn new(classes: &'a Classes, options: &'a MaskOptions) -> Self {
        let part = Part::default();
        Self { part, classes, options, masks: 0, several: None, void: 0, turned: 0, either: 0, scaled: 0 }
    }

    fn take(&mut self, sample: Sample) {
        let image = match sample.image {
            Ok(image) => image,
            Err(reason) => {
                self.part.leave_out_image(&sample.place, "mask".to_owned(), reason, 0);
                return;
            }
        };
        let Some(stored) = StoredSize::read(&image) else {
            let reason = format!("its image {} cannot be read", image.display());
            let objects = match sample.kind {
                MaskKind::Instances => sample.files.len(),
                MaskKind::Ids => 0,
            };
            self.part.leave_out_image(&sample.place, "image".to_owned(), reason, objects);
            return;
        };
        let before = self.part.lost;
        let mut found: Vec<DraftObject> = Vec::new();
        let mut usable = 0;
        for file in &sample.files {
            match self.file(sample.kind, file, stored) {
                Ok(objects) => {
                    usable += 1;
                    found.extend(objects);
                }
                Err(reason) => self.part.leave_out(&file.path, "mask".to_owned(), reason),
            }
        }
        // Without any mask it is not known that the image shows nothing.
        if usable == 0 {
            return;
        }
        self.masks += found.len();
        let draft = Draft {
            source: sample.place,
            place: "image".to_owned(),
            path: image,
            declared: Some(stored.upright()),
            objects: found,
            lost: self.part.lost - before,
        };
        // Each mask was measured by itself: some may be of the image before its rotation, or of another size.
        add(&mut self.part, draft, &Frame::FRACTIONS, Some(stored.upright()));
    }

    /// The objects of one file, in fractions of the image as it is seen.
    fn file(&mut self, kind: MaskKind, file: &MaskFile, stored: StoredSize) -> Result<Vec<DraftObject>, String> {
        let values = numbers_of(&file.path)?;
        let (frame, fit) = self.frame([values.width, values.height], stored)?;
        let objects = self.objects(kind, file, &values)?;
        match fit {
            Fit::Upright => {}
            Fit::Either => self.either += 1,
            Fit::Turned => self.turned += 1,
            Fit::Scaled => self.scaled += 1,
        }
        let outline = |rle: &Rle| -> Vec<Vec<f64>> {
            let outline = Mask::from(rle).outline().map(|[x, y]| [x / frame.size[0], y / frame.size[1]]);
            outline.rings.iter().map(|ring| frame.upright(ring.as_flattened())).collect()
        };
        let draft = |object: Object| DraftObject {
            place: object.place,
            label: object.label,
            corners: None,
            segments: outline(&object.rle),
            fill: Fill::CocoEvenOdd,
            is_crowd: object.is_crowd,
        };
        Ok(objects.into_iter().map(draft).collect())
    }

    /// The objects of one file; those whose class is not known are left out.
    fn objects(&mut self, kind: MaskKind, file: &MaskFile, values: &Values) -> Result<Vec<Object>, String> {
        let objects = match kind {
            MaskKind::Instances => {
                let (rle, several) = objects::whole(values)?;
                if several {
                    self.several.get_or_insert_with(|| (0, file.path.clone())).0 += 1;
                }
                let rle = rle.ok_or("all its pixels are 0, so that it shows no object")?;
                let number = values.values.iter().find(|value| **value != 0).copied().unwrap_or_default();
                BTreeMap::from([(number, rle)])
            }
            MaskKind::Ids => {
                let void = self.void_of(values);
                objects::of(values, &[Some(0), void].into_iter().flatten().collect::<Vec<_>>())?
            }
        };
        let is_said = self.classes.label.is_some() || self.classes.names.is_some();
        let classes = match &file.class {
            Some(class) if !is_said => objects.iter().map(|_| Ok((class.clone(), false))).collect(),
            Some(_) | None => self.classes.of(&file.path, values, &objects)?,
        };
        let mut found = Vec::with_capacity(objects.len());
        for ((number, rle), class) in objects.into_iter().zip(classes) {
            let place = match kind {
                MaskKind::Instances => file.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                MaskKind::Ids => format!("number {number}"),
            };
            match class {
                Ok((label, is_crowd)) => found.push(Object { place, label, is_crowd, rle }),
                Err(reason) => self.part.leave_out(&file.path, place, reason),
            }
        }
        Ok(found)
    }

    /// The number of pixels that are no object: what the options say, or VOC's, where it is far from the other numbers.
    fn void_of(&mut self, values: &Values) -> Option<u32> {
        if self.options.void.is_some() {
            return self.options.void;
        }
        if values.colours {
            return None;
        }
        let highest = values.values.iter().filter(|value| **value != VOID).max().copied().unwrap_or_default();
        let is_void = values.values.contains(&VOID) && (1..VOID - 1).contains(&highest);
        self.void += usize::from(is_void);
        is_void.then_some(VOID)
    }

    /// What the pixels of a mask are counted in.
    fn frame(&self, size: [u32; 2], stored: StoredSize) -> Result<(Frame, Fit), String> {
        let (as_seen, as_stored) = (size == stored.upright(), size == stored.size);
        let is_turned = stored.turn != Turn::NONE;
        match (as_seen, as_stored, self.options.sizes) {
            (_, true, Sizes::Stored) if is_turned => Ok((stored.frame(), Fit::Turned)),
            (true, both, _) => Ok((Frame::pixels(size), if both && is_turned { Fit::Either } else { Fit::Upright })),
            (false, true, _) => Ok((stored.frame(), Fit::Turned)),
            (false, false, Sizes::Declared) => Ok((Frame::pixels(size), Fit::Scaled)),
            (false, false, Sizes::Fitting | Sizes::Upright | Sizes::Stored) => {
                let ([width, height], [across, down]) = (size, stored.upright());
                Err(format!(
                    "it is of {width} x {height} pixels and its image of {across} x {down}: masks are read pixel by \
                     pixel; --sizes declared scales them"
                ))
            }
        }
    }

    fn done(self) -> Part {
        let mut part = self.part;
        let mut say = |count: usize, what: &str| {
            if count > 0 {
                part.assumed.push(format!("{what}: {count}"));
            }
        };
        say(self.masks, "masks that became outlines along the edges of their pixels");
        say(
            self.void,
            "masks with pixels of 255 far above their other numbers, which are taken for VOC's pixels between objects (--void 0 \
             makes an object of them)",
        );
        say(self.turned, "masks of an image before its EXIF rotation, turned with it");
        say(
            self.either,
            "masks that fit an image before and after its EXIF rotation, taken in the image as it is seen (--sizes stored takes the \
             other reading)",
        );
        say(self.scaled, "masks of another size than their image, scaled to it as --sizes declared asks");
        if let Some((count, first)) = self.several {
            let first = first.display();
            say(
                count,
                &format!("masks of one object with several numbers, such as {first}; every pixel that is not 0 counts"),
            );
        }
        part
    }
}
