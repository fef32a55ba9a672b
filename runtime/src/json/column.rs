//! Columns while they grow, a value at a time, and shrink again when a message turns out bad.
//!
//! Invariant: after every message all columns of a decoder have the same length.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Float64Array, Int64Array, ListArray, StringArray,
    TimestampMicrosecondArray,
};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Field as ArrowField};

use crate::schema::{Kind, Type};

/// Values of one kind, without nulls.
#[derive(Debug)]
enum Values {
    Boolean(Vec<bool>),
    Int64(Vec<i64>),
    Float64(Vec<f64>),
    Date(Vec<i32>),
    Timestamp(Vec<i64>),
    /// Text and binary: the end of each value in `bytes`.
    Bytes {
        ends: Vec<i32>,
        bytes: Vec<u8>,
    },
}

/// One value on its way into a column.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    Boolean(bool),
    Int64(i64),
    Float64(f64),
    Date(i32),
    Timestamp(i64),
    Bytes(&'a [u8]),
}

#[derive(Debug)]
pub struct Column {
    pub ty: Type,
    values: Values,
    /// Ends of the lists in `values`; unused for scalars.
    list_ends: Vec<i32>,
    valid: Vec<bool>,
    nulls: usize,
}

impl Values {
    fn new(kind: Kind, rows: usize) -> Values {
        match kind {
            Kind::Boolean => Values::Boolean(Vec::with_capacity(rows)),
            Kind::Int64 => Values::Int64(Vec::with_capacity(rows)),
            Kind::Float64 => Values::Float64(Vec::with_capacity(rows)),
            Kind::Date => Values::Date(Vec::with_capacity(rows)),
            Kind::Timestamp => Values::Timestamp(Vec::with_capacity(rows)),
            Kind::Text | Kind::Binary => Values::Bytes { ends: Vec::with_capacity(rows), bytes: Vec::new() },
        }
    }

    fn len(&self) -> usize {
        match self {
            Values::Boolean(values) => values.len(),
            Values::Int64(values) | Values::Timestamp(values) => values.len(),
            Values::Float64(values) => values.len(),
            Values::Date(values) => values.len(),
            Values::Bytes { ends, .. } => ends.len(),
        }
    }

    /// The decoder asks only for values of the column's kind.
    fn push(&mut self, value: Value<'_>) {
        match (self, value) {
            (Values::Boolean(values), Value::Boolean(value)) => values.push(value),
            (Values::Int64(values), Value::Int64(value)) => values.push(value),
            (Values::Float64(values), Value::Float64(value)) => values.push(value),
            (Values::Date(values), Value::Date(value)) => values.push(value),
            (Values::Timestamp(values), Value::Timestamp(value)) => values.push(value),
            (Values::Bytes { ends, bytes }, Value::Bytes(value)) => {
                bytes.extend_from_slice(value);
                ends.push(bytes.len() as i32);
            }
            (values, value) => unreachable!("{value:?} pushed into {values:?}"),
        }
    }

    fn push_default(&mut self) {
        match self {
            Values::Boolean(values) => values.push(false),
            Values::Int64(values) | Values::Timestamp(values) => values.push(0),
            Values::Float64(values) => values.push(0.0),
            Values::Date(values) => values.push(0),
            Values::Bytes { ends, bytes } => ends.push(bytes.len() as i32),
        }
    }

    fn truncate(&mut self, len: usize) {
        match self {
            Values::Boolean(values) => values.truncate(len),
            Values::Int64(values) | Values::Timestamp(values) => values.truncate(len),
            Values::Float64(values) => values.truncate(len),
            Values::Date(values) => values.truncate(len),
            Values::Bytes { ends, bytes } => {
                ends.truncate(len);
                bytes.truncate(ends.last().map_or(0, |end| *end as usize));
            }
        }
    }

    fn finish(self, kind: Kind, nulls: Option<NullBuffer>) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Values::Boolean(values) => Arc::new(BooleanArray::new(values.into(), nulls)),
            Values::Int64(values) => Arc::new(Int64Array::new(values.into(), nulls)),
            Values::Float64(values) => Arc::new(Float64Array::new(values.into(), nulls)),
            Values::Date(values) => Arc::new(Date32Array::new(values.into(), nulls)),
            Values::Timestamp(values) => {
                Arc::new(TimestampMicrosecondArray::new(values.into(), nulls).with_timezone("UTC"))
            }
            Values::Bytes { ends, bytes } => {
                let offsets = offsets(&ends);
                let bytes = Buffer::from_vec(bytes);
                match kind {
                    Kind::Text => Arc::new(StringArray::try_new(offsets, bytes, nulls)?),
                    _ => Arc::new(BinaryArray::try_new(offsets, bytes, nulls)?),
                }
            }
        })
    }
}

fn offsets(ends: &[i32]) -> OffsetBuffer<i32> {
    let mut offsets = Vec::with_capacity(ends.len() + 1);
    offsets.push(0);
    offsets.extend_from_slice(ends);
    OffsetBuffer::new(ScalarBuffer::from(offsets))
}

impl Column {
    pub fn new(ty: Type, rows: usize) -> Column {
        let list_ends = Vec::with_capacity(if ty.list { rows } else { 0 });
        Column { ty, values: Values::new(ty.kind, rows), list_ends, valid: Vec::with_capacity(rows), nulls: 0 }
    }

    pub fn rows(&self) -> usize {
        self.valid.len()
    }

    /// A value of a scalar column, or one item of the list that [`Column::end_list`] will close.
    pub fn push(&mut self, value: Value<'_>) {
        self.values.push(value);
        if !self.ty.list {
            self.valid.push(true);
        }
    }

    pub fn end_list(&mut self) {
        self.list_ends.push(self.values.len() as i32);
        self.valid.push(true);
    }

    pub fn push_null(&mut self) {
        match self.ty.list {
            true => self.list_ends.push(self.values.len() as i32),
            false => self.values.push_default(),
        }
        self.valid.push(false);
        self.nulls += 1;
    }

    /// Forgets every row from `rows` on, half-read lists included.
    pub fn truncate(&mut self, rows: usize) {
        self.nulls -= self.valid[rows.min(self.valid.len())..].iter().filter(|valid| !**valid).count();
        self.valid.truncate(rows);
        if self.ty.list {
            self.list_ends.truncate(rows);
            self.values.truncate(self.list_ends.last().map_or(0, |end| *end as usize));
        } else {
            self.values.truncate(rows);
        }
    }

    /// The column's array; it is empty afterwards, with room for as many rows.
    pub fn take(&mut self) -> Result<ArrayRef, ArrowError> {
        let column = std::mem::replace(self, Column::new(self.ty, self.rows()));
        let nulls = (column.nulls > 0).then(|| NullBuffer::from(column.valid));
        if !column.ty.list {
            return column.values.finish(column.ty.kind, nulls);
        }
        let items = column.values.finish(column.ty.kind, None)?;
        let item = Arc::new(ArrowField::new("item", items.data_type().clone(), false));
        debug_assert_eq!(DataType::List(item.clone()), column.ty.arrow());
        Ok(Arc::new(ListArray::try_new(item, offsets(&column.list_ends), items, nulls)?))
    }
}
