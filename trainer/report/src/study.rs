//! The page of a study: what was tried, what it came to, and which settings mattered.

use std::collections::BTreeMap;
use std::fmt::Write;

use minijinja::value::Serde;
use serde::Serialize;
use serde_json::Value;

use super::chart::{escape, short};
use super::{Fact, ReportError, environment};

/// Lines of one drawing; of more trials the best and an even choice of the others are drawn.
const MOST_LINES: usize = 200;
/// Points of one line.
const MOST_POINTS: usize = 120;
/// Groups that values of a number are divided into, to say what it explains.
const GROUPS: usize = 4;
/// Trials from which on something is said about what settings explain.
const ENOUGH: usize = 8;

/// What the page shows.
#[derive(Clone, Debug, Default)]
pub struct StudyPage {
    /// Name of the study.
    pub name: String,
    /// Its task, as users write it.
    pub task: String,
    /// Name of the metric that trials are compared by; larger is better.
    pub metric: String,
    /// One sentence: how it ended.
    pub status: String,
    /// Trials by number.
    pub trials: Vec<StudyTrial>,
    /// What was searched, in the order to show it.
    pub parameters: Vec<Searched>,
    /// Number of the best trial.
    pub best: Option<u64>,
    /// Where its file lies, how to serve it, what it measured.
    pub facts: Vec<Fact>,
    /// What there is to know of how the study was asked.
    pub notes: Vec<String>,
    /// The plan, as it was printed.
    pub plan: String,
}

/// A trial.
#[derive(Clone, Debug, Default)]
pub struct StudyTrial {
    /// Its number, from 0.
    pub number: u64,
    /// Completed, stopped, failed or waiting.
    pub state: String,
    /// Why it was stopped or failed.
    pub why: String,
    /// Value of each parameter that it has.
    pub values: BTreeMap<String, Value>,
    /// The metric by epoch; NaN where it is undefined.
    pub curve: Vec<(f64, f64)>,
    /// The best of it.
    pub value: Option<f64>,
    /// Epochs that it finished, and that it was to have.
    pub epochs: [u32; 2],
    /// Seconds from the start of the study to its own.
    pub started: f64,
    /// Seconds that it ran.
    pub seconds: f64,
}

/// A parameter.
#[derive(Clone, Debug, Default)]
pub struct Searched {
    /// Its setting.
    pub name: String,
    /// Whether its axis is one of logarithms.
    pub is_logarithmic: bool,
}

impl StudyTrial {
    /// Seconds that were not spent because it was ended before its last epoch, as its own epochs took.
    fn saved(&self) -> f64 {
        let [done, planned] = self.epochs.map(f64::from);
        if self.state == "stopped" && done > 0.0 { (planned - done).max(0.0) * self.seconds / done } else { 0.0 }
    }
}

/// What the template reads.
#[derive(Serialize)]
struct View<'a> {
    name: &'a str,
    task: &'a str,
    metric: &'a str,
    status: &'a str,
    tiles: Vec<(String, String)>,
    charts: Vec<Drawing>,
    scatters: Vec<Drawing>,
    parallel: Option<Drawing>,
    importance: Vec<(String, f64)>,
    enough: usize,
    facts: &'a [Fact],
    notes: &'a [String],
    columns: Vec<&'a str>,
    rows: Vec<Row<'a>>,
    plan: &'a str,
}

#[derive(Serialize)]
struct Drawing {
    title: String,
    svg: String,
}

#[derive(Serialize)]
struct Row<'a> {
    number: u64,
    state: &'a str,
    why: &'a str,
    is_best: bool,
    value: Option<f64>,
    epochs: String,
    time: String,
    values: Vec<String>,
}

/// The page as one HTML document.
///
/// # Errors
/// [`ReportError::Template`]; no data causes it.
pub fn render_study(page: &StudyPage) -> Result<String, ReportError> {
    let mut environment = environment()?;
    environment
        .add_filter("fixed", |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.4}")));
    environment.add_filter("percent", |share: f64| format!("{:.1}", share * 100.0));
    environment.add_template("study", include_str!("study.html"))?;
    Ok(environment.get_template("study")?.render(Serde(View::new(page)))?)
}

