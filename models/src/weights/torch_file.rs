//! The two containers of `torch.save`: the zip of PyTorch 1.6 and later, and the stream of pickles before it.
//!
//! Zip: `NAME/data.pkl` is the object, `NAME/data/KEY` the storages, `NAME/byteorder` says `little` or `big`.
//! Stream: pickles of a magic number, the protocol version 1001, facts about the machine, the object, and the list of
//! storage keys; then each storage in that order, its number of elements (64 bits) and the elements.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;

use super::dtype::Dtype;
use super::module_tree::{self, BUDGET, Named};
use super::pickle;
use super::value::{Pickle, Value};
use super::view::{NamedTensor, Strided};
use super::zip;

const LEGACY_MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
const LEGACY_PROTOCOL: i64 = 1001;
const BIG_ENDIAN: &str = "was written on a big-endian machine; load and save it again on a little-endian one";

/// Keys under which training scripts keep the state dict beside other things, in order of preference.
const NESTED: [&str; 7] = ["state_dict", "model_state_dict", "model", "net", "network", "ema", "model_ema"];
/// Dictionaries in dictionaries that are looked into: three, for `{"a": {"b": {"c": ...}}}`.
const DEPTH: usize = 3;

/// The tensors of one dictionary or module of a file.
pub(super) struct Found {
    /// Its name, with those of what is around it, joined by dots; empty for the root.
    pub place: String,
    /// In order.
    pub tensors: Vec<NamedTensor>,
}

/// Every dictionary of a PyTorch file that has tensors, and every whole module, those under the usual names first. The error
/// is a sentence without the file's name.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<Found>, String> {
    let (object, storages) = if bytes.starts_with(b"PK") { read_zip(bytes)? } else { read_stream(bytes)? };
    let of = |(place, named)| Ok(Found { place, tensors: views(named, &storages)? });
    dictionaries(&object)?.into_iter().map(of).collect()
}

fn views(named: Vec<Named>, storages: &BTreeMap<String, Range<usize>>) -> Result<Vec<NamedTensor>, String> {
    let mut tensors = Vec::new();
    for (key, t) in named {
        let storage = storages
            .get(&*t.storage.key)
            .ok_or_else(|| format!("tensor '{key}' refers to storage '{}', which is not in the file", t.storage.key))?;
        let declared = usize::try_from(t.storage.len).ok().and_then(|n| n.checked_mul(t.storage.dtype.size()));
        let range =
            declared.filter(|n| *n <= storage.len()).map(|n| storage.start..storage.start + n).ok_or_else(|| {
                format!(
                    "tensor '{key}' declares {} elements, but its storage has {} bytes",
                    t.storage.len,
                    storage.len()
                )
            })?;
        tensors.push(NamedTensor::view(
            key,
            t.storage.dtype,
            &range,
            Strided { offset: t.offset, shape: t.shape.clone(), strides: &t.strides },
        )?);
    }
    Ok(tensors)
}

type Parts = (Pickle, BTreeMap<String, Range<usize>>);

fn read_zip(bytes: &[u8]) -> Result<Parts, String> {
    let entries = zip::entries(bytes)?;
    if entries.keys().any(|name| name.ends_with("/constants.pkl")) {
        return Err(
            "is a TorchScript archive; save the state dict instead (torch.save(model.state_dict(), ...))".to_owned()
        );
    }
    let (prefix, object) = entries
        .iter()
        .find_map(|(name, range)| {
            Some((name.strip_suffix("data.pkl").filter(|p| p.is_empty() || p.ends_with('/'))?, range))
        })
        .ok_or("is a zip file without data.pkl, so not one that torch.save wrote")?;
    if entries.get(&format!("{prefix}byteorder")).is_some_and(|range| bytes[range.clone()].starts_with(b"big")) {
        return Err(BIG_ENDIAN.to_owned());
    }
    let object = pickle::run(&bytes[object.clone()])?;
    let data = format!("{prefix}data/");
    let storages =
        entries.iter().filter_map(|(name, range)| Some((name.strip_prefix(&data)?.to_owned(), range.clone())));
    Ok((object, storages.collect()))
}

