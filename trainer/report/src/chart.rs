//! Line charts as inline SVG, sized so that they read at a phone's width. Colours and dashes are classes of the page.

use std::fmt::Write;

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 48.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 34.0;
/// Curves of classes that share a chart: as many as there are kinds of line.
pub const CURVES: usize = 6;
/// Beyond this many points the dots would merge into a band.
const MOST_DOTS: usize = 60;

/// One curve: `(x, y)` in increasing x. A point that is not finite leaves a gap.
#[derive(Debug, Clone)]
pub struct Series {
    /// Shown in the legend and in the tooltips.
    pub name: String,
    /// The points.
    pub points: Vec<(f64, f64)>,
}

/// A line chart of up to six series (more repeat the colours).
#[derive(Debug, Clone)]
pub struct LineChart {
    /// Unique within the page; becomes the ids of the accessible title and description.
    pub id: String,
    /// What the chart shows.
    pub title: String,
    /// Name of the horizontal axis.
    pub x_label: &'static str,
    /// The curves.
    pub series: Vec<Series>,
    /// Bottom and top of the vertical axis; `None` takes what the points need.
    pub y_range: Option<(f64, f64)>,
    /// Draws a marker at this x, named for the tooltip.
    pub mark: Option<(f64, String)>,
    /// A thin line to compare the curves with, such as what chance gives; may be empty.
    pub reference: Vec<(f64, f64)>,
    /// Marks the points of curves that have few, for what is measured at points and not in between.
    pub dots: bool,
}

impl LineChart {
    /// The chart as one `<svg>` element; `None` where no point is finite.
    pub fn svg(&self) -> Option<String> {
        let field = self.field()?;
        let mut svg = String::new();
        let id = escape(&self.id);
        let _ = write!(
            svg,
            r#"<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{id}-title {id}-desc"><title id="{id}-title">{}</title><desc id="{id}-desc">{}</desc>"#,
            escape(&self.title),
            escape(&self.description()),
        );
        self.draw_axes(&mut svg, &field);
        self.draw_mark(&mut svg, &field);
        if !self.reference.is_empty() {
            let _ = write!(svg, r#"<polyline class="reference" points="{}"/>"#, field.line(&self.reference).join(" "));
        }
        for (place, series) in self.series.iter().enumerate() {
            self.draw_curve(&mut svg, &field, series, &series_class(place));
        }
        svg.push_str("</svg>");
        Some(svg)
    }

    /// The ranges that hold every point.
    fn field(&self) -> Option<Field> {
        let points = || self.series.iter().flat_map(|one| &one.points).filter(|(x, y)| x.is_finite() && y.is_finite());
        points().next()?;
        let all = || points().chain(&self.reference);
        let x_range = range(all().map(|point| point.0))?;
        let y_axis = Axis::new(self.y_range.or_else(|| range(all().map(|point| point.1)))?);
        Some(Field { x_range, y_axis })
    }

    fn draw_axes(&self, svg: &mut String, field: &Field) {
        for tick in field.y_axis.ticks() {
            let (_, y) = field.at(field.x_range.0, tick);
            let _ = write!(
                svg,
                r#"<line class="grid" x1="{LEFT}" y1="{y:.1}" x2="{:.1}" y2="{y:.1}"/><text class="tick" x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
                WIDTH - RIGHT,
                LEFT - 7.0,
                y + 3.5,
                short(tick),
            );
        }
        for tick in whole_ticks(field.x_range) {
            let (x, _) = field.at(tick as f64, field.y_axis.low);
            let _ = write!(
                svg,
                r#"<text class="tick" x="{x:.1}" y="{:.1}" text-anchor="middle">{tick}</text>"#,
                HEIGHT - BOTTOM + 15.0,
            );
        }
        let _ = write!(
            svg,
            r#"<text class="tick" x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
            WIDTH - RIGHT,
            HEIGHT - 4.0,
            escape(self.x_label),
        );
    }

    fn draw_mark(&self, svg: &mut String, field: &Field) {
        if let Some((x, name)) = &self.mark
            && (field.x_range.0..=field.x_range.1).contains(x)
        {
            let (x, _) = field.at(*x, field.y_axis.low);
            let _ = write!(
                svg,
                r#"<line class="mark" x1="{x:.1}" y1="{TOP}" x2="{x:.1}" y2="{:.1}"><title>{}</title></line>"#,
                HEIGHT - BOTTOM,
                escape(name),
            );
        }
    }

    /// Lines between neighbours that are finite, and dots where there are few points or one stands alone.
    fn draw_curve(&self, svg: &mut String, field: &Field, series: &Series, class: &str) {
        for run in series.points.split(|(x, y)| !x.is_finite() || !y.is_finite()) {
            let line = field.line(run);
            if line.len() > 1 {
                let _ = write!(svg, r#"<polyline class="line {class}" points="{}"/>"#, line.join(" "));
            }
            if self.dots && series.points.len() <= MOST_DOTS || line.len() == 1 {
                for &(x, y) in run {
                    let (across, down) = field.at(x, y);
                    let _ = write!(
                        svg,
                        r#"<circle class="dot {class}" cx="{across:.1}" cy="{down:.1}" r="2.6"><title>{}, {} {x}: {}</title></circle>"#,
                        escape(&series.name),
                        escape(self.x_label),
                        short(y),
                    );
                }
            }
        }
    }

    fn description(&self) -> String {
        let mut text = String::new();
        for series in &self.series {
            let mut finite = series.points.iter().filter(|(x, y)| x.is_finite() && y.is_finite());
            if let Some(first) = finite.next() {
                let last = finite.next_back().unwrap_or(first);
                let _ = write!(text, "{} goes from {} to {}. ", series.name, short(first.1), short(last.1));
            }
        }
        text
    }
}

/// The page's class for the colour and dash of the series at `place`.
pub fn series_class(place: usize) -> String {
    format!("s{}", place % CURVES + 1)
}

fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |range, value| {
        let (low, high) = range.unwrap_or((value, value));
        Some((value.min(low), value.max(high)))
    })
}

