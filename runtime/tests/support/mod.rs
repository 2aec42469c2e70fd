//! The tiny models of the server's tests, opened.

use std::path::{Path, PathBuf};

use runtime::{Model, Options};

pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/tests/fixtures").join(name)
}

pub fn options() -> Options {
    Options { intra_threads: 1, library: None }
}

pub fn open(name: &str) -> Model {
    Model::open(&fixture(name), &options()).expect("a model of the tests opens")
}
