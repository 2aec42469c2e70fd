//! The recipe `auto`: what a training takes where nobody says otherwise, chosen by what is known before it begins. One match for each
//! kind of model; the numbers stand in docs/recipes.md with the measurements behind them.

use schemas::plan::Pretrained;
use schemas::setting::{ModelSettings, Optimizer, TileGrid};
use schemas::{Labels, Plan, Settings};
use serde_json::Value;

use super::spec::{Kind, ModelSpec};
use crate::classify::Classifier;
use crate::detect::Detector;

/// Batches that a detector should see that starts from random weights.
const UPDATES: usize = 500;
/// Evaluations of a long training.
const EVALUATIONS: u32 = 10;
/// Batches of a warm-up that moves biases and momentum.
const WARMUP_BATCHES: usize = 100;

/// Sides of the images that a model is shown.
#[derive(Clone, Copy)]
struct Sides {
    /// Pixels that a small object should have, on a processor; on a graphics card twice as many.
    object: f64,
    /// Least side, on a processor.
    least: f64,
}

/// Sides are multiples of it.
const STEP: f64 = 32.0;
/// Of longer sides. Four cells of the finest map.
const YOLOV5_SIDES: Sides = Sides { object: 32.0, least: 160.0 };
/// Of longer sides, until they are divided. A little more than the smallest anchor.
const RCNN_SIDES: Sides = Sides { object: 40.0, least: 320.0 };
/// Pixels of a side below which objects are hard to find, and how many there should be with tiles.
const TINY: f64 = 16.0;
const WANTED: f64 = 24.0;

impl Sides {
    /// Of shorter sides.
    fn over(self, aspect: f64) -> Self {
        Self { object: self.object / aspect, least: self.least / aspect }
    }
}

impl Scene {
    /// The side at which a small object has the pixels that it should have, but no more than `usual`.
    fn side(&self, sides: Sides, usual: u32) -> u32 {
        let factor = if self.on_processor { 1.0 } else { 2.0 };
        let wanted = (sides.object * factor / self.small.max(1e-6)).max(sides.least * factor);
        let side = ((wanted / STEP).ceil() * STEP).min(f64::from(usual));
        side as u32
    }

    /// Why, of images whose longer side is so long.
    fn reason(&self, longer: f64) -> String {
        format!("nine of ten objects then have a side of at least {:.0} pixels", (self.small * longer).floor())
    }
}

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

/// What is known of the objects in the training images before a network is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scene {
    /// Side of a small object: the root of its area as a share of its image's longer side, which a tenth of the objects is below.
    pub small: f64,
    /// Longer side of an image over its shorter one, the median.
    pub aspect: f64,
    /// Whether a processor trains, and no graphics card.
    pub on_processor: bool,
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

impl<'a> Chosen<'a> {
    fn new(spec: &ModelSpec, plan: &'a Plan) -> Self {
        Self { plan, model: spec.settings(plan.task), settings: plan.settings.clone(), choices: Vec::new() }
    }

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

