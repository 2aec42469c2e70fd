//! What is written, what is left alone, and what a kill leaves.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use schemas::{Coded as _, ErrorCode};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use files::{Order, OutputError, Scope, Target, Why, Writing, Written, manifest};

/// A folder `out` beside files of the user's.
struct Lab(tempfile::TempDir);

impl Lab {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn text(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path(name)).ok()
    }

    fn begin(&self, command: &str, scope: Scope, names: &[&str], overwrite: bool) -> Result<Writing, OutputError> {
        let output = self.path("out");
        let targets: Vec<Target> = names.iter().map(Target::new).collect();
        Order { command, output: &output, overwrite, reads: &[] }.folder(scope, &targets)?.begin()
    }

    /// Writes these files, whose contents are `text`.
    fn write(&self, text: &str, names: &[&str], overwrite: bool) -> Result<Written, OutputError> {
        self.write_by(("test", Scope::Whole), text, names, overwrite)
    }

    fn write_by(
        &self,
        (command, scope): (&str, Scope),
        text: &str,
        names: &[&str],
        overwrite: bool,
    ) -> Result<Written, OutputError> {
        let mut writing = self.begin(command, scope, names, overwrite)?;
        for name in names {
            writing.write(name, |out| out.write_all(text.as_bytes()))?;
        }
        writing.publish()
    }

    /// Everything below `out` but the record: contents, or where a link leads.
    fn all(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        let mut waiting = vec![self.path("out")];
        while let Some(folder) = waiting.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let name = entry.path().strip_prefix(self.path("out")).unwrap().display().to_string();
                if entry.file_type().unwrap().is_dir() {
                    found.insert(format!("{name}/"), String::new());
                    waiting.push(entry.path());
                } else if name != manifest::FILE {
                    found.insert(name, fs::read_to_string(entry.path()).unwrap_or_default());
                }
            }
        }
        found
    }
}

/// Why nothing was written, and what is in the way, as a path within the lab.
#[track_caller]
fn refused<T: std::fmt::Debug>(lab: &Lab, result: Result<T, OutputError>) -> (String, Why) {
    match result.unwrap_err() {
        error @ OutputError::InTheWay { .. } => {
            assert!(error.code() == ErrorCode::OutputInUse);
            let OutputError::InTheWay { path, why, .. } = error else { unreachable!() };
            (path.strip_prefix(lab.0.path()).unwrap().display().to_string(), why)
        }
        error @ OutputError::Io { .. } => panic!("{error}"),
    }
}

#[test]
fn a_file_that_nobody_listed_stays_and_nothing_is_written() {
    for overwrite in [false, true] {
        let lab = Lab::new();
        lab.put("out/b/two.txt", "mine");
        let before = lab.all();
        assert_eq!(
            refused(&lab, lab.write("ours", &["a/one.txt", "b/two.txt"], overwrite)),
            ("out/b/two.txt".into(), Why::NotOurs)
        );
        assert_eq!(lab.all(), before);
        assert!(!manifest::Manifest::is_in(&lab.path("out")));
    }
}

#[test]
fn overwriting_replaces_what_was_written_and_removes_what_no_longer_belongs() {
    let lab = Lab::new();
    lab.write("1", &["a/one", "a/two", "b/three", "c/four"], false).unwrap();
    lab.put("out/c/mine", "mine");
    let (path, why) = refused(&lab, lab.write("2", &["a/one"], false));
    assert_eq!((path.as_str(), why), ("out/a/one", Why::Ours("test".into())));
    fs::write(lab.path("out/a/two"), "changed").unwrap();
    let written = lab.write("2", &["a/one", "d/five"], true).unwrap();
    assert_eq!(written.removed, [lab.path("out/b/three"), lab.path("out/c/four")]);
    assert_eq!(written.kept, [lab.path("out/a/two")]);
    let left = lab.all();
    let names: Vec<&str> = left.keys().map(String::as_str).collect();
    assert_eq!(names, ["a/", "a/one", "a/two", "c/", "c/mine", "d/", "d/five"]);
    assert_eq!((&left["a/one"], &left["a/two"], &left["c/mine"]), (&"2".into(), &"changed".into(), &"mine".into()));
    // What was changed is theirs from now on, even if a later write wants the name.
    assert!(matches!(refused(&lab, lab.write("3", &["a/two"], true)).1, Why::NotOurs));
    fs::write(lab.path("out/a/one"), "edited").unwrap();
    assert!(matches!(refused(&lab, lab.write("3", &["a/one"], true)).1, Why::Changed(_)));
}

