//! Loss scaling for fp16 (Micikevicius et al., "Mixed Precision Training", ICLR 2018, section 3.2), with a scale that follows the
//! gradients, as PyTorch's `GradScaler` has it by default.
//!
//! Small gradients vanish in 16 bits, so those of a larger loss are computed and divided again. Where one of them overflows, the
//! update is left out and the scale halved; after many updates without that it is doubled. All of it happens on the device:
//! nothing waits for whether an update was left out.

use std::collections::HashMap;

use bridge::{BridgeError, Skip};
use tch::{Device, Kind, Tensor};

/// The first scale.
const START: f64 = 65_536.0;
/// What the scale is multiplied by after [`INTERVAL`] updates in a row, none of which was left out.
const GROWTH: f64 = 2.0;
/// What it is multiplied by when one is.
const BACKOFF: f64 = 0.5;
const INTERVAL: i64 = 2000;

/// The scale of the loss, and what it follows from; all on the device.
pub struct Scaler {
    /// f32 scalar: what the loss is multiplied by.
    scale: Tensor,
    /// i32 scalar: updates in a row that were not left out.
    good: Tensor,
    /// f32 scalar: 1 where the update under way is left out.
    found: Tensor,
    /// f32 scalar: updates left out so far; exact up to 2^24.
    skipped: Tensor,
    interval: i64,
}

/// What a run may tell of its scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scaling {
    /// Updates left out so far.
    pub skipped: u64,
    /// The scale.
    pub scale: f64,
}

impl Scaler {
    /// A new scale on `device`.
    #[must_use]
    pub fn new(device: Device) -> Self {
        Self::with_interval(device, INTERVAL)
    }

    fn with_interval(device: Device, interval: i64) -> Self {
        let number = |value: f64, kind| Tensor::full([] as [i64; 0], value, (kind, device));
        Self {
            scale: number(START, Kind::Float),
            good: number(0.0, Kind::Int),
            found: number(0.0, Kind::Float),
            skipped: number(0.0, Kind::Float),
            interval,
        }
    }

    /// What the loss is multiplied by.
    pub fn scale(&self) -> &Tensor {
        &self.scale
    }

    /// Divides gradients of the scaled loss by the scale, in place, and finds out whether one of them has overflowed.
    ///
    /// # Errors
    /// What libtorch says.
    pub fn unscale(&mut self, gradients: &[Tensor]) -> Result<(), BridgeError> {
        let _ = self.found.zero_();
        // The scale is a power of two, so that its inverse is exact.
        bridge::unscale(gradients, &self.scale.reciprocal(), &self.found)
    }

    /// Whether the update under way is left out, for the optimizer.
    #[must_use]
    pub fn skip(&self) -> Skip<'_> {
        Skip { now: &self.found, before: &self.skipped }
    }

    /// Follows the gradients of the update that was taken or left out.
    pub fn update(&mut self) {
        self.skipped += &self.found;
        let _ = self.scale.internal_amp_update_scale_(&self.good, &self.found, GROWTH, BACKOFF, self.interval);
    }

    /// What happened so far; waits for the device.
    #[must_use]
    pub fn read(&self) -> Scaling {
        let skipped = self.skipped.double_value(&[]);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
        Scaling { skipped: skipped as u64, scale: self.scale.double_value(&[]) }
    }

    /// State tensors by name.
    #[must_use]
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let named = [("scale", &self.scale), ("good", &self.good), ("skipped", &self.skipped)];
        // A checkpoint has no 32-bit integers; all of these are exact in floats.
        named.map(|(name, tensor)| (format!("scaler.{name}"), tensor.to_kind(Kind::Float))).into()
    }

    /// Puts saved state back. Names that are missing are returned: the checkpoint is of another run.
    #[must_use]
    pub fn restore(&mut self, saved: &HashMap<String, Tensor>) -> Vec<String> {
        let mut missing = Vec::new();
        for (name, tensor) in [("scale", &mut self.scale), ("good", &mut self.good), ("skipped", &mut self.skipped)] {
            let name = format!("scaler.{name}");
            match saved.get(&name) {
                Some(value) if value.numel() == 1 => tensor.copy_(&value.reshape([] as [i64; 0])),
                _ => missing.push(name),
            }
        }
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The scale after each update, of which those that are `false` overflow.
    fn scales(scaler: &mut Scaler, updates: &[bool]) -> Vec<f64> {
        let after = |fits: &bool| {
            let value = if *fits { 3.0_f32 } else { f32::INFINITY };
            scaler.unscale(&[Tensor::from_slice(&[1.0_f32, value]), Tensor::from_slice(&[2.0_f32])]).unwrap();
            assert_eq!(scaler.found.double_value(&[]), f64::from(u8::from(!fits)));
            scaler.update();
            scaler.read().scale
        };
        updates.iter().map(after).collect()
    }

    #[test]
    fn the_scale_halves_at_an_overflow_and_doubles_after_an_interval_without() {
        let mut scaler = Scaler::with_interval(Device::Cpu, 3);
        let found = scales(&mut scaler, &[true, true, true, true, false, true, true, false, false, true, true, true]);
        let expected = [1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 1.0, 0.5, 0.25, 0.25, 0.25, 0.5];
        assert_eq!(found, expected.map(|factor| factor * START));
        assert_eq!(scaler.read(), Scaling { skipped: 3, scale: 0.5 * START });
    }

    #[test]
    fn gradients_are_divided_exactly() {
        let mut scaler = Scaler::new(Device::Cpu);
        let gradients = [Tensor::from_slice(&[3.0_f32, -0.1]), Tensor::from_slice(&[1e-7_f32]).view([1, 1])];
        let scaled: Vec<Tensor> = gradients.iter().map(|g| g * scaler.scale()).collect();
        scaler.unscale(&scaled).unwrap();
        assert!(gradients.iter().zip(&scaled).all(|(a, b)| a.equal(b)));
    }

    #[test]
    fn a_restored_scale_goes_on_as_the_saved_one() {
        let history = [true, false, true, true];
        let rest = [true, true, true, false, true, true, true];
        let mut scaler = Scaler::with_interval(Device::Cpu, 3);
        scales(&mut scaler, &history);
        let saved: HashMap<_, _> = scaler.state().into_iter().map(|(name, t)| (name, t.copy())).collect();
        let expected = (scales(&mut scaler, &rest), scaler.read());
        let mut restored = Scaler::with_interval(Device::Cpu, 3);
        assert!(restored.restore(&saved).is_empty());
        assert_eq!((scales(&mut restored, &rest), restored.read()), expected);
        assert_eq!(restored.restore(&HashMap::new()), ["scaler.scale", "scaler.good", "scaler.skipped"]);
    }
}
