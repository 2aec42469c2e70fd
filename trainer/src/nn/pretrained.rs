//! Weights to start from: published ones, a file of the user's, or none.

use std::path::{Path, PathBuf};

use anyhow::Context;
use models::registry::SIZES;
use models::weights::published::{self, Found, PUBLISHED, Published, sha256_of};
use models::weights::{self, LoadReport, TensorFile, Values, Wanted, WeightsError};
use schemas::WeightsOrigin;
use schemas::setting::ModelSize;
use tch::Tensor;

use schemas::plan::Pretrained;

use crate::nn::download;
use crate::nn::network::Network;
use crate::progress::Download;
use dataset::offline;

/// Loads what `pretrained` names (`auto`, `none` or a file) into the network, its head anew when the classes differ.
///
/// # Errors
/// When published weights can neither be found nor fetched (the message says what to do), or a file does not fit the
/// network.
pub fn load(network: &mut Network, pretrained: &Pretrained) -> anyhow::Result<Option<(WeightsOrigin, LoadReport)>> {
    match pretrained {
        Pretrained::None => Ok(None),
        Pretrained::Auto => {
            // Nobody has published weights of the others under a licence that lets everybody use them.
            let Some(published) = published::start(network.spec.name) else { return Ok(None) };
            let found = Places::of_machine().obtain(published)?;
            let report = load_file(network, &found.path)?;
            fit_pixels(network, published);
            let (source, licence) = (found.published.source.to_owned(), found.published.licence.to_owned());
            Ok(Some((WeightsOrigin { source, licence, sha256: found.sha256 }, report)))
        }
        Pretrained::File(file) => {
            let path = Path::new(file);
            let sha256 = sha256_of(path)?;
            let report = load_file(network, path)?;
            let published = PUBLISHED.iter().find(|p| sha256.starts_with(p.sha256));
            if let Some(published) = published {
                fit_pixels(network, published);
            }
            Ok(Some((origin(path, published, sha256), report)))
        }
    }
}

/// Where published files are looked for, and where they are fetched from and to.
pub struct Places {
    /// Searched, in order.
    folders: Vec<PathBuf>,
    /// Fetched files go there.
    download: Option<PathBuf>,
    /// A mirror of all published files, in place of their publishers.
    base: Option<String>,
    /// Nothing may be fetched.
    pub offline: bool,
}

impl Places {
    /// As the environment says: `FOVEA_WEIGHTS`, `FOVEA_WEIGHTS_URL` and `FOVEA_OFFLINE`.
    #[must_use]
    pub fn of_machine() -> Self {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            folders: published::folders(),
            download: published::download_folder(),
            base: variable("FOVEA_WEIGHTS_URL"),
            offline: offline::is_asked_for(),
        }
    }

    /// Who published the weights that a model best starts from, once they lie on this machine.
    ///
    /// # Errors
    /// When there are none, or they can neither be found nor fetched.
    pub fn start(&self, model: &str) -> Result<&'static str, WeightsError> {
        let unpublished = || WeightsError::Unpublished { model: model.to_owned() };
        let published = published::start(model).ok_or_else(unpublished)?;
        Ok(self.obtain(published)?.published.source)
    }

    /// The published file: found, or else fetched.
    fn obtain(&self, published: &'static Published) -> Result<Found, WeightsError> {
        match published.locate(&self.folders) {
            Err(WeightsError::NotCached { .. }) => {}
            found => return found,
        }
        let missing = |why: String| published.missing(&self.folders, Some(why));
        if self.offline {
            return Err(missing(format!("{} forbids it", offline::VARIABLE)));
        }
        let address = published.address(self.base.as_deref());
        let address = address.ok_or_else(|| missing("it is not offered as a single file".to_owned()))?;
        let folder = self.download.as_deref();
        let folder =
            folder.ok_or_else(|| missing("neither FOVEA_WEIGHTS nor HOME names a folder for it".to_owned()))?;
        let target = folder.join(published.file);
        let mut progress = Download::start(published.file);
        let wanted = download::Wanted { address: &address, target: &target, sha256: published.sha256 };
        download::fetch(&wanted, &mut |done, total| progress.reach(done, total)).map_err(missing)?;
        published.locate(std::slice::from_ref(&folder.to_owned()))
    }
}

