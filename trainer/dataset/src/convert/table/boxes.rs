//! Tables with a box per row: their numbers, and what these mean.

use std::fmt;

use super::records::Record;
use super::sight::Sight;

/// What the four numbers of a box are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoxForm {
    /// Left, top, right and bottom.
    Corners,
    /// Left, top, width and height.
    Size,
    /// Middle (across, down), width and height.
    Centre,
}

impl fmt::Display for BoxForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Corners => "left, top, right, bottom",
            Self::Size => "left, top, width, height",
            Self::Centre => "centre x, centre y, width, height",
        })
    }
}

impl BoxForm {
    /// `x1 y1 x2 y2` of a box.
    pub fn corners(self, [a, b, c, d]: [f64; 4]) -> [f64; 4] {
        match self {
            Self::Corners => [a, b, c, d],
            Self::Size => [a, b, a + c, b + d],
            Self::Centre => [a - c / 2.0, b - d / 2.0, a + c / 2.0, b + d / 2.0],
        }
    }
}

/// Where the numbers of a box stand.
#[derive(Clone, Debug)]
pub enum Numbers {
    /// In a column each.
    Four([usize; 4]),
    /// In one, as in `[10, 20, 30, 40]`.
    One(usize),
}

impl Numbers {
    /// The columns.
    pub fn columns(&self) -> &[usize] {
        match self {
            Self::Four(columns) => columns,
            Self::One(column) => std::slice::from_ref(column),
        }
    }
}

/// Columns of boxes.
#[derive(Clone, Debug)]
pub struct BoxColumns {
    /// The numbers.
    pub numbers: Numbers,
    /// What they are, where the names of the columns say so.
    pub form: Option<BoxForm>,
    /// The class, if a column holds it.
    pub label: Option<usize>,
    /// Width and height of the image in pixels.
    pub size: Option<[usize; 2]>,
    /// Whether it is a group.
    pub crowd: Option<usize>,
}

/// A box as a row has it.
#[derive(Clone, Debug)]
pub struct RowBox {
    /// The four numbers, in the form and units of the table.
    pub numbers: [f64; 4],
    /// Its class.
    pub label: String,
    /// A group.
    pub crowd: bool,
}

impl BoxColumns {
    /// The box of a row; none where its numbers are blank.
    ///
    /// # Errors
    /// What cannot be read.
    pub fn read(&self, row: &Record, class: Option<&str>) -> Result<Option<RowBox>, String> {
        let fields: Vec<&str> = match &self.numbers {
            Numbers::Four(columns) => columns.iter().map(|column| Sight::field(row, *column)).collect(),
            Numbers::One(column) => {
                let text = Sight::field(row, *column).trim_matches(['[', ']', '(', ')', ' ']);
                text.split([',', ';', ' ']).filter(|part| !part.is_empty()).collect()
            }
        };
        if fields.iter().all(|field| field.is_empty()) {
            return Ok(None);
        }
        let number = |field: &&str| {
            let number = field.parse().or_else(|_| field.replace(',', ".").parse::<f64>());
            number.ok().filter(|number| number.is_finite()).ok_or_else(|| format!("{field:?} is no number"))
        };
        let numbers: Vec<f64> = fields.iter().map(number).collect::<Result<_, _>>()?;
        let numbers =
            numbers.try_into().map_err(|all: Vec<f64>| format!("its box has {} numbers, not 4", all.len()))?;
        let label = self.label.map_or(class.unwrap_or_default(), |column| Sight::field(row, column)).to_owned();
        if label.is_empty() {
            return Err("its label is empty".to_owned());
        }
        let crowd = self.crowd.and_then(|column| super::onehot::flag(Sight::field(row, column)));
        Ok(Some(RowBox { numbers, label, crowd: crowd.unwrap_or(false) }))
    }

    /// Width and height of the image, as a row tells them.
    pub fn size(&self, row: &Record) -> Option<[u32; 2]> {
        let read = |column: usize| -> Option<u32> {
            let side: f64 = Sight::field(row, column).parse().ok()?;
            (1.0..1e9).contains(&side).then_some(side as u32)
        };
        let [width, height] = self.size?;
        Some([read(width)?, read(height)?])
    }
}

/// Whether numbers are fractions of the image: none is far above 1, and not all of those at its edge are whole pixels.
pub fn are_fractions(all: &[[f64; 4]]) -> bool {
    let most = all.iter().flatten().copied().fold(0.0, f64::max);
    let parts = all.iter().flatten().any(|number| number.fract() != 0.0);
    most <= 1.0 || most <= 1.5 && parts
}

/// The only form in which every box, given with the size of its image, is one and lies in it.
///
/// # Errors
/// None or both are possible.
pub fn only_form(all: &[([f64; 4], [f64; 2])]) -> Result<BoxForm, String> {
    let fits = |form: BoxForm| {
        all.iter().all(|(numbers, [width, height])| {
            let [x1, y1, x2, y2] = form.corners(*numbers);
            x2 > x1 && y2 > y1 && x2 <= width + 1.0 && y2 <= height + 1.0
        })
    };
    match [BoxForm::Corners, BoxForm::Size].map(fits) {
        [true, false] => Ok(BoxForm::Corners),
        [false, true] => Ok(BoxForm::Size),
        [true, true] => Err("the four numbers of its boxes may be corners as well as a corner and a size".to_owned()),
        [false, false] => Err("the four numbers of its boxes are neither corners nor a corner and a size".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_and_units_are_told_from_the_numbers() {
        let size = [100.0, 80.0];
        assert_eq!(only_form(&[([60.0, 10.0, 20.0, 20.0], size)]), Ok(BoxForm::Size));
        assert_eq!(only_form(&[([60.0, 10.0, 90.0, 70.0], size)]), Ok(BoxForm::Corners));
        assert!(only_form(&[([10.0, 10.0, 20.0, 20.0], size)]).unwrap_err().contains("as well as"));
        assert!(only_form(&[([60.0, 10.0, 20.0, 75.0], size)]).unwrap_err().contains("neither"));
        assert!(are_fractions(&[[0.1, 0.2, 0.3, 1.0]]) && are_fractions(&[[0.1, 0.2, 0.3, 1.002]]));
        assert!(!are_fractions(&[[1.0, 1.0, 5.0, 5.0]]));
        assert_eq!(BoxForm::Centre.corners([5.0, 5.0, 2.0, 4.0]), [4.0, 3.0, 6.0, 7.0]);
    }
}
