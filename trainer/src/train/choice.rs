//! The model of a run for which none was named: one whose published weights can be had goes before one that would start from random
//! ones, because of a few hundred images they decide what a detector is worth.

use models::registry;
use models::weights::published;
use schemas::plan::{Pretrained, Recipe};
use schemas::{Plan, PlanRequest, Source, Task};

use crate::log::Log;
use crate::nn::pretrained::Places;

/// What is tried for a task, in order.
struct Candidates {
    /// Models with published weights, those of a whole detector first.
    published: &'static [&'static str],
    /// What is trained from random weights where none can be had.
    otherwise: &'static str,
}

/// Of a task whose model by the specification may have no weights.
fn candidates(task: Task, on_processor: bool) -> Option<Candidates> {
    match task {
        Task::ImageClassification | Task::ImageClassificationMultilabel => None,
        Task::ImageObjectDetection => {
            Some(Candidates { published: &["fasterrcnn_resnet50_fpn", "fasterrcnn_resnet18_fpn"], otherwise: "yolov5" })
        }
        Task::ImageInstanceSegmentation => Some(Candidates {
            published: &["maskrcnn_resnet50_fpn", "maskrcnn_resnet18_fpn"],
            otherwise: if on_processor { "maskrcnn_resnet18_fpn" } else { "maskrcnn_resnet50_fpn" },
        }),
    }
}

/// The plan of `request` with the model that it should train, which is another than `plan`'s only where nobody named one, nor weights
/// to start from. Says which was chosen and why.
pub fn model(request: &PlanRequest, plan: Plan, on_processor: bool, log: &Log) -> Plan {
    let open = plan.checkpoint_run.is_none() && !plan.source("model_name").is_explicit();
    match (plan.recipe, &plan.pretrained) {
        (Recipe::Auto, Pretrained::Auto | Pretrained::None) if open => {}
        (Recipe::Auto | Recipe::Specification, _) => return plan,
    }
    let Some(Candidates { published: names, otherwise }) = candidates(plan.task, on_processor) else { return plan };
    // Settings that were given may have no meaning for another model, which is no candidate then.
    let with = |name: &str| {
        let mut request = request.clone();
        request.set("model_name", name, Source::Recipe);
        registry::plan(request).ok()
    };
    let take =
        |name: &str, why: &str| log.line(&format!("recipe: model_name {name}: {why}; --model_name names another"));
    if plan.pretrained == Pretrained::Auto {
        let mut places = Places::of_machine();
        let mut why_not = None;
        for (name, chosen) in names.iter().filter_map(|name| Some((name, with(name)?))) {
            match places.start(name) {
                Ok(source) => {
                    take(name, &format!("it starts from {source}"));
                    return chosen;
                }
                // Who could not be reached once is not waited for again.
                Err(error) => why_not = why_not.or(Some(error)),
            }
            places.offline = true;
        }
        if plan.source("pretrained").is_explicit() {
            return plan;
        }
        if let Some(error) = why_not {
            log.line(&format!("warning: {error}"));
        }
    }
    let chosen = match with(otherwise).filter(|_| otherwise != plan.model_name) {
        Some(chosen) => {
            take(otherwise, "the smallest of its kind, to train from random weights");
            chosen
        }
        None => plan,
    };
    let pretrained = if published::start(&chosen.model_name).is_some() { Pretrained::None } else { chosen.pretrained };
    Plan { pretrained, ..chosen }
}
