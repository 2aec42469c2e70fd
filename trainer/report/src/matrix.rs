//! The confusion matrix as inline SVG: readable from 2 classes to 100, cut to the most confused 100 beyond.

use std::cmp::Reverse;
use std::fmt::Write;

use super::chart::escape;

/// More classes than this do not fit a page that anybody reads.
pub const MOST_CLASSES: usize = 100;
/// Names of what lies beyond the classes of a detector: the last row and the last column.
const INVENTED: &str = "invented";
const MISSED: &str = "missed";
/// Letters of a label that are drawn; the tooltip has all of them.
const MOST_LETTERS: usize = 18;

/// A drawn matrix.
#[derive(Debug)]
pub struct Heatmap {
    /// One `<svg>` element with its natural width; from seven classes on it scrolls instead of shrinking.
    pub svg: String,
    /// How many classes are drawn, without what lies beyond them.
    pub shown: usize,
}

/// Draws `matrix[truth][predicted]`, each row shaded by its shares; `None` for an empty matrix.
///
/// A matrix with one row and one column more than there are labels is a detector's: the last row holds the boxes that it
/// invented, the last column the objects that it missed.
///
/// Of more than [`MOST_CLASSES`] classes those with the most errors (as truth or as prediction) are drawn, ties by
/// index, in label order.
pub fn heatmap(labels: &[String], matrix: &[Vec<u64>]) -> Option<Heatmap> {
    if labels.is_empty() {
        return None;
    }
    let plan = Layout::new(labels, matrix);
    let mut svg = String::new();
    plan.draw_frame(&mut svg);
    plan.draw_names(&mut svg);
    for (down, &truth) in plan.shown.iter().enumerate() {
        let total: u64 = matrix[truth].iter().sum();
        for (across, &predicted) in plan.shown.iter().enumerate() {
            let examples = matrix[truth][predicted];
            if examples > 0 {
                plan.draw_cell(&mut svg, &Cell { truth, predicted, down, across, examples, total });
            }
        }
    }
    svg.push_str("</svg>");
    Some(Heatmap { svg, shown: plan.shown.iter().filter(|&&class| class != labels.len()).count() })
}

/// Where things lie, and how large they are, in the units of the drawing.
struct Layout<'a> {
    labels: &'a [String],
    matrix: &'a [Vec<u64>],
    /// Classes that are drawn, what lies beyond the labels included.
    shown: Vec<usize>,
    /// Side of a cell.
    cell: f64,
    font: f64,
    /// By how many degrees the names of columns are turned.
    turn: i32,
    /// Room to the left of the cells, above them, and to the right of them.
    left: f64,
    top: f64,
    beside: f64,
}

/// A cell with examples in it.
struct Cell {
    truth: usize,
    predicted: usize,
    /// Its row and column among those that are drawn.
    down: usize,
    across: usize,
    examples: u64,
    /// Of its row.
    total: u64,
}

impl<'a> Layout<'a> {
    fn new(labels: &'a [String], matrix: &'a [Vec<u64>]) -> Self {
        let shown = most_confused_classes(labels.len(), matrix);
        let count = shown.len();
        let cell = match count {
            0..=6 => 64.0,
            7..=12 => 46.0,
            13..=30 => 27.0,
            _ => 14.0,
        };
        let font = if count > 30 { 9.5 } else { 12.0 };
        let names = shown.iter().flat_map(|&class| [column(labels, class), row(labels, class)]);
        // Text is not measured: 0.58 em is a little more than the mean letter of the usual sans-serif faces.
        let longest = names.map(|name| cut(name).chars().count()).max().unwrap_or(0) as f64 * 0.58 * font;
        let (turn, above, beside) = match (longest < cell - 4.0, count > 30) {
            (true, _) => (0, 22.0, 0.0),
            (false, true) => (-90, longest + 12.0, 0.0),
            (false, false) => (-45, longest * 0.71 + 20.0, longest * 0.71),
        };
        Self { labels, matrix, shown, cell, font, turn, left: longest + 34.0, top: above + 22.0, beside }
    }

    /// Side of all cells together.
    fn side(&self) -> f64 {
        self.cell * self.shown.len() as f64
    }

