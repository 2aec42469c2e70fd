//! Nothing of the user's is overwritten, moved or deleted: each way in which that once happened.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::Value;

use crate::resume::assert_same;
use crate::support::{expect, quick, run, sample};

/// A trained classifier, made once, and images to ask it about.
pub fn model() -> &'static (tempfile::TempDir, PathBuf, Vec<PathBuf>) {
    static MODEL: OnceLock<(tempfile::TempDir, PathBuf, Vec<PathBuf>)> = OnceLock::new();
    MODEL.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let data = sample(folder.path(), 12);
        let trained = folder.path().join("run");
        expect(0, tiny(&data, &trained));
        let images = (0..3).map(|number| data.join(format!("images/train/{number:05}.jpg"))).collect();
        (folder, trained, images)
    })
}

/// Arguments of the smallest training there is.
pub fn tiny(data: &Path, run: &Path) -> Vec<String> {
    let smaller = [("efficientnet_lite0", "mobilenetv2"), ("64", "32"), ("72", "36")];
    let small = |arg: String| smaller.iter().find(|(from, _)| *from == arg).map_or(arg, |(_, to)| (*to).to_owned());
    quick(data, run, 1).into_iter().map(small).chain(["--export", "none"].map(str::to_owned)).collect()
}

/// Expects exit code 2 and this in the message.
#[track_caller]
fn refused<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>, part: &str) {
    let output = run(args);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains(part), "{part}: {error}");
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn read(path: impl AsRef<Path>) -> Vec<u8> {
    fs::read(path.as_ref()).unwrap_or_else(|e| panic!("{}: {e}", path.as_ref().display()))
}

/// An image, as a file.
fn write_image(path: &Path, shade: u8) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    image::RgbImage::from_pixel(12, 9, image::Rgb([shade, 9, 7])).save(path).unwrap();
}

fn rows(path: &Path, images: &[&str]) {
    let object = r#"{"label":"a","topX":0.1,"topY":0.1,"bottomX":0.5,"bottomY":0.5}"#;
    let line = |url: &&str| format!("{{\"image_url\":\"{url}\",\"label\":[{object}]}}\n");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, images.iter().map(line).collect::<String>()).unwrap();
}

#[test]
fn a_conversion_into_the_folder_of_the_images_leaves_them() {
    let folder = tempfile::tempdir().unwrap();
    let (voc, yolo) = (folder.path().join("voc"), folder.path().join("yolo"));
    for (layout, root, place) in [("voc", &voc, "JPEGImages"), ("yolo", &yolo, "images/train")] {
        for number in 0..2 {
            write_image(&root.join(place).join(format!("im{number}.png")), number);
        }
        let list = root.join("all.jsonl");
        rows(&list, &[&format!("{place}/im0.png"), &format!("./{place}/im1.png")]);
        let before = [read(root.join(place).join("im0.png")), read(root.join(place).join("im1.png"))];
        let args = ["convert", "jsonl", text(&list), "--to", layout, "--output", text(root)];
        expect(0, args);
        // What is beside the images now is a conversion's; the images and their list are still the user's.
        refused(args, "--overwrite");
        rows(&list, &[&format!("{place}/im0.png")]);
        let written = if layout == "voc" { "Annotations/im1.xml" } else { "labels/train/im1.txt" };
        assert!(root.join(written).is_file());
        expect(0, args.into_iter().chain(["--overwrite"]));
        assert!(!root.join(written).exists(), "a stale annotation stayed");
        assert_eq!([read(root.join(place).join("im0.png")), read(root.join(place).join("im1.png"))], before);
    }
    // Labels that are there are the user's, and so nothing at all is written.
    let data = folder.path().join("data");
    write_image(&data.join("images/train/im0.png"), 1);
    rows(&data.join("rows/train.jsonl"), &["../images/train/im0.png"]);
    fs::create_dir_all(data.join("labels/train")).unwrap();
    fs::write(data.join("labels/train/im0.txt"), "mine").unwrap();
    let list = data.join("rows/train.jsonl");
    refused(["convert", "jsonl", text(&list), "--to", "yolo", "--output", text(&data), "--overwrite"], "im0.txt");
    assert_eq!(read(data.join("labels/train/im0.txt")), b"mine");
    assert!(!data.join("data.yaml").exists());
}

#[test]
fn layouts_of_masks_are_written_and_replaced_as_others_are() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("rows.jsonl");
    write_image(&folder.path().join("im.png"), 7);
    let row = |objects: &str| format!("{{\"image_url\":\"im.png\",\"label\":[{objects}]}}\n");
    let object = r#"{"label":"a","polygon":[[0.1,0.1,0.9,0.1,0.5,0.9]]}"#;
    for layout in ["voc-masks", "instance-masks", "id-masks", "labelme", "cvat"] {
        let output = folder.path().join(layout);
        fs::write(&list, row(object)).unwrap();
        let args = ["convert", "jsonl", text(&list), "--to", layout, "--output", text(&output)];
        expect(0, args);
        refused(args, "--overwrite");
        fs::write(output.join("note.txt"), "mine").unwrap();
        fs::write(&list, row("")).unwrap();
        expect(0, args.into_iter().chain(["--overwrite"]));
        assert_eq!(read(output.join("note.txt")), b"mine");
        assert!(!output.join("im/masks/a/00001.png").exists(), "a stale mask stayed");
    }
}

