//! Standard streams that nobody reads, and full ones.

use std::fs::File;
use std::process::Stdio;

use crate::support::trainer;

/// A stream whose reader has gone.
fn gone() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

/// A stream on a full disk.
fn full() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

const SAY: [&[&str]; 5] =
    [&["models"], &["models", "resnet18", "--json"], &["--help"], &["train", "--help"], &["--version"]];

#[test]
fn a_reader_that_has_gone_is_no_fault() {
    for args in SAY {
        let output = trainer(args).stdout(gone()).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), error.as_ref()), (Some(0), ""), "{args:?}");
        // Nor is one of standard error.
        let status = trainer(args).stdout(gone()).stderr(gone()).status().unwrap();
        assert_eq!(status.code(), Some(0), "{args:?}");
    }
    for args in [&["models", "resnet51"][..], &["models", "resnet51", "--json"], &["modles"], &["modles", "--json"]] {
        let status = trainer(args).stdout(gone()).stderr(gone()).status().unwrap();
        assert_eq!(status.code(), Some(2), "{args:?}");
        let status = trainer(args).stderr(full()).status().unwrap();
        assert_eq!(status.code(), Some(2), "{args:?}");
    }
}

#[test]
fn an_answer_that_cannot_be_written_is_an_error() {
    for args in SAY {
        let output = trainer(args).stdout(full()).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {error}");
        assert!(error.contains("cannot write standard output"), "{args:?}: {error}");
        assert!(!error.contains("panicked"), "{args:?}: {error}");
    }
    let status = trainer(["models"]).stdout(full()).stderr(full()).status().unwrap();
    assert_eq!(status.code(), Some(1));
}

#[test]
fn the_work_is_done_although_nobody_listens() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let args = ["sample-data", "--count", "12", "--output", data.to_str().unwrap()];
    assert_eq!(trainer(args).stdout(gone()).stderr(gone()).status().unwrap().code(), Some(0));
    assert!(data.join("test.jsonl").is_file());
}