/// What the axes span.
struct Field {
    x_range: (f64, f64),
    y_axis: Axis,
}

impl Field {
    /// Where a point is drawn: from the left, and from the top.
    fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let Self { x_range, y_axis } = self;
        let width = (x_range.1 - x_range.0).max(f64::MIN_POSITIVE);
        let across = if x_range.0 == x_range.1 { 0.5 } else { (x - x_range.0) / width };
        let up = (y - y_axis.low) / (y_axis.high - y_axis.low);
        (LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM))
    }

    /// The points of a polyline.
    fn line(&self, points: &[(f64, f64)]) -> Vec<String> {
        points.iter().map(|&(x, y)| self.at(x, y)).map(|(x, y)| format!("{x:.1},{y:.1}")).collect()
    }
}

/// A vertical axis from one round number to another.
struct Axis {
    low: f64,
    high: f64,
    step: f64,
}

impl Axis {
    fn new((low, high): (f64, f64)) -> Self {
        // Curves that come close to zero are read against zero; equal values get room on both sides.
        let low = if low > 0.0 && low < 0.4 * high { 0.0 } else { low };
        let (low, high) = if high - low > 1e-9 * high.abs().max(low.abs()).max(1e-30) {
            (low, high)
        } else {
            let room = if low == 0.0 { 1.0 } else { 0.1 * low.abs() };
            (low - room, high + room)
        };
        let step = round_step((high - low) / 5.0);
        Self { low: (low / step + 1e-6).floor() * step, high: (high / step - 1e-6).ceil() * step, step }
    }

    fn ticks(&self) -> Vec<f64> {
        let count = ((self.high - self.low) / self.step).round().clamp(1.0, 20.0) as u32;
        // Multiplying keeps 0.3 from becoming 0.30000000000000004 by addition; the product is snapped to zero.
        (0..=count)
            .map(|index| self.low + f64::from(index) * self.step)
            .map(|tick| if tick.abs() < self.step * 1e-6 { 0.0 } else { tick })
            .collect()
    }
}

/// The smallest of 1, 2, 5 x 10^k that is at least `least`.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= least * (1.0 - 1e-9)).unwrap_or(10.0);
    factor * power
}

/// At most about eight whole numbers within the range.
fn whole_ticks((low, high): (f64, f64)) -> Vec<i64> {
    let step = round_step(((high - low) / 8.0).max(1.0)) as i64;
    let first = (low / step as f64).ceil() as i64;
    (first..=high.floor() as i64).step_by(usize::try_from(step).unwrap_or(1)).collect()
}