#[test]
fn writes_of_others_are_not_swept_along() {
    let lab = Lab::new();
    lab.write_by(("other", Scope::Whole), "1", &["data"], false).unwrap();
    lab.write_by(("rows", Scope::Parts), "1", &["a", "b"], false).unwrap();
    lab.write_by(("rows", Scope::Parts), "1", &["c"], false).unwrap();
    lab.write_by(("rows", Scope::Parts), "2", &["c", "d"], true).unwrap();
    assert_eq!(lab.all().into_keys().collect::<Vec<_>>(), ["a", "b", "c", "d", "data"]);
    lab.write_by(("rows", Scope::Parts), "2", &["a"], true).unwrap();
    lab.write_by(("each", Scope::Each), "2", &["x", "y"], true).unwrap();
    lab.write_by(("each", Scope::Each), "2", &["x"], true).unwrap();
    assert_eq!(lab.all().into_keys().collect::<Vec<_>>(), ["a", "c", "d", "data", "x", "y"]);
}

#[test]
fn links_folders_and_files_in_the_way_are_named() {
    let lab = Lab::new();
    let photos = lab.put("photos/1.jpg", "photo").parent().unwrap().to_owned();
    fs::create_dir_all(lab.path("out/folder")).unwrap();
    lab.put("out/file", "mine");
    symlink(&photos, lab.path("out/images")).unwrap();
    symlink("nowhere", lab.path("out/dangling")).unwrap();
    symlink(photos.join("1.jpg"), lab.path("out/1.jpg")).unwrap();
    let before = lab.all();
    for (name, path, why) in [
        ("folder", "out/folder", Why::Folder),
        ("file/x", "out/file", Why::File),
        ("images/2.jpg", "out/images", Why::Link),
        ("images/1.jpg", "out/images", Why::Link),
        ("dangling", "out/dangling", Why::Link),
        ("1.jpg", "out/1.jpg", Why::Link),
        ("../photos/1.jpg", "out/../photos/1.jpg", Why::Reserved),
        (manifest::FILE, "out/.fovea-written.json", Why::Reserved),
    ] {
        for overwrite in [false, true] {
            assert_eq!(refused(&lab, lab.write("x", &[name], overwrite)), (path.to_owned(), why.clone()), "{name}");
        }
    }
    assert_eq!(lab.all(), before);
    assert!(matches!(refused(&lab, lab.write("x", &["new/A.txt", "new/a.txt"], false)).1, Why::Twice));
    let target = lab.path("out/file/deeper/x.csv");
    assert_eq!(refused(&lab, Order { command: "x", output: &target, overwrite: true, reads: &[] }.file()).1, Why::File);
    for nameless in ["", "/", ".."] {
        let order = Order { command: "x", output: Path::new(nameless), overwrite: true, reads: &[] };
        assert!(matches!(order.file().unwrap_err(), OutputError::InTheWay { why: Why::Nameless, .. }), "{nameless:?}");
    }
}

#[test]
fn a_link_made_since_makes_nothing_ours() {
    let lab = Lab::new();
    lab.write("1", &["images/a", "b"], false).unwrap();
    // The same contents elsewhere, reached through links: neither replaced nor removed.
    fs::rename(lab.path("out/images"), lab.path("moved")).unwrap();
    fs::rename(lab.path("out/b"), lab.path("moved/b")).unwrap();
    symlink(lab.path("moved"), lab.path("out/images")).unwrap();
    symlink(lab.path("moved/b"), lab.path("out/b")).unwrap();
    assert_eq!(refused(&lab, lab.write("2", &["b"], true)).1, Why::Link);
    let written = lab.write("2", &["c"], true).unwrap();
    assert_eq!((written.removed.len(), written.kept.len()), (0, 2));
    assert_eq!((lab.text("moved/a").unwrap(), lab.text("moved/b").unwrap()), ("1".into(), "1".into()));
}

