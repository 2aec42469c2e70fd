//! Images that are stored in an odd way, or are too small or too large.

use std::path::Path;

use models::host::{Region, Rgb, encode_jpeg, encode_png, resize, thumbnail};
use schemas::Interpolation;
use schemas::check::FindingKind as Kind;
use serde_json::json;

use crate::plot::{Place, Plot};

pub fn plant(plot: &mut Plot) {
    if plot.has_boxes() {
        // Turned by a quarter, by a half, mirrored, and one more.
        for orientation in [6, 3, 2, 8] {
            let place = plot.take_any();
            plot.replace(place, &turned(&encode_jpeg(&plot.image(place), 95), orientation));
            plot.planted(Kind::TurnedImage, [place]);
        }
    }
    each(plot, Kind::SixteenBit, |image| png(image, Pixel::Wide));
    each(plot, Kind::Alpha, |image| png(image, Pixel::Alpha));
    each(plot, Kind::Palette, |image| png(image, Pixel::Palette));
    each(plot, Kind::Cmyk, cmyk);
    let place = plot.take_any();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/tests/fixtures/host/cmyk.jpg");
    without_objects(plot, place);
    plot.replace(place, &std::fs::read(fixture).unwrap());
    plot.planted(Kind::Cmyk, [place]);
    plot.planted(Kind::SmallImage, [place]);
    colours(plot);
    sizes(plot);
}

/// Plants four of a kind.
fn each(plot: &mut Plot, kind: Kind, store: impl Fn(&Rgb) -> Vec<u8>) {
    for _ in 0..4 {
        let place = plot.take_any();
        plot.replace(place, &store(&plot.image(place)));
        plot.planted(kind, [place]);
    }
}

fn is_grey(image: &Rgb) -> bool {
    image.data.as_chunks::<3>().0.iter().all(|&[r, g, b]| r == g && g == b)
}

/// Makes images grey, or coloured where nearly all are grey.
fn colours(plot: &mut Plot) {
    let some = plot.said(Kind::MixedGrey).first().copied();
    // The fewer are told of; where all are alike, there are none of the other sort.
    let grey = match some {
        Some(odd) => is_grey(&plot.image(odd)),
        None => {
            let place = plot.take_any();
            !is_grey(&plot.image(place))
        }
    };
    let mut left = 4;
    while left > 0 {
        let place = plot.take_any();
        let mut image = plot.image(place);
        if is_grey(&image) == grey {
            continue;
        }
        for pixel in image.data.as_chunks_mut::<3>().0 {
            *pixel = if grey { [pixel[1]; 3] } else { [pixel[0], pixel[1] / 2, pixel[2] / 3] };
        }
        plot.replace(place, &encode_png(&image));
        plot.planted(Kind::MixedGrey, [place]);
        left -= 1;
    }
}

/// Boxes of what is enlarged or reduced would be tiny besides.
fn without_objects(plot: &mut Plot, place: Place) {
    if plot.has_boxes() {
        plot.change(place, |row| row["label"] = json!([]));
    }
}

fn sizes(plot: &mut Plot) {
    let (small, large) = if plot.has_boxes() { (150, (5200, 700)) } else { (50, (1800, 1800)) };
    for _ in 0..4 {
        let place = plot.take_any();
        without_objects(plot, place);
        plot.replace(place, &encode_png(&thumbnail(&plot.image(place), small)));
        plot.planted(Kind::SmallImage, [place]);
        let place = plot.take_any();
        without_objects(plot, place);
        let image = plot.image(place);
        let image = resize(&image, Region::whole(&image), large.0, large.1, Interpolation::Bilinear);
        plot.replace(place, &encode_jpeg(&image, 80));
        plot.planted(Kind::LargeImage, [place]);
    }
}

/// A JPEG with an orientation in an EXIF segment.
fn turned(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    let length = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, &exif, &jpeg[2..]].concat()
}

/// How a PNG stores a pixel.
#[derive(Clone, Copy)]
enum Pixel {
    /// 16 bits a channel.
    Wide,
    /// With transparency.
    Alpha,
    /// A place in a palette of 216 colours.
    Palette,
}

