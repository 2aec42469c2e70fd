//! Faults in folders of class folders, which have no rows: places are paths.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use dataset::check::check;
use schemas::Task;
use schemas::check::{CheckReport, FindingKind as Kind};

use crate::plot::{Tally, request};

/// Plants faults in copies of a folder of class folders, and looks for all of them.
pub fn sow(folder: &Path) -> Tally {
    let mut all = Tally::default();
    all.add(too_high(folder));
    all.add(within(folder));
    all
}

/// The class folders of a folder.
fn classes(folder: &Path) -> Vec<String> {
    let mut all: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    all.sort();
    all
}

/// Links to all images of each class, in a folder of its own.
struct Tree(tempfile::TempDir);

impl Tree {
    fn of(folder: &Path, place: impl Fn(&str, usize) -> String) -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        for class in classes(folder) {
            let mut images: Vec<PathBuf> =
                fs::read_dir(folder.join(&class)).unwrap().map(|entry| entry.unwrap().path()).collect();
            images.sort();
            for (number, image) in images.iter().enumerate() {
                let to = tree.path(&place(&class, number));
                fs::create_dir_all(&to).unwrap();
                symlink(image, to.join(image.file_name().unwrap())).unwrap();
            }
        }
        tree
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Paths of the images of a folder.
    fn images(&self, name: &str) -> Vec<String> {
        let all = fs::read_dir(self.path(name)).unwrap();
        let mut all: Vec<String> =
            all.map(|entry| format!("{name}/{}", entry.unwrap().file_name().into_string().unwrap())).collect();
        all.sort();
        all
    }

    fn copy(&self, from: &str, to: &str) {
        let to = self.path(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(self.path(from), to).unwrap();
    }

    fn report(&self) -> CheckReport {
        check(&request(Task::ImageClassification, self.0.path()), &|_, _| ()).unwrap().report
    }
}

/// Classes in one folder more, in two, in one for each site, and in those of the parts.
fn too_high(folder: &Path) -> Tally {
    let places: [fn(&str, usize) -> String; 4] = [
        |class, _| format!("pictures/{class}"),
        |class, _| format!("archive/data/{class}"),
        |class, number| format!("{}/{class}", ["rome", "oslo"][number % 2]),
        |class, number| format!("archive/{}/{class}", ["train", "test"][number % 2]),
    ];
    for place in places {
        let report = Tree::of(folder, place).report();
        let found = report.findings.iter().find(|one| one.kind == Kind::FolderTooHigh);
        let found = found.unwrap_or_else(|| panic!("not found: {:?}", report.findings));
        assert!(found.images[0].line.is_none(), "{found:?}");
    }
    Tally { faults: 4, kinds: [Kind::FolderTooHigh].into() }
}

/// One each of what is told by the path of an image.
fn within(folder: &Path) -> Tally {
    let tree = Tree::of(folder, |class, _| class.to_owned());
    let before = tree.report();
    let all = classes(folder);
    let (first, second) = (tree.images(&all[0]), tree.images(&all[1]));
    let faults = [
        (Kind::UnreadableImage, vec![format!("{}/empty.jpg", all[0])]),
        (Kind::DuplicateImage, vec![format!("{}/again.jpg", all[0]), first[0].clone()]),
        (Kind::ContradictingLabel, vec![format!("{}/other.jpg", all[0]), second[0].clone()]),
        (Kind::SimilarClassName, vec![format!("{} /first.jpg", all[1])]),
        (Kind::FewImages, vec![format!("{} /first.jpg", all[1])]),
    ];
    fs::write(tree.path(&faults[0].1[0]), "").unwrap();
    tree.copy(&first[0], &faults[1].1[0]);
    tree.copy(&second[0], &faults[2].1[0]);
    fs::create_dir(tree.path(&format!("{} ", all[1]))).unwrap();
    fs::rename(tree.path(&second[1]), tree.path(&faults[3].1[0])).unwrap();
    let report = tree.report();
    for (kind, paths) in &faults {
        let is_it = |one: &&schemas::check::Finding| {
            let named: Vec<&str> = one.images.iter().filter_map(|image| image.image_url.as_deref()).collect();
            one.kind == *kind && paths.iter().all(|path| named.contains(&path.as_str()))
        };
        assert!(report.findings.iter().any(|one| is_it(&one)), "{kind:?} {paths:?}: {:?}", report.findings);
    }
    let others = report.findings.iter().filter(|one| !before.findings.contains(one));
    assert!(others.clone().all(|one| faults.iter().any(|(kind, _)| *kind == one.kind)), "{:?}", Vec::from_iter(others));
    Tally { faults: faults.len(), kinds: faults.into_iter().map(|(kind, _)| kind).collect() }
}
