//! A small generated data set, for the first five minutes: shapes to be told apart (and, for some tasks, found) whatever their
//! colour, place, size, turn and background, so that a model has to look at the outline.

mod draw;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use files::{Order, Scope, Target, Writing};
use models::host::{Rgb, encode_jpeg};
use schemas::{Labels, Task};

use crate::convert::boxes::{LabelledImage, LabelledObject, rows};
use crate::convert::{ConvertedLabel, ConvertedRow, Groups, write_rows};
use crate::{DataError, KeyedRng};
use draw::{Placed, Shape};

/// JPEG quality of the images.
const QUALITY: u8 = 88;
/// Stands for the folder that is written.
const ROOT: &str = "/sample/data";
/// Fewest images: one of each class in each part.
const FEWEST: usize = Shape::ALL.len() * 3;

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SampleSummary {
    /// JSONL to train on: about 70 % of the images.
    pub train: PathBuf,
    /// JSONL to validate on: about 15 %.
    pub validation: PathBuf,
    /// JSONL to test on: the rest.
    pub test: PathBuf,
    /// The classes.
    pub labels: Vec<String>,
    /// Images in all.
    pub images: usize,
    /// What earlier data in the folder left there and is no longer as it was written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<PathBuf>,
}

/// Draws `count` images (240 x 180, JPEG) into `images` in the output of `order` and writes `train.jsonl`, `validation.jsonl` and
/// `test.jsonl` beside it. For classification an image shows one shape, every class equally often up to one; for multi-label
/// classification, detection and segmentation one to four, or, every tenth, none, under their names, with the box around each or with its
/// outline. The same seed and count give the same bytes.
///
/// # Errors
/// `count` is below 12, a file may not be written, or an IO error.
pub fn generate(task: Task, order: &Order, seed: u64, count: usize) -> Result<SampleSummary, DataError> {
    let make = match task.labels() {
        Labels::Class => classification,
        Labels::Classes => multilabel,
        Labels::Boxes => detection,
        Labels::Outlines => segmentation,
    };
    if count < FEWEST {
        let limit = "at least 12 are needed: one of each of 4 classes in each of 3 parts";
        return Err(DataError::Setting { name: "count", value: count.to_string(), limit });
    }
    let per_part = |share: usize| (count * share / 100).max(Shape::ALL.len());
    let (validation, test) = (per_part(15), per_part(15));
    let parts = [("train", count - validation - test), ("validation", validation), ("test", test)];
    let drafts = parts.iter().zip(0..).map(|(&(name, images), part)| Draft { name, seed, part, images });
    let drafts: Vec<Draft> = drafts.collect();
    let targets: Vec<Target> = drafts.iter().flat_map(Draft::targets).collect();
    let mut writing = order.folder(Scope::Whole, &targets)?.begin()?;
    drafts.iter().try_for_each(|draft| make(draft, &mut writing))?;
    let kept = writing.publish()?.kept;
    let folder = &std::path::absolute(order.output).map_err(|source| DataError::io("resolve", order.output, source))?;
    let [train, validation, test] = parts.map(|(name, _)| folder.join(format!("{name}.jsonl")));
    let labels = Shape::ALL.iter().map(|shape| shape.name().to_owned()).collect();
    Ok(SampleSummary { train, validation, test, labels, images: count, kept })
}

/// A part to be made.
struct Draft {
    name: &'static str,
    seed: u64,
    part: u64,
    images: usize,
}

impl Draft {
    /// Its list. Images are named by their place in it: a name must not give the class away to somebody who sorts by it.
    fn list(&self) -> String {
        format!("{}.jsonl", self.name)
    }

    fn image(&self, number: usize) -> String {
        format!("images/{}/{number:05}.jpg", self.name)
    }

    fn targets(&self) -> Vec<Target> {
        let images = (0..self.images).map(|number| Target::new(self.image(number)));
        images.chain([Target::new(self.list())]).collect()
    }

