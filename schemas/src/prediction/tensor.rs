//! Tensors in JSON: element types, and lists of unknown nesting that are read into flat buffers of a known size.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeSeed, Error, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::limits::MAX_IMAGES;
use crate::setting::choice;

/// Deepest nesting of `data` that is followed; a tensor of images has four levels.
pub const MAX_RANK: usize = 8;

choice! {
    /// Element types of the Open Inference Protocol.
    Datatype {
        /// True or false.
        Bool = "BOOL",
        /// 8 bits, unsigned.
        Uint8 = "UINT8",
        /// 16 bits, unsigned.
        Uint16 = "UINT16",
        /// 32 bits, unsigned.
        Uint32 = "UINT32",
        /// 64 bits, unsigned.
        Uint64 = "UINT64",
        /// 8 bits, signed.
        Int8 = "INT8",
        /// 16 bits, signed.
        Int16 = "INT16",
        /// 32 bits, signed.
        Int32 = "INT32",
        /// 64 bits, signed.
        Int64 = "INT64",
        /// IEEE half precision.
        Fp16 = "FP16",
        /// IEEE single precision.
        Fp32 = "FP32",
        /// IEEE double precision.
        Fp64 = "FP64",
        /// bfloat16.
        Bf16 = "BF16",
        /// Byte strings, such as image files.
        Bytes = "BYTES",
    }
}

/// Why the elements of a tensor cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// More texts than are allowed.
    #[error("there are {given} images, the limit is {limit}")]
    TooMany {
        /// Texts in the list, as far as they were counted.
        given: u64,
        /// Most that are allowed.
        limit: u64,
    },
    /// Other elements than the tensor needs.
    #[error("{0}")]
    Wrong(String),
}

fn wrong<T>(text: String) -> Result<T, DataError> {
    Err(DataError::Wrong(text))
}

/// Elements of an input in row-major order, flat or nested, as they stand in the request. They are read once the shape is
/// known: the text may be long, what is built from it is never larger than what the shape declares.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TensorData<'a>(#[serde(borrow)] &'a RawValue);

impl<'a> TensorData<'a> {
    /// The integers 0 to 255 of a list nested in any way, in reading order; exactly `count` of them.
    ///
    /// # Errors
    /// When there are more or fewer, or when an element is something else.
    pub fn bytes(&self, count: usize) -> Result<Vec<u8>, DataError> {
        let mut flat = Flat { values: Vec::with_capacity(count), count };
        let seed = FlatSeed { flat: &mut flat, depth: 0 };
        let result = seed.deserialize(&mut serde_json::Deserializer::from_str(self.0.get()));
        let given = flat.values.len();
        match result {
            Ok(()) if given == count => Ok(flat.values),
            Ok(()) => wrong(format!("the data hold {given} values, the shape says {count}")),
            Err(_) if given == count => {
                wrong(format!("the data hold more values than the {count} that the shape says"))
            }
            Err(_) => wrong(format!(
                "value {given} of the data is no integer from 0 to 255 (or lists are nested more than {MAX_RANK} deep)"
            )),
        }
    }

    /// Heights and widths in pixels, flat or in pairs.
    ///
    /// # Errors
    /// When it is something else, or more than [`MAX_IMAGES`] pairs.
    pub fn sizes(&self) -> Result<Vec<[i64; 2]>, DataError> {
        if let Ok(AtMost(pairs)) = serde_json::from_str::<AtMost<[i64; 2], MAX_IMAGES>>(self.0.get()) {
            return Ok(pairs);
        }
        let flat = serde_json::from_str::<AtMost<i64, { 2 * MAX_IMAGES }>>(self.0.get()).map(|AtMost(flat)| flat);
        match flat.as_deref().map(<[i64]>::as_chunks::<2>) {
            Ok((pairs, [])) => Ok(pairs.to_vec()),
            Ok(_) | Err(_) => wrong("data of sizes must be a list of heights and widths, whole numbers".to_owned()),
        }
    }

