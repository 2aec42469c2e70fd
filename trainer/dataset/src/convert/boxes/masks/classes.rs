//! What class an object of a mask is of.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use models::host::mask::Rle;
use models::host::{Tile, Values};
use serde_json::Value;

use super::super::voc::Pixels;
use super::super::voc::annotation::Annotation;
use super::super::{io_error, text, wrong};
use super::read::numbers_of;
use crate::DataError;

/// The number of VOC's pixels between objects.
pub const VOID: u32 = 255;
/// A box of an XML file is a mask's where they share at least this part of both.
const FITS: f64 = 0.4;

/// Names of the numbers of masks.
#[derive(Debug, Default)]
pub struct Names {
    /// By number, or, of a file, by file name and number.
    numbers: BTreeMap<(Option<String>, u32), String>,
    /// By colour.
    colours: BTreeMap<[u8; 3], String>,
}

impl Names {
    /// Reads a file of names: JSON, `{"1": "can"}` of all masks or `{"a.png": {"1": "can"}}` of one, with numbers or colours
    /// `#rrggbb`; or CVAT's `labelmap.txt`, lines of `name:red,green,blue::`.
    ///
    /// # Errors
    /// It cannot be read, or is neither.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let text = text::read(path)?;
        if text.trim_start().starts_with('{') {
            return Self::of_json(path, &text);
        }
        let mut names = Self::default();
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        for (number, line) in (0..).zip(lines) {
            let mut fields = line.split(':');
            let (name, colour) = (fields.next().unwrap_or_default().trim(), fields.next().unwrap_or_default());
            let levels: Option<Vec<u8>> = colour.split(',').map(|level| level.trim().parse().ok()).collect();
            let Some([red, green, blue]) = levels.as_deref() else {
                let message = format!("line {line:?} is no class of a label map, which is NAME:RED,GREEN,BLUE::");
                return Err(wrong(path, message));
            };
            names.colours.insert([*red, *green, *blue], name.to_owned());
            names.numbers.insert((None, number), name.to_owned());
        }
        Ok(names)
    }

    fn of_json(path: &Path, text: &str) -> Result<Self, DataError> {
        let known = "expected {\"1\": \"can\"}, or {\"a.png\": {\"1\": \"can\"}} where numbers mean something else in each mask";
        let value: Value = serde_json::from_str(text).map_err(|error| wrong(path, format!("is no JSON: {error}")))?;
        let mut names = Self::default();
        for (key, value) in value.as_object().into_iter().flatten() {
            match value {
                Value::String(name) => names.put(None, key, name),
                Value::Object(inner) => inner.iter().try_for_each(|(number, name)| match name {
                    Value::String(name) => names.put(Some(key.clone()), number, name),
                    _ => Err(()),
                }),
                _ => Err(()),
            }
            .map_err(|()| wrong(path, format!("has {key:?} of another form; {known}")))?;
        }
        Ok(names)
    }

    fn put(&mut self, file: Option<String>, key: &str, name: &str) -> Result<(), ()> {
        if let Some(hex) = key.strip_prefix('#').filter(|hex| hex.len() == 6) {
            let colour = u32::from_str_radix(hex, 16).map_err(drop)?;
            let [_, red, green, blue] = colour.to_be_bytes();
            self.colours.insert([red, green, blue], name.to_owned());
            self.numbers.insert((file, colour), name.to_owned());
            return Ok(());
        }
        let number = key.trim().parse().map_err(drop)?;
        self.numbers.insert((file, number), name.to_owned());
        Ok(())
    }

    /// The name of a number of a mask.
    pub fn of(&self, file: &Path, values: &Values, number: u32) -> Option<&str> {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
        let stem = file.file_stem().map(|name| name.to_string_lossy().into_owned());
        let own = [name, stem].into_iter().flatten().find_map(|name| self.numbers.get(&(Some(name), number)));
        let colour = match (&values.palette, values.colours) {
            (Some(palette), _) => palette.get(number as usize).copied(),
            (None, true) => {
                let [_, red, green, blue] = number.to_be_bytes();
                Some([red, green, blue])
            }
            (None, false) => None,
        };
        let coloured = || colour.and_then(|colour| self.colours.get(&colour));
        own.or_else(coloured).or_else(|| self.numbers.get(&(None, number))).map(String::as_str)
    }
}

/// What says the classes of objects.
pub struct Classes {
    /// One for all.
    pub label: Option<String>,
    /// Names of numbers.
    pub names: Option<Names>,
    /// Folder of masks of classes.
    pub class_masks: Option<PathBuf>,
    /// Folder of XML files.
    pub annotations: Option<PathBuf>,
}

/// A class, and whether the object stands for a group.
pub type Class = (String, bool);

