//! The text of a job as a tree, in which everything knows its line.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};
use serde_saphyr::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Place, Problem};

/// A value and where it is written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tree {
    pub place: Place,
    pub node: Node,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Tree>),
    /// In the order of the file, each name once.
    Map(Vec<Entry>),
}

/// A name, where it is written, and its value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub name: String,
    pub place: Place,
    pub tree: Tree,
}

impl Tree {
    pub fn text(text: impl Into<String>, place: &Place) -> Self {
        Self { place: place.clone(), node: Node::Text(text.into()) }
    }

    /// What it is, for people.
    pub fn kind(&self) -> String {
        match &self.node {
            Node::Null => "nothing".to_owned(),
            Node::Bool(value) => value.to_string(),
            Node::Number(value) => value.to_string(),
            Node::Text(text) => format!("{text:?}"),
            Node::List(_) => "a list".to_owned(),
            Node::Map(_) => "a mapping".to_owned(),
        }
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        match &self.node {
            Node::Null => Value::Null,
            Node::Bool(value) => Value::from(*value),
            Node::Number(value) => Value::Number(value.clone()),
            Node::Text(text) => Value::from(text.as_str()),
            Node::List(items) => items.iter().map(Self::json).collect(),
            Node::Map(entries) => entries.iter().map(|entry| (entry.name.clone(), entry.tree.json())).collect(),
        }
    }

    /// The same tree, written elsewhere.
    pub fn moved(self, place: &Place) -> Self {
        let node = match self.node {
            Node::List(items) => Node::List(items.into_iter().map(|item| item.moved(place)).collect()),
            Node::Map(entries) => {
                let entry = |e: Entry| Entry { place: place.clone(), tree: e.tree.moved(place), ..e };
                Node::Map(entries.into_iter().map(entry).collect())
            }
            other @ (Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_)) => other,
        };
        Self { place: place.clone(), node }
    }
}

/// Reads YAML.
pub(super) fn yaml(text: &str) -> Result<Tree, (Place, Problem)> {
    match serde_saphyr::from_str::<Spanned<Raw>>(text) {
        Ok(raw) => Ok(from_raw(raw)),
        Err(error) => {
            let place = error.location().map_or(Place::Nowhere, |at| Place::Line(at.line()));
            let reason = error.without_snippet().to_string();
            Err((place, Problem::Syntax { format: "YAML", reason: reason.lines().next().unwrap_or("").to_owned() }))
        }
    }
}

