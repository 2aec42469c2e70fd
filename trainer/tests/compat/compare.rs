//! Whether two answers say the same. Everything that was recorded must still be said, word for word; more may be said. Numbers
//! are compared with tolerances, since processors round sums differently, and of boxes a few may be decided otherwise.

use serde_json::Value;

/// Largest accepted difference of two numbers up to 1, and of larger ones as a share of them.
const CLOSE: f64 = 2e-3;
/// The same where some steps of training, each on the result of the last, lie before the numbers.
const TRAINED: f64 = 1e-2;
/// Share of the boxes of an answer that may be others, where scores or overlaps are as good as equal to what decides.
const DECIDED_OTHERWISE: f64 = 0.25;
/// Largest accepted difference of a metric that rests on decisions: one image of three may fall on the other side.
const DECIDED_METRIC: f64 = 0.35;
/// Words that the answer of another version may say otherwise.
const FREE: [&str; 3] = ["version", "message", "timing"];
/// Metrics that rest on decisions, by a part of their names.
const DECIDED: [&str; 10] = ["accuracy", "precision", "recall", "f1", "auc", "iou", "ap", "mar", "ar_", "correlation"];

/// What differs, as lines that begin with the place.
pub fn differences(recorded: &Value, found: &Value) -> Vec<String> {
    let mut all = Vec::new();
    compare("", recorded, found, &mut all);
    all
}

fn compare(place: &str, recorded: &Value, found: &Value, all: &mut Vec<String>) {
    match (recorded, found) {
        (Value::Object(a), Value::Object(b)) => {
            for (name, value) in a.iter().filter(|(name, _)| !FREE.contains(&name.as_str())) {
                let place = format!("{place}/{name}");
                match b.get(name) {
                    Some(other) => compare(&place, value, other, all),
                    None => all.push(format!("{place}: {value} was recorded, and nothing is there")),
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if is_boxes(a) || is_boxes(b) => {
            if let Some(problem) = boxes(a, b) {
                all.push(format!("{place}: {problem}"));
            }
        }
        // What a server can do is a set, which grows.
        (Value::Array(a), Value::Array(b)) if place.ends_with("/extensions") => {
            let missing = a.iter().filter(|one| !b.contains(one));
            all.extend(missing.map(|one| format!("{place}: {one} was recorded, and is not there")));
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (number, (a, b)) in a.iter().zip(b).enumerate() {
                compare(&format!("{place}/{number}"), a, b, all);
            }
        }
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            let limit = limit(place) * a.abs().max(1.0);
            if (a - b).abs() > limit {
                all.push(format!("{place}: {a} was recorded and {b} found; at most {limit} of difference is accepted"));
            }
        }
        _ if recorded == found => {}
        _ => all.push(format!("{place}: {recorded} was recorded and {found} found")),
    }
}

/// Largest accepted difference of the numbers in a place.
fn limit(place: &str) -> f64 {
    let metric = place.rsplit('/').next().unwrap_or_default().to_lowercase();
    let measured = place.contains("/metrics/") || place.contains("/validation/");
    if measured && DECIDED.iter().any(|part| metric.contains(part)) {
        return DECIDED_METRIC;
    }
    if place.starts_with("/resume/") { TRAINED } else { CLOSE }
}

fn is_boxes(values: &[Value]) -> bool {
    values.first().is_some_and(|value| value.get("box").is_some() && value.get("score").is_some())
}

/// What is wrong with boxes that are to be these.
fn boxes(recorded: &[Value], found: &[Value]) -> Option<String> {
    let mut left: Vec<&Value> = found.iter().collect();
    let mut missing = 0;
    for one in recorded {
        match left.iter().position(|other| same_box(one, other)) {
            Some(at) => drop(left.swap_remove(at)),
            None => missing += 1,
        }
    }
    let accepted = (recorded.len() as f64 * DECIDED_OTHERWISE) as usize;
    let problem = format!(
        "{missing} of {} boxes are missing and {} are new; at most {accepted} of each are accepted",
        recorded.len(),
        left.len()
    );
    (missing > accepted || left.len() > accepted).then_some(problem)
}

fn same_box(a: &Value, b: &Value) -> bool {
    let mut differences = Vec::new();
    compare("", a, b, &mut differences);
    differences.is_empty()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(scores: &[f64]) -> Value {
        let one = |score: &f64| json!({ "box": { "topX": 0.1 }, "label": "disc", "score": score });
        scores.iter().map(one).collect()
    }

    #[test]
    fn rounding_is_the_same_and_more_is_not() {
        let recorded = json!({ "probs": [0.25, 0.75], "label": "disc" });
        assert!(differences(&recorded, &json!({ "probs": [0.2501, 0.7499], "label": "disc", "new": 1 })).is_empty());
        for other in [
            json!({ "probs": [0.26, 0.74], "label": "disc" }),
            json!({ "probs": [0.25, 0.75], "label": "bar" }),
            json!({ "probs": [0.25], "label": "disc" }),
            json!({ "probs": [0.25, 0.75] }),
        ] {
            assert!(!differences(&recorded, &other).is_empty(), "{other}");
        }
    }

    #[test]
    fn a_server_may_learn_more_and_forgets_nothing() {
        let of = |extensions: &[&str]| json!({ "extensions": extensions });
        assert!(differences(&of(&["a", "b"]), &of(&["c", "b", "a"])).is_empty());
        assert_eq!(differences(&of(&["a", "b"]), &of(&["b"])).len(), 1);
    }

    #[test]
    fn one_box_of_four_may_be_decided_otherwise() {
        let recorded = found(&[0.9, 0.8, 0.7, 0.6]);
        assert!(differences(&recorded, &found(&[0.9, 0.8, 0.7, 0.1])).is_empty());
        assert!(differences(&recorded, &found(&[0.8, 0.9, 0.6, 0.7])).is_empty());
        for other in [found(&[0.9, 0.8, 0.2, 0.1]), found(&[]), found(&[0.9, 0.8, 0.7, 0.6, 0.5, 0.4])] {
            assert!(!differences(&recorded, &other).is_empty(), "{other}");
        }
    }
}
