//! A field that holds a list of labels.

/// What stands between the labels of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Separator {
    /// This character. A label may be quoted with `'` or `"`, doubled inside, and the list may stand in `[` and `]`.
    Mark(char),
    /// Blanks, as in `haze primary`.
    Blanks,
}

impl Separator {
    /// The separator of lists: a comma, a quote or a bracket anywhere says comma; else a `|`, else a `;`; else, where
    /// the column is one of `tags`, blanks.
    pub fn of<'a>(fields: &(impl Iterator<Item = &'a str> + Clone), tags: bool) -> Self {
        let any = |test: &dyn Fn(&str) -> bool| fields.clone().any(test);
        if any(&|field| field.contains(',') || field.starts_with(['\'', '"', '['])) {
            return Self::Mark(',');
        }
        match ['|', ';'].into_iter().find(|mark| any(&|field| field.contains(*mark))) {
            Some(mark) => Self::Mark(mark),
            None if tags && any(&|field| field.contains(char::is_whitespace)) => Self::Blanks,
            None => Self::Mark(','),
        }
    }

    /// In words, unless it is the usual one.
    pub fn unusual(self) -> Option<String> {
        match self {
            Self::Mark(',') => None,
            Self::Mark(mark) => Some(format!("labels of a list are separated by {mark}")),
            Self::Blanks => Some("labels of a list are separated by blanks".to_owned()),
        }
    }

    /// The labels of a list, each once. An error says what is wrong with it.
    pub fn labels(self, text: &str) -> Result<Vec<String>, String> {
        let text = text.trim();
        let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text).trim();
        let all = match self {
            Self::Mark(mark) => marked(inner, mark)?,
            Self::Blanks => text.split_whitespace().map(str::to_owned).collect(),
        };
        let mut labels: Vec<String> = Vec::with_capacity(all.len());
        for label in all {
            if !labels.contains(&label) {
                labels.push(label);
            }
        }
        Ok(labels)
    }
}

fn marked(text: &str, mark: char) -> Result<Vec<String>, String> {
    let name = if mark == ',' { "comma".to_owned() } else { mark.to_string() };
    let mut labels = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let quote = rest.chars().next().filter(|letter| matches!(letter, '\'' | '"'));
        let (label, after) = match quote {
            Some(quote) => unquoted(&rest[1..], quote).ok_or(format!("has a {quote} that is not closed"))?,
            None => {
                let end = rest.find(mark).unwrap_or(rest.len());
                (rest[..end].trim_end().to_owned(), &rest[end..])
            }
        };
        if label.trim().is_empty() {
            return Err("holds an empty label".to_owned());
        }
        rest = after.trim_start();
        rest = match rest.strip_prefix(mark) {
            Some(more) if more.trim().is_empty() => return Err(format!("ends in a {name}")),
            Some(more) => more.trim_start(),
            None if rest.is_empty() => rest,
            None => return Err(format!("has no {name} after {label:?}")),
        };
        labels.push(label);
    }
    Ok(labels)
}

/// Text up to the closing quote, whose opening one has been taken, and what follows it.
fn unquoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut label = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once(quote)?;
        label.push_str(part);
        match after.strip_prefix(quote) {
            Some(more) => {
                label.push(quote);
                rest = more;
            }
            None => return Some((label, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_are_seen_in_the_fields() {
        let of = |fields: &[&str], tags| Separator::of(&fields.iter().copied(), tags);
        assert_eq!(of(&["a|b", "a"], false), Separator::Mark('|'));
        assert_eq!(of(&["a|b,c"], true), Separator::Mark(','));
        assert_eq!(of(&["haze primary", "clear"], true), Separator::Blanks);
        assert_eq!(of(&["polar bear", "clear"], false), Separator::Mark(','));
        assert_eq!(Separator::Blanks.labels("haze primary  haze").unwrap(), ["haze", "primary"]);
        assert_eq!(Separator::Mark(',').labels(r#"["a, b", 'c', d]"#).unwrap(), ["a, b", "c", "d"]);
        assert_eq!(Separator::Mark(',').labels("[]").unwrap(), Vec::<String>::new());
        assert_eq!(Separator::Mark('|').labels("a | b").unwrap(), ["a", "b"]);
    }
}
