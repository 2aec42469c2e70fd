//! Values of the models that are read when the metrics are.

use runtime::Placement;

use crate::{
    backend::{Description, ServedModel},
    metrics::{Kind, Reading, Total},
    shadow::Outcome,
};

/// A model's labels in the metrics.
pub(crate) fn labels_of(about: &Description) -> String {
    format!("model=\"{}\",version=\"{}\"", about.name, about.version)
}

/// The readings of these models, each with its labels.
pub(crate) fn of_models(models: &[(String, &ServedModel)]) -> Vec<Reading> {
    let named = |value: fn(&ServedModel) -> f64| {
        models.iter().map(|(labels, model)| (format!("{{{labels}}}"), value(model))).collect()
    };
    // Each value has a label of its own besides.
    let labelled = |values: fn(&ServedModel) -> Vec<(&'static str, String, f64)>| {
        let of = |(labels, model): &(String, &ServedModel)| {
            let labelled = |(key, value, n)| (format!("{{{labels},{key}=\"{value}\"}}"), n);
            values(model).into_iter().map(labelled).collect::<Vec<_>>()
        };
        models.iter().flat_map(of).collect::<Vec<_>>()
    };
    vec![
        Reading {
            kind: Kind::Gauge,
            name: "fovea_model_ready",
            help: "1 when a worker of the model is there to answer.",
            values: named(|m| f64::from(u8::from(m.is_ready()))),
        },
        Reading {
            kind: Kind::Gauge,
            name: "fovea_queue_jobs",
            help: "Parts of requests waiting for a worker of the model.",
            values: named(|m| m.waiting() as f64),
        },
        Reading {
            kind: Kind::Gauge,
            name: "fovea_model_provider",
            help: "1, with what the model runs on as label.",
            values: labelled(|m| vec![("provider", m.description.running.execution.provider.to_string(), 1.0)]),
        },
        Reading {
            kind: Kind::Gauge,
            name: "fovea_model_nodes",
            help: "Nodes of the model's graph that each of ONNX Runtime's providers runs.",
            values: labelled(|m| {
                let nodes = m.description.running.placement.as_ref().map(Placement::nodes).unwrap_or_default();
                nodes.into_iter().map(|(provider, n)| ("provider", provider, n as f64)).collect()
            }),
        },
        Reading {
            kind: Kind::Counter,
            name: "fovea_batches_total",
            help: "Batches that the model has run, by their size, padding included.",
            values: labelled(|m| {
                let count = |(size, total): (usize, Total)| ("size", size.to_string(), total.count as f64);
                m.metrics.batches().into_iter().map(count).collect()
            }),
        },
        Reading {
            kind: Kind::Counter,
            name: "fovea_shadow_total",
            help: "Answers of a version that are only compared, by what came of it.",
            values: labelled(|m| {
                let count = |(outcome, n): (Outcome, u64)| ("outcome", outcome.name().to_owned(), n as f64);
                m.metrics.shadow.outcomes().into_iter().map(count).collect()
            }),
        },
        Reading {
            kind: Kind::Counter,
            name: "fovea_shadow_difference_total",
            help: "Sum of the largest difference of a score in each of these comparisons.",
            values: named(|m| m.metrics.shadow.difference()),
        },
    ]
}
