//! What columns are called.

use super::boxes::{BoxColumns, BoxForm, Numbers};
use crate::convert::parts::part_named;

/// Names of columns that hold the place of an image, those of its name, and those that may hold either or neither.
pub const IMAGES: [&[&str]; 3] = [
    &[
        "imageurl",
        "imageuri",
        "url",
        "uri",
        "gcsuri",
        "imagepath",
        "imgpath",
        "filepath",
        "path",
        "filename",
        "fname",
        "imagefilename",
        "imagefile",
        "file",
        "image",
        "img",
    ],
    &["imagename", "imageid", "imgname", "imgid", "imageindex", "photo", "photoid"],
    &["id", "name"],
];

/// Names of columns that hold a class, and those of its number.
pub const LABELS: [&[&str]; 2] = [
    &[
        "label",
        "labels",
        "class",
        "classes",
        "classname",
        "labelname",
        "category",
        "categoryname",
        "target",
        "tag",
        "tags",
        "findinglabels",
    ],
    &["classid", "labelid", "categoryid"],
];

/// Of the names of classes, those that promise several.
pub const LISTS: [&str; 4] = ["labels", "classes", "tags", "findinglabels"];

/// Names of columns that say which part of a data set a row belongs to.
pub const SETS: [&str; 8] = ["set", "split", "subset", "partition", "mluse", "usage", "phase", "datasplit"];

/// Columns that say something else of an image.
pub const ASIDE: [&str; 14] = [
    "",
    "index",
    "unnamed0",
    "width",
    "height",
    "imagewidth",
    "imageheight",
    "depth",
    "channels",
    "format",
    "fold",
    "source",
    "size",
    "filesize",
];

const CROWDS: [&str; 3] = ["isgroupof", "iscrowd", "difficult"];
const SIZES: [[&str; 2]; 3] = [["imagewidth", "imageheight"], ["imgwidth", "imgheight"], ["width", "height"]];
const BOXES: [&str; 3] = ["bbox", "box", "boundingbox"];
const FOURS: [(BoxForm, [&str; 4]); 15] = [
    (BoxForm::Corners, ["xmin", "ymin", "xmax", "ymax"]),
    (BoxForm::Corners, ["x1", "y1", "x2", "y2"]),
    (BoxForm::Corners, ["x0", "y0", "x1", "y1"]),
    (BoxForm::Corners, ["left", "top", "right", "bottom"]),
    (BoxForm::Corners, ["topx", "topy", "bottomx", "bottomy"]),
    (BoxForm::Corners, ["xtl", "ytl", "xbr", "ybr"]),
    (BoxForm::Size, ["x", "y", "w", "h"]),
    (BoxForm::Size, ["x", "y", "width", "height"]),
    (BoxForm::Size, ["xmin", "ymin", "w", "h"]),
    (BoxForm::Size, ["xmin", "ymin", "width", "height"]),
    (BoxForm::Size, ["left", "top", "width", "height"]),
    (BoxForm::Centre, ["xcenter", "ycenter", "width", "height"]),
    (BoxForm::Centre, ["xcentre", "ycentre", "width", "height"]),
    (BoxForm::Centre, ["centerx", "centery", "width", "height"]),
    (BoxForm::Centre, ["cx", "cy", "w", "h"]),
];

/// A name without its spelling: `Image Path`, `image_path` and `imagePath` are one.
pub fn plain(name: &str) -> String {
    name.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Name of the part that a word such as `TRAIN` means.
pub fn part(word: &str) -> Option<&'static str> {
    // Rows that a cloud's tool has not given to a part.
    part_named(word).or(word.eq_ignore_ascii_case("unassigned").then_some("unassigned"))
}

/// The columns of boxes among these, if there are any; the label is left open.
pub fn boxes(names: &[String]) -> Option<BoxColumns> {
    let at = |wanted: &str| names.iter().position(|name| name == wanted);
    let stripped = |wanted: &str| {
        let of_box = |name: &String| {
            let rest = ["boundingbox", "bbox", "box", "roi"].iter().find_map(|start| name.strip_prefix(start));
            rest.is_some_and(|rest| rest == wanted)
        };
        names.iter().position(of_box).or_else(|| at(wanted))
    };
    let four = FOURS.iter().find_map(|(form, four)| {
        let found: Option<Vec<usize>> = four.iter().map(|name| stripped(name)).collect();
        <[usize; 4]>::try_from(found?).ok().map(|columns| (Some(*form), Numbers::Four(columns)))
    });
    let (form, numbers) = four.or_else(|| BOXES.iter().find_map(|name| at(name)).map(|at| (None, Numbers::One(at))))?;
    let taken: &[usize] = match &numbers {
        Numbers::Four(columns) => columns,
        Numbers::One(column) => std::slice::from_ref(column),
    };
    let size = SIZES.iter().find_map(|[width, height]| Some([at(width)?, at(height)?]));
    let size = size.filter(|size| size.iter().all(|column| !taken.contains(column)));
    let crowd = CROWDS.iter().find_map(|name| at(name));
    Some(BoxColumns { numbers, form, label: None, size, crowd })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_go_by_many_names() {
        let found = |header: &str| boxes(&header.split(',').map(plain).collect::<Vec<_>>());
        let openimages = found("ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsGroupOf").unwrap();
        assert!(matches!(openimages.numbers, Numbers::Four([4, 6, 5, 7])));
        assert_eq!(openimages.crowd, Some(9));
        let tensorflow = found("filename,width,height,class,xmin,ymin,xmax,ymax").unwrap();
        assert_eq!((tensorflow.size, tensorflow.form), (Some([1, 2]), Some(BoxForm::Corners)));
        let sized = found("image_id,x,y,width,height").unwrap();
        assert_eq!((sized.size, sized.form), (None, Some(BoxForm::Size)));
        let traffic = found("Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId".replace(';', ",").as_str());
        assert!(matches!(traffic.unwrap().numbers, Numbers::Four([3, 4, 5, 6])));
        let wheat = found("image_id,width,height,bbox,source").unwrap();
        assert!(matches!(wheat.numbers, Numbers::One(3)) && wheat.form.is_none());
        assert!(found("image,width,height,label").is_none());
    }
}
