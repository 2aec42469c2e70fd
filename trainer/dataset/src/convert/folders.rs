//! A folder per class, or a folder per part of such.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::boxes::absolute;
use super::find::has_image_ending;
use super::labels::{ConvertedLabel, LabelPart, Labelled, Place};
use super::parts::part_named;
use super::walk::{Below, below, entries};
use super::{Groups, LeftOut};
use crate::DataError;
use crate::error::wrong;
use crate::foreign::typed;

/// Parts in the order in which they are written.
const PARTS: [&str; 3] = ["train", "validation", "test"];

/// What the subfolders of a folder are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subfolders {
    /// Each is a class, with its images in it or deeper.
    Classes,
    /// Each is a part of the data set, with a folder per class in it.
    Parts,
}

/// A folder of folders of images.
#[derive(Debug)]
pub struct Folders {
    root: PathBuf,
    folders: Vec<Folder>,
    /// Images that lie in no folder.
    beside: Vec<PathBuf>,
}

#[derive(Debug)]
struct Folder {
    path: PathBuf,
    name: String,
    images: Vec<PathBuf>,
    /// Files of other kinds.
    others: Vec<PathBuf>,
    links: Vec<PathBuf>,
}

impl Folder {
    fn read(path: PathBuf) -> Result<Self, DataError> {
        let Some(name) = path.file_name().and_then(|name| name.to_str()).map(str::to_owned) else {
            return Err(wrong(&path, "the name of a class folder must be UTF-8; rename it"));
        };
        let Below { files, links, mut unread } = below(&path, usize::MAX);
        if let Some((folder, error)) = unread.pop() {
            return Err(DataError::io("list", &folder, error));
        }
        let (images, others) = files.into_iter().partition(|path| has_image_ending(path) && path.is_file());
        Ok(Self { path, name, images, others, links })
    }

    /// Folders directly below it that hold images, and whether it holds images itself.
    fn inner(&self) -> (BTreeSet<String>, bool) {
        let mut inner = BTreeSet::new();
        let mut own = false;
        for image in &self.images {
            let mut parts = image.strip_prefix(&self.path).unwrap_or(image).iter();
            match (parts.next(), parts.next()) {
                (Some(folder), Some(_)) => drop(inner.insert(folder.to_string_lossy().into_owned())),
                (Some(_), None) | (None, _) => own = true,
            }
        }
        (inner, own)
    }
}

impl Folders {
    /// Reads what is in a folder. What is an image is decided by [`super::IMAGE_EXTENSIONS`]; hidden entries and what systems
    /// leave beside images are passed over, and links to folders are followed only directly in it.
    ///
    /// # Errors
    /// A folder cannot be read, or its name is not UTF-8.
    pub fn read(root: &Path) -> Result<Self, DataError> {
        let root = absolute(root)?;
        let (mut folders, mut beside) = (Vec::new(), Vec::new());
        for path in entries(&root).map_err(|error| DataError::io("list", &root, error))? {
            if path.is_dir() {
                folders.push(Folder::read(path)?);
            } else if has_image_ending(&path) {
                beside.push(path);
            }
        }
        Ok(Self { root, folders, beside })
    }

    /// The folder; absolute.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What the subfolders are by their names: parts where all that hold images are called so, whatever their capitals.
    ///
    /// # Errors
    /// Some are called as parts are and others are not.
    pub fn by_names(&self) -> Result<Subfolders, DataError> {
        let (parts, others): (Vec<&Folder>, Vec<&Folder>) =
            self.filled().partition(|folder| part_named(&folder.name).is_some());
        match (parts.as_slice(), others.as_slice()) {
            ([], _) => Ok(Subfolders::Classes),
            (_, []) => Ok(Subfolders::Parts),
            (parts, others) => {
                let (parts, others) = (listed(parts), listed(others));
                let root = typed(&self.root);
                Err(wrong(
                    &self.root,
                    format!(
                        "some of its folders are called as parts of a data set are ({parts}) and others are not ({others}). \
                         Move one kind elsewhere, or say what they are: trainer convert folders {root} --subfolders parts reads \
                         {parts} and leaves the others out, --subfolders classes takes each for a class"
                    ),
                ))
            }
        }
    }

