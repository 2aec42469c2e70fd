//! Bits from the lowest of each byte, as lossless WebP has them.

pub struct Bits {
    pub bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    /// Behind whole bytes.
    pub fn after(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), used: 0 }
    }

    /// The `n` lowest bits of `value`.
    pub fn put(&mut self, value: u32, n: u32) {
        for i in 0..n {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let last = self.bytes.len() - 1;
            self.bytes[last] |= ((value >> i & 1) << (self.used % 8)) as u8;
            self.used += 1;
        }
    }

    /// A prefix code of `n` bits, whose highest comes first.
    pub fn put_code(&mut self, code: u32, n: u32) {
        for i in (0..n).rev() {
            self.put(code >> i & 1, 1);
        }
    }
}
