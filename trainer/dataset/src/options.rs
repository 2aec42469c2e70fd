//! How data is read and checked, whatever it is for.

use std::path::PathBuf;

use models::host::Limits;
use schemas::Task;

/// How data is read and checked, whatever it is for.
#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// What rows say: one class, any number of classes, or objects.
    pub task: Task,
    /// Local folder that stands for the cloud storage in `azureml://` and `AmlDatastore://` paths.
    pub data_root: Option<PathBuf>,
    /// Leave bad rows out and list them (true), or fail on the first one (false).
    pub ignore_data_errors: bool,
    /// What one image may cost.
    pub limits: Limits,
    /// Bytes of images that may be kept in memory; see [`default_cache_bytes`].
    pub cache_bytes: u64,
    /// Folder in which decoded images are kept for other runs, up to `cache_bytes` in all.
    pub kept_folder: Option<PathBuf>,
    /// Threads that check images, at least 1.
    pub threads: usize,
    /// Folder that fetched images are kept in, made when the first is fetched; without it a temporary one, likewise.
    pub fetch_folder: Option<PathBuf>,
    /// The rows of a run that goes on, and whether their images were all decoded when it began: none is removed, because
    /// the order of every epoch depends on their number.
    pub resumed: Option<bool>,
}

impl ReadOptions {
    /// Bad rows are left out and listed, images cost at most the default, nothing is kept in memory, no run goes on.
    pub fn new(task: Task, threads: usize) -> Self {
        Self {
            task,
            data_root: None,
            ignore_data_errors: true,
            limits: Limits::default(),
            cache_bytes: 0,
            kept_folder: None,
            threads,
            fetch_folder: None,
            resumed: None,
        }
    }
}
