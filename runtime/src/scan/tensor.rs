//! How many elements a tensor declares, and how many it holds.

use super::format::Storage;
use super::{MOST_AXES, Problem};

/// What has been read of a tensor. Its elements may be in several fields, of which one alone is right.
#[derive(Default)]
pub(super) struct Tensor {
    axes: u32,
    /// The lengths multiplied.
    declared: Product,
    /// ONNX's number of the type of its elements.
    elements: u64,
    /// Bytes in `raw_data`, or values in another field.
    held: Option<(Storage, u64)>,
}

/// A product of lengths: `None` once it is more than can be counted.
struct Product(Option<u64>);

impl Default for Product {
    fn default() -> Self {
        Self(Some(1))
    }
}

impl Tensor {
    /// The type of its elements.
    pub fn is_of(&mut self, elements: u64) {
        self.elements = elements;
    }

    /// One axis more.
    pub fn axis(&mut self, length: u64) -> Result<(), Problem> {
        self.axes += 1;
        if self.axes > MOST_AXES {
            return Err(Problem::TooMany { what: "axes of a tensor", most: MOST_AXES.into() });
        }
        // Negative numbers are written as those above 2^63.
        self.declared = Product(self.declared.0.and_then(|declared| declared.checked_mul(length)));
        Ok(())
    }

    /// So many bytes or values more.
    pub fn hold(&mut self, storage: Storage, more: u64) -> Result<(), Problem> {
        match &mut self.held {
            Some((same, held)) if *same == storage => *held += more,
            Some(_) => return Err(Problem::TwoFields),
            None => self.held = Some((storage, more)),
        }
        Ok(())
    }

    /// Whether it holds as many elements as it declares.
    pub fn check(&self) -> Result<(), Problem> {
        let layout = Layout::of(self.elements).ok_or(Problem::Elements { code: self.elements })?;
        let (storage, held) = self.held.unwrap_or((layout.storage, 0));
        let raw = storage == Storage::Raw && layout.bits > 0;
        if storage != layout.storage && !raw {
            return Err(Problem::Storage { code: self.elements });
        }
        let needed = self.declared.0.and_then(|elements| layout.needed(storage, elements)).ok_or(Problem::TooLarge)?;
        if held == needed { Ok(()) } else { Err(Problem::Size { needed, held, unit: storage.unit() }) }
    }
}

impl Storage {
    /// What is counted in the field.
    fn unit(self) -> &'static str {
        match self {
            Self::Raw => "bytes",
            Self::Text | Self::Float | Self::Int32 | Self::Int64 | Self::Double | Self::Uint64 => "values",
        }
    }
}

/// How the elements of a type are stored.
struct Layout {
    /// Bits of an element; 0 for texts, which have no one length.
    bits: u64,
    /// The field that holds them where `raw_data` does not.
    storage: Storage,
    /// Bits of elements in one value of that field.
    value: u64,
}

impl Layout {
    /// Of ONNX's number of an element type.
    fn of(elements: u64) -> Option<Self> {
        let layout = |bits, storage, value| Some(Self { bits, storage, value });
        match elements {
            1 => layout(32, Storage::Float, 32),
            2 | 3 | 9 | 17..=20 | 24 => layout(8, Storage::Int32, 8),
            4 | 5 | 10 | 16 => layout(16, Storage::Int32, 16),
            6 => layout(32, Storage::Int32, 32),
            7 => layout(64, Storage::Int64, 64),
            8 => layout(0, Storage::Text, 0),
            11 => layout(64, Storage::Double, 64),
            12 => layout(32, Storage::Uint64, 32),
            13 => layout(64, Storage::Uint64, 64),
            // Complex numbers are two values; several small numbers share one.
            14 => layout(64, Storage::Float, 32),
            15 => layout(128, Storage::Double, 64),
            21..=23 => layout(4, Storage::Int32, 8),
            25 | 26 => layout(2, Storage::Int32, 8),
            _ => None,
        }
    }

    /// Bytes of so many elements in `raw_data`, or values of them in the other field.
    fn needed(&self, storage: Storage, elements: u64) -> Option<u64> {
        let bits = elements.checked_mul(self.bits)?;
        match storage {
            Storage::Raw => Some(bits.div_ceil(8)),
            Storage::Text => Some(elements),
            Storage::Float | Storage::Int32 | Storage::Int64 | Storage::Double | Storage::Uint64 => {
                Some(bits.div_ceil(self.value))
            }
        }
    }
}
