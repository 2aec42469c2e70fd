//! The input of other people's decoders: a file's bytes, handed out in pieces, with an end to patience.
//!
//! Before each piece it is asked whether the image is still wanted, and how much has been read in all. A decoder that would
//! read the same bytes over and over, or one whose client has gone, gets an error instead and ends.

use std::cell::Cell;
use std::io::{self, BufRead, Read, Seek, SeekFrom};

use zune_core::bytestream::{ZByteIoError, ZByteReaderTrait, ZCursor, ZSeekFrom};

use super::error::DecodeError;
use super::format::Format;
use super::shown::{SMALL_PIECE, is_skipped_png_chunk};

/// Bytes of a piece; inflated a thousandfold they take some 50 milliseconds.
const PIECE: usize = 64 << 10;
/// Reads of a JPEG's data, of four bytes each, after which it is asked again.
const READS: u32 = 16 << 10;

/// Why a decoder was ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Stopped,
    Worn,
}

/// Patience with one decoding.
pub(super) struct Patience<'a> {
    format: Format,
    go_on: &'a dyn Fn() -> bool,
    /// Most bytes to be handed out.
    limit: u64,
    given: Cell<u64>,
    end: Cell<Option<End>>,
}

impl<'a> Patience<'a> {
    /// `go_on` says whether the image is still wanted, `limit` how many bytes the decoder may read in all.
    pub fn new(format: Format, limit: u64, go_on: &'a dyn Fn() -> bool) -> Self {
        Self { format, go_on, limit, given: Cell::new(0), end: Cell::new(None) }
    }

    /// The reason for which a decoder was ended, if it was, instead of what it made of that.
    pub fn reason(&self) -> Option<DecodeError> {
        self.end.get().map(|end| match end {
            End::Stopped => DecodeError::Stopped,
            End::Worn => DecodeError::TooCostly {
                format: self.format,
                what: "bytes to be read, repeatedly",
                value: self.given.get(),
                limit: self.limit,
            },
        })
    }

    /// Whether `more` bytes may be read.
    fn allows(&self, more: usize) -> bool {
        self.given.set(self.given.get() + more as u64);
        if self.end.get().is_none() {
            if self.given.get() > self.limit {
                self.end.set(Some(End::Worn));
            } else if !(self.go_on)() {
                self.end.set(Some(End::Stopped));
            }
        }
        self.end.get().is_none()
    }
}

/// What of a file a decoder gets to see.
#[derive(Clone, Copy)]
pub(super) enum View {
    Everything,
    /// Everything, in [`SMALL_PIECE`]s.
    Strips,
    /// Chunks of a PNG from byte 8 on, without those that [`is_skipped_png_chunk`] names.
    PixelChunks,
}

/// A file for the decoders of `image`.
pub(super) struct Input<'a> {
    bytes: &'a [u8],
    patience: &'a Patience<'a>,
    view: View,
    at: usize,
    /// Up to where bytes may be handed out without asking.
    piece: usize,
    /// End of the chunk, or run, that is being shown.
    run: usize,
}

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8], view: View, patience: &'a Patience<'a>) -> Self {
        let run = match view {
            View::Everything | View::Strips => bytes.len(),
            View::PixelChunks => bytes.len().min(8),
        };
        Self { bytes, patience, view, at: 0, piece: 0, run }
    }

    /// Goes on to the next piece, past what is not shown.
    #[cold]
    fn next_piece(&mut self) -> io::Result<()> {
        while matches!(self.view, View::PixelChunks) && self.at >= self.run && self.at < self.bytes.len() {
            let Some(&[l3, l2, l1, l0, k0, k1, k2, k3]) = self.bytes[self.at..].first_chunk() else {
                self.run = self.bytes.len();
                break;
            };
            let length = u32::from_be_bytes([l3, l2, l1, l0]);
            let end = self.at.saturating_add(length as usize).saturating_add(12).min(self.bytes.len());
            if is_skipped_png_chunk([k0, k1, k2, k3], length) {
                self.at = end;
            } else {
                self.run = end;
            }
        }
        let most = match self.view {
            View::Everything | View::PixelChunks => PIECE,
            View::Strips => SMALL_PIECE,
        };
        let end = self.run.max(self.at.min(self.bytes.len())).min(self.at.saturating_add(most));
        if self.patience.allows(end.saturating_sub(self.at)) {
            self.piece = end;
            Ok(())
        } else {
            Err(io::Error::other("decoding was ended"))
        }
    }
}

