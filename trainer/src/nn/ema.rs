//! An exponential moving average of a network's weights (Polyak averaging), as YOLO's recipe keeps it: it follows every
//! parameter and every running statistic, quickly at first and slowly later, and is what is validated and saved.

use std::collections::HashMap;

use tch::Kind;

use crate::nn::network::Network;

/// Prefix of the average's tensors among the private ones of a last checkpoint.
const PREFIX: &str = "average.";

/// The averaged network.
pub struct Ema {
    network: Network,
    decay: f64,
    /// Updates over which the average becomes slow.
    horizon: f64,
}

impl Ema {
    /// An average that begins at the network's present weights. `decay`, in (0, 1), is what it tends to, over so many updates.
    #[must_use]
    pub fn new(network: &Network, decay: f64, updates: u32) -> Self {
        Self { network: network.duplicate(), decay, horizon: f64::from(updates) }
    }

    /// Moves the average towards `network` after its optimizer step number `updates` (from 1): by
    /// `1 - decay * (1 - e^(-updates / horizon))` of the way. Counters are copied.
    pub fn update(&mut self, network: &Network, updates: u64) {
        #[expect(clippy::cast_precision_loss, reason = "updates are far below 2^52")]
        let keep = self.decay * (1.0 - (-(updates as f64) / self.horizon).exp());
        tch::no_grad(|| {
            for ((_, average), (_, now)) in self.network.params.iter().zip(network.params.iter()) {
                let mut average = average.tensor.shallow_clone();
                if average.kind() == Kind::Int64 {
                    average.copy_(&now.tensor);
                } else {
                    let _ = average.lerp_(&now.tensor.detach(), 1.0 - keep);
                }
            }
        });
    }

    /// The average as a network.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Its tensors by name, for a last checkpoint.
    #[must_use]
    pub fn state(&self) -> Vec<(String, tch::Tensor)> {
        self.network.params.iter().map(|(key, p)| (format!("{PREFIX}{key}"), p.tensor.shallow_clone())).collect()
    }

    /// Puts saved tensors back. Names that are missing are returned: the checkpoint is of another run.
    #[must_use]
    pub fn restore(&mut self, saved: &HashMap<String, tch::Tensor>) -> Vec<String> {
        let keys: Vec<String> = self.network.params.iter().map(|(key, _)| key.to_owned()).collect();
        let mut missing = Vec::new();
        for key in keys {
            match saved.get(&format!("{PREFIX}{key}")) {
                Some(value) => self.network.params.set(&key, value),
                None => missing.push(key),
            }
        }
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::params::{Layout, Params};
    use schemas::Task;
    use tch::Device;

    #[test]
    fn the_average_follows_by_the_stated_share_and_survives_a_checkpoint() {
        let spec = models::registry::find("resnet18").unwrap();
        let manifest = spec.manifest(2, 64).unwrap();
        let params = |seed| Params::init(&manifest, seed, Device::Cpu, Layout::Contiguous);
        let network = |seed| Network {
            spec,
            task: Task::ImageClassification,
            labels: vec!["a".into(), "b".into()],
            preprocessing: spec.preprocessing(),
            params: params(seed),
        };
        let (start, end) = (network(1), network(2));
        let mut ema = Ema::new(&start, 0.9, 2000);
        ema.update(&end, 1000);
        let keep = 0.9 * (1.0 - (-0.5f64).exp());
        let value = |n: &Network| n.params.iter().find(|(k, _)| *k == "fc.weight").unwrap().1.tensor.detach();
        let expected = value(&start) * keep + value(&end) * (1.0 - keep);
        assert!((value(ema.network()) - expected).abs().max().double_value(&[]) < 1e-6);
        assert!(!value(&start).equal(&value(ema.network())), "the network itself is not touched");

        let mut restored = Ema::new(&start, 0.9, 2000);
        let saved = ema.state().into_iter().map(|(key, t)| (key, t.copy())).collect();
        assert_eq!(restored.restore(&saved), Vec::<String>::new());
        assert!(value(restored.network()).equal(&value(ema.network())));
        assert!(!restored.restore(&HashMap::new()).is_empty());
    }
}
