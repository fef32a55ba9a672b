//! A table joined in: columns that are null, or not there yet, are filled from the row of a file that has the same keys.
//!
//! The file is read once. A row whose columns are all given keeps them, without a look-up; one whose keys are not in
//! the table, or null, is refused with the code `no_match`, or gets the defaults.
//!
//! Invariant: a [`Lookup`] that was loaded has one row for a key, and no nulls; nothing is allocated for a row that
//! has a match. Of JSON only `table` knows, while it loads.

mod table;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Int64Array, RecordBatch, RecordBatchOptions, StringArray,
};
use arrow_schema::{DataType, Field as ArrowField, Schema as ArrowSchema};
use arrow_select::interleave::interleave;

pub use self::table::{check_default, kind_of};
use crate::batch::{Batch, Refused};
use crate::calendar::format_date;
use crate::config::StageTypes;
use crate::error::{Error, Result};
use crate::schema::{Field, Kind, Type};
use crate::stage::LoadError;
use crate::stage::refuse::refuse;

/// Kinds that a table can be joined by.
pub const KEY_KINDS: [Kind; 4] = [Kind::Text, Kind::Int64, Kind::Date, Kind::Boolean];

#[derive(Clone, Debug)]
pub struct Settings {
    pub stage: Arc<str>,
    /// The key columns; a kind that is not known is taken from the table.
    pub on: Vec<(String, Option<Kind>)>,
    pub fill: Vec<Fill>,
    pub missing: Missing,
}

#[derive(Clone, Debug)]
pub struct Fill {
    pub name: String,
    /// Of the column that is there already, else it is added.
    pub there: Option<Kind>,
    pub default: Option<serde_json::Value>,
}

/// What becomes of a row whose keys are not in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    Reject,
    /// It gets the defaults; null where a column has none.
    Default,
}

#[derive(Debug)]
pub struct Lookup {
    file: PathBuf,
    stage: Arc<str>,
    missing: Missing,
    keys: Vec<Field>,
    filled: Vec<Filled>,
    rows: table::Rows,
}

#[derive(Debug)]
struct Filled {
    /// As it is afterwards.
    field: Field,
    there: bool,
    /// A value for each row of the table.
    values: ArrayRef,
    /// One value: the default, or null.
    default: ArrayRef,
}

/// Where a row's values come from.
#[derive(Clone, Copy)]
enum Pick {
    Given,
    Table(u32),
    Default,
}

impl Lookup {
    pub fn load(file: &Path, settings: Settings) -> Result<Lookup, LoadError> {
        let table = table::load(file, &settings)?;
        let columns = settings.fill.iter().zip(table.values).zip(table.defaults);
        let filled = columns.map(|((fill, (kind, values)), default)| {
            let nullable = settings.missing == Missing::Default && fill.default.is_none();
            let field = Field::new(&fill.name, Type { nullable, ..Type::of(kind) });
            Filled { field, there: fill.there.is_some(), values, default }
        });
        Ok(Lookup {
            file: file.to_owned(),
            stage: settings.stage,
            missing: settings.missing,
            filled: filled.collect(),
            keys: table.keys,
            rows: table.rows,
        })
    }

    /// What the stage reads, be it null, and adds. Columns that it fills are among those that it reads.
    pub fn types(&self) -> StageTypes {
        let nullable = |field: &Field| Field::new(&field.name, field.ty.nullable());
        let (there, new): (Vec<_>, Vec<_>) = self.filled.iter().partition(|filled| filled.there);
        let reads = self.keys.iter().chain(there.into_iter().map(|filled| &filled.field)).map(nullable).collect();
        StageTypes { reads, adds: new.into_iter().map(|filled| filled.field.clone()).collect(), drops: Vec::new() }
    }

    /// The filled columns as they are afterwards.
    pub fn filled(&self) -> impl Iterator<Item = &Field> {
        self.filled.iter().map(|filled| &filled.field)
    }

    pub fn process(&self, batch: Batch) -> Result<Batch> {
        let (picks, refused) = self.pick(&batch.columns)?;
        let mut batch = refuse(batch, &self.stage, refused)?;
        batch.columns = self.fill(&batch.columns, &picks)?;
        Ok(batch)
    }

    /// For each row that goes on, where its values come from; and those that do not.
    fn pick(&self, columns: &RecordBatch) -> Result<(Vec<Pick>, Vec<Refused>)> {
        let keys = self.keys.iter().map(|field| Key::of(columns, &field.name)).collect::<Result<Vec<_>>>()?;
        let given: Vec<_> = self.filled.iter().map(|filled| columns.column_by_name(&filled.field.name)).collect();
        let wanting = |row| given.iter().any(|column| column.is_none_or(|column| column.is_null(row)));
        let (mut picks, mut refused) = (Vec::with_capacity(columns.num_rows()), Vec::new());
        let mut bytes = Vec::new();
        for row in 0..columns.num_rows() {
            let found = wanting(row).then(|| self.rows.find(&keys, row, &mut bytes));
            match (found, self.missing) {
                (None, _) => picks.push(Pick::Given),
                (Some(Some(found)), _) => picks.push(Pick::Table(found)),
                (Some(None), Missing::Default) => picks.push(Pick::Default),
                (Some(None), Missing::Reject) => {
                    refused.push(Refused { row, code: "no_match", reason: self.reason(&keys, row) });
                }
            }
        }
        Ok((picks, refused))
    }