impl<'a> View<'a> {
    fn new(page: &'a StudyPage) -> Self {
        let best = page.trials.iter().find(|trial| Some(trial.number) == page.best);
        let count = |state: &str| page.trials.iter().filter(|trial| trial.state == state).count();
        let spent: f64 = page.trials.iter().map(|trial| trial.seconds).sum();
        let saved: f64 = page.trials.iter().map(StudyTrial::saved).sum();
        let mut tiles = vec![
            (
                best.and_then(|best| best.value).map_or_else(|| "–".to_owned(), short),
                format!("{}, best of all", page.metric),
            ),
            (
                format!("{}", page.trials.len()),
                format!(
                    "trials: {} completed, {} stopped, {} failed",
                    count("completed"),
                    count("stopped"),
                    count("failed")
                ),
            ),
            (duration(spent), "of training".to_owned()),
        ];
        if saved > 0.0 {
            let share = 100.0 * saved / (saved + spent);
            tiles.push((
                duration(saved),
                format!("saved by ending trials early, {share:.0} % of what all would have taken"),
            ));
        }
        let charts = [over_time(page), over_epochs(page)].into_iter().flatten().collect();
        let scatters = page.parameters.iter().filter_map(|parameter| scatter(page, parameter)).collect();
        let rows = page.trials.iter().map(|trial| Row {
            number: trial.number,
            state: &trial.state,
            why: trial.why.lines().last().unwrap_or_default(),
            is_best: Some(trial.number) == page.best,
            value: trial.value,
            epochs: format!("{}/{}", trial.epochs[0], trial.epochs[1]),
            time: duration(trial.seconds),
            values: page
                .parameters
                .iter()
                .map(|of| trial.values.get(&of.name).map_or_else(String::new, shown))
                .collect(),
        });
        Self {
            name: &page.name,
            task: &page.task,
            metric: &page.metric,
            status: &page.status,
            tiles,
            charts,
            scatters,
            parallel: parallel(page),
            importance: importance(page),
            enough: ENOUGH,
            facts: &page.facts,
            notes: &page.notes,
            columns: page.parameters.iter().map(|of| of.name.as_str()).collect(),
            rows: rows.collect(),
            plan: &page.plan,
        }
    }
}

fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if !number.is_i64() && !number.is_u64() => {
            number.as_f64().map_or_else(String::new, short)
        }
        other => other.to_string(),
    }
}

/// An axis: numbers, their logarithms, or words side by side.
enum Axis {
    Numbers { low: f64, high: f64, is_logarithmic: bool },
    Words(Vec<String>),
}

impl Axis {
    fn of(values: &[&Value], is_logarithmic: bool) -> Option<Self> {
        let numbers: Option<Vec<f64>> = values.iter().map(|value| value.as_f64()).collect();
        match numbers {
            Some(numbers) if !numbers.is_empty() => Self::numbers(numbers.into_iter(), is_logarithmic),
            Some(_) => None,
            None => {
                let mut words: Vec<String> = values.iter().map(|value| shown(value)).collect();
                words.sort();
                words.dedup();
                Some(Self::Words(words))
            }
        }
    }

    fn numbers(numbers: impl Iterator<Item = f64>, is_logarithmic: bool) -> Option<Self> {
        let finite = numbers.filter(|value| value.is_finite());
        let (low, high) =
            finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        let is_logarithmic = is_logarithmic && low > 0.0;
        (low <= high).then_some(Self::Numbers { low, high, is_logarithmic })
    }

    /// Where a value lies, from 0 to 1.
    fn place(&self, value: &Value) -> Option<f64> {
        match self {
            Self::Words(words) => {
                let place = words.iter().position(|word| *word == shown(value))?;
                Some((place as f64 + 0.5) / words.len() as f64)
            }
            Self::Numbers { .. } => self.number(value.as_f64()?),
        }
    }

    fn number(&self, value: f64) -> Option<f64> {
        let Self::Numbers { low, high, is_logarithmic } = *self else { return None };
        let scaled = |value: f64| if is_logarithmic { value.ln() } else { value };
        let (low, high, value) = (scaled(low), scaled(high), scaled(value));
        value.is_finite().then(|| if high > low { (value - low) / (high - low) } else { 0.5 })
    }

