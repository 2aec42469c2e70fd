//! Images of odd shapes and kinds, for a model of every kind: an answer, or a refusal that says why.

use std::{fs, path::Path};

use image::ImageFormat::{Jpeg, Png};

use crate::{
    hostile::{Case, case, check_all},
    images::{grey, grey_alpha, noise, plain, rgba, sixteen_bit},
    support::{OBJECT_MODELS, Server, post, read},
};

/// The image for each of the models.
fn for_all(name: &str, image: &[u8], right: &[u16]) -> Vec<Case> {
    let models = ["tiny", "whole", "multi"].into_iter().chain(OBJECT_MODELS.map(|(model, _)| model));
    let ask = |model| post(&format!("/score?model={model}"), &[("Content-Type", "application/octet-stream")], image);
    models.map(|model| case(&format!("{model}: {name}"), ask(model), right)).collect()
}

/// A JPEG that says how it is to be turned.
fn turned(orientation: u16) -> Vec<u8> {
    let jpeg = noise(24, 16, Jpeg);
    let directory =
        [&b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01"[..], &orientation.to_be_bytes(), &[0; 6]].concat();
    let exif = [b"Exif\0\0", &directory[..]].concat();
    let length = (exif.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, &exif, &jpeg[2..]].concat()
}

/// A JPEG whose frame is of another kind, and of other bits.
fn framed(marker: u8, bits: u8) -> Vec<u8> {
    let mut jpeg = noise(24, 16, Jpeg);
    let at = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    (jpeg[at + 1], jpeg[at + 4]) = (marker, bits);
    jpeg
}

#[test]
fn long_images_are_answered_by_every_model() {
    let mut server = Server::with_models(&OBJECT_MODELS, &[]);
    let sizes = [(2000, 1), (1, 2000), (1, 1), (16_384, 1), (1, 16_384), (2, 3)];
    let cases = sizes.map(|(width, height)| {
        for_all(&format!("{width}x{height}"), &plain(width, height, [200, 100, 50], Png), &[200])
    });
    check_all(&mut server, &cases.into_iter().flatten().collect::<Vec<_>>());
}

#[test]
fn a_long_image_is_weighed_by_what_a_whole_classifier_makes_of_it() {
    // Resized along both axes at once, 16384x1 would become 160 million pixels, above the limit; the file cuts in between.
    let (from, to) = (&b"\"resize\":18"[..], &b"\"resize\":99"[..]);
    let mut file = read("tiny_whole.onnx");
    let at = file.windows(from.len()).position(|part| part == from).unwrap();
    file[at..at + to.len()].copy_from_slice(to);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("resizes_to_99.onnx");
    fs::write(&path, file).unwrap();
    let server = Server::start(&["--model", &format!("large={}", path.display())]);
    for (width, height) in [(16_384, 1), (1, 16_384), (2000, 1), (1, 2000)] {
        let answer = server.post("/score?model=large", "image/png", &plain(width, height, [200, 100, 50], Png));
        assert_eq!(answer.status, 200, "{width}x{height}: {}", answer.text());
    }
    // What it becomes still counts.
    let limited = Server::start(&["--max-pixels", "100000", "--model", &format!("large={}", path.display())]);
    let answer = limited.post("/score?model=large", "image/png", &plain(2000, 1, [200, 100, 50], Png));
    assert_eq!((answer.status, answer.code().as_str()), (413, "image_too_large"), "{}", answer.text());
    assert!(answer.text().contains("198000 in the model"), "{}", answer.text());
}

#[test]
fn odd_images_are_answered_or_refused_with_a_reason() {
    let mut server = Server::with_models(&OBJECT_MODELS, &[]);
    let mut cases: Vec<Case> =
        (0..=9).flat_map(|turn| for_all(&format!("orientation {turn}"), &turned(turn), &[200])).collect();
    for (name, image, right) in [
        ("CMYK", read("cmyk.jpg"), 200),
        ("progressive", read("progressive.jpg"), 200),
        ("16 bits", sixteen_bit(33, 9), 200),
        ("grey", grey(9, 5), 200),
        ("grey with alpha", grey_alpha(9, 5), 200),
        ("RGBA", rgba(9, 5), 200),
        ("65535x1", plain(65_535, 1, [1, 2, 3], Png), 413),
        ("1x65535", plain(1, 65_535, [1, 2, 3], Png), 413),
        ("arithmetic codes", framed(0xc9, 8), 400),
        ("12 bits", framed(0xc1, 12), 400),
        ("lossless", framed(0xc3, 8), 400),
        ("hierarchical", framed(0xc5, 8), 400),
    ] {
        cases.extend(for_all(name, &image, &[right]));
    }
    check_all(&mut server, &cases);
}