impl Classes {
    /// The class of each object of a mask, in the order of `objects`; `file` is the mask.
    ///
    /// # Errors
    /// For each object, why its class is not known; for all, why a file that says it cannot be used.
    pub fn of(
        &self,
        file: &Path,
        values: &Values,
        objects: &BTreeMap<u32, Rle>,
    ) -> Result<Vec<Result<Class, String>>, String> {
        if let Some(label) = &self.label {
            return Ok(objects.iter().map(|_| Ok((label.clone(), false))).collect());
        }
        let class_mask = self.class_masks.as_ref().map(|folder| folder.join(file.file_name().unwrap_or_default()));
        match (class_mask.filter(|path| path.is_file()), &self.names) {
            (Some(mask), Some(names)) => {
                let classes = numbers_of(&mask)?;
                if [classes.width, classes.height] != [values.width, values.height] {
                    return Err(format!(
                        "{} is of {} x {} pixels and this mask of {} x {}",
                        mask.display(),
                        classes.width,
                        classes.height,
                        values.width,
                        values.height
                    ));
                }
                let wide = values.palette.is_none() && classes.colours;
                let class = |number: &u32| {
                    let most = most_frequent(values, *number, &classes, if wide { 0xe0_e0c0 } else { VOID });
                    let most = most.ok_or_else(|| format!("{} has no class for its pixels", mask.display()))?;
                    let name = names.of(&mask, &classes, most);
                    name.map(|name| (name.to_owned(), false))
                        .ok_or_else(|| format!("no name is known for class {most}; give it in --label_map FILE"))
                };
                Ok(objects.keys().map(class).collect())
            }
            (None, Some(names)) => {
                let name = |number: &u32| {
                    let name = names.of(file, values, *number).map(|name| (name.to_owned(), false));
                    name.ok_or_else(|| format!("no name is known for number {number}; give it in --label_map FILE"))
                };
                Ok(objects.keys().map(name).collect())
            }
            (_, None) => match &self.annotations {
                Some(folder) => {
                    let xml = folder.join(Path::new(file.file_name().unwrap_or_default()).with_extension("xml"));
                    by_boxes(&xml, values, objects)
                }
                None => {
                    Err("nothing says its class; give --label NAME, --label_map FILE or --annotations FOLDER of VOC's \
                             XML files"
                        .to_owned())
                }
            },
        }
    }
}

/// The class that most pixels of an object have, but 0 and `void`.
fn most_frequent(values: &Values, number: u32, classes: &Values, void: u32) -> Option<u32> {
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    let both = values.values.iter().zip(&classes.values);
    for (_, class) in both.filter(|(value, class)| **value == number && **class != 0 && **class != void) {
        *counts.entry(*class).or_default() += 1;
    }
    counts.into_iter().max_by_key(|(class, count)| (*count, std::cmp::Reverse(*class))).map(|(class, _)| class)
}

/// The classes of objects from the boxes of an XML file: the pair of box and mask that fit best goes first.
fn by_boxes(xml: &Path, values: &Values, objects: &BTreeMap<u32, Rle>) -> Result<Vec<Result<Class, String>>, String> {
    let bytes = fs::read(xml).map_err(|source| io_error("read", xml, source).to_string())?;
    let named = |reason: String| format!("{}: {reason}", xml.display());
    let annotation = text::xml(&bytes).and_then(|text| Annotation::read(&text, Pixels::default())).map_err(named)?;
    let size = [values.width, values.height].map(f64::from);
    let declared = annotation.declared.map_or(size, |declared| declared.map(f64::from));
    let scale = [size[0] / declared[0], size[1] / declared[1]];
    let boxes: Vec<Option<[f64; 4]>> = annotation
        .objects
        .iter()
        .map(|object| {
            object.box_or_bounds().map(|[x1, y1, x2, y2]| [x1 * scale[0], y1 * scale[1], x2 * scale[0], y2 * scale[1]])
        })
        .collect();
    let around: Vec<Option<Tile>> = objects.values().map(Rle::bounds).collect();
    let mut pairs: Vec<(f64, usize, usize)> = Vec::new();
    for (mask, around) in around.iter().enumerate() {
        for (at, corners) in boxes.iter().enumerate() {
            let fit = around.zip(*corners).map_or(0.0, |(around, corners)| overlap(around, corners));
            if fit >= FITS {
                pairs.push((fit, mask, at));
            }
        }
    }
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let mut found: Vec<Option<usize>> = vec![None; objects.len()];
    let mut taken = vec![false; boxes.len()];
    for (_, mask, at) in pairs {
        if found[mask].is_none() && !taken[at] {
            found[mask] = Some(at);
            taken[at] = true;
        }
    }
    let class = |(at, number): (Option<usize>, &u32)| match at {
        Some(at) => Ok((annotation.objects[at].label.clone(), annotation.objects[at].is_crowd)),
        None => Err(format!("{} has no box where number {number} is, so its class is not known", xml.display())),
    };
    Ok(found.into_iter().zip(objects.keys()).map(class).collect())
}

/// What a rectangle of pixels and a box share, over what either has.
fn overlap(tile: Tile, [x1, y1, x2, y2]: [f64; 4]) -> f64 {
    let [a1, b1, a2, b2] = [tile.x0, tile.y0, tile.x1, tile.y1].map(f64::from);
    let shared = (a2.min(x2) - a1.max(x1)).max(0.0) * (b2.min(y2) - b1.max(y1)).max(0.0);
    let either = (a2 - a1) * (b2 - b1) + (x2 - x1).max(0.0) * (y2 - y1).max(0.0) - shared;
    if either > 0.0 { shared / either } else { 0.0 }
}
