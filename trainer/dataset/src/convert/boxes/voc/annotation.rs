//! One XML file: what it says of an image and its objects, judged object by object.

use super::super::draft::DraftObject;
use super::element::Element;
use super::pixels::Pixels;

/// What an XML file says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Annotation {
    /// The image, as it is named: `filename`, then `path`.
    pub names: Vec<String>,
    /// Width and height, where both are whole numbers above 0.
    pub declared: Option<[u32; 2]>,
    /// Objects that can be used.
    pub objects: Vec<DraftObject>,
    /// Place and reason of those that cannot.
    pub left_out: Vec<(String, String)>,
    /// Boxes whose corners stood in another order.
    pub swapped: usize,
}

impl Annotation {
    /// Reads the text of an XML file.
    ///
    /// # Errors
    /// It is no XML, or no annotation.
    pub fn read(text: &str, pixels: Pixels) -> Result<Self, String> {
        let root = Element::read(text)?;
        if root.name != "annotation" {
            return Err(format!("is no VOC annotation: its root is <{}>, not <annotation>", root.name));
        }
        let side =
            |size: &Element, name: &str| number(size.text_of(name)?).ok().filter(|side| (1.0..1e9).contains(side));
        let size = |size: &Element| Some([side(size, "width")?.round() as u32, side(size, "height")?.round() as u32]);
        let mut annotation = Self {
            names: ["filename", "path"].iter().filter_map(|name| root.text_of(name)).map(str::to_owned).collect(),
            declared: root.child("size").and_then(size),
            ..Self::default()
        };
        for (at, element) in root.children.iter().filter(|child| child.name == "object").enumerate() {
            let place = format!("object {at}");
            match object(element, place.clone(), pixels) {
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

/// An object, and whether its corners stood in another order.
fn object(element: &Element, place: String, pixels: Pixels) -> Result<(DraftObject, bool), String> {
    let label = element.text_of("name").ok_or("it has no name, or an empty one")?.to_owned();
    let is_crowd = element.text_of("difficult").is_some_and(|text| number(text) == Ok(1.0) || text == "true");
    let segments: Vec<Vec<f64>> = element.child("polygon").and_then(polygon).into_iter().collect();
    let (corners, swapped) = match element.child("bndbox") {
        Some(bndbox) => {
            let (corners, swapped) = corners(bndbox, pixels)?;
            (Some(corners), swapped)
        }
        None if segments.is_empty() => return Err("it has no bndbox".to_owned()),
        None => (None, false),
    };
    Ok((DraftObject { place, label, corners, segments, is_crowd }, swapped))
}

fn corners(bndbox: &Element, pixels: Pixels) -> Result<([f64; 4], bool), String> {
    let read = |name: &str| number(bndbox.text_of(name).ok_or_else(|| format!("its bndbox has no {name}"))?);
    let [x1, y1, x2, y2] = [read("xmin")?, read("ymin")?, read("xmax")?, read("ymax")?];
    let offset = pixels.offset();
    let ordered = [x1.min(x2) - offset, y1.min(y2) - offset, x1.max(x2), y1.max(y2)];
    Ok((ordered, x1 > x2 || y1 > y2))
}

/// `x1 y1 x2 y2 ..` of `<x1>`, `<y1>`, .. or of points with `<x>` and `<y>`; nothing where one is no number.
fn polygon(element: &Element) -> Option<Vec<f64>> {
    let points: Vec<&Element> =
        element.children.iter().filter(|child| child.name == "pt" || child.name == "point").collect();
    if !points.is_empty() {
        let both = |point: &&Element| Some([number(point.text_of("x")?).ok()?, number(point.text_of("y")?).ok()?]);
        return points.iter().map(both).collect::<Option<Vec<_>>>().map(|all| all.concat());
    }
    let at = |axis: char, index: usize| element.text_of(&format!("{axis}{index}")).and_then(|text| number(text).ok());
    let points: Vec<f64> = (1..).map_while(|index| Some([at('x', index)?, at('y', index)?])).flatten().collect();
    (points.len() == element.children.len()).then_some(points)
}

fn number(text: &str) -> Result<f64, String> {
    text.trim().parse::<f64>().ok().filter(|value| value.is_finite()).ok_or_else(|| format!("{text:?} is no number"))
}