fn read_stream(bytes: &[u8]) -> Result<Parts, String> {
    // PROTO 2, then LONG1 of ten bytes: the only way PyTorch ever wrote the number.
    if bytes.get(2..4) != Some(&[0x8a, 10]) || bytes.get(4..14) != Some(&LEGACY_MAGIC) {
        return Err("is a pickle, but not one that torch.save wrote; save a state dict with torch.save".to_owned());
    }
    let mut at = 0;
    let mut next = || -> Result<Pickle, String> {
        let part = pickle::run(&bytes[at..])?;
        at += part.read;
        Ok(part)
    };
    next()?;
    let protocol = next()?;
    if protocol.values[protocol.root] != Value::Int(LEGACY_PROTOCOL) {
        return Err(format!(
            "has another stream protocol than {LEGACY_PROTOCOL}; load and save it again with a newer PyTorch"
        ));
    }
    let machine = next()?;
    let little = machine.entries(machine.root).into_iter().flatten().find(|(key, _)| *key == "little_endian");
    if little.is_some_and(|(_, id)| machine.values[id] == Value::Bool(false)) {
        return Err(BIG_ENDIAN.to_owned());
    }
    let object = next()?;
    let keys = next()?;
    let storages = stream_storages(bytes, at, &object, &keys)?;
    Ok((object, storages))
}

fn stream_storages(
    bytes: &[u8],
    mut at: usize,
    object: &Pickle,
    keys: &Pickle,
) -> Result<BTreeMap<String, Range<usize>>, String> {
    let mut dtypes: BTreeMap<&str, Dtype> = BTreeMap::new();
    for value in &object.values {
        if let Value::Storage(s) = value {
            dtypes.insert(&s.key, s.dtype);
        }
    }
    let Value::List(ids) = &keys.values[keys.root] else {
        return Err("does not list its storages where it should".to_owned());
    };
    let mut storages = BTreeMap::new();
    for id in ids {
        let Value::Text(key) = &keys.values[*id] else {
            return Err("lists a storage whose key is not text".to_owned());
        };
        let dtype = dtypes.get(&**key).ok_or_else(|| format!("lists storage '{key}', which nothing uses"))?;
        let damaged = || format!("ends inside storage '{key}': the file is truncated; copy or download it again");
        let count: [u8; 8] = bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).ok_or_else(damaged)?;
        let start = at + 8;
        let len = usize::try_from(u64::from_le_bytes(count)).ok().and_then(|n| n.checked_mul(dtype.size()));
        let end = len.and_then(|n| start.checked_add(n)).filter(|end| *end <= bytes.len()).ok_or_else(damaged)?;
        storages.insert(key.to_string(), start..end);
        at = end;
    }
    Ok(storages)
}

/// The dictionaries that hold tensors and the modules, each once: those under the usual names, the root, all others.
fn dictionaries(object: &Pickle) -> Result<Vec<(String, Vec<Named>)>, String> {
    if object.entries(object.root).is_none() {
        return Err("does not hold a dictionary; save a state dict (torch.save(model.state_dict(), ...))".to_owned());
    }
    let (mut found, mut budget) = (Vec::new(), BUDGET);
    let mut seen = BTreeSet::from([object.root]);
    let mut level = vec![(String::new(), object.root)];
    for _ in 0..=DEPTH {
        let mut next = Vec::new();
        for (place, id) in level {
            let tensors = if module_tree::is_module(object, id) {
                module_tree::tensors(object, id, &mut budget)?
            } else {
                let mut tensors = Vec::new();
                for (key, id) in object.entries(id).into_iter().flatten() {
                    module_tree::spend(key.len() + place.len(), &mut budget)?;
                    match &object.values[id] {
                        Value::Tensor(tensor) => tensors.push((key.to_owned(), Rc::clone(tensor))),
                        Value::Dict(_) | Value::Object(_) if seen.insert(id) => next.push((inside(&place, key), id)),
                        _ => {}
                    }
                }
                tensors
            };
            if !tensors.is_empty() {
                found.push((place, tensors));
            }
        }
        level = next;
    }
    found.sort_by_key(|(place, _)| rank(place));
    Ok(found)
}

fn inside(place: &str, key: &str) -> String {
    if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") }
}

fn rank(place: &str) -> usize {
    let outermost = place.split('.').next().unwrap_or_default();
    let known = NESTED.iter().position(|name| *name == outermost);
    known.unwrap_or(NESTED.len() + usize::from(!place.is_empty()))
}
