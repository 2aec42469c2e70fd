//! `trainer train`: from options to a training, and from its end to an answer.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use models::registry;
use schemas::error::ErrorCode;
use schemas::{PlanRequest, Source, Task};
use serde_json::{Value, json};

use super::Answer;
use crate::cli::args::TrainArgs;
use crate::train::{self, Ended, Request};

/// Trains, or resumes; exports; evaluates the exported file; writes the report.
///
/// # Errors
/// Bad settings or data, a diverged training, a device that is not there, IO.
pub fn run(args: &TrainArgs, settings: &[(String, String)]) -> anyhow::Result<Answer> {
    let request = Request {
        output: args.output.clone(),
        resume: args.resume,
        plan: plan(args, settings)?,
        settings: settings.to_vec(),
        threads: args.threads,
        export: args.export,
        image_cache: args.image_cache.clone(),
        cache_bytes: args.cache_mib.map_or_else(dataset::default_cache_bytes, |mib| mib.saturating_mul(1 << 20)),
    };
    match train::run(&request, &stop_on_signals()?)? {
        Ended::Finished(summary) => {
            // The log has said it already.
            Ok(Answer::done(String::new(), serde_json::to_value(&summary)?))
        }
        Ended::CrossValidated(all) => Ok(Answer::done(String::new(), serde_json::to_value(&all)?)),
        Ended::Interrupted { epoch, run } => {
            let text = format!("interrupted in epoch {}; continue with --resume", epoch + 1);
            let json = json!({ "interrupted": true, "epoch": epoch, "run": run });
            Ok(Answer { text, json, exit: u8::try_from(ErrorCode::Interrupted.exit_code())? })
        }
    }
}

/// A flag that SIGTERM and SIGINT set; a second signal ends the process at once.
pub(super) fn stop_on_signals() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&stop))?;
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}

/// The plan that a file and the options ask for; none without training data.
fn plan(args: &TrainArgs, settings: &[(String, String)]) -> anyhow::Result<Option<PlanRequest>> {
    let config = args.config.as_deref().map(sweep::job::flat::read).transpose()?.unwrap_or_default();
    let of_file = |wanted: &str| config.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
    if args.training_data.is_none() && of_file("training_data").is_none() {
        return Ok(None);
    }
    let given = |name: &str| args.given.iter().any(|id| id == name);
    let task = of_file("task").and_then(Value::as_str).filter(|_| !given("task")).unwrap_or(&args.task);
    let mut request = PlanRequest::new();
    let path = |p: &Option<std::path::PathBuf>| p.as_ref().map(|p| p.to_string_lossy().into_owned());
    let fields = [
        ("task", Some(args.task.clone())),
        ("model_name", Some(args.model_name.clone().unwrap_or_else(|| default_model(task)))),
        ("training_data", path(&args.training_data)),
        ("validation_data", path(&args.validation_data)),
        ("data_root", path(&args.data_root)),
        ("pretrained", Some(args.pretrained.clone())),
        ("checkpoint_run", path(&args.checkpoint_run)),
        ("recipe", Some(args.recipe.clone())),
        ("device", Some(args.device.clone())),
        ("precision", Some(args.precision.clone())),
        ("seed", Some(args.seed.to_string())),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            request.set(name, value, if given(name) { Source::CommandLine } else { Source::Default });
        }
    }
    for (name, value) in config {
        request.set(name, value, Source::File);
    }
    for (name, value) in settings {
        request.set(name, value.as_str(), Source::CommandLine);
    }
    Ok(Some(request))
}

/// The model of a task when none is named; nothing for a task that has none, which resolving the plan refuses.
fn default_model(task: &str) -> String {
    let spec = task.parse::<Task>().ok().and_then(registry::default_for);
    spec.unwrap_or(&registry::all()[0]).name.to_owned()
}
