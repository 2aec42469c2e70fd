//! The objects in an image of numbers.

use std::collections::BTreeMap;

use models::host::Values;
use models::host::mask::Rle;

/// Numbers that an image of masks may hold: more are a photograph or noise.
const MOST: usize = 10_000;

/// The pixels of each number but `left_out`, which are no object.
///
/// # Errors
/// There are too many numbers, or pixels.
pub fn of(values: &Values, left_out: &[u32]) -> Result<BTreeMap<u32, Rle>, String> {
    stretches(values, |value| (!left_out.contains(&value)).then_some(value))
}

/// All pixels that are not 0 as one object, and whether they have several numbers; nothing where there are none.
///
/// # Errors
/// There are too many pixels.
pub fn whole(values: &Values) -> Result<(Option<Rle>, bool), String> {
    let mut found = stretches(values, |value| (value != 0).then_some(0))?;
    let mut numbers = values.values.iter().filter(|value| **value != 0);
    let first = numbers.next();
    Ok((found.remove(&0), numbers.any(|value| Some(value) != first)))
}

fn stretches(values: &Values, object: impl Fn(u32) -> Option<u32>) -> Result<BTreeMap<u32, Rle>, String> {
    let (width, height) = (values.width as usize, values.height as usize);
    // By object, where each of its runs begins and how long it is.
    let mut runs: BTreeMap<u32, Vec<[u64; 2]>> = BTreeMap::new();
    for x in 0..width {
        let mut y = 0;
        while y < height {
            let value = values.values[y * width + x];
            let end = (y + 1..height).find(|y| values.values[y * width + x] != value).unwrap_or(height);
            if let Some(object) = object(value) {
                if !runs.contains_key(&object) && runs.len() == MOST {
                    return Err(format!("it holds more than {MOST} numbers, which a mask of objects does not"));
                }
                runs.entry(object).or_default().push([(x * height + y) as u64, (end - y) as u64]);
            }
            y = end;
        }
    }
    let pixels = (width * height) as u64;
    let rle = |(object, runs): (u32, Vec<[u64; 2]>)| {
        let mut at = 0;
        let mut lengths: Vec<u64> = Vec::with_capacity(runs.len() * 2 + 1);
        for [start, length] in runs {
            lengths.extend([start - at, length]);
            at = start + length;
        }
        lengths.push(pixels - at);
        let rle = Rle::new(values.width, values.height, lengths).map_err(|error| error.to_string())?;
        Ok((object, rle))
    };
    runs.into_iter().map(rle).collect()
}