/// The published row of a file that is one, else its name and an unknown licence.
fn origin(path: &Path, published: Option<&Published>, sha256: String) -> WeightsOrigin {
    match published {
        Some(p) => WeightsOrigin { source: p.source.to_owned(), licence: p.licence.to_owned(), sha256 },
        None => {
            let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
            WeightsOrigin { source: name, licence: "unknown".to_owned(), sha256 }
        }
    }
}

/// Changes the first layer of a Vision Transformer that was trained with other pixels, so that it makes of the network's own
/// what it made of those. Of a pixel p, `(p - m') / s'` is `x * s / s' + (m - m') / s'`
/// with `x = (p - m) / s`: a factor and a summand per channel, which a convolution without padding takes exactly.
fn fit_pixels(network: &mut Network, published: &Published) {
    const KEYS: [&str; 2] = ["patch_embed.proj.weight", "patch_embed.proj.bias"];
    let Some((mean, std)) = published.pixels else { return };
    let own = |key: &str| network.params.iter().find(|(k, _)| *k == key).map(|(_, p)| p.tensor.detach().copy());
    let [Some(weight), Some(bias)] = KEYS.map(own) else { return };
    let p = &network.preprocessing;
    let channels = |of: fn(f32, f32, f32, f32) -> f32| {
        let each = std::array::from_fn::<f32, 3, _>(|c| of(p.mean[c], p.std[c], mean[c], std[c]));
        Tensor::from_slice(&each).view([1, 3, 1, 1]).to_device(weight.device())
    };
    let (factor, summand) = (channels(|_, s, _, theirs| s / theirs), channels(|m, _, theirs, s| (m - theirs) / s));
    let shift = (&weight * summand).sum_dim_intlist([1, 2, 3].as_slice(), false, None);
    network.params.set(KEYS[0], &(weight * factor));
    network.params.set(KEYS[1], &(bias + shift));
}

