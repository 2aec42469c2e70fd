//! What `trainer check` finds in a data set.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Task;

/// Exit code of `trainer check` when it found errors. (Warnings and notes alone are 0; what ends the command before it
/// has looked has the code of [`crate::ErrorCode::exit_code`].)
pub const EXIT_FOUND_ERRORS: u8 = 3;

/// How bad a finding is, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Images are lost, or what a training learns or measures is wrong.
    Error,
    /// Most likely a mistake.
    Warning,
    /// Worth knowing.
    Note,
}

impl Severity {
    /// Every severity, worst first.
    pub const ALL: [Self; 3] = [Self::Error, Self::Warning, Self::Note];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// What data are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DataPart {
    /// To learn from.
    Training,
    /// To choose the best epoch by.
    Validation,
    /// To measure the model on when it is done.
    Test,
}

impl DataPart {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

/// Declares the kinds of findings: `/// meaning`, `Variant = "name", severity, "heading"`, worst first.
macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $severity:ident, $title:literal;)+) => {
        /// What is wrong, in broad terms. Declared worst first. Names are never changed or reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        pub enum FindingKind {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)+
        }

        impl FindingKind {
            /// Every kind, worst first.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Its name in files.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// How bad it is.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)+ }
            }

            /// A heading for people.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)+ }
            }
        }
    };
}

kinds! {
    /// A part of the data has no usable image.
    EmptyPart = "empty_part", Error, "Data without a usable image";
    /// The names of classes are those of parts, such as train and test.
    PartAsClass = "part_as_class", Error, "Parts of the data taken for classes";
    /// The classes lie one folder below what was taken for them.
    FolderTooHigh = "folder_too_high", Error, "A folder that lies one level too high";
    /// One image, byte for byte, is in two parts.
    LeakedImage = "leaked_image", Error, "Images in more than one part";
    /// A group is in two parts.
    SplitGroup = "split_group", Error, "Groups in more than one part";
    /// Rows that lack the key of the group.
    MissingGroup = "missing_group", Error, "Rows without a group";
    /// One image, byte for byte, has different labels.
    ContradictingLabel = "contradicting_label", Error, "One image under different labels";
    /// Names of classes that differ only by case, spaces, dashes, underscores or a dot at the end.
    SimilarClassName = "similar_class_name", Error, "Class names that look like one class";
    /// A row that cannot be read.
    BadRow = "bad_row", Error, "Rows that cannot be read";
    /// An image that is not there.
    MissingImage = "missing_image", Error, "Images that are not there";
    /// An image that cannot be decoded.
    UnreadableImage = "unreadable_image", Error, "Images that cannot be decoded";
    /// A box that is out of range or empty.
    BadBox = "bad_box", Error, "Boxes that are out of range or empty";
    /// Images in two parts that look the same.
    LeakedNearDuplicate = "leaked_near_duplicate", Warning, "Images in more than one part that look the same";
    /// Images of one place or person are likely to stand on both sides of a split.
    SuggestedGroup = "suggested_group", Warning, "Names that suggest groups";
    /// A class that no training image shows.
    UntrainedClass = "untrained_class", Warning, "Classes without a training image";
    /// A class with few images.
    FewImages = "few_images", Warning, "Classes with few images";
    /// Several rows for one image.
    RepeatedRow = "repeated_row", Warning, "Several rows for one image";
    /// One image several times, byte for byte.
    DuplicateImage = "duplicate_image", Warning, "The same image several times";
    /// Images that look the same.
    NearDuplicate = "near_duplicate", Warning, "Images that look the same";
    /// Two boxes of one label in one place.
    DoubledBox = "doubled_box", Warning, "Boxes drawn twice";
    /// Two boxes of different labels in one place.
    ConflictingBox = "conflicting_box", Warning, "Boxes of different labels in one place";
    /// A box that sticks out of its image.
    CutBox = "cut_box", Warning, "Boxes that stick out of their image";
    /// A box too small to be seen by a model.
    TinyBox = "tiny_box", Warning, "Tiny boxes";
    /// An outline with a point far from all others.
    StrayPoint = "stray_point", Warning, "Outlines with a point far from all others";
    /// An outline that crosses itself.
    CrossingOutline = "crossing_outline", Warning, "Outlines that cross themselves";
    /// An outline that covers no pixel.
    EmptyOutline = "empty_outline", Warning, "Outlines that cover no pixel";
    /// An image with boxes that its EXIF data turn.
    TurnedImage = "turned_image", Warning, "Images with boxes that EXIF turns";
    /// An image that has to be enlarged very much.
    SmallImage = "small_image", Warning, "Images that are small for the model";
    /// Outlines that are upright rectangles.
    BoxOutline = "box_outline", Note, "Outlines that are boxes";
    /// Grey images among coloured ones.
    MixedGrey = "mixed_grey", Note, "Grey and coloured images in one data set";
    /// An image of 16 bits a channel.
    SixteenBit = "sixteen_bit_image", Note, "Images of 16 bits a channel";
    /// An image of printing colours.
    Cmyk = "cmyk_image", Note, "CMYK images";
    /// An image with a channel for transparency.
    Alpha = "alpha_image", Note, "Images with an alpha channel";
    /// An image with a palette.
    Palette = "palette_image", Note, "Images with a palette";
    /// An image that is reduced very much.
    LargeImage = "large_image", Note, "Images that are large for the model";
}