impl BufRead for Input<'_> {
    #[inline]
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at >= self.piece {
            self.next_piece()?;
        }
        Ok(self.bytes.get(self.at..self.piece).unwrap_or_default())
    }

    #[inline]
    fn consume(&mut self, n: usize) {
        self.at = (self.at + n).min(self.piece);
    }
}

impl Read for Input<'_> {
    #[inline]
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let piece = self.fill_buf()?;
        let n = piece.len().min(out.len());
        out[..n].copy_from_slice(&piece[..n]);
        self.consume(n);
        Ok(n)
    }
}

impl Seek for Input<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let outside = || io::Error::new(io::ErrorKind::InvalidInput, "a place before the first byte");
        let to = match to {
            SeekFrom::Start(to) => to,
            SeekFrom::End(by) => (self.bytes.len() as u64).checked_add_signed(by).ok_or_else(outside)?,
            SeekFrom::Current(by) => (self.at as u64).checked_add_signed(by).ok_or_else(outside)?,
        };
        let to = usize::try_from(to).map_err(|_| outside())?;
        if to != self.at {
            // What was granted and not used is given back.
            let unused = self.piece.saturating_sub(self.at) as u64;
            self.patience.given.set(self.patience.given.get().saturating_sub(unused));
            (self.at, self.piece) = (to, 0);
        }
        Ok(to as u64)
    }

    fn stream_position(&mut self) -> io::Result<u64> {
        Ok(self.at as u64)
    }
}

/// A file for the JPEG decoder, which has its own idea of a reader and takes four bytes at a time.
pub(super) struct JpegInput<'a> {
    bytes: ZCursor<&'a [u8]>,
    patience: &'a Patience<'a>,
    /// Reads until it is asked whether to go on.
    left: u32,
}

impl<'a> JpegInput<'a> {
    pub fn new(bytes: &'a [u8], patience: &'a Patience<'a>) -> Self {
        Self { bytes: ZCursor::new(bytes), patience, left: READS }
    }

    #[cold]
    fn ask(&mut self) -> Result<(), ZByteIoError> {
        self.left = READS;
        // The decoder reads on after the end, as if there were zeros; that counts as well, against its own limits.
        if self.patience.allows(0) { Ok(()) } else { Err(ZByteIoError::Generic("decoding was ended")) }
    }

    fn is_ended(&self) -> bool {
        self.patience.end.get().is_some()
    }
}

impl ZByteReaderTrait for JpegInput<'_> {
    #[inline(always)]
    fn read_byte_no_error(&mut self) -> u8 {
        self.bytes.read_byte_no_error()
    }

    #[inline(always)]
    fn read_exact_bytes(&mut self, out: &mut [u8]) -> Result<(), ZByteIoError> {
        self.left -= 1;
        if self.left == 0 {
            self.ask()?;
        }
        self.bytes.read_exact_bytes(out)
    }

    fn read_bytes(&mut self, out: &mut [u8]) -> Result<usize, ZByteIoError> {
        self.bytes.read_bytes(out)
    }

    fn peek_bytes(&mut self, out: &mut [u8]) -> Result<usize, ZByteIoError> {
        self.bytes.peek_bytes(out)
    }

    fn peek_exact_bytes(&mut self, out: &mut [u8]) -> Result<(), ZByteIoError> {
        self.bytes.peek_exact_bytes(out)
    }

    fn z_seek(&mut self, to: ZSeekFrom) -> Result<u64, ZByteIoError> {
        self.bytes.z_seek(to)
    }

    #[inline(always)]
    fn is_eof(&mut self) -> Result<bool, ZByteIoError> {
        if self.is_ended() {
            return Err(ZByteIoError::Generic("decoding was ended"));
        }
        self.bytes.is_eof()
    }

    fn z_position(&mut self) -> Result<u64, ZByteIoError> {
        self.bytes.z_position()
    }

    fn read_remaining(&mut self, sink: &mut Vec<u8>) -> Result<usize, ZByteIoError> {
        self.bytes.read_remaining(sink)
    }
}
