//! JSON arrays of unknown nesting, read straight into flat buffers of a known size: the text may be long, what is built from
//! it may not be longer than what the request has declared.

use std::{borrow::Cow, fmt, marker::PhantomData};

use schemas::prediction::MAX_IMAGES;
use serde::{
    Deserialize, Deserializer as _,
    de::{DeserializeSeed, Error, IgnoredAny, SeqAccess, Visitor},
};

use crate::error::ServerError;

/// Deepest nesting that is followed; a tensor of images has four levels.
const DEPTH: usize = 8;

/// A list of at most `MOST` elements; a longer one is refused where it becomes too long.
pub(super) struct AtMost<T, const MOST: usize>(pub Vec<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for AtMost<T, MOST> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Short<T, const MOST: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Short<T, MOST> {
            type Value = AtMost<T, MOST>;

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
                Ok(AtMost(found))
            }
        }
        deserializer.deserialize_seq(Short(PhantomData))
    }
}

/// Heights and widths, flat or in pairs.
///
/// # Errors
/// [`ServerError::Request`] when it is something else.
pub(super) fn sizes(json: &str) -> Result<Vec<[i64; 2]>, ServerError> {
    if let Ok(AtMost(pairs)) = serde_json::from_str::<AtMost<[i64; 2], MAX_IMAGES>>(json) {
        return Ok(pairs);
    }
    let flat = serde_json::from_str::<AtMost<i64, { 2 * MAX_IMAGES }>>(json).map(|AtMost(flat)| flat);
    match flat.as_deref().map(<[i64]>::as_chunks::<2>) {
        Ok((pairs, [])) => Ok(pairs.to_vec()),
        _ => Err(ServerError::Request("data of sizes must be a list of heights and widths, whole numbers".to_owned())),
    }
}

/// The strings of a JSON list, each of which may stand in a list of its own (a table of one column).
///
/// # Errors
/// [`ServerError::TooManyImages`] above `limit`; [`ServerError::Request`] naming `place` when it is something else.
pub(super) fn texts<'a>(json: &'a str, limit: u64, place: &str) -> Result<Vec<Cow<'a, str>>, ServerError> {
    let mut found = Found { texts: Vec::new(), count: 0, limit };
    let result = serde_json::Deserializer::from_str(json).deserialize_seq(ListVisitor(&mut found));
    if found.count > limit {
        return Err(ServerError::TooManyImages { given: found.count, limit });
    }
    result
        .map_err(|_| ServerError::Request(format!("{place} must be a list of base64 strings, one for each image")))?;
    Ok(found.texts)
}

struct Found<'a> {
    texts: Vec<Cow<'a, str>>,
    count: u64,
    limit: u64,
}

impl<'a> Found<'a> {
    fn push(&mut self, text: Cow<'a, str>) {
        self.count += 1;
        if self.count <= self.limit {
            self.texts.push(text);
        }
    }
}

struct ListVisitor<'f, 'a>(&'f mut Found<'a>);

impl<'a> Visitor<'a> for ListVisitor<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<S: SeqAccess<'a>>(self, mut list: S) -> Result<(), S::Error> {
        while list.next_element_seed(CellSeed { found: self.0, nested: false })?.is_some() {}
        Ok(())
    }
}

struct CellSeed<'f, 'a> {
    found: &'f mut Found<'a>,
    nested: bool,
}

impl<'a> DeserializeSeed<'a> for CellSeed<'_, 'a> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for CellSeed<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, or a list of one string")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'a str) -> Result<(), E> {
        self.found.push(Cow::Borrowed(text));
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        // Beyond the limit only the number of texts matters.
        let kept = if self.found.count < self.found.limit { text } else { "" };
        self.found.push(Cow::Owned(kept.to_owned()));
        Ok(())
    }

    fn visit_seq<S: SeqAccess<'a>>(self, mut list: S) -> Result<(), S::Error> {
        if self.nested {
            return Err(S::Error::custom("nested too deeply"));
        }
        if list.next_element_seed(CellSeed { found: self.found, nested: true })?.is_none() {
            return Err(S::Error::invalid_length(0, &"one string"));
        }
        match list.next_element::<IgnoredAny>()? {
            None => Ok(()),
            Some(_) => Err(S::Error::invalid_length(2, &"one string")),
        }
    }
}

/// The integers 0 to 255 of a JSON list nested in any way, in reading order. Exactly `count` of them.
///
/// # Errors
/// [`ServerError::Request`] when there are more or fewer, or when an element is something else.
pub(super) fn bytes(json: &str, count: usize) -> Result<Vec<u8>, ServerError> {
    let mut flat = Flat { values: Vec::with_capacity(count), count };
    let seed = FlatSeed { flat: &mut flat, depth: 0 };
    let result = seed.deserialize(&mut serde_json::Deserializer::from_str(json));
    let given = flat.values.len();
    match result {
        Ok(()) if given == count => Ok(flat.values),
        Ok(()) => Err(ServerError::Request(format!("the data hold {given} values, the shape says {count}"))),
        Err(_) if given == count => {
            Err(ServerError::Request(format!("the data hold more values than the {count} that the shape says")))
        }
        Err(_) => Err(ServerError::Request(format!(
            "value {given} of the data is no integer from 0 to 255 (or lists are nested more than {DEPTH} deep)"
        ))),
    }
}

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

    fn deserialize<D: serde::Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
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
        if self.depth >= DEPTH {
            return Err(S::Error::custom("nested too deeply"));
        }
        while list.next_element_seed(FlatSeed { flat: self.flat, depth: self.depth + 1 })?.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_and_nested_data_are_the_same() {
        for json in ["[1,2,3,4,5,6]", "[[1,2,3],[4,5,6]]", "[ [[1],[2]] , [[3]], 4, [5 , 6]]"] {
            assert_eq!(bytes(json, 6).unwrap(), [1, 2, 3, 4, 5, 6], "{json}");
        }
        assert_eq!(bytes("[]", 0).unwrap(), [0u8; 0]);
    }

    #[test]
    fn wrong_data_are_refused() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        for (json, count) in [
            ("[1,2]", 3),
            ("[1,2,3,4]", 3),
            ("[1,2,256]", 3),
            ("[1,2,-1]", 3),
            ("[1,2,3.0]", 3),
            ("[1,2,1e309]", 3),
            ("[1,2,\"3\"]", 3),
            ("[1,2,null]", 3),
            ("[1,2,{}]", 3),
            ("3", 1),
            ("\"abc\"", 3),
            (deep.as_str(), 1),
        ] {
            let shown = &json[..json.len().min(20)];
            assert!(matches!(bytes(json, count), Err(ServerError::Request(_))), "{shown}");
        }
    }
}