    /// ``no Distance for Origin `ATL`, Dest `XXX` in distances.jsonl``
    fn reason(&self, keys: &[Key], row: usize) -> String {
        let wanted: Vec<_> = self.filled.iter().map(|filled| filled.field.name.as_str()).collect();
        let file = self.file.file_name().unwrap_or_default().to_string_lossy();
        format!("no {} for {} in {file}", wanted.join(", "), shown(&self.keys, keys, row))
    }

    fn fill(&self, columns: &RecordBatch, picks: &[Pick]) -> Result<RecordBatch> {
        let mut fields: Vec<_> = columns.schema().fields().iter().cloned().collect();
        let mut arrays = columns.columns().to_vec();
        for filled in &self.filled {
            let Field { name, ty } = &filled.field;
            let field = Arc::new(ArrowField::new(name, ty.arrow(), ty.nullable));
            match columns.schema().index_of(name) {
                Ok(index) => {
                    arrays[index] = filled.column(Some(&arrays[index]), picks)?;
                    fields[index] = field;
                }
                Err(_) => {
                    arrays.push(filled.column(None, picks)?);
                    fields.push(field);
                }
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(picks.len()));
        RecordBatch::try_new_with_options(Arc::new(ArrowSchema::new(fields)), arrays, &options)
            .map_err(|error| self.broken().caused_by(error))
    }

    fn broken(&self) -> Error {
        Error::stop("filled columns do not make a batch").at(format_args!("stage `{}`", self.stage))
    }
}

impl Filled {
    fn column(&self, given: Option<&ArrayRef>, picks: &[Pick]) -> Result<ArrayRef> {
        if let Some(given) = given.filter(|given| given.null_count() == 0) {
            return Ok(given.clone());
        }
        let place = |(row, pick): (usize, &Pick)| match (given, pick) {
            (Some(given), _) if given.is_valid(row) => (2, row),
            (_, Pick::Table(found)) => (0, *found as usize),
            // without a default: null
            _ => (1, 0),
        };
        let places: Vec<_> = picks.iter().enumerate().map(place).collect();
        let mut sources: Vec<&dyn Array> = vec![&*self.values, &*self.default];
        sources.extend(given.map(|given| &**given as &dyn Array));
        let name = &self.field.name;
        interleave(&sources, &places)
            .map_err(|error| Error::stop(format!("`{name}` cannot be filled")).caused_by(error))
    }
}

/// A key column of a batch.
enum Key<'a> {
    Text(&'a StringArray),
    Int64(&'a Int64Array),
    Date(&'a Date32Array),
    Boolean(&'a BooleanArray),
}

impl<'a> Key<'a> {
    fn of(columns: &'a RecordBatch, name: &str) -> Result<Key<'a>> {
        let column = columns.column_by_name(name);
        let column = column.ok_or_else(|| Error::stop(format!("column `{name}`, a lookup's key, is not there")))?;
        Ok(match column.data_type() {
            DataType::Utf8 => Key::Text(column.as_string()),
            DataType::Int64 => Key::Int64(column.as_primitive::<Int64Type>()),
            DataType::Date32 => Key::Date(column.as_primitive::<Date32Type>()),
            DataType::Boolean => Key::Boolean(column.as_boolean()),
            other => return Err(Error::stop(format!("column `{name}` is {other}, which is no key of a lookup"))),
        })
    }

    /// Appends the row's value such that different keys give different bytes. False: it is null.
    fn write(&self, row: usize, bytes: &mut Vec<u8>) -> bool {
        match self {
            Key::Text(column) if column.is_valid(row) => {
                let text = column.value(row).as_bytes();
                bytes.extend_from_slice(&text.len().to_le_bytes());
                bytes.extend_from_slice(text);
            }
            Key::Int64(column) if column.is_valid(row) => bytes.extend_from_slice(&column.value(row).to_le_bytes()),
            Key::Date(column) if column.is_valid(row) => bytes.extend_from_slice(&column.value(row).to_le_bytes()),
            Key::Boolean(column) if column.is_valid(row) => bytes.push(column.value(row).into()),
            _ => return false,
        }
        true
    }

    /// For people, and short.
    fn shown(&self, row: usize) -> String {
        const CHARS_MAX: usize = 40;
        match self {
            Key::Text(column) if column.is_valid(row) => {
                let text = column.value(row);
                let cut = text.char_indices().nth(CHARS_MAX).map(|(at, _)| &text[..at]);
                cut.map_or(format!("`{text}`"), |start| format!("`{start}…`"))
            }
            Key::Int64(column) if column.is_valid(row) => column.value(row).to_string(),
            Key::Date(column) if column.is_valid(row) => format_date(column.value(row)),
            Key::Boolean(column) if column.is_valid(row) => column.value(row).to_string(),
            _ => "null".to_owned(),
        }
    }
}

fn shown(fields: &[Field], keys: &[Key], row: usize) -> String {
    let named = fields.iter().zip(keys).map(|(field, key)| format!("{} {}", field.name, key.shown(row)));
    named.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
