//! Protobuf's wire format, read field by field. What is not asked for is passed over, and nothing is allocated.

use std::io::{BufRead, Seek};

use super::Problem;

/// Most bytes of a number: seven bits each, 64 of them.
const NUMBER_BYTES: u32 = 10;

/// The bytes of a file, or of memory, and how far they have been read.
pub(crate) struct Wire<R> {
    source: R,
    at: u64,
}

/// What stands after a field's number.
#[derive(Clone, Copy)]
pub(crate) enum Value {
    Number(u64),
    /// Four bytes, passed over.
    Fixed32,
    /// Eight bytes, passed over.
    Fixed64,
    /// So many bytes, which come next. They end where the message does, or before.
    Bytes(u64),
}

impl<R: BufRead + Seek> Wire<R> {
    pub fn new(source: R) -> Self {
        Self { source, at: 0 }
    }

    /// Bytes read and passed over.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// The number of the next field of a message that ends there, and its value; `None` at the end.
    pub fn field(&mut self, end: u64) -> Result<Option<(u64, Value)>, Problem> {
        if self.at == end {
            return Ok(None);
        }
        let tag = self.number(end)?;
        let value = match tag & 7 {
            0 => Value::Number(self.number(end)?),
            1 => {
                self.skip(8, end)?;
                Value::Fixed64
            }
            2 => {
                let length = self.number(end)?;
                Value::Bytes(self.fits(length, end)?)
            }
            5 => {
                self.skip(4, end)?;
                Value::Fixed32
            }
            kind => return Err(Problem::Kind { kind }),
        };
        Ok(Some((tag >> 3, value)))
    }

    /// A number, which must end there at the latest.
    pub fn number(&mut self, end: u64) -> Result<u64, Problem> {
        let mut number = 0;
        for place in 0..NUMBER_BYTES {
            self.fits(1, end)?;
            let byte = self.byte()?;
            // Of the tenth byte one bit has room.
            if place + 1 == NUMBER_BYTES && byte > 1 {
                break;
            }
            number |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Problem::Number)
    }

    /// How many numbers the next bytes hold, all of which are read.
    pub fn count_numbers(&mut self, length: u64) -> Result<u64, Problem> {
        let (end, mut count, mut open) = (self.at + length, 0, false);
        while self.at < end {
            let part = self.buffer(end)?;
            count += part.iter().filter(|byte| **byte & 0x80 == 0).count() as u64;
            open = part.last().is_some_and(|last| last & 0x80 != 0);
            let read = part.len();
            self.advance(read);
        }
        if open { Err(Problem::Number) } else { Ok(count) }
    }

    /// The next bytes, as far as there is room for them.
    pub fn text(&mut self, length: u64, room: &mut [u8]) -> Result<usize, Problem> {
        let (end, mut filled) = (self.at + length, 0);
        while self.at < end && filled < room.len() {
            let part = self.buffer(end)?;
            let taken = part.len().min(room.len() - filled);
            room[filled..filled + taken].copy_from_slice(&part[..taken]);
            filled += taken;
            self.advance(taken);
        }
        self.skip(end - self.at, end)?;
        Ok(filled)
    }

    /// Passes over so many bytes of a message that ends there.
    pub fn skip(&mut self, length: u64, end: u64) -> Result<(), Problem> {
        let length = self.fits(length, end)?;
        let step = i64::try_from(length).map_err(|_| Problem::Outside { length, left: end - self.at })?;
        self.source.seek_relative(step).map_err(|error| Problem::Unread { reason: error.to_string() })?;
        self.at += length;
        Ok(())
    }

    /// The length, if so much is left.
    fn fits(&self, length: u64, end: u64) -> Result<u64, Problem> {
        let left = end - self.at;
        if length <= left { Ok(length) } else { Err(Problem::Outside { length, left }) }
    }

    fn byte(&mut self) -> Result<u8, Problem> {
        let byte = *self.buffer(self.at + 1)?.first().ok_or(Problem::Shrunk)?;
        self.advance(1);
        Ok(byte)
    }

    /// Some of the bytes before this end, at least one.
    fn buffer(&mut self, end: u64) -> Result<&[u8], Problem> {
        let left = usize::try_from(end - self.at).unwrap_or(usize::MAX);
        let part = self.source.fill_buf().map_err(|error| Problem::Unread { reason: error.to_string() })?;
        if part.is_empty() { Err(Problem::Shrunk) } else { Ok(&part[..part.len().min(left)]) }
    }

    fn advance(&mut self, read: usize) {
        self.source.consume(read);
        self.at += read as u64;
    }
}
