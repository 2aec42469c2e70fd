//! Elements of a tensor in JSON.

use std::borrow::Cow;
use std::fmt;

use schemars::JsonSchema;
use serde::de::{DeserializeSeed, Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::setting::choice;

/// Deepest nesting of `data`, and most dimensions of a shape.
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

/// Elements of an input in row-major order, whether they were written flat or nested. Held in the narrowest form that
/// holds them all, so that a body of pixels costs one byte each. Empty data is `Uint8`.
#[derive(Clone, Debug, PartialEq)]
pub enum TensorData {
    /// Whole numbers in `0..=255`.
    Uint8(Vec<u8>),
    /// Other numbers.
    Number(Vec<f64>),
    /// Texts.
    Text(Vec<String>),
}

impl TensorData {
    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Uint8(items) => items.len(),
            Self::Number(items) => items.len(),
            Self::Text(items) => items.len(),
        }
    }

    /// True when there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn push_number(&mut self, number: f64) -> Result<(), &'static str> {
        match self {
            Self::Uint8(items) => {
                if number.fract() == 0.0 && (0.0..=255.0).contains(&number) {
                    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, in 0..=255")]
                    items.push(number as u8);
                } else {
                    let mut wide: Vec<f64> = items.iter().copied().map(f64::from).collect();
                    wide.push(number);
                    *self = Self::Number(wide);
                }
            }
            Self::Number(items) => items.push(number),
            Self::Text(_) => return Err("data mixes texts and numbers"),
        }
        Ok(())
    }

    fn push_text(&mut self, text: String) -> Result<(), &'static str> {
        match self {
            Self::Text(items) => items.push(text),
            Self::Uint8(items) if items.is_empty() => *self = Self::Text(vec![text]),
            Self::Uint8(_) | Self::Number(_) => return Err("data mixes texts and numbers"),
        }
        Ok(())
    }
}

/// Reads one value, a list or an element, into `into`.
struct Item<'a> {
    into: &'a mut TensorData,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Item<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Item<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("numbers or texts, in a list or in nested lists")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if self.depth == MAX_RANK {
            return Err(A::Error::custom(format!("data is nested deeper than {MAX_RANK} lists")));
        }
        while seq.next_element_seed(Item { into: self.into, depth: self.depth + 1 })?.is_some() {}
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        #[expect(clippy::cast_precision_loss, reason = "documented: numbers are read as f64")]
        self.visit_f64(number as f64)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        #[expect(clippy::cast_precision_loss, reason = "documented: numbers are read as f64")]
        self.visit_f64(number as f64)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        if self.depth == 0 {
            return Err(E::custom("data must be a list"));
        }
        self.into.push_number(number).map_err(E::custom)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        if self.depth == 0 {
            return Err(E::custom("data must be a list"));
        }
        self.into.push_text(text.to_owned()).map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for TensorData {
    /// Numbers are read as doubles; whole numbers beyond 2^53 lose their last digits.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut data = Self::Uint8(Vec::new());
        Item { into: &mut data, depth: 0 }.deserialize(deserializer)?;
        Ok(data)
    }
}

impl Serialize for TensorData {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Uint8(items) => serializer.collect_seq(items),
            Self::Number(items) => items.serialize(serializer),
            Self::Text(items) => items.serialize(serializer),
        }
    }
}

impl JsonSchema for TensorData {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("TensorData")
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "Elements in row-major order: all numbers or all texts, in one list or in lists nested like the shape.",
            "type": "array",
            "items": { "type": ["number", "string", "array"] },
        })
    }
}
