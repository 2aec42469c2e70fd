//! Shapes of the operations that only classifiers use.

use super::{Dims, Manifest};
use crate::ops::Pool;
use crate::shapes::{self, window_2d};

impl Manifest {
    pub(super) fn average(&self, x: &Dims, p: &Pool, count_include_pad: bool) -> Dims {
        if let Err(problem) = shapes::averages(p, count_include_pad) {
            return self.fail("avg_pool", problem);
        }
        let &[n, c, h, w] = x.as_ref() else { return self.fail("avg_pool", format!("input {x:?} is not 4-D")) };
        match window_2d(&[h, w], p.kernel, p.stride, p.padding, p.ceil) {
            Some([oh, ow]) => [n, c, oh, ow].into(),
            None => self.fail("avg_pool", format!("window {:?} is larger than the padded input {x:?}", p.kernel)),
        }
    }

    pub(super) fn normalise_rows(&self, x: &Dims, weight: &Dims, bias: &Dims) -> Dims {
        let fits = |p: &Dims| p.len() == 1 && p.last() == x.last();
        if fits(weight) && fits(bias) {
            return x.clone();
        }
        self.fail("layer_norm", format!("input {x:?}, weight {weight:?}, bias {bias:?}"))
    }

    pub(super) fn attend(&self, q: &Dims, k: &Dims, v: &Dims) -> Dims {
        match (q.as_ref(), k.as_ref(), v.as_ref()) {
            (&[n, heads, l, c], &[kn, kheads, m, kc], &[vn, vheads, vm, d])
                if [kn, vn] == [n; 2] && [kheads, vheads] == [heads; 2] && kc == c && vm == m && m > 0 =>
            {
                self.cost(n * heads * l * m * (c + d));
                [n, heads, l, d].into()
            }
            _ => self.fail("attention", format!("queries {q:?}, keys {k:?}, values {v:?}")),
        }
    }

    pub(super) fn split_of(&self, x: &Dims, axis: i64, parts: i64) -> Vec<Dims> {
        let part = self.shape("split", shapes::split(x, axis, parts));
        (0..parts).map(|_| part.clone()).collect()
    }
}