/// A number in about four significant digits, without trailing zeros: `0.95`, `1200`, `2.5e-5`.
pub fn short(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    let power = value.abs().log10().floor();
    if !(-4.0..6.0).contains(&power) {
        let text = format!("{value:.2e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        return format!("{}e{exponent}", trim(digits));
    }
    let digits = (3.0 - power).clamp(0.0, 7.0) as usize;
    trim(&format!("{value:.digits$}")).to_owned()
}

fn trim(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}

/// Text for use inside SVG and HTML, in elements and in quoted attributes.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>) -> LineChart {
        let series = vec![Series { name: "<loss>".to_owned(), points }];
        LineChart {
            id: "c".to_owned(),
            title: "A & B".to_owned(),
            x_label: "epoch",
            series,
            y_range: None,
            mark: Some((1.0, "best".to_owned())),
            reference: Vec::new(),
            dots: true,
        }
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (0.95, "0.95"),
            (1.0 / 3.0, "0.3333"),
            (1200.0, "1200"),
            (2.5e-5, "2.5e-5"),
            (0.001, "0.001"),
            (0.000_25, "0.00025"),
            (123_456_789.0, "1.23e8"),
            (-0.5, "-0.5"),
            (100.0, "100"),
        ] {
            assert_eq!(short(value), text);
        }
    }

    #[test]
    fn gaps_split_the_line_and_names_are_escaped() {
        let svg = chart(vec![(0.0, 1.0), (1.0, 0.5), (2.0, f64::NAN), (3.0, 0.4), (4.0, 0.3)]).svg().unwrap();
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert_eq!(svg.matches("<circle").count(), 4);
        let line = LineChart { dots: false, ..chart(vec![(0.0, 1.0), (1.0, 0.5), (2.0, f64::NAN), (3.0, 0.4)]) }
            .svg()
            .unwrap();
        assert_eq!(line.matches("<circle").count(), 1, "a point without neighbours would not be seen");
        assert!(!svg.contains("NaN") && !svg.contains("<loss>") && svg.contains("A &amp; B"));
        assert!(svg.contains("goes from 1 to 0.3"));
    }

    #[test]
    fn odd_ranges_stay_inside_the_frame() {
        for points in [
            vec![(0.0, 0.7)],
            vec![(0.0, 0.0), (1.0, 0.0)],
            vec![(0.0, -3.0), (500.0, 1e12)],
            vec![(0.0, 1e-12), (1.0, 2e-12)],
            vec![(7.0, 0.999_999), (8.0, 1.0)],
        ] {
            let svg = chart(points.clone()).svg().unwrap();
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{points:?}");
            for part in svg.split("cy=\"").skip(1) {
                let y: f64 = part.split('"').next().unwrap().parse().unwrap();
                assert!((TOP - 0.1..=HEIGHT - BOTTOM + 0.1).contains(&y), "{points:?}: {y}");
            }
        }
    }

    #[test]
    fn a_given_range_is_kept() {
        let svg = LineChart { y_range: Some((0.0, 1.0)), ..chart(vec![(0.0, 1.0), (100.0, 1.0)]) }.svg().unwrap();
        assert!(svg.contains(">0.2<") && svg.contains(">1<") && !svg.contains(">1.2<"));
    }

    #[test]
    fn a_reference_is_part_of_the_range_and_not_of_the_data() {
        let reference = vec![(0.0, 0.0), (100.0, 1.0)];
        let drawn = LineChart { reference: reference.clone(), ..chart(vec![(40.0, 0.5), (60.0, 0.6)]) }.svg().unwrap();
        assert!(drawn.contains(r#"class="reference""#) && drawn.contains(">100<"));
        assert_eq!(LineChart { reference, ..chart(vec![]) }.svg(), None);
    }

    #[test]
    fn nothing_to_draw() {
        assert_eq!(chart(vec![]).svg(), None);
        assert_eq!(chart(vec![(0.0, f64::NAN)]).svg(), None);
    }

    #[test]
    fn steps_are_round() {
        assert_eq!((round_step(0.3), round_step(2.0), round_step(0.021), round_step(6.0)), (0.5, 2.0, 0.05, 10.0));
        assert_eq!(whole_ticks((0.0, 14.0)), [0, 2, 4, 6, 8, 10, 12, 14]);
        assert_eq!(whole_ticks((3.0, 3.0)), [3]);
    }
}
