//! Columns of types that no pipeline has, as JSON: what a file of another program holds.
//!
//! Shapes: [`super::encode`]'s where it has the type. Beside them, whole numbers of any width; float32 in the shortest
//! form that reads back to the same bits; a decimal as a number with every digit; a time of day `"07:08:09.123456"`;
//! times in nanoseconds with nine decimals, a timestamp without a zone without the `Z`; a UUID as text; a struct as an
//! object, and so a map whose keys are texts; a time of day that no day has as `null`.
//!
//! Invariant: a type that has no form is refused while columns are bound, before a row is written.
//! Knows nothing of files and their formats.

use std::collections::BTreeSet;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Decimal128Type, Decimal256Type, DecimalType, Float16Type, Float32Type, Int8Type, Int16Type,
    Int32Type, Time32MillisecondType, Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, Field, Fields, TimeUnit};
use serde::Serialize;
use uuid::Uuid;

use super::encode::{Cells, write_cell};
use super::scalar::{write_base64, write_json, write_moment, write_time};
use crate::error::{Error, Result};

/// What a field says of itself, by Arrow's own key, if its 16 bytes are a UUID.
pub const UUID_EXTENSION: &str = "arrow.uuid";

/// Appends the value of a row.
pub type Cell<'a> = Box<dyn Fn(usize, &mut Vec<u8>) + 'a>;

/// An object of every column. The fields give names and extensions, the arrays values; `within` names what they are in.
pub fn object<'a>(within: &str, fields: &Fields, arrays: &'a [ArrayRef]) -> Result<Cell<'a>> {
    let mut names = BTreeSet::new();
    let mut cells = Vec::with_capacity(fields.len());
    for (field, array) in fields.iter().zip(arrays) {
        if !names.insert(field.name()) {
            return Err(Error::stop(format!("two columns are named `{within}{}`", field.name())));
        }
        let mark = if cells.is_empty() { '{' } else { ',' };
        let prefix = format!("{mark}{}:", serde_json::Value::from(field.name().as_str())).into_bytes();
        cells.push((prefix, cell(within, field, array.as_ref())?));
    }
    Ok(Box::new(move |row, out| {
        for (prefix, cell) in &cells {
            out.extend_from_slice(prefix);
            cell(row, out);
        }
        out.extend_from_slice(if cells.is_empty() { b"{}" } else { b"}" });
    }))
}

fn cell<'a>(within: &str, field: &Field, array: &'a dyn Array) -> Result<Cell<'a>> {
    let value = value(&format!("{within}{}", field.name()), field, array)?;
    let nulls = array.logical_nulls();
    Ok(Box::new(move |row, out| match &nulls {
        Some(nulls) if nulls.is_null(row) => out.extend_from_slice(b"null"),
        _ => value(row, out),
    }))
}

/// Of rows that are not null.
fn value<'a>(column: &str, field: &Field, array: &'a dyn Array) -> Result<Cell<'a>> {
    Ok(match (array.data_type(), field.data_type()) {
        // every row of it is null
        (DataType::Null, _) => Box::new(|_, out| out.extend_from_slice(b"null")),
        (DataType::Int8, _) => number::<Int8Type>(array),
        (DataType::Int16, _) => number::<Int16Type>(array),
        (DataType::Int32, _) => number::<Int32Type>(array),
        (DataType::UInt8, _) => number::<UInt8Type>(array),
        (DataType::UInt16, _) => number::<UInt16Type>(array),
        (DataType::UInt32, _) => number::<UInt32Type>(array),
        (DataType::UInt64, _) => number::<UInt64Type>(array),
        (DataType::Float32, _) => number::<Float32Type>(array),
        (DataType::Float16, _) => {
            let array = array.as_primitive::<Float16Type>();
            Box::new(|row, out| write_json(array.value(row).to_f32(), out))
        }
        (DataType::Decimal128(..), _) => decimal::<Decimal128Type>(array),
        (DataType::Decimal256(..), _) => decimal::<Decimal256Type>(array),
        (DataType::Time32(TimeUnit::Millisecond), _) => {
            let array = array.as_primitive::<Time32MillisecondType>();
            Box::new(|row, out| write_time(array.value(row).into(), 1_000, out))
        }
        (DataType::Time64(TimeUnit::Microsecond), _) => time::<Time64MicrosecondType>(array, 1_000_000),
        (DataType::Time64(TimeUnit::Nanosecond), _) => time::<Time64NanosecondType>(array, 1_000_000_000),
        (DataType::Timestamp(unit, zone), _) => {
            let zone = if zone.is_some() { "Z" } else { "" };
            match unit {
                TimeUnit::Millisecond => moment::<TimestampMillisecondType>(array, 1_000, zone),
                TimeUnit::Microsecond => moment::<TimestampMicrosecondType>(array, 1_000_000, zone),
                TimeUnit::Nanosecond => moment::<TimestampNanosecondType>(array, 1_000_000_000, zone),
                TimeUnit::Second => return Err(no_form(column, array.data_type())),
            }
        }
        (DataType::FixedSizeBinary(_), _) => fixed(field, array),
        (DataType::Struct(_), DataType::Struct(fields)) => {
            object(&format!("{column}."), fields, array.as_struct().columns())?
        }
        (DataType::List(_), DataType::List(item)) => list(column, item, array)?,
        (DataType::Map(..), DataType::Map(entries, _)) => map(column, entries, array)?,
        (other, _) => {
            let cells = Cells::of(array).ok_or_else(|| no_form(column, other))?;
            Box::new(move |row, out| write_cell(&cells, row, out))
        }
    })
}

