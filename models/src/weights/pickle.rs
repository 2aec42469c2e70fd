//! A pickle interpreter for weights, and for nothing else.
//!
//! Python's pickle is a program that can call anything. This one knows the opcodes that `torch.save` writes and the few
//! names that tensors and dictionaries need. An instance of any other class is a value without a meaning ([`Object`]):
//! nothing is looked up, imported or called for it. Values lie in an arena and refer to each other by index, so that
//! neither deep nesting nor a list that contains itself can overflow the stack, and the number of operations is bounded.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::globals::{Global, global};
use super::value::{Id, Object, Pickle, Storage, Tensor, Value};

/// Operations after which a file is refused; ResNet-152's state dict takes 25 thousand. Every item that an operation
/// copies counts as one more, so that a short file cannot make us allocate without bound.
const MAX_OPERATIONS: usize = 1_000_000;

/// Dimensions of a tensor after which it is refused.
const MAX_DIMENSIONS: usize = 8;

/// Runs one pickle from the start of `bytes`. The error is a sentence without the file's name.
pub(super) fn run(bytes: &[u8]) -> Result<Pickle, String> {
    let mut machine = Machine {
        input: Input { bytes, at: 0 },
        values: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: BTreeMap::new(),
        spent: 0,
    };
    while machine.spent < MAX_OPERATIONS {
        machine.spent += 1;
        let at = machine.input.at;
        if let Some(root) = machine.step().map_err(|e| format!("pickle byte {at}: {e}"))? {
            return Ok(Pickle { values: machine.values, root, read: machine.input.at });
        }
    }
    Err(format!(
        "its pickle has more than {MAX_OPERATIONS} operations, far beyond any state dict; save only the state dict"
    ))
}

struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(n).filter(|end| *end <= self.bytes.len());
        let end = end
            .ok_or_else(|| format!("{n} bytes expected, {} left: the file is truncated", self.bytes.len() - self.at))?;
        let slice = &self.bytes[self.at..end];
        self.at = end;
        Ok(slice)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let slice = self.take(N)?;
        slice.try_into().map_err(|_| "short read".to_owned())
    }

    /// An unsigned integer of `width` bytes, at most 8.
    fn length(&mut self, width: usize) -> Result<usize, String> {
        let value = self.take(width)?.iter().rev().fold(0_u64, |n, b| n << 8 | u64::from(*b));
        usize::try_from(value).map_err(|e| e.to_string())
    }

    fn line(&mut self) -> Result<&'a str, String> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().take(256).position(|b| *b == b'\n').ok_or("a name of more than 255 bytes")?;
        self.at += end + 1;
        std::str::from_utf8(&rest[..end]).map_err(|_| "a name that is not UTF-8".to_owned())
    }
}

struct Machine<'a> {
    input: Input<'a>,
    values: Vec<Value>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: BTreeMap<usize, Id>,
    /// Operations so far, against [`MAX_OPERATIONS`].
    spent: usize,
}

const EMPTY: &str = "takes from an empty stack: the file is damaged";

