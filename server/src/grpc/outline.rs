//! A first look at a request for inference, before anything is made of it: which model it is for, and what it becomes when it is
//! decoded. Without it two bytes of a message could become two hundred.

use std::str;

use prost::{
    DecodeError,
    encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field},
};

use crate::{error::ServerError, v2::bad};

/// Most fields of a request besides its encoded images, those of its tensors and outputs included.
const MOST_FIELDS: u64 = 512;
/// What a byte of a list of numbers, or of a name, becomes at most.
const GROWTH: u64 = 8;

/// What is seen at the first look.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outline<'a> {
    /// Name of the model.
    pub model: &'a str,
    /// Version; empty when none is named.
    pub version: &'a str,
    /// The request's own name for itself.
    pub id: &'a str,
    /// Bytes of what is decoded besides the message itself, of which images are slices.
    pub memory: u64,
    fields: u64,
}

/// A message that is looked into.
#[derive(Clone, Copy)]
enum Level {
    Request,
    Input,
    Output,
    Contents,
}

/// What a field becomes.
enum Part {
    /// A message with parts of its own.
    Inside(Level),
    /// A slice of the message.
    Slice,
    /// Numbers, or a text.
    Values,
}

impl Level {
    fn part(self, field: u32) -> Part {
        match (self, field) {
            (Self::Request, 5) => Part::Inside(Self::Input),
            (Self::Request, 6) => Part::Inside(Self::Output),
            (Self::Input, 5) => Part::Inside(Self::Contents),
            (Self::Request, 7) | (Self::Contents, 8) => Part::Slice,
            (Self::Request | Self::Input | Self::Output | Self::Contents, _) => Part::Values,
        }
    }
}

/// The error of a message that is no message of the protocol.
pub(super) fn broken(error: &DecodeError) -> ServerError {
    ServerError::Request(format!("the message is not what the method takes: {error}"))
}

impl<'a> Outline<'a> {
    /// Looks at the encoded request, which may hold up to `images` images one by one.
    ///
    /// # Errors
    /// What is no such message, or has more fields than any request needs.
    pub(super) fn of(request: &'a [u8], images: u64) -> Result<Self, ServerError> {
        let mut outline = Self::default();
        outline.look(request, Level::Request, images.saturating_add(MOST_FIELDS))?;
        Ok(outline)
    }

    fn look(&mut self, message: &'a [u8], level: Level, most: u64) -> Result<(), ServerError> {
        let mut rest = message;
        while !rest.is_empty() {
            self.fields += 1;
            if self.fields > most {
                return bad(format!("the message has more than {most} fields; numbers stand in packed lists"));
            }
            let (field, content) = next(&mut rest).map_err(|error| broken(&error))?;
            match level.part(field) {
                Part::Inside(level) => self.look(content, level, most)?,
                Part::Slice => {}
                Part::Values => self.memory = self.memory.saturating_add(content.len() as u64 * GROWTH),
            }
            if let Level::Request = level {
                self.keep(field, content)?;
            }
        }
        Ok(())
    }

    fn keep(&mut self, field: u32, content: &'a [u8]) -> Result<(), ServerError> {
        let place = match field {
            1 => &mut self.model,
            2 => &mut self.version,
            3 => &mut self.id,
            _ => return Ok(()),
        };
        match str::from_utf8(content) {
            Ok(text) => *place = text,
            Err(_) => return bad("the names in the message are not UTF-8"),
        }
        Ok(())
    }
}

/// Number and content of the next field, without its length.
fn next<'a>(rest: &mut &'a [u8]) -> Result<(u32, &'a [u8]), DecodeError> {
    let (field, wire) = decode_key(rest)?;
    let whole = *rest;
    if wire == WireType::LengthDelimited {
        let length = usize::try_from(decode_varint(rest)?).unwrap_or(usize::MAX);
        if let Some((content, others)) = rest.split_at_checked(length) {
            *rest = others;
            return Ok((field, content));
        }
        // Says in its own words that the message ends early.
        *rest = whole;
    }
    skip_field(wire, field, rest, DecodeContext::default())?;
    Ok((field, &whole[..whole.len() - rest.len()]))
}

#[cfg(test)]
mod tests {
    use prost::{Message as _, bytes::Bytes};

    use super::{
        super::messages::{InferInputTensor, InferTensorContents, ModelInferRequest},
        *,
    };

    fn request(images: usize) -> ModelInferRequest {
        let contents = InferTensorContents {
            bytes_contents: vec![Bytes::from_static(b"image"); images],
            uint_contents: vec![7; 100],
            ..Default::default()
        };
        let input = InferInputTensor { name: "images".to_owned(), contents: Some(contents), ..Default::default() };
        ModelInferRequest {
            model_name: "m".to_owned(),
            model_version: "1".to_owned(),
            id: "ä".to_owned(),
            inputs: vec![input],
            raw_input_contents: vec![Bytes::from(vec![0; 5000])],
            ..Default::default()
        }
    }

    #[test]
    fn names_are_found_and_images_cost_nothing() {
        let bytes = request(3).encode_to_vec();
        let outline = Outline::of(&bytes, 3).unwrap();
        assert_eq!((outline.model, outline.version, outline.id), ("m", "1", "ä"));
        // The texts, the name of the input, and a hundred numbers.
        assert_eq!(outline.memory, (1 + 1 + 2 + 6 + 100) * GROWTH);
        assert_eq!(outline.fields, 3 + 1 + 1 + 1 + 1 + 1 + 3);
    }

    #[test]
    fn small_messages_that_become_large_are_refused() {
        let inputs = [0x2a, 0].repeat(1_000_000);
        let raws = [0x3a, 0].repeat(1_000_000);
        let parameters = [0x22, 0].repeat(1_000_000);
        for bytes in [inputs, raws, parameters, request(2000).encode_to_vec()] {
            let error = Outline::of(&bytes, 32).unwrap_err();
            assert!(error.to_string().contains("more than 544 fields"), "{error}");
        }
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let good = request(2).encode_to_vec();
        for end in 0..good.len() {
            let _ = Outline::of(&good[..end], 32);
        }
        for (at, flip) in (0..good.len()).flat_map(|at| [1, 4, 0x80, 0xff].map(|flip| (at, flip))) {
            let mut bytes = good.clone();
            bytes[at] ^= flip;
            let _ = Outline::of(&bytes, 32);
        }
        for bytes in [&b"\x2b\x2b\x2b"[..], b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x07", b"\xff"] {
            assert!(Outline::of(bytes, 32).is_err(), "{bytes:?}");
        }
    }
}
