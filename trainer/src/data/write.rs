//! Streaming counterpart of [`crate::files::write_atomic`], for files too large to hold.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use super::error::DataError;

/// Replaces `path` with what `fill` writes: temporary file in the same folder, fsync, rename, fsync of the folder.
///
/// # Errors
/// Any IO error; the old file is then untouched.
pub fn replace(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), DataError> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || -> io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let mut out = BufWriter::new(NamedTempFile::new_in(folder)?);
        fill(&mut out)?;
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|e| e.error)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|e| DataError::io("write", path, e))
}
