//! Bad and odd rows and images: trained on, or rejected with line and reason; never a panic, never much memory.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use image::{DynamicImage, ImageFormat};

use crate::pictures::{claiming, encode, noise, png_bomb, tiff_around, with_huge_profile, with_orientation};
use crate::support::{expect, quick, run, sample, trainer, wait_watching_memory};

/// What a training on these rows may hold in memory at most: the network on tiny crops, and no bomb.
const MEMORY: u64 = 1536 << 20;

/// Images by file name, with whether they are good.
fn pictures() -> Vec<(&'static str, Vec<u8>, bool)> {
    use ImageFormat::{Bmp, Jpeg, Png, Tiff, WebP};
    let jpeg = noise(90, 70, Jpeg);
    let png = noise(60, 50, Png);
    let half = |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec();
    let plain = DynamicImage::ImageRgb8(image::RgbImage::from_pixel(40, 30, image::Rgb([9, 99, 199])));
    let fixture = |name: &str| {
        fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/tests/fixtures").join(name)).unwrap()
    };
    let mut all = vec![
        ("good.jpg", jpeg.clone(), true),
        ("good.png", png.clone(), true),
        ("good.webp", noise(33, 44, WebP), true),
        ("good.bmp", noise(33, 44, Bmp), true),
        ("good.tif", noise(33, 44, Tiff), true),
        ("no-extension", jpeg.clone(), true),
        ("png-called.jpg", png.clone(), true),
        ("one-pixel.png", noise(1, 1, Png), true),
        ("column.png", noise(1, 3000, Png), true),
        ("row.png", noise(3000, 1, Png), true),
        ("grey.png", encode(&DynamicImage::ImageLuma8(plain.to_luma8()), Png), true),
        ("grey.jpg", encode(&DynamicImage::ImageLuma8(plain.to_luma8()), Jpeg), true),
        ("grey-alpha.png", encode(&DynamicImage::ImageLumaA8(plain.to_luma_alpha8()), Png), true),
        ("alpha.png", encode(&DynamicImage::ImageRgba8(plain.to_rgba8()), Png), true),
        ("sixteen.png", encode(&DynamicImage::ImageRgb16(plain.to_rgb16()), Png), true),
        ("sixteen-grey.tif", encode(&DynamicImage::ImageLuma16(plain.to_luma16()), Tiff), true),
        ("cmyk.jpg", fixture("cmyk.jpg"), true),
        ("progressive.jpg", fixture("progressive.jpg"), true),
        ("animated.png", fixture("animated.png"), true),
        ("animated.webp", fixture("animated.webp"), true),
        ("animated.gif", fixture("animated.gif"), true),
        ("side-65535.png", png_bomb(1, 65_535), false),
        ("row-65535.png", png_bomb(65_535, 1), false),
        ("bomb-30000.png", png_bomb(30_000, 30_000), false),
        ("bomb-16384.png", png_bomb(16_384, 16_384), false),
        ("bomb-max.png", png_bomb(u32::MAX, u32::MAX), false),
        ("zero-size.png", png_bomb(0, 0), false),
        ("claims-9900.png", png_bomb(9900, 9900), false),
        ("claims-9900.jpg", claiming(&jpeg, 9900, 9900), false),
        ("strips.tif", tiff_around(&claiming(&jpeg, 16_000, 6000), 6), false),
        ("strips-16000.tif", tiff_around(&claiming(&jpeg, 16_000, 6000), 16_000), false),
        ("profile-1-gib.png", with_huge_profile(&png), true),
        ("empty.jpg", Vec::new(), false),
        ("one-byte.jpg", vec![0xff], false),
        ("magic-only.jpg", vec![0xff, 0xd8, 0xff], false),
        ("cut.jpg", half(&jpeg), false),
        ("cut.png", half(&png), false),
        ("cut.webp", half(&noise(60, 50, WebP)), false),
        ("cut.tif", half(&noise(60, 50, Tiff)), false),
        ("text.jpg", b"this is no image".to_vec(), false),
        ("page.png", b"<!doctype html><title>404</title>".to_vec(), false),
        ("zeros.bmp", vec![0; 4096], false),
        ("archive.jpg", b"PK\x03\x04junk".to_vec(), false),
    ];
    for orientation in 1..=8u8 {
        let name: &'static str = ["e1.jpg", "e2.jpg", "e3.jpg", "e4.jpg", "e5.jpg", "e6.jpg", "e7.jpg", "e8.jpg"]
            [usize::from(orientation) - 1];
        all.push((name, with_orientation(&jpeg, orientation), true));
    }
    all
}

