//! Kinds of values a setting can take, and how text and JSON are read as one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::SettingError;

/// Declares an enum whose variants have fixed spellings in files and on command lines.
macro_rules! choice {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        pub enum $name {
            $($(#[$doc])* #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            /// Every spelling, in the order of declaration.
            pub const NAMES: &'static [&'static str] = &[$($text),+];

            /// The spelling of this value.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl From<$name> for serde_json::Value {
            fn from(value: $name) -> Self {
                Self::from(value.as_str())
            }
        }
    };
}
pub(crate) use choice;

choice! {
    /// Learning-rate schedule.
    LrScheduler {
        /// Linear warm-up, then a cosine; per batch.
        WarmupCosine = "warmup_cosine",
        /// Multiplied by `step_lr_gamma` every `step_lr_step_size` epochs.
        Step = "step",
        /// Linear warm-up, then a straight line per epoch down to `linear_lr_final` of the peak; YOLO's schedule.
        Linear = "linear",
    }
}

choice! {
    /// Optimizer.
    Optimizer {
        /// Stochastic gradient descent with momentum.
        Sgd = "sgd",
        /// Adam; weight decay is added to the gradient.
        Adam = "adam",
        /// Adam with decoupled weight decay.
        Adamw = "adamw",
    }
}

choice! {
    /// What is limited before an optimizer step.
    GradClip {
        /// Nothing.
        None = "none",
        /// Each gradient element, to plus or minus `grad_clip_value`.
        Value = "value",
        /// The 2-norm of all gradients together, to `grad_clip_value`.
        Norm = "norm",
    }
}

choice! {
    /// Which average precision is the primary metric of a detector.
    MetricType {
        /// Nothing is measured; the last epoch counts as the best.
        None = "none",
        /// Pascal VOC's, at `validation_iou_threshold`.
        Voc = "voc",
        /// COCO's, at an intersection over union of 0.50.
        Coco = "coco",
        /// Both; Pascal VOC's is primary.
        CocoVoc = "coco_voc",
    }
}

choice! {
    /// What decides which epoch is the best.
    BestEpochBy {
        /// The primary metric; of equal epochs the last is taken.
        Primary = "primary",
        /// The log loss, with the temperature that `calibrate` fits where it does.
        LogLoss = "log_loss",
        /// None: the last epoch is taken.
        Last = "last",
    }
}

choice! {
    /// Depth and width of YOLOv5.
    ModelSize {
        /// 0.33 and 0.25; not in the specification.
        Nano = "nano",
        /// 0.33 and 0.50.
        Small = "small",
        /// 0.67 and 0.75.
        Medium = "medium",
        /// 1 and 1.
        Large = "large",
        /// 1.33 and 1.25.
        Xlarge = "xlarge",
    }
}

/// Other spellings of words, in the specification's documents.
const SYNONYMS: &[(&str, &str)] = &[("extra_large", "xlarge")];

/// A grid of overlapping tiles that an image is cut into; 1 x 1 cuts nothing. In files `"3x2"`, or `"none"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct TileGrid {
    /// Tiles beside each other.
    pub columns: u32,
    /// Tiles above each other.
    pub rows: u32,
}

impl TileGrid {
    /// No tiles.
    pub const NONE: Self = Self { columns: 1, rows: 1 };
    /// Most tiles in one direction.
    pub const MOST: u32 = 16;

    /// Whether there is nothing to cut.
    #[must_use]
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// Number of tiles.
    #[must_use]
    pub fn count(self) -> u32 {
        self.columns * self.rows
    }

    /// Regular expression of the canonical texts: `none`, or columns and rows, of which one at least is above 1.
    #[must_use]
    pub fn canonical_pattern() -> String {
        let (any, several) = Self::sides();
        format!("^(none|{several}x{any}|1x{several})$")
    }

    /// Regular expression of every text that is read as a grid.
    #[must_use]
    pub fn pattern() -> String {
        let (any, several) = Self::sides();
        let (any, several, one) = (format!(r"\s*\+?0*{any}\s*"), format!(r"\s*\+?0*{several}\s*"), r"\s*\+?0*1\s*");
        format!(r"^\s*\(*([nN][oO][nN][eE]|{several}[,xX]{any}|{one}[,xX]{several})\)*\s*$")
    }

