//! Every parser of annotations and of weights, given files that were sound before they were changed: none may panic. The harness is
//! `tests/fuzzing`; `scripts/fuzz` runs more of them than the tests do, see `docs/testing.md`.

#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

#[path = "../../../tests/fuzzing/mod.rs"]
mod fuzzing;

use std::fs;
use std::path::{Path, PathBuf};

use dataset::convert::boxes::masks::MaskOptions;
use dataset::convert::boxes::{Sizes, coco, cvat, labelme, masks, rows, voc, yolo};
use dataset::convert::table::{self, TableOptions};
use models::host::{Rgb, encode_jpeg, encode_numbers, encode_palette};
use schemas::Labels;
use schemas::dataset::parse_line;

/// A folder in memory where there is one.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// Gives changed seeds to `parse`, which gets a folder with an image of 64x48 in it, and the bytes.
fn fuzz(target: &str, seeds: &[&[u8]], parse: impl Fn(&Path, &[u8]) -> bool) {
    let folder = folder();
    let pixels = Rgb { width: 64, height: 48, data: vec![90; 64 * 48 * 3] };
    fs::write(folder.path().join("a.jpg"), encode_jpeg(&pixels, 80)).unwrap();
    fuzzing::fuzz(target, seeds, |bytes| parse(folder.path(), bytes));
}

/// Writes a file beside the image.
fn put(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn coco_files() {
    let seed = br#"{"images":[{"id":1,"file_name":"a.jpg","width":64,"height":48}],"categories":[{"id":3,"name":"cat"}],
"annotations":[{"id":1,"image_id":1,"category_id":3,"bbox":[4,5,20,10.5],"area":210,"iscrowd":0,"segmentation":[[4,5,24,5,24,15]]},
{"id":2,"image_id":1,"category_id":3,"bbox":[1,1,9,9],"iscrowd":1,"segmentation":{"counts":[0,9],"size":[48,64]}},
{"id":3,"image_id":1,"category_id":3,"segmentation":{"counts":[100,20,28,20,2904],"size":[48,64]}},
{"id":4,"image_id":1,"category_id":3,"segmentation":{"counts":"U??Q100000000DSO5m0KSO5m0KSO5m0KSO5m0KSO5m07000000000000000000kb1","size":[48,64]},"bbox":[1,1,9,9]},
{"id":5,"image_id":1,"category_id":3,"segmentation":[[1,1,30,1,30,30],[20,2,50,2,50,40,9,40]]}]}"#;
    fuzz("coco", &[seed], |folder, bytes| coco::read(&put(folder, "in.json", bytes), None, Sizes::default()).is_ok());
}

#[test]
fn voc_files() {
    let seed = b"<annotation><folder>x</folder><filename>a.jpg</filename><size><width>64</width><height>48</height><depth>3</depth>\
</size><object><name>cat</name><truncated>0</truncated><difficult>1</difficult><bndbox><xmin>4</xmin><ymin>5.5</ymin>\
<xmax>24</xmax><ymax>15</ymax></bndbox></object><object><name>dog</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax>\
<ymax>9</ymax></bndbox></object></annotation>";
    fuzz("voc", &[seed], |folder, bytes| {
        put(folder, "a.xml", bytes);
        voc::read(folder, None, voc::Pixels::default(), Sizes::default()).is_ok()
    });
}

#[test]
fn labelme_files() {
    // A mask of 3 x 2 pixels.
    let png = "iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAAAAAC4HznGAAAAEElEQVR4nGP8z8DAxMDIAAAHEwEEn1T7WQAAAABJRU5ErkJggg==";
    let seed = format!(
        r#"{{"version":"5.2.1","flags":{{}},"imagePath":"a.jpg","imageData":null,"imageHeight":48,"imageWidth":64,"shapes":[
{{"label":"cat","points":[[1,2],[30,2.5],[30,40]],"group_id":1,"shape_type":"polygon","flags":{{}}}},
{{"label":"cat","points":[[20,2],[60,40]],"group_id":1,"shape_type":"rectangle","flags":{{"isCrowd":true}}}},
{{"label":"cat","points":[[20,20],[25,20]],"group_id":null,"shape_type":"circle","flags":{{}}}},
{{"label":"dog","points":[[4,5],[6,6]],"group_id":null,"shape_type":"mask","flags":{{}},"mask":"{png}"}}]}}"#
    );
    fuzz("labelme", &[seed.as_bytes()], |folder, bytes| {
        labelme::read(&put(folder, "in.json", bytes), None, Sizes::default()).is_ok()
    });
}

#[test]
fn cvat_files() {
    let seed = br#"<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version><meta><task><name>t</name></task></meta>
<image id="0" name="a.jpg" width="64" height="48" subset="train"><polygon label="cat" points="1,2;30,2.5;30,40" z_order="0" group_id="1">
<attribute name="is_crowd">true</attribute></polygon><polygon label="cat" points="20,2;60,2;60,40" group_id="1"/>
<box label="dog" xtl="1" ytl="2" xbr="9.5" ybr="30" rotation="12.5"/><ellipse label="e" cx="20" cy="20" rx="5" ry="8" rotation="3"/>
<mask label="m" rle="0, 3, 1, 2" left="4" top="5" width="3" height="2"/><polyline label="x" points="1,1;2,2"/></image></annotations>"#;
    fuzz("cvat", &[seed], |folder, bytes| cvat::read(&put(folder, "in.xml", bytes), None, Sizes::default()).is_ok());
}