    /// Random numbers of an image.
    fn rng(&self, number: usize) -> KeyedRng {
        KeyedRng::new("sample data", &[self.seed, self.part, number as u64])
    }

    /// An image of some shapes. The first images show every class between them; every tenth shows
    /// nothing.
    fn scene(&self, number: usize) -> (Rgb, Vec<Placed>) {
        let mut rng = self.rng(number);
        let mut shapes = vec![Shape::ALL[number % Shape::ALL.len()]];
        shapes.extend((0..rng.below(4)).map(|_| Shape::ALL[rng.below(Shape::ALL.len() as u64) as usize]));
        if number % 10 == 9 {
            shapes.clear();
        }
        draw::scene(&shapes, &mut rng)
    }

    /// Makes an image and gives its name.
    fn save(&self, writing: &mut Writing, number: usize, image: &Rgb) -> Result<String, DataError> {
        let name = self.image(number);
        writing.write(&name, |out| out.write_all(&encode_jpeg(image, QUALITY)))?;
        Ok(name)
    }
}

fn classification(draft: &Draft, writing: &mut Writing) -> Result<(), DataError> {
    let mut rows = Vec::with_capacity(draft.images);
    for number in 0..draft.images {
        let shape = Shape::ALL[number % Shape::ALL.len()];
        let image_url = draft.save(writing, number, &draw::image(shape, &mut draft.rng(number)))?;
        rows.push(ConvertedRow::new(image_url, ConvertedLabel::Class(shape.name().to_owned())));
    }
    write_rows(writing, draft.list(), &rows)
}

fn multilabel(draft: &Draft, writing: &mut Writing) -> Result<(), DataError> {
    let mut rows = Vec::with_capacity(draft.images);
    for number in 0..draft.images {
        let (image, placed) = draft.scene(number);
        let image_url = draft.save(writing, number, &image)?;
        let names: BTreeSet<&str> = placed.iter().map(|placed| placed.shape.name()).collect();
        let names = names.into_iter().map(str::to_owned).collect();
        rows.push(ConvertedRow::new(image_url, ConvertedLabel::Classes(names)));
    }
    write_rows(writing, draft.list(), &rows)
}

fn detection(draft: &Draft, writing: &mut Writing) -> Result<(), DataError> {
    objects(draft, writing, |_| Vec::new())
}

fn segmentation(draft: &Draft, writing: &mut Writing) -> Result<(), DataError> {
    objects(draft, writing, |corners| vec![corners.into_flattened()])
}

