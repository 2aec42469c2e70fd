//! Kinds of values a setting can take, and how text and JSON are read as one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::SettingError;

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
    }
}

choice! {
    /// Optimiser.
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
    /// What is limited before an optimiser step.
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
    /// Which metric of a detector decides which epoch is best.
    MetricType {
        /// None: nothing is compared, and the last epoch evaluated counts as the best.
        None = "none",
        /// Mean over the classes of the area under the precision-recall curve at `validation_iou_threshold`.
        Voc = "voc",
        /// COCO's AP at IoU 0.50.
        Coco = "coco",
        /// Both are measured; the one of `voc` decides.
        CocoVoc = "coco_voc",
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
                let found = words.iter().find(|word| **word == given);
                found.map(|word| Value::from(*word)).ok_or_else(|| wrong(format!("one of {}", self.range())))
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