fn load_file(network: &mut Network, path: &Path) -> anyhow::Result<LoadReport> {
    let file = weights::read(path)?;
    let entries: Vec<_> = network.params.iter().map(|(key, p)| (key.to_owned(), p.tensor.size(), p.role)).collect();
    let wanted: Vec<Wanted> = entries
        .iter()
        .map(|(key, shape, role)| Wanted { key, shape, role: *role, head: network.spec.is_head(key) })
        .collect();
    let assignments = weights::load(network.spec.name, &wanted, &file).with_context(|| {
        let other = size_of(network, &file);
        let other = other.map(|size| format!("; it is one of model_size {size}: pass --model_size {size}"));
        format!("{} is no file of {} weights{}", path.display(), network.spec.name, other.unwrap_or_default())
    })?;
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

/// The size of the network's model that a file fits, where it has several.
fn size_of(network: &Network, file: &TensorFile) -> Option<ModelSize> {
    let own = network.spec.size()?;
    SIZES.into_iter().filter(|size| *size != own).find(|size| {
        let manifest = network.spec.sized(*size).manifest(network.classes(), i64::from(network.preprocessing.side()));
        let entries = manifest.map(|manifest| manifest.entries()).unwrap_or_default();
        let wanted: Vec<Wanted> = entries
            .iter()
            .map(|(key, e)| Wanted { key, shape: &e.shape, role: e.role, head: network.spec.is_head(key) })
            .collect();
        !wanted.is_empty() && weights::load(network.spec.name, &wanted, file).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use models::registry::{self, ModelSpec};
    use models::weights::sha256_hex;
    use schemas::Task;
    use tch::Device;

    use super::*;
    use crate::nn::download::tests::{Manner, serve};
    use crate::nn::params::{Layout, Params};

    /// A row of the table for these contents, which no publisher has.
    fn row(contents: &[u8]) -> &'static Published {
        let sha256 = Box::leak(sha256_hex(contents).into_boxed_str());
        let row = published::find("mobilenetv2").unwrap();
        Box::leak(Box::new(Published { file: "test.safetensors", url: None, sha256, ..*row }))
    }

    #[test]
    fn a_first_layer_of_other_pixels_makes_of_ours_what_it_made_of_those() {
        let spec = models::registry::find("vits16r224").unwrap();
        let params = Params::init(&spec.manifest(2, 16).unwrap(), 0, Device::Cpu, Layout::Contiguous);
        let (task, labels) = (Task::ImageClassification, vec!["a".to_owned(), "b".to_owned()]);
        let fit = schemas::Fit::Crop { resize: 16, crop: 16 };
        let ours = schemas::Preprocessing { fit, ..spec.preprocessing() };
        let published = published::find(spec.name).unwrap();
        let (mean, std) = published.pixels.unwrap();
        let theirs = schemas::Preprocessing { mean, std, ..ours.clone() };
        let mut network = Network { spec, task, labels, preprocessing: theirs, params };
        let bytes: Vec<u8> = (0..2 * 16 * 16 * 3).map(|i| u8::try_from(i * 37 % 251).unwrap()).collect();
        let answer = |network: &Network| {
            crate::nn::network::rows(&network.probabilities(&network.images(&bytes, 2, 16, 16), None))
        };
        let before = answer(&network);
        network.preprocessing = ours;
        let unfitted = answer(&network);
        fit_pixels(&mut network, published);
        let apart = |a: &[f32]| a.iter().zip(&before).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(
            apart(&answer(&network)) < 1e-6 && apart(&unfitted) > 1e-4,
            "{} {}",
            apart(&answer(&network)),
            apart(&unfitted)
        );
    }

    fn places(folder: &Path, base: Option<String>) -> Places {
        Places { folders: vec![folder.to_owned()], download: Some(folder.to_owned()), base, offline: false }
    }

    #[test]
    fn what_is_not_here_is_fetched_once() {
        let folder = tempfile::tempdir().unwrap();
        let (address, asked) = serve(vec![5; 1000], Manner::Sound);
        let (row, places) = (row(&[5; 1000]), places(folder.path(), Some(address)));
        let found = places.obtain(row).unwrap();
        assert_eq!(std::fs::read(&found.path).unwrap(), [5; 1000]);
        assert_eq!(found.sha256, row.sha256);
        assert_eq!(places.obtain(row).unwrap(), found);
        assert_eq!(asked.lock().unwrap().len(), 1);
    }

    #[test]
    fn every_way_to_fail_names_the_reason_and_the_three_ways_out() {
        let folder = tempfile::tempdir().unwrap();
        let row = row(&[5; 1000]);
        let (good, asked) = serve(vec![5; 1000], Manner::Sound);
        let offline = Places { offline: true, ..places(folder.path(), Some(good.clone())) };
        let homeless = Places { download: None, ..places(folder.path(), Some(good)) };
        let (other, _) = serve(vec![6; 1000], Manner::Sound);
        let (missing, _) = serve(Vec::new(), Manner::Missing);
        for (places, reason) in [
            (offline, "FOVEA_OFFLINE"),
            (homeless, "FOVEA_WEIGHTS nor HOME"),
            (places(folder.path(), None), "not offered as a single file"),
            (places(folder.path(), Some(other)), "SHA-256"),
            (places(folder.path(), Some(missing)), "404"),
        ] {
            let error = places.obtain(row).unwrap_err().to_string();
            let cache = folder.path().display().to_string();
            for part in [reason, &cache, "test.safetensors", "--pretrained FILE", "--pretrained none"] {
                assert!(error.contains(part), "{part}: {error}");
            }
        }
        assert!(asked.lock().unwrap().is_empty(), "offline means offline");
    }

    fn of(spec: &'static ModelSpec, seed: u64) -> Network {
        Network {
            spec,
            task: spec.tasks()[0],
            labels: vec!["a".into(), "b".into()],
            preprocessing: spec.preprocessing(),
            params: Params::init(&spec.manifest(2, 64).unwrap(), seed, Device::Cpu, Layout::Contiguous),
        }
    }

    /// Writes a network as a file of weights.
    fn written(network: &Network, file: &Path) -> Pretrained {
        let tensors: Vec<_> =
            network.params.iter().map(|(key, p)| (key.to_owned(), p.tensor.shallow_clone())).collect();
        crate::nn::checkpoint::write(file, &tensors, std::collections::HashMap::new()).unwrap();
        Pretrained::File(file.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_classifier_becomes_the_body_of_a_detector_and_the_rest_stays_random() {
        let folder = tempfile::tempdir().unwrap();
        let find = |name: &str| registry::find(name).unwrap();
        for (name, body) in [("fasterrcnn_resnet18_fpn", "resnet18"), ("retinanet_resnet50_fpn", "resnet50")] {
            let (classifier, mut detector, random) = (of(find(body), 1), of(find(name), 2), of(find(name), 2));
            let file = written(&classifier, &folder.path().join(format!("{body}.safetensors")));
            let (_, report) = load(&mut detector, &file).unwrap().unwrap();
            for ((key, now), (_, before)) in detector.params.iter().zip(random.params.iter()) {
                let theirs = key.strip_prefix("backbone.body.").map(|key| {
                    classifier.params.iter().find(|(k, _)| *k == key).map(|(_, p)| p.tensor.shallow_clone()).unwrap()
                });
                let expected = theirs.as_ref().unwrap_or(&before.tensor);
                assert!(now.tensor.equal(expected), "{name}: {key}");
                assert_ne!(report.loaded.iter().any(|k| k == key), report.random.iter().any(|k| k == key), "{key}");
            }
        }
    }

    #[test]
    fn a_file_of_another_size_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let sized = |size| registry::find("yolov5").unwrap().sized(size);
        let file = written(&of(sized(ModelSize::Nano), 1), &folder.path().join("best.safetensors"));
        let error = load(&mut of(sized(ModelSize::Small), 1), &file).err().unwrap().to_string();
        assert!(error.contains("pass --model_size nano"), "{error}");
        assert!(load(&mut of(sized(ModelSize::Nano), 2), &file).unwrap().unwrap().1.fits());
    }

    #[test]
    fn a_fetched_file_becomes_the_weights_of_a_network() {
        let folder = tempfile::tempdir().unwrap();
        let spec = models::registry::find("mobilenetv2").unwrap();
        let network = |seed| Network {
            spec,
            task: Task::ImageClassification,
            labels: vec!["a".into(), "b".into()],
            preprocessing: spec.preprocessing(),
            params: Params::init(&spec.manifest(2, 64).unwrap(), seed, Device::Cpu, Layout::Contiguous),
        };
        let (published, mut own) = (network(1), network(2));
        let tensors: Vec<_> =
            published.params.iter().map(|(key, p)| (key.to_owned(), p.tensor.shallow_clone())).collect();
        let file = folder.path().join("published.safetensors");
        crate::nn::checkpoint::write(&file, &tensors, std::collections::HashMap::new()).unwrap();
        let contents = std::fs::read(&file).unwrap();
        let (address, _) = serve(contents.clone(), Manner::CutAt(5 << 20));
        let found = places(&folder.path().join("cache"), Some(address)).obtain(row(&contents)).unwrap();
        let report = load_file(&mut own, &found.path).unwrap();
        assert!(report.fits() && report.new_head.is_empty());
        for ((key, a), (_, b)) in published.params.iter().zip(own.params.iter()) {
            assert!(a.tensor.equal(&b.tensor), "{key}");
        }
    }
}
