//! A small generated data set, for the first five minutes: shapes to be told apart whatever their colour, place, size,
//! turn and background, so that a model has to look at the outline.

mod draw;

use std::fs;
use std::path::{Path, PathBuf};

use models::host::encode_jpeg;
use schemas::Task;

use crate::convert::{ConvertedRow, write_rows};
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
/// `test.jsonl` beside it, every class equally often up to one. The same seed and count give the same bytes.
///
/// # Errors
/// `task` is not image classification, `count` is below 12, or an IO error.
pub fn generate(task: Task, folder: &Path, seed: u64, count: usize) -> Result<SampleSummary, DataError> {
    match task {
        Task::ImageClassification => {}
        Task::ImageClassificationMultilabel | Task::ImageObjectDetection | Task::ImageInstanceSegmentation => {
            let value = serde_json::to_value(task).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
            let limit = "pictures can be generated for image-classification";
            return Err(DataError::Setting { name: "task", value, limit });
        }
    }
    if count < FEWEST {
        let limit = "at least 12 are needed: one of each of 4 classes in each of 3 parts";
        return Err(DataError::Setting { name: "count", value: count.to_string(), limit });
    }
    let per_part = |share: usize| (count * share / 100).max(Shape::ALL.len());
    let (validation, test) = (per_part(15), per_part(15));
    let parts = [("train", count - validation - test), ("validation", validation), ("test", test)];
    let mut files = Vec::new();
    for (part, (name, pictures)) in parts.into_iter().enumerate() {
        let images = folder.join("images").join(name);
        fs::create_dir_all(&images).map_err(|source| io_error("make", &images, source))?;
        let mut rows = Vec::with_capacity(pictures);
        for number in 0..pictures {
            let shape = Shape::ALL[number % Shape::ALL.len()];
            let mut rng = KeyedRng::new("sample data", &[seed, part as u64, number as u64]);
            // The name must not give the class away to somebody who sorts by it.
            let file = format!("{number:05}.jpg");
            let path = images.join(&file);
            fs::write(&path, encode_jpeg(&draw::picture(shape, &mut rng), QUALITY))
                .map_err(|source| io_error("write", &path, source))?;
            rows.push(ConvertedRow { image_url: format!("images/{name}/{file}"), label: shape.name().to_owned() });
        }
        let list = folder.join(format!("{name}.jsonl"));
        write_rows(&list, &rows)?;
        files.push(list);
    }
    let [train, validation, test] = <[PathBuf; 3]>::try_from(files).expect("three parts were written");
    let labels = Shape::ALL.iter().map(|shape| shape.name().to_owned()).collect();
    Ok(SampleSummary { train, validation, test, labels, images: count })
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
        assert!(make(Task::ImageObjectDetection, 50).contains("image-object-detection"));
    }
}
