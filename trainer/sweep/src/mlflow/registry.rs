//! Registered models.

use serde_json::{Value, json};

use super::http::Repeat;
use super::limits::{LONGEST_TAG, clean_name, cut};
use super::{MlflowError, Run, Server, artifacts};

/// A version to be made.
#[derive(Clone, Debug)]
pub struct NewVersion<'a> {
    /// Name of the registered model, which is made where there is none. No slash, no colon.
    pub name: &'a str,
    /// The run's artifact that is the model folder (`model`).
    pub artifact: &'a str,
    /// For people; may be empty.
    pub description: &'a str,
    /// For programs.
    pub tags: &'a [(String, String)],
}

/// A version that was made; `models:/NAME/VERSION` for MLflow's own programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelVersion {
    /// Of the registered model.
    pub name: String,
    /// Counts from 1.
    pub version: String,
}

impl Server {
    /// Registers a model folder among a run's artifacts as the next version of a model.
    ///
    /// A request whose answer is lost may have made a version, and is not repeated.
    ///
    /// # Errors
    /// A name that MLflow does not take, a refusal, or no server.
    pub fn register(&self, run: &Run, new: &NewVersion) -> Result<ModelVersion, MlflowError> {
        let refused = |why| Err(MlflowError::Name { what: "registered model", name: new.name.to_owned(), why });
        if new.name.trim().is_empty() {
            return refused("it is empty");
        }
        if new.name.contains(['/', ':']) || matches!(new.name, "." | "..") {
            return refused("MLflow takes no name with a slash or a colon, and neither . nor ..");
        }
        artifacts::checked(new.artifact)?;
        let what = format!("create the registered model `{}`", new.name);
        match self.post(&what, "registered-models/create", &json!({ "name": new.name }), Repeat::Harmless) {
            Ok(_) => {}
            Err(error) if error.is_refusal("RESOURCE_ALREADY_EXISTS") => {}
            Err(error) => return Err(error),
        }
        let what = format!("create a version of the registered model `{}`", new.name);
        let tags: Vec<Value> = new
            .tags
            .iter()
            .map(|(name, value)| json!({ "key": clean_name(name), "value": cut(value, LONGEST_TAG) }))
            .collect();
        let body = json!({
            "name": new.name,
            "source": format!("{}/{}", run.artifact_uri.trim_end_matches('/'), new.artifact),
            "run_id": run.id,
            "description": new.description,
            "tags": tags,
        });
        let answer = self.post(&what, "model-versions/create", &body, Repeat::Unsent)?;
        let version = self.text(&what, &answer, "/model_version/version")?;
        Ok(ModelVersion { name: new.name.to_owned(), version })
    }
}