    /// Patterns of a number of tiles along one side: any, and more than one. They say [`Self::MOST`] in digits.
    fn sides() -> (&'static str, &'static str) {
        const { assert!(TileGrid::MOST == 16) };
        ("([1-9]|1[0-6])", "([2-9]|1[0-6])")
    }

    /// Reads `none`, `3x2`, `3X2` or `(3, 2)`.
    fn read(text: &str) -> Option<Self> {
        let text = text.trim().trim_start_matches('(').trim_end_matches(')');
        if text.eq_ignore_ascii_case("none") {
            return Some(Self::NONE);
        }
        let (columns, rows) = text.split_once([',', 'x', 'X'])?;
        let side = |text: &str| text.trim().parse().ok().filter(|side| (1..=Self::MOST).contains(side));
        Some(Self { columns: side(columns)?, rows: side(rows)? }).filter(|grid| !grid.is_none())
    }
}

impl std::fmt::Display for TileGrid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_none() { f.write_str("none") } else { write!(f, "{}x{}", self.columns, self.rows) }
    }
}

impl From<TileGrid> for String {
    fn from(grid: TileGrid) -> Self {
        grid.to_string()
    }
}

impl TryFrom<String> for TileGrid {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::read(&text).ok_or_else(|| format!("{text:?} is no grid such as 3x2"))
    }
}

impl From<TileGrid> for Value {
    fn from(grid: TileGrid) -> Self {
        Self::from(grid.to_string())
    }
}

/// A key of the rows, at their top level, or none. In files the key itself, or `"none"`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct RowKey(Option<String>);

/// Keys that a row has in any case, which say nothing beside what they are for.
const OWN_KEYS: [&str; 4] = ["image_url", "imageUrl", "image_details", "label"];

impl RowKey {
    /// No key.
    pub const NONE: Self = Self(None);

    /// The key, if there is one.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// Part of a JSON Schema that holds for the canonical texts alone.
    pub(super) fn schema() -> [(&'static str, Value); 3] {
        [("type", "string".into()), ("pattern", r"\S".into()), ("not", serde_json::json!({ "enum": OWN_KEYS }))]
    }

    /// Reads `none` or a key.
    fn read(text: &str) -> Option<Self> {
        if text.trim().eq_ignore_ascii_case("none") {
            return Some(Self::NONE);
        }
        let usable = !text.trim().is_empty() && !OWN_KEYS.contains(&text);
        usable.then(|| Self(Some(text.to_owned())))
    }
}

impl std::fmt::Display for RowKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.key().unwrap_or("none"))
    }
}

impl From<RowKey> for String {
    fn from(key: RowKey) -> Self {
        key.to_string()
    }
}

impl TryFrom<String> for RowKey {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::read(&text).ok_or_else(|| format!("{text:?} is no key that a row may have beside image_url and label"))
    }
}

impl From<RowKey> for Value {
    fn from(key: RowKey) -> Self {
        Self::from(key.to_string())
    }
}

/// What a setting holds, with its limits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// True or false.
    Bool,
    /// A whole number from `min` to `max`, both included.
    Int {
        /// Smallest value.
        min: u32,
        /// Largest value.
        max: u32,
    },
    /// A finite number.
    Float {
        /// Lower limit.
        min: f64,
        /// Upper limit.
        max: f64,
        /// The lower limit itself is refused.
        exclusive_min: bool,
        /// The upper limit itself is refused.
        exclusive_max: bool,
    },
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Columns and rows of tiles.
    Grid,
    /// A key of the rows.
    Key,
}

