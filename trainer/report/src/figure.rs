//! Drawings with what stands beside them.

use serde::Serialize;

use super::chart::{LineChart, Series, series_class};
use super::matrix::heatmap;

#[derive(Serialize)]
pub struct Chart {
    title: String,
    svg: String,
    legend: Vec<Legend>,
}

impl Chart {
    /// A drawn chart whose legend shows a value for each curve, given its place; `None` where there is nothing to draw.
    pub fn new(chart: LineChart, value: impl Fn(usize, &Series) -> Option<String>) -> Option<Self> {
        let legend = chart.series.iter().enumerate().map(|(place, one)| Legend {
            name: one.name.clone(),
            class: series_class(place),
            value: value(place, one),
        });
        let legend = legend.collect();
        Some(Self { svg: chart.svg()?, title: chart.title, legend })
    }
}

#[derive(Serialize)]
struct Legend {
    name: String,
    class: String,
    /// The value people ask for first, such as that of the kept epoch.
    value: Option<String>,
}

#[derive(Serialize)]
pub struct Matrix {
    svg: String,
    /// Classes that are drawn, and all there are.
    shown: usize,
    all: usize,
    labels: Vec<String>,
    rows: Vec<Vec<u64>>,
}

impl Matrix {
    /// A drawn matrix, as [`heatmap`] has it.
    pub fn new(labels: Vec<String>, rows: Vec<Vec<u64>>) -> Option<Self> {
        let drawn = heatmap(&labels, &rows)?;
        Some(Self { svg: drawn.svg, shown: drawn.shown, all: labels.len(), labels, rows })
    }
}
