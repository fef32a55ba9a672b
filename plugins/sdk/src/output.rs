//! Columns to return: whole vectors, or built value by value where values may be absent or vary in length.

use crate::{Column, Data, Output, Refusal, Scalars, Varlen};

impl Output {
    /// A row for each input row.
    pub fn of(columns: Vec<Column>) -> Output {
        Output { lineage: None, columns, refused: Vec::new() }
    }
}

/// The row goes no further; `code` is for machines, `reason` a sentence for people.
pub fn refuse(row: usize, code: &str, reason: impl Into<String>) -> Refusal {
    Refusal { row: row as u32, code: code.into(), reason: reason.into() }
}

impl Column {
    fn flat(values: Scalars) -> Column {
        Column { validity: None, data: Data::Flat(values) }
    }

    /// With a bit for each row, 1 where the value is there.
    pub fn with_validity(self, validity: Bits) -> Column {
        Column { validity: Some(validity.finish()), ..self }
    }

    pub fn ints(values: Vec<i64>) -> Column {
        Column::flat(Scalars::S64s(values))
    }

    pub fn floats(values: Vec<f64>) -> Column {
        Column::flat(Scalars::F64s(values))
    }

    /// Days since 1970-01-01.
    pub fn dates(days: Vec<i32>) -> Column {
        Column::flat(Scalars::Days(days))
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    pub fn timestamps(micros: Vec<i64>) -> Column {
        Column::flat(Scalars::MicrosUtc(micros))
    }

    pub fn booleans(values: Bits) -> Column {
        Column::flat(Scalars::Bits(values.finish()))
    }

    /// Of values that were pushed as UTF-8.
    pub fn texts(values: VarlenBuilder) -> Column {
        Column::flat(Scalars::Texts(values.finish()))
    }

    pub fn binaries(values: VarlenBuilder) -> Column {
        Column::flat(Scalars::Binaries(values.finish()))
    }

    pub fn ints_maybe(values: impl IntoIterator<Item = Option<i64>>) -> Column {
        let (values, validity) = split(values);
        Column::ints(values).with_validity(validity)
    }

    pub fn floats_maybe(values: impl IntoIterator<Item = Option<f64>>) -> Column {
        let (values, validity) = split(values);
        Column::floats(values).with_validity(validity)
    }
}

fn split<T: Default>(values: impl IntoIterator<Item = Option<T>>) -> (Vec<T>, Bits) {
    let mut validity = Bits::default();
    let values = values.into_iter().map(|value| {
        validity.push(value.is_some());
        value.unwrap_or_default()
    });
    (values.collect(), validity)
}

/// Booleans, or which values are there.
#[derive(Default)]
pub struct Bits {
    bytes: Vec<u8>,
    len: usize,
}

impl Bits {
    pub fn push(&mut self, bit: bool) {
        if self.len.is_multiple_of(8) {
            self.bytes.push(0);
        }
        self.bytes[self.len / 8] |= u8::from(bit) << (self.len % 8);
        self.len += 1;
    }

    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// Texts or byte strings, one after the other.
pub struct VarlenBuilder {
    offsets: Vec<u32>,
    bytes: Vec<u8>,
}

impl Default for VarlenBuilder {
    fn default() -> VarlenBuilder {
        VarlenBuilder::with_capacity(0, 0)
    }
}

impl VarlenBuilder {
    pub fn with_capacity(values: usize, bytes: usize) -> VarlenBuilder {
        let mut offsets = Vec::with_capacity(values + 1);
        offsets.push(0);
        VarlenBuilder { offsets, bytes: Vec::with_capacity(bytes) }
    }

    /// An absent value is an empty one, and a 0 in the validity.
    pub fn push(&mut self, value: impl AsRef<[u8]>) {
        self.bytes.extend_from_slice(value.as_ref());
        self.offsets.push(self.bytes.len() as u32);
    }

    /// One value of several parts.
    pub fn push_parts(&mut self, parts: &[&str]) {
        // parts are short: byte by byte is faster than a call for each
        parts.iter().for_each(|part| self.bytes.extend(part.bytes()));
        self.offsets.push(self.bytes.len() as u32);
    }

    pub fn finish(self) -> Varlen {
        Varlen { offsets: self.offsets, bytes: self.bytes }
    }
}
