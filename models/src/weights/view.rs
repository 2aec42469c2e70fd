//! A tensor as a view of a file's bytes.

use std::ops::Range;

use super::dtype::Dtype;

/// A strided view of a file's bytes. Little-endian.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedTensor {
    /// Key in the state dict, wrapper prefixes removed.
    pub key: String,
    /// Element type.
    pub dtype: Dtype,
    /// Sizes; empty for a scalar.
    pub shape: Vec<i64>,
    strides: Vec<usize>,
    first: usize,
}

/// Where the elements of a tensor lie in its storage, counted in elements.
pub(super) struct Strided<'a> {
    /// The first one.
    pub offset: i64,
    /// Lengths of the dimensions.
    pub shape: Vec<i64>,
    /// From one to the next, in each dimension.
    pub strides: &'a [i64],
}

impl NamedTensor {
    /// A view of `storage` (a byte range of the file).
    /// Fails with a reason when a dimension is negative or the view leaves the storage.
    pub(super) fn view(
        key: String,
        dtype: Dtype,
        storage: &Range<usize>,
        Strided { offset, shape, strides }: Strided<'_>,
    ) -> Result<Self, String> {
        let bad = |what: String| format!("tensor '{key}' {what}");
        if shape.len() != strides.len() {
            return Err(bad(format!("has {} dimensions but {} strides", shape.len(), strides.len())));
        }
        let elements = storage.len() / dtype.size();
        let sizes = unsigned(&shape).ok_or_else(|| bad(format!("has a negative dimension: {shape:?}")))?;
        let strides = unsigned(strides).ok_or_else(|| bad(format!("has a negative stride: {strides:?}")))?;
        let offset = usize::try_from(offset).map_err(|_| bad(format!("has a negative storage offset: {offset}")))?;
        let count = sizes.iter().try_fold(1_usize, |n, d| n.checked_mul(*d));
        let last = sizes
            .iter()
            .zip(&strides)
            .filter(|(size, _)| **size > 0)
            .try_fold(offset, |at, (size, stride)| at.checked_add((size - 1).checked_mul(*stride)?));
        let fits = match (count, last) {
            (Some(0), Some(_)) => true,
            // A view may not be larger than its storage: a state dict has no use for one repeated value.
            (Some(count), Some(last)) => count <= elements && last < elements,
            _ => false,
        };
        if !fits {
            return Err(bad(format!(
                "claims shape {shape:?} with strides {strides:?} from element {offset}, but its storage has {elements} elements"
            )));
        }
        // An empty view may name any offset; nothing is read there.
        let first = if count == Some(0) { storage.start } else { storage.start + offset * dtype.size() };
        Ok(Self { key, dtype, shape, strides, first })
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        // The product was checked against the storage, so it cannot overflow.
        self.shape.iter().map(|d| usize::try_from(*d).unwrap_or(0)).product()
    }

    /// Whether a dimension is 0.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Byte positions of the elements, row-major.
    pub(super) fn positions(&self) -> impl Iterator<Item = usize> + '_ {
        let mut index = vec![0_usize; self.shape.len()];
        let mut element = 0_usize;
        (0..self.len()).map(move |_| {
            let here = self.first + element * self.dtype.size();
            for axis in (0..index.len()).rev() {
                index[axis] += 1;
                element += self.strides[axis];
                if i64::try_from(index[axis]).is_ok_and(|i| i < self.shape[axis]) {
                    break;
                }
                element -= self.strides[axis] * index[axis];
                index[axis] = 0;
            }
            here
        })
    }
}

fn unsigned(values: &[i64]) -> Option<Vec<usize>> {
    values.iter().map(|v| usize::try_from(*v).ok()).collect()
}
