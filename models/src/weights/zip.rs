//! The part of the zip format that `torch.save` writes: stored (uncompressed) entries, with or without zip64.
//!
//! Sizes and offsets come from the central directory (PKWARE APPNOTE 4.3.12, 4.3.14 to 4.3.16), and each is checked
//! against the file before it is used.

use std::collections::BTreeMap;
use std::ops::Range;

const END: &[u8] = b"PK\x05\x06";
const END64_LOCATOR: &[u8] = b"PK\x06\x07";
const END64: &[u8] = b"PK\x06\x06";
const CENTRAL: &[u8] = b"PK\x01\x02";
const LOCAL: &[u8] = b"PK\x03\x04";
const DAMAGED: &str = "is a damaged or truncated zip file; copy or download it again";

fn number(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let slice = bytes.get(at..at.checked_add(width)?)?;
    Some(slice.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b)))
}

fn index(bytes: &[u8], at: usize, width: usize) -> Option<usize> {
    usize::try_from(number(bytes, at, width)?).ok()
}

/// Byte ranges of the entries' contents, by name.
pub(super) fn entries(bytes: &[u8]) -> Result<BTreeMap<String, Range<usize>>, String> {
    let (mut at, count) = directory(bytes).ok_or(DAMAGED)?;
    let mut found = BTreeMap::new();
    for _ in 0..count {
        let (name, entry, next) = central(bytes, at).ok_or(DAMAGED)?;
        at = next;
        let range = entry.map_err(|e| format!("entry '{}' {e}", name.escape_debug()))?;
        found.insert(name, range);
    }
    Ok(found)
}

/// Start of the central directory and the number of its entries.
fn directory(bytes: &[u8]) -> Option<(usize, usize)> {
    // The end record is 22 bytes and a comment of at most 65535.
    let lowest = bytes.len().saturating_sub(22 + 65_535);
    let end = (lowest..=bytes.len().checked_sub(22)?).rev().find(|at| bytes[*at..].starts_with(END))?;
    let (mut count, mut start) = (index(bytes, end + 10, 2)?, index(bytes, end + 16, 4)?);
    if count == 0xffff || start == 0xffff_ffff {
        let locator = end.checked_sub(20)?;
        let end64 = index(bytes, locator + 8, 8)?;
        if !bytes.get(locator..)?.starts_with(END64_LOCATOR) || !bytes.get(end64..)?.starts_with(END64) {
            return None;
        }
        (count, start) = (index(bytes, end64.checked_add(32)?, 8)?, index(bytes, end64.checked_add(48)?, 8)?);
    }
    // 46 bytes is the least that an entry takes.
    (count <= bytes.len() / 46).then_some((start, count))
}

type Entry = (String, Result<Range<usize>, String>, usize);

/// One entry of the central directory: name, contents, and where the next entry starts.
fn central(bytes: &[u8], at: usize) -> Option<Entry> {
    if !bytes.get(at..)?.starts_with(CENTRAL) {
        return None;
    }
    let flags = number(bytes, at + 8, 2)?;
    let method = number(bytes, at + 10, 2)?;
    let (mut packed, mut size) = (number(bytes, at + 20, 4)?, number(bytes, at + 24, 4)?);
    let (name_len, extra_len, comment_len) =
        (index(bytes, at + 28, 2)?, index(bytes, at + 30, 2)?, index(bytes, at + 32, 2)?);
    let mut local = number(bytes, at + 42, 4)?;
    let name = std::str::from_utf8(bytes.get(at + 46..at + 46 + name_len)?).ok()?.to_owned();
    let mut extra = bytes.get(at + 46 + name_len..at + 46 + name_len + extra_len)?;
    let next = at + 46 + name_len + extra_len + comment_len;
    // Zip64 extra field (id 1): 8 bytes for each of the three that did not fit, in this order.
    while extra.len() >= 4 {
        let (id, len) = (number(extra, 0, 2)?, index(extra, 2, 2)?);
        let body = extra.get(4..4 + len)?;
        if id == 1 {
            let mut wide = body.chunks_exact(8).map(|c| number(c, 0, 8));
            for field in [&mut size, &mut packed, &mut local] {
                if *field == 0xffff_ffff {
                    *field = wide.next()??;
                }
            }
        }
        extra = &extra[4 + len..];
    }
    if method != 0 || flags & 1 != 0 || packed != size {
        let why = "is compressed or encrypted, which torch.save never does; unpack it and save the state dict again";
        return Some((name, Err(why.to_owned()), next));
    }
    Some((name, contents(bytes, local, size).ok_or_else(|| DAMAGED.to_owned()), next))
}

fn contents(bytes: &[u8], local: u64, size: u64) -> Option<Range<usize>> {
    let local = usize::try_from(local).ok()?;
    if !bytes.get(local..)?.starts_with(LOCAL) {
        return None;
    }
    let start = local + 30 + index(bytes, local + 26, 2)? + index(bytes, local + 28, 2)?;
    let end = start.checked_add(usize::try_from(size).ok()?)?;
    (end <= bytes.len()).then_some(start..end)
}
