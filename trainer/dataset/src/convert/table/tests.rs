//! Tables as people have them.

use std::fs;

use models::host::{Rgb, encode_png};

use files::Order;

use super::*;
use crate::convert::write_labels;

/// A folder with a table and images of 64 by 48 pixels.
struct Lab(tempfile::TempDir);

impl Lab {
    fn new(images: &[&str]) -> Self {
        let lab = Self(tempfile::tempdir().unwrap());
        for name in images {
            let path = lab.0.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, encode_png(&Rgb::filled(64, 48, [9, 9, 9]))).unwrap();
        }
        lab
    }

    fn read(&self, text: impl AsRef<[u8]>, options: &TableOptions) -> Result<Table, String> {
        let table = self.0.path().join("t.csv");
        fs::write(&table, text).unwrap();
        read(&table, options).map_err(|error| error.to_string())
    }

    fn labelled(&self, text: &str, options: &TableOptions) -> Result<Labelled, String> {
        match self.read(text, options)? {
            Table::Labels(labelled) => Ok(labelled),
            Table::Boxes(_) => Err("boxes".to_owned()),
        }
    }

    fn name(&self, path: &Path) -> String {
        let below = path.strip_prefix(self.0.path()).unwrap_or(path);
        below.display().to_string()
    }

    /// Images and their labels, and what was assumed.
    fn labels(
        &self,
        text: impl AsRef<[u8]>,
        options: &TableOptions,
    ) -> Result<(Vec<(String, String)>, String), String> {
        let table = self.read(text, options)?;
        let Table::Labels(table) = table else { return Err("boxes".to_owned()) };
        let row = |(place, label): &(Place, ConvertedLabel)| {
            let image = match place {
                Place::Url(url) => url.clone(),
                Place::File(path) => self.name(path),
            };
            let label = match label {
                ConvertedLabel::Class(class) => class.clone(),
                ConvertedLabel::Classes(classes) => format!("[{}]", classes.join(",")),
            };
            (image, label)
        };
        Ok((table.parts.iter().flat_map(|part| &part.rows).map(row).collect(), table.assumed.join("\n")))
    }

    /// Images and their boxes in whole pixels, and what was assumed.
    fn boxes(&self, text: &str, options: &TableOptions) -> Result<(Vec<String>, String), String> {
        let table = self.read(text, options)?;
        let Table::Boxes(parts) = table else { return Err("labels".to_owned()) };
        let of_part = |part: &Part| -> Vec<String> {
            let image = |image: &crate::convert::boxes::LabelledImage| {
                let objects = image.objects.iter().map(|object| {
                    let [x1, y1, x2, y2] = object.corners;
                    let whole = [x1 * 64.0, y1 * 48.0, x2 * 64.0, y2 * 48.0].map(|side| side.round().to_string());
                    format!("{}{} {}", object.label, if object.is_crowd { "*" } else { "" }, whole.join(" "))
                });
                format!("{}: {}", self.name(&image.path), objects.collect::<Vec<_>>().join(", "))
            };
            part.images.iter().map(image).collect()
        };
        Ok((parts.iter().flat_map(of_part).collect(), parts[0].assumed.join("\n")))
    }
}

use crate::convert::ConvertedLabel;

fn plain() -> TableOptions {
    TableOptions::default()
}

fn lists() -> TableOptions {
    TableOptions { lists: true, ..plain() }
}

fn columns(image: Option<&str>, label: Option<&str>) -> TableOptions {
    TableOptions { image_column: image.map(str::to_owned), label_column: label.map(str::to_owned), ..plain() }
}

#[track_caller]
fn same(found: Result<(Vec<(String, String)>, String), String>, expected: &[(&str, &str)]) -> String {
    let (found, assumed) = found.unwrap();
    let found: Vec<(&str, &str)> = found.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert_eq!(found, expected);
    assumed
}

