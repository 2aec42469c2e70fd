//! Decoding against Pillow, limits, and a corpus of odd files where it is at hand.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use models::host::{DecodeError, Limits, Rgb, decode, decode_top, decode_while, encode_jpeg, encode_png, probe};
use serde_json::Value;

use super::{fixtures, noise, number, table, whole};

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(fixtures().join(name)).expect("a readable fixture")
}

fn read(bytes: &[u8]) -> Result<Rgb, DecodeError> {
    decode(bytes, &Limits::default())
}

/// What sets `image` apart from the frozen summary, if anything: size, mean per channel, and some pixels, the latter two
/// within `levels`.
fn difference(image: &Rgb, case: &Value, levels: f64) -> Option<String> {
    let size = (whole(&case["width"]), whole(&case["height"]));
    if (image.width, image.height) != size {
        return Some(format!("{}x{} instead of {}x{}", image.width, image.height, size.0, size.1));
    }
    let pixels = f64::from(image.width) * f64::from(image.height);
    for channel in 0..3 {
        let sum: u64 = image.data.iter().skip(channel).step_by(3).map(|&value| u64::from(value)).sum();
        let (mean, expected) = (sum as f64 / pixels, number(&case["mean"][channel]));
        if (mean - expected).abs() > levels.max(0.001) {
            return Some(format!("mean of channel {channel} is {mean:.3} instead of {expected:.3}"));
        }
    }
    for pixel in case["pixels"].as_array().expect("pixels") {
        let at = (whole(&pixel[1]) * image.width + whole(&pixel[0])) as usize * 3;
        for channel in 0..3 {
            if (f64::from(image.data[at + channel]) - number(&pixel[2 + channel])).abs() > levels {
                return Some(format!("pixel {pixel} is {:?}", &image.data[at..at + 3]));
            }
        }
    }
    None
}

/// Lossy formats need not be decoded to the same bit.
fn levels(name: &str) -> f64 {
    match name {
        // Chroma is stored at half resolution here, and its upsampling is free.
        "baseline_420.jpg" | "baseline_422.jpg" | "progressive.jpg" | "restarts.jpg" => 3.0,
        "lossy.webp" => 2.0,
        _ if name.ends_with(".jpg") => 2.0,
        _ => 0.0,
    }
}