    /// The element's beginning, the names of the axes, and the ground of the cells.
    fn draw_frame(&self, svg: &mut String) {
        let Self { left, top, font, .. } = self;
        let side = self.side();
        let (width, height) = (left + side + self.beside.max(8.0), top + side + 8.0);
        let _ = write!(
            svg,
            r#"<svg class="matrix{}" viewBox="0 0 {width:.0} {height:.0}" width="{width:.0}" height="{height:.0}" font-size="{font}" role="img" aria-labelledby="matrix-title matrix-desc"><title id="matrix-title">Confusion matrix</title><desc id="matrix-desc">Rows are the true classes, columns the predicted ones; a stronger colour is a larger share of the row. {}</desc>"#,
            if self.shown.len() <= 6 { " few" } else { "" },
            describe(self.matrix),
        );
        let _ = write!(
            svg,
            r#"<text class="axis" x="{:.1}" y="12" text-anchor="middle">Predicted</text><text class="axis" x="12" y="{:.1}" text-anchor="middle" transform="rotate(-90 12 {:.1})">True</text><rect class="ground" x="{left:.1}" y="{top:.1}" width="{side:.1}" height="{side:.1}"/>"#,
            left + side / 2.0,
            top + side / 2.0,
            top + side / 2.0,
        );
    }

    /// The names of columns and rows.
    fn draw_names(&self, svg: &mut String) {
        let Self { left, top, font, turn, .. } = self;
        for (place, &class) in self.shown.iter().enumerate() {
            let middle = (place as f64 + 0.5) * self.cell;
            let (x, y) = (left + middle, top - 7.0);
            let anchor = if *turn == 0 { "middle" } else { "start" };
            let (full_column, full_row) = (column(self.labels, class), row(self.labels, class));
            let (column, row) = (escape(&cut(full_column)), escape(&cut(full_row)));
            let (full_column, full_row) = (escape(full_column), escape(full_row));
            let kind = if class == self.labels.len() { "name beyond" } else { "name" };
            let shift = if *turn == -90 { 0.35 * font } else { 0.0 };
            let _ = write!(
                svg,
                r#"<text class="{kind}" text-anchor="{anchor}" transform="translate({:.1} {y:.1}) rotate({turn})">{column}<title>{full_column}</title></text><text class="{kind}" x="{:.1}" y="{:.1}" text-anchor="end">{row}<title>{full_row}</title></text>"#,
                x + shift,
                left - 8.0,
                top + middle + 0.35 * font,
            );
        }
    }

    fn draw_cell(&self, svg: &mut String, one: &Cell) {
        let cell = self.cell;
        let Cell { examples, total, .. } = one;
        let share = *examples as f64 / *total as f64;
        let (x, y) = (self.left + one.across as f64 * cell, self.top + one.down as f64 * cell);
        let kind = if one.truth == one.predicted { "right" } else { "wrong" };
        // A single error in a large row must still be seen.
        let opacity = 0.12 + 0.88 * share;
        let _ = write!(
            svg,
            r#"<g><title>{}: {examples} of {total} ({:.0} %)</title><rect class="{kind}" x="{:.1}" y="{:.1}" width="{:.1}" height="{:.1}" rx="2" fill-opacity="{opacity:.2}"/>"#,
            self.meaning(one),
            share * 100.0,
            x + 1.0,
            y + 1.0,
            cell - 2.0,
            cell - 2.0,
        );
        if cell > 20.0 {
            // Which text colour reads better flips at another shade in the dark page than in the light one.
            let tone = match opacity {
                ..0.6 => "off",
                ..0.8 => "between",
                _ => "on",
            };
            let size = if *examples > 9999 { 0.7 * self.font } else { self.font };
            let _ = write!(
                svg,
                r#"<text class="{tone}" x="{:.1}" y="{:.1}" text-anchor="middle" font-size="{size:.1}">{examples}</text>"#,
                x + cell / 2.0,
                y + cell / 2.0 + 0.35 * size,
            );
        }
        svg.push_str("</g>");
    }