#[test]
fn images_are_copied_or_linked_when_asked_and_none_of_one_name_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for (number, name) in ["x/a.png", "y/a.png", "y/A.png"].into_iter().enumerate() {
        write_image(&path(name), 50 + u8::try_from(number).unwrap());
    }
    rows(&path("train.jsonl"), &["x/a.png", "y/a.png", "y/A.png"]);
    for (more, output, links) in [(&[][..], "copied", 1), (&["--link"], "linked", 2)] {
        let (list, output) = (path("train.jsonl"), path(output));
        let args = ["convert", "jsonl", text(&list), "--to", "yolo", "--output", text(&output)];
        expect(0, args.iter().chain(more));
        for (name, from) in [("a.png", "x/a.png"), ("a_2.png", "y/a.png"), ("A_3.png", "y/A.png")] {
            let written = output.join("images/train").join(name);
            assert_eq!(read(&written), read(path(from)), "{name}");
            assert_eq!(std::os::unix::fs::MetadataExt::nlink(&fs::metadata(written).unwrap()), links);
        }
        fs::remove_dir_all(output).unwrap();
    }
    let (list, output) = (path("train.jsonl"), path("set.json"));
    refused(["convert", "jsonl", text(&list), "--to", "coco", "--link", "--output", text(&output)], "--link");
}

#[test]
fn a_run_goes_into_a_folder_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let data = sample(folder.path(), 12);
    fs::write(folder.path().join("report.html"), "mine").unwrap();
    let before = read(data.join("train.jsonl"));
    refused(tiny(&data, folder.path()), "is not empty");
    refused(tiny(&data, &data), "is not empty");
    refused(tiny(&data, &data.join("train.jsonl")), "is a file");
    refused(tiny(&data, &data.join("train.jsonl/run")), "train.jsonl");
    assert_eq!((read(data.join("train.jsonl")), read(folder.path().join("report.html"))), (before, b"mine".to_vec()));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing was added");

    // What a start that failed leaves is in nobody's way.
    let place = folder.path().join("run");
    let mut args = tiny(&data, &place);
    let at = args.iter().position(|arg| arg == "none").unwrap();
    "no/such.pth".clone_into(&mut args[at]);
    expect(2, &args);
    assert!(!place.exists());
    fs::create_dir(&place).unwrap();
    expect(2, &args);
    assert_eq!(fs::read_dir(&place).unwrap().count(), 0);
    expect(0, tiny(&data, &place));
}

#[test]
fn a_run_without_its_last_checkpoint_is_still_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let data = sample(folder.path(), 12);
    let place = folder.path().join("run");
    expect(0, tiny(&data, &place));
    // Its report is the user's once it is edited, and its end would write it anew.
    let report = place.join("report.html");
    let own = read(&report);
    fs::write(&report, "with notes").unwrap();
    let resume = ["train", "--output", text(&place), "--resume"];
    refused(resume, "report.html has been changed");
    assert_eq!(read(&report), b"with notes");
    fs::write(&report, own).unwrap();
    expect(0, resume);

    let best = place.join("checkpoints/best/model.safetensors");
    let before = read(&best);
    fs::remove_dir_all(place.join("checkpoints/last")).unwrap();
    refused(tiny(&data, &place), "last checkpoint is missing");
    refused(resume, "--checkpoint_run");
    fs::remove_dir_all(place.join("checkpoints/best")).unwrap();
    refused(tiny(&data, &place), "already holds a run");
    drop(before);
}

#[test]
fn a_start_that_was_killed_is_resumed_from_its_plan_or_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let data = sample(folder.path(), 12);
    let place = folder.path().join("run");
    let whole = folder.path().join("whole");
    expect(0, tiny(&data, &whole));
    for resume in [true, false] {
        expect(0, tiny(&data, &place));
        // As it was while the first checkpoint was being written.
        let record = place.join(files::manifest::FILE);
        let mut said: Value = serde_json::from_slice(&read(&record)).unwrap();
        said["run"]["begun"] = false.into();
        fs::write(&record, said.to_string()).unwrap();
        for name in ["metrics.jsonl", "journal.jsonl", "run.log", "report.html", "report.json"] {
            fs::remove_file(place.join(name)).unwrap();
        }
        fs::remove_dir_all(place.join("checkpoints")).unwrap();
        fs::create_dir_all(place.join("checkpoints/last")).unwrap();
        fs::write(place.join("checkpoints/last/.tmp-fovea-AbC123"), "half").unwrap();
        fs::write(place.join("data/.tmp-fovea-AbC123"), "half").unwrap();
        if resume {
            expect(0, ["train", "--output", text(&place), "--resume"]);
        } else {
            expect(0, tiny(&data, &place));
        }
        assert_same(&whole, &place);
        assert!(!place.join("checkpoints/best/model.onnx").exists(), "--export none is part of the start");
        let left = |name: &str| fs::read_dir(place.join(name)).unwrap().flatten().count();
        assert_eq!((left("checkpoints/last"), left("data")), (1, 3));
        fs::remove_dir_all(&place).unwrap();
    }
    // Before there is a plan, the command has to be repeated.
    fs::create_dir(&place).unwrap();
    refused(["train", "--output", text(&place), "--resume"], "without --resume");
    expect(0, tiny(&data, &place).into_iter().chain(["--resume".to_owned()]));
}