#[test]
fn a_record_that_cannot_be_read_makes_nothing_ours_and_stays() {
    for record in [
        "not a record",
        "{\"version\": 2, \"writes\": []}",
        "{\"version\": 1, \"writes\": [{\"command\": \"x\", \"output\": \".\", \"files\": {\"../victim\": {\"sha256\": \"0\"}}}]}",
        "{\"version\": 1, \"writes\": [{\"command\": \"x\", \"output\": \".\", \"files\": {\"/etc/passwd\": {\"sha256\": \"0\"}}}]}",
        "{\"version\": 1, \"writes\": [{\"command\": \"x\", \"output\": \".\", \"folders\": [\"..\"]}]}",
        "{\"version\": 1, \"writes\": [{\"command\": \"x\", \"output\": \".\", \"staging\": \"../victims\"}]}",
        "{\"version\": 1, \"writes\": [{\"command\": \"x\", \"output\": \".\", \"staging\": \"photos\"}]}",
    ] {
        let lab = Lab::new();
        lab.put("victim", "mine");
        lab.put("out/photos/0", "mine");
        lab.put(&format!("out/{}", manifest::FILE), record);
        for overwrite in [false, true] {
            assert!(matches!(refused(&lab, lab.write("x", &["new"], overwrite)).1, Why::Record(_)), "{record}");
        }
        assert_eq!(lab.text(&format!("out/{}", manifest::FILE)).unwrap(), record);
        assert_eq!((lab.text("victim"), lab.text("out/photos/0")), (Some("mine".into()), Some("mine".into())));
    }
    let lab = Lab::new();
    let elsewhere = lab.put("elsewhere", "{\"version\": 1, \"writes\": []}");
    fs::create_dir(lab.path("out")).unwrap();
    symlink(&elsewhere, lab.path("out").join(manifest::FILE)).unwrap();
    assert!(matches!(refused(&lab, lab.write("x", &["new"], true)).1, Why::Record(_)));
}

#[test]
fn the_file_itself_stays_where_it_is() {
    let lab = Lab::new();
    let photo = lab.put("out/images/a.jpg", "photo");
    symlink(lab.path("out"), lab.path("other")).unwrap();
    let hard = lab.path("hard.jpg");
    fs::hard_link(&photo, &hard).unwrap();
    let (out, same) = (lab.path("out"), lab.path("other/./images/a.jpg"));
    for (round, from) in [&photo, &same, &hard].into_iter().enumerate() {
        let labels = format!("labels{round}.txt");
        let targets = [Target::copy("images/a.jpg", from), Target::new(&labels)];
        let order = Order { command: "x", output: &out, overwrite: round == 2, reads: &[] };
        let mut writing = order.folder(Scope::Whole, &targets).unwrap().begin().unwrap();
        writing.copy("images/a.jpg", from).unwrap();
        writing.write(&labels, |out| out.write_all(b"0")).unwrap();
        writing.publish().unwrap();
        assert_eq!(lab.text("out/images/a.jpg").unwrap(), "photo");
    }
    // It was never ours: what was made beside it earlier goes, it does not.
    assert_eq!(lab.all().into_keys().collect::<Vec<_>>(), ["images/", "images/a.jpg", "labels2.txt"]);
}

#[test]
fn what_a_command_reads_is_neither_replaced_nor_removed() {
    let lab = Lab::new();
    lab.write("1", &["rows", "images/a", "images/b"], false).unwrap();
    let reads = [lab.path("out/rows")];
    let out = lab.path("out");
    let order = Order { command: "test", output: &out, overwrite: true, reads: &reads };
    assert_eq!(refused(&lab, order.folder(Scope::Whole, &[Target::new("rows")])).1, Why::Read);
    // `images/b` becomes `c/b`: it may be looked at again.
    let from = lab.path("out/images/b");
    let mut writing = order.folder(Scope::Whole, &[Target::copy("c/b", &from)]).unwrap().begin().unwrap();
    writing.copy("c/b", &from).unwrap();
    let written = writing.publish().unwrap();
    assert_eq!((written.removed, written.kept), (vec![lab.path("out/images/a")], vec![]));
    assert_eq!(lab.all().into_keys().collect::<Vec<_>>(), ["c/", "c/b", "images/", "images/b", "rows"]);
}

#[test]
fn a_link_is_removed_only_while_the_image_has_another_name() {
    let lab = Lab::new();
    let (kept, moved) = (lab.put("photos/kept", "1"), lab.put("photos/moved", "2"));
    let out = lab.path("out");
    let order = Order { command: "test", output: &out, overwrite: true, reads: &[] };
    let targets = [Target::copy("kept", &kept), Target::copy("moved", &moved)];
    let mut writing = order.folder(Scope::Whole, &targets).unwrap().begin().unwrap();
    writing.link("kept", &kept).unwrap();
    writing.link("moved", &moved).unwrap();
    writing.publish().unwrap();
    fs::remove_file(&moved).unwrap();
    let written = lab.write("3", &["new"], true).unwrap();
    assert_eq!((written.removed, written.kept), (vec![lab.path("out/kept")], vec![lab.path("out/moved")]));
    assert_eq!((lab.text("photos/kept").unwrap(), lab.text("out/moved").unwrap()), ("1".into(), "2".into()));
}

