//! The field `_millrace` of a document that is known by a key: it says of which row the document is.
//!
//! Of `write = "key"` it is the row's position, as text. Of `"replace"` it has a field for each partition that the key
//! came from, with the position of its last row in it: one key may come from several partitions, each at a pace of its
//! own.

use arrow_array::{Array, RecordBatch, StringArray};

use super::Context;
use crate::batch::Refused;
use crate::error::{Error, Result};
use crate::json::encode::Cells;
use crate::plan::DocumentWrite;

pub const FIELD: &str = "_millrace";

/// What a partition is called in a document: no dot may be in a field's name.
pub fn partition_name(context: &Context, partition: i32) -> String {
    context.rows_prefix(partition).trim_end_matches('/').replace('.', "%2E")
}

/// A row's place in its partition; as texts these sort as the rows do.
pub fn place(offset: i64, index: u32) -> String {
    format!("{offset:019}/{index:010}")
}

/// The column that rows are known by; None: they are known by their positions.
pub struct Keys<'a>(Option<(&'a str, &'a StringArray)>);

impl<'a> Keys<'a> {
    pub fn of(write: &'a DocumentWrite, columns: &'a RecordBatch) -> Result<Keys<'a>> {
        let Some(column) = write.key() else { return Ok(Keys(None)) };
        match Cells::named(columns, column)? {
            Cells::Text(keys) => Ok(Keys(Some((column, keys)))),
            _ => Err(Error::stop(format!("column `{column}` is a document's key, and no text"))),
        }
    }

    /// Of a row, whose position as text `position` is; or why there is none.
    pub fn id(&self, row: usize, position: impl FnOnce() -> String) -> Result<String, Refused> {
        match self.0 {
            None => Ok(position()),
            Some((_, keys)) if keys.is_valid(row) => Ok(keys.value(row).to_owned()),
            Some((column, _)) => {
                let reason = format!("`{column}` is null, and it is the document's key");
                Err(Refused { row, code: "missing_key", reason })
            }
        }
    }
}

/// Of a row whose key an earlier row has; `mark`: the document's.
pub fn taken(row: usize, key: &str, mark: Option<&str>) -> Refused {
    let of = mark.map_or_else(|| "which is none of this pipeline's".to_owned(), |row| format!("of row {row}"));
    Refused { row, code: "duplicate_key", reason: format!("a document with the key {key:?} is there, {of}") }
}
