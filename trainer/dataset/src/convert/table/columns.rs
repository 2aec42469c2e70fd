//! Which column of a table holds what.

use super::boxes::BoxColumns;
use super::finder::looks_like_image;
use super::layout::{Columns, Layout};
use super::list::Separator;
use super::names::{self, plain};
use super::records::Record;
use super::sight::Sight;
use super::{headless, onehot};

/// Columns that the user named, from 0.
#[derive(Debug, Default)]
struct Asked {
    image: Option<usize>,
    labels: Option<Vec<usize>>,
    group: Option<usize>,
    /// One of them by its name.
    by_name: bool,
}

impl Sight<'_> {
    /// The columns.
    ///
    /// # Errors
    /// What cannot be told, with the columns, the first row, and what to type.
    pub fn columns(&self) -> Result<Columns, String> {
        let asked = self.asked()?;
        let mut columns = if self.has_header(&asked)? {
            self.named(&asked)?
        } else {
            let labels = asked.labels.unwrap_or_default();
            Columns { group: asked.group, ..headless::columns(self, asked.image, &labels)? }
        };
        if columns.group.is_some_and(|group| group == columns.image || columns.layout.has(group)) {
            return Err("--group_column names a column that holds something else; name another".to_owned());
        }
        if let Layout::Label(label) = columns.layout
            && label == columns.image
        {
            return Err(format!("image and label are both column {}", label + 1));
        }
        if self.options.image_column.is_none() || self.options.label_column.is_none() {
            columns.assumed.insert(0, self.told(&columns));
        }
        Ok(columns)
    }

    fn asked(&self) -> Result<Asked, String> {
        let first = &self.records[0].fields;
        let named = |name: &str| {
            let same = first.iter().position(|field| field.eq_ignore_ascii_case(name.trim()));
            same.or_else(|| first.iter().position(|field| !field.is_empty() && plain(field) == plain(name)))
        };
        let mut asked = Asked::default();
        let mut column = |wanted: &str| match named(wanted) {
            Some(column) => {
                asked.by_name = true;
                Some(column)
            }
            None => wanted.trim().parse::<usize>().ok().filter(|number| *number > 0).map(|number| number - 1),
        };
        let missing = |wanted: &str| format!("has no column {wanted:?}; the first line has: {}", first.join(", "));
        let image = self.options.image_column.as_deref();
        let image = image.map(|wanted| column(wanted).ok_or_else(|| missing(wanted))).transpose()?;
        let labels = match self.options.label_column.as_deref() {
            None => None,
            Some(wanted) => Some(match column(wanted) {
                Some(one) => vec![one],
                None => {
                    wanted.split(',').map(|one| column(one).ok_or_else(|| missing(one))).collect::<Result<_, _>>()?
                }
            }),
        };
        let group = self.options.group_column.as_deref();
        let group = group.map(|wanted| column(wanted).ok_or_else(|| missing(wanted))).transpose()?;
        Ok(Asked { image, labels, group, ..asked })
    }

    /// Whether the first line names the columns.
    fn has_header(&self, asked: &Asked) -> Result<bool, String> {
        let first = &self.records[0];
        let is_image = |field: &str| looks_like_image(field) || self.finder.find(field).is_ok();
        if asked.by_name {
            return Ok(true);
        }
        if let Some(image) = asked.image {
            return Ok(!is_image(Self::field(first, image)));
        }
        let known =
            |names: &[&[&str]]| first.fields.iter().any(|field| names.concat().contains(&plain(field).as_str()));
        if first.fields.iter().any(|field| looks_like_image(field)) {
            return Ok(false);
        }
        if known(&names::IMAGES) {
            return Ok(true);
        }
        if first.fields.iter().any(|field| !field.is_empty() && self.finder.find(field).is_ok()) {
            return Ok(false);
        }
        if self.records.get(1).is_some_and(|second| second.fields.iter().any(|field| is_image(field))) {
            return Ok(true);
        }
        Err(self.doubt("no column is known to hold an image"))
    }

    /// The columns by their names.
    fn named(&self, asked: &Asked) -> Result<Columns, String> {
        let names: Vec<String> = self.records[0].fields.iter().map(|field| plain(field)).collect();
        let image = match asked.image {
            Some(image) => image,
            None => self.image(&names)?,
        };
        let mut assumed = Vec::new();
        let set = self.parts(&names, asked, &mut assumed)?;
        let layout = self.layout(&names, asked, [Some(image), set, asked.group], &mut assumed)?;
        Ok(Columns { header: true, image, set, group: asked.group, layout, assumed })
    }

    /// The column that says which part each row is in.
    fn parts(&self, names: &[String], asked: &Asked, assumed: &mut Vec<String>) -> Result<Option<usize>, String> {
        let rows = &self.records[1..];
        let other = |column: &usize| {
            asked.group == Some(*column) || asked.labels.as_ref().is_some_and(|labels| labels.contains(column))
        };
        let named = |column: &usize| names::SETS.contains(&names[*column].as_str()) && !other(column);
        for column in (0..names.len()).filter(named) {
            let strange = |record: &&Record| names::part(Self::field(record, column)).is_none();
            let name = Self::field(&self.records[0], column);
            match rows.iter().find(strange) {
                None => return Ok(Some(column)),
                Some(first) if rows.iter().all(|record| strange(&record)) => assumed.push(format!(
                    "column {name:?} says nothing of parts ({:?} in line {}), so that all rows are one",
                    Self::field(first, column),
                    first.line
                )),
                Some(first) => {
                    return Err(format!(
                        "line {}: column {name:?} says {:?}, where other rows name a part; say train, validation or test in \
                         each row, or rename the column if it means something else",
                        first.line,
                        Self::field(first, column)
                    ));
                }
            }
        }
        Ok(None)
    }

    fn image(&self, names: &[String]) -> Result<usize, String> {
        let rows = &self.records[1..];
        let Some(row) = rows.first() else { return Err("has a header but no rows".to_owned()) };
        let known = |tier: &[&str]| -> Vec<usize> {
            (0..names.len()).filter(|column| tier.contains(&names[*column].as_str())).collect()
        };
        for tier in &names::IMAGES[..2] {
            let columns = known(tier);
            let places: Vec<_> =
                columns.iter().map(|column| self.finder.find(Self::field(row, *column)).ok()).collect();
            let found: Vec<usize> = (0..columns.len()).filter(|at| places[*at].is_some()).collect();
            match (columns.as_slice(), found.as_slice()) {
                ([], _) => {}
                ([one], _) => return Ok(*one),
                (_, [at, others @ ..]) if others.iter().all(|other| places[*other] == places[*at]) => {
                    return Ok(columns[*at]);
                }
                _ => return Err(self.doubt("several columns could hold the image")),
            }
        }
        let images = |column: &usize| {
            let mut fields = rows.iter().take(20).map(|row| Self::field(row, *column));
            fields.all(looks_like_image)
        };
        let seen: Vec<usize> = (0..names.len()).filter(images).collect();
        if let [one] = seen.as_slice() {
            return Ok(*one);
        }
        let weak =
            known(names::IMAGES[2]).into_iter().find(|column| self.finder.find(Self::field(row, *column)).is_ok());
        weak.ok_or_else(|| self.doubt("no column is known to hold the image"))
    }

    fn layout(
        &self,
        names: &[String],
        asked: &Asked,
        taken: [Option<usize>; 3],
        assumed: &mut Vec<String>,
    ) -> Result<Layout, String> {
        let single = match asked.labels.as_deref() {
            Some([one]) => Some(*one),
            Some(several) => return Ok(Layout::OneHot(several.to_vec())),
            None => None,
        };
        let boxes = names::boxes(names);
        if let Some(boxes) = boxes.as_ref().filter(|_| !self.options.lists) {
            let label = single.map_or_else(|| self.label(names), |one| Ok(Some(one)))?;
            if label.is_none() && self.options.one_class.is_none() {
                let why =
                    "no column is known to hold the class of the boxes; if all are of one class, add --one_class NAME";
                return Err(self.doubt(why));
            }
            return Ok(Layout::Boxes(BoxColumns { label, ..boxes.clone() }));
        }
        if boxes.is_some() {
            assumed.push("the boxes are left aside; --multilabel asks for lists of labels".to_owned());
        }
        if let Some(one) = single {
            return Ok(Layout::Label(one));
        }
        if let Some(label) = self.label(names)? {
            self.no_list(label, &names[label])?;
            return Ok(Layout::Label(label));
        }
        self.others(names, taken)
    }

    /// The columns of labels where none has a known name: several of 0 and 1, or the only one that is left.
    fn others(&self, names: &[String], taken: [Option<usize>; 3]) -> Result<Layout, String> {
        let rows = &self.records[1..];
        let others: Vec<usize> = (0..names.len())
            .filter(|column| !taken.contains(&Some(*column)) && !names::ASIDE.contains(&names[*column].as_str()))
            .collect();
        let (binary, rest): (Vec<usize>, Vec<usize>) =
            others.iter().partition(|column| rows.iter().all(|row| onehot::flag(Self::field(row, **column)).is_some()));
        match (binary.as_slice(), rest.as_slice()) {
            ([_, _, ..], []) => Ok(Layout::OneHot(binary)),
            ([one], []) | ([], [one]) => {
                let measured = |row: &Record| {
                    let number = Self::field(row, *one).parse::<f64>();
                    number.is_ok_and(|number| number.fract() != 0.0)
                };
                if rows.iter().any(measured) {
                    return Err(self.doubt(&format!("column {} holds numbers that are no classes", one + 1)));
                }
                Ok(Layout::Label(*one))
            }
            ([_, _, ..], _) => Err(self.doubt("some columns hold 0 and 1 only and some do not")),
            _ => Err(self.doubt("no column is known to hold the label")),
        }
    }

    /// The column with the name of a label.
    fn label(&self, names: &[String]) -> Result<Option<usize>, String> {
        for tier in names::LABELS {
            let columns: Vec<usize> =
                (0..names.len()).filter(|column| tier.contains(&names[*column].as_str())).collect();
            let agree = |row: &Record| {
                let mut fields = columns.iter().map(|column| Self::field(row, *column));
                fields.all(|field| field == Self::field(row, columns[0]))
            };
            match columns.as_slice() {
                [] => {}
                [one, others @ ..] if others.is_empty() || self.records[1..].iter().all(agree) => {
                    return Ok(Some(*one));
                }
                _ => return Err(self.doubt("several columns could hold the label")),
            }
        }
        Ok(None)
    }

    /// Refuses to take lists for classes.
    fn no_list(&self, label: usize, name: &str) -> Result<(), String> {
        let fields = self.records[1..].iter().map(|row| Self::field(row, label));
        let is_list = |field: &&str| field.contains([',', '|', ';']) || field.contains(char::is_whitespace);
        match fields.clone().find(is_list).filter(|_| !self.options.lists && names::LISTS.contains(&name)) {
            None => Ok(()),
            Some(field) => {
                let column = &self.records[0].fields[label];
                Err(format!(
                    "column {column} seems to hold lists of labels, such as {field:?}. Add --multilabel to read them as \
                     lists{}, or --label_column {column} to take each text for one class",
                    Separator::of(&fields, true).unusual().map_or(String::new(), |how| format!(" ({how})"))
                ))
            }
        }
    }

    /// In words, what is read from where.
    fn told(&self, columns: &Columns) -> String {
        let name = |column: usize| match self.records[0].fields.get(column).filter(|_| columns.header) {
            Some(name) => format!("column {name}"),
            None => format!("column {}", column + 1),
        };
        let all = |columns: &[usize]| columns.iter().map(|column| name(*column)).collect::<Vec<_>>().join(", ");
        let shown = match &columns.layout {
            Layout::Label(label) => format!("label: {}", name(*label)),
            Layout::LabelsFrom(first) => format!("labels: {} and those after it", name(*first)),
            Layout::OneHot(columns) => format!("classes, marked with 1: {}", all(columns)),
            Layout::Boxes(boxes) => format!(
                "boxes: {}; label: {}",
                all(boxes.numbers.columns()),
                boxes.label.map_or("none".to_owned(), name)
            ),
        };
        let head = if columns.header { "" } else { "no header; " };
        let group = columns.group.map_or_else(String::new, |column| format!("; group: {}", name(column)));
        format!("{head}image: {}; {shown}{group}", name(columns.image))
    }
}