/// Rows that are bad whatever the image.
const BAD_ROWS: [(&str, &str); 12] = [
    ("broken JSON", r#"{"image_url": "good.jpg", "label": "#),
    ("not an object", r#"["good.jpg", "a"]"#),
    ("no image_url", r#"{"label": "circle"}"#),
    ("no label", r#"{"image_url": "x.jpg"}"#),
    ("null label", r#"{"image_url": "x.jpg", "label": null}"#),
    ("label list", r#"{"image_url": "x.jpg", "label": ["circle"]}"#),
    ("label object", r#"{"image_url": "x.jpg", "label": {"a": 1}}"#),
    ("number as image_url", r#"{"image_url": 7, "label": "circle"}"#),
    ("missing file", r#"{"image_url": "not-there.jpg", "label": "circle"}"#),
    ("a folder", r#"{"image_url": ".", "label": "circle"}"#),
    ("unmapped cloud address", r#"{"image_url": "azureml://subscriptions/x/paths/a.jpg", "label": "circle"}"#),
    ("unknown scheme", r#"{"image_url": "gopher://x/a.jpg", "label": "circle"}"#),
];

/// Adds every odd image and bad row to a good dataset; gives the good rows added and, by line, what must be rejected.
fn poison(data: &Path) -> (usize, BTreeMap<u64, String>) {
    let list = data.join("train.jsonl");
    let mut text = fs::read_to_string(&list).unwrap();
    let mut line = text.lines().count() as u64;
    let (mut good, mut bad) = (0, BTreeMap::new());
    let mut add = |row: &str, name: &str, is_good: bool| {
        text.push_str(row);
        text.push('\n');
        line += 1;
        if is_good {
            good += 1;
        } else {
            bad.insert(line, name.to_owned());
        }
    };
    for (name, bytes, is_good) in pictures() {
        fs::write(data.join(name), bytes).unwrap();
        add(&format!(r#"{{"image_url": "{name}", "label": "circle"}}"#), name, is_good);
    }
    for (name, row) in BAD_ROWS {
        add(row, name, false);
    }
    add(
        &format!(r#"{{"image_url": "x.jpg", "label": {}1{}}}"#, "[".repeat(5000), "]".repeat(5000)),
        "deep JSON",
        false,
    );
    fs::write(&list, text).unwrap();
    (good, bad)
}

#[test]
fn every_bad_row_is_listed_with_its_line_and_the_good_ones_are_trained_on() {
    let folder = tempfile::tempdir().unwrap();
    let data = sample(folder.path(), 24);
    let before = fs::read_to_string(data.join("train.jsonl")).unwrap().lines().count();
    let (good, bad) = poison(&data);
    assert!(good + bad.len() >= 50, "{} hostile inputs", good + bad.len());
    let run = folder.path().join("run");
    let mut args = quick(&data, &run, 1);
    args.extend(["--export".to_owned(), "none".to_owned()]);
    let mut child = trainer(&args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let (status, peak) = wait_watching_memory(&mut child, Duration::from_secs(300));
    assert!(status.success(), "{status}");
    assert!(peak < MEMORY, "{} MiB", peak >> 20);

    let rejected = fs::read_to_string(run.join("data/rejected.jsonl")).unwrap();
    let mut found = BTreeMap::new();
    for row in rejected.lines() {
        let row: serde_json::Value = serde_json::from_str(row).unwrap();
        let reason = row["reason"].as_str().unwrap();
        assert!(!reason.is_empty() && !reason.contains("panicked"), "{reason}");
        found.insert(row["line"].as_u64().unwrap(), reason.to_owned());
    }
    for (line, name) in &bad {
        assert!(found.contains_key(line), "line {line}, {name}, was not rejected");
    }
    for (line, reason) in &found {
        assert!(bad.contains_key(line), "line {line} was rejected: {reason}");
    }
    let used = fs::read_to_string(run.join("data/train.jsonl")).unwrap().lines().count();
    assert_eq!(used, before + good);
}

#[test]
fn the_first_bad_row_is_fatal_when_errors_are_not_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let data = sample(folder.path(), 24);
    let list = data.join("train.jsonl");
    let text = fs::read_to_string(&list).unwrap();
    let line = text.lines().count() + 1;
    fs::write(&list, format!("{text}{}\n", BAD_ROWS[0].1)).unwrap();
    let mut args = quick(&data, &folder.path().join("run"), 1);
    args.extend(["--ignore_data_errors".to_owned(), "false".to_owned()]);
    let output = run(&args);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains(&format!("train.jsonl:{line}")), "{error}");
}

#[test]
fn data_without_a_usable_row_is_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("validation.jsonl"), "").unwrap();
    for text in ["", "\n\n", "not json\n", "\u{feff}\r\n", "{\"image_url\": \"no.jpg\", \"label\": \"a\"}\n"] {
        fs::write(data.join("train.jsonl"), text).unwrap();
        let run = tempfile::tempdir_in(folder.path()).unwrap();
        let json = expect(2, quick(&data, &run.path().join("run"), 1).into_iter().chain(["--json".to_owned()]));
        let body: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(body["code"], "invalid_dataset", "{body}");
    }
}
