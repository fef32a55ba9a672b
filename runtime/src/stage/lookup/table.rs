//! The table's file: JSON lines, decoded as a source decodes messages, so that both say alike what is wrong.
//!
//! Invariant: a table that was loaded has its keys once each. What is wrong with the file is said with its line.

use std::collections::HashMap;
use std::path::Path;

use arrow_array::{Array, ArrayRef, RecordBatch};
use serde_json::Value;

use super::{Key, Settings, shown};
use crate::json::decode::Decoder;
use crate::json::lines::{Line, Lines};
use crate::schema::{Field, Kind, Type};
use crate::stage::LoadError;

/// A table is held in memory, once a process.
const TABLE_ROWS_MAX: usize = 1_000_000;
const TABLE_BYTES_MAX: u64 = 256 << 20;

pub struct Table {
    pub keys: Vec<Field>,
    pub rows: Rows,
    /// By filled column.
    pub values: Vec<(Kind, ArrayRef)>,
    /// By filled column: one value, the default or null.
    pub defaults: Vec<ArrayRef>,
}

/// Key to row of the table.
#[derive(Debug, Default)]
pub struct Rows(HashMap<Box<[u8]>, u32, ahash::RandomState>);

impl Rows {
    /// `bytes` is room for the key. A null is in no table.
    pub fn find(&self, keys: &[Key], row: usize, bytes: &mut Vec<u8>) -> Option<u32> {
        bytes.clear();
        let whole = keys.iter().all(|key| key.write(row, bytes));
        whole.then(|| self.0.get(bytes.as_slice()).copied())?
    }
}

pub fn load(file: &Path, settings: &Settings) -> Result<Table, LoadError> {
    bounded(file)?;
    let kinds = kinds(file, settings)?;
    let names = settings.on.iter().map(|(name, _)| name).chain(settings.fill.iter().map(|fill| &fill.name));
    let fields: Vec<_> = names.zip(&kinds).map(|(name, kind)| Field::new(name, Type::of(*kind))).collect();
    let (columns, lines) = decode(file, &fields)?;
    let (keys, filled) = fields.split_at(settings.on.len());
    let rows = index(file, &columns, keys, &lines)?;
    let values = filled.iter().zip(&columns.columns()[keys.len()..]);
    let values = values.map(|(field, column)| (field.ty.kind, column.clone())).collect();
    Ok(Table { keys: keys.to_vec(), rows, values, defaults: defaults(file, filled, settings)? })
}

fn bounded(file: &Path) -> Result<(), LoadError> {
    let bytes =
        std::fs::metadata(file).map_err(|error| LoadError::new(file, format!("cannot be read: {error}")))?.len();
    if bytes > TABLE_BYTES_MAX {
        return Err(LoadError::new(file, format!("has {bytes} bytes, and a table at most {TABLE_BYTES_MAX}")));
    }
    Ok(())
}

