//! YOLO's layout: `data.yaml`, images below a folder `images`, and for each a text file below `labels` beside it, with a line
//! `class centre_x centre_y width height` (fractions) per object, or `class x1 y1 x2 y2 ..` for an outline.

use std::fs;
use std::path::{Path, PathBuf};

use files::{Order, Scope, Target, Written};
use serde::Deserialize;
use serde_json::Value;

use super::frame::Frame;
use super::geometry::{bounds, fitted, outline};
use super::part::{labels, left_out};
use super::place::file_names;
use super::{LabelledImage, LabelledObject, Part, Placing, absolute, io_error, read_text, write_text, wrong};
use crate::DataError;
use crate::convert::{IMAGE_EXTENSIONS, List};

#[derive(Deserialize)]
struct Description {
    path: Option<String>,
    train: Option<Value>,
    #[serde(alias = "valid")]
    val: Option<Value>,
    test: Option<Value>,
    #[serde(default)]
    names: Value,
}

/// Reads what `data.yaml` describes: a part for each of `train`, `val` (as `validation`) and `test`, each a folder of images, a
/// text file that lists them, or several of these. Paths are relative to `path` and to the file's own folder. An image
/// without a label file shows nothing.
///
/// # Errors
/// The file is no description, a folder or label file cannot be read, or a part has no image.
pub fn read(file: &Path) -> Result<Vec<Part>, DataError> {
    let file = absolute(file)?;
    let description: Description = serde_saphyr::from_str(&read_text(&file)?)
        .map_err(|error| wrong(&file, format!("is no description of a YOLO data set: {error}")))?;
    let names =
        names(&description.names).ok_or_else(|| wrong(&file, "names must list the classes, or map numbers to them"))?;
    let own = file.parent().unwrap_or(Path::new("/"));
    let base = description.path.as_deref().map_or_else(|| own.to_owned(), |path| own.join(path));
    let mut parts = Vec::new();
    for (name, value) in [("train", description.train), ("validation", description.val), ("test", description.test)] {
        let mut part = Part { name: name.to_owned(), ..Part::default() };
        let sources = match value {
            None | Some(Value::Null) => continue,
            Some(Value::String(one)) => vec![one],
            Some(other) => serde_json::from_value(other)
                .map_err(|_| wrong(&file, format!("{name} must be a path or a list of paths")))?,
        };
        for source in &sources {
            let place = find(&base, own, source)
                .ok_or_else(|| wrong(&file, format!("{name}: there is no {source:?} below {}", base.display())))?;
            for path in images(&place)? {
                let image = labelled(path, &names, &mut part)?;
                part.images.push(image);
            }
        }
        if part.images.is_empty() {
            return Err(wrong(&file, format!("{name}: {} holds no image", sources.join(", "))));
        }
        parts.push(part.usable(&file, "check `path` and the folders that the file names:")?);
    }
    if parts.is_empty() {
        return Err(wrong(&file, "names none of train, val and test"));
    }
    Ok(parts)
}

