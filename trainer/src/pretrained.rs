//! Weights to start from: published ones, a file of the user's, or none.

use std::path::Path;

use anyhow::Context;
use models::weights::published::{PUBLISHED, sha256_of};
use models::weights::{self, LoadReport, Values, Wanted};
use schemas::WeightsOrigin;
use tch::Tensor;

use crate::network::Network;

/// Loads what `pretrained` names (`auto`, `none` or a file) into the network, its head anew when the classes differ.
///
/// # Errors
/// When `auto` finds no published weights (the message says what to do), or a file does not fit the network.
pub fn load(network: &mut Network, pretrained: &str) -> anyhow::Result<Option<(WeightsOrigin, LoadReport)>> {
    match pretrained {
        "none" => Ok(None),
        // Nobody has published weights of it under a licence that lets everybody use them.
        "auto" if !PUBLISHED.iter().any(|p| p.model == network.spec.name) => Ok(None),
        "auto" => {
            let found = weights::locate(network.spec.name)?;
            let report = load_file(network, &found.path)?;
            let (source, licence) = (found.published.source.to_owned(), found.published.licence.to_owned());
            Ok(Some((WeightsOrigin { source, licence, sha256: found.sha256 }, report)))
        }
        file => {
            let path = Path::new(file);
            let sha256 = sha256_of(path)?;
            let report = load_file(network, path)?;
            Ok(Some((origin(path, sha256), report)))
        }
    }
}

/// The published row of a file that is one, else its name and an unknown licence.
fn origin(path: &Path, sha256: String) -> WeightsOrigin {
    match PUBLISHED.iter().find(|p| sha256.starts_with(p.sha256)) {
        Some(p) => WeightsOrigin { source: p.source.to_owned(), licence: p.licence.to_owned(), sha256 },
        None => {
            let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
            WeightsOrigin { source: name, licence: "unknown".to_owned(), sha256 }
        }
    }
}

fn load_file(network: &mut Network, path: &Path) -> anyhow::Result<LoadReport> {
    let file = weights::read(path)?;
    let head = format!("{}.", network.spec.head());
    let entries: Vec<_> = network.params.iter().map(|(key, p)| (key.to_owned(), p.tensor.size(), p.role)).collect();
    let wanted: Vec<Wanted> = entries
        .iter()
        .map(|(key, shape, role)| Wanted { key, shape, role: *role, head: key.starts_with(&head) })
        .collect();
    let assignments = weights::load(network.spec.name, &wanted, &file)
        .with_context(|| format!("{} is no file of {} weights", path.display(), network.spec.name))?;
    for (key, values) in assignments.iter() {
        let flat = match values {
            Values::F32(values) => Tensor::from_slice(&values),
            Values::I64(values) => Tensor::from_slice(&values),
        };
        let shape = entries.iter().find(|(k, ..)| k == key).map(|(_, shape, _)| shape.clone()).unwrap_or_default();
        network.params.set(key, &flat.reshape(shape));
    }
    Ok(assignments.report.clone())
}
