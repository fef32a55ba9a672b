//! The columns of a call, by their place in the signature's `reads`.
//!
//! Asking for a column that is not there, or as another kind, is a mistake in the plugin: it panics, and says which.

use crate::{Column, Data, Scalars, Varlen};

pub struct Input {
    rows: usize,
    columns: Vec<Column>,
}

impl Input {
    pub fn new(rows: u32, columns: Vec<Column>) -> Input {
        Input { rows: rows as usize, columns }
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many there are.
    pub fn columns(&self) -> usize {
        self.columns.len()
    }

    /// The column as it comes: for lists.
    pub fn column(&self, index: usize) -> &Column {
        let count = self.columns.len();
        self.columns.get(index).unwrap_or_else(|| panic!("column {index} of {count} was asked for"))
    }

    fn flat(&self, index: usize) -> (&Scalars, Option<&[u8]>) {
        let column = self.column(index);
        match &column.data {
            Data::Flat(scalars) => (scalars, column.validity.as_deref()),
            Data::Nested(_) => panic!("column {index} holds lists"),
        }
    }

    pub fn booleans(&self, index: usize) -> Booleans<'_> {
        match self.flat(index) {
            (Scalars::Bits(bits), validity) => Booleans { bits, validity },
            _ => panic!("column {index} is not boolean"),
        }
    }

    pub fn ints(&self, index: usize) -> Numbers<'_, i64> {
        match self.flat(index) {
            (Scalars::S64s(values), validity) => Numbers { values, validity },
            _ => panic!("column {index} is not int64"),
        }
    }

    pub fn floats(&self, index: usize) -> Numbers<'_, f64> {
        match self.flat(index) {
            (Scalars::F64s(values), validity) => Numbers { values, validity },
            _ => panic!("column {index} is not float64"),
        }
    }

    /// Days since 1970-01-01.
    pub fn dates(&self, index: usize) -> Numbers<'_, i32> {
        match self.flat(index) {
            (Scalars::Days(values), validity) => Numbers { values, validity },
            _ => panic!("column {index} is not date"),
        }
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    pub fn timestamps(&self, index: usize) -> Numbers<'_, i64> {
        match self.flat(index) {
            (Scalars::MicrosUtc(values), validity) => Numbers { values, validity },
            _ => panic!("column {index} is not timestamp"),
        }
    }

    pub fn texts(&self, index: usize) -> Texts<'_> {
        match self.flat(index) {
            (Scalars::Texts(values), validity) => Texts::new(values, None, validity),
            (Scalars::DictTexts(dict), validity) => Texts::new(&dict.values, Some(&dict.keys), validity),
            _ => panic!("column {index} is not text"),
        }
    }

    pub fn binaries(&self, index: usize) -> Binaries<'_> {
        match self.flat(index) {
            (Scalars::Binaries(values), validity) => Binaries { values, validity },
            _ => panic!("column {index} is not binary"),
        }
    }
}

fn is_valid(validity: Option<&[u8]>, row: usize) -> bool {
    validity.is_none_or(|bits| bit(bits, row))
}

fn bit(bits: &[u8], index: usize) -> bool {
    bits[index / 8] >> (index % 8) & 1 == 1
}

#[derive(Clone, Copy)]
pub struct Numbers<'a, T> {
    pub(crate) values: &'a [T],
    pub(crate) validity: Option<&'a [u8]>,
}

impl<'a, T: Copy> Numbers<'a, T> {
    pub fn get(self, row: usize) -> Option<T> {
        is_valid(self.validity, row).then(|| self.values[row])
    }

    /// A value for each row; those that are absent are zero.
    pub fn values(self) -> &'a [T] {
        self.values
    }
}

#[derive(Clone, Copy)]
pub struct Booleans<'a> {
    pub(crate) bits: &'a [u8],
    pub(crate) validity: Option<&'a [u8]>,
}

impl Booleans<'_> {
    pub fn get(self, row: usize) -> Option<bool> {
        is_valid(self.validity, row).then(|| bit(self.bits, row))
    }
}

#[derive(Clone, Copy)]
pub struct Binaries<'a> {
    pub(crate) values: &'a Varlen,
    pub(crate) validity: Option<&'a [u8]>,
}

impl<'a> Binaries<'a> {
    pub fn get(self, row: usize) -> Option<&'a [u8]> {
        let Varlen { offsets, bytes } = self.values;
        is_valid(self.validity, row).then(|| &bytes[offsets[row] as usize..offsets[row + 1] as usize])
    }
}

/// Plain or by dictionary: a plugin need not know.
#[derive(Clone, Copy)]
pub struct Texts<'a> {
    offsets: &'a [u32],
    bytes: &'a [u8],
    keys: Option<&'a [u32]>,
    validity: Option<&'a [u8]>,
}

impl<'a> Texts<'a> {
    pub(crate) fn new(values: &'a Varlen, keys: Option<&'a [u32]>, validity: Option<&'a [u8]>) -> Texts<'a> {
        Texts { offsets: &values.offsets, bytes: &values.bytes, keys, validity }
    }

    pub fn get(self, row: usize) -> Option<&'a str> {
        is_valid(self.validity, row).then(|| self.value(row))
    }

    /// An absent text is empty.
    pub fn value(self, row: usize) -> &'a str {
        let index = self.keys.map_or(row, |keys| keys[row] as usize);
        let text = &self.bytes[self.offsets[index] as usize..self.offsets[index + 1] as usize];
        // SAFETY: the contract says that each value is UTF-8, and the host makes nothing else; checking it again here
        // cost a sixth of what flight-features does with a row
        unsafe { std::str::from_utf8_unchecked(text) }
    }
}
