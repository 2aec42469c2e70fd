//! AutoMode: what is searched where a job names a number of trials and nothing else. Models and ranges follow from the task, the number
//! of trials, the weights at hand and the device; the first trials are what the recipe `auto` would train, so that the study ends with
//! no less.

use indexmap::IndexMap;
use models::detect::Detector;
use models::registry::{self, ModelSpec};
use schemas::setting::Optimizer;
use schemas::{Labels, Task};
use serde_json::{Value, json};

use crate::space::{Branch, Distribution, Point, Space};

/// What is known before a study chooses for itself.
#[derive(Clone, Copy, Debug)]
pub struct Situation {
    /// What the model shall answer.
    pub task: Task,
    /// Trials of the study.
    pub trials: u64,
    /// Whether a processor trains, and no graphics card.
    pub on_processor: bool,
    /// Whether weights of a model are on this machine.
    pub has_weights: fn(&str) -> bool,
}

/// What a study chose.
#[derive(Clone, Debug, PartialEq)]
pub struct Auto {
    /// What is searched.
    pub space: Space,
    /// The trials that come first: the default, and the default of each other model.
    pub first: Vec<Point>,
    /// Why, a sentence each.
    pub reasons: Vec<String>,
}

/// Trials that a model should have, so that its ranges are searched at all.
const TRIALS_OF_A_MODEL: u64 = 4;
/// Most models of a study on a processor, and on a graphics card.
const MODELS: [usize; 2] = [2, 4];

/// Models of a task, the strongest for its cost first; a processor and a graphics card differ in what costs little.
fn candidates(task: Task, on_processor: bool) -> &'static [&'static str] {
    match (task.labels(), on_processor) {
        (Labels::Class | Labels::Classes, true) => &["efficientnet_lite0", "mobilenetv2", "resnet18", "resnet50"],
        (Labels::Class | Labels::Classes, false) => {
            &["efficientnet_lite0", "vits16r224", "resnet50", "seresnext", "vitb16r224", "mobilenetv2"]
        }
        (Labels::Boxes, true) => &["fasterrcnn_resnet50_fpn", "fasterrcnn_resnet18_fpn", "yolov5"],
        (Labels::Boxes, false) => &["fasterrcnn_resnet50_fpn", "yolov5", "retinanet_resnet50_fpn"],
        (Labels::Outlines, true) => &["maskrcnn_resnet50_fpn", "maskrcnn_resnet18_fpn"],
        (Labels::Outlines, false) => &["maskrcnn_resnet50_fpn", "maskrcnn_resnet101_fpn"],
    }
}

/// What is trained where no weights are at hand.
fn from_nothing(task: Task, on_processor: bool) -> &'static [&'static str] {
    match (task.labels(), on_processor) {
        (Labels::Class | Labels::Classes, true) => &["resnet18", "mobilenetv2"],
        (Labels::Class | Labels::Classes, false) => &["resnet50", "resnet18"],
        (Labels::Boxes, true) => &["yolov5", "fasterrcnn_resnet18_fpn"],
        (Labels::Boxes, false) => &["yolov5", "fasterrcnn_resnet50_fpn"],
        (Labels::Outlines, true) => &["maskrcnn_resnet18_fpn"],
        (Labels::Outlines, false) => &["maskrcnn_resnet50_fpn", "maskrcnn_resnet18_fpn"],
    }
}

