//! Writing masks.

use std::collections::BTreeMap;
use std::path::Path;

use files::{Order, Scope, Target, Written};
use models::host::mask::Mask;
use models::host::{Tile, encode_numbers, encode_palette};
use serde_json::json;

use super::super::form::pixels;
use super::super::part::{check_labels, folder_names, labels, left_out};
use super::super::place::file_names;
use super::super::voc::{Pixels, list_name, xml};
use super::super::{LabelledImage, Part, Placing, write_text, wrong};
use super::classes::VOID;
use crate::DataError;
use crate::convert::List;

/// How masks are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Pascal VOC's folders, with `SegmentationObject`, `SegmentationClass`, and `labelmap.txt` for the names of classes.
    Voc,
    /// A folder for each image, in it a file for each object, in a folder of its class.
    Instances,
    /// A file of numbers for each image, and `label_map.json` for their classes.
    Ids,
}

/// Most objects of an image, and classes, in a file of bytes: 255 is VOC's number of no object.
const MOST_OF_BYTES: usize = 254;
/// What `labelmap.txt` calls pixels of no object.
const BACKGROUND: &str = "background";
/// Most objects of an image in a file of 16 bits.
const MOST_OF_WORDS: usize = 65_535;

/// An image to be written.
struct Item<'a> {
    image: &'a LabelledImage,
    part: &'a str,
    /// File name, and that without its ending.
    name: String,
    stem: String,
    size: [u32; 2],
}

/// What people should know of what was written.
#[derive(Default)]
struct Lost {
    without_outline: usize,
    without_pixel: usize,
    covered: usize,
    covered_pixels: u64,
    wholly: usize,
    crowds: usize,
    empty: usize,
}

/// Writes the masks of all parts and copies of their images into the output of `order`. A mask has a number for each pixel of
/// its image as it is seen, so that of objects that overlap the smaller one is on top; in files of one object nothing is lost.
/// Objects without an outline are not written. The texts are what people should know of it.
///
/// # Errors
/// One of several parts is none of train, validation and test, an image has more objects than the files can number, a
/// label cannot be a folder's name or a line of a label map, an image cannot be read or copied, a file may not be
/// written, or any IO error.
pub fn write(
    order: &Order,
    parts: &[Part],
    style: Style,
    placing: Placing,
) -> Result<(Vec<String>, Written), DataError> {
    match style {
        // Its lists may have any name.
        Style::Voc => {}
        Style::Instances | Style::Ids => drop(folder_names(order.output, parts)?),
    }
    let items = items(order, parts, style)?;
    let labels = labels(parts);
    let most = items.iter().map(|item| item.image.objects.len()).max().unwrap_or_default();
    limits(order, &items, &labels, style)?;
    let left_out = List::within(left_out(parts));
    let mut lost = Lost::default();
    let mut targets: Vec<Target> = Vec::new();
    for item in &items {
        targets.push(Target::copy(item.file(style), &item.image.path));
        targets.extend(item.masks(style).into_iter().map(Target::new));
    }
    let extra = extra(parts, &items, &labels, style);
    targets.extend(extra.iter().map(|(name, _)| Target::new(name)));
    targets.extend(left_out.target());
    let mut writing = order.folder(Scope::Whole, &targets)?.begin()?;
    for item in &items {
        placing.put(&mut writing, &item.file(style), &item.image.path)?;
        let masks: Vec<Option<Mask>> = item.image.objects.iter().map(|object| pixels(object, item.size)).collect();
        lost.count(item, &masks);
        let files = item.masks(style);
        match style {
            Style::Instances => {
                for (name, mask) in files.iter().zip(masks.iter().flatten()) {
                    let png = mask.png(item.whole());
                    writing.write(name, |out| out.write_all(&png))?;
                }
            }
            Style::Ids => {
                let numbers = lost.painted(item, &masks);
                let png = match most > MOST_OF_BYTES {
                    true => encode_numbers(item.size[0], item.size[1], &numbers),
                    false => encode_palette(item.size[0], item.size[1], &bytes(&numbers), &palette()),
                };
                writing.write(&files[0], |out| out.write_all(&png))?;
            }
            Style::Voc => {
                let numbers = lost.painted(item, &masks);
                let class = |object: usize| labels.binary_search(&item.image.objects[object].label).unwrap_or_default();
                let classes: Vec<u16> = numbers
                    .iter()
                    .map(|number| usize::from(*number).checked_sub(1).map_or(0, |object| class(object) as u16 + 1))
                    .collect();
                let [width, height] = item.size;
                for (name, numbers) in files.iter().zip([&numbers, &classes]) {
                    let png = encode_palette(width, height, &bytes(numbers), &palette());
                    writing.write(name, |out| out.write_all(&png))?;
                }
                let text = xml(item.image, item.name.clone(), Pixels::default(), true)?;
                write_text(&mut writing, &files[2], &text)?;
            }
        }
    }
    for (name, text) in &extra {
        write_text(&mut writing, name, text)?;
    }
    left_out.write(&mut writing)?;
    Ok((lost.notes(style), writing.publish()?))
}