    /// As [`Self::by_names`], and that they are the right ones.
    ///
    /// # Errors
    /// As [`Self::by_names`], and where the folder, or that of a part, is above the one that holds the class folders.
    pub fn told(&self) -> Result<Subfolders, DataError> {
        let told = self.by_names()?;
        match told {
            Subfolders::Classes => self.not_too_high()?,
            Subfolders::Parts => {
                for folder in self.filled() {
                    Self::read(&folder.path)?.not_too_high()?;
                }
            }
        }
        Ok(told)
    }

    /// Refuses a folder whose only folder holds no images but folders of them.
    fn not_too_high(&self) -> Result<(), DataError> {
        let mut filled = self.filled();
        let (Some(only), None) = (filled.next(), filled.next()) else { return Ok(()) };
        let (mut inner, own) = only.inner();
        if own || !self.beside.is_empty() {
            return Ok(());
        }
        let mut path = only.path.clone();
        // Archives are often packed in several folders of nothing else.
        while let [one] = Vec::from_iter(&inner).as_slice() {
            let next = Folder::read(path.join(one))?;
            let (deeper, own) = next.inner();
            if own {
                break;
            }
            (inner, path) = (deeper, next.path);
        }
        let names = shortened(inner.iter().map(String::as_str));
        let (folder, root, name) = (typed(&path), typed(&self.root), &only.name);
        Err(wrong(
            &self.root,
            format!(
                "holds no class folders: its only folder is {name}, and the images lie in folders below it ({names}). Name the \
                 folder that holds them: trainer convert folders {folder}. If {name} is a class, say so: trainer convert folders \
                 {root} --subfolders classes"
            ),
        ))
    }

    /// The images with the classes that their folders are, sorted by name, byte by byte. Images beside the folders, empty
    /// folders and files that are no images are left out.
    ///
    /// # Errors
    /// No folder holds an image, or two folders are called as the same part is.
    pub fn labelled(&self, subfolders: Subfolders) -> Result<Labelled, DataError> {
        let mut labelled =
            Labelled { parts: Vec::new(), assumed: Vec::new(), left_out: self.left_out(), groups: Groups::default() };
        match subfolders {
            Subfolders::Classes => {
                let rows = self.classes(&mut labelled)?;
                labelled.parts.push(LabelPart { name: String::new(), rows });
            }
            Subfolders::Parts => self.parts(&mut labelled)?,
        }
        Ok(labelled)
    }

    /// Folders with images.
    fn filled(&self) -> impl Iterator<Item = &Folder> {
        self.folders.iter().filter(|folder| !folder.images.is_empty())
    }

    fn left_out(&self) -> Vec<LeftOut> {
        let image = |path: &PathBuf| leave_out(path, "image", "it lies beside the folders of the classes and has none");
        let empty = |folder: &Folder| leave_out(&folder.path, "folder", "it holds no image");
        let folders = self.folders.iter().filter(|folder| folder.images.is_empty());
        folders.map(empty).chain(self.beside.iter().map(image)).collect()
    }

    fn classes(&self, labelled: &mut Labelled) -> Result<Vec<(Place, ConvertedLabel)>, DataError> {
        let mut rows = Vec::new();
        for folder in self.filled() {
            if folder.name.trim().is_empty() {
                labelled.left_out.push(leave_out(&folder.path, "folder", "a class has a name; rename the folder"));
                continue;
            }
            let other = |path: &PathBuf| match path.is_symlink() && !path.exists() {
                true => leave_out(path, "file", "it is a link to nothing"),
                false => leave_out(path, "file", "it is no image by the ending of its name"),
            };
            labelled.left_out.extend(folder.others.iter().map(other));
            let link = |path: &PathBuf| leave_out(path, "folder", "it is a link, which is not followed below a class");
            labelled.left_out.extend(folder.links.iter().map(link));
            let label = ConvertedLabel::Class(folder.name.clone());
            rows.extend(folder.images.iter().map(|path| (Place::File(path.clone()), label.clone())));
        }
        if rows.is_empty() {
            return Err(self.without_classes());
        }
        labelled.assumed.extend(self.doubt());
        Ok(rows)
    }

