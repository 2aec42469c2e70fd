//! Thresholds as inputs that every run gives, for providers that know no optional ones.
//!
//! A detector's file declares its thresholds as inputs, and has a value for each: an input with an initializer of the same name
//! may be left out. Without that initializer it is an input like any other, so the model is given to ONNX Runtime without these
//! two, and their values are given with each run that names no others.

use std::io::Cursor;
use std::ops::Range;

use crate::format::{IOU_THRESHOLD, SCORE_THRESHOLD};
use crate::scan::wire::{Value, Wire};

/// Fields of the format (`onnx.proto`): a model's graph, a graph's initializers, and of a tensor its floats, its name and its bytes.
const GRAPH: u64 = 7;
const INITIALIZER: u64 = 5;
const FLOATS: u64 = 4;
const NAME: u64 = 8;
const BYTES: u64 = 9;

/// The thresholds of a file, by the names of their inputs.
pub(crate) type Thresholds = Vec<(&'static str, f32)>;

/// A field of a message: its number, all of it, and what stands after its number and length.
struct Field {
    number: u64,
    all: Range<usize>,
    inside: Range<usize>,
}

/// The model without the initializers of its thresholds, and their values; `None` if it does not have both, or is broken.
pub(crate) fn thresholds(model: &[u8]) -> Option<(Vec<u8>, Thresholds)> {
    let mut found = Thresholds::new();
    let mut written = Vec::with_capacity(model.len());
    for field in fields(model)? {
        if field.number == GRAPH {
            let graph = without(&model[field.inside], &mut found)?;
            number(&mut written, (GRAPH << 3) | 2);
            number(&mut written, graph.len() as u64);
            written.extend(graph);
        } else {
            written.extend(&model[field.all]);
        }
    }
    let has = |name: &str| found.iter().filter(|(found, _)| *found == name).count() == 1;
    (has(SCORE_THRESHOLD) && has(IOU_THRESHOLD)).then_some((written, found))
}

/// The graph without the initializers of thresholds, which are added to `found`.
fn without(graph: &[u8], found: &mut Thresholds) -> Option<Vec<u8>> {
    let mut written = Vec::with_capacity(graph.len());
    for field in fields(graph)? {
        let threshold = if field.number == INITIALIZER { threshold(&graph[field.inside])? } else { None };
        match threshold {
            Some(threshold) => found.push(threshold),
            None => written.extend(&graph[field.all]),
        }
    }
    Some(written)
}

/// The name and the value of a threshold's initializer; `Some(None)` for other tensors.
fn threshold(tensor: &[u8]) -> Option<Option<(&'static str, f32)>> {
    let (mut name, mut value) = (None, None);
    for field in fields(tensor)? {
        let bytes = &tensor[field.inside];
        match field.number {
            NAME => name = [SCORE_THRESHOLD, IOU_THRESHOLD].into_iter().find(|name| name.as_bytes() == bytes),
            // One float is the same four bytes in both.
            FLOATS | BYTES => value = <[u8; 4]>::try_from(bytes).ok().map(f32::from_le_bytes),
            _ => {}
        }
    }
    match name {
        None => Some(None),
        Some(name) => value.map(|value| Some((name, value))),
    }
}

/// The fields of a message; `None` if it is broken.
fn fields(message: &[u8]) -> Option<Vec<Field>> {
    let (mut wire, end) = (Wire::new(Cursor::new(message)), message.len() as u64);
    let at = |wire: &Wire<Cursor<&[u8]>>| usize::try_from(wire.at()).ok();
    let mut all = Vec::new();
    loop {
        let start = at(&wire)?;
        let Some((number, value)) = wire.field(end).ok()? else { return Some(all) };
        let inside = match value {
            Value::Bytes(length) => {
                let inside = at(&wire)?;
                wire.skip(length, end).ok()?;
                inside
            }
            Value::Fixed32 => at(&wire)?.checked_sub(4)?,
            Value::Fixed64 => at(&wire)?.checked_sub(8)?,
            Value::Number(_) => at(&wire)?,
        };
        let stop = at(&wire)?;
        all.push(Field { number, all: start..stop, inside: inside..stop });
    }
}

/// Writes a number as the format has them: seven bits a byte, the lowest first.
fn number(written: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        written.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    written.push(number as u8);
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::scan;

    fn fixture(name: &str) -> Vec<u8> {
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/tests/fixtures").join(name)).unwrap()
    }

    #[test]
    fn the_two_initializers_and_nothing_else_is_taken_out() {
        for name in ["tiny_detector_prepared.onnx", "tiny_detector_whole.onnx", "tiny_masks_whole.onnx"] {
            let model = fixture(name);
            let (written, found) = thresholds(&model).unwrap();
            let mut names: Vec<&str> = found.iter().map(|(name, _)| *name).collect();
            names.sort_unstable();
            assert_eq!(names, [IOU_THRESHOLD, SCORE_THRESHOLD]);
            assert!(found.iter().all(|(_, value)| (0.0..=1.0).contains(value)), "{found:?}");
            scan::bytes(&written).unwrap();
            assert!(written.len() < model.len());
            assert!(thresholds(&written).is_none(), "they are gone");
        }
    }

    #[test]
    fn what_has_no_thresholds_or_is_broken_is_told_apart() {
        assert!(thresholds(&fixture("tiny_prepared.onnx")).is_none());
        let model = fixture("tiny_detector_whole.onnx");
        for length in [0, 1, 7, model.len() / 2, model.len() - 1] {
            assert!(thresholds(&model[..length]).is_none(), "{length} bytes");
        }
        assert!(thresholds(b"no model").is_none());
    }

    #[test]
    fn numbers_are_written_as_they_are_read() {
        for value in [0, 1, 127, 128, 300, 1 << 21, u64::MAX] {
            let mut written = Vec::new();
            number(&mut written, value);
            let end = written.len() as u64;
            assert_eq!(Wire::new(Cursor::new(written)).number(end), Ok(value));
        }
    }
}