fn no_form(column: &str, of: &DataType) -> Error {
    Error::stop(format!("column `{column}` is of type {of}, which has no form in a message"))
}

fn number<T: ArrowPrimitiveType<Native: Serialize>>(array: &dyn Array) -> Cell<'_> {
    let array = array.as_primitive::<T>();
    Box::new(|row, out| write_json(array.value(row), out))
}

fn decimal<T: DecimalType>(array: &dyn Array) -> Cell<'_> {
    let array = array.as_primitive::<T>();
    Box::new(|row, out| out.extend_from_slice(array.value_as_string(row).as_bytes()))
}

fn time<T: ArrowPrimitiveType<Native = i64>>(array: &dyn Array, per_second: i64) -> Cell<'_> {
    let array = array.as_primitive::<T>();
    Box::new(move |row, out| write_time(array.value(row), per_second, out))
}

fn moment<'a, T: ArrowPrimitiveType<Native = i64>>(
    array: &'a dyn Array,
    per_second: i64,
    zone: &'static str,
) -> Cell<'a> {
    let array = array.as_primitive::<T>();
    Box::new(move |row, out| write_moment(array.value(row), per_second, zone, out))
}

fn fixed<'a>(field: &Field, array: &'a dyn Array) -> Cell<'a> {
    let array = array.as_fixed_size_binary();
    let is_uuid = field.extension_type_name() == Some(UUID_EXTENSION);
    Box::new(move |row, out| match Uuid::from_slice(array.value(row)) {
        Ok(uuid) if is_uuid => write_json(uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()), out),
        _ => write_base64(array.value(row), out),
    })
}

fn list<'a>(column: &str, item: &Field, array: &'a dyn Array) -> Result<Cell<'a>> {
    let list = array.as_list::<i32>();
    let items = cell(&format!("{column}."), item, list.values().as_ref())?;
    Ok(Box::new(move |row, out| {
        let offsets = &list.value_offsets()[row..row + 2];
        out.push(b'[');
        for item in offsets[0]..offsets[1] {
            if item > offsets[0] {
                out.push(b',');
            }
            items(item as usize, out);
        }
        out.push(b']');
    }))
}

fn map<'a>(column: &str, entries: &Field, array: &'a dyn Array) -> Result<Cell<'a>> {
    let map = array.as_map();
    let (DataType::Struct(fields), DataType::Utf8) = (entries.data_type(), map.key_type()) else {
        let of = format!("column `{column}` is a map whose keys are of type {}; only texts can be", map.key_type());
        return Err(Error::stop(of));
    };
    let within = format!("{column}.");
    let keys = cell(&within, &fields[0], map.keys().as_ref())?;
    let values = cell(&within, &fields[1], map.values().as_ref())?;
    Ok(Box::new(move |row, out| {
        let offsets = &map.value_offsets()[row..row + 2];
        out.push(b'{');
        for entry in offsets[0]..offsets[1] {
            if entry > offsets[0] {
                out.push(b',');
            }
            keys(entry as usize, out);
            out.push(b':');
            values(entry as usize, out);
        }
        out.push(b'}');
    }))
}
