//! Tables without a header: which of the known kinds one is.

use super::boxes::{BoxColumns, BoxForm, Numbers};
use super::finder::looks_like_image;
use super::layout::{Columns, Layout};
use super::names;
use super::records::Record;
use super::sight::Sight;

/// The columns of a table whose first line is a row: those that were asked for, or of a known kind.
///
/// # Errors
/// It is of none.
pub fn columns(sight: &Sight, image: Option<usize>, labels: &[usize]) -> Result<Columns, String> {
    let of = |image, set, layout| Columns { header: false, image, set, group: None, layout, assumed: Vec::new() };
    match (image, labels) {
        (Some(image), [label]) => return Ok(of(image, None, Layout::Label(*label))),
        (Some(_), []) | (None, []) => {}
        (None, [label]) => return Ok(of(0, None, Layout::Label(*label))),
        (_, [_, _, ..]) => return Err(sight.doubt("columns of 0 and 1 need a header with the names of the classes")),
    }
    let fullest = sight.records.iter().take(1000).max_by_key(|row| row.fields.iter().filter(|f| !f.is_empty()).count());
    let row = fullest.unwrap_or(&sight.records[0]);
    if let (Some(image), 2) = (image, row.fields.len()) {
        return Ok(of(image, None, Layout::Label(1 - image.min(1))));
    }
    let has_set = sight.records.iter().all(|row| names::part(Sight::field(row, 0)).is_some());
    let start = usize::from(has_set);
    let set = has_set.then_some(0);
    let is_image = |column| {
        let field = Sight::field(row, column);
        looks_like_image(field) || sight.finder.find(field).is_ok()
    };
    if image.is_none_or(|image| image == start) && is_image(start) {
        if let Some(boxes) = boxes(row, start).filter(|_| !sight.options.lists) {
            return Ok(of(start, set, Layout::Boxes(boxes)));
        }
        let count = row.fields.iter().rposition(|field| !field.is_empty()).map_or(0, |last| last + 1 - start);
        match (count, has_set) {
            (2, _) => return Ok(of(start, set, Layout::Label(start + 1))),
            (3.., true) => return Ok(of(start, set, Layout::LabelsFrom(start + 1))),
            (3.., false) if sight.options.lists => {
                let line = row.line;
                return Err(format!("line {line}: the list of labels goes on in the next fields; quote it with \""));
            }
            _ => {}
        }
    } else if row.fields.len() == 2 && is_image(1) {
        return Ok(of(1, None, Layout::Label(0)));
    }
    Err(sight.doubt("has no header, and its columns are of no known kind"))
}

/// The boxes of the known kinds, whose image is in column `start`.
fn boxes(row: &Record, start: usize) -> Option<BoxColumns> {
    let number = |column: usize| Sight::field(row, column).parse::<f64>().is_ok();
    let whole = |column: usize| Sight::field(row, column).parse::<u32>().is_ok();
    let text = |column: usize| !Sight::field(row, column).is_empty() && !number(column);
    let blank = |column: usize| Sight::field(row, column).is_empty();
    let at = |offset: usize| start + 1 + offset;
    let corners = |columns: [usize; 4], label: usize, size: Option<[usize; 2]>| BoxColumns {
        numbers: Numbers::Four(columns.map(at)),
        form: Some(BoxForm::Corners),
        label: Some(at(label)),
        size: size.map(|size| size.map(at)),
        crowd: None,
    };
    let all = |columns: &[usize], test: &dyn Fn(usize) -> bool| columns.iter().all(|column| test(at(*column)));
    let width = row.fields.iter().rposition(|field| !field.is_empty())?.checked_sub(start)?;
    // keras-retinanet: path, x1, y1, x2, y2, class; and with the size of the image, as SKU110K has it.
    if (width == 5 || width == 7 && all(&[5, 6], &whole)) && all(&[0, 1, 2, 3], &number) && !blank(at(4)) {
        return Some(corners([0, 1, 2, 3], 4, (width == 7).then_some([5, 6])));
    }
    // TensorFlow: filename, width, height, class, xmin, ymin, xmax, ymax.
    if width == 7 && all(&[0, 1], &whole) && text(at(2)) && all(&[3, 4, 5, 6], &number) {
        return Some(corners([3, 4, 5, 6], 2, Some([0, 1])));
    }
    // Google's: uri, label, then the corners of the box, two of which may be blank.
    let two = all(&[3, 4], &blank) && all(&[7, 8], &blank);
    let four = all(&[3, 4, 7, 8], &number);
    if !blank(at(0)) && all(&[1, 2, 5, 6], &number) && (two || four) {
        return Some(corners([1, 2, 5, 6], 0, None));
    }
    None
}
