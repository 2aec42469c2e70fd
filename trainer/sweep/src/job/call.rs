//! Distributions in a word, such as `choice('sgd', 'adam')` and `uniform(0.001, 0.1)`: name, parentheses, arguments.

use serde_json::Number;

use super::error::Place;
use super::tree::{Entry, Node, Tree};

/// A name with arguments, in order; those that have a name (`q=2`) are entries with it, the others have an empty one.
#[derive(Debug, PartialEq)]
pub(super) struct Call {
    pub name: String,
    pub arguments: Vec<Entry>,
}

/// Most values that a range may stand for.
const RANGE: usize = 10_000;

/// The call that a text is, if it begins as one: with a name and an opening parenthesis. The error says what is wrong with the rest.
pub(super) fn read(text: &str, place: &Place) -> Option<Result<Call, String>> {
    let (name, rest) = text.trim().split_once('(')?;
    let name = name.trim();
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(word) {
        return None;
    }
    let mut scan = Scan { rest, place };
    Some(scan.arguments(')').and_then(|arguments| match scan.rest.trim() {
        "" => Ok(Call { name: name.to_owned(), arguments }),
        more => Err(format!("{more:?} follows its closing parenthesis")),
    }))
}

struct Scan<'a> {
    rest: &'a str,
    place: &'a Place,
}

impl Scan<'_> {
    fn next(&mut self) -> Option<char> {
        let first = self.peek()?;
        self.rest = &self.rest[first.len_utf8()..];
        Some(first)
    }

    /// The next character that is no space.
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    /// Arguments up to the closing bracket, which is passed.
    fn arguments(&mut self, close: char) -> Result<Vec<Entry>, String> {
        let mut found = Vec::new();
        loop {
            match self.peek() {
                None => return Err(format!("its {close:?} is missing")),
                Some(c) if c == close => {
                    self.next();
                    return Ok(found);
                }
                Some(',') => return Err("a value is missing before a comma".to_owned()),
                Some(_) => found.push(self.argument()?),
            }
            match self.peek() {
                Some(',') => {
                    self.next();
                }
                Some(c) if c == close => {}
                Some(other) => return Err(format!("a comma is missing before {other:?}")),
                None => return Err(format!("its {close:?} is missing")),
            }
        }
    }

    fn argument(&mut self) -> Result<Entry, String> {
        let place = self.place.clone();
        if let Some((name, rest)) = self.rest.split_once('=')
            && !name.trim().is_empty()
            && name.trim().chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        {
            self.rest = rest;
            return Ok(Entry { name: name.trim().to_owned(), place, tree: self.value()? });
        }
        Ok(Entry { name: String::new(), place, tree: self.value()? })
    }

    fn value(&mut self) -> Result<Tree, String> {
        let node = match self.peek() {
            Some(quote @ ('\'' | '"')) => {
                self.next();
                let (text, rest) = self.rest.split_once(quote).ok_or("a quotation mark is not closed")?;
                self.rest = rest;
                Node::Text(text.to_owned())
            }
            Some('[') => {
                self.next();
                Node::List(self.arguments(']')?.into_iter().map(|entry| entry.tree).collect())
            }
            // Columns and rows of tiles, which are written so.
            Some('(') => {
                let (inside, rest) = self.rest.split_once(')').ok_or("its ')' is missing")?;
                self.rest = rest;
                Node::Text(format!("{inside})"))
            }
            Some(_) | None => {
                let end = self.rest.find([',', ')', ']', '(']).unwrap_or(self.rest.len());
                let (word, rest) = self.rest.split_at(end);
                self.rest = rest;
                match (word.trim(), self.rest.starts_with('(')) {
                    ("range", true) => {
                        self.next();
                        let bounds = self.arguments(')')?;
                        Node::List(range(&bounds)?.into_iter().map(|node| self.tree(node)).collect())
                    }
                    (name, true) => return Err(format!("{name}(...) cannot stand inside")),
                    ("", false) => return Err("a value is missing".to_owned()),
                    (word, false) => leaf(word),
                }
            }
        };
        Ok(self.tree(node))
    }

    fn tree(&self, node: Node) -> Tree {
        Tree { place: self.place.clone(), node }
    }
}

