//! Pascal VOC folders: `Annotations/*.xml`, `JPEGImages/*`, `ImageSets/Main/*.txt`.
//!
//! Two readings of `xmin ymin xmax ymax` are in use. The specification, LabelImg and most others take them as corners in
//! pixels, 0 at the left and upper edge ([`Pixels::Corners`], the default): a box from 10 to 20 is 10 pixels wide. The original
//! VOC counts pixels from 1 and includes both ends ([`Pixels::Inclusive`]): the same numbers mean 11 pixels, from 9 to 20. `difficult`
//! objects are left out of VOC's metrics, as crowds are of COCO's, so one is read and written as the other.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use files::{Order, Scope, Target};
use serde::{Deserialize, Serialize};

use super::draft::{Draft, DraftObject, Unit, settle};
use super::part::left_out;
use super::place::file_names;
use super::{
    LabelledImage, LabelledObject, Part, Placing, Sizes, absolute, io_error, part_name, read_text, write_text, wrong,
};
use crate::DataError;
use crate::convert::{IMAGE_EXTENSIONS, List};

/// What the numbers of a box mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pixels {
    /// Corners in continuous pixels, 0 at the edge.
    #[default]
    Corners,
    /// First and last pixel, counted from 1.
    Inclusive,
}

impl Pixels {
    /// What the numbers begin at, beyond what corners do.
    fn offset(self) -> f64 {
        match self {
            Self::Corners => 0.0,
            Self::Inclusive => 1.0,
        }
    }
}

#[derive(Deserialize)]
struct Annotation {
    filename: Option<String>,
    size: Option<Size>,
    #[serde(default)]
    object: Vec<Object>,
}

#[derive(Serialize, Deserialize)]
struct Size {
    width: String,
    height: String,
    #[serde(skip_deserializing)]
    depth: u8,
}

#[derive(Serialize, Deserialize)]
struct Object {
    name: String,
    difficult: Option<String>,
    bndbox: Option<Bndbox>,
}

#[derive(Serialize, Deserialize)]
struct Bndbox {
    xmin: String,
    ymin: String,
    xmax: String,
    ymax: String,
}

/// Reads a VOC folder, or a folder of XML files. There is one part per list in `ImageSets/Main`, or, without lists, one of all
/// annotations in the order of their names. Lists of single classes (`cat_train.txt`) are passed over. Images are looked
/// for in `images`, or in `JPEGImages`, `images`, beside the XML files and in `root`.
///
/// # Errors
/// A file cannot be read or is no annotation, a list names one that is not there, or there are none.
pub fn read(root: &Path, images: Option<&Path>, pixels: Pixels, sizes: Sizes) -> Result<Vec<Part>, DataError> {
    let root = absolute(root)?;
    let folder = Some(root.join("Annotations")).filter(|folder| folder.is_dir()).unwrap_or_else(|| root.clone());
    let reader = Reader {
        images: match images {
            Some(folder) => vec![absolute(folder)?],
            None => vec![root.join("JPEGImages"), root.join("images"), folder.clone(), root.clone()],
        },
        folder,
        pixels,
        sizes,
    };
    let lists = files(&root.join("ImageSets/Main"), "txt").unwrap_or_default();
    let mut parts = Vec::new();
    for list in &lists {
        let text = read_text(list)?;
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).peekable();
        if lines.peek().is_some_and(|line| line.split_whitespace().count() > 1) {
            continue;
        }
        parts.push(reader.part(part_name(list), lines.map(|name| reader.folder.join(format!("{name}.xml"))))?);
    }
    if parts.is_empty() {
        let annotations = files(&reader.folder, "xml")?;
        if annotations.is_empty() {
            let message = "holds no annotation; expected XML files, or a folder Annotations of them";
            return Err(wrong(&reader.folder, message));
        }
        parts.push(reader.part(part_name(&root), annotations.into_iter())?);
    }
    let advice = "say where the images are with --images FOLDER:";
    parts.into_iter().map(|part| part.usable(&reader.folder, advice)).collect()
}

struct Reader {
    folder: PathBuf,
    images: Vec<PathBuf>,
    pixels: Pixels,
    sizes: Sizes,
}

impl Reader {
    fn part(&self, name: String, annotations: impl Iterator<Item = PathBuf>) -> Result<Part, DataError> {
        let mut part = Part { name, ..Part::default() };
        let mut drafts = Vec::new();
        for path in annotations {
            drafts.push(self.draft(&path, &mut part)?);
        }
        settle(&mut part, drafts, Unit::Pixels(self.sizes));
        Ok(part)
    }

    fn draft(&self, path: &Path, part: &mut Part) -> Result<Draft, DataError> {
        let annotation: Annotation = quick_xml::de::from_str(&read_text(path)?)
            .map_err(|error| wrong(path, format!("is no VOC annotation: {error}")))?;
        let side = |text: &str| text.trim().parse::<u32>().ok().filter(|side| *side > 0);
        let declared = annotation.size.and_then(|size| Some([side(&size.width)?, side(&size.height)?]));
        let file = self.image(path, annotation.filename.as_deref().unwrap_or_default().trim());
        let mut objects = Vec::new();
        for (number, object) in annotation.object.into_iter().enumerate() {
            let place = format!("object {number}");
            match self.object(object, place.clone()) {
                Ok(object) => objects.push(object),
                Err(reason) => part.leave_out(path, place, reason),
            }
        }
        Ok(Draft { source: path.to_owned(), place: "image".to_owned(), path: file, declared, objects })
    }