    /// The texts of a list, each of which may stand in a list of its own (a table of one column).
    ///
    /// # Errors
    /// [`DataError::TooMany`] above `limit`; [`DataError::Wrong`] when it is something else.
    pub fn texts(&self, limit: u64) -> Result<Vec<Cow<'a, str>>, DataError> {
        let mut texts = Texts { found: Vec::new(), count: 0, limit };
        let result = serde_json::Deserializer::from_str(self.0.get()).deserialize_seq(TextsVisitor(&mut texts));
        if texts.count > limit {
            return Err(DataError::TooMany { given: texts.count, limit });
        }
        match result {
            Ok(()) => Ok(texts.found),
            Err(_) => wrong("data of images must be a list of base64 strings, one for each image".to_owned()),
        }
    }
}

impl JsonSchema for TensorData<'_> {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("TensorData")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Elements in row-major order, in one list or in lists nested like the shape.",
            "type": "array",
        })
    }
}

/// A list of at most `MOST` elements; a longer one is refused where it becomes too long.
pub(super) struct AtMost<T, const MOST: usize>(pub Vec<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for AtMost<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(AtMostVisitor::<T, MOST>(PhantomData)).map(Self)
    }
}

/// For `deserialize_with`: a list of at most `MOST` elements.
pub(super) fn at_most<'de, D, T, const MOST: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    AtMost::<T, MOST>::deserialize(deserializer).map(|AtMost(list)| list)
}

struct AtMostVisitor<T, const MOST: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for AtMostVisitor<T, MOST> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MOST} elements")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Self::Value, S::Error> {
        let mut found = Vec::new();
        while let Some(element) = list.next_element()? {
            if found.len() == MOST {
                return Err(S::Error::invalid_length(MOST + 1, &self));
            }
            found.push(element);
        }
        Ok(found)
    }
}

/// Texts as they are found; above the limit they are only counted.
struct Texts<'a> {
    found: Vec<Cow<'a, str>>,
    count: u64,
    limit: u64,
}

impl<'a> Texts<'a> {
    fn push(&mut self, text: Cow<'a, str>) {
        self.count += 1;
        if self.count <= self.limit {
            self.found.push(text);
        }
    }
}

struct TextsVisitor<'t, 'a>(&'t mut Texts<'a>);

impl<'a> Visitor<'a> for TextsVisitor<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<S: SeqAccess<'a>>(self, mut list: S) -> Result<(), S::Error> {
        while list.next_element_seed(TextSeed { texts: self.0, nested: false })?.is_some() {}
        Ok(())
    }
}

struct TextSeed<'t, 'a> {
    texts: &'t mut Texts<'a>,
    nested: bool,
}

impl<'a> DeserializeSeed<'a> for TextSeed<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for TextSeed<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, or a list of one string")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'a str) -> Result<(), E> {
        self.texts.push(Cow::Borrowed(text));
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        // Beyond the limit only the number of texts matters.
        let kept = if self.texts.count < self.texts.limit { text } else { "" };
        self.texts.push(Cow::Owned(kept.to_owned()));
        Ok(())
    }

    fn visit_seq<S: SeqAccess<'a>>(self, mut list: S) -> Result<(), S::Error> {
        if self.nested {
            return Err(S::Error::custom("nested too deeply"));
        }
        if list.next_element_seed(TextSeed { texts: self.texts, nested: true })?.is_none() {
            return Err(S::Error::invalid_length(0, &"one string"));
        }
        match list.next_element::<IgnoredAny>()? {
            None => Ok(()),
            Some(_) => Err(S::Error::invalid_length(2, &"one string")),
        }
    }
}

/// Pixels as they are found, at most `count`.
struct Flat {
    values: Vec<u8>,
    count: usize,
}

struct FlatSeed<'f> {
    flat: &'f mut Flat,
    depth: usize,
}

impl<'a> DeserializeSeed<'a> for FlatSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.depth == 0 { deserializer.deserialize_seq(self) } else { deserializer.deserialize_any(self) }
    }
}

impl<'a> Visitor<'a> for FlatSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an integer from 0 to 255, or a list")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        let value = u8::try_from(value).map_err(|_| E::custom("above 255"))?;
        if self.flat.values.len() == self.flat.count {
            return Err(E::custom("too many values"));
        }
        self.flat.values.push(value);
        Ok(())
    }

    fn visit_seq<S: SeqAccess<'a>>(self, mut list: S) -> Result<(), S::Error> {
        if self.depth >= MAX_RANK {
            return Err(S::Error::custom("nested too deeply"));
        }
        while list.next_element_seed(FlatSeed { flat: self.flat, depth: self.depth + 1 })?.is_some() {}
        Ok(())
    }
}