    /// Texts at places from 0 to 1.
    fn ticks(&self) -> Vec<(f64, String)> {
        match self {
            Self::Words(words) => {
                let place = |at: usize| (at as f64 + 0.5) / words.len() as f64;
                words.iter().enumerate().map(|(at, word)| (place(at), word.chars().take(18).collect())).collect()
            }
            Self::Numbers { low, high, is_logarithmic } => {
                let at = |place: f64| {
                    if *is_logarithmic {
                        (low.ln() + (high.ln() - low.ln()) * place).exp()
                    } else {
                        low + (high - low) * place
                    }
                };
                if high > low {
                    [0.0, 0.5, 1.0].map(|place| (place, short(at(place)))).into()
                } else {
                    vec![(0.5, short(*low))]
                }
            }
        }
    }
}

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 36.0;

/// A drawing with two axes.
struct Field {
    x: Axis,
    y: Axis,
    svg: String,
}

impl Field {
    fn new(title: &str, x_name: &str, x: Axis, y: Axis) -> Self {
        let mut svg = format!(
            r#"<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{}"><title>{}</title>"#,
            escape(title),
            escape(title)
        );
        for (place, text) in y.ticks() {
            let at = HEIGHT - BOTTOM - place * (HEIGHT - BOTTOM - TOP);
            let _ = write!(
                svg,
                r#"<line class="grid" x1="{LEFT}" y1="{at:.1}" x2="{:.1}" y2="{at:.1}"/><text class="tick" x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
                WIDTH - RIGHT,
                LEFT - 6.0,
                at + 3.5,
                escape(&text)
            );
        }
        let ticks = x.ticks();
        let last = ticks.len().saturating_sub(1);
        for (number, (place, text)) in ticks.into_iter().enumerate() {
            let anchor = if matches!(x, Axis::Words(_)) {
                "middle"
            } else if number == 0 {
                "start"
            } else if number == last {
                "end"
            } else {
                "middle"
            };
            let _ = write!(
                svg,
                r#"<text class="tick" x="{:.1}" y="{:.1}" text-anchor="{anchor}">{}</text>"#,
                LEFT + place * (WIDTH - LEFT - RIGHT),
                HEIGHT - BOTTOM + 15.0,
                escape(&text)
            );
        }
        let _ = write!(
            svg,
            r#"<text class="tick" x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
            WIDTH - RIGHT,
            HEIGHT - 4.0,
            escape(x_name)
        );
        Self { x, y, svg }
    }

    fn at(&self, x: f64, y: f64) -> (f64, f64) {
        (LEFT + x * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - y * (HEIGHT - BOTTOM - TOP))
    }

    fn dot(&mut self, x: f64, y: f64, class: &str, title: &str) {
        let (x, y) = self.at(x, y);
        let size = if class.contains("best") { 5.5 } else { 3.5 };
        let _ = write!(
            self.svg,
            r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="{size}"><title>{}</title></circle>"#,
            escape(title)
        );
    }

    fn line(&mut self, points: &[(f64, f64)], class: &str, title: &str) {
        let points: Vec<String> =
            points.iter().map(|&(x, y)| self.at(x, y)).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = write!(
            self.svg,
            r#"<polyline class="{class}" points="{}"><title>{}</title></polyline>"#,
            points.join(" "),
            escape(title)
        );
    }

    fn finish(mut self, title: String) -> Drawing {
        self.svg.push_str("</svg>");
        Drawing { title, svg: self.svg }
    }
}

fn class_of(page: &StudyPage, trial: &StudyTrial, kind: &str) -> String {
    let best = if Some(trial.number) == page.best { " best" } else { "" };
    format!("{kind} {}{best}", trial.state)
}

fn title_of(page: &StudyPage, trial: &StudyTrial) -> String {
    let value =
        trial.value.map_or_else(|| "nothing measured".to_owned(), |value| format!("{} {}", page.metric, short(value)));
    format!("trial {}, {}: {value}", trial.number, trial.state)
}

/// Each trial's best by the time of its end, and the best so far.
fn over_time(page: &StudyPage) -> Option<Drawing> {
    let mut ended: Vec<(f64, f64, &StudyTrial)> =
        page.trials.iter().filter_map(|trial| Some((trial.started + trial.seconds, trial.value?, trial))).collect();
    ended.sort_by(|a, b| a.0.total_cmp(&b.0));
    let unit = if ended.last()?.0 > 600.0 { 60.0 } else { 1.0 };
    let x = Axis::numbers(ended.iter().map(|(time, ..)| time / unit).chain([0.0]), false)?;
    let y = Axis::numbers(ended.iter().map(|(_, value, _)| *value), false)?;
    let title = format!("{} over time, and the best so far", page.metric);
    let mut field = Field::new(&title, if unit > 1.0 { "minutes" } else { "seconds" }, x, y);
    let (mut steps, mut best) = (Vec::new(), f64::NEG_INFINITY);
    for (time, value, _) in &ended {
        let place = field.x.number(time / unit)?;
        if let Some(&(_, last)) = steps.last() {
            steps.push((place, last));
        }
        best = best.max(*value);
        steps.push((place, field.y.number(best)?));
    }
    field.line(&steps, "line s1", "the best so far");
    for (time, value, trial) in &ended {
        let (x, y) = (field.x.number(time / unit)?, field.y.number(*value)?);
        field.dot(x, y, &class_of(page, trial, "trial"), &title_of(page, trial));
    }
    Some(field.finish(title))
}

