//! Masks against pycocotools and torchvision (fixtures frozen by `scripts/oracle/mask_fixtures.py`) and against hostile input.

mod fridge;
mod outline;
mod paste;
mod random;
mod rle;
mod trace;

use std::path::PathBuf;

use models::host::mask::Rle;
use serde_json::Value;

/// The cases of a frozen table, or of one made anew in the folder that `FOVEA_MASK_CASES` names.
fn cases(name: &str) -> Vec<Value> {
    let frozen = || [env!("CARGO_MANIFEST_DIR"), "tests", "fixtures", "mask"].iter().collect();
    let folder = std::env::var_os("FOVEA_MASK_CASES").map_or_else(frozen, PathBuf::from);
    let text = std::fs::read_to_string(folder.join(name)).expect("a readable fixture");
    let cases: Vec<Value> = serde_json::from_str(&text).expect("a JSON array");
    println!("{name}: {} cases", cases.len());
    cases
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

fn whole(value: &Value) -> u64 {
    value.as_u64().expect("a whole number")
}

/// CRC-32 as in zlib.
fn crc(rle: &Rle) -> u64 {
    let mut crc = u32::MAX;
    for byte in rle.text().bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
        }
    }
    u64::from(!crc)
}

/// Checksum, area and box, as the script summarises a mask.
fn summary(rle: &Rle) -> Vec<u64> {
    let bounds = rle.bounds().map_or([0; 4], |b| [b.x0, b.y0, b.width(), b.height()]);
    [crc(rle), rle.area()].into_iter().chain(bounds.map(u64::from)).collect()
}

fn wholes(values: &Value) -> Vec<u64> {
    values.as_array().expect("a list").iter().map(whole).collect()
}
