//! Images as a graph takes them, and whether one that it has resized is the host's.

use ndarray::ArrayView4;
use runtime::{Data, Tensor};

/// Most levels by which a pixel resized in the graph may differ from the host's.
const PIXEL_LEVELS: u8 = 8;
/// Most levels by which such pixels may differ on average.
const MEAN_LEVELS: f64 = 1.0;

/// Images as a tensor.
pub(super) fn bytes(images: &ArrayView4<u8>) -> Tensor {
    Tensor { shape: images.shape().to_vec(), data: Data::U8(images.iter().copied().collect()) }
}

/// Whether the graph resizes as the host does, but for rounding: the graph computes in floats, the host in whole numbers.
pub(super) fn same_pixels(own: &Tensor, host: &ArrayView4<u8>) -> Result<(), String> {
    let found = own.bytes().filter(|_| own.shape == host.shape());
    let found = found.ok_or_else(|| format!("it resizes to {:?}; the host to {:?}", own.shape, host.shape()))?;
    let differences = || found.iter().zip(*host).map(|(a, b)| a.abs_diff(*b));
    let largest = differences().max().unwrap_or(0);
    #[expect(clippy::cast_precision_loss, reason = "an average")]
    let mean = differences().map(f64::from).sum::<f64>() / found.len().max(1) as f64;
    if largest > PIXEL_LEVELS || mean > MEAN_LEVELS {
        return Err(format!(
            "its resized pixels differ from the host's by up to {largest} levels, {mean:.2} on average; {PIXEL_LEVELS} and \
             {MEAN_LEVELS} are accepted"
        ));
    }
    Ok(())
}
