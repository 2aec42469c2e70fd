//! What a JSON file is that is no COCO file.

use serde_json::Value;

use super::file::Top;

/// What a list is, by its first element, and what is needed instead.
pub fn of_list(first: &Value) -> String {
    let has = |key: &str| first.get(key).is_some();
    let what = if has("image_id") && has("category_id") {
        "is a list of COCO annotations or results without the images and categories that they name; give the file of ground truth, or put \
         the list into an object as \"annotations\" beside \"images\" and \"categories\""
    } else if has("annotations") && has("image") {
        "is CreateML's JSON and not COCO's; export it as COCO"
    } else if has("data") && (has("annotations") || has("completions")) {
        "is Label Studio's own JSON and not COCO's; export it as COCO"
    } else if has("labels") && has("name") {
        "is Scalabel's JSON (BDD100K) and not COCO's; export it as COCO"
    } else {
        "is a list and no COCO file, which is an object with images, annotations and categories"
    };
    what.to_owned()
}

/// What an object is that has no list of images.
pub fn of_object(top: &Top) -> String {
    let has = |key: &str| top.others.iter().any(|other| other == key);
    let what = if has("shapes") && has("imagePath") {
        "is LabelMe's JSON, which describes one image, and not COCO's; convert its folder with labelme2coco or export it as COCO"
    } else if has("_via_img_metadata") || (has("regions") && has("filename")) {
        "is VIA's JSON and not COCO's; export it from VIA as COCO"
    } else if has("image_url") || has("imageUrl") {
        "is a row of JSONL and needs no conversion"
    } else if has("items") {
        "is Datumaro's JSON and not COCO's; export it as COCO"
    } else if has("objects") && has("size") {
        "is Supervisely's JSON and not COCO's; export it as COCO"
    } else if top.images.is_none() {
        "is no COCO file: it has no images"
    } else {
        "is no COCO file: its images are no list"
    };
    what.to_owned()
}
