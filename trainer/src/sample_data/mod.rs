//! A small generated data set, for the first five minutes: shapes to be told apart (and, for detection, found) whatever their
//! colour, place, size, turn and background, so that a model has to look at the outline.

mod draw;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use models::host::{Rgb, encode_jpeg};
use schemas::Task;

use crate::convert::boxes::{Marked, Picture, rows};
use crate::convert::{ConvertedLabel, ConvertedRow, image_url, write_rows};
use crate::data::{DataError, KeyedRng};
use draw::Shape;

/// JPEG quality of the pictures.
const QUALITY: u8 = 88;
/// Fewest pictures: one of each class in each part.
const FEWEST: usize = Shape::ALL.len() * 3;

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SampleSummary {
    /// JSONL to train on: about 70 % of the pictures.
    pub train: PathBuf,
    /// JSONL to validate on: about 15 %.
    pub validation: PathBuf,
    /// JSONL to test on: the rest.
    pub test: PathBuf,
    /// The classes.
    pub labels: Vec<String>,
    /// Pictures in all.
    pub images: usize,
}

/// Draws `count` pictures (240 x 180, JPEG) into `folder/images` and writes `train.jsonl`, `validation.jsonl` and
/// `test.jsonl` beside it. For classification a picture shows one shape, every class equally often up to one; for multi-label
/// classification and for detection one to four, or, every tenth, none, under their names or with the box around each. The same seed and count give the same bytes.
///
/// # Errors
/// `task` is another, `count` is below 12, or an IO error.
pub fn generate(task: Task, folder: &Path, seed: u64, count: usize) -> Result<SampleSummary, DataError> {
    let make = match task {
        Task::ImageClassification => classification,
        Task::ImageObjectDetection => detection,
        Task::ImageClassificationMultilabel => multilabel,
        Task::ImageInstanceSegmentation => {
            let limit = "pictures can be generated for image-classification, image-classification-multilabel and \
                         image-object-detection";
            return Err(DataError::Setting { name: "task", value: task.to_string(), limit });
        }
    };
    if count < FEWEST {
        let limit = "at least 12 are needed: one of each of 4 classes in each of 3 parts";
        return Err(DataError::Setting { name: "count", value: count.to_string(), limit });
    }
    let folder = &std::path::absolute(folder).map_err(|source| io_error("resolve", folder, source))?;
    let per_part = |share: usize| (count * share / 100).max(Shape::ALL.len());
    let (validation, test) = (per_part(15), per_part(15));
    let parts = [("train", count - validation - test), ("validation", validation), ("test", test)];
    let mut files = Vec::new();
    for (number, (name, pictures)) in parts.into_iter().enumerate() {
        let images = folder.join("images").join(name);
        fs::create_dir_all(&images).map_err(|source| io_error("make", &images, source))?;
        let list = folder.join(format!("{name}.jsonl"));
        make(&Draft { list: &list, images: &images, seed, part: number as u64, pictures })?;
        files.push(list);
    }
    let [train, validation, test] = <[PathBuf; 3]>::try_from(files).expect("three parts were written");
    let labels = Shape::ALL.iter().map(|shape| shape.name().to_owned()).collect();
    Ok(SampleSummary { train, validation, test, labels, images: count })
}

/// A part to be made.
struct Draft<'a> {
    list: &'a Path,
    images: &'a Path,
    seed: u64,
    part: u64,
    pictures: usize,
}

impl Draft<'_> {
    /// Random numbers of a picture.
    fn rng(&self, number: usize) -> KeyedRng {
        KeyedRng::new("sample data", &[self.seed, self.part, number as u64])
    }

    /// A picture of some shapes, and the box around each. The first pictures show every class between them; every tenth shows
    /// nothing.
    fn scene(&self, number: usize) -> (Rgb, Vec<(Shape, [f64; 4])>) {
        let mut rng = self.rng(number);
        let mut shapes = vec![Shape::ALL[number % Shape::ALL.len()]];
        shapes.extend((0..rng.below(4)).map(|_| Shape::ALL[rng.below(Shape::ALL.len() as u64) as usize]));
        if number % 10 == 9 {
            shapes.clear();
        }
        draw::scene(&shapes, &mut rng)
    }

    fn row(&self, picture: &Path, label: ConvertedLabel) -> ConvertedRow {
        ConvertedRow { image_url: image_url(self.list.parent().unwrap_or(Path::new("/")), picture), label }
    }

    /// Writes a picture. Its name must not give the class away to somebody who sorts by it.
    fn save(&self, number: usize, image: &Rgb) -> Result<PathBuf, DataError> {
        let path = self.images.join(format!("{number:05}.jpg"));
        fs::write(&path, encode_jpeg(image, QUALITY)).map_err(|source| io_error("write", &path, source))?;
        Ok(path)
    }
}

fn classification(draft: &Draft) -> Result<(), DataError> {
    let mut rows = Vec::with_capacity(draft.pictures);
    for number in 0..draft.pictures {
        let shape = Shape::ALL[number % Shape::ALL.len()];
        let path = draft.save(number, &draw::picture(shape, &mut draft.rng(number)))?;
        rows.push(draft.row(&path, ConvertedLabel::Class(shape.name().to_owned())));
    }
    write_rows(draft.list, &rows)
}