#[test]
fn every_kind_of_file_decodes_as_in_pillow() {
    let cases = table("decode.json");
    assert!(cases.len() >= 40);
    for case in cases {
        let name = case["file"].as_str().expect("a name");
        let bytes = fixture(name);
        let image = read(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(difference(&image, &case, levels(name)), None, "{name}");
        let header = probe(&bytes, &Limits::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let turned = name.contains("orientation") && (image.width, image.height) == (45, 67);
        let stored = if turned { (image.height, image.width) } else { (image.width, image.height) };
        assert_eq!((header.width, header.height), stored, "{name}");
    }
}

#[test]
fn all_orientations_show_the_same_scene() {
    // Every file stores the same pixels, so orientation n is the stored image seen n's way.
    let stored = read(&fixture("orientation_1.jpg")).expect("sound");
    let (w, h) = (stored.width, stored.height);
    let pixel = |image: &Rgb, x: u32, y: u32| {
        let at = (y * image.width + x) as usize * 3;
        [image.data[at], image.data[at + 1], image.data[at + 2]]
    };
    for value in 2..=8 {
        let image = read(&fixture(&format!("orientation_{value}.jpg"))).expect("sound");
        let expected = if value < 5 { (w, h) } else { (h, w) };
        assert_eq!((image.width, image.height), expected);
        for y in 0..image.height {
            for x in 0..image.width {
                let (sx, sy) = match value {
                    2 => (w - 1 - x, y),
                    3 => (w - 1 - x, h - 1 - y),
                    4 => (x, h - 1 - y),
                    5 => (y, x),
                    6 => (y, h - 1 - x),
                    7 => (w - 1 - y, h - 1 - x),
                    _ => (w - 1 - y, x),
                };
                assert_eq!(pixel(&image, x, y), pixel(&stored, sx, sy), "orientation {value}, {x} {y}");
            }
        }
    }
}

#[test]
fn encoders_round_trip() {
    let image = noise(37, 21, 9);
    assert_eq!(read(&encode_png(&image)), Ok(image.clone()));
    let flat = Rgb::filled(20, 30, [200, 100, 50]);
    for (asked, quality) in [(0, 1), (95, 95), (255, 100)] {
        assert_eq!(encode_jpeg(&flat, asked), encode_jpeg(&flat, quality));
    }
    let back = read(&encode_jpeg(&flat, 95)).expect("sound");
    assert!(back.data.iter().zip(&flat.data).all(|(a, b)| a.abs_diff(*b) <= 3));
    let long = encode_jpeg(&Rgb::filled(70_000, 1, [1, 2, 3]), 50);
    let header = probe(&long, &Limits { max_side: 65535, ..Limits::default() }).expect("sound");
    assert_eq!((header.width, header.height), (65535, 1));
}

/// A JPEG's or PNG's bytes that claim another size.
fn claiming(name: &str, width: u16, height: u16) -> Vec<u8> {
    let mut bytes = fixture(name);
    let (w, h) = (width.to_be_bytes(), height.to_be_bytes());
    if name.ends_with(".png") {
        bytes[16..24].copy_from_slice(&[0, 0, w[0], w[1], 0, 0, h[0], h[1]]);
        // The header's checksum, over its name and contents.
        let header = Rgb { width: 1, height: 1, data: bytes[12..29].to_vec() };
        let crc = u32::try_from(super::crc(&header)).expect("32 bits");
        bytes[29..33].copy_from_slice(&crc.to_be_bytes());
    } else {
        let frame = bytes.windows(2).position(|pair| pair == [0xFF, 0xC0]).expect("a baseline frame");
        bytes[frame + 5..frame + 9].copy_from_slice(&[h[0], h[1], w[0], w[1]]);
    }
    bytes
}

#[test]
fn limits_are_checked_on_the_header() {
    let limits = Limits::default();
    assert_eq!(read(&[]), Err(DecodeError::Empty));
    for name in ["baseline_444.jpg", "rgb.png"] {
        let long = claiming(name, 30000, 30000);
        let error = DecodeError::SideTooLong { width: 30000, height: 30000, limit: 16384 };
        assert_eq!(read(&long), Err(error.clone()), "{name}");
        assert_eq!(probe(&long, &limits), Err(error), "{name}");
        let large = claiming(name, 16000, 16000);
        let error = DecodeError::TooManyPixels { width: 16000, height: 16000, limit: 100_000_000 };
        assert_eq!(read(&large), Err(error.clone()), "{name}");
        assert_eq!(probe(&large, &limits), Err(error), "{name}");
        let bytes = fixture(name);
        let tight = Limits { max_bytes: bytes.len() as u64 - 1, ..limits };
        let error = DecodeError::TooManyBytes { bytes: bytes.len() as u64, limit: tight.max_bytes };
        assert_eq!(decode(&bytes, &tight), Err(error.clone()), "{name}");
        assert_eq!(probe(&bytes, &tight), Err(error), "{name}");
        let exact = Limits { max_bytes: bytes.len() as u64, max_side: 67, max_pixels: 67 * 45 };
        assert!(decode(&bytes, &exact).is_ok(), "{name}");
        for tight in [Limits { max_side: 66, ..exact }, Limits { max_pixels: 67 * 45 - 1, ..exact }] {
            assert!(decode(&bytes, &tight).is_err(), "{name}");
        }
    }
}

#[test]
fn every_cut_of_a_jpeg_is_an_error() {
    for name in ["baseline_420.jpg", "progressive.jpg", "grey.jpg", "cmyk.jpg", "restarts.jpg"] {
        let bytes = fixture(name);
        for length in 0..bytes.len() {
            assert!(read(&bytes[..length]).is_err(), "{name} cut to {length} of {} bytes", bytes.len());
        }
        let mut longer = bytes.clone();
        longer.extend([0; 100]);
        assert_eq!(read(&longer), read(&bytes), "{name} with bytes after its end");
    }
}

/// The first `rows` rows, and the size that was told, if any.
fn read_top(bytes: &[u8], rows: u32) -> (Result<Rgb, DecodeError>, Option<(u32, u32)>) {
    let mut told = None;
    let image = decode_top(bytes, &Limits::default(), |width, height| {
        told = Some((width, height));
        rows
    });
    (image, told)
}

fn first_rows(image: &Rgb, rows: u32) -> Rgb {
    let height = rows.clamp(1, image.height);
    Rgb { width: image.width, height, data: image.data[..(image.width * height * 3) as usize].to_vec() }
}

#[test]
fn the_top_of_a_baseline_jpeg_equals_the_whole_to_the_bit() {
    let fixtures = ["baseline_420.jpg", "baseline_422.jpg", "baseline_444.jpg", "restarts.jpg", "orientation_1.jpg"];
    let encoded = [(1, 1), (17, 16), (33, 100)].map(|(width, height)| encode_jpeg(&noise(width, height, 3), 80));
    for bytes in fixtures.map(fixture).into_iter().chain(encoded) {
        let whole = read(&bytes).expect("sound");
        for rows in 0..=whole.height + 20 {
            let (top, told) = read_top(&bytes, rows);
            assert_eq!(told, Some((whole.width, whole.height)));
            assert!(top == Ok(first_rows(&whole, rows)), "{}x{}, {rows} rows", whole.width, whole.height);
        }
        assert_eq!(read_top(&bytes, u32::MAX - 40).0, Ok(whole));
    }
}

#[test]
fn what_cannot_be_cut_is_decoded_whole() {
    let names =
        ["progressive.jpg", "grey.jpg", "cmyk.jpg", "orientation_3.jpg", "orientation_6.jpg", "rgb.png", "lossy.webp"];
    for name in names {
        let bytes = fixture(name);
        assert_eq!(read_top(&bytes, 4), (read(&bytes), None), "{name}");
    }
    // The first scan seems to hold one component: the others would come after the rows that are left out.
    let mut bytes = fixture("baseline_444.jpg");
    let scan = bytes.windows(2).position(|pair| pair == [0xFF, 0xDA]).expect("a scan");
    bytes[scan + 4] = 1;
    assert_eq!(read_top(&bytes, 4), (read(&bytes), None));
}

#[test]
fn a_top_is_refused_as_the_whole_is() {
    let bytes = fixture("baseline_420.jpg");
    for length in 0..bytes.len() {
        assert!(read_top(&bytes[..length], 4).0.is_err(), "cut to {length} of {} bytes", bytes.len());
    }
    let long = claiming("baseline_420.jpg", 30000, 30000);
    assert_eq!(read_top(&long, 4), (read(&long), None));
    assert_eq!(read_top(&[], 4), (Err(DecodeError::Empty), None));
}

#[test]
fn the_tops_of_photographs_equal_the_whole() {
    for folder in ["fridge/images/single/can", "clothing/test/hat"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(folder);
        let Ok(entries) = std::fs::read_dir(&folder) else {
            println!("skipped: {} is missing", folder.display());
            continue;
        };
        let mut cut = 0;
        for (at, entry) in entries.flatten().take(12).enumerate() {
            let bytes = std::fs::read(entry.path()).expect("a readable file");
            let whole = read(&bytes).expect("sound");
            for step in 0..5 {
                let rows = (whole.height * step / 5 + at as u32).min(whole.height);
                let (top, told) = read_top(&bytes, rows);
                let expected = if told.is_some() { first_rows(&whole, rows) } else { whole.clone() };
                assert!(top == Ok(expected), "{}: {rows} rows", entry.path().display());
                cut += u32::from(told.is_some());
            }
        }
        println!("{cut} cuts in {}", folder.display());
    }
}

#[test]
fn the_first_image_of_a_gif_is_read() {
    let image = read(&fixture("animated.gif")).expect("an image");
    let whole = read(&fixture("rgb.png")).expect("the same in another format");
    assert_eq!((image.width, image.height), (whole.width, whole.height));
    // 256 colours in place of all.
    let apart = image.data.iter().zip(&whole.data).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>();
    assert!(apart / (image.data.len() as f64) < 16.0, "{apart}");

    // Of two images the first counts; transparent pixels keep their colour, and what is not covered is black.
    let header = b"GIF89a\x04\x00\x01\x00\x80\x00\x00\x0a\x14\x1e\xc8\x64\x32";
    let transparent = b"!\xf9\x04\x01\x00\x00\x00\x00";
    let first = b",\x01\x00\x00\x00\x02\x00\x01\x00\x00\x02\x02\x44\x0a\x00"; // colours 0 and 1
    let second = b",\x00\x00\x00\x00\x04\x00\x01\x00\x00\x02\x02\x4c\x0a\x00";
    let file = [&header[..], transparent, first, second, b";"].concat();
    let image = read(&file).expect("an image");
    assert_eq!(image.data, [0, 0, 0, 10, 20, 30, 200, 100, 50, 0, 0, 0]);
    let cut = read(&file[..header.len() + transparent.len() + 12]);
    assert!(matches!(cut, Err(DecodeError::Truncated { .. } | DecodeError::Corrupt { .. })), "{cut:?}");
}

#[test]
fn formats_that_are_not_read_are_named_with_a_command() {
    for (start, what, command) in [
        (&b"\0\0\0\x20ftypavif"[..], "AVIF", "ffmpeg -i in.avif out.png"),
        (b"\0\0\0\x20ftypheic", "HEIC", "heif-convert in.heic out.jpg"),
        (b"\0\0\0\x20ftypmif1", "HEIF", "heif-convert"),
        (b"\0\0\0\x20ftypisom", "video", "ffmpeg -i in.mp4"),
        (b"\0\0\0\x20ftypqt  ", "video", "ffmpeg"),
        (b"\x1a\x45\xdf\xa3", "video", "ffmpeg"),
        (b"\0\0\0\x20ftypcrx ", "raw data of a camera", "dcraw_emu"),
        (b"FUJIFILMCCD-RAW", "raw data of a camera", "dcraw_emu"),
        (b"\xff\x0a\x00", "JPEG XL", "djxl in.jxl out.png"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL", "djxl"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000", "opj_decompress"),
        (b"%PDF-1.7", "PDF", "pdftoppm"),
        (b"8BPS\0\x01", "Photoshop", "magick"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'>", "SVG", "rsvg-convert"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- x --><svg>", "SVG", "rsvg-convert"),
    ] {
        let said = read(start).map(drop).expect_err("not read").to_string();
        assert!(said.contains(what) && said.contains(command), "{said}");
    }
    let said = read(b"<html><body>404</body></html>").map(drop).expect_err("no image").to_string();
    assert!(said.contains("no JPEG, PNG"), "{said}");
}

#[test]
fn unreadable_kinds_say_what_they_are() {
    let said = |bytes: &[u8]| match read(bytes) {
        Err(DecodeError::Unsupported { what }) => what,
        other => panic!("{other:?}"),
    };
    let frame = |marker: u8, precision: u8, components: u8| {
        let mut bytes = fixture("baseline_444.jpg");
        let at = bytes.windows(2).position(|pair| pair == [0xFF, 0xC0]).expect("a baseline frame");
        bytes[at + 1] = marker;
        bytes[at + 4] = precision;
        bytes[at + 9] = components;
        said(&bytes)
    };
    assert_eq!(frame(0xC9, 8, 3), "an arithmetic-coded JPEG");
    assert_eq!(frame(0xC3, 8, 3), "a lossless JPEG");
    assert_eq!(frame(0xC5, 8, 3), "a hierarchical JPEG");
    assert_eq!(frame(0xC1, 12, 3), "a JPEG of 12 bits per value");
    assert_eq!(frame(0xC0, 8, 2), "a JPEG of 2 components");
    assert_eq!(read(b"hello, I am a text"), Err(DecodeError::UnknownFormat));
}

/// Why this code and Pillow differ on a file, where they do.
fn known_difference(file: &str) -> Option<&'static str> {
    match file {
        "image-rs/extended_images/anim.webp" => Some("colour of fully transparent pixels"),
        "image-rs/images/pal4rlecut.bmp" | "image-rs/images/pal4rletrns.bmp" => {
            Some("pixels that the run lengths leave out")
        }
        "image-rs/images/rgb16-565.bmp" | "image-rs/images/rgb16.bmp" => Some("rounding of 5 and 6 bits to 8"),
        "image-rs/testsuite/hpredict.tiff" | "image-rs/testsuite/hpredict_packbits.tiff" => {
            Some("colour multiplied with alpha")
        }
        "libjpeg-turbo/testimgari.jpg" | "mozjpeg/testimgari.jpg" => Some("arithmetic coding is refused"),
        "pngsuite/xcsn0g01.png" => Some("a wrong checksum is refused"),
        // Broken on purpose: what a decoder makes of damaged scans is its own affair.
        _ if file.starts_with("fuzzed/") => Some("damaged"),
        _ => None,
    }
}

/// The corpus of odd files, where it is at hand.
fn odd_images() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/odd-images");
    if !folder.is_dir() {
        println!("skipped: {} is missing", folder.display());
        return None;
    }
    Some(folder)
}

#[test]
fn odd_images_decode_as_in_pillow() {
    let Some(folder) = odd_images() else { return };
    let mut wrong = Vec::new();
    let mut known = 0;
    for case in table("odd_images.json") {
        let name = case["file"].as_str().expect("a name");
        let result = read(&std::fs::read(folder.join(name)).expect("a readable file"));
        let message = match (&result, case.get("width")) {
            (Ok(image), Some(_)) => {
                let jpeg = case["format"] == "JPEG";
                difference(image, &case, if jpeg { 3.0 } else { 0.0 })
            }
            (Err(error), Some(_)) => Some(error.to_string()),
            (Ok(_), None) => Some("an image where Pillow has none".into()),
            (Err(_), None) => None,
        };
        match message {
            Some(message) if known_difference(name).is_none() => wrong.push(format!("{name}: {message}")),
            Some(_) => known += 1,
            None => {}
        }
    }
    println!("{known} files differ for known reasons");
    assert!(wrong.is_empty(), "{} files:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn no_odd_file_makes_decoding_panic() {
    let Some(folder) = odd_images() else { return };
    let mut folders = vec![folder];
    let (mut images, mut errors) = (0, 0);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a readable folder").flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let bytes = std::fs::read(entry.path()).expect("a readable file");
            match read(&bytes) {
                Ok(image) => {
                    assert_eq!(image.data.len(), (image.width * image.height * 3) as usize);
                    assert!(probe(&bytes, &Limits::default()).is_ok(), "{}", entry.path().display());
                    images += 1;
                }
                Err(error) => {
                    assert!(!error.to_string().is_empty());
                    errors += 1;
                }
            }
        }
    }
    println!("{images} images, {errors} errors");
    assert!(images > 250, "{images} images, {errors} errors");
}

#[test]
fn decoding_ends_when_it_is_no_longer_wanted() {
    let image = noise(700, 600, 3);
    for file in [encode_jpeg(&image, 95), encode_png(&image)] {
        assert!(file.len() > 200_000, "{} bytes", file.len());
        let asked = Cell::new(0);
        let until = |end: u32| {
            asked.set(0);
            decode_while(&file, &Limits::default(), &|| {
                asked.set(asked.get() + 1);
                asked.get() < end
            })
        };
        assert_eq!(until(u32::MAX), read(&file));
        let times = asked.get();
        assert!(times >= 2, "asked {times} times");
        for end in 1..=times {
            assert_eq!(until(end), Err(DecodeError::Stopped), "asked {end} times");
            assert_eq!(asked.get(), end);
        }
    }
}