    fn parts(&self, labelled: &mut Labelled) -> Result<(), DataError> {
        let mut named: BTreeMap<&str, &Folder> = BTreeMap::new();
        for folder in self.filled() {
            let Some(part) = part_named(&folder.name) else {
                let reason = "it is not called train, validation or test, and the others are parts";
                labelled.left_out.push(leave_out(&folder.path, "folder", reason));
                continue;
            };
            if let Some(other) = named.insert(part, folder) {
                let (one, other) = (&other.name, &folder.name);
                let message =
                    format!("the folders {one} and {other} are both called as {part} is; rename or join them");
                return Err(wrong(&self.root, message));
            }
        }
        let mut words = Vec::new();
        for (part, folder) in PARTS.iter().filter_map(|part| Some((*part, *named.get(part)?))) {
            let inner = Self::read(&folder.path)?;
            if inner.filled().next().is_none() {
                let reason = format!(
                    "its {} images lie in no class folder, so that nothing says what they show",
                    inner.beside.len()
                );
                labelled.left_out.push(leave_out(&folder.path, "folder", &reason));
                continue;
            }
            labelled.left_out.extend(inner.left_out());
            let rows = inner.classes(labelled)?;
            words.push(format!("{} as {part}", folder.name));
            labelled.parts.push(LabelPart { name: part.to_owned(), rows });
        }
        if labelled.parts.is_empty() {
            return Err(self.without_classes());
        }
        labelled.assumed.push(format!("folders are read as parts, not as classes: {}", words.join(", ")));
        Ok(())
    }

    fn without_classes(&self) -> DataError {
        let mut message =
            "no subfolder holds class folders or images; expected one subfolder per class, with the images in it"
                .to_owned();
        if !self.beside.is_empty() {
            message = format!(
                "holds {} images and no folder of them; expected one subfolder per class, with the images in it",
                self.beside.len()
            );
            if let Some(above) = self.root.parent() {
                let _ = write!(
                    message,
                    ". If it is itself the folder of a class, name the one above: trainer convert folders {}",
                    typed(above)
                );
            }
        }
        wrong(&self.root, message)
    }

    /// What looks as if the classes, or parts, were one level below.
    fn doubt(&self) -> Option<String> {
        let inner: Vec<(BTreeSet<String>, bool)> = self.filled().map(Folder::inner).collect();
        let own = inner.iter().any(|(_, own)| *own);
        let shared = inner.into_iter().map(|(names, _)| names).reduce(|a, b| a.intersection(&b).cloned().collect())?;
        if own || shared.len() < 2 || self.filled().count() < 2 {
            return None;
        }
        let folders: Vec<&Folder> = self.filled().collect();
        let (all, names) = (listed(&folders), shortened(shared.iter().map(String::as_str)));
        Some(match shared.iter().all(|name| part_named(name).is_some()) {
            true => format!(
                "WARNING: {all} are taken for classes, and the images of their folders {names} are put together: parts are told \
                 apart only above the classes"
            ),
            false => format!(
                "WARNING: {all} are taken for classes, though each holds folders of the same names and no image itself; if {names} \
                 are the classes, convert each of {all} by itself"
            ),
        })
    }
}

fn leave_out(path: &Path, place: &str, reason: &str) -> LeftOut {
    LeftOut { source: path.display().to_string(), place: place.to_owned(), reason: reason.to_owned() }
}

fn listed(folders: &[&Folder]) -> String {
    shortened(folders.iter().map(|folder| folder.name.as_str()))
}