#[track_caller]
fn refused<T: std::fmt::Debug>(found: Result<T, String>, parts: &[&str]) {
    let message = found.unwrap_err();
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

#[test]
fn headers_delimiters_and_quotes() {
    let lab = Lab::new(&["a.jpg", "b c.jpg", "x/a.jpg", "a;\"1\".jpg"]);
    let two = [("a.jpg", "cat"), ("b c.jpg", "dog")];
    same(lab.labels("a.jpg\tcat\nb c.jpg\tdog\r\n", &plain()), &two);
    same(lab.labels("\u{feff}label,id,filename\ncat,1,x/a.jpg\n\n", &plain()), &[("x/a.jpg", "cat")]);
    let quoted = "image;label\n\"a;\"\"1\"\".jpg\";\"two\nlines\"\n";
    let assumed = same(lab.labels(quoted, &plain()), &[("a;\"1\".jpg", "two\nlines")]);
    assert!(assumed.contains("separated by ;"), "{assumed}");
    same(lab.labels("http://h/a,b", &plain()), &[("http://h/a", "b")]);
    let absolute = lab.0.path().join("a.jpg").display().to_string();
    same(lab.labels(format!("{absolute},b"), &plain()), &[("a.jpg", "b")]);
    for text in [
        "sep=;\nimage;label\na.jpg;cat\nb c.jpg;dog\n",
        "\"sep=,\"\r\nImage Path,Label\r\n\r\na.jpg,cat,,\r\nb c.jpg,dog\r\n",
        "image|label\na.jpg|cat\nb c.jpg|dog",
        "image\tlabel\na.jpg\tcat\nb c.jpg\tdog",
        "image,label,,\na.jpg,cat,,\nb c.jpg,dog,,\n,,,\n",
        ",Image_Path,Label\n0,a.jpg,cat\n1,b c.jpg,dog\n",
        "fotografie,soort\na.jpg,cat\nb c.jpg,dog\n",
        "cat,a.jpg\ndog,b c.jpg\n",
    ] {
        same(lab.labels(text, &plain()), &two);
    }
}

#[test]
fn encodings_are_read_or_refused() {
    let lab = Lab::new(&["a.jpg"]);
    let text = "image,label\na.jpg,ä\n";
    let wide =
        |of: fn(u16) -> [u8; 2]| "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(of).collect::<Vec<u8>>();
    for bytes in [wide(u16::to_le_bytes), wide(u16::to_be_bytes)] {
        assert!(same(lab.labels(bytes, &plain()), &[("a.jpg", "ä")]).contains("UTF-16"));
    }
    refused(lab.labels(b"image,label\na.jpg,\xe4\n", &plain()), &["line 2 is not UTF-8", "iconv"]);
    refused(lab.labels(b"PK\x03\x04\0\0", &plain()), &["is no text", "CSV UTF-8"]);
}

#[test]
fn columns_by_name_and_number() {
    let lab = Lab::new(&["images/a.jpg", "a.jpg"]);
    let options = TableOptions { images: Some(lab.0.path().join("images")), ..columns(Some("photo"), Some("3")) };
    same(lab.labels("id,Photo,kind\n1,a.jpg,cat", &options), &[("images/a.jpg", "cat")]);
    same(lab.labels("cat,a.jpg", &columns(Some("2"), Some("1"))), &[("a.jpg", "cat")]);
    same(lab.labels("x,y,z\n1,a.jpg,cat", &columns(Some("2"), Some("3"))), &[("a.jpg", "cat")]);
    same(lab.labels("a.jpg,7,cat", &columns(None, Some("3"))), &[("a.jpg", "cat")]);
    refused(lab.labels("image,label\na.jpg,b", &columns(None, Some("klass"))), &["has: image, label"]);
    refused(lab.labels("image,label\na.jpg,b", &columns(Some("image"), Some("1"))), &["both column 1"]);
    let gone = TableOptions { images: Some("/nowhere/at/all".into()), ..plain() };
    refused(lab.labels("image,label\na.jpg,b", &gone), &["is no folder", "--images"]);
}

#[test]
fn errors_name_the_line() {
    let lab = Lab::new(&["a.jpg", "b.jpg"]);
    for (text, part) in [
        ("", "no rows"),
        ("image,label\n", "no rows"),
        ("a.jpg,cat\nb.jpg\n", "line 2: 1 fields"),
        ("a.jpg,cat\n\nb.jpg, \n", "line 3: the label (column 2) is empty"),
        ("a.jpg,\"cat\n", "line 1: a quoted field"),
        ("image,label\n,cat\n", "line 2: the image (column 1) is empty"),
        ("image,label\na.jpg,cat, black\n", "line 2: 3 fields, but the header has 2"),
    ] {
        refused(lab.labels(text, &plain()), &[part]);
    }
}

#[test]
fn names_without_an_ending_are_looked_up() {
    let lab = Lab::new(&["im1.JPG", "im2.JPG", "deep/im9.png"]);
    let two = [("im1.JPG", "cat"), ("im2.JPG", "dog")];
    let assumed = same(lab.labels("image_id,label\nim1,cat\nim2,dog\n", &plain()), &two);
    assert!(assumed.contains("such as im1, which is ") && assumed.contains("column image_id"), "{assumed}");
    same(lab.labels("im1,cat\nim2,dog\n", &plain()), &two);
    same(lab.labels("id,breed\nim1,cat\nim2,dog\n", &plain()), &two);
    same(
        lab.labels("file\tsoort\ndeep\\im9.png\tcat\nim2.JPG\tdog", &plain()),
        &[("deep/im9.png", "cat"), ("im2.JPG", "dog")],
    );
    same(lab.labels("image_id,label\nim9,cat\n", &plain()), &[("deep/im9.png", "cat")]);
    let gone = lab.labels("image_id,label\nim8,cat\nim7,dog\nim6,dog\nim5,dog\n", &plain());
    refused(
        gone,
        &["none of its images is there", "--images FOLDER", "line 2: ", "im7 is not there", "im6 is not there"],
    );
}

#[test]
fn missing_images_are_left_out_and_listed() {
    let lab = Lab::new(&["a.jpg"]);
    let table = lab.labelled("image,label\na.jpg,cat\nb.jpg,dog\n", &plain()).unwrap();
    assert_eq!(table.left_out.len(), 1);
    assert_eq!(table.left_out[0].place, "line 3");
    assert!(table.left_out[0].reason.contains("b.jpg is not there"), "{:?}", table.left_out);
}

#[test]
fn tables_in_doubt_are_shown_and_refused() {
    let lab = Lab::new(&["a.jpg", "ISIC_1.jpg"]);
    let meta = "lesion_id,image_id,dx,dx_type,age\nHAM_1,ISIC_1,bkl,histo,80.0\n";
    refused(lab.labels(meta, &plain()), &["4 \"dx_type\"", "2 \"ISIC_1\"", "--label_column NAME"]);
    same(lab.labels(meta, &columns(None, Some("dx"))), &[("ISIC_1.jpg", "bkl")]);
    for (text, part) in [
        ("x,y\nfoo,bar\n", "no column is known to hold an image"),
        ("image,label,class\na.jpg,x,y\n", "several columns could hold the label"),
        ("image,score\na.jpg,0.73\n", "numbers that are no classes"),
        ("image,cat,dog,age\na.jpg,1,0,7\n", "0 and 1 only and some do not"),
        ("image\na.jpg\n", "no column is known to hold the label"),
        ("1,a.jpg,cat\n", "of no known kind"),
        ("image_name,tags\na.jpg,haze primary\n", "Add --multilabel"),
    ] {
        refused(lab.labels(text, &plain()), &[part]);
    }
    same(lab.labels("image,label,class\na.jpg,x,x\n", &plain()), &[("a.jpg", "x")]);
}

#[test]
fn numbers_stay_labels() {
    let lab = Lab::new(&["a.jpg", "b.jpg"]);
    same(lab.labels("id,has_cactus\na.jpg,1\nb.jpg,0\n", &plain()), &[("a.jpg", "1"), ("b.jpg", "0")]);
    same(lab.labels("image,label\na.jpg,007\nb.jpg,1.0\n", &plain()), &[("a.jpg", "007"), ("b.jpg", "1.0")]);
}

#[test]
fn several_rows_of_an_image() {
    let lab = Lab::new(&["a.jpg", "b.jpg"]);
    let text = "image,label\na.jpg,cat\nb.jpg,dog\n./a.jpg,cow\n";
    refused(lab.labels(text, &plain()), &["lines 2 and 4", "\"cat\" and \"cow\"", "--multilabel"]);
    same(lab.labels(text, &lists()), &[("a.jpg", "[cat,cow]"), ("b.jpg", "[dog]")]);
    let assumed = same(lab.labels("a.jpg,cat\na.jpg,cat\n", &plain()), &[("a.jpg", "cat")]);
    assert!(assumed.contains("1 rows name an image of an earlier row"), "{assumed}");
}

#[test]
fn lists_of_labels() {
    let lab = Lab::new(&["a.jpg", "b.jpg", "c.jpg", "d.jpg"]);
    let text = "a.jpg\tcan, carton ,can\nb.jpg\t'one, two','it''s'\nc.jpg\t\nd.jpg\t'x'\n";
    let expected = [("a.jpg", "[can,carton]"), ("b.jpg", "[one, two,it's]"), ("c.jpg", "[]"), ("d.jpg", "[x]")];
    same(lab.labels(text, &lists()), &expected);
    for (text, part) in [
        ("a.jpg\t'can", "line 1: the list of labels has a ' that is not closed"),
        ("a.jpg\t'can'x", "no comma after \"can\""),
        ("a.jpg\tcan,,x", "an empty label"),
        ("a.jpg\tcan,", "ends in a comma"),
        ("a.jpg,can,carton", "goes on in the next fields"),
    ] {
        refused(lab.labels(text, &lists()), &[part]);
    }
    let planet = lab.labels("image_name,tags\na,haze primary\nb,clear\n", &lists());
    assert!(same(planet, &[("a.jpg", "[haze,primary]"), ("b.jpg", "[clear]")]).contains("separated by blanks"));
    let bars = lab.labels("Image Index,Finding Labels\na.jpg,Mass|Nodule\n", &lists());
    same(bars, &[("a.jpg", "[Mass,Nodule]")]);
    same(lab.labels("image,label\na.jpg,polar bear\n", &lists()), &[("a.jpg", "[polar bear]")]);
    same(lab.labels("image,label\na.jpg,\"['x', \"\"y\"\"]\"\n", &lists()), &[("a.jpg", "[x,y]")]);
}

#[test]
fn a_column_per_class() {
    let lab = Lab::new(&["a.jpg", "b.jpg"]);
    for marks in ["a.jpg,1,0\nb.jpg,0,1\n", "a,1.0,0.0\nb,0.0,1.0\n", "a,True,False\nb,false,TRUE\n"] {
        let assumed =
            same(lab.labels(format!("image,cat,dog\n{marks}"), &plain()), &[("a.jpg", "cat"), ("b.jpg", "dog")]);
        assert!(assumed.contains("every row marks one class"), "{assumed}");
    }
    let text = "filename, cat, dog\na.jpg,1,1\nb.jpg,0,0\n";
    let assumed = same(lab.labels(text, &plain()), &[("a.jpg", "[cat,dog]"), ("b.jpg", "[]")]);
    assert!(assumed.contains("a list of classes"), "{assumed}");
    same(lab.labels("image,cat,dog\na.jpg,1,0\n", &lists()), &[("a.jpg", "[cat]")]);
    let some = "image,cat,dog,age\na.jpg,1,0,7\nb.jpg,0,1,8\n";
    same(lab.labels(some, &columns(None, Some("cat,dog"))), &[("a.jpg", "cat"), ("b.jpg", "dog")]);
    refused(lab.labels(some, &columns(None, Some("cat,age"))), &["line 2: age is \"7\"", "0 or 1"]);
}

#[test]
fn tables_of_clouds() {
    let lab = Lab::new(&["a.jpg", "b.jpg", "c.jpg"]);
    let table = lab.labelled("TRAIN,gs://bucket/deep/a.jpg,cat\nTEST,gs://bucket/deep/b.jpg,dog\n", &plain()).unwrap();
    assert_eq!(table.parts.iter().map(|part| part.name.as_str()).collect::<Vec<_>>(), ["train", "test"]);
    assert!(table.assumed.join(" ").contains("gs://bucket/deep/a.jpg, which is "), "{:?}", table.assumed);
    let output = lab.0.path().join("out");
    let order = Order { command: "convert csv", output: &output, overwrite: false, reads: &[] };
    write_labels(&order, &table).unwrap();
    assert_eq!(
        fs::read_to_string(output.join("test.jsonl")).unwrap(),
        "{\"image_url\":\"../b.jpg\",\"label\":\"dog\"}\n"
    );
    let several = "TRAIN,gs://k/a.jpg,cat,dog\nTRAIN,gs://k/b.jpg,dog\n";
    refused(lab.labels(several, &plain()), &["line 1: labels cat, dog; add --multilabel"]);
    same(lab.labels(several, &lists()), &[("a.jpg", "[cat,dog]"), ("b.jpg", "[dog]")]);
    refused(
        lab.labels("TRAIN,gs://k/x/a.jpg,c\nTRAIN,gs://k/y/z.jpg,c\n", &columns(Some("label"), None)),
        &["no column"],
    );
    // Two places of one file name cannot both be this file.
    let twice = lab.labelled("gs://k/x/a.jpg,c\ngs://k/y/a.jpg,d\n", &plain()).unwrap();
    assert_eq!((twice.left_out.len(), twice.left_out[0].place.as_str()), (1, "line 2"));
    same(lab.labels("image,label,split\na.jpg,cat,train\n", &plain()), &[("a.jpg", "cat")]);
}

#[test]
fn a_column_of_parts_with_a_word_that_is_none_is_refused_with_its_line() {
    let lab = Lab::new(&["a.jpg", "b.jpg", "c.jpg"]);
    let mixed = "image,label,split\na.jpg,cat,train\nb.jpg,dog,tset\nc.jpg,cat,\n";
    let error = lab.labels(mixed, &plain()).unwrap_err();
    assert!(
        error.contains("line 3") && error.contains("\"split\" says \"tset\"") && error.contains("train, validation"),
        "{error}"
    );
    let empty = lab.labels("image,label,split\na.jpg,cat,train\nb.jpg,dog,\n", &plain()).unwrap_err();
    assert!(empty.contains("line 3") && empty.contains("says \"\""), "{empty}");
    // A column of that name that holds something else is said not to be taken for parts.
    let (rows, assumed) = lab.labels("image,label,phase\na.jpg,cat,solid\nb.jpg,dog,liquid\n", &plain()).unwrap();
    assert_eq!(rows.len(), 2);
    assert!(assumed.contains("\"phase\" says nothing of parts") && assumed.contains("line 2"), "{assumed}");
}

#[test]
fn boxes_by_corners() {
    let lab = Lab::new(&["im1.jpg", "im2.jpg", "im3.jpg"]);
    let boxes = ["im1.jpg: cat 1 2 5 6, dog 10 20 30 40", "im2.jpg: cat 0 0 64 48"];
    for text in [
        "filename,width,height,class,xmin,ymin,xmax,ymax\nim1.jpg,64,48,cat,1,2,5,6\nim1.jpg,64,48,dog,10,20,30,40\nim2.jpg,64,48,cat,0,0,64,48\n",
        "im1.jpg,64,48,cat,1,2,5,6\nim1.jpg,64,48,dog,10,20,30,40\nim2.jpg,64,48,cat,0,0,64,48\n",
        "im1.jpg,1,2,5,6,cat\nim1.jpg,10,20,30,40,dog\nim2.jpg,0,0,64,48,cat\n",
        "im1.jpg,1,2,5,6,cat,64,48\nim1.jpg,10,20,30,40,dog,64,48\nim2.jpg,0,0,64,48,cat,64,48\n",
        "image_id,x1,x2,y1,y2,label\nim1,1,5,2,6,cat\nim1,10,30,20,40,dog\nim2,0,64,0,48,cat\n",
        "image,x,y,w,h,label\nim1.jpg,1,2,4,4,cat\nim1.jpg,10,20,20,20,dog\nim2.jpg,0,0,64,48,cat\n",
        "image,bbox,label\nim1.jpg,\"[1, 2, 4, 4]\",cat\nim1.jpg,\"[10, 20, 20, 20]\",dog\nim2.jpg,\"[0, 0, 64, 48]\",cat\n",
        "image,x_center,y_center,width,height,label\nim1.jpg,3,4,4,4,cat\nim1.jpg,20,30,20,20,dog\nim2.jpg,32,24,64,48,cat\n",
        // Drawn on images of twice the size.
        "filename,width,height,class,xmin,ymin,xmax,ymax\nim1.jpg,128,96,cat,2,4,10,12\nim1.jpg,128,96,dog,20,40,60,80\nim2.jpg,128,96,cat,0,0,128,96\n",
    ] {
        let (found, assumed) = lab.boxes(text, &plain()).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(found, boxes, "{text}");
        assert!(assumed.contains("in pixels"), "{assumed}");
    }
    let (found, _) = lab.boxes("im1.jpg,1,2,5,6,cat\nim2.jpg,,,,,\n", &plain()).unwrap();
    assert_eq!(found, ["im1.jpg: cat 1 2 5 6", "im2.jpg: "], "an image without a box is background");
    same(
        lab.labels("filename,class,xmin,ymin,xmax,ymax\nim1.jpg,cat,1,2,5,6\nim1.jpg,dog,1,2,5,6\n", &lists()),
        &[("im1.jpg", "[cat,dog]")],
    );
}

#[test]
fn boxes_as_fractions() {
    let lab = Lab::new(&["a.jpg", "b.jpg"]);
    for text in [
        "TRAIN,gs://k/a.jpg,cat,0.25,0.25,,,0.5,0.75,,\nTRAIN,gs://k/b.jpg,,,,,,,,,\n",
        "gs://k/a.jpg,cat,0.25,0.25,0.5,0.25,0.5,0.75,0.25,0.75\ngs://k/b.jpg,,,,,,,,,\n",
    ] {
        let (found, assumed) = lab.boxes(text, &plain()).unwrap();
        assert_eq!(found, ["a.jpg: cat 16 12 32 36", "b.jpg: "]);
        assert!(assumed.contains("fractions"), "{assumed}");
    }
    let open = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside\n\
                a,xclick,/m/01,1,0.25,0.5,0.25,0.75,0,0,1,0,0\n";
    assert_eq!(lab.boxes(open, &plain()).unwrap().0, ["a.jpg: /m/01* 16 12 32 36"]);
}

#[test]
fn boxes_in_doubt() {
    let lab = Lab::new(&["a.jpg", "b.jpg"]);
    let wheat = "image_id,width,height,bbox,source\na,64,48,\"[30.0, 10.0, 20.0, 20.0]\",usask_1\n";
    refused(lab.boxes(wheat, &plain()), &["the class of the boxes", "--one_class NAME"]);
    let one = TableOptions { one_class: Some("wheat".to_owned()), ..plain() };
    assert_eq!(lab.boxes(wheat, &one).unwrap().0, ["a.jpg: wheat 30 10 50 30"]);
    let either = "image,bbox,label\na.jpg,\"[1, 2, 5, 6]\",cat\n";
    refused(lab.boxes(either, &plain()), &["corners as well as", "--box corners"]);
    let corners = TableOptions { boxes: Some(BoxForm::Corners), ..plain() };
    assert_eq!(lab.boxes(either, &corners).unwrap().0, ["a.jpg: cat 1 2 5 6"]);
    let text = "image,xmin,ymin,xmax,ymax,label\na.jpg,1,2,5,6,cat\na.jpg,9,2,5,6,cat\nb.jpg,9,2,5,6,cat\na.jpg,1,x,5,6,c\n\
                gone.jpg,1,2,3,4,cat\n";
    let Table::Boxes(parts) = lab.read(text, &plain()).unwrap() else { panic!("boxes") };
    let left: Vec<&str> = parts[0].left_out.iter().map(|one| one.place.as_str()).collect();
    assert_eq!(left, ["line 5", "line 6", "line 3", "line 4", "line 4"]);
    assert_eq!(parts[0].images.len(), 1, "b.jpg shows something, and must not become background");
    refused(
        lab.read("image,xmin,ymin,xmax,ymax,label\na.jpg,9,2,5,6,cat\n", &plain()),
        &["can be used", "line 2", "is empty"],
    );
    refused(
        lab.read("image,xmin,ymin,xmax,ymax,label\nc.jpg,1,2,5,6,cat\n", &plain()),
        &["can be used", "--images FOLDER"],
    );
    refused(lab.read("image,xmin,ymin,xmax,ymax,label\nhttp://h/a.jpg,1,2,5,6,cat\n", &plain()), &["fetch it first"]);
    let wrong = "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,48,64,cat,1,2,5,6\n";
    refused(lab.read(wrong, &plain()), &["declares 48 x 64 pixels", "--sizes upright"]);
    let sizes = TableOptions { sizes: Sizes::Upright, ..plain() };
    assert_eq!(lab.boxes(wrong, &sizes).unwrap().0, ["a.jpg: cat 1 2 5 6"]);
}

#[test]
fn groups_become_keys_of_rows() {
    let lab = Lab::new(&["a.jpg", "b.jpg"]);
    let options = TableOptions { group_column: Some("Patient ID".to_owned()), ..TableOptions::default() };
    let table = lab.labelled(
        "image,label,patient_id,note\na.jpg,cat,007,x\nb.jpg,dog,p2,\n",
        &TableOptions { label_column: Some("label".to_owned()), ..options.clone() },
    );
    let output = lab.0.path().join("rows.jsonl");
    let order = Order { command: "convert csv", output: &output, overwrite: false, reads: &[] };
    write_labels(&order, &table.unwrap()).unwrap();
    let text = fs::read_to_string(&output).unwrap();
    assert_eq!(
        text,
        "{\"image_url\":\"a.jpg\",\"label\":\"cat\",\"patient_id\":\"007\"}\n\
         {\"image_url\":\"b.jpg\",\"label\":\"dog\",\"patient_id\":\"p2\"}\n"
    );
    // Columns of 0 and 1 are what is left of the group.
    let marked = lab.labelled("image,cat,dog,patient_id\na.jpg,1,0,3\nb.jpg,1,1,4\n", &options).unwrap();
    assert!(marked.assumed[0].contains("classes, marked with 1: column cat, column dog; group: column patient_id"));
    let boxes = "image,patient_id,xmin,ymin,xmax,ymax,class\na.jpg,p,1,1,9,9,cat\na.jpg,p,2,2,9,9,cat\n";
    let Table::Boxes(parts) = lab.read(boxes, &options).unwrap() else { panic!("labels") };
    let output = lab.0.path().join("boxes.jsonl");
    let order = Order { output: &output, ..order };
    crate::convert::boxes::rows::write_file(&order, &parts[0]).unwrap();
    assert!(fs::read_to_string(&output).unwrap().contains("\"patient_id\":\"p\""));
    for (text, part) in [
        ("image,label,patient_id\na.jpg,cat,1\na.jpg,cat,2\n", "lines 2 and 3: one image has two values of patient_id"),
        ("image,label,patient_id\na.jpg,cat,\n", "line 2: the group (column 3) is empty"),
        ("image,label\na.jpg,cat\n", "has no column \"Patient ID\""),
    ] {
        let message = lab.labelled(text, &options).unwrap_err();
        assert!(message.contains(part), "{message}");
    }
    let taken = |name: &str| TableOptions { group_column: Some(name.to_owned()), ..TableOptions::default() };
    let message = lab.labelled("image,label,topX\na.jpg,cat,1\n", &taken("topX")).unwrap_err();
    assert!(message.contains("rename it"), "{message}");
    assert!(lab.labelled("image,label,x\na.jpg,cat,1\n", &taken("label")).unwrap_err().contains("--group_column"));
}
