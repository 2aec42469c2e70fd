//! The four tasks.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a model is trained to answer. The names are the specification's; underscores are accepted for dashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// One class per image.
    #[serde(alias = "image_classification")]
    ImageClassification,
    /// Any number of classes per image.
    #[serde(alias = "image_classification_multilabel")]
    ImageClassificationMultilabel,
    /// Labelled boxes.
    #[serde(alias = "image_object_detection")]
    ImageObjectDetection,
    /// Labelled outlines.
    #[serde(alias = "image_instance_segmentation")]
    ImageInstanceSegmentation,
}

/// What a row of a task's data says of its image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Labels {
    /// One class.
    Class,
    /// Any number of classes.
    Classes,
    /// Boxes, each with a class.
    Boxes,
    /// Outlines, each with a class.
    Outlines,
}

impl Task {
    /// Every task, in the order of the specification.
    pub const ALL: [Self; 4] = [
        Self::ImageClassification,
        Self::ImageClassificationMultilabel,
        Self::ImageObjectDetection,
        Self::ImageInstanceSegmentation,
    ];

    /// The specification's name, with dashes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ImageClassification => "image-classification",
            Self::ImageClassificationMultilabel => "image-classification-multilabel",
            Self::ImageObjectDetection => "image-object-detection",
            Self::ImageInstanceSegmentation => "image-instance-segmentation",
        }
    }

    /// What a row of its data says of the image.
    #[must_use]
    pub const fn labels(self) -> Labels {
        match self {
            Self::ImageClassification => Labels::Class,
            Self::ImageClassificationMultilabel => Labels::Classes,
            Self::ImageObjectDetection => Labels::Boxes,
            Self::ImageInstanceSegmentation => Labels::Outlines,
        }
    }

    /// The specification's primary metric: the one that decides which epoch is best.
    #[must_use]
    pub const fn primary_metric(self) -> &'static str {
        match self {
            Self::ImageClassification => "accuracy",
            Self::ImageClassificationMultilabel => "iou",
            Self::ImageObjectDetection | Self::ImageInstanceSegmentation => "mean_average_precision",
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A task name that is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a task; it is one of image-classification, image-classification-multilabel, image-object-detection, \
     image-instance-segmentation"
)]
pub struct UnknownTask(pub String);

impl FromStr for Task {
    type Err = UnknownTask;

    /// Case and the choice between dash and underscore do not matter.
    fn from_str(text: &str) -> Result<Self, UnknownTask> {
        let wanted = text.trim().to_ascii_lowercase().replace('_', "-");
        Self::ALL.into_iter().find(|task| task.as_str() == wanted).ok_or_else(|| UnknownTask(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_in_both_spellings() {
        for task in Task::ALL {
            assert_eq!(task.as_str().parse(), Ok(task));
            assert_eq!(task.as_str().replace('-', "_").to_uppercase().parse(), Ok(task));
            let json = serde_json::to_string(&task).unwrap();
            assert_eq!(json, format!("\"{task}\""));
            assert_eq!(serde_json::from_str::<Task>(&json.replace('-', "_")).unwrap(), task);
        }
        assert!("detection".parse::<Task>().is_err());
    }
}