/// The trials whose lines are drawn, the best one last, on top of the others.
fn drawn(page: &StudyPage) -> Vec<&StudyTrial> {
    let others: Vec<&StudyTrial> = page.trials.iter().filter(|trial| Some(trial.number) != page.best).collect();
    let step = others.len().div_ceil(MOST_LINES).max(1);
    let best = page.trials.iter().filter(|trial| Some(trial.number) == page.best);
    others.into_iter().step_by(step).chain(best).collect()
}

/// The metric by epoch, a line for each trial.
fn over_epochs(page: &StudyPage) -> Option<Drawing> {
    let points = || page.trials.iter().flat_map(|trial| &trial.curve).filter(|(_, value)| value.is_finite());
    let x = Axis::numbers(points().map(|point| point.0), false)?;
    let y = Axis::numbers(points().map(|point| point.1), false)?;
    let title = format!("{} over epochs, trial by trial", page.metric);
    let mut field = Field::new(&title, "epochs", x, y);
    for trial in drawn(page) {
        let step = trial.curve.len().div_ceil(MOST_POINTS).max(1);
        let places: Vec<(f64, f64)> = (trial.curve.iter().step_by(step))
            .filter_map(|&(epoch, value)| Some((field.x.number(epoch)?, field.y.number(value)?)))
            .collect();
        field.line(&places, &class_of(page, trial, "run"), &title_of(page, trial));
        // A line that ends early ends with a dot; one of a single point is one.
        if let Some(&(x, y)) = places.last().filter(|_| trial.state == "stopped" || places.len() == 1) {
            field.dot(x, y, &class_of(page, trial, "trial"), &title_of(page, trial));
        }
    }
    Some(field.finish(title))
}

/// A parameter against the metric.
fn scatter(page: &StudyPage, parameter: &Searched) -> Option<Drawing> {
    let known: Vec<(&Value, f64, &StudyTrial)> = page
        .trials
        .iter()
        .filter_map(|trial| Some((trial.values.get(&parameter.name)?, trial.value?, trial)))
        .collect();
    let x = Axis::of(&known.iter().map(|(value, ..)| *value).collect::<Vec<_>>(), parameter.is_logarithmic)?;
    let y = Axis::numbers(known.iter().map(|(_, value, _)| *value), false)?;
    let title = format!("{} by {}", page.metric, parameter.name);
    let mut field = Field::new(&title, &parameter.name, x, y);
    for (value, metric, trial) in known {
        let (Some(x), Some(y)) = (field.x.place(value), field.y.number(metric)) else { continue };
        field.dot(
            x,
            y,
            &class_of(page, trial, "trial"),
            &format!("{}; {} {}", title_of(page, trial), parameter.name, shown(value)),
        );
    }
    Some(field.finish(title))
}

