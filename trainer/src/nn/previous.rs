//! Incremental training: starting from the model of a previous run.

use std::collections::BTreeMap;
use std::path::Path;

use models::weights::LoadReport;
use models::weights::WrongShape;
use schemas::WeightsOrigin;
use schemas::error::ErrorCode;
use tch::Tensor;

use crate::failure::fail;
use crate::nn::checkpoint::{Checkpoint, PRIVATE};
use crate::nn::network::Network;

/// What was taken over.
pub struct Taken {
    /// The run, and the licence that its own weights came under.
    pub origin: WeightsOrigin,
    /// Tensor by tensor.
    pub report: LoadReport,
}

/// Takes over the tensors of a checkpoint that the network has too, in the same shape. The head is taken when the labels are
/// the same in the same order, since a row of it means a label; otherwise it starts anew.
///
/// # Errors
/// When there is no checkpoint, it is of another model, or no tensor fits.
pub fn load(network: &mut Network, place: &Path) -> anyhow::Result<Taken> {
    let checkpoint = Checkpoint::read(place)?;
    let (meta, path) = (&checkpoint.meta, checkpoint.path.display());
    let invalid = |message: String| fail(ErrorCode::InvalidCheckpoint, message);
    if meta.model_name != network.spec.name {
        return Err(invalid(format!(
            "{path} holds a {}; a run of {} starts from one of its own kind: choose another --checkpoint_run, or \
             --model_name {}",
            meta.model_name, network.spec.name, meta.model_name
        )));
    }
    let same_labels = meta.labels == network.labels;
    let tensors = checkpoint.tensors.iter().filter(|(key, _)| !key.starts_with(PRIVATE));
    let mut tensors: BTreeMap<&str, &Tensor> = tensors.map(|(key, tensor)| (key.as_str(), tensor)).collect();
    let entries: Vec<_> = network.params.iter().map(|(key, p)| (key.to_owned(), p.tensor.size())).collect();
    let mut report = LoadReport::default();
    for (key, wanted) in entries {
        match tensors.remove(key.as_str()) {
            _ if network.spec.is_head(&key) && !same_labels => report.new_head.push(key),
            Some(tensor) if tensor.size() == wanted => {
                network.params.set(&key, tensor);
                report.loaded.push(key);
            }
            Some(tensor) => report.wrong_shape.push(WrongShape { key, wanted, found: tensor.size() }),
            None => report.missing.push(key),
        }
    }
    report.unexpected = tensors.into_keys().map(str::to_owned).collect();
    if report.loaded.is_empty() {
        return Err(invalid(format!(
            "{path}: no tensor fits {} with these settings ({report}); choose another --checkpoint_run",
            network.spec.name
        )));
    }
    let before = meta.weights.as_ref();
    let started = before.map_or_else(|| "random weights".to_owned(), |weights| weights.source.clone());
    let origin = WeightsOrigin {
        source: format!("a previous run of {}, epoch {}, which started from {started}", meta.model_name, meta.epoch),
        licence: before.map_or_else(|| "unknown".to_owned(), |weights| weights.licence.clone()),
        sha256: checkpoint.sha256.clone(),
    };
    Ok(Taken { origin, report })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use schemas::{Plan, PlanRequest, Source, Task};
    use tch::Device;

    use super::*;
    use crate::nn::checkpoint;
    use crate::nn::params::{Layout, Params};
    use crate::train::recorder;

    fn network(model: &str, labels: &[&str], seed: u64) -> Network {
        let spec = models::registry::find(model).unwrap();
        Network {
            spec,
            task: Task::ImageClassification,
            labels: labels.iter().map(|&label| label.to_owned()).collect(),
            preprocessing: spec.preprocessing(),
            params: Params::init(
                &spec.manifest(labels.len() as i64, 64).unwrap(),
                seed,
                Device::Cpu,
                Layout::Contiguous,
            ),
        }
    }

    fn plan() -> Plan {
        let mut request = PlanRequest::new();
        for (name, value) in [("task", "image-classification"), ("model_name", "mobilenetv2"), ("training_data", "t")] {
            request.set(name, value, Source::File);
        }
        models::registry::plan(request).unwrap()
    }

    /// A checkpoint of a run that started from licensed weights.
    fn saved(folder: &Path, network: &Network) {
        let weights = WeightsOrigin { source: "Somebody".into(), licence: "MIT".into(), sha256: "00".into() };
        let meta = recorder::template(&plan(), network, Some(weights));
        checkpoint::write_model(&folder.join("model.safetensors"), &network.params, &meta).unwrap();
    }

    fn same(a: &Network, b: &Network, key: &str) -> bool {
        let find = |n: &Network| n.params.iter().find(|(k, _)| *k == key).unwrap().1.tensor.shallow_clone();
        find(a).equal(&find(b))
    }

    const BODY: &str = "features.0.0.weight";
    const HEAD: &str = "classifier.1.weight";

    #[test]
    fn the_head_comes_along_where_its_rows_mean_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let before = network("mobilenetv2", &["a", "b"], 1);
        saved(folder.path(), &before);
        for (labels, head_comes) in [(&["a", "b"][..], true), (&["b", "a"], false), (&["a", "b", "c"], false)] {
            let mut now = network("mobilenetv2", labels, 2);
            let taken = load(&mut now, folder.path()).unwrap();
            assert!(same(&before, &now, BODY), "{labels:?}");
            assert_eq!(taken.report.new_head.is_empty(), head_comes, "{labels:?}");
            assert_eq!(labels.len() == 2 && same(&before, &now, HEAD), head_comes, "{labels:?}");
            assert_eq!(taken.origin.licence, "MIT", "the licence of what it started from goes on");
        }
    }

    #[test]
    fn another_model_and_an_empty_intersection_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        saved(folder.path(), &network("mobilenetv2", &["a", "b"], 1));
        let error = load(&mut network("resnet18", &["a", "b"], 1), folder.path()).err().unwrap().to_string();
        assert!(error.contains("mobilenetv2") && error.contains("resnet18"), "{error}");

        let own = network("mobilenetv2", &["a", "b"], 1);
        let meta = recorder::template(&plan(), &own, None);
        let metadata = HashMap::from([("fovea".to_owned(), serde_json::to_string(&meta).unwrap())]);
        let strange = [("features.0.0.weight".to_owned(), Tensor::from_slice(&[1.0_f32]))];
        checkpoint::write(&folder.path().join("model.safetensors"), &strange, metadata).unwrap();
        let error = load(&mut network("mobilenetv2", &["a", "b"], 1), folder.path()).err().unwrap().to_string();
        assert!(error.contains("no tensor fits") && error.contains("[1] instead of [32, 3, 3, 3]"), "{error}");
    }
}
