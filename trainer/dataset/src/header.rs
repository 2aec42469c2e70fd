//! The header of an image file, read without the rest of it where that is enough.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use models::host::{self, DecodeError, Header, Limits};

/// Bytes read of an image for its header; the whole file where that is not enough.
const HEAD: u64 = 64 << 10;

/// The header of the file at `path`, which has `size` bytes.
///
/// # Errors
/// The file cannot be read; the inner error is why it is no usable image.
pub(crate) fn of_file(path: &Path, size: u64, limits: &Limits) -> io::Result<Result<Header, DecodeError>> {
    let mut file = File::open(path)?;
    let mut head = Vec::with_capacity(size.min(HEAD) as usize);
    file.by_ref().take(HEAD).read_to_end(&mut head)?;
    match host::probe_head(&head, size, limits) {
        Err(_) if size > HEAD => {
            file.take(limits.max_bytes).read_to_end(&mut head)?;
            Ok(host::probe(&head, limits))
        }
        result => Ok(result),
    }
}