/// The images with their names in the output, each once.
fn items<'a>(order: &Order, parts: &'a [Part], style: Style) -> Result<Vec<Item<'a>>, DataError> {
    let mut known: BTreeMap<&Path, &str> = BTreeMap::new();
    let mut all: Vec<(&LabelledImage, &str)> = Vec::new();
    for part in parts {
        for image in &part.images {
            match known.get(image.path.as_path()) {
                None => {
                    known.insert(&image.path, &part.name);
                    all.push((image, &part.name));
                }
                // VOC's lists may name an image twice.
                Some(_) if style == Style::Voc => {}
                Some(other) => {
                    let message = format!("is in {other} and in {}; keep it in one", part.name);
                    return Err(wrong(&image.path, message));
                }
            }
        }
    }
    let images: Vec<&LabelledImage> = all.iter().map(|(image, _)| *image).collect();
    let folder = match style {
        Style::Voc => "JPEGImages",
        Style::Instances => "",
        Style::Ids => "images",
    };
    let names = file_names(&images, &order.output.join(folder))?;
    let several = parts.len() > 1;
    let item = |((image, part), name): ((&'a LabelledImage, &'a str), String)| {
        let stem = Path::new(&name).with_extension("").display().to_string();
        Ok(Item { image, part: if several { part } else { "" }, stem, name, size: image.measured()? })
    };
    all.into_iter().zip(names).map(item).collect()
}

/// Refuses names of classes that a line of `labelmap.txt` would not give back: they would become others, and two of them
/// one.
fn check_label_map(order: &Order, labels: &[String]) -> Result<(), DataError> {
    check_labels(order, labels)?;
    let why = |label: &String| match label.as_str() {
        BACKGROUND => Some("that is its name for pixels of no object"),
        label if label.contains(':') => Some("a colon ends a name there"),
        label if label.starts_with('#') => Some("a line that begins with # is a comment there"),
        _ => None,
    };
    match labels.iter().find_map(|label| Some((label, why(label)?))) {
        None => Ok(()),
        Some((label, why)) => {
            let message = format!("cannot hold the class {label:?} in labelmap.txt: {why}; rename the class");
            Err(wrong(order.output, message))
        }
    }
}

/// Refuses what the files cannot hold.
fn limits(order: &Order, items: &[Item], labels: &[String], style: Style) -> Result<(), DataError> {
    match style {
        Style::Instances => {
            let bad = |label: &&String| {
                label.contains(['/', '\\', '\0'])
                    || label.starts_with('.')
                    || label.trim().is_empty()
                    || label.len() > 200
            };
            return match labels.iter().find(bad) {
                None => Ok(()),
                Some(label) => {
                    Err(wrong(order.output, format!("cannot hold a folder for the class {label:?}; rename the class")))
                }
            };
        }
        Style::Voc => check_label_map(order, labels)?,
        Style::Ids => {}
    }
    let (most, advice) = match style {
        Style::Instances => return Ok(()),
        Style::Voc => (MOST_OF_BYTES, "write them with --to id-masks or --to instance-masks"),
        Style::Ids => (MOST_OF_WORDS, "write them with --to instance-masks"),
    };
    if style == Style::Voc && labels.len() > MOST_OF_BYTES {
        let message =
            format!("there are {} classes, and VOC's masks number at most {MOST_OF_BYTES}; {advice}", labels.len());
        return Err(wrong(order.output, message));
    }
    match items.iter().find(|item| item.image.objects.len() > most) {
        None => Ok(()),
        Some(item) => {
            let count = item.image.objects.len();
            Err(wrong(
                &item.image.path,
                format!("has {count} objects, and such a mask numbers at most {most}; {advice}"),
            ))
        }
    }
}

/// Files beside images and masks.
fn extra(parts: &[Part], items: &[Item], labels: &[String], style: Style) -> Vec<(String, String)> {
    match style {
        Style::Instances => Vec::new(),
        Style::Ids => {
            let names = |item: &Item| {
                let numbered = item.image.objects.iter().zip(1_usize..);
                let names: serde_json::Map<_, _> =
                    numbered.map(|(object, number)| (number.to_string(), json!(object.label))).collect();
                (format!("{}.png", item.stem), names.into())
            };
            let map: serde_json::Map<_, _> = items.iter().map(names).collect();
            vec![("label_map.json".to_owned(), serde_json::Value::from(map).to_string() + "\n")]
        }
        Style::Voc => {
            let stems: BTreeMap<&Path, &str> =
                items.iter().map(|item| (item.image.path.as_path(), item.stem.as_str())).collect();
            let list = |part: &Part| {
                let lines = part.images.iter().filter_map(|image| stems.get(image.path.as_path()));
                let name = format!("ImageSets/Segmentation/{}.txt", list_name(&part.name));
                (name, lines.map(|stem| format!("{stem}\n")).collect())
            };
            let colours = palette();
            let mut map = format!("# label:color_rgb:parts:actions\n{BACKGROUND}:0,0,0::\n");
            for (label, [red, green, blue]) in labels.iter().zip(&colours[1..]) {
                map.push_str(&format!("{label}:{red},{green},{blue}::\n"));
            }
            parts.iter().map(list).chain([("labelmap.txt".to_owned(), map)]).collect()
        }
    }
}

