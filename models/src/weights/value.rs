//! What a pickle holds here: plain values in an arena, which refer to each other by index.

use std::rc::Rc;

use super::dtype::Dtype;
use super::globals::Global;

/// Index of a value in [`Pickle::values`].
pub(super) type Id = usize;

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// None, floats, byte strings: things that may lie beside tensors and nobody reads.
    Opaque,
    Bool(bool),
    Int(i64),
    Text(Rc<str>),
    Tuple(Vec<Id>),
    /// A list or a set.
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Global),
    Object(Object),
    /// A storage by the key under which the container keeps it.
    Storage(Storage),
    Tensor(Rc<Tensor>),
}

/// An instance of a class that is not known here, or what a function that is not known would have given: what the file says
/// about it, and no meaning.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Object {
    /// Its items, where its class is some dictionary.
    pub items: Vec<(Id, Id)>,
    /// Its attributes.
    pub attributes: Vec<(Id, Id)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Storage {
    pub key: Rc<str>,
    pub dtype: Dtype,
    /// Elements.
    pub len: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tensor {
    pub storage: Storage,
    /// Elements.
    pub offset: i64,
    pub shape: Vec<i64>,
    pub strides: Vec<i64>,
}

/// The result of one pickle.
#[derive(Debug)]
pub(super) struct Pickle {
    pub values: Vec<Value>,
    pub root: Id,
    /// Bytes read, the stop opcode included.
    pub read: usize,
}

impl Pickle {
    /// What a dictionary, or an instance of an unknown class, holds under names: items, then attributes, in order.
    pub fn entries(&self, id: Id) -> Option<impl Iterator<Item = (&str, Id)>> {
        let (items, attributes): (&[_], &[_]) = match &self.values[id] {
            Value::Dict(pairs) => (pairs, &[]),
            Value::Object(Object { items, attributes }) => (items, attributes),
            _ => return None,
        };
        Some(items.iter().chain(attributes).filter_map(|(key, value)| Some((self.text(*key)?, *value))))
    }

    /// The attributes of an instance of an unknown class.
    pub fn attributes(&self, id: Id) -> &[(Id, Id)] {
        match &self.values[id] {
            Value::Object(object) => &object.attributes,
            _ => &[],
        }
    }

    /// What an instance of an unknown class holds under the name of an attribute.
    pub fn attribute(&self, id: Id, name: &str) -> Option<Id> {
        self.attributes(id).iter().rev().find_map(|(key, value)| (self.text(*key)? == name).then_some(*value))
    }

    /// The text that a value is.
    pub fn text(&self, id: Id) -> Option<&str> {
        match &self.values[id] {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}