fn multilabel(draft: &Draft) -> Result<(), DataError> {
    let mut rows = Vec::with_capacity(draft.pictures);
    for number in 0..draft.pictures {
        let (image, placed) = draft.scene(number);
        let path = draft.save(number, &image)?;
        let names: BTreeSet<&str> = placed.iter().map(|(shape, _)| shape.name()).collect();
        let names = names.into_iter().map(str::to_owned).collect();
        rows.push(draft.row(&path, ConvertedLabel::Classes(names)));
    }
    write_rows(draft.list, &rows)
}

fn detection(draft: &Draft) -> Result<(), DataError> {
    let mut pictures = Vec::with_capacity(draft.pictures);
    for number in 0..draft.pictures {
        let (image, placed) = draft.scene(number);
        let path = draft.save(number, &image)?;
        let (width, height) = (f64::from(image.width), f64::from(image.height));
        let objects = placed.into_iter().map(|(shape, [x1, y1, x2, y2])| Marked {
            label: shape.name().to_owned(),
            corners: [x1 / width, y1 / height, x2 / width, y2 / height],
            is_crowd: false,
            polygon: Vec::new(),
        });
        let objects = objects.collect();
        pictures.push(Picture { path, size: Some([image.width, image.height]), objects });
    }
    rows::write(draft.list, &pictures)
}

fn io_error(action: &'static str, path: &Path, source: std::io::Error) -> DataError {
    DataError::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use models::host::{Limits, decode};

    use super::*;

    fn lines(path: &Path) -> Vec<serde_json::Value> {
        fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn parts_are_balanced_complete_and_repeatable() {
        let make = |seed| {
            let dir = tempfile::tempdir().unwrap();
            let made = generate(Task::ImageClassification, dir.path(), seed, 41).unwrap();
            (dir, made)
        };
        let (dir, made) = make(3);
        let (train, validation, test) = (lines(&made.train), lines(&made.validation), lines(&made.test));
        assert_eq!((train.len(), validation.len(), test.len()), (29, 6, 6));
        for part in [&train, &validation, &test] {
            for label in &made.labels {
                let n = part.iter().filter(|row| row["label"] == label.as_str()).count();
                assert!((part.len() / 4..=part.len().div_ceil(4)).contains(&n), "{label}: {n} of {}", part.len());
            }
        }
        let read = |dir: &tempfile::TempDir, row: &serde_json::Value| {
            fs::read(dir.path().join(row["image_url"].as_str().unwrap())).unwrap()
        };
        let image = decode(&read(&dir, &train[0]), &Limits::default()).unwrap();
        assert_eq!((image.width, image.height), (240, 180));
        let (again, _) = make(3);
        let (other, _) = make(4);
        assert_eq!(read(&again, &train[7]), read(&dir, &train[7]));
        assert_ne!(read(&other, &train[7]), read(&dir, &train[7]));
        assert_ne!(read(&dir, &train[0]), read(&dir, &validation[0]));
    }

    #[test]
    fn what_cannot_be_made_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let make = |task, count| generate(task, dir.path(), 1, count).unwrap_err().to_string();
        assert!(make(Task::ImageClassification, 11).contains("count is 11"));
        assert!(make(Task::ImageInstanceSegmentation, 50).contains("task is image-instance-segmentation"));
    }

    #[test]
    fn scenes_have_the_names_of_their_shapes() {
        let dir = tempfile::tempdir().unwrap();
        let made = generate(Task::ImageClassificationMultilabel, dir.path(), 3, 40).unwrap();
        let rows = lines(&made.train);
        let labels = |row: &serde_json::Value| row["label"].as_array().unwrap().len();
        assert_eq!((rows.len(), rows.iter().filter(|row| labels(row) == 0).count()), (28, 2));
        assert!(rows.iter().any(|row| labels(row) > 2));
        let all: BTreeSet<&str> =
            rows.iter().flat_map(|row| row["label"].as_array().unwrap()).map(|one| one.as_str().unwrap()).collect();
        assert_eq!(all.into_iter().collect::<Vec<_>>(), made.labels);
    }

    #[test]
    fn scenes_have_boxes_around_their_shapes() {
        let dir = tempfile::tempdir().unwrap();
        let made = generate(Task::ImageObjectDetection, dir.path(), 3, 40).unwrap();
        let train = rows::read(&made.train, None).unwrap();
        assert_eq!((train.pictures.len(), train.left_out.len()), (28, 0));
        let summary = train.summary(&made.train);
        assert_eq!(
            summary.classes.iter().map(|(label, _)| label).collect::<Vec<_>>(),
            made.labels.iter().collect::<Vec<_>>()
        );
        assert!(summary.objects > 28 && summary.background == 2 && summary.missing == 0, "{summary:?}");
        for picture in &train.pictures {
            let image = decode(&fs::read(&picture.path).unwrap(), &Limits::default()).unwrap();
            assert_eq!(picture.size, Some([image.width, image.height]));
            for (at, object) in picture.objects.iter().enumerate() {
                let [x1, y1, x2, y2] = object.corners;
                let (width, height) = ((x2 - x1) * 240.0, (y2 - y1) * 180.0);
                assert!((15.0..90.0).contains(&width) && (15.0..90.0).contains(&height), "{object:?}");
                let apart = |other: &Marked| {
                    other.corners[0] > x2 || other.corners[2] < x1 || other.corners[1] > y2 || other.corners[3] < y1
                };
                assert!(picture.objects[..at].iter().all(apart));
            }
        }
    }
}