#[test]
fn a_failure_leaves_nothing_and_a_file_that_came_meanwhile_stays() {
    let lab = Lab::new();
    let mut writing = lab.begin("test", Scope::Whole, &["a/one", "two"], false).unwrap();
    writing.write("a/one", |out| out.write_all(b"1")).unwrap();
    writing.write("two", |_| Err(std::io::Error::other("no"))).unwrap_err();
    drop(writing);
    assert!(!lab.path("out").exists());

    let mut writing = lab.begin("test", Scope::Whole, &["a/one", "two"], true).unwrap();
    writing.write("a/one", |out| out.write_all(b"1")).unwrap();
    writing.write("two", |out| out.write_all(b"1")).unwrap();
    lab.put("out/two", "mine");
    assert_eq!(refused(&lab, writing.publish()), ("out/two".into(), Why::NotOurs));
    assert_eq!(lab.all(), BTreeMap::from([("two".into(), "mine".into())]));
    assert!(!manifest::Manifest::is_in(&lab.path("out")));
}

/// What a kill leaves: `writing` is not dropped, but its locks are those of a process that has ended.
fn kill(lab: &Lab, publish: bool) {
    let mut writing = lab.begin("test", Scope::Whole, &["a", "b"], true).unwrap();
    writing.write("a", |out| out.write_all(b"half")).unwrap();
    if publish {
        writing.write("b", |out| out.write_all(b"half")).unwrap();
    }
    // As if killed: a copy of the folder is what the disk holds at this moment.
    let copy =
        std::process::Command::new("cp").arg("-a").arg(lab.path("out")).arg(lab.path("killed")).status().unwrap();
    assert!(copy.success());
    if publish {
        writing.publish().unwrap();
        // The record of files that have their names, before the write is at its end.
        let record = lab.text(&format!("out/{}", manifest::FILE)).unwrap();
        let of_staging = fs::read_dir(lab.path("killed"))
            .unwrap()
            .flatten()
            .map(|e| e.file_name())
            .find(|name| name != manifest::FILE);
        let staging = format!("\"output\": \".\",\n      \"staging\": {:?},", of_staging.unwrap().to_str().unwrap());
        fs::write(lab.path("killed").join(manifest::FILE), record.replace("\"output\": \".\",", &staging)).unwrap();
        fs::copy(lab.path("out/a"), lab.path("killed/a")).unwrap();
    } else {
        drop(writing);
    }
    let _ = fs::remove_dir_all(lab.path("out"));
    fs::rename(lab.path("killed"), lab.path("out")).unwrap();
}

#[test]
fn a_kill_loses_nothing_and_the_next_write_clears_up() {
    let lab = Lab::new();
    kill(&lab, false);
    assert_eq!(lab.all().len(), 2, "the folder of the killed write and its file: {:?}", lab.all());
    // A file of that name which came afterwards is not what was to be written.
    lab.put("out/a", "mine");
    assert_eq!(refused(&lab, lab.write("x", &["a"], true)).1, Why::NotOurs);
    lab.write("x", &["c"], false).unwrap();
    assert_eq!(lab.all().into_keys().collect::<Vec<_>>(), ["a", "c"]);

    let lab = Lab::new();
    kill(&lab, true);
    // One file has its name, the other does not; one of that name that came afterwards is theirs.
    lab.put("out/b", "mine");
    assert!(matches!(refused(&lab, lab.write("x", &["b"], true)).1, Why::Changed(_)));
    fs::remove_file(lab.path("out/b")).unwrap();
    lab.write("x", &["a", "b"], true).unwrap();
    assert_eq!(lab.all(), [("a", "x"), ("b", "x")].map(|(k, v)| (k.to_owned(), v.to_owned())).into());
}

#[test]
fn writes_of_two_programs_go_side_by_side() {
    let lab = Lab::new();
    let mut first = lab.begin("one", Scope::Whole, &["a"], false).unwrap();
    let mut second = lab.begin("two", Scope::Whole, &["b"], false).unwrap();
    first.write("a", |out| out.write_all(b"1")).unwrap();
    second.write("b", |out| out.write_all(b"2")).unwrap();
    second.publish().unwrap();
    first.publish().unwrap();
    assert_eq!(lab.all(), [("a", "1"), ("b", "2")].map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    assert!(matches!(refused(&lab, lab.write("x", &["a", "b"], false)).1, Why::Ours(command) if command == "one"));
    lab.write("x", &["a", "b"], true).unwrap();
}