/// A PNG, without compression.
fn png(image: &Rgb, pixel: Pixel) -> Vec<u8> {
    let (depth, colour) = match pixel {
        Pixel::Wide => (16, 2),
        Pixel::Alpha => (8, 6),
        Pixel::Palette => (8, 3),
    };
    let mut raw = Vec::new();
    for row in image.data.chunks_exact(image.width as usize * 3) {
        raw.push(0);
        for &[r, g, b] in row.as_chunks::<3>().0 {
            match pixel {
                Pixel::Wide => raw.extend([r, r, g, g, b, b]),
                Pixel::Alpha => raw.extend([r, g, b, 200]),
                Pixel::Palette => raw.push((r / 43) * 36 + (g / 43) * 6 + b / 43),
            }
        }
    }
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |kind: &[u8; 4], data: &[u8]| {
        let body = [kind, data].concat();
        file.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
        file.extend(&body);
        file.extend(crc(&body).to_be_bytes());
    };
    let size = [image.width.to_be_bytes(), image.height.to_be_bytes()].concat();
    chunk(b"IHDR", &[&size[..], &[depth, colour, 0, 0, 0]].concat());
    if colour == 3 {
        let palette: Vec<u8> = (0..216u8).flat_map(|at| [at / 36, at / 6 % 6, at % 6]).map(|step| step * 51).collect();
        chunk(b"PLTE", &palette);
    }
    chunk(b"IDAT", &stored(&raw));
    chunk(b"IEND", &[]);
    file
}

/// A zlib stream that compresses nothing.
fn stored(raw: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 1];
    let blocks = raw.chunks(65535).count();
    for (number, block) in raw.chunks(65535).enumerate() {
        let length = u16::try_from(block.len()).unwrap();
        stream.push(u8::from(number + 1 == blocks));
        stream.extend(length.to_le_bytes());
        stream.extend((!length).to_le_bytes());
        stream.extend(block);
    }
    let (a, b) = raw.iter().fold((1u32, 0u32), |(a, b), &byte| {
        let a = (a + u32::from(byte)) % 65521;
        (a, (b + a) % 65521)
    });
    stream.extend((b << 16 | a).to_be_bytes());
    stream
}

fn crc(bytes: &[u8]) -> u32 {
    let table: Vec<u32> = (0..256u32)
        .map(|byte| (0..8).fold(byte, |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 }))
        .collect();
    !bytes.iter().fold(!0u32, |crc, &byte| crc >> 8 ^ table[((crc ^ u32::from(byte)) & 0xff) as usize])
}

/// A TIFF of printing colours, without compression.
fn cmyk(image: &Rgb) -> Vec<u8> {
    let pixels: Vec<u8> =
        image.data.as_chunks::<3>().0.iter().flat_map(|p| [255 - p[0], 255 - p[1], 255 - p[2], 0]).collect();
    let entries: [(u16, u16, u32, u32); 10] = [
        (256, 4, 1, image.width),
        (257, 4, 1, image.height),
        // Bits of the four samples, after the directory.
        (258, 3, 4, 8 + 2 + 10 * 12 + 4),
        (259, 3, 1, 1),
        (262, 3, 1, 5),
        (273, 4, 1, 8 + 2 + 10 * 12 + 4 + 8),
        (277, 3, 1, 4),
        (278, 4, 1, image.height),
        (279, 4, 1, pixels.len() as u32),
        (284, 3, 1, 1),
    ];
    let mut file = b"II\x2a\0\x08\0\0\0".to_vec();
    file.extend(10u16.to_le_bytes());
    for (tag, kind, count, value) in entries {
        file.extend(tag.to_le_bytes());
        file.extend(kind.to_le_bytes());
        file.extend(count.to_le_bytes());
        file.extend(value.to_le_bytes());
    }
    file.extend([0; 4]);
    file.extend([8, 0, 8, 0, 8, 0, 8, 0]);
    file.extend(pixels);
    file
}
