//! Answers recorded beside a checkpoint, against which its exports are verified.

use std::path::Path;

use models::host::{Rgb, thumbnail};
use models::registry::Kind;
use schemas::{CheckpointMeta, Settings};

use super::{classify, detect};
use crate::nn::checkpoint;
use crate::nn::network::Network;
use dataset::Images;

/// Images whose answers are recorded beside each best checkpoint, for the verification of exports.
const EXAMPLES: usize = 5;
/// Recorded images are shrunk to this longer side, so that the file beside the checkpoint stays small.
const EXAMPLE_SIDE: u32 = 640;

/// Writes a model and, beside it, its answers on example images, against which an export is verified. The answers name
/// the model file by its hash, so that a pair torn by a crash is noticed.
///
/// # Errors
/// When a file cannot be written.
pub fn save_with_examples(
    folder: &Path,
    network: &Network,
    meta: &CheckpointMeta,
    examples: &[Rgb],
) -> anyhow::Result<()> {
    let sha256 = checkpoint::write_model(&folder.join("model.safetensors"), &network.params, meta)?;
    save_answers(folder, network, meta, examples, sha256)
}

/// Writes what the network answers on example images beside the model file of this hash. The names of the tensors are the
/// exporter's, which reads them (`exporter::verify`).
///
/// # Errors
/// When the file cannot be written.
pub fn save_answers(
    folder: &Path,
    network: &Network,
    meta: &CheckpointMeta,
    examples: &[Rgb],
    sha256: String,
) -> anyhow::Result<()> {
    let tensors = match network.spec.kind {
        Kind::Classifier(_) => classify::recorded::answers(network, meta.temperature, examples)?,
        Kind::Detector(_) => {
            let settings = Settings::try_from(meta.settings.clone())?;
            detect::recorded::answers(network, &settings, examples)?
        }
    };
    let metadata = [("model_sha256".to_owned(), sha256)].into();
    checkpoint::write(&folder.join(exporter::verify::FILE), &tensors, metadata)?;
    Ok(())
}

/// A few images, spread over the data set, shrunk to a bounded size.
pub fn examples(data: &dyn Images) -> Vec<Rgb> {
    let step = (data.len() / EXAMPLES).max(1);
    (0..data.len())
        .step_by(step)
        .filter_map(|i| data.image(i).ok())
        .take(EXAMPLES)
        .map(|image| thumbnail(&image, EXAMPLE_SIDE))
        .collect()
}
