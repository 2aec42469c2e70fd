//! What depends only on the predicted class: hits, misses and false alarms per class, and the ratios of them.

/// What a row of probabilities says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// Index of the highest probability, the lowest index among equals; `None` where the row holds a value that is not
    /// finite (or has no columns), which is counted as a wrong answer that names no class.
    pub class: Option<usize>,
    /// Probability of `class`; 0 without one.
    pub probability: f32,
}

/// The predictions of `probabilities`, row-major `[N, classes]`.
pub fn predictions(classes: usize, probabilities: &[f32]) -> impl Iterator<Item = Prediction> + '_ {
    probabilities.chunks_exact(classes.max(1)).map(|row| {
        let mut best = Prediction { class: None, probability: 0.0 };
        if row.iter().any(|value| !value.is_finite()) {
            return best;
        }
        for (class, &probability) in row.iter().enumerate() {
            if best.class.is_none() || probability > best.probability {
                best = Prediction { class: Some(class), probability };
            }
        }
        best
    })
}

/// Hits and errors of one class, or of several summed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClassCounts {
    /// Examples of the class predicted as it.
    pub hits: u64,
    /// Examples of other classes predicted as it.
    pub false_alarms: u64,
    /// Examples of the class predicted as another, or not at all.
    pub misses: u64,
}

impl ClassCounts {
    /// One decision about one example.
    pub fn of(predicted: bool, is_true: bool) -> Self {
        Self {
            hits: u64::from(predicted && is_true),
            false_alarms: u64::from(predicted && !is_true),
            misses: u64::from(!predicted && is_true),
        }
    }

    /// Examples of the class.
    pub fn support(&self) -> u64 {
        self.hits + self.misses
    }

    /// Whether the class occurs, as truth or as prediction.
    pub fn occurs(&self) -> bool {
        self.hits + self.misses + self.false_alarms > 0
    }

    /// hits / (hits + false alarms), 0 where the class was never predicted.
    pub fn precision(&self) -> f64 {
        ratio(self.hits, self.hits + self.false_alarms)
    }

    /// hits / (hits + misses), 0 where the class never occurred.
    pub fn recall(&self) -> f64 {
        ratio(self.hits, self.hits + self.misses)
    }

    /// 2 hits / (2 hits + false alarms + misses), 0 where the class neither occurred nor was predicted.
    pub fn f1(&self) -> f64 {
        ratio(2 * self.hits, 2 * self.hits + self.false_alarms + self.misses)
    }

    /// Jaccard index: hits / (hits + false alarms + misses), 0 where the class neither occurred nor was predicted.
    pub fn iou(&self) -> f64 {
        ratio(self.hits, self.hits + self.false_alarms + self.misses)
    }
}

impl std::ops::Add for ClassCounts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            hits: self.hits + other.hits,
            false_alarms: self.false_alarms + other.false_alarms,
            misses: self.misses + other.misses,
        }
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_lower_index_and_nan_to_nobody() {
        let rows = [0.4, 0.4, 0.2, 0.1, f32::NAN, 0.9, 0.0, 0.0, 0.0, -1.0, f32::NEG_INFINITY, -3.0];
        let classes: Vec<_> = predictions(3, &rows).map(|p| p.class).collect();
        assert_eq!(classes, [Some(0), None, Some(0), None]);
        let negative: Vec<_> = predictions(2, &[-2.0, -1.0]).map(|p| (p.class, p.probability)).collect();
        assert_eq!(negative, [(Some(1), -1.0)]);
    }

    #[test]
    fn nothing_over_nothing_is_zero() {
        let none = ClassCounts::default();
        assert_eq!((none.precision(), none.recall(), none.f1(), none.iou()), (0.0, 0.0, 0.0, 0.0));
        assert!(!none.occurs() && ClassCounts::of(false, true).occurs());
        let never_predicted = ClassCounts { hits: 0, false_alarms: 0, misses: 3 };
        assert_eq!((never_predicted.precision(), never_predicted.recall()), (0.0, 0.0));
    }
}
