//! Writing CVAT's file.

use files::{Order, Scope, Target, Written};
use models::host::mask::Mask;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

use super::super::form::Form;
use super::super::part::{check_labels, labels, left_out};
use super::super::place::file_names;
use super::super::{LabelledImage, LabelledObject, Part, Placing, io_error, write_text};
use crate::DataError;
use crate::convert::List;

/// Writes `annotations.xml` and `images` into the output of `order`, for CVAT's import as "CVAT for images 1.1"; several parts are
/// subsets. An object of several segments becomes shapes of one `group_id`, one with holes a mask, and one without an outline a box.
/// A crowd has the attribute `is_crowd`. The texts are what people should know of it.
///
/// # Errors
/// The layout cannot hold the name of a class, an image cannot be read or copied, a file may not be written, or any IO
/// error.
pub fn write(order: &Order, parts: &[Part], placing: Placing) -> Result<(Vec<String>, Written), DataError> {
    check_labels(order, &labels(parts))?;
    let all: Vec<(&Part, &LabelledImage)> =
        parts.iter().flat_map(|part| part.images.iter().map(move |image| (part, image))).collect();
    let images: Vec<&LabelledImage> = all.iter().map(|(_, image)| *image).collect();
    let names = file_names(&images, &order.output.join("images"))?;
    let file = |name: &str| format!("images/{name}");
    let left_out = List::within(left_out(parts));
    let mut targets: Vec<Target> =
        images.iter().zip(&names).map(|(image, name)| Target::copy(file(name), &image.path)).collect();
    targets.push(Target::new("annotations.xml"));
    targets.extend(left_out.target());
    let mut writing = order.folder(Scope::Whole, &targets)?.begin()?;
    let mut document = Document::new();
    for (id, ((part, image), name)) in all.iter().zip(&names).enumerate() {
        placing.put(&mut writing, &file(name), &image.path)?;
        let subset = (parts.len() > 1).then_some(part.name.as_str());
        document.image(id, image, name, subset)?;
    }
    let masks = document.masks;
    let text = document.text().map_err(|source| io_error("write", order.output, source))?;
    write_text(&mut writing, "annotations.xml", &text)?;
    left_out.write(&mut writing)?;
    let note = format!("objects with holes or segments that overlap, written as masks of whole pixels: {masks}");
    let notes = if masks > 0 { vec![note] } else { Vec::new() };
    Ok((notes, writing.publish()?))
}

/// The document, as far as it is written.
struct Document {
    writer: Writer<Vec<u8>>,
    /// What the first failure was; writing to memory has none.
    failed: Option<std::io::Error>,
    group: usize,
    masks: usize,
}

impl Document {
    fn new() -> Self {
        let mut document =
            Self { writer: Writer::new_with_indent(Vec::new(), b' ', 2), failed: None, group: 0, masks: 0 };
        document.put(Event::Decl(BytesDecl::new("1.0", Some("utf-8"), None)));
        document.put(Event::Start(BytesStart::new("annotations")));
        document.put(Event::Start(BytesStart::new("version")));
        document.put(Event::Text(BytesText::new("1.1")));
        document.put(Event::End(BytesEnd::new("version")));
        document
    }

    fn put(&mut self, event: Event) {
        if let Err(error) = self.writer.write_event(event) {
            self.failed.get_or_insert(error);
        }
    }

    fn image(&mut self, id: usize, image: &LabelledImage, name: &str, subset: Option<&str>) -> Result<(), DataError> {
        let size = image.measured()?;
        let mut tag = BytesStart::new("image");
        tag.push_attribute(("id", id.to_string().as_str()));
        tag.push_attribute(("name", name));
        if let Some(subset) = subset {
            tag.push_attribute(("subset", subset));
        }
        tag.push_attribute(("width", size[0].to_string().as_str()));
        tag.push_attribute(("height", size[1].to_string().as_str()));
        self.put(Event::Start(tag));
        for object in &image.objects {
            self.object(object, size);
        }
        self.put(Event::End(BytesEnd::new("image")));
        Ok(())
    }

    fn object(&mut self, object: &LabelledObject, size: [u32; 2]) {
        match Form::of(object, size) {
            Form::Box => {
                let [width, height] = size.map(f64::from);
                let [x1, y1, x2, y2] = object.corners;
                let values = [("xtl", x1 * width), ("ytl", y1 * height), ("xbr", x2 * width), ("ybr", y2 * height)];
                self.shape("box", object, None, &values.map(|(key, value)| (key, value.to_string())));
            }
            Form::Segments(segments) => {
                let group = (segments.len() > 1).then(|| {
                    self.group += 1;
                    self.group
                });
                for segment in segments {
                    let (points, _) = segment.as_chunks::<2>();
                    let points: Vec<String> = points.iter().map(|[x, y]| format!("{x},{y}")).collect();
                    self.shape("polygon", object, group, &[("points", points.join(";"))]);
                }
            }
            Form::Pixels(mask) => {
                self.masks += 1;
                let window = mask.bounds().unwrap_or(mask.window());
                let values = [
                    ("rle", runs(&mask)),
                    ("left", window.x0.to_string()),
                    ("top", window.y0.to_string()),
                    ("width", window.width().to_string()),
                    ("height", window.height().to_string()),
                ];
                self.shape("mask", object, None, &values);
            }
        }
    }

    fn shape(&mut self, kind: &str, object: &LabelledObject, group: Option<usize>, values: &[(&str, String)]) {
        let mut tag = BytesStart::new(kind);
        for (key, value) in [("label", object.label.as_str()), ("source", "file"), ("occluded", "0")] {
            tag.push_attribute((key, value));
        }
        for (key, value) in values {
            tag.push_attribute((*key, value.as_str()));
        }
        tag.push_attribute(("z_order", "0"));
        if let Some(group) = group {
            tag.push_attribute(("group_id", group.to_string().as_str()));
        }
        if !object.is_crowd {
            self.put(Event::Empty(tag));
            return;
        }
        self.put(Event::Start(tag));
        let mut attribute = BytesStart::new("attribute");
        attribute.push_attribute(("name", "is_crowd"));
        self.put(Event::Start(attribute));
        self.put(Event::Text(BytesText::new("true")));
        self.put(Event::End(BytesEnd::new("attribute")));
        self.put(Event::End(BytesEnd::new(kind)));
    }

    fn text(mut self) -> std::io::Result<String> {
        self.put(Event::End(BytesEnd::new("annotations")));
        match self.failed {
            Some(error) => Err(error),
            None => String::from_utf8(self.writer.into_inner()).map(|text| text + "\n").map_err(std::io::Error::other),
        }
    }
}

/// Run lengths of a mask row by row in the smallest rectangle around it, beginning with one outside.
fn runs(mask: &Mask) -> String {
    let window = mask.bounds().unwrap_or(mask.window());
    let (mut lengths, mut inside, mut length) = (Vec::new(), false, 0_u64);
    for y in window.y0..window.y1 {
        for x in window.x0..window.x1 {
            if mask.contains(x, y) != inside {
                lengths.push(length.to_string());
                (inside, length) = (!inside, 0);
            }
            length += 1;
        }
    }
    lengths.push(length.to_string());
    lengths.join(", ")
}
