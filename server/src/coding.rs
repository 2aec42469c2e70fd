//! Bodies that come compressed: gzip and deflate, undone piece by piece, so that a small body cannot become a large one unseen.

use std::io::{self, Write as _};

use actix_web::http::header::{self, HeaderMap};
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use crate::error::ServerError;

/// Compressed bytes that are undone at once; they become at most a thousand times as many.
const STEP: usize = 512;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Identity,
    Gzip,
    /// zlib's format, as RFC 9110 has it, or the bare stream that some clients send.
    Deflate,
}

impl Coding {
    /// That of a request.
    ///
    /// # Errors
    /// One that is not known, or several.
    pub fn of(headers: &HeaderMap) -> Result<Self, ServerError> {
        let mut found = Self::Identity;
        for value in headers.get_all(header::CONTENT_ENCODING) {
            for name in value.to_str().map_err(|_| ServerError::ContentEncoding)?.split(',') {
                let coding = Self::named(name)?;
                if coding != Self::Identity && found != Self::Identity {
                    return Err(ServerError::ContentEncoding);
                }
                found = if coding == Self::Identity { found } else { coding };
            }
        }
        Ok(found)
    }

    /// That of one name.
    ///
    /// # Errors
    /// [`ServerError::ContentEncoding`] when it is not known.
    pub fn named(name: &str) -> Result<Self, ServerError> {
        match name.trim().to_ascii_lowercase().as_str() {
            "identity" | "" => Ok(Self::Identity),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "deflate" => Ok(Self::Deflate),
            _ => Err(ServerError::ContentEncoding),
        }
    }
}

/// Undoes a coding.
pub(crate) struct Undoing {
    coding: Coding,
    /// None before the first byte, and of a body that is as it is.
    decoder: Option<Box<dyn Decoder>>,
}

/// What one of flate2's decoders, which write into memory, is asked.
trait Decoder {
    fn push(&mut self, part: &[u8]) -> io::Result<()>;
    /// What has been made, and not been taken yet.
    fn made(&mut self) -> &mut Vec<u8>;
    /// The body is over.
    fn end(&mut self) -> io::Result<()>;
}

macro_rules! decoder {
    ($($decoder:ident),*) => {$(
        impl Decoder for $decoder<Vec<u8>> {
            fn push(&mut self, part: &[u8]) -> io::Result<()> {
                self.write_all(part)?;
                self.flush()
            }

            fn made(&mut self) -> &mut Vec<u8> {
                self.get_mut()
            }

            fn end(&mut self) -> io::Result<()> {
                self.try_finish()
            }
        }
    )*};
}

decoder!(MultiGzDecoder, ZlibDecoder, DeflateDecoder);

impl Undoing {
    pub fn new(coding: Coding) -> Self {
        Self { coding, decoder: None }
    }

    /// Gives what a part of the body becomes to `take`, piece by piece, in their order.
    ///
    /// # Errors
    /// What `take` says; a part that is not of this coding.
    pub fn feed(&mut self, part: &[u8], take: &mut Take<'_>) -> Result<(), ServerError> {
        let Some(&first) = part.first() else { return Ok(()) };
        let decoder = match self.coding {
            Coding::Identity => return take(part),
            Coding::Gzip => self.decoder.get_or_insert_with(|| Box::new(MultiGzDecoder::new(Vec::new()))),
            // The method of zlib's format is 8, in the lower half of its first byte; no bare stream of use begins like this.
            Coding::Deflate if first & 0x0f == 8 => {
                self.decoder.get_or_insert_with(|| Box::new(ZlibDecoder::new(Vec::new())))
            }
            Coding::Deflate => self.decoder.get_or_insert_with(|| Box::new(DeflateDecoder::new(Vec::new()))),
        };
        for piece in part.chunks(STEP) {
            decoder.push(piece).map_err(|_| ServerError::BrokenBody)?;
            take(decoder.made())?;
            decoder.made().clear();
        }
        Ok(())
    }

