//! Integration tests that need no libtorch.

mod keys;
mod ops;