#[test]
fn every_output_follows_the_rule() {
    let (_, trained, images) = model();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let table = path("labels.csv");
    fs::write(&table, format!("image,label\n{},a\n{},b\n", text(&images[0]), text(&images[1]))).unwrap();
    fs::create_dir(path("classes")).unwrap();
    for class in ["a", "b"] {
        write_image(&path("classes").join(class).join("1.png"), 3);
    }
    let checkpoint = ["--checkpoint", text(trained)];
    let image = text(&images[0]);
    let stem = images[0].file_stem().unwrap().to_str().unwrap().to_owned();
    let (classes, sample, all, vectors, saved) =
        (path("classes"), path("sample"), path("all.jsonl"), path("v.npy"), path("saved"));
    let rows = path("rows.jsonl");
    let cases: [(Vec<&str>, PathBuf); 5] = [
        (vec!["convert", "csv", text(&table), "--output", text(&rows)], rows.clone()),
        (vec!["convert", "folders", text(&classes), "--output", text(&all)], all.clone()),
        (vec!["sample-data", "--count", "12", "--output", text(&sample)], sample.join("images/test/00000.jpg")),
        (vec!["embed", checkpoint[0], checkpoint[1], image, "--output", text(&vectors)], vectors.clone()),
        (
            vec!["predict", checkpoint[0], checkpoint[1], image, "--save", text(&saved)],
            saved.join(format!("{stem}.jpg")),
        ),
    ];
    for (args, written) in cases {
        let overwrite = || args.iter().copied().chain(["--overwrite"]);
        fs::create_dir_all(written.parent().unwrap()).unwrap();
        fs::write(&written, "mine").unwrap();
        refused(&args, "no file that Fovea wrote");
        refused(overwrite(), "no file that Fovea wrote");
        assert_eq!(read(&written), b"mine", "{args:?}");
        fs::remove_file(&written).unwrap();
        expect(0, &args);
        refused(&args, "--overwrite");
        let first = read(&written);
        expect(0, overwrite());
        assert_eq!(read(&written), first, "{args:?}");
        fs::write(&written, "mine again").unwrap();
        refused(overwrite(), "has been changed");
        assert_eq!(read(&written), b"mine again", "{args:?}");
    }
    refused(["convert", "csv", text(&table), "--output", text(&table), "--overwrite"], "labels.csv");
    refused(["convert", "csv", text(&table), "--output", text(&classes)], "is a folder");
}

#[test]
fn answers_to_images_of_one_name_are_kept_apart() {
    let (_, trained, images) = model();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for (number, name) in ["x/a.jpg", "y/a.jpg", "z/A.jpg"].into_iter().enumerate() {
        fs::create_dir_all(path(name).parent().unwrap()).unwrap();
        fs::copy(&images[number], path(name)).unwrap();
    }
    let (saved, [x, y, z]) = (path("saved"), [path("x/a.jpg"), path("y/a.jpg"), path("z/A.jpg")]);
    let args =
        ["predict", "--checkpoint", text(trained), "--json", "--save", text(&saved), text(&x), text(&y), text(&z)];
    let answer: Value = serde_json::from_str(&expect(0, args)).unwrap();
    let names: Vec<PathBuf> = (0..3).map(|at| answer["predictions"][at]["saved"].as_str().unwrap().into()).collect();
    assert_eq!(names, ["a.jpg", "a-2.jpg", "A-3.jpg"].map(|name| saved.join(name)));
    let first: Vec<Vec<u8>> = names.iter().map(read).collect();
    assert!(first[0] != first[1] && first[1] != first[2]);
    // Other images' answers are not what an overwriting command replaces.
    let alone = ["predict", "--checkpoint", text(trained), "--save", text(&saved), text(&x), "--overwrite"];
    expect(0, alone);
    assert_eq!(names.iter().map(read).collect::<Vec<_>>(), first);
    // Into the folder of the images: they are never taken for answers.
    refused(["predict", "--checkpoint", text(trained), "--save", text(&path("x")), text(&x)], "a.jpg");
}