/// A value as the YAML library hands it over: what is inside keeps its place only without buffering, so this is no untagged enum.
enum Raw {
    Leaf(Node),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

fn line(at: serde_saphyr::Location) -> Place {
    if at.line() == 0 { Place::Nowhere } else { Place::Line(at.line()) }
}

fn from_raw(raw: Spanned<Raw>) -> Tree {
    let node = match raw.value {
        Raw::Leaf(node) => node,
        Raw::List(items) => Node::List(items.into_iter().map(from_raw).collect()),
        Raw::Map(entries) => Node::Map(
            entries
                .into_iter()
                .map(|(name, value)| Entry { place: line(name.referenced), name: name.value, tree: from_raw(value) })
                .collect(),
        ),
    };
    Tree { place: line(raw.referenced), node }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Leaf(Node::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Leaf(Node::Number(value.into())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Leaf(Node::Number(value.into())))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        // What is no finite number is left as a text, which no setting accepts.
        let node = Number::from_f64(value).map_or_else(|| Node::Text(value.to_string()), Node::Number);
        Ok(Raw::Leaf(node))
    }

    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Leaf(Node::Text(text.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Leaf(Node::Null))
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Leaf(Node::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

/// Reads TOML.
pub(super) fn toml(text: &str) -> Result<Tree, (Place, Problem)> {
    let place = |at: usize| {
        let before = text.get(..at).unwrap_or(text);
        Place::Line(before.bytes().filter(|byte| *byte == b'\n').count() as u64 + 1)
    };
    match DeTable::parse(text) {
        Ok(table) => Ok(from_table(table.get_ref(), Place::Line(1), &place)),
        Err(error) => {
            let at = error.span().map_or(Place::Nowhere, |span| place(span.start));
            Err((at, Problem::Syntax { format: "TOML", reason: error.message().to_owned() }))
        }
    }
}

fn from_table(table: &DeTable<'_>, at: Place, place: &impl Fn(usize) -> Place) -> Tree {
    let mut entries: Vec<_> = table.iter().collect();
    // The library sorts by name; the file has an order.
    entries.sort_by_key(|(name, _)| name.span().start);
    let entry = |(name, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| Entry {
        name: AsRef::<str>::as_ref(name.get_ref() as &std::borrow::Cow<'_, str>).to_owned(),
        place: place(name.span().start),
        tree: from_value(value, place),
    };
    Tree { place: at, node: Node::Map(entries.into_iter().map(entry).collect()) }
}

fn from_value(value: &toml::Spanned<DeValue<'_>>, place: &impl Fn(usize) -> Place) -> Tree {
    let at = place(value.span().start);
    let node = match value.get_ref() {
        DeValue::String(text) => Node::Text(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| Node::Text(number.to_string()), |number| Node::Number(number.into())),
        DeValue::Float(number) => {
            let read = number.as_str().parse().ok().and_then(Number::from_f64);
            read.map_or_else(|| Node::Text(number.to_string()), Node::Number)
        }
        DeValue::Boolean(value) => Node::Bool(*value),
        DeValue::Datetime(time) => Node::Text(time.to_string()),
        DeValue::Array(items) => Node::List(items.iter().map(|item| from_value(item, place)).collect()),
        DeValue::Table(table) => return from_table(table, at, place),
    };
    Tree { place: at, node }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_knows_its_lines() {
        let tree = yaml("a: 1\nb:\n  - x: yes\n    y: '2'\n  - [1.5, ~]\n").unwrap();
        let Node::Map(entries) = &tree.node else { panic!("{tree:?}") };
        assert_eq!((entries[0].place.clone(), entries[1].place.clone()), (Place::Line(1), Place::Line(2)));
        let Node::List(items) = &entries[1].tree.node else { panic!("{tree:?}") };
        let Node::Map(inner) = &items[0].node else { panic!("{tree:?}") };
        assert_eq!((inner[1].place.clone(), inner[1].tree.place.clone()), (Place::Line(4), Place::Line(4)));
        assert_eq!(inner[1].tree.node, Node::Text("2".to_owned()));
        assert_eq!(items[1].json(), serde_json::json!([1.5, null]));
        assert_eq!(items[1].place, Place::Line(5));
    }

    #[test]
    fn toml_keeps_order_and_lines() {
        let tree = toml("z = 1\na = [1, 2.5]\n[m]\ny = true\nb = { c = 'd' }\n").unwrap();
        let Node::Map(entries) = &tree.node else { panic!("{tree:?}") };
        let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["z", "a", "m"]);
        let Node::Map(inner) = &entries[2].tree.node else { panic!("{tree:?}") };
        assert_eq!((inner[1].name.as_str(), inner[1].place.clone()), ("b", Place::Line(5)));
        assert_eq!(tree.json(), serde_json::json!({"z": 1, "a": [1, 2.5], "m": {"y": true, "b": {"c": "d"}}}));
    }

    #[test]
    fn broken_text_has_a_line() {
        let (place, problem) = yaml("a: 1\nb: [1\nc: 2\n").unwrap_err();
        assert!(matches!(place, Place::Line(2..=4)), "{place:?} {problem}");
        let (place, problem) = toml("a = 1\nb = \n").unwrap_err();
        assert_eq!(place, Place::Line(2), "{problem}");
        let (place, problem) = yaml("a: 1\nb: 2\na: 3\n").unwrap_err();
        assert!(problem.to_string().contains('a') && place == Place::Line(3), "{place:?} {problem}");
    }
}
