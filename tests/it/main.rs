//! Integration tests that need no libtorch.

mod keys;
mod masks;
mod ops;
