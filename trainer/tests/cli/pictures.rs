//! Good, odd and hostile images, made here.

use std::io::{Cursor, Write};

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};

/// Noise that compresses badly, so that a cut file is really cut.
pub fn noise(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
    let pixel = |x: u32, y: u32| {
        let mixed = (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503)).wrapping_mul(2_246_822_519);
        Rgb(mixed.to_le_bytes()[1..].try_into().unwrap())
    };
    encode(&DynamicImage::ImageRgb8(RgbImage::from_fn(width, height, pixel)), format)
}

pub fn encode(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A PNG that says it is so large and holds next to nothing.
pub fn png_bomb(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut header = b"IHDR".to_vec();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    header.extend([8, 2, 0, 0, 0]);
    chunk(&mut bytes, &header);
    chunk(&mut bytes, b"IDAT\x78\x9c\x63\x00\x00\x00\x01\x00\x01");
    chunk(&mut bytes, b"IEND");
    bytes
}

/// A PNG with a colour profile in front of its data that inflates to 1 GiB.
pub fn with_huge_profile(png: &[u8]) -> Vec<u8> {
    let mut profile = flate2::write::ZlibEncoder::new(b"iCCPp\0\0".to_vec(), flate2::Compression::best());
    let zeros = vec![0; 1 << 20];
    (0..1024).for_each(|_| profile.write_all(&zeros).unwrap());
    let mut bytes = png[..33].to_vec();
    chunk(&mut bytes, &profile.finish().unwrap());
    bytes.extend(&png[33..]);
    bytes
}

/// The JPEG with another size in its header.
pub fn claiming(jpeg: &[u8], width: u16, height: u16) -> Vec<u8> {
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    let mut bytes = jpeg.to_vec();
    bytes[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
    bytes[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
    bytes
}

/// A grey TIFF of 64 pixels a row, each row a strip, and all strips the same JPEG.
pub fn tiff_around(jpeg: &[u8], rows: u16) -> Vec<u8> {
    let (n, length) = (u32::from(rows), u32::try_from(jpeg.len()).unwrap());
    let directory = 8 + length.next_multiple_of(2);
    let values = directory + 2 + 8 * 12 + 4;
    let mut bytes = b"II*\0".to_vec();
    bytes.extend(directory.to_le_bytes());
    bytes.extend(jpeg);
    bytes.resize(directory as usize, 0);
    bytes.extend(8u16.to_le_bytes());
    // Sides, bits, JPEG, grey, places, rows of a strip, lengths.
    let (places, lengths) = ((273, n, values), (279, n, values + 4 * n));
    for (tag, count, value) in
        [(256u16, 1, 64), (257, 1, n), (258, 1, 8), (259, 1, 7), (262, 1, 1), places, (278, 1, 1), lengths]
    {
        bytes.extend([tag.to_le_bytes(), 4u16.to_le_bytes()].concat());
        bytes.extend([count.to_le_bytes(), value.to_le_bytes()].concat());
    }
    bytes.extend([0; 4]);
    bytes.extend(8u32.to_le_bytes().repeat(rows.into()));
    bytes.extend(length.to_le_bytes().repeat(rows.into()));
    bytes
}

fn chunk(out: &mut Vec<u8>, body: &[u8]) {
    out.extend(u32::try_from(body.len() - 4).unwrap().to_be_bytes());
    out.extend(body);
    out.extend(crc(body).to_be_bytes());
}

/// CRC-32 of PNG (ISO 3309).
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |c, _| if c & 1 == 1 { c >> 1 ^ 0xedb8_8320 } else { c >> 1 })
    })
}

/// A JPEG with an EXIF orientation before its other segments.
pub fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    let mut out = jpeg[..2].to_vec();
    out.extend([0xff, 0xe1]);
    out.extend(u16::try_from(exif.len() + 2).unwrap().to_be_bytes());
    out.extend(exif);
    out.extend(&jpeg[2..]);
    out
}