    /// The same at the end of the body.
    ///
    /// # Errors
    /// What `take` says; a body that ends early.
    pub fn end(mut self, take: &mut Take<'_>) -> Result<(), ServerError> {
        let Some(decoder) = &mut self.decoder else { return Ok(()) };
        decoder.end().map_err(|_| ServerError::BrokenBody)?;
        take(decoder.made())
    }
}

/// What takes the pieces of a body.
pub(crate) type Take<'a> = dyn FnMut(&[u8]) -> Result<(), ServerError> + 'a;

#[cfg(test)]
mod tests {
    use flate2::{
        Compression,
        write::{DeflateEncoder, GzEncoder, ZlibEncoder},
    };

    use super::*;

    fn undone(coding: Coding, parts: &[&[u8]]) -> Result<Vec<u8>, ServerError> {
        let (mut undoing, mut all) = (Undoing::new(coding), Vec::new());
        let mut take = |piece: &[u8]| {
            all.extend_from_slice(piece);
            Ok(())
        };
        parts.iter().try_for_each(|part| undoing.feed(part, &mut take))?;
        undoing.end(&mut take)?;
        Ok(all)
    }

    fn compressed(content: &[u8]) -> [(Coding, Vec<u8>); 3] {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(content).unwrap();
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(content).unwrap();
        let mut bare = DeflateEncoder::new(Vec::new(), Compression::default());
        bare.write_all(content).unwrap();
        [
            (Coding::Gzip, gzip.finish().unwrap()),
            (Coding::Deflate, zlib.finish().unwrap()),
            (Coding::Deflate, bare.finish().unwrap()),
        ]
    }

    #[test]
    fn what_was_compressed_comes_back_however_it_is_cut() {
        let content: Vec<u8> = (0..100_000_u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        for (coding, body) in compressed(&content) {
            for size in [1, 100, body.len()] {
                let parts: Vec<&[u8]> = body.chunks(size).collect();
                assert_eq!(undone(coding, &parts).unwrap(), content, "{coding:?} {size}");
            }
            assert!(undone(coding, &[&body[..body.len() - 9]]).is_err(), "{coding:?} cut short");
            let mut damaged = body.clone();
            damaged[body.len() / 2] ^= 0x55;
            assert!(undone(coding, &[&damaged]).map_or(true, |found| found != content), "{coding:?} damaged");
        }
        assert_eq!(undone(Coding::Identity, &[b"as", b" it is"]).unwrap(), b"as it is");
        assert_eq!(undone(Coding::Gzip, &[]).unwrap(), b"");
    }

    #[test]
    fn a_small_body_becomes_a_large_one_in_small_steps() {
        for (coding, body) in compressed(&vec![0; 64 << 20]) {
            let (mut undoing, mut most, mut sum) = (Undoing::new(coding), 0, 0);
            let mut take = |piece: &[u8]| {
                most = most.max(piece.len());
                sum += piece.len();
                if sum > 4 << 20 { Err(ServerError::BodyTooLarge { limit: 4 << 20 }) } else { Ok(()) }
            };
            assert!(matches!(undoing.feed(&body, &mut take), Err(ServerError::BodyTooLarge { .. })));
            assert!(most <= 1 << 20, "{coding:?}: {most} bytes at once");
        }
    }

    #[test]
    fn codings_are_those_of_http() {
        let of = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::CONTENT_ENCODING, header::HeaderValue::from_static(value));
            }
            Coding::of(&headers)
        };
        assert_eq!(of(&[]), Ok(Coding::Identity));
        assert_eq!(of(&["Gzip"]), Ok(Coding::Gzip));
        assert_eq!(of(&["identity, deflate"]), Ok(Coding::Deflate));
        for wrong in [&["br"][..], &["gzip, gzip"], &["gzip", "deflate"], &["gzip;q=1"]] {
            assert_eq!(of(wrong), Err(ServerError::ContentEncoding), "{wrong:?}");
        }
    }
}
