//! Run-length masks: columns from the left, each from its top; runs outside and inside of the object take turns, beginning
//! with one outside, which may be empty.

use serde_json::Value;

use super::json::{number, shown};

/// The box around a mask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaskBox {
    /// `x1 y1 x2 y2` in pixels of the mask; the right and lower side are behind the last pixel.
    pub corners: [f64; 4],
    /// Width and height of the mask.
    pub size: [u32; 2],
}

/// The box of a `segmentation` of `counts` and `size` (height, width).
///
/// # Errors
/// It is no such mask, or empty.
pub fn mask_box(mask: &Value) -> Result<MaskBox, String> {
    let side = |value: &Value| number(value).filter(|side| (1.0..1e6).contains(side)).map(|side| side as u32);
    let size = mask["size"].as_array().map_or(&[][..], Vec::as_slice);
    let [Some(height), Some(width)] = [0, 1].map(|at| size.get(at).and_then(side)) else {
        return Err(format!("the size of its mask is {}, not height and width", shown(&mask["size"])));
    };
    let runs = match &mask["counts"] {
        Value::Array(counts) => {
            counts.iter().map(|count| number(count).filter(|n| *n >= 0.0).map(|n| n as u64)).collect()
        }
        Value::String(text) => compressed(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    };
    let runs: Vec<u64> = runs.ok_or("the counts of its mask are no run lengths")?;
    let total = runs.iter().try_fold(0_u64, |sum, run| sum.checked_add(*run));
    if total != Some(u64::from(width) * u64::from(height)) {
        return Err(format!("the counts of its mask do not add up to {width} x {height} pixels"));
    }
    let corners = around(&runs, u64::from(height)).ok_or("its mask is empty")?;
    Ok(MaskBox { corners, size: [width, height] })
}

fn around(runs: &[u64], height: u64) -> Option<[f64; 4]> {
    let mut found: Option<[u64; 4]> = None;
    let mut start = 0;
    for (at, run) in runs.iter().enumerate() {
        if at % 2 == 1 && *run > 0 {
            let last = start + run - 1;
            let (left, right) = (start / height, last / height);
            // A run of several columns leaves the image below and comes in above.
            let (top, bottom) = if left == right { (start % height, last % height) } else { (0, height - 1) };
            let [x1, y1, x2, y2] = found.unwrap_or([left, top, right, bottom]);
            found = Some([x1.min(left), y1.min(top), x2.max(right), y2.max(bottom)]);
        }
        start += run;
    }
    found.map(|[x1, y1, x2, y2]| [x1, y1, x2 + 1, y2 + 1].map(|value| value as f64))
}

/// COCO's text form: from the third run on the difference to the run before the last, in groups of five bits from the lowest,
/// each as a character from `0`, with a bit that says whether more follow; the highest bit of the last group is the sign.
fn compressed(text: &str) -> Option<Vec<u64>> {
    let mut runs: Vec<i64> = Vec::new();
    let mut characters = text.bytes();
    while let Some(mut character) = characters.next() {
        let (mut value, mut shift) = (0_i64, 0);
        loop {
            let group = i64::from(character.checked_sub(48).filter(|group| *group < 64)?);
            value |= (group & 31) << shift;
            shift += 5;
            if group & 32 == 0 {
                if group & 16 != 0 {
                    value |= -1 << shift;
                }
                break;
            }
            if shift > 50 {
                return None;
            }
            character = characters.next()?;
        }
        if let Some(before) = runs.len().checked_sub(2).filter(|before| *before > 0) {
            value = value.checked_add(runs[before])?;
        }
        runs.push(value);
    }
    runs.into_iter().map(|run| u64::try_from(run).ok()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_forms_give_the_box() {
        // A mask of 5 x 4 (height, width) with rows 1 to 3 of columns 1 and 2.
        let mask = json!({"size": [5, 4], "counts": [6, 3, 2, 3, 6]});
        assert_eq!(mask_box(&mask).unwrap(), MaskBox { corners: [1.0, 1.0, 3.0, 4.0], size: [4, 5] });
        let full = json!({"size": [5, 4], "counts": [0, 20]});
        assert_eq!(mask_box(&full).unwrap().corners, [0.0, 0.0, 4.0, 5.0]);
        let over = json!({"size": [5, 4], "counts": [4, 2, 14]});
        assert_eq!(mask_box(&over).unwrap().corners, [0.0, 0.0, 2.0, 5.0]);
    }

    #[test]
    fn what_is_no_mask_is_refused() {
        for (mask, part) in [
            (json!({"counts": [1]}), "height and width"),
            (json!({"size": [5, 4], "counts": null}), "no run lengths"),
            (json!({"size": [5, 4], "counts": [-1, 21]}), "no run lengths"),
            (json!({"size": [5, 4], "counts": "ooooooooooooooooooooo"}), "no run lengths"),
            (json!({"size": [5, 4], "counts": [1, 2]}), "add up"),
            (json!({"size": [5, 4], "counts": [20]}), "empty"),
        ] {
            let reason = mask_box(&mask).unwrap_err();
            assert!(reason.contains(part), "{reason}");
        }
    }
}
