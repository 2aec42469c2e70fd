//! Every setting is seen to act, or to be refused with a reason. What there is to show comes from `schemas`, so that a
//! setting cannot be forgotten.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod classification;
mod detection;
mod lab;
mod memory;
mod optimizer;