/// A mask beside its image, and a file of names.
fn mask_set(folder: &Path, mask: &[u8], names: &[u8]) -> bool {
    for part in ["images", "masks"] {
        fs::create_dir_all(folder.join(part)).unwrap();
    }
    if !folder.join("images/a.jpg").exists() {
        fs::copy(folder.join("a.jpg"), folder.join("images/a.jpg")).unwrap();
    }
    put(folder, "masks/a.png", mask);
    let label_map = Some(put(folder, "names", names));
    masks::read(folder, &MaskOptions { label_map, ..MaskOptions::default() }).is_ok()
}

#[test]
fn mask_files() {
    let places: Vec<u8> = (0..64 * 48).map(|at| [0, 1, 2, 255][at / 9 % 4]).collect();
    let palette = encode_palette(64, 48, &places, &[[0; 3], [128, 0, 0], [0, 128, 0]]);
    let wide: Vec<u16> = places.iter().map(|place| u16::from(*place).min(2)).collect();
    let seeds = [palette, encode_numbers(64, 48, &wide)];
    let names = br##"{"1": "cat", "2": "dog", "#800000": "cat"}"##;
    fuzz("masks", &seeds.each_ref().map(Vec::as_slice), |folder, bytes| mask_set(folder, bytes, names));
    let map = b"# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:128,0,0::\ndog:0,128,0::\n";
    fuzz("names", &[names, map], |folder, bytes| mask_set(folder, &seeds[0], bytes));
}

/// An image and its labels where YOLO's layout has them, and a list of classes.
fn yolo_set(folder: &Path, yaml: &[u8], labels: &[u8]) -> PathBuf {
    for part in ["images", "labels"] {
        fs::create_dir_all(folder.join(part)).unwrap();
    }
    if !folder.join("images/a.jpg").exists() {
        fs::copy(folder.join("a.jpg"), folder.join("images/a.jpg")).unwrap();
    }
    put(folder, "labels/a.txt", labels);
    put(folder, "data.yaml", yaml)
}

const YAML: &[u8] = b"path: .\ntrain: images\nval: images\nnc: 2\nnames:\n  0: cat\n  1: 'dog'\n";
const LABELS: &[u8] = b"0 0.5 0.5 0.25 0.5\n1 0.1 0.2 0.1 0.1\n1 0.1 0.1 0.4 0.1 0.4 0.5\n";

#[test]
fn yolo_labels() {
    fuzz("yolo-labels", &[LABELS], |folder, bytes| yolo::read(&yolo_set(folder, YAML, bytes), None).is_ok());
}

#[test]
fn yolo_yaml() {
    let list = b"train: [images]\nval: images\nnames: [cat, dog]\n";
    fuzz("yolo-yaml", &[YAML, list], |folder, bytes| yolo::read(&yolo_set(folder, bytes, LABELS), None).is_ok());
}

#[test]
fn csv_tables() {
    let seeds: [&[u8]; 6] = [
        b"image_url,label\n\"a.jpg\",\"a \"\"dog\"\"\"\n",
        b"image;label\r\na.jpg;cat\r\n",
        b"filename\tclass\na.jpg\tdog\n",
        b"filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,64,48,cat,1,2,30,40\n",
        b"image,cat,dog\na.jpg,1,0\n",
        b"TRAIN,a.jpg,cat,0.1,0.1,,,0.5,0.5,,\n",
    ];
    for (target, lists) in [("csv", false), ("csv-lists", true)] {
        let options = TableOptions { lists, ..TableOptions::default() };
        fuzz(target, &seeds, |folder, bytes| table::read(&put(folder, "in.csv", bytes), &options).is_ok());
    }
}

const ROWS: [&[u8]; 4] = [
    br#"{"image_url":"a.jpg","label":"cat"}"#,
    br#"{"image_url":"a.jpg","label":["cat","dog"]}"#,
    br#"{"image_url":"a.jpg","image_details":{"format":"jpg","width":64,"height":48},"label":[{"label":"cat","topX":0.1,"topY":0.2,"bottomX":0.5,"bottomY":0.75,"isCrowd":0}]}"#,
    br#"{"image_url":"azureml://subscriptions/s/resourcegroups/g/workspaces/w/datastores/d/paths/a%20b.jpg","label":1}"#,
];

#[test]
fn jsonl_rows() {
    let kinds = [Labels::Class, Labels::Classes, Labels::Boxes, Labels::Class];
    for (labels, row) in kinds.into_iter().zip(ROWS.chunks(1)) {
        fuzz("rows", row, |_, bytes| parse_line(labels, bytes).is_ok());
    }
}

#[test]
fn jsonl_files_of_boxes() {
    fuzz("jsonl", &ROWS[2..3], |folder, bytes| rows::read(&put(folder, "in.jsonl", bytes), None).is_ok());
}

#[test]
fn mltables() {
    let seed = b"paths:\n  - file: ./in.jsonl\ntransformations:\n  - read_json_lines:\n      encoding: utf8\n      invalid_lines: error\n  - convert_column_types:\n      - columns: image_url\n        column_type: stream_info\n";
    fuzz("mltable", &[seed], |folder, bytes| {
        put(folder, "in.jsonl", ROWS[0]);
        put(folder, "MLTable", bytes);
        dataset::data_files(folder).is_ok()
    });
}

#[test]
fn torch_files() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/weights");
    let names =
        ["zip.pth", "zip_nested.pth", "zip_wrapped.pth", "legacy.pth", "legacy_nested.pth", "plain.safetensors"];
    let seeds = names.map(|name| fs::read(fixtures.join(name)).unwrap());
    fuzz("pth", &seeds.each_ref().map(Vec::as_slice), |_, bytes| {
        let file = models::weights::tensors::from_bytes(Path::new("x.pth"), bytes.to_vec());
        file.map(|file| file.tensors().for_each(|tensor| drop(file.to_f32(tensor)))).is_ok()
    });
}
