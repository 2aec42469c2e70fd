//! A forward pass that is cut in pieces, so that gradients can be changed on their way back.

use std::cell::RefCell;

use tch::{Kind, Tensor};

/// Where the pass was cut: what went in, and what came out as a leaf of its own.
struct Cut {
    before: Tensor,
    after: Tensor,
    /// Of a rectifier, 1 where it lets its input through; `None` where a map is pooled, which changes no gradient.
    open: Option<Tensor>,
}

/// The cuts of one forward pass, see [`super::Eager::recording`]. libtorch lets nobody into its backward pass from outside of
/// C++; between two cuts it is libtorch's own.
#[derive(Default)]
pub struct Tape {
    cuts: RefCell<Vec<Cut>>,
}

/// What [`Tape::guided`] gives.
pub struct Guided {
    /// Gradient of the input, in its shape.
    pub input: Tensor,
    /// Rectifiers on the way.
    pub rectifiers: usize,
    /// The map that was globally pooled last, `[N, C, h, w]`, and its gradient.
    pub pooled: Option<(Tensor, Tensor)>,
}

impl Tape {
    /// `min(max(x, low), high)`, cut off from `x`.
    pub(super) fn rectify(&self, x: &Tensor, low: f64, high: f64) -> Tensor {
        let open = x.detach().gt(low).logical_and(&x.detach().lt(high)).to_kind(Kind::Float);
        self.cut(x, &x.detach().clamp(low, high), Some(open))
    }

    /// `x`, cut off, about to be pooled.
    pub(super) fn pool(&self, x: &Tensor) -> Tensor {
        self.cut(x, &x.detach().copy(), None)
    }

    fn cut(&self, before: &Tensor, after: &Tensor, open: Option<Tensor>) -> Tensor {
        let after = after.set_requires_grad(true);
        // The second handle keeps the interpreter from working in this memory.
        self.cuts.borrow_mut().push(Cut { before: before.shallow_clone(), after: after.shallow_clone(), open });
        after
    }

    /// The guided gradient of the sum of `output` with respect to `input`, a leaf (Springenberg et al. 2015, "Striving for
    /// Simplicity: The All Convolutional Net", section 3.4): a rectifier passes a gradient back only where its input was let
    /// through and the gradient is positive. Each piece is run back after all later ones, so that what reaches its end is
    /// complete.
    #[must_use]
    pub fn guided(self, output: &Tensor, input: &Tensor) -> Guided {
        let cuts = self.cuts.into_inner();
        let leaves: Vec<&Tensor> = std::iter::once(input).chain(cuts.iter().map(|cut| &cut.after)).collect();
        let mut sums: Vec<Tensor> = leaves.iter().map(|leaf| leaf.zeros_like()).collect();
        let send = |end: &Tensor, earlier: usize, sums: &mut Vec<Tensor>| {
            if !end.requires_grad() {
                return;
            }
            // The graph is kept: pieces may share their beginnings.
            let found = Tensor::run_backward(&[end], &leaves[..earlier], true, false);
            for (sum, gradient) in sums.iter_mut().zip(found).filter(|(_, gradient)| gradient.defined()) {
                *sum += gradient;
            }
        };
        send(&output.sum(Kind::Float), leaves.len(), &mut sums);
        let mut pooled = None;
        for (at, cut) in cuts.iter().enumerate().rev() {
            let gradient = sums[at + 1].shallow_clone();
            let passed = match &cut.open {
                Some(open) => gradient.clamp_min(0.0) * open,
                None => gradient.shallow_clone(),
            };
            if cut.open.is_none() && pooled.is_none() {
                pooled = Some((cut.after.detach(), gradient));
            }
            send(&(&cut.before * passed).sum(Kind::Float), at + 1, &mut sums);
        }
        let rectifiers = cuts.iter().filter(|cut| cut.open.is_some()).count();
        Guided { input: sums.swap_remove(0), rectifiers, pooled }
    }
}
