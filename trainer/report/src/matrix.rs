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
    let beyond = labels.len();
    let rows = |class: usize| labels.get(class).map_or(INVENTED, String::as_str);
    let columns = |class: usize| labels.get(class).map_or(MISSED, String::as_str);
    let shown = most_confused_classes(labels.len(), matrix);
    let count = shown.len();
    let cell = match count {
        0..=6 => 64.0,
        7..=12 => 46.0,
        13..=30 => 27.0,
        _ => 14.0,
    };
    let font = if count > 30 { 9.5 } else { 12.0 };
    let names: Vec<[String; 2]> = shown.iter().map(|&class| [cut(columns(class)), cut(rows(class))]).collect();
    // Text is not measured: 0.58 em is a little more than the mean letter of the usual sans-serif faces.
    let longest = names.iter().flatten().map(|name| name.chars().count()).max().unwrap_or(0) as f64 * 0.58 * font;
    let (turn, above, beside) = match (longest < cell - 4.0, count > 30) {
        (true, _) => (0, 22.0, 0.0),
        (false, true) => (-90, longest + 12.0, 0.0),
        (false, false) => (-45, longest * 0.71 + 20.0, longest * 0.71),
    };
    let (left, top) = (longest + 34.0, above + 22.0);
    let side = cell * count as f64;
    let (width, height) = (left + side + beside.max(8.0), top + side + 8.0);

    let mut svg = String::new();
    let _ = write!(
        svg,
        r#"<svg class="matrix{}" viewBox="0 0 {width:.0} {height:.0}" width="{width:.0}" height="{height:.0}" font-size="{font}" role="img" aria-labelledby="matrix-title matrix-desc"><title id="matrix-title">Confusion matrix</title><desc id="matrix-desc">Rows are the true classes, columns the predicted ones; a stronger colour is a larger share of the row. {}</desc>"#,
        if count <= 6 { " few" } else { "" },
        describe(matrix),
    );
    let _ = write!(
        svg,
        r#"<text class="axis" x="{:.1}" y="12" text-anchor="middle">Predicted</text><text class="axis" x="12" y="{:.1}" text-anchor="middle" transform="rotate(-90 12 {:.1})">True</text><rect class="ground" x="{left:.1}" y="{top:.1}" width="{side:.1}" height="{side:.1}"/>"#,
        left + side / 2.0,
        top + side / 2.0,
        top + side / 2.0,
    );
    for (place, [column, row]) in names.iter().enumerate() {
        let middle = (place as f64 + 0.5) * cell;
        let (x, y) = (left + middle, top - 7.0);
        let anchor = if turn == 0 { "middle" } else { "start" };
        let (full_column, full_row) = (escape(columns(shown[place])), escape(rows(shown[place])));
        let (column, row) = (escape(column), escape(row));
        let kind = if shown[place] == beyond { "name beyond" } else { "name" };
        let shift = if turn == -90 { 0.35 * font } else { 0.0 };
        let _ = write!(
            svg,
            r#"<text class="{kind}" text-anchor="{anchor}" transform="translate({:.1} {y:.1}) rotate({turn})">{column}<title>{full_column}</title></text><text class="{kind}" x="{:.1}" y="{:.1}" text-anchor="end">{row}<title>{full_row}</title></text>"#,
            x + shift,
            left - 8.0,
            top + middle + 0.35 * font,
        );
    }
    for (down, &truth) in shown.iter().enumerate() {
        let total: u64 = matrix[truth].iter().sum();
        for (across, &predicted) in shown.iter().enumerate() {
            let examples = matrix[truth][predicted];
            if examples == 0 {
                continue;
            }
            let share = examples as f64 / total as f64;
            let (x, y) = (left + across as f64 * cell, top + down as f64 * cell);
            let kind = if truth == predicted { "right" } else { "wrong" };
            // A single error in a large row must still be seen.
            let opacity = 0.12 + 0.88 * share;
            let (truth_name, predicted_name) = (escape(rows(truth)), escape(columns(predicted)));
            let what = if truth == beyond {
                format!("{predicted_name} where there is nothing")
            } else if predicted == beyond {
                format!("{truth_name} missed")
            } else {
                format!("{truth_name} predicted as {predicted_name}")
            };
            let _ = write!(
                svg,
                r#"<g><title>{what}: {examples} of {total} ({:.0} %)</title><rect class="{kind}" x="{:.1}" y="{:.1}" width="{:.1}" height="{:.1}" rx="2" fill-opacity="{opacity:.2}"/>"#,
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
                let size = if examples > 9999 { 0.7 * font } else { font };
                let _ = write!(
                    svg,
                    r#"<text class="{tone}" x="{:.1}" y="{:.1}" text-anchor="middle" font-size="{size:.1}">{examples}</text>"#,
                    x + cell / 2.0,
                    y + cell / 2.0 + 0.35 * size,
                );
            }
            svg.push_str("</g>");
        }
    }
    svg.push_str("</svg>");
    Some(Heatmap { svg, shown: shown.iter().filter(|&&class| class != beyond).count() })
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