/// What a word without quotation marks is: a number, a truth, or a text.
pub(super) fn leaf(word: &str) -> Node {
    let whole = word.parse::<i64>().ok().map(Number::from);
    let number = || word.parse::<f64>().ok().filter(|_| word.starts_with(|c: char| !c.is_alphabetic()));
    match word {
        "true" | "True" => Node::Bool(true),
        "false" | "False" => Node::Bool(false),
        _ => match whole.or_else(|| number().and_then(Number::from_f64)) {
            Some(number) => Node::Number(number),
            None => Node::Text(word.to_owned()),
        },
    }
}

/// Python's `range`: from a number, or 0, to one before another, in steps.
fn range(bounds: &[Entry]) -> Result<Vec<Node>, String> {
    let whole = |entry: &Entry| match &entry.tree.node {
        Node::Number(number) => number.as_i64(),
        Node::Null | Node::Bool(_) | Node::Text(_) | Node::List(_) | Node::Map(_) => None,
    };
    let numbers: Option<Vec<i64>> = bounds.iter().map(whole).collect();
    let (start, stop, step) = match numbers.as_deref() {
        Some([stop]) => (0, *stop, 1),
        Some([start, stop]) => (*start, *stop, 1),
        Some([start, stop, step]) => (*start, *stop, *step),
        Some(_) | None => {
            return Err("range takes one to three whole numbers: range(stop), range(start, stop, step)".to_owned());
        }
    };
    let inside = |value: &i64| if step > 0 { *value < stop } else { *value > stop };
    if step == 0 {
        return Err("the step of a range is 0".to_owned());
    }
    let values: Vec<i64> = std::iter::successors(Some(start), |value| value.checked_add(step))
        .take_while(inside)
        .take(RANGE + 1)
        .collect();
    if values.len() > RANGE {
        return Err(format!("a range stands for more than {RANGE} values"));
    }
    Ok(values.into_iter().map(|value| Node::Number(value.into())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn arguments(text: &str) -> Vec<(String, Value)> {
        let call = read(text, &Place::Nowhere).unwrap().unwrap();
        call.arguments.iter().map(|entry| (entry.name.clone(), entry.tree.json())).collect()
    }

    #[test]
    fn arguments_are_read_as_what_they_look_like() {
        let plain = |values: Vec<Value>| values.into_iter().map(|value| (String::new(), value)).collect::<Vec<_>>();
        assert_eq!(arguments("choice('a', \"b, c\", d)"), plain(vec![json!("a"), json!("b, c"), json!("d")]));
        assert_eq!(arguments(" uniform( 1e-4 , .5 ) "), plain(vec![json!(1e-4), json!(0.5)]));
        assert_eq!(arguments("choice([1, 2],)"), plain(vec![json!([1, 2])]));
        assert_eq!(arguments("choice(range(2, 9, 3))"), plain(vec![json!([2, 5, 8])]));
        assert_eq!(arguments("choice((3, 2), 5x3, True)"), plain(vec![json!("(3, 2)"), json!("5x3"), json!(true)]));
        assert_eq!(arguments("f(q=2, mu = -1)"), vec![("q".to_owned(), json!(2)), ("mu".to_owned(), json!(-1))]);
        assert_eq!(arguments("choice()"), vec![]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, part) in [
            ("choice(1, 2", "is missing"),
            ("choice(1 2, 'x)", "not closed"),
            ("choice(1,, 2)", "before a comma"),
            ("choice(1) 2", "follows"),
            ("choice('a' 'b')", "comma is missing"),
            ("choice(uniform(1, 2))", "cannot stand inside"),
            ("choice(range(1, 2, 0))", "step of a range is 0"),
            ("choice(range(100000))", "more than"),
            ("choice(range(a))", "whole numbers"),
        ] {
            let error = read(text, &Place::Nowhere).unwrap().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        for text in ["plain", "(3, 2)", "3x2", "a b(c)", "https://x/(y)"] {
            assert_eq!(read(text, &Place::Nowhere), None, "{text}");
        }
    }
}
