//! `trainer models`: what there is.

use comfy_table::{Cell, CellAlignment, Table, presets};
use models::registry::{self, ModelSpec};
use models::weights::{self, published};
use schemas::SETTINGS;
use schemas::error::ErrorCode;
use serde_json::{Value, json};

use super::Answer;
use crate::cli::args::ModelsArgs;
use crate::failure::fail;

/// Lists every model, or shows one with its defaults.
///
/// # Errors
/// When there is no model of that name.
pub fn run(args: &ModelsArgs) -> anyhow::Result<Answer> {
    let Some(name) = &args.name else {
        let rows = registry::all().iter().map(facts).collect::<anyhow::Result<Vec<_>>>()?;
        return Ok(Answer::done(table(&rows), json!({ "models": rows })));
    };
    let spec = registry::find(&name.to_lowercase().replace('-', "_")).ok_or_else(|| {
        let known: Vec<_> = registry::all().iter().map(|m| m.name).collect();
        fail(ErrorCode::UnsupportedModel, format!("there is no model {name:?}; the models are {}", known.join(", ")))
    })?;
    let mut facts = facts(spec)?;
    let settings = spec.defaults(spec.tasks()[0]);
    facts["settings"] = Value::Object(settings.to_map());
    facts["preprocessing"] = serde_json::to_value(spec.preprocessing())?;
    let mut text = table(std::slice::from_ref(&facts));
    text.push_str("\n\nSettings and their defaults:\n");
    let mut defaults = Table::new();
    defaults.load_style(presets::NOTHING);
    for setting in SETTINGS {
        let value = settings.get(setting.name).map(|v| v.to_string()).unwrap_or_default();
        defaults.add_row([format!("  {}", setting.name), value.replace('"', ""), setting.help.to_owned()]);
    }
    text.push_str(&defaults.to_string());
    Ok(Answer::done(text, facts))
}

fn facts(spec: &ModelSpec) -> anyhow::Result<Value> {
    let manifest = spec.manifest(spec.published_classes(), i64::from(spec.preprocessing().side()))?;
    let published = published::start(spec.name);
    let at_hand = weights::locate(spec.name).is_ok();
    Ok(json!({
        "name": spec.name,
        "summary": spec.summary,
        "parameters": manifest.parameters(),
        "flops": manifest.macs(),
        "input_pixels": spec.preprocessing().side(),
        "weights": published.map(|p| json!({
            "of": p.model, "file": p.file, "source": p.source, "url": p.url, "licence": p.licence, "notes": p.notes,
            "at_hand": at_hand,
        })),
    }))
}

#[expect(clippy::cast_precision_loss, reason = "shown with two decimals")]
fn table(rows: &[Value]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["model", "parameters", "FLOPs", "weights", "licence", "at hand", ""]);
    for row in rows {
        let count = |key: &str| row[key].as_i64().unwrap_or(0) as f64;
        let weights = &row["weights"];
        let text = |v: &Value| v.as_str().unwrap_or("-").to_owned();
        table.add_row([
            Cell::new(text(&row["name"])),
            Cell::new(format!("{:.2} M", count("parameters") / 1e6)).set_alignment(CellAlignment::Right),
            Cell::new(format!("{:.2} G", count("flops") / 1e9)).set_alignment(CellAlignment::Right),
            Cell::new(text(&weights["file"])),
            Cell::new(text(&weights["licence"])),
            Cell::new(if weights["at_hand"] == true { "yes" } else { "no" }),
            Cell::new(text(&row["summary"])),
        ]);
    }
    table.to_string()
}
