//! COCO's overlap of two masks.

/// `shared` pixels of a found object of `found` pixels and a true one of `truth` over those of either; with a crowd, over
/// those of the found one. 0 where nothing is shared.
pub(super) fn ratio(shared: u64, found: u64, truth: u64, crowd: bool) -> f64 {
    if shared == 0 {
        return 0.0;
    }
    let whole = if crowd { found } else { found + truth - shared };
    shared as f64 / whole as f64
}