/// A line through the values of each trial: an axis for each parameter, and one for the metric.
fn parallel(page: &StudyPage) -> Option<Drawing> {
    let axes: Vec<(&Searched, Axis)> = (page.parameters.iter())
        .filter_map(|of| {
            let values: Vec<&Value> = page.trials.iter().filter_map(|trial| trial.values.get(&of.name)).collect();
            Some((of, Axis::of(&values, of.is_logarithmic)?))
        })
        .collect();
    let metric = Axis::numbers(page.trials.iter().filter_map(|trial| trial.value), false)?;
    if axes.is_empty() {
        return None;
    }
    let step = 150.0;
    let (width, height, top) = (step * axes.len() as f64 + 110.0, 300.0, 34.0);
    let title = "Every trial through its values";
    let mut svg = format!(
        r#"<svg class="chart" viewBox="0 0 {width} {height}" style="min-width:{width}px;max-width:{:.0}px" role="img" aria-label="{title}"><title>{title}</title>"#,
        width * 1.2
    );
    let x_of = |place: usize| 60.0 + step * place as f64;
    let y_of = |place: f64| height - 18.0 - place * (height - 18.0 - top);
    for trial in drawn(page) {
        // A parameter that it does not have leaves a gap.
        let mut pieces: Vec<Vec<String>> = vec![vec![]];
        for (place, (of, axis)) in axes.iter().enumerate() {
            match trial.values.get(&of.name).and_then(|value| axis.place(value)) {
                Some(y) => pieces.iter_mut().last()?.push(format!("{:.1},{:.1}", x_of(place), y_of(y))),
                None => pieces.push(vec![]),
            }
        }
        let Some(end) = trial.value.and_then(|value| metric.number(value)) else { continue };
        pieces.iter_mut().last()?.push(format!("{:.1},{:.1}", x_of(axes.len()), y_of(end)));
        for piece in pieces.iter().filter(|piece| piece.len() > 1) {
            let (class, title) = (class_of(page, trial, "run"), title_of(page, trial));
            let _ = write!(
                svg,
                r#"<polyline class="{class}" points="{}"><title>{}</title></polyline>"#,
                piece.join(" "),
                escape(&title)
            );
        }
    }
    let named = axes.iter().map(|(of, axis)| (of.name.as_str(), axis)).chain([(page.metric.as_str(), &metric)]);
    for (place, (name, axis)) in named.enumerate() {
        let x = x_of(place);
        let _ = write!(
            svg,
            r#"<line class="axis" x1="{x}" y1="{top}" x2="{x}" y2="{:.1}"/><text class="tick name" x="{x}" y="16" text-anchor="middle">{}</text>"#,
            height - 18.0,
            escape(name)
        );
        for (at, text) in axis.ticks() {
            let _ = write!(
                svg,
                r#"<text class="tick over" x="{:.1}" y="{:.1}">{}</text>"#,
                x + 5.0,
                y_of(at) + 3.5,
                escape(&text)
            );
        }
    }
    svg.push_str("</svg>");
    Some(Drawing { title: title.to_owned(), svg })
}

/// What share of the metric's variance the groups of each parameter explain by themselves: the correlation ratio, corrected for the
/// number of groups (epsilon squared; Kelley 1935, "An unbiased correlation ratio measure"), from the largest on. Numbers are divided into
/// groups of even size; trials without the parameter are a group.
fn importance(page: &StudyPage) -> Vec<(String, f64)> {
    let known: Vec<(&StudyTrial, f64)> = page.trials.iter().filter_map(|trial| Some((trial, trial.value?))).collect();
    if known.len() < ENOUGH {
        return Vec::new();
    }
    let values: Vec<f64> = known.iter().map(|(_, value)| *value).collect();
    let mut found: Vec<(String, f64)> =
        (page.parameters.iter()).map(|of| (of.name.clone(), explained(&groups(&known, &of.name), &values))).collect();
    found.sort_by(|a, b| b.1.total_cmp(&a.1));
    found
}

/// Which group each trial belongs to.
fn groups(known: &[(&StudyTrial, f64)], name: &str) -> Vec<usize> {
    let of: Vec<Option<&Value>> = known.iter().map(|(trial, _)| trial.values.get(name)).collect();
    let numbers: Option<Vec<f64>> = of.iter().flatten().map(|value| value.as_f64()).collect();
    let mut distinct: Vec<String> = of.iter().flatten().map(|value| shown(value)).collect();
    distinct.sort();
    distinct.dedup();
    match numbers {
        Some(mut numbers) if distinct.len() > GROUPS => {
            numbers.sort_by(f64::total_cmp);
            let limit = |group: usize| numbers[group * numbers.len() / GROUPS];
            let group = |value: f64| (1..GROUPS).filter(|&group| value >= limit(group)).count();
            of.iter().map(|value| value.and_then(Value::as_f64).map_or(GROUPS, group)).collect()
        }
        Some(_) | None => {
            let place = |value: &Value| distinct.binary_search(&shown(value)).unwrap_or(distinct.len());
            of.iter().map(|value| value.map_or(distinct.len(), place)).collect()
        }
    }
}