/// Chooses what is searched; nothing that `given`, the options that every trial has, names.
#[must_use]
pub fn choose(situation: &Situation, given: &IndexMap<String, Value>) -> Auto {
    let Situation { task, trials, on_processor, has_weights } = *situation;
    let device = if on_processor { "a processor" } else { "a graphics card" };
    let named = given.get("model_name").and_then(Value::as_str).and_then(registry::find);
    let (specs, starts, mut reasons) = match named {
        Some(spec) => (vec![spec], has_weights(spec.name), vec![format!("model {}: it was named", spec.name)]),
        None => {
            let most = usize::try_from(trials / TRIALS_OF_A_MODEL).unwrap_or(usize::MAX);
            let most = most.clamp(1, MODELS[usize::from(!on_processor)]);
            let at_hand: Vec<&str> =
                candidates(task, on_processor).iter().copied().filter(|name| has_weights(name)).collect();
            let starts = !at_hand.is_empty();
            let names = if starts { at_hand } else { from_nothing(task, on_processor).to_vec() };
            let specs: Vec<&ModelSpec> = names.iter().filter_map(|name| registry::find(name)).take(most).collect();
            let listed: Vec<&str> = specs.iter().map(|spec| spec.name).collect();
            let why = if starts {
                "whose published weights are on this machine"
            } else {
                "from random weights: none are on this machine"
            };
            let reason = format!(
                "models {}, {why}; {trials} trials are enough for {} of them ({TRIALS_OF_A_MODEL} each), on {device}",
                listed.join(", "),
                specs.len()
            );
            (specs, starts, vec![reason])
        }
    };
    let ranges: Vec<Ranges> = specs.iter().map(|spec| Ranges::of(spec, starts).without(given)).collect();
    for (spec, ranges) in specs.iter().zip(&ranges) {
        let searched: Vec<String> = ranges.searched().collect();
        let searched = if searched.is_empty() { "nothing that was not given".to_owned() } else { searched.join(", ") };
        reasons.push(format!("{}: {searched}", spec.name));
    }
    let trials = if specs.len() == 1 { "trial is" } else { "trials are" };
    reasons.push(format!(
        "the first {trials} trained with what the recipe auto chooses, so that the study ends with no less"
    ));
    let first = ranges.iter().enumerate().map(|(branch, ranges)| Point { branch, values: ranges.usual() }).collect();
    Auto { space: Space { branches: ranges.into_iter().map(Ranges::branch).collect() }, first, reasons }
}