/// The first few names.
fn shortened<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 5;
    let more = names.len() > SHOWN;
    let names: Vec<&str> = names.take(SHOWN).collect();
    names.join(", ") + if more { ", ..." } else { "" }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::convert::write_labels;
    use files::Order;

    fn tree(names: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            let path = dir.path().join(name);
            match name.ends_with('/') {
                true => fs::create_dir_all(path).unwrap(),
                false => {
                    fs::create_dir_all(path.parent().unwrap()).unwrap();
                    fs::write(path, "x").unwrap();
                }
            }
        }
        dir
    }

    fn labelled(root: &Path) -> Result<Labelled, String> {
        let read = || {
            let folders = Folders::read(root)?;
            folders.labelled(folders.told()?)
        };
        read().map_err(|error: DataError| error.to_string())
    }

    /// Parts, their classes and how many images these have.
    fn classes(labelled: &Labelled) -> Vec<(String, String)> {
        let part = |part: &LabelPart| {
            let labels: Vec<&str> =
                part.rows.iter().flat_map(|(_, label)| label.classes()).map(String::as_str).collect();
            (part.name.clone(), labels.join(" "))
        };
        labelled.parts.iter().map(part).collect()
    }

    fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
        all.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    #[test]
    fn classes_and_images_are_sorted_and_the_rest_is_listed() {
        let dir = tree(&[
            "set/b class/2.JPG",
            "set/b class/10.jpeg",
            "set/b class/notes.txt",
            "set/a/deep/er/ü%20.png",
            "set/a/.hidden.png",
            "set/__MACOSX/a/1.png",
            "set/.git/x.png",
            "set/readme.md",
            "set/loose.png",
            "set/nothing/x.txt",
            "set/empty/",
            "set/ /3.png",
        ]);
        std::os::unix::fs::symlink(dir.path().join("gone"), dir.path().join("set/a/gone.png")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("set"), dir.path().join("set/a/around")).unwrap();
        let output = dir.path().join("set/lists/all.jsonl");
        let found = labelled(&dir.path().join("set")).unwrap();
        let order = Order { command: "convert folders", output: &output, overwrite: false, reads: &[] };
        let (summaries, _) = write_labels(&order, &found).unwrap();
        assert_eq!(summaries[0].classes, [("a".to_owned(), 1), ("b class".to_owned(), 2)]);
        assert_eq!(
            fs::read_to_string(&output).unwrap(),
            "{\"image_url\":\"../a/deep/er/ü%20.png\",\"label\":\"a\"}\n\
             {\"image_url\":\"../b class/10.jpeg\",\"label\":\"b class\"}\n\
             {\"image_url\":\"../b class/2.JPG\",\"label\":\"b class\"}\n"
        );
        let list = fs::read_to_string(dir.path().join("set/lists/all.left_out.txt")).unwrap();
        for (name, why) in [
            ("b class/notes.txt, file", "no image"),
            ("loose.png, image", "beside the folders"),
            ("nothing, folder", "holds no image"),
            ("empty, folder", "holds no image"),
            (" , folder", "rename"),
            ("a/gone.png, file", "link to nothing"),
            ("a/around, folder", "not followed"),
        ] {
            assert!(
                list.lines().any(|line| line.contains(&format!("/{name}")) && line.contains(why)),
                "{name}: {list}"
            );
        }
        assert_eq!(list.lines().count(), 7, "{list}");
    }

    #[test]
    fn parts_are_parts_whatever_their_capitals() {
        let dir =
            tree(&["Train/a/1.png", "Train/b/4.png", "VALID/a/2.png", "Testing/a/3.png", "docs/x.md", "Train/5.png"]);
        let found = labelled(dir.path()).unwrap();
        assert_eq!(classes(&found), pairs(&[("train", "a b"), ("validation", "a"), ("test", "a")]));
        assert!(found.assumed[0].contains("Train as train, VALID as validation"), "{:?}", found.assumed);
        let mut left: Vec<&str> = found.left_out.iter().map(|one| one.place.as_str()).collect();
        left.sort_unstable();
        assert_eq!(left, ["folder", "image"]);
        // Images to be labelled, as competitions have them.
        let dir = tree(&["train/a/1.png", "test/1.png", "test/2.png"]);
        let found = labelled(dir.path()).unwrap();
        assert_eq!(classes(&found), pairs(&[("train", "a")]));
        assert!(found.left_out[0].reason.contains("2 images lie in no class folder"), "{:?}", found.left_out);
        assert_eq!(classes(&labelled(tree(&["val/a/1.png"]).path()).unwrap()), pairs(&[("validation", "a")]));
    }

    #[test]
    fn parts_and_classes_side_by_side_are_refused_unless_it_is_said_what_they_are() {
        let dir = tree(&["train/1.png", "car/2.png", "Test/a/3.png"]);
        let message = labelled(dir.path()).unwrap_err();
        for part in ["(Test, train)", "(car)", "--subfolders parts", "--subfolders classes"] {
            assert!(message.contains(part), "{message}");
        }
        let folders = Folders::read(dir.path()).unwrap();
        let found = folders.labelled(Subfolders::Classes).unwrap();
        assert_eq!(classes(&found), pairs(&[("", "Test car train")]));
        let found = folders.labelled(Subfolders::Parts).unwrap();
        assert_eq!(classes(&found), pairs(&[("test", "a")]));
        assert_eq!(found.left_out.len(), 2);
        let twice = tree(&["val/a/1.png", "Valid/a/1.png"]);
        let message = labelled(twice.path()).unwrap_err();
        assert!(message.contains("Valid and val are both called as validation is"), "{message}");
        let none = Folders::read(tree(&["a/1.png"]).path()).unwrap();
        assert!(none.labelled(Subfolders::Parts).is_err());
    }

    #[test]
    fn a_folder_too_high_is_refused_with_the_command() {
        for (names, below) in [
            (&["pets/cat/1.png", "pets/dog/2.png"] as &[&str], "pets"),
            (&["a/pets/cat/1.png", "a/pets/dog/2.png", "readme.md"], "a/pets"),
            (&["a/train/cat/1.png", "a/val/cat/2.png"], "a"),
            (&["cat/day 1/1.png"], "cat"),
            (&["train/pets/cat/1.png", "train/pets/dog/1.png"], "train/pets"),
        ] {
            let dir = tree(names);
            let message = labelled(dir.path()).unwrap_err();
            let command = format!("trainer convert folders {}.", dir.path().join(below).display());
            assert!(message.contains(&command) && message.contains("--subfolders classes"), "{message}");
        }
        let dir = tree(&["my pets/cat/1.png", "my pets/dog/2.png"]);
        assert!(labelled(dir.path()).unwrap_err().contains("my pets'."));
        let found = Folders::read(dir.path()).unwrap().labelled(Subfolders::Classes).unwrap();
        assert_eq!(classes(&found), pairs(&[("", "my pets my pets")]));
        for (names, word) in [
            (&["rome/cat/1.png", "rome/dog/2.png", "oslo/cat/3.png", "oslo/dog/4.png"], "cat, dog are the classes"),
            (&["cat/test/1.png", "cat/train/2.png", "dog/test/3.png", "dog/train/4.png"], "parts are told apart"),
        ] {
            let found = labelled(tree(names).path()).unwrap();
            assert!(found.assumed.len() == 1 && found.assumed[0].contains(word), "{:?}", found.assumed);
        }
        let plain = labelled(tree(&["cat/a/1.png", "cat/b/1.png", "dog/c/2.png"]).path()).unwrap();
        assert!(plain.assumed.is_empty(), "{:?}", plain.assumed);
    }

    #[test]
    fn a_folder_without_images_is_an_error() {
        let dir = tree(&["1.png", "a/x.txt"]);
        let message = labelled(dir.path()).unwrap_err();
        assert!(message.contains("one subfolder per class") && message.contains("name the one above"), "{message}");
        assert!(labelled(&dir.path().join("a")).unwrap_err().contains("one subfolder per class"));
        assert!(labelled(&dir.path().join("gone")).is_err());
    }
}
