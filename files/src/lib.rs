//! Everything a program writes goes through here: files so that none of the user's is lost, and text on the standard
//! streams so that a reader who has gone is no fault.
//!
//! [`atomic`] replaces a file that is known to be ours in one step. Whether it is ours, [`order`] decides: a file is written
//! where nothing is, or, with `--overwrite`, over what a [`manifest`] says that we wrote and nobody has changed since.
//! [`writing`] makes all files of a command aside and then gives them their names.

#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

pub mod atomic;
pub mod console;
pub mod digest;
mod error;
pub mod manifest;
pub mod order;
mod strange;
pub mod writing;

pub use atomic::{replace, write_atomic};
pub use digest::Hashing;
pub use error::{OutputError, Why};
pub use manifest::{Manifest, Start};
pub use order::{Checked, Order, Scope, Target};
pub use strange::first_strange;
pub use writing::{Writing, Written};
