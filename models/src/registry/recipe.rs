//! The recipe `auto`: what a training takes where nobody says otherwise, chosen by what is known before it begins. One match for each
//! kind of model; the numbers stand in docs/recipes.md with the measurements behind them.

use schemas::setting::{ModelSettings, Optimizer};
use schemas::{Plan, Settings};
use serde_json::Value;

use super::spec::{Kind, ModelSpec};
use crate::classify::Classifier;
use crate::detect::Detector;

/// Batches of a warm-up that moves biases and momentum.
const WARMUP_BATCHES: usize = 100;

/// What is known of a training before it begins.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// Whether it starts from weights that were trained before.
    pub has_weights: bool,
    /// Whether a head came along with them, trained for these very classes.
    pub with_head: bool,
    /// Training images.
    pub images: usize,
    /// Validation images.
    pub validation: usize,
    /// Training images of each class, or objects where images have objects.
    pub classes: &'a [usize],
}

/// A value that the recipe chooses, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// Setting.
    pub name: &'static str,
    /// Its value.
    pub value: Value,
    /// Why, as the end of a sentence that begins with the value.
    pub reason: String,
}

/// Choices as they are made, and the settings that they lead to.
struct Chosen<'a> {
    plan: &'a Plan,
    model: ModelSettings,
    settings: Settings,
    choices: Vec<Choice>,
}

impl Chosen<'_> {
    fn is_given(&self, name: &str) -> bool {
        self.plan.source(name).is_explicit()
    }

    /// Chooses an optimizer and its learning rate. Neither is right without the other, so that who gives one gives both.
    fn optimize(&mut self, optimizer: Optimizer, rate: f64, reason: &str) {
        if self.is_given("learning_rate") || self.is_given("optimizer") && self.settings.optimizer != optimizer {
            return;
        }
        self.take("optimizer", optimizer, reason);
        if self.settings.optimizer == optimizer {
            self.take("learning_rate", rate, format!("usual with {}", optimizer.as_str()));
        }
    }

    /// Chooses a value. One that was given by name stays, and so does one without which a setting that was given would mean nothing;
    /// what is chosen after it rests on that.
    fn take(&mut self, name: &'static str, value: impl Into<Value>, reason: impl Into<String>) {
        let value = value.into();
        if self.is_given(name) || self.settings.get(name).as_ref() == Some(&value) {
            return;
        }
        let mut settings = self.settings.clone();
        let model = (self.plan.model_name.as_str(), &self.model);
        if settings.set(name, &value).is_ok() && settings.validate(self.plan.task, model, &self.plan.sources).is_empty()
        {
            self.settings = settings;
            self.choices.push(Choice { name, value, reason: reason.into() });
        }
    }
}

impl ModelSpec {
    /// What the recipe `auto` chooses for a plan, in the order to show it; nothing that was given by name.
    #[must_use]
    pub fn recipe(&self, plan: &Plan, situation: &Situation) -> Vec<Choice> {
        let model = self.settings(plan.task);
        let mut chosen = Chosen { plan, model, settings: plan.settings.clone(), choices: Vec::new() };
        match self.kind {
            Kind::Classifier(classifier) => classify(&mut chosen, situation, classifier),
            Kind::Detector(Detector::Yolov5(_)) => yolov5(&mut chosen, situation),
            Kind::Detector(Detector::FasterRcnn(_) | Detector::RetinaNet(_) | Detector::MaskRcnn(_)) => {
                rcnn(&mut chosen, situation);
            }
        }
        chosen.choices
    }
}

/// Validation images from which on a share of right answers tells epochs apart.
const MANY_TO_VALIDATE: usize = 2000;
/// Factor between the largest and the smallest class from which on the loss is weighted.
const UNEVEN: usize = 3;

fn classify(chosen: &mut Chosen, s: &Situation, classifier: Classifier) {
    if s.has_weights {
        let rate = match classifier {
            Classifier::MobileNetV2 | Classifier::EfficientNetLite0 => 1e-3,
            Classifier::Resnet(_) | Classifier::Resnest(_) | Classifier::SeResnext => 5e-4,
            Classifier::Vit(_) => 1e-4,
        };
        chosen.optimize(Optimizer::Adamw, rate, "it needs least tuning from weights that were trained before");
        chosen.take("training_batch_size", 16, "small batches make more of few images");
        chosen.take("validation_batch_size", 16, "as in training");
        chosen.take("number_of_epochs", 10, "enough where training begins from a head that fits");
        if !s.with_head {
            chosen.take("fit_head", true, "training from a head that suits the features changes them less");
        }
    }
    if let (Some(&most), Some(&fewest)) = (s.classes.iter().max(), s.classes.iter().min())
        && most >= UNEVEN * fewest.max(1)
    {
        let reason = format!("the largest class has {most} images, the smallest {fewest}");
        chosen.take("weighted_loss", 1, reason);
    }
    if s.validation < MANY_TO_VALIDATE {
        let reason = format!("a share of right answers tells little of {} validation images", s.validation);
        chosen.take("best_epoch_by", "log_loss", reason);
    }
    chosen.take("calibrate", true, "so that probabilities are as likely as they say");
}

