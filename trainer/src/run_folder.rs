//! A run on disk: where everything lies, and that two runs never share a folder.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::Context;
use schemas::error::ErrorCode;

use crate::failure::fail;

/// The folder of one run, locked while this value lives.
pub struct RunFolder {
    root: PathBuf,
    _lock: File,
}

impl RunFolder {
    /// Opens a folder for a new run, or, with `resume`, for the run it holds.
    ///
    /// # Errors
    /// When another process uses the folder, when a new run would overwrite one, or when there is nothing to resume.
    pub fn open(root: &Path, resume: bool) -> anyhow::Result<Self> {
        let holds_run = root.join("checkpoints/last/model.safetensors").exists();
        if holds_run && !resume {
            let advice = "already holds a run; continue it with --resume, or choose another --output";
            return Err(fail(ErrorCode::OutputInUse, format!("{} {advice}", root.display())));
        }
        if resume && !root.exists() {
            return Err(fail(ErrorCode::FileNotFound, format!("{} does not exist: nothing to resume", root.display())));
        }
        fs::create_dir_all(root).with_context(|| format!("creating {}", root.display()))?;
        let path = root.join("run.lock");
        let lock = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { root: root.into(), _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                let message = format!("{} is in use by another process; wait for it or stop it", root.display());
                Err(fail(ErrorCode::OutputInUse, message))
            }
            Err(TryLockError::Error(e)) => Err(e).with_context(|| format!("locking {}", path.display())),
        }
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The resolved plan.
    #[must_use]
    pub fn plan(&self) -> PathBuf {
        self.root.join("plan.json")
    }

    /// Data as used, and rejected rows.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// One line per epoch.
    #[must_use]
    pub fn metrics(&self) -> PathBuf {
        self.root.join("metrics.jsonl")
    }

    /// Events as they happened, resumes included; only ever appended to.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.root.join("journal.jsonl")
    }

    /// The best model.
    #[must_use]
    pub fn best(&self) -> PathBuf {
        self.root.join("checkpoints/best")
    }

    /// What a resume needs.
    #[must_use]
    pub fn last(&self) -> PathBuf {
        self.root.join("checkpoints/last")
    }

    /// Model of one epoch, written when `checkpoint_frequency` asks for it.
    #[must_use]
    pub fn epoch(&self, epoch: u32) -> PathBuf {
        self.root.join(format!("checkpoints/epoch-{epoch:04}"))
    }

    /// Pictures and curves.
    #[must_use]
    pub fn report(&self) -> PathBuf {
        self.root.join("report.html")
    }

    /// The numbers behind them.
    #[must_use]
    pub fn report_data(&self) -> PathBuf {
        self.root.join("report.json")
    }

    /// Everything that was logged.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.root.join("run.log")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_used_by_one_run_at_a_time_and_never_overwritten() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("run");
        assert!(RunFolder::open(&root, true).is_err(), "nothing to resume");
        let first = RunFolder::open(&root, false).unwrap();
        let error = RunFolder::open(&root, false).err().unwrap();
        assert!(error.to_string().contains("in use"), "{error}");
        fs::create_dir_all(first.last()).unwrap();
        fs::write(first.last().join("model.safetensors"), "").unwrap();
        drop(first);
        let error = RunFolder::open(&root, false).err().unwrap();
        assert!(error.to_string().contains("--resume"), "{error}");
        assert!(RunFolder::open(&root, true).is_ok());
    }
}
