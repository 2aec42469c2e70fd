//! Reading a tree field by field: what was taken is known, what is left is unknown, and what is wrong is written down.

use schemas::setting::{Kind, nearest};
use serde_json::Value;

use super::error::{JobError, Place, Problem};
use super::tree::{Entry, Node, Tree};
use super::{Note, NoteKind};

/// What was found wrong on the way.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub errors: Vec<JobError>,
    pub notes: Vec<Note>,
}

impl Log {
    pub fn error(&mut self, item: &Item, problem: impl Into<Problem>) {
        self.error_at(&item.place, &item.field, problem);
    }

    pub fn error_at(&mut self, place: &Place, field: &str, problem: impl Into<Problem>) {
        let error = JobError { place: place.clone(), field: field.to_owned(), problem: problem.into() };
        if !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }

    pub fn note(&mut self, item: &Item, kind: NoteKind, text: impl Into<String>) {
        self.note_at(&item.place, &item.field, kind, text);
    }

    pub fn note_at(&mut self, place: &Place, field: &str, kind: NoteKind, text: impl Into<String>) {
        let line = match place {
            Place::Line(line) => Some(*line),
            Place::Option(_) | Place::Nowhere => None,
        };
        let note = Note { field: field.to_owned(), line, kind, text: text.into() };
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

/// A value with its name and place.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// Its own name, as it is written.
    pub name: String,
    /// Dotted path.
    pub field: String,
    pub place: Place,
    pub tree: Tree,
}

impl Item {
    pub fn shape(&self, expected: &str) -> Problem {
        Problem::Shape { expected: expected.to_owned(), found: self.tree.kind() }
    }

    /// Its text; `None` and an error where it has none.
    pub fn text(&self, log: &mut Log) -> Option<String> {
        match &self.tree.node {
            Node::Text(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
            // A name may look like a number or a truth.
            Node::Number(number) => Some(number.to_string()),
            Node::Text(_) | Node::Null | Node::Bool(_) | Node::List(_) | Node::Map(_) => {
                log.error(self, self.shape("a text"));
                None
            }
        }
    }

    /// Its value as a setting of this kind.
    pub fn read(&self, kind: Kind, log: &mut Log) -> Option<Value> {
        kind.parse(&self.name, &self.tree.json()).map_err(|error| log.error(self, error)).ok()
    }

    /// A whole number.
    pub fn whole(&self, (min, max): (u32, u32), log: &mut Log) -> Option<u32> {
        self.read(Kind::Int { min, max }, log)?.as_u64()?.try_into().ok()
    }

    /// A number.
    pub fn number(&self, (min, max): (f64, f64), log: &mut Log) -> Option<f64> {
        let kind = Kind::Float { min, max, exclusive_min: false, exclusive_max: false };
        self.read(kind, log)?.as_f64()
    }

    /// True or false.
    pub fn truth(&self, log: &mut Log) -> Option<bool> {
        self.read(Kind::Bool, log)?.as_bool()
    }

    /// Its items; `None` and an error where it is no list.
    pub fn list(self, log: &mut Log) -> Option<Vec<Self>> {
        match self.tree.node {
            Node::List(items) => {
                let item = |(index, tree): (usize, Tree)| Self {
                    name: self.name.clone(),
                    field: format!("{}.{index}", self.field),
                    place: tree.place.clone(),
                    tree,
                };
                Some(items.into_iter().enumerate().map(item).collect())
            }
            Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_) | Node::Map(_) => {
                log.error(&self, self.shape("a list"));
                None
            }
        }
    }

    /// Its fields; `None` and an error where it is no mapping.
    pub fn fields(self, log: &mut Log) -> Option<Fields> {
        match self.tree.node {
            Node::Map(entries) => Some(Fields::new(self.field, entries)),
            Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_) | Node::List(_) => {
                log.error(&self, self.shape("a mapping of names to values"));
                None
            }
        }
    }
}

/// The fields of a mapping, each of which is taken once; what is left at the end is unknown.
#[derive(Debug)]
pub(super) struct Fields {
    /// Dotted path of the mapping.
    pub field: String,
    entries: Vec<Option<Entry>>,
    known: Vec<String>,
}

impl Fields {
    pub fn new(field: String, entries: Vec<Entry>) -> Self {
        Self { field, entries: entries.into_iter().map(Some).collect(), known: Vec::new() }
    }

    /// Of the whole file.
    pub fn of(tree: Tree, log: &mut Log) -> Option<Self> {
        Item { name: "file".to_owned(), field: String::new(), place: tree.place.clone(), tree }.fields(log)
    }

    /// Takes the field of this name; one that says nothing (`null`) is as good as absent.
    pub fn take(&mut self, name: &str) -> Option<Item> {
        self.known.push(name.to_owned());
        let at = self.entries.iter().position(|entry| entry.as_ref().is_some_and(|entry| entry.name == name))?;
        let entry = self.entries[at].take()?;
        Some(self.item(entry)).filter(|item| item.tree.node != Node::Null)
    }

    /// Takes whatever is left, in order, also what says nothing.
    pub fn rest(&mut self) -> Vec<Item> {
        let entries: Vec<Entry> = self.entries.iter_mut().filter_map(Option::take).collect();
        entries.into_iter().map(|entry| self.item(entry)).collect()
    }

    fn item(&self, entry: Entry) -> Item {
        let field = if self.field.is_empty() { entry.name.clone() } else { format!("{}.{}", self.field, entry.name) };
        Item { field, name: entry.name, place: entry.place, tree: entry.tree }
    }

    /// Reports what nobody took.
    pub fn finish(mut self, log: &mut Log) {
        for item in self.rest() {
            let nearest = nearest(&item.name, self.known.iter().map(String::as_str)).map(str::to_owned);
            log.error(&item, Problem::Unknown { nearest });
        }
    }
}