/// Images of objects; `polygon` makes the segments of an object from its corners, in fractions of the image.
fn objects(
    draft: &Draft,
    writing: &mut Writing,
    polygon: impl Fn(Vec<[f64; 2]>) -> Vec<Vec<f64>>,
) -> Result<(), DataError> {
    let mut images = Vec::with_capacity(draft.images);
    for number in 0..draft.images {
        let (image, placed) = draft.scene(number);
        // Of rows only: where the folder lies does not matter to a name that is relative to it.
        let path = Path::new(ROOT).join(draft.save(writing, number, &image)?);
        let (width, height) = (f64::from(image.width), f64::from(image.height));
        let objects = placed.into_iter().map(|placed| {
            let [x1, y1, x2, y2] = placed.bounds();
            let corners = placed.corners.iter().map(|[x, y]| [x / width, y / height]).collect();
            LabelledObject {
                label: placed.shape.name().to_owned(),
                corners: [x1 / width, y1 / height, x2 / width, y2 / height],
                is_crowd: false,
                polygon: polygon(corners),
            }
        });
        let objects = objects.collect();
        images.push(LabelledImage { path, size: Some([image.width, image.height]), objects });
    }
    rows::write(writing, Path::new(ROOT), Path::new(&draft.list()), &images, &Groups::default())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use models::host::{Limits, decode};

    use super::*;

    fn order(output: &Path) -> Order<'_> {
        Order { command: "sample-data", output, overwrite: false, reads: &[] }
    }

    fn lines(path: &Path) -> Vec<serde_json::Value> {
        fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn parts_are_balanced_complete_and_repeatable() {
        let make = |seed| {
            let dir = tempfile::tempdir().unwrap();
            let made = generate(Task::ImageClassification, &order(dir.path()), seed, 41).unwrap();
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
        let make = |task, count| generate(task, &order(dir.path()), 1, count).unwrap_err().to_string();
        assert!(make(Task::ImageClassification, 11).contains("count is 11"));
    }

    #[test]
    fn scenes_have_the_names_of_their_shapes() {
        let dir = tempfile::tempdir().unwrap();
        let made = generate(Task::ImageClassificationMultilabel, &order(dir.path()), 3, 40).unwrap();
        let rows = lines(&made.train);
        let labels = |row: &serde_json::Value| row["label"].as_array().unwrap().len();
        assert_eq!((rows.len(), rows.iter().filter(|row| labels(row) == 0).count()), (28, 2));
        assert!(rows.iter().any(|row| labels(row) > 2));
        let all: BTreeSet<&str> =
            rows.iter().flat_map(|row| row["label"].as_array().unwrap()).map(|one| one.as_str().unwrap()).collect();
        assert_eq!(all.into_iter().collect::<Vec<_>>(), made.labels);
    }

    #[test]
    fn scenes_have_the_outlines_of_their_shapes() {
        let dir = tempfile::tempdir().unwrap();
        let made = generate(Task::ImageInstanceSegmentation, &order(dir.path()), 3, 40).unwrap();
        let boxes = tempfile::tempdir().unwrap();
        let boxed = generate(Task::ImageObjectDetection, &order(boxes.path()), 3, 40).unwrap();
        let (outlined, boxed) = (rows::read(&made.train, None).unwrap(), rows::read(&boxed.train, None).unwrap());
        assert_eq!((outlined.left_out.len(), outlined.images.len()), (0, 28));
        for (one, other) in outlined.images.iter().zip(&boxed.images) {
            assert_eq!(one.objects.len(), other.objects.len());
            for (one, other) in one.objects.iter().zip(&other.objects) {
                assert!(one.polygon.len() == 1 && one.polygon[0].len() >= 6, "{one:?}");
                assert!(one.corners.iter().zip(other.corners).all(|(a, b)| (a - b).abs() < 1e-9), "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn scenes_have_boxes_around_their_shapes() {
        let dir = tempfile::tempdir().unwrap();
        let made = generate(Task::ImageObjectDetection, &order(dir.path()), 3, 40).unwrap();
        let train = rows::read(&made.train, None).unwrap();
        assert_eq!((train.images.len(), train.left_out.len()), (28, 0));
        let summary = train.summary(&made.train);
        assert_eq!(
            summary.classes.iter().map(|(label, _)| label).collect::<Vec<_>>(),
            made.labels.iter().collect::<Vec<_>>()
        );
        assert!(summary.objects > 28 && summary.background == 2, "{summary:?}");
        for picture in &train.images {
            let image = decode(&fs::read(&picture.path).unwrap(), &Limits::default()).unwrap();
            assert_eq!(picture.size, Some([image.width, image.height]));
            for (at, object) in picture.objects.iter().enumerate() {
                let [x1, y1, x2, y2] = object.corners;
                let (width, height) = ((x2 - x1) * 240.0, (y2 - y1) * 180.0);
                assert!((15.0..90.0).contains(&width) && (15.0..90.0).contains(&height), "{object:?}");
                let apart = |other: &LabelledObject| {
                    other.corners[0] > x2 || other.corners[2] < x1 || other.corners[1] > y2 || other.corners[3] < y1
                };
                assert!(picture.objects[..at].iter().all(apart));
            }
        }
    }
}
