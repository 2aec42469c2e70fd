//! Run-length masks: `counts`, as a list or COCO's text, and `size` (height, width).

use models::host::mask::Rle;
use serde_json::Value;

use super::json::{number, shown};

/// The mask of a `segmentation` of `counts` and `size` (height, width); nothing where an empty mask stands for none.
///
/// # Errors
/// It is no such mask, or empty.
pub fn read(mask: &Value) -> Result<Option<Rle>, String> {
    let side = |value: &Value| number(value).filter(|side| (1.0..1e6).contains(side)).map(|side| side as u32);
    let size = mask["size"].as_array().map_or(&[][..], Vec::as_slice);
    if mask.as_object().is_none_or(serde_json::Map::is_empty) {
        return Ok(None);
    }
    let [Some(height), Some(width)] = [0, 1].map(|at| size.get(at).and_then(side)) else {
        return Err(format!("the size of its mask is {}, not height and width", shown(&mask["size"])));
    };
    let wrong = "the counts of its mask are no run lengths";
    let rle = match &mask["counts"] {
        Value::Array(counts) => {
            let run = |count| number(count).filter(|n| *n >= 0.0 && n.fract() == 0.0).map(|n| n as u64);
            let runs: Option<Vec<u64>> = counts.iter().map(run).collect();
            Rle::new(width, height, runs.ok_or(wrong)?)
        }
        Value::String(text) => Rle::from_text(width, height, text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return Err(wrong.to_owned()),
    };
    let rle = rle.map_err(|error| error.to_string())?;
    if rle.bounds().is_none() {
        return Err("its mask is empty".to_owned());
    }
    Ok(Some(rle))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_forms_are_read() {
        // A mask of 5 x 4 (height, width) with rows 1 to 3 of columns 1 and 2.
        for counts in [json!([6, 3, 2, 3, 6]), json!("63204"), json!([6.0, "3", 2, 3, 6])] {
            let mask = read(&json!({"size": [5, 4], "counts": counts})).unwrap().unwrap();
            assert_eq!((mask.width(), mask.height(), mask.runs()), (4, 5, &[6, 3, 2, 3, 6][..]), "{counts}");
        }
        assert_eq!(read(&json!({})), Ok(None));
    }

    #[test]
    fn what_is_no_mask_is_refused() {
        for (mask, part) in [
            (json!({"counts": [1]}), "height and width"),
            (json!({"size": [5, 4], "counts": null}), "no run lengths"),
            (json!({"size": [5, 4], "counts": [-1, 21]}), "no run lengths"),
            (json!({"size": [5, 4], "counts": [0.5, 19.5]}), "no run lengths"),
            (json!({"size": [5, 4], "counts": "ooooooooooooooooooooo"}), "too long"),
            (json!({"size": [5, 4], "counts": [1, 2]}), "add up"),
            (json!({"size": [99999, 99999], "counts": [1, 2]}), "at most"),
            (json!({"size": [5, 4], "counts": [20]}), "empty"),
        ] {
            let reason = read(&mask).unwrap_err();
            assert!(reason.contains(part), "{reason}");
        }
    }
}
