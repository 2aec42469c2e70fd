//! Opening a model's file: it is the one that was registered, it answers, and it has workers; or the reason why not.

use std::{fs, path::Path};

use files::digest;
use schemas::{error::chain, registered::RegisteredModel};
use thiserror::Error;

use crate::{
    backend::{Id, ServedModel, Workers},
    config::Config,
    providers::{Providers, Source},
    settings::ModelSettings,
};

/// Why a version is not served. The texts are for clients, and name no place on this machine; what they leave out is the source.
#[derive(Debug, Error)]
pub enum LoadError {
    /// Nothing of that name and version is there.
    #[error("no file of it is there")]
    Missing,
    /// A file of it cannot be read.
    #[error("a file of it cannot be read; the server's log says why")]
    Unreadable(#[source] anyhow::Error),
    /// The file is not what its description says.
    #[error("its file is not the one that was registered: {0}")]
    Changed(&'static str),
    /// ONNX Runtime cannot run it, or its answers are no answers.
    #[error("its file cannot be served; the server's log says why")]
    Unusable(#[source] anyhow::Error),
    /// The same files have been refused before.
    #[error("its files are those that could not be served before")]
    AsBefore,
}

impl LoadError {
    /// The same for the operator, with its causes.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Unusable(why) | Self::Unreadable(why) => chain(why.as_ref()),
            Self::Missing | Self::Changed(_) | Self::AsBefore => self.to_string(),
        }
    }
}

/// What every model is opened with.
#[derive(Clone, Debug)]
pub struct Loader {
    workers: Workers,
    options: runtime::Options,
    providers: Providers,
    settings: ModelSettings,
}

impl Loader {
    /// Opens models as the operator wants them.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let count = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let (queue, batch) = (count(config.limits.queue), count(config.limits.max_batch));
        Self {
            workers: Workers { count: config.workers, queue, batch, longest: config.limits.run_time() },
            options: runtime::Options { intra_threads: config.threads, library: config.library.clone() },
            providers: config.providers.clone(),
            settings: config.settings.clone(),
        }
    }

    /// Opens a file, which has to be the `registered` one where it was registered, and starts its workers.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn open(&self, id: &Id, path: &Path, registered: Option<&RegisteredModel>) -> Result<ServedModel, LoadError> {
        if let Some(registered) = registered {
            check(path, registered)?;
        }
        let wanted = self.providers.of(&id.name, self.workers.batch);
        let source = Source { path: path.to_owned(), options: self.options.clone(), wanted };
        let chosen = self.settings.of(&id.name);
        let model = ServedModel::open(id, source, self.workers, &chosen).map_err(LoadError::Unusable)?;
        let about = &model.description;
        tracing::info!(model = %id, form = %about.form, labels = about.meta.labels.len(), provider = %about.running,
            settings = %about.overrides, "model opened");
        Ok(model)
    }
}

/// Whether a file is what was registered. One that is still being copied is not.
fn check(path: &Path, registered: &RegisteredModel) -> Result<(), LoadError> {
    let unreadable = |error: std::io::Error| LoadError::Unreadable(error.into());
    if fs::metadata(path).map_err(unreadable)?.len() != registered.bytes {
        return Err(LoadError::Changed("it has another size"));
    }
    if digest::of_file(path).map_err(unreadable)? != registered.sha256 {
        return Err(LoadError::Changed("it has another SHA-256"));
    }
    Ok(())
}
