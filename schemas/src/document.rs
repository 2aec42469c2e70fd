//! The JSON Schemas that Fovea publishes, as the files in the crate's `json` folder.

use schemars::{JsonSchema, Schema, schema_for};

use crate::check::CheckReport;
use crate::dataset::{Rejection, row_schema};
use crate::error::ErrorBody;
use crate::event::{EpochRecord, RunEvent};
use crate::prediction::{
    ClassificationAnswer, DetectionAnswer, ImageRequest, InferRequest, InferResponse, ModelMetadata, ScoreQuery,
    ScoreRequest, ServerMetadata,
};
use crate::{CheckpointMeta, Plan, RegisteredModel, Settings, Task};

/// A published schema.
#[derive(Clone, Debug)]
pub struct Document {
    /// Name of its file, without folder.
    pub file: String,
    /// The schema.
    pub schema: Schema,
}

impl Document {
    fn of<T: JsonSchema>(file: &str) -> Self {
        Self { file: file.to_owned(), schema: schema_for!(T) }
    }

    /// Contents of the file: indented JSON and a line break.
    ///
    /// # Errors
    /// Never in practice; a schema is made of what JSON can hold.
    pub fn text(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(&self.schema)? + "\n")
    }
}

/// Every published schema, in the order of file names within each group.
#[must_use]
pub fn documents() -> Vec<Document> {
    let rows = Task::ALL.map(|task| Document { file: format!("row.{task}.json"), schema: row_schema(task) });
    let others = [
        Document::of::<CheckReport>("check.json"),
        Document::of::<CheckpointMeta>("checkpoint.json"),
        Document::of::<EpochRecord>("epoch.json"),
        Document::of::<ErrorBody>("error.json"),
        Document::of::<RunEvent>("event.json"),
        Document::of::<Plan>("plan.json"),
        Document::of::<RegisteredModel>("registered.json"),
        Document::of::<Rejection>("rejection.json"),
        Document::of::<Vec<ClassificationAnswer<'static>>>("score.classification.json"),
        Document::of::<Vec<DetectionAnswer>>("score.detection.json"),
        Document::of::<ImageRequest<'static>>("score.image.json"),
        Document::of::<ScoreQuery>("score.query.json"),
        Document::of::<ScoreRequest<'static>>("score.request.json"),
        Document::of::<Settings>("settings.json"),
        Document::of::<InferRequest<'static>>("v2.infer.request.json"),
        Document::of::<InferResponse>("v2.infer.response.json"),
        Document::of::<ModelMetadata>("v2.model.json"),
        Document::of::<ServerMetadata>("v2.server.json"),
    ];
    rows.into_iter().chain(others).collect()
}
