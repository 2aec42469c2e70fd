//! The image code against Pillow and torchvision (fixtures frozen by `scripts/oracle/host_fixtures.py`) and against hostile
//! bytes.

mod colour;
mod decode;
mod fuzz;
mod resize;

use std::path::PathBuf;

use models::host::Rgb;
use schemas::preprocessing::Interpolation;
use serde_json::Value;

/// The folder of frozen files.
fn fixtures() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "fixtures", "host"].iter().collect()
}

/// The entries of a frozen table.
fn table(name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(fixtures().join(name)).expect("a readable fixture");
    serde_json::from_str(&text).expect("a JSON array")
}

/// The test image of a seed, as the script computes it.
fn noise(width: u32, height: u32, seed: u32) -> Rgb {
    let value = |index: u32| {
        let mut x = index.wrapping_mul(2_654_435_761).wrapping_add(seed.wrapping_mul(40503));
        x ^= x >> 15;
        x = x.wrapping_mul(2_246_822_519);
        x ^= x >> 13;
        (x >> 8) as u8
    };
    Rgb { width, height, data: (0..width * height * 3).map(value).collect() }
}

/// CRC-32 as in zlib.
fn crc(image: &Rgb) -> u64 {
    let mut crc = u32::MAX;
    for &byte in &image.data {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
        }
    }
    u64::from(!crc)
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

fn whole(value: &Value) -> u32 {
    u32::try_from(value.as_u64().expect("a whole number")).expect("a small number")
}

fn filter(case: &Value) -> Interpolation {
    serde_json::from_value(case["filter"].clone()).expect("a filter's name")
}

fn source(case: &Value) -> Rgb {
    noise(whole(&case["source"][0]), whole(&case["source"][1]), whole(&case["seed"]))
}