impl Kind {
    /// The accepted values: interval notation for numbers, a list for words.
    #[must_use]
    pub fn range(&self) -> String {
        match *self {
            Self::Bool => "true, false".to_owned(),
            Self::Int { min, max } => format!("[{min}, {max}]"),
            Self::Float { min, max, exclusive_min, exclusive_max } => {
                let (open, close) = (if exclusive_min { '(' } else { '[' }, if exclusive_max { ')' } else { ']' });
                format!("{open}{min}, {max}{close}")
            }
            Self::Choice(words) => words.join(", "),
            Self::Grid => format!("none, or COLUMNSxROWS up to {0}x{0}, such as 3x2", TileGrid::MOST),
            Self::Key => "none, or a key of the rows, beside image_url and label".to_owned(),
        }
    }

    /// What a command-line help shows for the value.
    #[must_use]
    pub fn value_name(&self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::Int { .. } => "INT",
            Self::Float { .. } => "FLOAT",
            Self::Choice(_) => "NAME",
            Self::Grid => "GRID",
            Self::Key => "KEY",
        }
    }

    /// Reads `value`, which may be the text of a number, bool or word, and returns it in its one canonical JSON form.
    /// Booleans may be true, false, 1, 0, yes, no, Enable or Disable; whole numbers may be written as floats; case and
    /// the choice between dash and underscore do not matter in words.
    ///
    /// # Errors
    /// [`SettingError::WrongType`] or [`SettingError::OutOfRange`], with `name`.
    pub fn parse(&self, name: &str, value: &Value) -> Result<Value, SettingError> {
        let wrong =
            |expected: String| SettingError::WrongType { name: name.to_owned(), value: value.clone(), expected };
        let outside = || SettingError::OutOfRange { name: name.to_owned(), value: value.clone(), range: self.range() };
        match *self {
            Self::Bool => truth(value).map(Value::from).ok_or_else(|| {
                wrong("true or false (1, 0, yes, no, Enable and Disable are also understood)".to_owned())
            }),
            Self::Int { min, max } => {
                let number = number(value).ok_or_else(|| wrong("a whole number".to_owned()))?;
                if number.fract() != 0.0 {
                    return Err(wrong("a whole number".to_owned()));
                }
                if number < f64::from(min) || number > f64::from(max) {
                    return Err(outside());
                }
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "inside u32 and whole")]
                Ok(Value::from(number as u32))
            }
            Self::Float { min, max, exclusive_min, exclusive_max } => {
                let number = number(value).ok_or_else(|| wrong("a finite number".to_owned()))?;
                let below = if exclusive_min { number <= min } else { number < min };
                let above = if exclusive_max { number >= max } else { number > max };
                // Adding zero turns -0.0 into 0.0, so that equal settings are written in the same way.
                if below || above { Err(outside()) } else { Ok(Value::from(number + 0.0)) }
            }
            Self::Choice(words) => {
                let given = value.as_str().map(normal).unwrap_or_default();
                let given = SYNONYMS.iter().find(|(other, _)| *other == given).map_or(given.as_str(), |(_, word)| word);
                let found = words.iter().find(|word| **word == given);
                found.map(|word| Value::from(*word)).ok_or_else(|| wrong(format!("one of {}", self.range())))
            }
            Self::Grid => {
                let grid = value.as_str().and_then(TileGrid::read);
                grid.map(Value::from).ok_or_else(|| wrong(self.range()))
            }
            Self::Key => {
                let key = value.as_str().and_then(RowKey::read);
                key.map(Value::from).ok_or_else(|| wrong(self.range()))
            }
        }
    }
}

/// Lower case, underscores for dashes, no space around.
pub(crate) fn normal(text: &str) -> String {
    text.trim().to_ascii_lowercase().replace('-', "_")
}

/// A finite number, or the text of one.
pub(crate) fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(n) => n.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    number.is_finite().then_some(number)
}

fn truth(value: &Value) -> Option<bool> {
    if let Value::Bool(b) = value {
        return Some(*b);
    }
    if let Some(number) = number(value) {
        return if number == 1.0 { Some(true) } else { (number == 0.0).then_some(false) };
    }
    match normal(value.as_str()?).as_str() {
        "true" | "yes" | "on" | "enable" | "enabled" => Some(true),
        "false" | "no" | "off" | "disable" | "disabled" => Some(false),
        _ => None,
    }
}