    fn object(&self, object: Object, place: String) -> Result<DraftObject, String> {
        let bndbox = object.bndbox.ok_or("there is no bndbox")?;
        let read = |text: &str| text.trim().parse::<f64>().map_err(|_| format!("{:?} is no number", text.trim()));
        let offset = self.pixels.offset();
        let corners =
            [read(&bndbox.xmin)? - offset, read(&bndbox.ymin)? - offset, read(&bndbox.xmax)?, read(&bndbox.ymax)?];
        let label = object.name.trim().to_owned();
        if label.is_empty() {
            return Err("its name is empty".to_owned());
        }
        let is_crowd = object.difficult.is_some_and(|text| text.trim() == "1");
        Ok(DraftObject { place, label, corners: Some(corners), segments: Vec::new(), is_crowd })
    }

    /// The image of an annotation: the file it names, or one named as the annotation itself.
    fn image(&self, annotation: &Path, filename: &str) -> PathBuf {
        let stem = annotation.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let endings = IMAGE_EXTENSIONS.iter().flat_map(|ending| [(*ending).to_owned(), ending.to_uppercase()]);
        let named = Some(filename).filter(|name| !name.is_empty()).map(str::to_owned);
        let names: Vec<String> = named.into_iter().chain(endings.map(|ending| format!("{stem}.{ending}"))).collect();
        let candidates = names.iter().flat_map(|name| self.images.iter().map(move |folder| folder.join(name)));
        let first = candidates.clone().next().unwrap_or_default();
        let mut candidates = candidates;
        candidates.find(|path| path.is_file()).unwrap_or(first)
    }
}

/// Files of a folder with an ending, by name.
fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>, DataError> {
    let failed = |source| io_error("list", folder, source);
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(ending)) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

#[derive(Serialize)]
#[serde(rename = "annotation")]
struct Written {
    folder: &'static str,
    filename: String,
    size: Size,
    segmented: u8,
    object: Vec<Object>,
}

/// Writes a VOC folder, the output of `order`: every image and its annotation once, and a list per part. Coordinates are whole
/// where they are so to a millionth of a pixel, else written in full. Outlines are not part of this layout and are dropped.
/// Images that lie where they belong stay.
///
/// # Errors
/// A file may not be written, an image cannot be read or copied, or any IO error.
pub fn write(order: &Order, parts: &[Part], pixels: Pixels, placing: Placing) -> Result<files::Written, DataError> {
    // An image may be in several parts.
    let mut numbers: BTreeMap<&Path, usize> = BTreeMap::new();
    let mut images: Vec<&LabelledImage> = Vec::new();
    for image in parts.iter().flat_map(|part| &part.images) {
        numbers.entry(&image.path).or_insert_with(|| {
            images.push(image);
            images.len() - 1
        });
    }
    let names = file_names(&images, &order.output.join("JPEGImages"))?;
    let stems: Vec<String> =
        names.iter().map(|name| Path::new(name).with_extension("").display().to_string()).collect();
    let file = |at: usize| format!("JPEGImages/{}", names[at]);
    let annotation = |at: usize| format!("Annotations/{}.xml", stems[at]);
    let list = |part: &Part| format!("ImageSets/Main/{}.txt", part.name);
    let of_image = |at: usize| [Target::copy(file(at), &images[at].path), Target::new(annotation(at))];
    let mut targets: Vec<Target> = (0..images.len()).flat_map(of_image).collect();
    targets.extend(parts.iter().map(|part| Target::new(list(part))));
    let left_out = List::within(left_out(parts));
    targets.extend(left_out.target());
    let mut writing = order.folder(Scope::Whole, &targets)?.begin()?;
    for (at, image) in images.iter().enumerate() {
        placing.put(&mut writing, &file(at), &image.path)?;
        write_text(&mut writing, &annotation(at), &xml(image, names[at].clone(), pixels)?)?;
    }
    for part in parts {
        let line = |image: &LabelledImage| format!("{}\n", stems[numbers[image.path.as_path()]]);
        write_text(&mut writing, &list(part), &part.images.iter().map(line).collect::<String>())?;
    }
    left_out.write(&mut writing)?;
    Ok(writing.publish()?)
}

fn xml(image: &LabelledImage, filename: String, pixels: Pixels) -> Result<String, DataError> {
    let size = image.measured()?;
    let object = |marked: &LabelledObject| {
        let [width, height] = size.map(f64::from);
        let [x1, y1, x2, y2] = marked.corners;
        let offset = pixels.offset();
        Object {
            name: marked.label.clone(),
            difficult: Some(u8::from(marked.is_crowd).to_string()),
            bndbox: Some(Bndbox {
                xmin: number(x1 * width + offset),
                ymin: number(y1 * height + offset),
                xmax: number(x2 * width),
                ymax: number(y2 * height),
            }),
        }
    };
    let [width, height] = size.map(|side| side.to_string());
    let written = Written {
        folder: "JPEGImages",
        filename,
        size: Size { width, height, depth: 3 },
        segmented: 0,
        object: image.objects.iter().map(object).collect(),
    };
    let mut text = String::new();
    let mut serializer = quick_xml::se::Serializer::new(&mut text);
    serializer.indent('\t', 1);
    written
        .serialize(serializer)
        .map_err(|error| wrong(&image.path, format!("cannot be described in XML: {error}")))?;
    text.push('\n');
    Ok(text)
}

fn number(value: f64) -> String {
    let whole = value.round();
    if (value - whole).abs() < 1e-6 { format!("{whole:.0}") } else { value.to_string() }
}
