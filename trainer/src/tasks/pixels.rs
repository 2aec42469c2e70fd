//! Images as tensors.

use models::host::Rgb;
use tch::Tensor;

/// `uint8 [1, h, w, 3]`.
pub(super) fn pixels(image: &Rgb) -> Tensor {
    Tensor::from_slice(&image.data).reshape([1, i64::from(image.height), i64::from(image.width), 3])
}
