//! A row as a BSON document, built from the columns without a document tree in between.
//!
//! Shapes: int64 as Int64, float64 as Double, text as String, binary as generic Binary, a list as an array, an absent
//! value as Null; a date as the BSON date of its midnight in UTC, a timestamp as the BSON date of its millisecond
//! (BSON has no finer one: the micros are cut off towards the past).
//! Knows nothing of connections and cursors.

use std::ops::Range;

use arrow_array::{Array, RecordBatch};
use mongodb::bson::raw::{CString, RawArrayBuf, RawBson, RawBsonRef, RawDocumentBuf, cstr};
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{DateTime, RawBinaryRef};

use crate::error::{Error, Result};
use crate::json::encode::Cells;

const DAY_MS: i64 = 86_400_000;

/// Columns by name, in the order in which they are written.
pub struct Encoder {
    keys: Vec<CString>,
    writes_nulls: bool,
}

impl Encoder {
    pub fn new(columns: &[String]) -> Result<Encoder> {
        Ok(Encoder { keys: columns.iter().map(|name| key(name)).collect::<Result<_>>()?, writes_nulls: true })
    }

    /// A value that is absent is left out of its document.
    pub fn without_nulls(self) -> Encoder {
        Encoder { writes_nulls: false, ..self }
    }

    pub fn batch<'a>(&'a self, batch: &'a RecordBatch) -> Result<BoundEncoder<'a>> {
        let cells = self.keys.iter().map(|key| Ok((key, Cells::named(batch, key.as_str())?)));
        Ok(BoundEncoder { cells: cells.collect::<Result<_>>()?, writes_nulls: self.writes_nulls })
    }
}

fn key(name: &str) -> Result<CString> {
    if name == "_id" {
        return Err(Error::stop("column `_id` cannot be written: a document's `_id` is the row's position in the log"));
    }
    CString::try_from(name.to_owned())
        .map_err(|_| Error::stop(format!("column {name:?} cannot be written: MongoDB allows no NUL in a field's name")))
}

/// An [`Encoder`] and the columns of one batch.
pub struct BoundEncoder<'a> {
    cells: Vec<(&'a CString, Cells<'a>)>,
    writes_nulls: bool,
}

impl BoundEncoder<'_> {
    pub fn row(&self, id: &str, row: usize) -> RawDocumentBuf {
        let mut document = RawDocumentBuf::new();
        document.append(cstr!("_id"), id);
        for (key, cells) in self.cells.iter().filter(|(_, cells)| self.writes_nulls || !cells.is_null(row)) {
            match list_of(cells, row) {
                Some((items, range)) => document.append(*key, array(items, range)),
                None => document.append(*key, scalar(cells, row)),
            }
        }
        document
    }
}

fn list_of<'a, 'b>(cells: &'b Cells<'a>, row: usize) -> Option<(&'b Cells<'a>, Range<usize>)> {
    match cells {
        Cells::List(array, items) if !array.is_null(row) => {
            let offsets = array.value_offsets();
            Some((items, offsets[row] as usize..offsets[row + 1] as usize))
        }
        _ => None,
    }
}

fn array(items: &Cells<'_>, range: Range<usize>) -> RawBson {
    let mut array = RawArrayBuf::new();
    for item in range {
        array.push(scalar(items, item));
    }
    RawBson::Array(array)
}

/// A list in a list is no type of a pipeline: it reads as Null.
fn scalar<'a>(cells: &Cells<'a>, row: usize) -> RawBsonRef<'a> {
    if cells.is_null(row) {
        return RawBsonRef::Null;
    }
    match cells {
        Cells::Boolean(array) => RawBsonRef::Boolean(array.value(row)),
        Cells::Int64(array) => RawBsonRef::Int64(array.value(row)),
        Cells::Float64(array) => RawBsonRef::Double(array.value(row)),
        Cells::Text(array) => RawBsonRef::String(array.value(row)),
        Cells::Binary(array) => {
            RawBsonRef::Binary(RawBinaryRef { subtype: BinarySubtype::Generic, bytes: array.value(row) })
        }
        Cells::Date(array) => RawBsonRef::DateTime(DateTime::from_millis(i64::from(array.value(row)) * DAY_MS)),
        Cells::Timestamp(array) => RawBsonRef::DateTime(DateTime::from_millis(array.value(row).div_euclid(1000))),
        Cells::List(..) => RawBsonRef::Null,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::builder::{Float64Builder, ListBuilder};
    use arrow_array::{
        ArrayRef, BinaryArray, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray,
        TimestampMicrosecondArray,
    };
    use mongodb::bson::{Binary, Bson, Document, bson, doc};

    use super::*;

    fn document(columns: Vec<(&str, ArrayRef)>, row: usize) -> Document {
        let names: Vec<String> = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
        let batch =
            RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
                .expect("columns of one length");
        let encoder = Encoder::new(&names).expect("names that MongoDB takes");
        let raw = encoder.batch(&batch).expect("types of a pipeline").row("id", row);
        Document::try_from(raw).expect("it is BSON")
    }

    #[test]
    fn every_kind_has_its_bson_type() {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("b", Arc::new(BooleanArray::from(vec![true]))),
            ("i", Arc::new(Int64Array::from(vec![3]))),
            ("f", Arc::new(Float64Array::from(vec![f64::INFINITY]))),
            ("t", Arc::new(StringArray::from(vec!["é\0"]))),
            ("x", Arc::new(BinaryArray::from_vec(vec![b"\xff"]))),
            ("d", Arc::new(Date32Array::from(vec![15_831]))),
            ("s", Arc::new(TimestampMicrosecondArray::from(vec![-1]).with_timezone("UTC"))),
            ("n", Arc::new(StringArray::from(vec![None::<&str>]))),
        ];
        let expected = doc! {
            "_id": "id", "b": true, "i": 3_i64, "f": f64::INFINITY, "t": "é\0",
            "x": Binary { subtype: BinarySubtype::Generic, bytes: vec![255] },
            "d": DateTime::parse_rfc3339_str("2013-05-06T00:00:00Z").expect("a date"),
            "s": DateTime::from_millis(-1), "n": Bson::Null,
        };
        assert_eq!(document(columns, 0), expected);
    }

    #[test]
    fn lists_are_arrays() {
        let mut lists = ListBuilder::new(Float64Builder::new());
        lists.append_value([Some(9.0)]);
        lists.append_value([Some(0.25), Some(0.75)]);
        lists.append_null();
        let lists: ArrayRef = Arc::new(lists.finish());
        let at = |row| document(vec![("p", lists.clone())], row).remove("p").expect("it is there");
        assert_eq!((at(1), at(2)), (bson!([0.25, 0.75]), Bson::Null));
    }

    #[test]
    fn names_that_mongodb_does_not_take_are_errors() {
        let error = |name: &str| Encoder::new(&[name.to_owned()]).err().expect("an error").to_string();
        assert!(error("_id").contains("the row's position in the log"), "{}", error("_id"));
        assert!(error("a\0b").contains("no NUL"), "{}", error("a\0b"));
    }
}
