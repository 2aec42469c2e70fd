//! Lossless WebP: how much memory its prefix codes take (RFC 9649, section 3).
//!
//! An image may name up to 65536 groups of five codes, and a code of twelve bytes becomes a table of four kilobytes, so a file of a few
//! megabytes could ask for a gigabyte. How many there are is known only after the small images in front of them are read. They
//! are read here for their length and largest value; no pixel is kept.

/// Most bytes of tables. The common encoder makes at most 2600 groups, which take less than 60 MB.
pub(super) const MOST: u64 = 256 << 20;
/// What a code takes in the decoder besides its table: its two vectors, and its share of the vector of groups as that grows.
const CODE: u64 = 256;
/// Longer codes than this are looked up in a tree.
const TABLE_BITS: usize = 10;
/// Bytes of a tree's node; two for each code.
const NODES: u64 = 2 * 16;
const LONGEST: usize = 15;

const ORDER: [usize; 19] = [17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
/// Symbols of the codes for green (with lengths), red, blue, alpha and distance.
const ALPHABETS: [usize; 5] = [256 + 24, 256, 256, 256, 40];

/// Bytes of the tables of an image chunk's contents, as far as they are sound and at hand.
pub(super) fn tables(contents: &[u8]) -> u64 {
    let mut walk = Walk { bits: Bits { bytes: contents, at: 8 }, tables: 0 };
    let size = walk.bits.read(14).zip(walk.bits.read(14)).map(|(w, h)| (w + 1, h + 1));
    if let Some((width, height)) = size.filter(|_| walk.bits.read(4).is_some()) {
        walk.image(width, height);
    }
    walk.tables
}

/// The same for an alpha chunk's contents, whose size is that of its frame.
pub(super) fn alpha_tables(contents: &[u8], (width, height): (u32, u32)) -> u64 {
    if contents.first().is_none_or(|info| info & 3 != 1) {
        return 0;
    }
    let mut walk = Walk { bits: Bits { bytes: contents, at: 8 }, tables: 0 };
    walk.image(width, height);
    walk.tables
}

/// Bits from the lowest of each byte.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn read(&mut self, n: u32) -> Option<u32> {
        let mut value = 0;
        for i in 0..n {
            value |= u32::from(self.bytes.get(self.at / 8)? >> (self.at % 8) & 1) << i;
            self.at += 1;
        }
        Some(value)
    }
}

/// A canonical prefix code: symbols by length, then by value.
struct Code {
    counts: [u32; LONGEST + 1],
    symbols: Vec<u16>,
}

impl Code {
    fn single(symbol: u16) -> Self {
        Self { counts: [0; LONGEST + 1], symbols: vec![symbol] }
    }

    /// None unless the lengths make a complete code.
    fn new(lengths: &[u8]) -> Option<Self> {
        let mut counts = [0; LONGEST + 1];
        for &length in lengths.iter().filter(|&&length| length > 0) {
            counts[usize::from(length)] += 1;
        }
        let used = |&symbol: &u16| lengths[usize::from(symbol)] > 0;
        let mut symbols: Vec<u16> = (0..lengths.len() as u16).filter(used).collect();
        if symbols.len() < 2 {
            return Some(Self::single(*symbols.first()?));
        }
        symbols.sort_by_key(|&symbol| lengths[usize::from(symbol)]);
        let room: u32 = (1..=LONGEST).map(|length| counts[length] << (LONGEST - length)).sum();
        (room == 1 << LONGEST).then_some(Self { counts, symbols })
    }

    fn is_single(&self) -> bool {
        self.symbols.len() == 1
    }

    fn read(&self, bits: &mut Bits<'_>) -> Option<u16> {
        if self.is_single() {
            return self.symbols.first().copied();
        }
        let (mut code, mut first, mut index) = (0, 0, 0);
        for count in &self.counts[1..] {
            code |= bits.read(1)?;
            if code < first + count {
                return self.symbols.get((index + code - first) as usize).copied();
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        None
    }

    /// Bytes that the decoder makes of it.
    fn size(&self) -> u64 {
        let longest = self.counts.iter().rposition(|&count| count > 0).unwrap_or(0);
        let in_tree: u32 = self.counts.iter().skip(TABLE_BITS + 1).sum();
        CODE + (4 << longest.min(TABLE_BITS)) + NODES * u64::from(in_tree)
    }
}

struct Walk<'a> {
    bits: Bits<'a>,
    tables: u64,
}

impl Walk<'_> {
    /// Transforms, then the codes of the image itself. None where the data end or are damaged, which the decoder will find.
    fn image(&mut self, width: u32, height: u32) -> Option<()> {
        let mut width = width;
        // Each transform can be there once.
        for _ in 0..=4 {
            if self.bits.read(1)? == 0 {
                return self.codes(width, height);
            }
            match self.bits.read(2)? {
                0 | 1 => {
                    let block = 1 << (self.bits.read(3)? + 2);
                    self.small(width.div_ceil(block), height.div_ceil(block))?;
                }
                2 => {}
                _ => {
                    let colours = self.bits.read(8)? + 1;
                    self.small(colours, 1)?;
                    let packed = match colours {
                        ..=2 => 8,
                        3..=4 => 4,
                        5..=16 => 2,
                        _ => 1,
                    };
                    width = width.div_ceil(packed);
                }
            }
        }
        None
    }