fn explained(groups: &[usize], values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let total: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let mut of_group: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
    for (group, value) in groups.iter().zip(values) {
        let (sum, count) = of_group.entry(*group).or_default();
        (*sum, *count) = (*sum + value, *count + 1.0);
    }
    let between: f64 = of_group.values().map(|(sum, count)| count * (sum / count - mean).powi(2)).sum();
    let free = n - of_group.len() as f64;
    if total <= 0.0 || free <= 0.0 {
        return 0.0;
    }
    (1.0 - (total - between) / total * (n - 1.0) / free).max(0.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn page(count: u64) -> StudyPage {
        let trial = |number: u64| {
            let (x, y) = ((number * 37 % 101) as f64 / 101.0, (number * 53 % 89) as f64 / 89.0);
            let value = 0.9 - (x - 0.4).powi(2);
            let stopped = number % 5 == 4;
            let mut values = BTreeMap::from([("learning_rate".to_owned(), json!(1e-4 * 100_f64.powf(x)))]);
            values.insert("model_name".to_owned(), json!(if number.is_multiple_of(2) { "resnet18" } else { "<vit>" }));
            if number.is_multiple_of(2) {
                values.insert("momentum".to_owned(), json!(y));
            }
            StudyTrial {
                number,
                state: if stopped { "stopped" } else { "completed" }.to_owned(),
                values,
                curve: (1..=if stopped { 3 } else { 10 })
                    .map(|epoch| (f64::from(epoch), value * (1.0 - 0.5_f64.powi(epoch))))
                    .collect(),
                value: Some(value),
                epochs: if stopped { [3, 10] } else { [10, 10] },
                started: number as f64 * 30.0,
                seconds: if stopped { 9.0 } else { 30.0 },
                ..StudyTrial::default()
            }
        };
        let parameter = |name: &str, is_logarithmic| Searched { name: name.to_owned(), is_logarithmic };
        StudyPage {
            name: "shapes".to_owned(),
            task: "image-classification".to_owned(),
            metric: "accuracy".to_owned(),
            status: "completed".to_owned(),
            trials: (0..count).map(trial).collect(),
            parameters: vec![
                parameter("learning_rate", true),
                parameter("model_name", false),
                parameter("momentum", false),
            ],
            best: Some(0),
            ..StudyPage::default()
        }
    }

    #[test]
    fn everything_is_drawn_once_and_escaped() {
        let page = page(40);
        let html = render_study(&page).unwrap();
        assert!(html.contains("&lt;vit&gt;") && !html.contains("<vit>"));
        assert!(!html.contains("NaN") && !html.contains("http://") && !html.contains("<script"));
        // Two charts, three scatters, the parallel one.
        assert_eq!(html.matches("<svg class=\"chart\"").count(), 6);
        assert_eq!(html.matches("<tr").count(), 1 + 40 + 3, "a row for each trial, and for what each setting explains");
        // Eight trials ended after 3 of 10 epochs of 3 seconds.
        assert!(html.contains("168 s") || html.contains("3 min"), "8 x 7 x 3 seconds are saved");
        assert!(html.contains("saved by ending trials early"));
    }

    #[test]
    fn what_explains_the_metric_is_found() {
        let found = importance(&page(200));
        assert_eq!(found[0].0, "learning_rate");
        assert!(found[0].1 > 0.6, "{found:?}");
        assert!(found[1..].iter().all(|(_, share)| *share < 0.05), "{found:?}");
        assert!(importance(&page(5)).is_empty());
    }

    #[test]
    fn a_thousand_trials_are_a_page_that_opens_at_once() {
        let html = render_study(&page(1000)).unwrap();
        assert!(html.len() < 1_500_000, "{}", html.len());
    }

    #[test]
    fn nothing_measured_is_a_page_too() {
        let mut page = page(3);
        page.best = None;
        for trial in &mut page.trials {
            (trial.value, trial.curve, trial.state) = (None, vec![], "failed".to_owned());
        }
        let html = render_study(&page).unwrap();
        assert!(html.contains("3 failed") && !html.contains("<svg class=\"chart\""));
        render_study(&StudyPage::default()).unwrap();
    }

    /// For the eye: `FOVEA_STUDY_PAGE=FOLDER cargo test -p report study`.
    #[test]
    fn pages_for_the_eye() {
        if let Some(folder) = std::env::var_os("FOVEA_STUDY_PAGE") {
            for count in [12, 1000] {
                let path = std::path::Path::new(&folder).join(format!("study-{count}.html"));
                std::fs::write(path, render_study(&page(count)).unwrap()).unwrap();
            }
        }
    }
}