/// The recipe of the original: its learning rates, warm-up, nominal batch and augmentation, which are meant for each other and for sgd.
fn yolov5(chosen: &mut Chosen, s: &Situation) {
    if chosen.settings.optimizer != Optimizer::Sgd {
        return;
    }
    chosen.take("lr_scheduler", "linear", "as the original trains");
    chosen.take("momentum", 0.937, "as the original trains");
    chosen.take("weight_decay", 5e-4, "as the original trains");
    chosen.take("nominal_batch_size", 64, "what the other numbers are meant for");
    chosen.take("warmup_bias_lr", 0.1, "as the original trains");
    chosen.take("warmup_momentum", 0.8, "as the original trains");
    chosen.take("grad_clip_type", "norm", "as the original trains");
    chosen.take("grad_clip_value", 10.0, "as the original trains");
    chosen.take("augment_translate", 0.1, "as the original trains");
    chosen.take("augment_hsv", 1.0, "as the original trains");
    if !s.has_weights {
        chosen.take("number_of_epochs", 40, "random weights need more passes than published ones");
    }
    let batches = s.images.div_ceil(chosen.settings.training_batch_size as usize).max(1);
    let warmup = u32::try_from(WARMUP_BATCHES.div_ceil(batches)).unwrap_or(u32::MAX).max(3);
    let reason = format!("at least {WARMUP_BATCHES} batches, of {batches} an epoch");
    chosen.take("warmup_cosine_lr_warmup_epochs", warmup.min(chosen.settings.number_of_epochs), reason);
    if chosen.settings.early_stopping && !s.has_weights {
        chosen.take("early_stopping", false, "from random weights the best epochs come last");
    }
}

fn rcnn(chosen: &mut Chosen, s: &Situation) {
    if s.has_weights {
        return;
    }
    chosen.optimize(Optimizer::Adamw, 5e-4, "sgd at the specification's rate diverges easily from random weights");
    chosen.take("early_stopping", false, "from random weights the best epochs come last");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry;
    use schemas::{PlanRequest, Source};

    fn plan(model: &str, task: &str, given: &[(&str, &str)]) -> Plan {
        let mut request = PlanRequest::new();
        for (name, value) in [("task", task), ("model_name", model), ("training_data", "t")].iter().chain(given) {
            request.set(*name, *value, Source::CommandLine);
        }
        registry::plan(request).unwrap()
    }

    fn chosen(plan: &Plan, has_weights: bool, classes: &[usize]) -> Vec<(&'static str, Value)> {
        let images = classes.iter().sum();
        let situation = Situation { has_weights, with_head: false, images, validation: 100, classes };
        let spec = registry::find(&plan.model_name).unwrap();
        spec.recipe(plan, &situation).into_iter().map(|choice| (choice.name, choice.value)).collect()
    }

    fn has(choices: &[(&str, Value)], name: &str) -> Option<Value> {
        choices.iter().find(|(one, _)| *one == name).map(|(_, value)| value.clone())
    }

    const ONE: &str = "image-classification";

    #[test]
    fn every_choice_is_a_valid_value_for_every_model() {
        for task in schemas::Task::ALL {
            for spec in registry::for_task(task) {
                for has_weights in [false, true] {
                    let mut plan = plan(spec.name, task.as_str(), &[]);
                    for (name, value) in chosen(&plan, has_weights, &[10, 50]) {
                        assert!(plan.take(name, &value).unwrap(), "{name} of {}", spec.name);
                    }
                    let model = registry::settings(task, spec.name);
                    assert_eq!(plan.settings.validate(task, (spec.name, &model), &plan.sources), vec![]);
                    // Asked again, as where a run was stopped before its first checkpoint, it has nothing to add.
                    assert_eq!(chosen(&plan, has_weights, &[10, 50]), vec![], "{}", spec.name);
                }
            }
        }
    }

    #[test]
    fn what_was_given_stays_and_keeps_its_meaning() {
        let given = plan("resnet50", ONE, &[("optimizer", "sgd"), ("early_stopping_patience", "3")]);
        let choices = chosen(&given, true, &[20, 20]);
        assert_eq!((has(&choices, "optimizer"), has(&choices, "learning_rate")), (None, None));
        // A rate is meant for an optimizer, and momentum is one of sgd's.
        for name in ["learning_rate", "momentum"] {
            let choices = chosen(&plan("resnet50", ONE, &[(name, "0.02")]), true, &[20, 20]);
            assert_eq!((has(&choices, "optimizer"), has(&choices, "learning_rate")), (None, None), "{name}");
        }
        let other = plan("yolov5", "image-object-detection", &[("optimizer", "adamw")]);
        assert_eq!(chosen(&other, false, &[20]), vec![], "what goes with sgd");
        let patient = plan("fasterrcnn_resnet18_fpn", "image-object-detection", &[("early_stopping_patience", "3")]);
        assert_eq!(has(&chosen(&patient, false, &[20]), "early_stopping"), None);
    }

    #[test]
    fn a_class_of_few_images_is_met() {
        let plan = plan("resnet18", ONE, &[]);
        assert_eq!(has(&chosen(&plan, true, &[30, 10]), "weighted_loss"), Some(1.into()));
        assert_eq!(has(&chosen(&plan, true, &[29, 10]), "weighted_loss"), None);
        assert_eq!(has(&chosen(&plan, false, &[20, 20]), "fit_head"), None, "random features are fitted to nothing");
    }
}
