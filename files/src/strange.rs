//! Looking through a folder for what no command wrote.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::atomic;
use crate::error::OutputError;
use crate::manifest::{FILE, Manifest, is_staging};
use crate::order::{Place, Standing};

/// The first path below a folder that is neither listed with its present contents, nor made by a write under way or killed, nor
/// one that `known` knows (by its path within the folder). Folders count only by what is in them.
///
/// # Errors
/// When the folder cannot be looked through.
pub fn first_strange(
    folder: &Path,
    manifest: &Manifest,
    known: &dyn Fn(&Path) -> bool,
) -> Result<Option<PathBuf>, OutputError> {
    let reads = BTreeSet::new();
    let place = Place { root: folder, manifest, reads: &reads };
    let mut waiting = vec![PathBuf::new()];
    while let Some(within) = waiting.pop() {
        let path = folder.join(&within);
        let failed = |error| OutputError::io("list", &path)(error);
        let entries = fs::read_dir(&path).map_err(failed)?.collect::<io::Result<Vec<_>>>();
        let mut entries = entries.map_err(|error| OutputError::io("list", &path)(error))?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (name, kind) =
                (entry.file_name(), entry.file_type().map_err(OutputError::io("look at", &entry.path()))?);
            let top = within.as_os_str().is_empty();
            let within = within.join(&name);
            let staging = || name.to_str().is_some_and(is_staging);
            if kind.is_dir() {
                if !(top && staging()) {
                    waiting.push(within);
                }
            } else if !(kind.is_file() && (top && name == FILE || atomic::is_temporary(&name) || known(&within)))
                && !matches!(place.standing(&within)?, Standing::Ours(_))
            {
                return Ok(Some(entry.path()));
            }
        }
    }
    Ok(None)
}