    /// The codes of all groups of the main image.
    fn codes(&mut self, width: u32, height: u32) -> Option<()> {
        let cache = self.cache()?;
        let mut groups = 1;
        if self.bits.read(1)? == 1 {
            let block = 1 << (self.bits.read(3)? + 2);
            groups += self.small(width.div_ceil(block), height.div_ceil(block))?;
        }
        for _ in 0..groups {
            self.group(cache)?;
            if self.tables > MOST {
                return None;
            }
        }
        Some(())
    }

    /// Symbols that a colour cache adds.
    fn cache(&mut self) -> Option<usize> {
        if self.bits.read(1)? == 0 { Some(0) } else { Some(1 << self.bits.read(4)?.min(11)) }
    }

    fn group(&mut self, cache: usize) -> Option<[Code; 5]> {
        let mut code = |i: usize| self.code(ALPHABETS[i] + if i == 0 { cache } else { 0 });
        Some([code(0)?, code(1)?, code(2)?, code(3)?, code(4)?])
    }

    fn code(&mut self, alphabet: usize) -> Option<Code> {
        let code = if self.bits.read(1)? == 1 { self.simple_code()? } else { self.coded_code(alphabet)? };
        self.tables += code.size();
        Some(code)
    }

    fn simple_code(&mut self) -> Option<Code> {
        let two = self.bits.read(1)? == 1;
        let bits = if self.bits.read(1)? == 1 { 8 } else { 1 };
        let first = self.bits.read(bits)? as u16;
        if !two {
            return Some(Code::single(first));
        }
        let mut counts = [0; LONGEST + 1];
        counts[1] = 2;
        Some(Code { counts, symbols: vec![first, self.bits.read(8)? as u16] })
    }

    fn coded_code(&mut self, alphabet: usize) -> Option<Code> {
        let mut lengths = [0; ORDER.len()];
        let given = self.bits.read(4)? as usize + 4;
        for &symbol in ORDER.get(..given)? {
            lengths[symbol] = self.bits.read(3)? as u8;
        }
        let code = Code::new(&lengths)?;
        let mut left = alphabet as u32;
        if self.bits.read(1)? == 1 {
            let bits = self.bits.read(3)? * 2 + 2;
            left = self.bits.read(bits)? + 2;
        }
        let mut lengths = Vec::with_capacity(alphabet);
        let mut last = 8;
        while lengths.len() < alphabet && left > 0 {
            left -= 1;
            let (value, times) = match code.read(&mut self.bits)? {
                16 => (last, self.bits.read(2)? + 3),
                17 => (0, self.bits.read(3)? + 3),
                18 => (0, self.bits.read(7)? + 11),
                length => (length as u8, 1),
            };
            if value > 0 {
                last = value;
            }
            lengths.extend(std::iter::repeat_n(value, times as usize));
        }
        if lengths.len() > alphabet {
            return None;
        }
        lengths.resize(alphabet, 0);
        Code::new(&lengths)
    }

    /// Reads through a small image and returns its largest value of red and green as one number. Copies and cached colours
    /// repeat what was read before, so only what is spelled out counts.
    fn small(&mut self, width: u32, height: u32) -> Option<u32> {
        let cache = self.cache()?;
        let [green, red, blue, alpha, distance] = self.group(cache)?;
        let pixels = u64::from(width) * u64::from(height);
        let mut largest = 0;
        let mut done = 0;
        while done < pixels {
            let value = u32::from(green.read(&mut self.bits)?);
            if value < 256 {
                let top = u32::from(red.read(&mut self.bits)?);
                blue.read(&mut self.bits)?;
                alpha.read(&mut self.bits)?;
                largest = largest.max(top << 8 | value);
                if [&green, &red, &blue, &alpha].into_iter().all(Code::is_single) {
                    break; // The other pixels are the same and take no bits.
                }
                done += 1;
            } else if value < 256 + 24 {
                done += u64::from(self.number(value - 256)?);
                let symbol = u32::from(distance.read(&mut self.bits)?);
                self.number(symbol)?;
            } else {
                done += 1;
            }
        }
        Some(largest)
    }

    /// A length or distance: a symbol and, for larger ones, bits.
    fn number(&mut self, symbol: u32) -> Option<u32> {
        // A code of one symbol may name more than there are.
        if symbol >= ALPHABETS[4] as u32 {
            return None;
        }
        if symbol < 4 {
            return Some(symbol + 1);
        }
        let bits = (symbol - 2) >> 1;
        Some(((2 + (symbol & 1)) << bits) + self.bits.read(bits)? + 1)
    }
}
