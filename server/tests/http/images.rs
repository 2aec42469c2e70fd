//! Images made on the spot.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, Luma, LumaA, Rgb, Rgba};

pub fn encode(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    image.write_to(&mut out, format).unwrap();
    out.into_inner()
}

pub fn plain(width: u32, height: u32, colour: [u8; 3], format: ImageFormat) -> Vec<u8> {
    encode(&image::RgbImage::from_pixel(width, height, Rgb(colour)).into(), format)
}

/// A PNG whose pixels are what `colour` says about their column and row.
pub fn parts(width: u32, height: u32, colour: impl Fn(u32, u32) -> [u8; 3]) -> Vec<u8> {
    encode(&image::RgbImage::from_fn(width, height, |x, y| Rgb(colour(x, y))).into(), ImageFormat::Png)
}

pub fn noise(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
    let image = image::RgbImage::from_fn(width, height, |x, y| {
        let v = (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(2_246_822_519)).to_le_bytes();
        Rgb([v[0] ^ v[3], v[1], v[2]])
    });
    encode(&image.into(), format)
}

pub fn grey(width: u32, height: u32) -> Vec<u8> {
    encode(&image::GrayImage::from_pixel(width, height, Luma([90])).into(), ImageFormat::Png)
}

pub fn grey_alpha(width: u32, height: u32) -> Vec<u8> {
    encode(&image::GrayAlphaImage::from_pixel(width, height, LumaA([90, 0])).into(), ImageFormat::Png)
}

pub fn rgba(width: u32, height: u32) -> Vec<u8> {
    encode(&image::RgbaImage::from_pixel(width, height, Rgba([1, 2, 3, 4])).into(), ImageFormat::Png)
}

pub fn sixteen_bit(width: u32, height: u32) -> Vec<u8> {
    let image = image::ImageBuffer::from_pixel(width, height, Rgb([60_000u16, 1000, 1000]));
    encode(&DynamicImage::ImageRgb16(image), ImageFormat::Png)
}

/// A PNG whose header says any size, with a valid checksum and a few bytes of data.
pub fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    let size = [width.to_be_bytes(), height.to_be_bytes()].concat();
    chunk(&mut out, b"IHDR", &[&size[..], &[8, 2, 0, 0, 0]].concat());
    chunk(&mut out, b"IDAT", &[0x78, 0x9c, 0x63, 0, 0, 0, 1, 0, 1]);
    chunk(&mut out, b"IEND", &[]);
    out
}

fn chunk(out: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    out.extend((data.len() as u32).to_be_bytes());
    let checked = [&kind[..], data].concat();
    out.extend(&checked);
    out.extend(crc(&checked).to_be_bytes());
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |s, _| if s & 1 == 1 { (s >> 1) ^ 0xedb8_8320 } else { s >> 1 })
    })
}

/// A JPEG whose frame header says any size.
pub fn jpeg_header(width: u16, height: u16) -> Vec<u8> {
    let mut out = plain(8, 8, [9, 9, 9], ImageFormat::Jpeg);
    let at = out.windows(2).position(|w| w == [0xff, 0xc0]).unwrap() + 5;
    out[at..at + 2].copy_from_slice(&height.to_be_bytes());
    out[at + 2..at + 4].copy_from_slice(&width.to_be_bytes());
    out
}

/// A 24-bit BMP header of any size, and no pixels.
pub fn bmp_header(width: i32, height: i32) -> Vec<u8> {
    let mut out = b"BM".to_vec();
    out.extend(54u32.to_le_bytes());
    out.extend([0; 4]);
    out.extend(54u32.to_le_bytes());
    out.extend(40u32.to_le_bytes());
    out.extend(width.to_le_bytes());
    out.extend(height.to_le_bytes());
    out.extend([1, 0, 24, 0]);
    out.extend([0; 24]);
    out
}

/// A TIFF whose only directory names itself as the next one, with an entry that points far outside.
pub fn tiff_loop() -> Vec<u8> {
    let mut out = b"II*\0\x08\0\0\0".to_vec();
    out.extend([1, 0]);
    out.extend([0x11, 0x01, 4, 0, 0xff, 0xff, 0xff, 0x7f, 0xf0, 0xff, 0xff, 0xff]);
    out.extend(8u32.to_le_bytes());
    out
}