    /// Has the threshold fitted from which on labels or boxes are answered, unless it was given.
    fn fit_threshold(&mut self) {
        let threshold = match self.plan.task.labels() {
            Labels::Class => return,
            Labels::Classes => "label_threshold",
            Labels::Boxes | Labels::Outlines => "box_score_thresh",
        };
        if !self.is_given(threshold) {
            self.take(
                "fit_threshold",
                true,
                format!("{threshold} is then what has the best F1 on the validation data"),
            );
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
    /// What the recipe `auto` chooses before the network is made: its size, and that of the images it is shown; nothing that was
    /// given by name.
    #[must_use]
    pub fn shape(&self, plan: &Plan, scene: &Scene) -> Vec<Choice> {
        let mut chosen = Chosen::new(self, plan);
        match self.kind {
            Kind::Classifier(_) => {}
            Kind::Detector(Detector::Yolov5(_)) => {
                let own = matches!(plan.pretrained, Pretrained::File(_)) || plan.checkpoint_run.is_some();
                if scene.on_processor && !own {
                    chosen.take(
                        "model_size",
                        "small",
                        "a processor trains it in a third of the time of the medium one",
                    );
                }
                let side = scene.side(YOLOV5_SIDES, chosen.settings.img_size);
                let reason = scene.reason(f64::from(side));
                chosen.take("img_size", side, reason);
            }
            Kind::Detector(Detector::FasterRcnn(_) | Detector::RetinaNet(_) | Detector::MaskRcnn(_)) => {
                if chosen.is_given("min_size") || chosen.is_given("max_size") {
                    return vec![];
                }
                let Settings { min_size, max_size, .. } = chosen.settings;
                let side = scene.side(RCNN_SIDES.over(scene.aspect), min_size);
                let longest = (u64::from(max_size) * u64::from(side)).div_ceil(u64::from(min_size.max(1)));
                let reason = scene.reason(f64::from(side) * scene.aspect);
                chosen.take("min_size", side, reason);
                chosen.take("max_size", longest, "in proportion");
            }
        }
        chosen.choices
    }

    /// Tiles to look at, where even images as large as the model usually takes them leave one object in ten too small to be found
    /// well; as `tile_grid_size` takes them.
    #[must_use]
    pub fn tiles_worth_trying(&self, plan: &Plan, scene: &Scene) -> Option<String> {
        let s = &plan.settings;
        let side = match self.kind {
            Kind::Classifier(_) => return None,
            Kind::Detector(Detector::Yolov5(_)) => f64::from(s.img_size),
            Kind::Detector(Detector::FasterRcnn(_) | Detector::RetinaNet(_) | Detector::MaskRcnn(_)) => {
                f64::from(s.max_size).min(f64::from(s.min_size) * scene.aspect)
            }
        };
        let pixels = scene.small * side;
        if s.tile_grid_size != TileGrid::NONE || pixels >= TINY {
            return None;
        }
        let n = (WANTED / pixels).ceil().clamp(2.0, 4.0);
        Some(format!("{n}x{n}"))
    }

    /// What the recipe `auto` chooses for a plan, in the order to show it; nothing that was given by name.
    #[must_use]
    pub fn recipe(&self, plan: &Plan, situation: &Situation) -> Vec<Choice> {
        let mut chosen = Chosen::new(self, plan);
        match self.kind {
            Kind::Classifier(classifier) => classify(&mut chosen, situation, classifier),
            Kind::Detector(Detector::Yolov5(_)) => yolov5(&mut chosen, situation),
            Kind::Detector(Detector::FasterRcnn(_) | Detector::RetinaNet(_) | Detector::MaskRcnn(_)) => {
                rcnn(&mut chosen, situation);
            }
        }
        chosen.fit_threshold();
        chosen.choices
    }
}

/// Validation images from which on a share of right answers tells epochs apart.
const MANY_TO_VALIDATE: usize = 2000;
/// Factor between the largest and the smallest class from which on the loss is weighted.
const UNEVEN: usize = 3;

/// Learning rate of AdamW for a classifier that starts from published weights.
#[must_use]
pub fn fine_tuning_rate(classifier: Classifier) -> f64 {
    match classifier {
        Classifier::MobileNetV2 | Classifier::EfficientNetLite0 => 1e-3,
        Classifier::Resnet(_) | Classifier::Resnest(_) | Classifier::SeResnext => 5e-4,
        Classifier::Vit(_) | Classifier::ConvNextV2(_) => 1e-4,
    }
}

fn classify(chosen: &mut Chosen, s: &Situation, classifier: Classifier) {
    if s.has_weights {
        chosen.optimize(
            Optimizer::Adamw,
            fine_tuning_rate(classifier),
            "it needs least tuning from weights that were trained before",
        );
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
    let batches = s.images.div_ceil(chosen.settings.training_batch_size as usize).max(1);
    if !s.has_weights {
        let epochs = UPDATES.div_ceil(batches).clamp(40, 120);
        chosen.take(
            "number_of_epochs",
            epochs,
            format!("random weights need many passes, and {UPDATES} batches, of {batches} an epoch"),
        );
        let every = (chosen.settings.number_of_epochs / EVALUATIONS).max(1);
        chosen.take(
            "evaluation_frequency",
            every,
            format!("some {EVALUATIONS} looks at the validation data tell as much"),
        );
    }
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
        let given = [("optimizer", "adamw"), ("fit_threshold", "false")];
        let other = plan("yolov5", "image-object-detection", &given);
        assert_eq!(chosen(&other, false, &[20]), vec![], "what goes with sgd");
        let patient = plan("fasterrcnn_resnet18_fpn", "image-object-detection", &[("early_stopping_patience", "3")]);
        assert_eq!(has(&chosen(&patient, false, &[20]), "early_stopping"), None);
    }

    fn shape(model: &str, given: &[(&str, &str)], scene: Scene) -> Vec<(&'static str, Value)> {
        let plan = plan(model, "image-object-detection", given);
        let choices = registry::find(model).unwrap().shape(&plan, &scene);
        choices.into_iter().map(|choice| (choice.name, choice.value)).collect()
    }

    #[test]
    fn images_are_as_large_as_small_objects_need() {
        let scene = Scene { small: 0.126, aspect: 4.0 / 3.0, on_processor: true };
        // 32 pixels are .126 of 254, and 40 pixels of 317, whose shorter side is 238.
        assert_eq!(shape("yolov5", &[], scene), [("model_size", "small".into()), ("img_size", 256.into())]);
        let rcnn = "fasterrcnn_resnet18_fpn";
        assert_eq!(shape(rcnn, &[], scene), [("min_size", 256.into()), ("max_size", 569.into())]);
        let tiny = Scene { small: 0.02, ..scene };
        assert_eq!(shape("yolov5", &[("model_size", "nano")], tiny), [], "no larger than usual");
        assert_eq!(shape(rcnn, &[], tiny), []);
        let large = Scene { small: 0.5, ..scene };
        assert_eq!(has(&shape("yolov5", &[], large), "img_size"), Some(160.into()));
        assert_eq!(has(&shape("yolov5", &[], Scene { on_processor: false, ..large }), "img_size"), Some(320.into()));
        // What was given stays: the size of images, and the network that weights are of.
        assert_eq!(shape("yolov5", &[("img_size", "512"), ("pretrained", "w.pt")], scene), []);
        assert_eq!(shape(rcnn, &[("max_size", "800")], scene), []);
    }

    #[test]
    fn tiles_are_offered_where_objects_stay_too_small() {
        let offered = |model: &str, given: &[(&str, &str)], small: f64| {
            let scene = Scene { small, aspect: 1.5, on_processor: true };
            let plan = plan(model, "image-object-detection", given);
            registry::find(model).unwrap().tiles_worth_trying(&plan, &scene)
        };
        // Of 640 pixels 12.8, of which there are 24 in two halves.
        assert_eq!(offered("yolov5", &[], 0.02).as_deref(), Some("2x2"));
        assert_eq!(offered("yolov5", &[], 0.002).as_deref(), Some("4x4"));
        assert_eq!(offered("yolov5", &[], 0.025), None);
        assert_eq!(offered("yolov5", &[("tile_grid_size", "3x2")], 0.02), None);
        assert_eq!(offered("fasterrcnn_resnet18_fpn", &[], 0.017).as_deref(), Some("2x2"));
    }

    #[test]
    fn a_threshold_is_fitted_unless_it_was_given() {
        let sets = "image-classification-multilabel";
        assert_eq!(has(&chosen(&plan("resnet18", sets, &[]), true, &[9]), "fit_threshold"), Some(true.into()));
        assert_eq!(
            has(&chosen(&plan("resnet18", sets, &[("label_threshold", "0.4")]), true, &[9]), "fit_threshold"),
            None
        );
        let boxes = plan("yolov5", "image-object-detection", &[("box_score_thresh", "0.2")]);
        assert_eq!(has(&chosen(&boxes, true, &[9]), "fit_threshold"), None);
        assert_eq!(
            has(&chosen(&plan("resnet18", ONE, &[]), true, &[9]), "fit_threshold"),
            None,
            "one class is answered anyway"
        );
    }

    #[test]
    fn few_images_are_seen_more_often() {
        let epochs = |images: usize| {
            has(&chosen(&plan("yolov5", "image-object-detection", &[]), false, &[images]), "number_of_epochs")
        };
        assert_eq!((epochs(16), epochs(102), epochs(205)), (Some(120.into()), Some(72.into()), Some(40.into())));
        let plan = plan("yolov5", "image-object-detection", &[]);
        assert_eq!(has(&chosen(&plan, false, &[205]), "evaluation_frequency"), Some(4.into()));
    }

    #[test]
    fn a_class_of_few_images_is_met() {
        let plan = plan("resnet18", ONE, &[]);
        assert_eq!(has(&chosen(&plan, true, &[30, 10]), "weighted_loss"), Some(1.into()));
        assert_eq!(has(&chosen(&plan, true, &[29, 10]), "weighted_loss"), None);
        assert_eq!(has(&chosen(&plan, false, &[20, 20]), "fit_head"), None, "random features are fitted to nothing");
    }
}