/// A branch, with the value of each parameter that the recipe would take.
struct Ranges(Vec<(&'static str, Distribution, Value)>);

impl Ranges {
    /// Those of a model that starts from weights, or from random ones.
    fn of(spec: &ModelSpec, starts: bool) -> Self {
        let mut ranges = Self(vec![]);
        ranges.fixed("model_name", spec.name);
        if !starts {
            // Said, so that no trial looks for weights that are not there, those of a detector's body included.
            ranges.fixed("pretrained", "none");
        }
        match (spec.classifier(), spec.detector()) {
            (Some(classifier), _) if starts => {
                ranges.fixed("optimizer", Optimizer::Adamw.as_str());
                ranges.rate(registry::fine_tuning_rate(classifier));
                ranges.one_of("number_of_epochs", &[json!(10), json!(20)]);
                ranges.one_of("layer_lr_decay", &[json!(1.0), json!(0.8)]);
                ranges.one_of("label_smoothing", &[json!(0.0), json!(0.1)]);
                ranges.one_of("weight_decay", &[json!(1e-4), json!(0.05)]);
            }
            (Some(_), _) => {
                ranges.fixed("optimizer", Optimizer::Adamw.as_str());
                ranges.rate(1e-3);
                ranges.one_of("weight_decay", &[json!(0.05), json!(1e-4)]);
                ranges.one_of("number_of_epochs", &[json!(60), json!(120)]);
                ranges.one_of("trivial_augment", &[json!(false), json!(true)]);
            }
            (None, Some(Detector::Yolov5(_))) => {
                ranges.rate(0.01);
                ranges.one_of("augment_scale", &[json!(0.5), json!(0.9)]);
                ranges.one_of("close_mosaic", &[json!(0), json!(10)]);
            }
            (None, _) if starts => {
                ranges.rate(5e-3);
                ranges.one_of("weight_decay", &[json!(1e-4), json!(1e-3)]);
            }
            (None, _) => {
                ranges.fixed("optimizer", Optimizer::Adamw.as_str());
                ranges.rate(5e-4);
                ranges.one_of("weight_decay", &[json!(1e-4), json!(0.05)]);
            }
        }
        ranges
    }

    /// What was not given. The optimizer stays where the learning rate does: one is meant for the other.
    fn without(self, given: &IndexMap<String, Value>) -> Self {
        let pair = ["optimizer", "learning_rate"];
        let is_given = |name: &str| {
            given.contains_key(name) || pair.contains(&name) && pair.iter().any(|other| given.contains_key(*other))
        };
        Self(self.0.into_iter().filter(|(name, ..)| !is_given(name)).collect())
    }

    fn fixed(&mut self, name: &'static str, value: &str) {
        self.0.push((name, Distribution::Choice(vec![value.into()]), value.into()));
    }

    /// One of these, of which the first is the usual one.
    fn one_of(&mut self, name: &'static str, values: &[Value]) {
        self.0.push((name, Distribution::Choice(values.to_vec()), values[0].clone()));
    }

    /// A learning rate from a quarter to four times the usual one.
    fn rate(&mut self, usual: f64) {
        let (low, high) = ((usual / 4.0).ln(), (usual * 4.0).ln());
        self.0.push(("learning_rate", Distribution::LogUniform { low, high }, usual.into()));
    }

    fn usual(&self) -> IndexMap<String, Value> {
        self.0.iter().map(|(name, _, usual)| ((*name).to_owned(), usual.clone())).collect()
    }

    /// What is searched, as `name from what`.
    fn searched(&self) -> impl Iterator<Item = String> + '_ {
        self.0.iter().filter_map(|(name, distribution, _)| match distribution {
            Distribution::Choice(values) if values.len() < 2 => None,
            Distribution::Choice(values) => {
                let values: Vec<String> = values.iter().map(Value::to_string).collect();
                Some(format!("{name} {}", values.join(" or ")))
            }
            Distribution::LogUniform { low, high } => Some(format!("{name} {:.2e} to {:.2e}", low.exp(), high.exp())),
            other => Some(format!("{name} {other:?}")),
        })
    }

    fn branch(self) -> Branch {
        Branch {
            parameters: self.0.into_iter().map(|(name, distribution, _)| (name.to_owned(), distribution)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use schemas::{PlanRequest, Source};

    use super::*;

    fn plan(task: Task, values: &IndexMap<String, Value>) {
        let mut request = PlanRequest::new();
        request.set("task", task.as_str(), Source::File).set("training_data", "t", Source::File);
        for (name, value) in values {
            request.set(name, value.clone(), Source::File);
        }
        registry::plan(request).unwrap();
    }

    #[test]
    fn the_first_trials_are_in_the_space_and_everything_in_it_is_a_plan() {
        for task in Task::ALL {
            for (on_processor, has_weights) in [(true, true), (true, false), (false, true), (false, false)] {
                let has_weights = if has_weights { |_: &str| true } else { |_: &str| false };
                let found = choose(&Situation { task, trials: 40, on_processor, has_weights }, &IndexMap::new());
                assert_eq!(found.first.len(), found.space.branches.len());
                for Point { branch, values } in &found.first {
                    plan(task, values);
                    let parameters = &found.space.branches[*branch].parameters;
                    assert_eq!(values.keys().collect::<Vec<_>>(), parameters.keys().collect::<Vec<_>>());
                    for (name, distribution) in parameters {
                        let ends = match distribution {
                            Distribution::Choice(all) => {
                                assert!(all.contains(&values[name]), "{name}");
                                all.clone()
                            }
                            Distribution::LogUniform { low, high } => {
                                let usual = values[name].as_f64().unwrap().ln();
                                assert!(low < &usual && &usual < high, "{name}");
                                vec![low.exp().into(), high.exp().into()]
                            }
                            other => panic!("{name}: {other:?}"),
                        };
                        for end in ends {
                            plan(
                                task,
                                &values
                                    .iter()
                                    .map(|(n, v)| (n.clone(), if n == name { end.clone() } else { v.clone() }))
                                    .collect(),
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn few_trials_have_one_model_and_weights_at_hand_go_first() {
        let task = Task::ImageClassification;
        let only = |name: &str| name == "resnet50";
        let found = choose(&Situation { task, trials: 6, on_processor: true, has_weights: only }, &IndexMap::new());
        assert_eq!(found.space.branches.len(), 1);
        assert_eq!(found.first[0].values["model_name"], json!("resnet50"));
        assert!(found.reasons[0].contains("on this machine"), "{:?}", found.reasons);
        let found =
            choose(&Situation { task, trials: 8, on_processor: true, has_weights: |_| false }, &IndexMap::new());
        assert_eq!(
            found.first.iter().map(|point| &point.values["model_name"]).collect::<Vec<_>>(),
            ["resnet18", "mobilenetv2"]
        );
        assert!(found.reasons[0].contains("from random weights"), "{:?}", found.reasons);
    }

    #[test]
    fn what_was_given_is_not_searched() {
        let situation =
            Situation { task: Task::ImageClassification, trials: 40, on_processor: true, has_weights: |_| true };
        let given =
            IndexMap::from([("model_name".to_owned(), json!("resnet18")), ("learning_rate".to_owned(), json!(0.02))]);
        let found = choose(&situation, &given);
        assert_eq!(found.space.branches.len(), 1);
        let names: Vec<&String> = found.space.branches[0].parameters.keys().collect();
        assert_eq!(names, ["number_of_epochs", "layer_lr_decay", "label_smoothing", "weight_decay"]);
        assert!(found.reasons[0].contains("resnet18: it was named"), "{:?}", found.reasons);
    }
}
