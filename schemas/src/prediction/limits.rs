//! What every kind of request is read with.

/// Most images that a request is read with; a server may allow fewer.
pub const MAX_IMAGES: usize = 1024;
