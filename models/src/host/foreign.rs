//! Formats that are known by their first bytes and not read, with the command that makes an image of each that is.

use std::fmt;

/// A format that is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// AVIF.
    Avif,
    /// HEIC and others of HEIF, as telephones save them.
    Heif,
    /// JPEG XL.
    JpegXl,
    /// JPEG 2000.
    Jpeg2000,
    /// Vector graphics.
    Svg,
    /// PDF.
    Pdf,
    /// Photoshop.
    Photoshop,
    /// A camera's raw data.
    Raw,
    /// MP4, QuickTime, Matroska or AVI.
    Video,
}

impl Foreign {
    /// The format of a file that begins with `bytes`. A raw file that is a TIFF to its first bytes is taken for one.
    #[must_use]
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        Some(match bytes {
            [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => match brand {
                [b'a', b'v', b'i', b'f' | b's', ..] => Self::Avif,
                [b'h', b'e', b'i' | b'v', ..] | [b'm', b'i', b'f', b'1', ..] | [b'm', b's', b'f', b'1', ..] => {
                    Self::Heif
                }
                [b'c', b'r', b'x', b' ', ..] => Self::Raw,
                _ => Self::Video,
            },
            [0xFF, 0x0A, ..] | [0, 0, 0, 0x0C, b'J', b'X', b'L', b' ', ..] => Self::JpegXl,
            [0, 0, 0, 0x0C, b'j', b'P', b' ', b' ', ..] | [0xFF, 0x4F, 0xFF, 0x51, ..] => Self::Jpeg2000,
            [b'8', b'B', b'P', b'S', ..] => Self::Photoshop,
            [b'%', b'P', b'D', b'F', ..] => Self::Pdf,
            [b'I', b'I', b'R' | b'U', _, ..] | [b'F', b'U', b'J', b'I', b'F', b'I', b'L', b'M', ..] => Self::Raw,
            [0x1A, 0x45, 0xDF, 0xA3, ..] => Self::Video,
            [b'R', b'I', b'F', b'F', _, _, _, _, b'A', b'V', b'I', b' ', ..] => Self::Video,
            _ if is_svg(bytes) => Self::Svg,
            _ => return None,
        })
    }

    /// What makes an image of it that is read.
    pub(super) fn advice(self) -> &'static str {
        match self {
            Self::Avif => "its decoder would be larger than all others together; convert it: ffmpeg -i in.avif out.png",
            Self::Heif => "convert it: heif-convert in.heic out.jpg",
            Self::JpegXl => "convert it: djxl in.jxl out.png",
            Self::Jpeg2000 => "convert it: opj_decompress -i in.jp2 -o out.png",
            Self::Svg => "draw it at the size you want: rsvg-convert -w 640 in.svg -o out.png",
            Self::Pdf => "draw its pages: pdftoppm -png -r 150 in.pdf out",
            Self::Photoshop => "convert it: magick 'in.psd[0]' out.png",
            Self::Raw => "develop it: dcraw_emu -T in.raw, which writes a TIFF",
            Self::Video => "take images from it: ffmpeg -i in.mp4 -vf fps=1 out-%04d.png",
        }
    }
}

/// Whether text begins with `<svg`, or with an XML declaration or comment and has it soon.
fn is_svg(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(1024)];
    let text = start.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(start).trim_ascii_start();
    text.starts_with(b"<") && text.windows(4).any(|window| window == b"<svg")
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Avif => "an AVIF image",
            Self::Heif => "a HEIF image (HEIC)",
            Self::JpegXl => "a JPEG XL image",
            Self::Jpeg2000 => "a JPEG 2000 image",
            Self::Svg => "an SVG drawing",
            Self::Pdf => "a PDF document",
            Self::Photoshop => "a Photoshop document",
            Self::Raw => "raw data of a camera",
            Self::Video => "a video",
        })
    }
}
