//! Replacing a file of ours so that a reader sees the old one or the new one, never half of one. Whether a file is ours is
//! the caller's to know: it lies in a folder that belongs to a program, such as a run or a cache.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// How the names of temporary files begin; nothing else is named so. (Six letters or digits follow.)
const PREFIX: &str = ".tmp-fovea-";
/// The same of the record's, which are written under its lock whatever else goes on in the folder.
pub(crate) const RECORD_PREFIX: &str = ".tmp-fovea-written-";

/// Replaces `path` with `bytes`, as [`replace`] does.
///
/// # Errors
/// Any IO error; the old file is then untouched.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(path, |out| out.write_all(bytes))
}

/// Replaces `path` with what `fill` writes: temporary file in the same folder, fsync, rename, fsync of the folder.
///
/// # Errors
/// Any IO error; the old file is then untouched.
pub fn replace(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    replace_by(PREFIX, path, fill)
}

pub(crate) fn replace_by(
    prefix: &str,
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix);
    // A temporary file is private by default; a result is as readable as any file its owner makes.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut out = BufWriter::new(builder.tempfile_in(folder)?);
    fill(&mut out)?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    File::open(folder)?.sync_all()
}

/// Gives a file that is complete the name it was made for, where nothing has that name.
///
/// # Errors
/// Any IO error, [`io::ErrorKind::AlreadyExists`] where something has it; the file then keeps the name that it had.
pub fn give_name(made: &Path, path: &Path) -> io::Result<()> {
    let named = tempfile::TempPath::try_from_path(made)?.persist_noclobber(path);
    named.map_err(|failed| {
        // Dropped, it would be removed.
        let kept = failed.path.keep();
        kept.err().map_or(failed.error, |kept| kept.error)
    })?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Whether a file name is that of a temporary file of [`replace`], or of a record.
#[must_use]
pub fn is_temporary(name: &OsStr) -> bool {
    is_drawn(PREFIX, name) || is_drawn(RECORD_PREFIX, name)
}

/// Whether a name is `prefix` and six random letters or digits.
pub(crate) fn is_drawn(prefix: &str, name: &OsStr) -> bool {
    let rest = name.to_str().and_then(|name| name.strip_prefix(prefix));
    rest.is_some_and(|rest| rest.len() == 6 && rest.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// Removes the temporary files that killed writes left in `folder`, which no program may be writing to now. A folder that is
/// not there has none.
///
/// # Errors
/// Any other IO error.
pub fn sweep(folder: &Path) -> io::Result<()> {
    sweep_of(folder, is_temporary)
}

pub(crate) fn sweep_of(folder: &Path, is_ours: impl Fn(&OsStr) -> bool) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        if is_ours(&entry.file_name()) && entry.file_type()?.is_file() {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/file.txt");
        write_atomic(&path, b"one").unwrap();
        write_atomic(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_name_that_is_taken_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let [made, path] = ["made", "path"].map(|name| folder.path().join(name));
        fs::write(&made, "new").unwrap();
        fs::write(&path, "old").unwrap();
        assert_eq!(give_name(&made, &path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!((fs::read(&made).unwrap(), fs::read(&path).unwrap()), (b"new".to_vec(), b"old".to_vec()));
        fs::remove_file(&path).unwrap();
        give_name(&made, &path).unwrap();
        assert_eq!((made.exists(), fs::read(&path).unwrap()), (false, b"new".to_vec()));
    }

    #[test]
    fn only_what_a_killed_write_left_is_swept() {
        let folder = tempfile::tempdir().unwrap();
        let names = [".tmp-fovea-aB3xYz", ".tmp-fovea-notes-of-mine", ".tmpAbCdEf", "plan.json"];
        for name in names {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        sweep(folder.path()).unwrap();
        sweep(&folder.path().join("nowhere")).unwrap();
        let left: Vec<bool> = names.iter().map(|name| folder.path().join(name).exists()).collect();
        assert_eq!(left, [false, true, true, true]);
    }
}
