//! Columns to the numbers that a booster takes: the one piece of code for it, in training and in serving.
//!
//! Invariant: the same row gives the same bits, whatever batch it comes in. Absent values and categories that are not
//! known are NaN.

use std::collections::HashMap;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float64Type, Int64Type};
use arrow_array::{Array, RecordBatch, StringArray};
use arrow_schema::DataType;

use super::manifest::Feature;
use crate::error::{Error, Result};

#[derive(Debug)]
pub struct Encoder {
    features: Vec<(String, Codes)>,
}

/// Category to code; empty for a number.
type Codes = HashMap<Box<str>, f32, ahash::RandomState>;

/// A text that is no category of its feature.
#[derive(Debug, PartialEq, Eq)]
pub struct Unknown<'a> {
    pub row: usize,
    pub feature: &'a str,
    pub value: &'a str,
}

impl Encoder {
    /// Codes are exact: f32 counts to 2^24, and a model has fewer categories.
    pub fn new(features: &[Feature]) -> Encoder {
        let codes = |feature: &Feature| -> Codes {
            feature.categories.iter().enumerate().map(|(code, name)| (name.as_str().into(), code as f32)).collect()
        };
        Encoder { features: features.iter().map(|feature| (feature.name.clone(), codes(feature))).collect() }
    }

    /// Replaces `out` by a value for each feature of each row, row after row.
    pub fn encode(&self, columns: &RecordBatch, out: &mut Vec<f32>) -> Result<()> {
        let width = self.features.len();
        out.clear();
        out.resize(columns.num_rows() * width, f32::NAN);
        for (place, (name, codes)) in self.features.iter().enumerate() {
            let slots = out.iter_mut().skip(place).step_by(width);
            write(column(columns, name)?, codes, slots).ok_or_else(|| wrong_type(columns, name))?;
        }
        Ok(())
    }

    /// For each row with texts that are no categories, in order: the first of them.
    pub fn unknown<'a>(&'a self, columns: &'a RecordBatch) -> Result<Vec<Unknown<'a>>> {
        let mut texts: Vec<(&str, &Codes, &StringArray)> = Vec::new();
        for (name, codes) in self.features.iter().filter(|(_, codes)| !codes.is_empty()) {
            let texts_of = column(columns, name)?.as_string_opt::<i32>();
            texts.push((name, codes, texts_of.ok_or_else(|| wrong_type(columns, name))?));
        }
        let unknown = |row: usize| {
            texts.iter().find_map(|&(feature, codes, column)| {
                let known = column.is_null(row) || codes.contains_key(column.value(row));
                (!known).then(|| Unknown { row, feature, value: column.value(row) })
            })
        };
        Ok((0..columns.num_rows()).filter_map(unknown).collect())
    }
}

fn column<'a>(columns: &'a RecordBatch, name: &str) -> Result<&'a dyn Array> {
    let found = columns.column_by_name(name).map(|column| &**column);
    found.ok_or_else(|| Error::stop(format!("column `{name}`, which the model takes, is not among the batch's")))
}

fn wrong_type(columns: &RecordBatch, name: &str) -> Error {
    let ty = columns.column_by_name(name).map(|column| column.data_type().clone());
    Error::stop(format!("column `{name}` is of a type that the model does not take: {ty:?}"))
}

/// None: the column's type is not one that a model takes.
fn write<'a>(column: &dyn Array, codes: &Codes, slots: impl Iterator<Item = &'a mut f32>) -> Option<()> {
    match column.data_type() {
        DataType::Float64 => fill(slots, column.as_primitive::<Float64Type>().iter(), |value| value as f32),
        DataType::Int64 => fill(slots, column.as_primitive::<Int64Type>().iter(), |value| value as f32),
        DataType::Date32 => fill(slots, column.as_primitive::<Date32Type>().iter(), |value| value as f32),
        DataType::Boolean => fill(slots, column.as_boolean().iter(), |value| f32::from(u8::from(value))),
        DataType::Utf8 => {
            fill(slots, column.as_string::<i32>().iter(), |value| codes.get(value).copied().unwrap_or(f32::NAN))
        }
        _ => return None,
    }
    Some(())
}

fn fill<'a, T>(
    slots: impl Iterator<Item = &'a mut f32>,
    values: impl Iterator<Item = Option<T>>,
    number: impl Fn(T) -> f32,
) {
    for (slot, value) in slots.zip(values) {
        *slot = value.map_or(f32::NAN, &number);
    }
}
