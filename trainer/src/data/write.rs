//! [`crate::files::replace`] with the errors of data.

use std::io::{self, Write};
use std::path::Path;

use super::error::DataError;
use crate::files;

/// Replaces `path` with what `fill` writes.
///
/// # Errors
/// Any IO error; the old file is then untouched.
pub fn replace(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), DataError> {
    files::replace(path, fill).map_err(|e| DataError::io("write", path, e))
}