/// Calls `each` with every line.
fn read(file: &Path, mut each: impl FnMut(Line<'_>) -> Result<(), LoadError>) -> Result<(), LoadError> {
    let unread = |error| LoadError::new(file, format!("cannot be read: {error}"));
    let mut lines = Lines::open(file).map_err(unread)?;
    while let Some(line) = lines.next_line().map_err(unread)? {
        each(line)?;
    }
    Ok(())
}

/// The kind of each key and filled column: as the flow has it, else as the values in the table and the default are.
fn kinds(file: &Path, settings: &Settings) -> Result<Vec<Kind>, LoadError> {
    let keys = settings.on.iter().map(|(name, kind)| (name, *kind, None));
    let filled = settings.fill.iter().map(|fill| (&fill.name, fill.there, fill.default.as_ref()));
    let columns: Vec<_> = keys.chain(filled).collect();
    let unknown = |index: &usize| columns[*index].1.is_none();
    let unknown: Vec<_> = (0..columns.len()).filter(unknown).collect();
    let mut kinds: Vec<_> = columns.iter().map(|(_, kind, default)| kind.or(default.and_then(kind_of))).collect();
    if !unknown.is_empty() {
        read(file, |line| {
            // what is no JSON is said when it is decoded
            let Ok(Value::Object(object)) = serde_json::from_slice(line.value) else { return Ok(()) };
            for &index in &unknown {
                let Some(value) = object.get(columns[index].0).filter(|value| !value.is_null()) else { continue };
                kinds[index] =
                    Some(join(kinds[index], value).ok_or_else(|| mixed(file, &line, columns[index].0, value))?);
            }
            Ok(())
        })?;
    }
    let none = |name: &str| LoadError::new(file, format!("has no `{name}`"));
    columns.iter().zip(kinds).map(|((name, ..), kind)| kind.ok_or_else(|| none(name))).collect()
}

/// The kind of a value where nothing says it; a date is a text then.
pub fn kind_of(value: &Value) -> Option<Kind> {
    Some(match value {
        Value::Bool(_) => Kind::Boolean,
        Value::Number(number) if number.is_i64() => Kind::Int64,
        Value::Number(_) => Kind::Float64,
        Value::String(_) => Kind::Text,
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    })
}

/// The kind that has both; whole numbers among others are numbers.
fn join(so_far: Option<Kind>, value: &Value) -> Option<Kind> {
    match (so_far, kind_of(value)?) {
        (None, kind) => Some(kind),
        (Some(so_far), kind) if so_far == kind => Some(kind),
        (Some(Kind::Int64 | Kind::Float64), Kind::Int64 | Kind::Float64) => Some(Kind::Float64),
        _ => None,
    }
}

fn mixed(file: &Path, line: &Line, name: &str, value: &Value) -> LoadError {
    LoadError::new(file, format!("`{name}` is {value}, which is of another type than before")).at_line(line.number)
}

/// The table's columns, and the line of each row.
fn decode(file: &Path, fields: &[Field]) -> Result<(RecordBatch, Vec<usize>), LoadError> {
    let (mut decoder, mut lines) = (Decoder::of(fields.to_vec()), Vec::new());
    read(file, |line| {
        if lines.len() == TABLE_ROWS_MAX {
            return Err(LoadError::new(file, format!("has more than {TABLE_ROWS_MAX} rows")).at_line(line.number));
        }
        lines.push(line.number);
        decoder.push(&line);
        Ok(())
    })?;
    let batch = decoder.take(Vec::new()).map_err(|error| LoadError::new(file, error.to_string()))?;
    match batch.rejects.first() {
        Some(bad) => Err(LoadError::new(file, bad.reason.clone()).at_line(lines[bad.origin as usize])),
        None => Ok((batch.columns, lines)),
    }
}

fn index(file: &Path, columns: &RecordBatch, fields: &[Field], lines: &[usize]) -> Result<Rows, LoadError> {
    let keys = fields.iter().map(|field| Key::of(columns, &field.name)).collect::<Result<Vec<_>, _>>();
    let keys = keys.map_err(|error| LoadError::new(file, error.to_string()))?;
    let (mut rows, mut bytes) = (Rows::default(), Vec::new());
    for row in 0..columns.num_rows() {
        match rows.find(&keys, row, &mut bytes) {
            None => drop(rows.0.insert(bytes.as_slice().into(), row as u32)),
            Some(first) if same(columns, first as usize, row) => {}
            Some(first) => {
                let (key, line) = (shown(fields, &keys, row), lines[first as usize]);
                let other = format!("{key} is in line {line} too, with other values");
                return Err(LoadError::new(file, other).at_line(lines[row]));
            }
        }
    }
    Ok(rows)
}

fn same(columns: &RecordBatch, one: usize, other: usize) -> bool {
    columns.columns().iter().all(|column| column.slice(one, 1) == column.slice(other, 1))
}

fn defaults(file: &Path, filled: &[Field], settings: &Settings) -> Result<Vec<ArrayRef>, LoadError> {
    let values = settings.fill.iter().filter_map(|fill| Some((fill.name.clone(), fill.default.clone()?)));
    let fields: Vec<_> = filled.iter().map(|field| Field::new(&field.name, field.ty.nullable())).collect();
    let values = Value::Object(values.collect());
    let columns = decode_one(&fields, &values).map_err(|reason| LoadError::new(file, format!("default: {reason}")))?;
    Ok(columns.columns().to_vec())
}

fn decode_one(fields: &[Field], object: &Value) -> Result<RecordBatch, String> {
    let mut decoder = Decoder::of(fields.to_vec());
    decoder.push(&Line { number: 1, value: object.to_string().as_bytes() });
    let batch = decoder.take(Vec::new()).map_err(|error| error.to_string())?;
    batch.rejects.into_iter().next().map_or(Ok(batch.columns), |bad| Err(bad.reason))
}

/// Why the value cannot be in a column of that kind, if so.
pub fn check_default(name: &str, kind: Kind, value: &Value) -> Result<(), String> {
    let object = Value::Object([(name.to_owned(), value.clone())].into_iter().collect());
    decode_one(&[Field::new(name, Type::of(kind))], &object).map(drop)
}