    /// What the examples of a cell are.
    fn meaning(&self, one: &Cell) -> String {
        let beyond = self.labels.len();
        let (truth, predicted) = (escape(row(self.labels, one.truth)), escape(column(self.labels, one.predicted)));
        if one.truth == beyond {
            format!("{predicted} where there is nothing")
        } else if one.predicted == beyond {
            format!("{truth} missed")
        } else {
            format!("{truth} predicted as {predicted}")
        }
    }
}

/// The name of a row.
fn row(labels: &[String], class: usize) -> &str {
    labels.get(class).map_or(INVENTED, String::as_str)
}

/// The name of a column.
fn column(labels: &[String], class: usize) -> &str {
    labels.get(class).map_or(MISSED, String::as_str)
}

fn describe(matrix: &[Vec<u64>]) -> String {
    let total: u64 = matrix.iter().flatten().sum();
    let right: u64 = matrix.iter().enumerate().map(|(class, row)| row[class]).sum();
    format!("{right} of {total} examples lie on the diagonal, where both agree.")
}

/// Rows to draw; what lies beyond the `labels` always is among them.
fn most_confused_classes(labels: usize, matrix: &[Vec<u64>]) -> Vec<usize> {
    let mut classes: Vec<usize> = (0..matrix.len()).collect();
    let most = MOST_CLASSES + matrix.len().saturating_sub(labels);
    if classes.len() > most {
        let mut errors = vec![0_u64; matrix.len()];
        for (truth, row) in matrix.iter().enumerate() {
            for (predicted, &examples) in row.iter().enumerate().filter(|&(predicted, _)| predicted != truth) {
                errors[truth] += examples;
                errors[predicted] += examples;
            }
        }
        classes.sort_by_key(|&class| (class < labels, Reverse(errors[class]), class));
        classes.truncate(most);
        classes.sort_unstable();
    }
    classes
}

fn cut(label: &str) -> String {
    if label.chars().count() <= MOST_LETTERS {
        return label.to_owned();
    }
    label.chars().take(MOST_LETTERS - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(count: usize) -> Vec<String> {
        (0..count).map(|class| format!("class {class}")).collect()
    }

    #[test]
    fn every_count_is_drawn_once() {
        let heatmap = heatmap(&labels(2), &[vec![9, 1], vec![0, 7]]).unwrap();
        assert_eq!(heatmap.shown, 2);
        assert_eq!(heatmap.svg.matches("<g>").count(), 3);
        assert!(heatmap.svg.contains("class 0 predicted as class 1: 1 of 10 (10 %)"));
        assert!(heatmap.svg.contains("16 of 17 examples"));
    }

    #[test]
    fn many_classes_are_cut_to_the_most_confused() {
        let count = 150;
        let mut matrix = vec![vec![0; count]; count];
        for (class, row) in matrix.iter_mut().enumerate() {
            row[class] = 5;
        }
        matrix[149][148] = 3;
        let heatmap = heatmap(&labels(count), &matrix).unwrap();
        assert_eq!(heatmap.shown, MOST_CLASSES);
        assert!(heatmap.svg.contains("class 149 predicted as class 148: 3 of 8"));
        assert!(heatmap.svg.contains(">class 97<") && !heatmap.svg.contains(">class 98<"));
    }

    #[test]
    fn a_detector_misses_and_invents() {
        let drawn = heatmap(&labels(2), &[vec![5, 1, 2], vec![0, 4, 0], vec![3, 0, 0]]).unwrap();
        assert_eq!(drawn.shown, 2);
        for text in ["class 0 missed: 2 of 8", "class 0 where there is nothing: 3 of 3", ">missed<", ">invented<"] {
            assert!(drawn.svg.contains(text), "{text}");
        }
        let many = 150;
        let mut matrix = vec![vec![0; many + 1]; many + 1];
        matrix[149][148] = 3;
        let drawn = heatmap(&labels(many), &matrix).unwrap();
        assert!(drawn.shown == MOST_CLASSES && drawn.svg.contains(">missed<"));
    }

    #[test]
    fn hostile_and_long_labels() {
        let names = vec!["<img onerror=alert(1)>".to_owned(), "ü".repeat(400)];
        let svg = heatmap(&names, &[vec![1, 1], vec![0, 0]]).unwrap().svg;
        assert!(!svg.contains("<img") && svg.contains("…"));
        assert!(heatmap(&[], &[]).is_none());
    }
}
