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
    /// Images whose EXIF rotation their masks do not have, and those of which that cannot be told.
    turned: usize,
    either: usize,
    scaled: usize,
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
        let mut found: Vec<Object> = Vec::new();
        let mut size: Option<[u32; 2]> = None;
        let mut failed = 0;
        for file in &sample.files {
            let read = numbers_of(&file.path).and_then(|values| {
                let own = [values.width, values.height];
                match *size.get_or_insert(own) {
                    first if first == own => self.objects(sample.kind, file, &values),
                    [width, height] => Err(format!(
                        "it is of {} x {} pixels and the masks before it of {width} x {height}",
                        own[0], own[1]
                    )),
                }
            });
            match read {
                Ok(objects) => found.extend(objects),
                Err(reason) => {
                    failed += 1;
                    self.part.leave_out(&file.path, "mask".to_owned(), reason);
                }
            }
        }
        // Without any mask it is not known that the image shows nothing.
        let Some(size) = size.filter(|_| failed < sample.files.len()) else { return };
        let Some(stored) = StoredSize::read(&image) else {
            let reason = format!("its image {} cannot be read", image.display());
            self.part.leave_out_image(&sample.place, "image".to_owned(), reason, found.len());
            return;
        };
        let frame = match self.frame(size, stored) {
            Ok(frame) => frame,
            Err(reason) => {
                self.part.leave_out_image(&sample.place, "image".to_owned(), reason, found.len());
                return;
            }
        };
        self.masks += found.len();
        let draft = |object: Object| DraftObject {
            place: object.place,
            label: object.label,
            corners: None,
            segments: Mask::from(&object.rle).outline().rings.iter().map(|ring| ring.concat()).collect(),
            fill: Fill::CocoEvenOdd,
            is_crowd: object.is_crowd,
        };
        let draft = Draft {
            source: sample.place,
            place: "image".to_owned(),
            path: image,
            declared: Some(size),
            objects: found.into_iter().map(draft).collect(),
            lost: 0,
        };
        add(&mut self.part, draft, &frame, Some(stored.upright()));
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
    fn frame(&mut self, size: [u32; 2], stored: StoredSize) -> Result<Frame, String> {
        let (as_seen, as_stored) = (size == stored.upright(), size == stored.size);
        let is_turned = stored.turn != Turn::NONE;
        match (as_seen, as_stored, self.options.sizes) {
            (_, true, Sizes::Stored) if is_turned => {
                self.turned += 1;
                Ok(stored.frame())
            }
            (true, both, _) => {
                self.either += usize::from(both && is_turned);
                Ok(Frame::pixels(size))
            }
            (false, true, _) => {
                self.turned += 1;
                Ok(stored.frame())
            }
            (false, false, Sizes::Declared) => {
                self.scaled += 1;
                Ok(Frame::pixels(size))
            }
            (false, false, Sizes::Fitting | Sizes::Upright | Sizes::Stored) => {
                let ([width, height], [across, down]) = (size, stored.upright());
                Err(format!(
                    "its mask is of {width} x {height} pixels and its image of {across} x {down}: masks are read pixel by pixel; \
                     --sizes declared scales them"
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