/// A row of the data, and the image it names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FindingPlace {
    /// What the data are for.
    pub part: DataPart,
    /// The JSONL file, or the folder of class folders.
    pub file: String,
    /// Line in the file, from 1; null where the data are a folder.
    #[schemars(range(min = 1))]
    pub line: Option<u64>,
    /// As written in the row, or the path within the folder; null where it could not be read.
    pub image_url: Option<String>,
    /// Places in the row's label, from 0, of the objects that the finding is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<u64>,
}

impl std::fmt::Display for FindingPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.file)?;
        match (self.line, &self.image_url) {
            (Some(line), Some(url)) => write!(f, ":{line} {url}"),
            (Some(line), None) => write!(f, ":{line}"),
            (None, Some(path)) => write!(f, "/{path}"),
            (None, None) => Ok(()),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// What is wrong, in broad terms.
    pub kind: FindingKind,
    /// How bad it is; follows from the kind.
    pub severity: Severity,
    /// The file, or the folder, of the first place, or of the data as a whole.
    pub file: String,
    /// Line in it, from 1, where the finding is about a row.
    pub line: Option<u64>,
    /// What is wrong, exactly: value and limit.
    pub message: String,
    /// What to do.
    pub advice: String,
    /// The rows and images concerned; empty where it is the data as a whole.
    pub images: Vec<FindingPlace>,
}

/// How much was looked at in a part of the data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckedPart {
    /// What it is for.
    pub part: DataPart,
    /// The JSONL file, MLTable folder or folder of class folders.
    pub source: String,
    /// Rows, blank lines not counted.
    pub rows: u64,
    /// Images that can be used.
    pub images: u64,
}

/// Images of a class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckedClass {
    /// Its name.
    pub label: String,
    /// Images that show it, in each of the report's parts.
    pub images: Vec<u64>,
}

/// What may be wrong with a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SuspectKind {
    /// The image, or the object, shows another class than it is labelled with.
    OtherClass,
    /// A label is missing from an image that may have any number of them.
    MissingLabel,
    /// An image has a label too much.
    SuperfluousLabel,
    /// An object without a box.
    MissingBox,
    /// A box that lies beside its object, or around a part of it.
    MisplacedBox,
    /// A box around nothing.
    SuperfluousBox,
}

/// What one side, the row or the model, says of an image or an object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SuspectSide {
    /// The class.
    pub label: String,
    /// How probable it is to the model, 0 to 1; absent for a box that the model was not asked about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub probability: Option<f64>,
    /// `x1 y1 x2 y2` in pixels of the upright image, where it is about a box.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corners: Option<[f64; 4]>,
}

/// A label that a trained model doubts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Suspect {
    /// What may be wrong.
    pub kind: SuspectKind,
    /// How strongly the model doubts it, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub score: f64,
    /// Its row, and the object of it.
    pub place: FindingPlace,
    /// What is labelled; absent where something is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<SuspectSide>,
    /// What the model says; absent where it finds nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted: Option<SuspectSide>,
    /// The same in words.
    pub message: String,
}

/// The labels that a trained model doubts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Suspects {
    /// The model as it was named.
    pub model: String,
    /// Images that it was asked about.
    pub images: u64,
    /// How many of these were judged by a model that was trained on them, and may have learnt their errors; null where no
    /// training is recorded beside the model.
    pub seen: Option<u64>,
    /// How far the model can be believed, in words.
    pub note: String,
    /// Doubts in all.
    pub found: u64,
    /// The strongest of them, the most suspicious first.
    pub listed: Vec<Suspect>,
}

/// The answer of `trainer check`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckReport {
    /// What the labels are for.
    pub task: Task,
    /// The parts that were given.
    pub parts: Vec<CheckedPart>,
    /// The classes, sorted.
    pub classes: Vec<CheckedClass>,
    /// Findings of severity error.
    pub errors: u64,
    /// Findings of severity warning.
    pub warnings: u64,
    /// Findings of severity note.
    pub notes: u64,
    /// What was found, worst first.
    pub findings: Vec<Finding>,
    /// Labels that a trained model doubts, where one was asked. They are no findings: a doubt may be the model's error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspects: Option<Suspects>,
}

impl CheckReport {
    /// How many findings there are of a severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> u64 {
        match severity {
            Severity::Error => self.errors,
            Severity::Warning => self.warnings,
            Severity::Note => self.notes,
        }
    }

    /// The findings of each kind there is, worst first.
    pub fn by_kind(&self) -> impl Iterator<Item = &[Finding]> {
        self.findings.chunk_by(|a, b| a.kind == b.kind)
    }

    /// The exit code of the command.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        if self.errors > 0 { EXIT_FOUND_ERRORS } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_declared_worst_first_with_names_that_round_trip() {
        let severities: Vec<Severity> = FindingKind::ALL.iter().map(|kind| kind.severity()).collect();
        assert!(severities.is_sorted() && FindingKind::ALL.is_sorted());
        for &kind in FindingKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
            assert!(!kind.title().ends_with('.'));
        }
    }
}
