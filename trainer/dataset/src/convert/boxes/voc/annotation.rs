//! One XML file: what it says of an image and its objects, judged object by object.

use models::host::mask::Fill;

use super::super::draft::DraftObject;
use super::element::Element;
use super::pixels::Pixels;

/// What an XML file says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Annotation {
    /// The image, as it is named: `filename`, then `path`.
    pub names: Vec<String>,
    /// The folder of the image, as it is named.
    pub folder: Option<String>,
    /// Width and height, where both are whole numbers above 0.
    pub declared: Option<[u32; 2]>,
    /// Objects that can be used.
    pub objects: Vec<DraftObject>,
    /// Place and reason of those that cannot.
    pub left_out: Vec<(String, String)>,
    /// Boxes whose corners stood in another order.
    pub swapped: usize,
    /// Parts of objects, such as heads, that have boxes of their own.
    pub parts: usize,
}

impl Annotation {
    /// Reads the text of an XML file.
    ///
    /// # Errors
    /// It is no XML, or no annotation.
    pub fn read(text: &str, pixels: Pixels) -> Result<Self, String> {
        let root = Element::read(text)?;
        if root.name != "annotation" {
            return Err(foreign(&root));
        }
        let side =
            |size: &Element, name: &str| number(size.text_of(name)?).ok().filter(|side| (1.0..1e9).contains(side));
        let size = |size: &Element| Some([side(size, "width")?.round() as u32, side(size, "height")?.round() as u32]);
        let mut annotation = Self {
            names: ["filename", "path"].iter().filter_map(|name| root.text_of(name)).map(str::to_owned).collect(),
            folder: root.text_of("folder").map(str::to_owned),
            declared: root.only("size").ok().flatten().and_then(size),
            ..Self::default()
        };
        let mut found = Vec::new();
        annotation.parts = objects(&root, false, &mut found);
        for (at, (element, within)) in found.into_iter().enumerate() {
            let place = format!("object {at}");
            let object = match within {
                true => Err("it lies within another object".to_owned()),
                false => object(element, place.clone(), pixels),
            };
            match object {
                Ok((object, swapped)) => {
                    annotation.swapped += usize::from(swapped);
                    annotation.objects.push(object);
                }
                Err(reason) => annotation.left_out.push((place, reason)),
            }
        }
        Ok(annotation)
    }
}

/// What a document is that is no annotation.
fn foreign(root: &Element) -> String {
    match (root.name.as_str(), root.child("image").is_some()) {
        ("annotations", true) => "is CVAT's own XML and not VOC's; convert it with `trainer convert cvat`".to_owned(),
        (name, _) => format!("is no VOC annotation: its root is <{name}>, not <annotation>"),
    }
}

/// Collects the objects of a document, which some tools put into a list of their own, and whether each lies within another
/// one. Parts of objects are counted where they have a box.
fn objects<'a>(element: &'a Element, within: bool, found: &mut Vec<(&'a Element, bool)>) -> usize {
    let mut parts = 0;
    for child in &element.children {
        match child.name.as_str() {
            "part" => parts += usize::from(child.child("bndbox").is_some()),
            "object" => {
                found.push((child, within));
                parts += objects(child, true, found);
            }
            _ => parts += objects(child, within, found),
        }
    }
    parts
}

/// `1`, `1.0`, `true` or `yes`.
fn is_yes(text: &str) -> bool {
    number(text) == Ok(1.0) || ["true", "yes"].iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// An object, and whether its corners stood in another order.
fn object(element: &Element, place: String, pixels: Pixels) -> Result<(DraftObject, bool), String> {
    if element.text_of("deleted").is_some_and(is_yes) {
        return Err("it is marked as deleted".to_owned());
    }
    let label = element.only_text("name")?.ok_or("it has no name, or an empty one")?.to_owned();
    let is_crowd = element.text_of("difficult").is_some_and(is_yes);
    let segments: Vec<Vec<f64>> = element.all("polygon").map(polygon).collect();
    let (corners, swapped) = match element.only("bndbox")? {
        Some(bndbox) => {
            let (corners, swapped) = corners(bndbox, pixels)?;
            (Some(corners), swapped)
        }
        None if element.child("robndbox").is_some() => {
            return Err("its box is a rotated one (robndbox), which is not read; give it a bndbox".to_owned());
        }
        None if segments.is_empty() => return Err("it has no bndbox".to_owned()),
        None => (None, false),
    };
    Ok((DraftObject { place, label, corners, segments, fill: Fill::Coco, is_crowd }, swapped))
}

fn corners(bndbox: &Element, pixels: Pixels) -> Result<([f64; 4], bool), String> {
    let read = |name: &str| number(bndbox.only_text(name)?.ok_or_else(|| format!("its bndbox has no {name}"))?);
    let [x1, y1, x2, y2] = [read("xmin")?, read("ymin")?, read("xmax")?, read("ymax")?];
    let offset = pixels.offset();
    let ordered = [x1.min(x2) - offset, y1.min(y2) - offset, x1.max(x2), y1.max(y2)];
    Ok((ordered, x1 > x2 || y1 > y2))
}

/// `x1 y1 x2 y2 ..` of `<x1>`, `<y1>`, .. or of points with `<x>` and `<y>`. What is no number is NaN, by which the outline
/// is known to be none.
fn polygon(element: &Element) -> Vec<f64> {
    let coordinate = |text: Option<&str>| text.and_then(|text| number(text).ok()).unwrap_or(f64::NAN);
    let points: Vec<&Element> =
        element.children.iter().filter(|child| child.name == "pt" || child.name == "point").collect();
    if !points.is_empty() {
        return points.iter().flat_map(|point| ["x", "y"].map(|axis| coordinate(point.text_of(axis)))).collect();
    }
    let at = |place: usize| format!("{}{}", if place.is_multiple_of(2) { 'x' } else { 'y' }, place / 2 + 1);
    (0..element.children.len()).map(|place| coordinate(element.text_of(&at(place)))).collect()
}

fn number(text: &str) -> Result<f64, String> {
    text.trim().parse::<f64>().ok().filter(|value| value.is_finite()).ok_or_else(|| format!("{text:?} is no number"))
}