fn names(value: &Value) -> Option<Vec<String>> {
    let name = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    match value {
        Value::Array(list) => list.iter().map(name).collect(),
        Value::Object(map) => (0..map.len()).map(|number| name(map.get(&number.to_string())?)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// A path as it is meant: some exporters write one `..` too many.
fn find(base: &Path, own: &Path, source: &str) -> Option<PathBuf> {
    let shorter = source.strip_prefix("../").unwrap_or(source);
    let candidates = [base.join(source), own.join(source), base.join(shorter), own.join(shorter)];
    candidates.into_iter().find(|path| path.exists())
}

/// The images of a folder, also below it, or of a list; sorted by name, or as listed.
fn images(place: &Path) -> Result<Vec<PathBuf>, DataError> {
    if place.is_file() {
        let base = place.parent().unwrap_or(Path::new("/"));
        let text = read_text(place)?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        return Ok(lines.map(|line| base.join(line.strip_prefix("./").unwrap_or(line))).collect());
    }
    let mut found = Vec::new();
    let mut folders = vec![place.to_owned()];
    while let Some(folder) = folders.pop() {
        let failed = |source| io_error("list", &folder, source);
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else if ending.is_some_and(|ending| IMAGE_EXTENSIONS.contains(&ending.as_str())) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn labelled(path: PathBuf, names: &[String], part: &mut Part) -> Result<LabelledImage, DataError> {
    let file = label_file(&path);
    let mut image = LabelledImage { path, size: None, objects: Vec::new() };
    if !file.is_file() {
        return Ok(image);
    }
    for (number, line) in read_text(&file)?.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match object(line, names) {
            Ok((object, cut)) => {
                part.cut += usize::from(cut);
                image.objects.push(object);
            }
            Err(reason) => part.leave_out(&file, format!("line {}", number + 1), reason),
        }
    }
    Ok(image)
}

/// `../images/x/a.jpg` has its objects in `../labels/x/a.txt`; without a folder `images`, in `a.txt` beside it.
fn label_file(image: &Path) -> PathBuf {
    let parts: Vec<_> = image.iter().collect();
    let at = parts.iter().rposition(|part| *part == "images");
    let swap = |(index, part)| if Some(index) == at { std::ffi::OsStr::new("labels") } else { part };
    parts.iter().copied().enumerate().map(swap).collect::<PathBuf>().with_extension("txt")
}

fn object(line: &str, names: &[String]) -> Result<(LabelledObject, bool), String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let number = |text: &&str| text.parse::<f64>().map_err(|_| format!("{text:?} is no number"));
    let values: Vec<f64> = fields[1..].iter().map(number).collect::<Result<_, _>>()?;
    let class = number(&fields[0])?;
    let label = names.get(class as usize).filter(|_| class >= 0.0 && class.fract() == 0.0);
    let label = label.ok_or_else(|| format!("class {} is none of {}", fields[0], names.len()))?.clone();
    let (corners, polygon) = match values[..] {
        [x, y, width, height] => ([x - width / 2.0, y - height / 2.0, x + width / 2.0, y + height / 2.0], Vec::new()),
        _ => {
            let count = values.len();
            let polygon = outline([values], &Frame::FRACTIONS);
            if polygon.is_empty() {
                return Err(format!("{count} numbers are neither a box nor an outline within the image"));
            }
            (bounds(&polygon), polygon)
        }
    };
    let fitted = fitted(corners, &Frame::FRACTIONS)?;
    Ok((LabelledObject { label, corners: fitted.corners, is_crowd: false, polygon }, fitted.cut))
}

/// Writes `images/PART`, `labels/PART` and `data.yaml` into the output of `order`; classes are numbered in the order of their
/// sorted names. An object of one segment is written as an outline, any other as its box; that an object is a crowd cannot be
/// said here. A part that stands alone is called `train`, whatever its name. Images that lie where they belong stay.
///
/// # Errors
/// One of several parts is none of train, validation and test, a file may not be written, an image cannot be copied, or
/// any IO error.
pub fn write(order: &Order, parts: &[Part], placing: Placing) -> Result<Written, DataError> {
    let labels = labels(parts);
    let mut yaml = String::from("path: .\n");
    let mut images: Vec<(&LabelledImage, [String; 2])> = Vec::new();
    for part in parts {
        let name = match part.name.as_str() {
            name @ ("train" | "validation" | "test") => name,
            _ if parts.len() == 1 => "train",
            other => {
                let message = format!("cannot hold a part {other:?}; name the inputs train, validation and test");
                return Err(wrong(order.output, message));
            }
        };
        let of_part: Vec<&LabelledImage> = part.images.iter().collect();
        let folder = format!("images/{name}");
        for (image, file) in of_part.iter().zip(file_names(&of_part, &order.output.join(&folder))?) {
            let text = Path::new(&file).with_extension("txt");
            images.push((image, [format!("{folder}/{file}"), format!("labels/{name}/{}", text.display())]));
        }
        let key = if name == "validation" { "val" } else { name };
        yaml.push_str(&format!("{key}: {folder}\n"));
    }
    yaml.push_str(&format!("nc: {}\nnames:\n", labels.len()));
    for (number, name) in labels.iter().enumerate() {
        yaml.push_str(&format!("  {number}: {}\n", quoted(name)));
    }
    let of_image =
        |(image, [name, text]): &(&LabelledImage, [String; 2])| [Target::copy(name, &image.path), Target::new(text)];
    let mut targets: Vec<Target> = images.iter().flat_map(of_image).collect();
    targets.push(Target::new("data.yaml"));
    let left_out = List::within(left_out(parts));
    targets.extend(left_out.target());
    let mut writing = order.folder(Scope::Whole, &targets)?.begin()?;
    for (image, [name, text]) in &images {
        placing.put(&mut writing, name, &image.path)?;
        let lines: String = image.objects.iter().map(|object| line(object, &labels)).collect();
        write_text(&mut writing, text, &lines)?;
    }
    write_text(&mut writing, "data.yaml", &yaml)?;
    left_out.write(&mut writing)?;
    Ok(writing.publish()?)
}

fn line(object: &LabelledObject, labels: &[String]) -> String {
    let class = labels.binary_search(&object.label).unwrap_or_default();
    let [x1, y1, x2, y2] = object.corners;
    let numbers = match object.polygon.as_slice() {
        [segment] => segment.clone(),
        _ => vec![(x1 + x2) / 2.0, (y1 + y2) / 2.0, x2 - x1, y2 - y1],
    };
    let numbers: Vec<String> = numbers.iter().map(f64::to_string).collect();
    format!("{class} {}\n", numbers.join(" "))
}

/// A word that needs no quotes as it is, anything else as a JSON string, which YAML reads as well.
fn quoted(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
        && !["true", "false", "yes", "no", "on", "off", "null", "y", "n"].contains(&text.to_lowercase().as_str());
    if plain { text.to_owned() } else { Value::from(text).to_string() }
}
