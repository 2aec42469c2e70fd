//! CVAT's XML: images, their shapes, and the attributes of these.

use std::collections::BTreeMap;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

/// A tag's name and what is written in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tag {
    /// Name, in small letters.
    pub name: String,
    /// Attributes.
    pub values: BTreeMap<String, String>,
}

/// A shape and its user's attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drawn {
    /// The shape.
    pub tag: Tag,
    /// Attributes that its task declares.
    pub attributes: BTreeMap<String, String>,
}

/// An image and what is drawn in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// The image.
    pub tag: Tag,
    /// Its shapes, in their order.
    pub shapes: Vec<Drawn>,
}

/// The images of a document.
///
/// # Errors
/// It is no XML, or of another kind; with what to do.
pub fn images(text: &str) -> Result<Vec<Image>, String> {
    let mut reader = Reader::from_str(text);
    let mut open: Vec<String> = Vec::new();
    let mut images: Vec<Image> = Vec::new();
    let mut attribute: Option<(String, String)> = None;
    let mut has_root = false;
    loop {
        let event = reader.read_event().map_err(|error| format!("is no XML: {error}"))?;
        let is_empty = matches!(event, Event::Empty(_));
        match event {
            Event::Start(start) | Event::Empty(start) => {
                let tag = tag(&start)?;
                match open.as_slice() {
                    [] if tag.name != "annotations" => return Err(foreign(&tag.name)),
                    [] => has_root = true,
                    [_] if tag.name == "track" => {
                        return Err("is CVAT for video, whose tracks go over many images; export the task or job as \"CVAT for \
                                    images 1.1\""
                            .to_owned());
                    }
                    [_] if tag.name == "image" => images.push(Image { tag: tag.clone(), shapes: Vec::new() }),
                    [_, image] if image == "image" => {
                        if let Some(image) = images.last_mut() {
                            image.shapes.push(Drawn { tag: tag.clone(), attributes: BTreeMap::new() });
                        }
                    }
                    [_, image, _] if image == "image" && tag.name == "attribute" => {
                        attribute = tag.values.get("name").map(|name| (name.clone(), String::new()));
                    }
                    _ => {}
                }
                if !is_empty {
                    open.push(tag.name);
                }
            }
            Event::End(_) => {
                if let Some((name, value)) = attribute.take() {
                    let shape = images.last_mut().and_then(|image| image.shapes.last_mut());
                    if let Some(shape) = shape {
                        shape.attributes.insert(name, value.trim().to_owned());
                    }
                }
                open.pop();
            }
            Event::Text(text) => {
                if let Some((_, value)) = &mut attribute {
                    value.push_str(&text.decode().map_err(|error| format!("is no text: {error}"))?);
                }
            }
            Event::Eof if !open.is_empty() || !has_root => return Err("ends before its root element does".to_owned()),
            Event::Eof => return Ok(images),
            Event::CData(_)
            | Event::GeneralRef(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::DocType(_) => {}
        }
    }
}

fn foreign(root: &str) -> String {
    match root {
        "annotation" => "is an annotation of Pascal VOC; convert its folder with `trainer convert voc`".to_owned(),
        other => format!("is no file of CVAT for images: its root is <{other}>, not <annotations>"),
    }
}

fn tag(start: &BytesStart) -> Result<Tag, String> {
    let name = String::from_utf8_lossy(start.local_name().as_ref()).to_lowercase();
    let mut values = BTreeMap::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| format!("has a broken attribute in <{name}>: {error}"))?;
        let key = String::from_utf8_lossy(attribute.key.local_name().as_ref()).into_owned();
        let value = attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_err(|error| format!("has a broken {key} in <{name}>: {error}"))?;
        values.insert(key, value.into_owned());
    }
    Ok(Tag { name, values })
}

impl Tag {
    /// A text that is written in the tag.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// A number that is written in the tag.
    ///
    /// # Errors
    /// It is not there, or none.
    pub fn number(&self, key: &str) -> Result<f64, String> {
        let text = self.text(key).ok_or_else(|| format!("its {} has no {key}", self.name))?;
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
        number.ok_or_else(|| format!("{key} of its {} is {text:?}, no number", self.name))
    }
}
