//! Colour changes against Pillow and torchvision.

use models::host::{Rgb, brightness, contrast, hue, saturation};

use super::{crc, number, source, table};

#[test]
fn changes_equal_pillow() {
    let cases = table("colour.json");
    assert!(cases.len() >= 50);
    for case in cases {
        let factor = number(&case["factor"]) as f32;
        let mut image = source(&case);
        match case["change"].as_str().expect("a name") {
            "brightness" => brightness(&mut image, factor),
            "contrast" => contrast(&mut image, factor),
            "saturation" => saturation(&mut image, factor),
            "hue" => hue(&mut image, factor),
            other => panic!("no such change: {other}"),
        }
        assert_eq!(crc(&image), case["crc"].as_u64().expect("a checksum"), "{case}");
    }
}

#[test]
fn senseless_factors_give_pixels_all_the_same() {
    for factor in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -2.0, 1e30] {
        for change in [brightness, contrast, saturation, hue] {
            let mut image = Rgb::filled(3, 2, [10, 200, 30]);
            change(&mut image, factor);
            assert_eq!(image.data.len(), 18);
        }
    }
}