impl Item<'_> {
    /// The image in the output.
    fn file(&self, style: Style) -> String {
        let part = self.folder();
        match style {
            Style::Voc => format!("JPEGImages/{}", self.name),
            Style::Instances => format!("{part}{}/images/{}", self.stem, self.name),
            Style::Ids => format!("images/{part}{}", self.name),
        }
    }

    /// Its files of masks in the output; of VOC the numbers of objects, the classes and the XML file.
    fn masks(&self, style: Style) -> Vec<String> {
        let (part, stem) = (self.folder(), &self.stem);
        match style {
            Style::Voc => vec![
                format!("SegmentationObject/{stem}.png"),
                format!("SegmentationClass/{stem}.png"),
                format!("Annotations/{stem}.xml"),
            ],
            Style::Ids => vec![format!("masks/{part}{stem}.png")],
            Style::Instances => {
                let written = self.image.objects.iter().filter(|object| pixels(object, self.size).is_some());
                let file = |(object, number): (&super::super::LabelledObject, usize)| {
                    format!("{part}{stem}/masks/{}/{number:05}.png", object.label)
                };
                written.zip(1..).map(file).collect()
            }
        }
    }

    fn folder(&self) -> String {
        if self.part.is_empty() { String::new() } else { format!("{}/", self.part) }
    }

    fn whole(&self) -> Tile {
        Tile { x0: 0, y0: 0, x1: self.size[0], y1: self.size[1] }
    }
}

impl Lost {
    fn count(&mut self, item: &Item, masks: &[Option<Mask>]) {
        for (object, mask) in item.image.objects.iter().zip(masks) {
            self.crowds += usize::from(object.is_crowd);
            match mask {
                Some(_) => {}
                None if object.polygon.is_empty() => self.without_outline += 1,
                None => self.without_pixel += 1,
            }
        }
        self.empty += usize::from(masks.iter().all(Option::is_none));
    }

    /// The number of each pixel's object, from 1 in the order of the objects; of several the smallest.
    fn painted(&mut self, item: &Item, masks: &[Option<Mask>]) -> Vec<u16> {
        let [width, height] = item.size.map(|side| side as usize);
        let mut numbers = vec![0; width * height];
        let mut order: Vec<(usize, &Mask)> =
            masks.iter().enumerate().filter_map(|(at, mask)| Some((at, mask.as_ref()?))).collect();
        order.sort_by_key(|(at, mask)| (std::cmp::Reverse(mask.area()), *at));
        for (at, mask) in &order {
            let window = mask.window();
            for y in window.y0..window.y1 {
                for x in (window.x0..window.x1).filter(|x| mask.contains(*x, y)) {
                    numbers[y as usize * width + x as usize] = *at as u16 + 1;
                }
            }
        }
        let mut left = vec![0_u64; masks.len() + 1];
        numbers.iter().for_each(|number: &u16| left[usize::from(*number)] += 1);
        for (at, mask) in order {
            let gone = mask.area() - left[at + 1];
            self.covered += usize::from(gone > 0);
            self.covered_pixels += gone;
            self.wholly += usize::from(left[at + 1] == 0);
        }
        numbers
    }

    fn notes(&self, style: Style) -> Vec<String> {
        let mut notes = Vec::new();
        let mut say = |count: usize, what: &str| {
            if count > 0 {
                notes.push(format!("{what}: {count}"));
            }
        };
        say(self.without_outline, "objects without an outline, which are not written: a mask cannot show a box");
        say(self.without_pixel, "objects that hold no middle of a pixel, which are not written");
        say(
            self.covered,
            &format!(
                "objects that others partly cover, by {} in all, since a pixel has one number and the smaller object is on top \
                 (--to instance-masks keeps all)",
                if self.covered_pixels == 1 { "1 pixel".to_owned() } else { format!("{} pixels", self.covered_pixels) }
            ),
        );
        say(self.wholly, "of these, wholly covered");
        say(self.crowds, "crowds, written as single objects: masks do not tell crowds");
        if style == Style::Instances {
            say(self.empty, "images without an object, which have no file of masks and are not read back");
        }
        notes
    }
}

/// Numbers that were checked to be small enough.
fn bytes(numbers: &[u16]) -> Vec<u8> {
    numbers.iter().map(|number| *number as u8).collect()
}

/// VOC's colours: the bits of a place in the palette, from the lowest, become the highest of red, green and blue by turns.
fn palette() -> Vec<[u8; 3]> {
    let colour = |place: u32| {
        let level = |channel: u32| {
            (0..8).fold(0, |level, step| {
                let bit = if 3 * step + channel < 8 { place >> (3 * step + channel) & 1 } else { 0 };
                level | bit << (7 - step)
            })
        };
        [level(0) as u8, level(1) as u8, level(2) as u8]
    };
    (0..=VOID).map(colour).collect()
}
