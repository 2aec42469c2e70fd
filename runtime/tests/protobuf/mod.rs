//! Protobuf's wire format, to write files with that no program would write.

/// A number in base 128, its lowest digits first.
pub fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}
