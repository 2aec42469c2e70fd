//! Colour changes against Pillow, torchvision and OpenCV.

use models::host::{
    Affine, HsvGains, Rgb, affine, autocontrast, brightness, change_hsv, contrast, equalize, hue, posterize,
    saturation, sharpness, solarize,
};

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
fn what_trivial_augment_does_equals_pillow() {
    let cases = table("trivial.json");
    assert!(cases.len() >= 60);
    for case in cases {
        let value = number(&case["value"]);
        let mut image = source(&case);
        brightness(&mut image, 0.5);
        let moved = |image: &Rgb, by: Affine| affine(image, by, [124, 116, 104]);
        match case["change"].as_str().expect("a name") {
            "shear_x" => image = moved(&image, Affine::shear_x(value)),
            "shear_y" => image = moved(&image, Affine::shear_y(value)),
            "shift_x" => image = moved(&image, Affine::shift(value, 0.0)),
            "shift_y" => image = moved(&image, Affine::shift(0.0, value)),
            "turn" => image = moved(&image, Affine::turn(value, image.width, image.height)),
            "sharpness" => sharpness(&mut image, value as f32),
            "posterize" => posterize(&mut image, value as u32),
            "solarize" => solarize(&mut image, value.ceil() as u16),
            "autocontrast" => autocontrast(&mut image),
            "equalize" => equalize(&mut image),
            other => panic!("no such change: {other}"),
        }
        assert_eq!(crc(&image), case["crc"].as_u64().expect("a checksum"), "{case}");
    }
}

#[test]
fn small_and_even_images_survive_every_change() {
    for (width, height) in [(1, 1), (2, 1), (1, 3), (2, 2), (3, 3)] {
        let even = Rgb::filled(width, height, [7, 0, 255]);
        for change in [autocontrast, equalize, |image: &mut Rgb| sharpness(image, 1.9)] {
            let mut image = even.clone();
            change(&mut image);
            assert_eq!(image, even);
        }
        let gone = affine(&even, Affine::shift(9.0, 0.0), [1, 2, 3]);
        assert_eq!(gone, Rgb::filled(width, height, [1, 2, 3]));
    }
}

#[test]
fn hsv_is_that_of_opencv() {
    for case in table("hsv.json") {
        let mut image = source(&case);
        let gains = case["gains"].as_array().expect("three factors");
        let [hue, saturation, value] = [0, 1, 2].map(|at| number(&gains[at]));
        change_hsv(&mut image, HsvGains { hue, saturation, value });
        let wanted = case["values"].as_array().expect("values").iter().map(|value| value.as_u64().expect("a byte"));
        let off: Vec<u64> = image.data.iter().zip(wanted).map(|(a, b)| u64::from(*a).abs_diff(b)).collect();
        assert_eq!(off.len(), 64 * 40 * 3);
        // Whole numbers that come out a little below.
        let differing = off.iter().filter(|off| **off > 0).count();
        assert!(off.iter().all(|off| *off <= 1) && differing <= 12, "{}: {differing} values differ", case["gains"]);
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