impl Machine<'_> {
    fn push(&mut self, value: Value) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    fn pop(&mut self) -> Result<Id, String> {
        // Items below the newest mark belong to an unfinished collection.
        if self.stack.len() <= self.marks.last().copied().unwrap_or(0) {
            return Err(EMPTY.to_owned());
        }
        self.stack.pop().ok_or_else(|| EMPTY.to_owned())
    }

    fn top(&self) -> Result<Id, String> {
        self.stack.last().copied().ok_or_else(|| EMPTY.to_owned())
    }

    /// Everything above the newest mark.
    fn pop_mark(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().ok_or("ends a collection that was never begun: the file is damaged")?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    /// Text whose length takes `width` bytes.
    fn text(&mut self, width: usize) -> Result<(), String> {
        let n = self.input.length(width)?;
        let text = std::str::from_utf8(self.input.take(n)?).map_err(|_| "text that is not UTF-8")?;
        self.push(Value::Text(text.into()));
        Ok(())
    }

    /// Python 2's text, which may be bytes, whose length takes `width` bytes.
    fn old_text(&mut self, width: usize) -> Result<(), String> {
        let n = self.input.length(width)?;
        let text = std::str::from_utf8(self.input.take(n)?).map_or(Value::Opaque, |text| Value::Text(text.into()));
        self.push(text);
        Ok(())
    }

    /// Bytes whose length takes `width` bytes.
    fn bytes(&mut self, width: usize) -> Result<(), String> {
        let n = self.input.length(width)?;
        self.input.take(n)?;
        self.push(Value::Opaque);
        Ok(())
    }

    fn remember(&mut self, index: usize) -> Result<(), String> {
        let id = self.top()?;
        self.memo.insert(index, id);
        Ok(())
    }

    fn recall(&mut self, index: usize) -> Result<(), String> {
        let id = self.memo.get(&index).ok_or_else(|| format!("refers to memo {index}, which was never set"))?;
        self.stack.push(*id);
        Ok(())
    }

    fn tuple(&mut self, n: usize) -> Result<(), String> {
        let mut items = Vec::with_capacity(n);
        for _ in 0..n {
            items.push(self.pop()?);
        }
        items.reverse();
        self.push(Value::Tuple(items));
        Ok(())
    }

    /// One opcode; the root at `STOP`.
    fn step(&mut self) -> Result<Option<Id>, String> {
        let opcode = self.input.array::<1>()?[0];
        if opcode == b'.' {
            return self.pop().map(Some);
        }
        let is_known = self.bookkeeping(opcode)?
            || self.scalar(opcode)?
            || self.collection(opcode)?
            || self.name(opcode)?
            || self.memo(opcode)?;
        if is_known {
            return Ok(None);
        }
        Err(format!(
            "opcode 0x{opcode:02x} is refused: no state dict needs it; save only the state dict (torch.save(model.state_dict(), ...))"
        ))
    }

    /// Runs an opcode of the stream itself or of the stack; `false` for any other.
    fn bookkeeping(&mut self, opcode: u8) -> Result<bool, String> {
        match opcode {
            0x80 => drop(self.input.take(1)?), // PROTO
            0x95 => drop(self.input.take(8)?), // FRAME
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_mark()?),
            b'2' => {
                let id = self.top()?;
                self.stack.push(id);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Runs an opcode that pushes a number, a text or another single value; `false` for any other.
    fn scalar(&mut self, opcode: u8) -> Result<bool, String> {
        match opcode {
            b'N' => self.push(Value::Opaque),
            0x88 => self.push(Value::Bool(true)),
            0x89 => self.push(Value::Bool(false)),
            b'K' => {
                let [v] = self.input.array()?;
                self.push(Value::Int(i64::from(v)));
            }
            b'M' => {
                let v = u16::from_le_bytes(self.input.array()?);
                self.push(Value::Int(i64::from(v)));
            }
            b'J' => {
                let v = i32::from_le_bytes(self.input.array()?);
                self.push(Value::Int(i64::from(v)));
            }
            0x8a => self.long(1)?,
            0x8b => self.long(4)?,
            b'G' => {
                self.input.take(8)?;
                self.push(Value::Opaque);
            }
            b'X' => self.text(4)?,
            0x8c => self.text(1)?,
            0x8d => self.text(8)?,
            b'U' => self.old_text(1)?,
            b'T' => self.old_text(4)?,
            b'C' => self.bytes(1)?,
            b'B' => self.bytes(4)?,
            0x8e | 0x96 => self.bytes(8)?, // BINBYTES8, BYTEARRAY8
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Runs an opcode that makes or fills a list, a set, a dictionary or a tuple; `false` for any other.
    fn collection(&mut self, opcode: u8) -> Result<bool, String> {
        match opcode {
            b']' | 0x8f => self.push(Value::List(Vec::new())),
            0x91 => {
                let items = self.pop_mark()?;
                self.push(Value::List(items)); // FROZENSET
            }
            b'}' => self.push(Value::Dict(Vec::new())),
            b')' => self.push(Value::Tuple(Vec::new())),
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' | 0x90 => {
                let items = self.pop_mark()?;
                self.append(items)?; // to a list, or to a set
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.insert(&[key, value])?;
            }
            b'u' => {
                let items = self.pop_mark()?;
                self.insert(&items)?;
            }
            b't' => {
                let items = self.pop_mark()?;
                self.push(Value::Tuple(items));
            }
            0x85..=0x87 => self.tuple(usize::from(opcode - 0x84))?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Runs an opcode that names something of Python's, or does something with it; `false` for any other.
    fn name(&mut self, opcode: u8) -> Result<bool, String> {
        match opcode {
            b'c' => {
                let (module, name) = (self.input.line()?, self.input.line()?);
                self.push(Value::Global(global(module, name)?));
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Value::Text(module), Value::Text(name)) = (&self.values[module], &self.values[name]) else {
                    return Err("names a global by something that is not text".to_owned());
                };
                let found = global(module, name)?;
                self.push(Value::Global(found));
            }
            b'R' => self.reduce()?,
            0x81 => self.instance(1)?,
            0x92 => self.instance(2)?,
            b'b' => self.build()?,
            b'Q' => self.persistent()?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Runs an opcode that remembers a value or recalls one; `false` for any other.
    fn memo(&mut self, opcode: u8) -> Result<bool, String> {
        match opcode {
            b'q' => {
                let index = self.input.length(1)?;
                self.remember(index)?;
            }
            b'r' => {
                let index = self.input.length(4)?;
                self.remember(index)?;
            }
            0x94 => self.remember(self.memo.len())?,
            b'h' => {
                let index = self.input.length(1)?;
                self.recall(index)?;
            }
            b'j' => {
                let index = self.input.length(4)?;
                self.recall(index)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// A little-endian two's complement integer whose length takes `width` bytes; beyond 64 bits (the legacy magic number)
    /// it is opaque.
    fn long(&mut self, width: usize) -> Result<(), String> {
        let n = self.input.length(width)?;
        let digits = self.input.take(n)?;
        let negative = digits.last().is_some_and(|b| b & 0x80 != 0);
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        let value = if n <= 8 {
            wide[..n].copy_from_slice(digits);
            Value::Int(i64::from_le_bytes(wide))
        } else {
            Value::Opaque
        };
        self.push(value);
        Ok(())
    }

    fn append(&mut self, items: Vec<Id>) -> Result<(), String> {
        let list = self.top()?;
        match &mut self.values[list] {
            Value::List(existing) => existing.extend(items),
            Value::Object(_) => {} // the items of a list of another class
            _ => return Err("appends to something that is not a list".to_owned()),
        }
        Ok(())
    }

    fn insert(&mut self, items: &[Id]) -> Result<(), String> {
        let dict = self.top()?;
        let (Value::Dict(existing) | Value::Object(Object { items: existing, .. })) = &mut self.values[dict] else {
            return Err("sets an item of something that is not a dictionary".to_owned());
        };
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return Err("sets a dictionary item without a value".to_owned());
        }
        existing.extend(pairs.iter().map(|[k, v]| (*k, *v)));
        Ok(())
    }

    fn ints(&self, id: Id) -> Option<Vec<i64>> {
        let (Value::Tuple(items) | Value::List(items)) = &self.values[id] else { return None };
        if items.len() > MAX_DIMENSIONS {
            return None;
        }
        items.iter().map(|i| self.int(*i)).collect()
    }

    fn int(&self, id: Id) -> Option<i64> {
        match &self.values[id] {
            Value::Int(v) => Some(*v),
            _ => None,
        }
    }

    /// REDUCE: a call. Of a name that is not known it gives an instance of an unknown class.
    fn reduce(&mut self) -> Result<(), String> {
        let (arguments, callable) = (self.pop()?, self.pop()?);
        let Value::Tuple(arguments) = &self.values[arguments] else {
            return Err("calls a name with something that is not a tuple".to_owned());
        };
        let name = match self.values[callable] {
            Value::Global(name) => name,
            Value::Object(_) => Global::Unknown,
            _ => return Err("calls something that is not a known name".to_owned()),
        };
        let value = match name {
            Global::OrderedDict | Global::Dict | Global::DefaultDict => self.dictionary(arguments)?,
            Global::Set => self.set(arguments),
            Global::RebuildTensor | Global::RebuildTensorV2 => self.tensor(arguments)?,
            Global::RebuildFromType => self.typed_tensor(arguments)?,
            Global::RebuildParameter => match arguments.first().map(|id| &self.values[*id]) {
                Some(Value::Tensor(t)) => Value::Tensor(Rc::clone(t)),
                Some(Value::Object(_) | Value::Opaque) => Value::Opaque,
                _ => return Err("a parameter without a tensor".to_owned()),
            },
            Global::Unknown => Value::Object(Object::default()),
            Global::Storage(_) => return Err("calls a storage type".to_owned()),
        };
        if let Value::Dict(pairs) = &value {
            self.spent += pairs.len();
        }
        if let Value::List(items) = &value {
            self.spent += items.len();
        }
        self.push(value);
        Ok(())
    }

    /// NEWOBJ, and with two `arguments` NEWOBJ_EX: an instance of a class, with the attributes that a BUILD then gives it.
    fn instance(&mut self, arguments: usize) -> Result<(), String> {
        for _ in 0..arguments {
            self.pop()?;
        }
        let class = self.pop()?;
        let value = match &self.values[class] {
            Value::Global(Global::OrderedDict | Global::Dict | Global::DefaultDict) => Value::Dict(Vec::new()),
            Value::Global(Global::Set) => Value::List(Vec::new()),
            Value::Global(_) | Value::Object(_) => Value::Object(Object::default()),
            _ => return Err("makes an instance of something that is not a class".to_owned()),
        };
        self.push(value);
        Ok(())
    }

    /// BUILD: gives an instance attributes, which are copied as Python does. Those of a dictionary (an `OrderedDict`'s are
    /// module versions) and of a tensor are read by nobody.
    fn build(&mut self) -> Result<(), String> {
        let (state, instance) = (self.pop()?, self.top()?);
        let state = match &self.values[state] {
            Value::Tuple(parts) => parts.first().copied().unwrap_or(state), // attributes, and those that have slots
            _ => state,
        };
        let (Value::Object(_), Value::Dict(pairs)) = (&self.values[instance], &self.values[state]) else {
            return Ok(());
        };
        let pairs = pairs.clone();
        self.spent += pairs.len();
        if let Value::Object(object) = &mut self.values[instance] {
            object.attributes.extend(pairs);
        }
        Ok(())
    }

    /// `OrderedDict()` or `OrderedDict([(key, value), ...])`; `defaultdict(factory)` starts empty.
    fn dictionary(&self, arguments: &[Id]) -> Result<Value, String> {
        let Some(Value::List(items)) = arguments.first().map(|id| &self.values[*id]) else {
            return Ok(Value::Dict(Vec::new()));
        };
        let pair = |id: &Id| match &self.values[*id] {
            Value::Tuple(kv) | Value::List(kv) => <[Id; 2]>::try_from(kv.as_slice()).ok().map(|[k, v]| (k, v)),
            _ => None,
        };
        let pairs: Option<Vec<_>> = items.iter().map(pair).collect();
        pairs.map(Value::Dict).ok_or_else(|| "a dictionary made of something that is not pairs".to_owned())
    }

    /// `set()` or `set([item, ...])`.
    fn set(&self, arguments: &[Id]) -> Value {
        match arguments.first().map(|id| &self.values[*id]) {
            Some(Value::List(items) | Value::Tuple(items)) => Value::List(items.clone()),
            _ => Value::List(Vec::new()),
        }
    }

    /// `_rebuild_from_type_v2(function, type, arguments, state)`: a tensor of a class of its own.
    fn typed_tensor(&self, arguments: &[Id]) -> Result<Value, String> {
        let [function, _, inner, ..] = arguments else {
            return Err(format!("a tensor of its own class of {} arguments, at least 3 expected", arguments.len()));
        };
        match (&self.values[*function], &self.values[*inner]) {
            (Value::Global(Global::RebuildTensor | Global::RebuildTensorV2), Value::Tuple(inner)) => self.tensor(inner),
            _ => Ok(Value::Opaque),
        }
    }

    fn tensor(&self, arguments: &[Id]) -> Result<Value, String> {
        let [storage, offset, shape, strides, ..] = arguments else {
            return Err(format!("a tensor of {} arguments, at least 4 expected", arguments.len()));
        };
        if self.values[*storage] == Value::Opaque {
            return Ok(Value::Opaque); // its elements are of no type that weights have
        }
        let (Value::Storage(storage), Some(offset), Some(shape), Some(strides)) =
            (&self.values[*storage], self.int(*offset), self.ints(*shape), self.ints(*strides))
        else {
            return Err("a tensor whose storage, offset, shape or strides are not what they should be".to_owned());
        };
        Ok(Value::Tensor(Rc::new(Tensor { storage: storage.clone(), offset, shape, strides })))
    }

    /// BINPERSID: `("storage", type, key, device, elements[, view])`, or `("module", class, file, source)`.
    fn persistent(&mut self) -> Result<(), String> {
        let id = self.pop()?;
        let Value::Tuple(items) = &self.values[id] else {
            return Err("a persistent id that is not a tuple".to_owned());
        };
        let items: Vec<&Value> = items.iter().take(7).map(|i| &self.values[*i]).collect();
        let storage = match items.as_slice() {
            [Value::Text(tag), Value::Global(Global::Storage(dtype)), Value::Text(key), _, Value::Int(len)]
            | [
                Value::Text(tag),
                Value::Global(Global::Storage(dtype)),
                Value::Text(key),
                _,
                Value::Int(len),
                Value::Opaque,
            ] if &**tag == "storage" => Storage { key: Rc::clone(key), dtype: *dtype, len: *len },
            // A class with its source, which PyTorch's old format keeps beside a whole module.
            [Value::Text(tag), Value::Global(class), Value::Text(_), Value::Text(_)] if &**tag == "module" => {
                let class = *class;
                self.push(Value::Global(class));
                return Ok(());
            }
            [_, _, _, _, _, Value::Tuple(_)] => {
                return Err("a storage that is a view of another (PyTorch before 1.0); load and save it again with a newer PyTorch".to_owned());
            }
            [Value::Text(tag), Value::Global(Global::Unknown), ..] if &**tag == "storage" => {
                self.push(Value::Opaque); // complex numbers and other types that weights do not have
                return Ok(());
            }
            _ => return Err("a persistent id that is not a storage".to_owned()),
        };
        self.push(Value::Storage(storage));
        Ok(())
    }
}
