//! COCO's compressed `counts`: run lengths as text.
//!
//! From the fourth on, a run is written as its difference to the one before the last. A number is written in groups of five
//! bits from the lowest, in two's complement: each group is the character with the code 48 plus the group, plus 32 where more
//! follow. The highest bit of the last group is the sign.

use super::error::MaskError;
use super::rle::Rle;

/// Code of the first character.
const FIRST: u8 = 48;
/// Groups of the longest number: no difference of 32-bit numbers needs more.
const MOST_GROUPS: u32 = 7;

impl Rle {
    /// A mask of `width` x `height` pixels from compressed `counts`.
    ///
    /// # Errors
    /// The size is none, the text is no run lengths, or they do not cover the image exactly.
    pub fn from_text(width: u32, height: u32, text: &str) -> Result<Self, MaskError> {
        let mut numbers = Numbers { bytes: text.as_bytes(), at: 0 };
        let mut runs: Vec<u64> = Vec::new();
        while let Some(number) = numbers.next()? {
            let before = if runs.len() > 2 { runs[runs.len() - 2] } else { 0 };
            let run = before.checked_add_signed(number);
            runs.push(
                run.filter(|run| *run <= u64::from(u32::MAX)).ok_or(MaskError::Text {
                    at: numbers.at,
                    reason: "this run length is no whole number of 32 bits",
                })?,
            );
        }
        Self::new(width, height, runs)
    }

    /// The run lengths as compressed `counts`.
    #[must_use]
    pub fn text(&self) -> String {
        let runs = self.runs();
        let mut text = String::with_capacity(runs.len() * 2);
        for (at, run) in runs.iter().enumerate() {
            let before = if at > 2 { runs[at - 2] } else { 0 };
            let mut rest = i64::from(*run) - i64::from(before);
            loop {
                let group = (rest & 31) as u8;
                rest >>= 5;
                let sign = if group & 16 == 0 { 0 } else { -1 };
                let more = if rest == sign { 0 } else { 32 };
                text.push(char::from(FIRST + group + more));
                if more == 0 {
                    break;
                }
            }
        }
        text
    }
}

/// Reads the numbers of a text.
struct Numbers<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Numbers<'_> {
    fn next(&mut self) -> Result<Option<i64>, MaskError> {
        if self.at == self.bytes.len() {
            return Ok(None);
        }
        let mut number = 0;
        for place in 0..MOST_GROUPS {
            let group = self.group()?;
            number |= i64::from(group & 31) << (5 * place);
            if group & 32 == 0 {
                let sign = if group & 16 == 0 { 0 } else { -1 << (5 * (place + 1)) };
                return Ok(Some(number | sign));
            }
        }
        Err(MaskError::Text { at: self.at, reason: "this number is too long for a run length" })
    }

    fn group(&mut self) -> Result<u8, MaskError> {
        let byte = self.bytes.get(self.at);
        self.at += 1;
        let wrong = |reason| MaskError::Text { at: self.at, reason };
        let byte = byte.ok_or_else(|| wrong("the text ends within a number"))?;
        let group = byte.checked_sub(FIRST).filter(|group| *group < 64);
        group.ok_or_else(|| wrong("no run length has this character; those with the codes 48 to 111 are used"))
    }
}
