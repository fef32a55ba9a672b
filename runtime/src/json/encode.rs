//! A row as one JSON object. Shared by every sink that writes JSON, so that they agree byte for byte.
//!
//! Shapes: date `"2013-05-06"`, timestamp `"2013-05-06T07:08:09.123456Z"` (always six decimals, so that texts sort as
//! their times do), binary as base64 with padding, a list as an array, an absent value as `null`; float64 in the
//! shortest form that reads back to the same bits; text escaped as serde_json does, nothing beyond what JSON asks for.
//! JSON has no form for NaN and the infinities: they are written as `null`, as every JSON library does that does not
//! fail on them. They cannot come from a message, only from a plugin or a model. A year outside of 0 to 9999 has a sign
//! and six digits or more, as ISO 8601 wants it.
//!
//! Invariant: once bound to a batch, a row costs neither a downcast nor an allocation of its own.
//! Knows nothing of sinks, and of a batch only its columns.

use super::scalar::{write_base64, write_date, write_json, write_timestamp};
use crate::error::{Error, Result};
use crate::schema::Schema;
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, BinaryArray, BooleanArray, ListArray, PrimitiveArray, RecordBatch, StringArray};
use arrow_schema::{DataType, TimeUnit};

/// Columns by name, in the order in which they are written.
#[derive(Clone, Debug)]
pub struct Encoder {
    columns: Vec<Column>,
    writes_nulls: bool,
}

#[derive(Clone, Debug)]
struct Column {
    name: String,
    /// What comes before the value: `{"Name":` or `,"Name":`.
    prefix: Vec<u8>,
}

impl Encoder {
    /// Of some columns of a schema, by their indices in it.
    pub fn new(schema: &Schema, columns: &[usize]) -> Encoder {
        Encoder::of_names(columns.iter().map(|&index| schema.0[index].name.as_str()))
    }

    pub fn of_names<'n>(names: impl IntoIterator<Item = &'n str>) -> Encoder {
        let columns = names.into_iter().enumerate().map(|(index, name)| Column {
            name: name.to_owned(),
            prefix: format!("{}{}:", if index == 0 { '{' } else { ',' }, serde_json::Value::from(name)).into_bytes(),
        });
        Encoder { columns: columns.collect(), writes_nulls: true }
    }

    /// A value that is absent is left out of its row. The first column must have one.
    pub fn without_nulls(self) -> Encoder {
        Encoder { writes_nulls: false, ..self }
    }

    /// Finds the columns in a batch by name, and looks at their types once for all of its rows.
    pub fn batch<'a>(&'a self, batch: &'a RecordBatch) -> Result<BoundEncoder<'a>> {
        let cells =
            self.columns.iter().map(|column| Ok((column.prefix.as_slice(), Cells::named(batch, &column.name)?)));
        Ok(BoundEncoder { cells: cells.collect::<Result<_>>()?, writes_nulls: self.writes_nulls })
    }
}

/// An [`Encoder`] and the columns of one batch.
pub struct BoundEncoder<'a> {
    cells: Vec<(&'a [u8], Cells<'a>)>,
    writes_nulls: bool,
}

impl BoundEncoder<'_> {
    /// Appends `{…}` without a newline.
    pub fn row(&self, row: usize, out: &mut Vec<u8>) {
        for (prefix, cells) in self.cells.iter().filter(|(_, cells)| self.writes_nulls || !cells.is_null(row)) {
            out.extend_from_slice(prefix);
            write_cell(cells, row, out);
        }
        out.extend_from_slice(if self.cells.is_empty() { b"{}" } else { b"}" });
    }
}

/// One column of a batch, its type known: each of [`crate::schema::Kind`], or a list of one.
#[derive(Clone, Debug)]
pub enum Cells<'a> {
    Boolean(&'a BooleanArray),
    Int64(&'a PrimitiveArray<Int64Type>),
    Float64(&'a PrimitiveArray<Float64Type>),
    Text(&'a StringArray),
    Binary(&'a BinaryArray),
    Date(&'a PrimitiveArray<Date32Type>),
    Timestamp(&'a PrimitiveArray<TimestampMicrosecondType>),
    List(&'a ListArray, Box<Cells<'a>>),
}

impl<'a> Cells<'a> {
    /// The column of that name.
    pub fn named(batch: &'a RecordBatch, name: &str) -> Result<Cells<'a>> {
        let column = batch.column_by_name(name);
        let column =
            column.ok_or_else(|| Error::stop(format!("a batch has no column `{name}`, which is to be written")))?;
        Cells::of(column.as_ref()).ok_or_else(|| {
            Error::stop(format!("column `{name}` is of type {}, which no column of a pipeline has", column.data_type()))
        })
    }

    /// None if the type is not one of [`crate::schema::Type`].
    pub fn of(array: &'a dyn Array) -> Option<Cells<'a>> {
        Some(match array.data_type() {
            DataType::Boolean => Cells::Boolean(array.as_boolean()),
            DataType::Int64 => Cells::Int64(array.as_primitive()),
            DataType::Float64 => Cells::Float64(array.as_primitive()),
            DataType::Utf8 => Cells::Text(array.as_string()),
            DataType::Binary => Cells::Binary(array.as_binary()),
            DataType::Date32 => Cells::Date(array.as_primitive()),
            DataType::Timestamp(TimeUnit::Microsecond, _) => Cells::Timestamp(array.as_primitive()),
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                Cells::List(list, Box::new(Cells::of(list.values().as_ref())?))
            }
            _ => return None,
        })
    }

    pub fn is_null(&self, row: usize) -> bool {
        match self {
            Cells::Boolean(array) => array.is_null(row),
            Cells::Int64(array) => array.is_null(row),
            Cells::Float64(array) => array.is_null(row),
            Cells::Text(array) => array.is_null(row),
            Cells::Binary(array) => array.is_null(row),
            Cells::Date(array) => array.is_null(row),
            Cells::Timestamp(array) => array.is_null(row),
            Cells::List(array, _) => array.is_null(row),
        }
    }
}

pub(super) fn write_cell(cells: &Cells<'_>, row: usize, out: &mut Vec<u8>) {
    if cells.is_null(row) {
        return out.extend_from_slice(b"null");
    }
    match cells {
        Cells::Boolean(array) => write_json(array.value(row), out),
        Cells::Int64(array) => write_json(array.value(row), out),
        Cells::Float64(array) => write_json(array.value(row), out),
        Cells::Text(array) => write_json(array.value(row), out),
        Cells::Binary(array) => write_base64(array.value(row), out),
        Cells::Date(array) => write_date(array.value(row), out),
        Cells::Timestamp(array) => write_timestamp(array.value(row), out),
        Cells::List(array, items) => {
            let offsets = array.value_offsets();
            write_list(items, offsets[row] as usize..offsets[row + 1] as usize, out);
        }
    }
}

fn write_list(items: &Cells<'_>, range: std::ops::Range<usize>, out: &mut Vec<u8>) {
    out.push(b'[');
    for (nth, item) in range.enumerate() {
        if nth > 0 {
            out.push(b',');
        }
        write_cell(items, item, out);
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::builder::{Float64Builder, ListBuilder, StringBuilder};
    use arrow_array::types::ArrowPrimitiveType;
    use arrow_array::{ArrayRef, Float64Array, Int64Array};
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD as BASE64;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::schema::{Field, Kind, Type};

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
            .expect("columns of one length")
    }

    fn lines(batch: &RecordBatch) -> Vec<String> {
        let schema = batch.schema();
        let encoder = Encoder::of_names(schema.fields().iter().map(|field| field.name().as_str()));
        let bound = encoder.batch(batch).expect("types of a pipeline");
        (0..batch.num_rows()).map(|row| line(&bound, row)).collect()
    }

    fn line(bound: &BoundEncoder<'_>, row: usize) -> String {
        let mut out = Vec::new();
        bound.row(row, &mut out);
        String::from_utf8(out).expect("JSON is UTF-8")
    }

    /// The one value of a column `x` of one row.
    fn cell(array: impl Array + 'static) -> String {
        let line = lines(&batch(vec![("x", Arc::new(array))])).remove(0);
        line.strip_prefix(r#"{"x":"#).and_then(|rest| rest.strip_suffix('}')).expect("an object of x").to_owned()
    }

    fn of<T: ArrowPrimitiveType>(value: T::Native) -> PrimitiveArray<T> {
        PrimitiveArray::from_iter_values([value])
    }

    #[test]
    fn every_kind_has_its_shape() {
        assert_eq!(cell(BooleanArray::from(vec![true])), "true");
        assert_eq!(cell(of::<Int64Type>(i64::MIN)), "-9223372036854775808");
        assert_eq!(cell(of::<Float64Type>(14.0)), "14.0");
        assert_eq!(cell(of::<Float64Type>(-0.0)), "-0.0");
        assert_eq!(cell(of::<Float64Type>(0.1 + 0.2)), "0.30000000000000004");
        assert_eq!(cell(StringArray::from(vec!["\"é\\\n\u{1}/\u{2028}"])), "\"\\\"é\\\\\\n\\u0001/\u{2028}\"");
        assert_eq!(cell(BinaryArray::from_vec(vec![b"\xff\x00"])), r#""/wA=""#);
        assert_eq!(cell(BinaryArray::from_vec(vec![b""])), r#""""#);
        assert_eq!(cell(of::<Date32Type>(15_831)), r#""2013-05-06""#);
        assert_eq!(cell(of::<TimestampMicrosecondType>(1_367_824_089_123_456)), r#""2013-05-06T07:08:09.123456Z""#);
        assert_eq!(cell(of::<TimestampMicrosecondType>(-1)), r#""1969-12-31T23:59:59.999999Z""#);
    }

    #[test]
    fn what_json_cannot_say_is_null() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(cell(of::<Float64Type>(value)), "null");
        }
        assert_eq!(cell(Int64Array::from(vec![None])), "null");
        assert_eq!(cell(StringArray::from(vec![None::<&str>])), "null");
    }

    #[test]
    fn years_beyond_four_digits_have_a_sign() {
        assert_eq!(cell(of::<Date32Type>(2_932_896)), r#""9999-12-31""#);
        assert_eq!(cell(of::<Date32Type>(2_932_897)), r#""+010000-01-01""#);
        assert_eq!(cell(of::<Date32Type>(-719_529)), r#""-000001-12-31""#);
        assert_eq!(cell(of::<Date32Type>(i32::MAX)), r#""+5881580-07-11""#);
        assert_eq!(cell(of::<Date32Type>(i32::MIN)), r#""-5877641-06-23""#);
    }

    #[test]
    fn lists_are_arrays_also_in_a_slice() {
        let mut floats = ListBuilder::new(Float64Builder::new());
        floats.append_value([Some(1.0)]);
        floats.append_value([Some(0.25), Some(0.75)]);
        floats.append_value([]);
        floats.append_null();
        let whole = batch(vec![("p", Arc::new(floats.finish()))]);
        assert_eq!(lines(&whole.slice(1, 3)), [r#"{"p":[0.25,0.75]}"#, r#"{"p":[]}"#, r#"{"p":null}"#]);
    }

    #[test]
    fn columns_are_found_by_name_and_written_in_the_sinks_order() {
        let batch = batch(vec![
            ("a", Arc::new(Int64Array::from(vec![1]))),
            ("b \"", Arc::new(Int64Array::from(vec![2]))),
            ("c", Arc::new(Int64Array::from(vec![3]))),
        ]);
        let fields = ["c", "b \""].map(|name| Field::new(name, Type::of(Kind::Int64)));
        let encoder = Encoder::new(&Schema(fields.to_vec()), &[0, 1]);
        assert_eq!(line(&encoder.batch(&batch).expect("both are there"), 0), r#"{"c":3,"b \"":2}"#);
        let none = Encoder::of_names([]);
        assert_eq!(line(&none.batch(&batch).expect("nothing is asked for"), 0), "{}");
    }

    #[test]
    fn a_missing_column_and_a_foreign_type_are_errors() {
        let batch = batch(vec![("a", Arc::new(arrow_array::Int8Array::from(vec![1])))]);
        let error = |name| Encoder::of_names([name]).batch(&batch).err().expect("an error").to_string();
        assert_eq!(error("b"), "a batch has no column `b`, which is to be written");
        assert_eq!(error("a"), "column `a` is of type Int8, which no column of a pipeline has");
    }

    proptest! {
        #[test]
        fn floats_read_back_to_the_same_bits(bits: u64) {
            let value = f64::from_bits(bits);
            let text = cell(of::<Float64Type>(value));
            match value.is_finite() {
                true => prop_assert_eq!(text.parse::<f64>().expect("a number").to_bits(), bits),
                false => prop_assert_eq!(text, "null"),
            }
        }

        #[test]
        fn a_row_reads_back_as_what_it_was(
            name in ".*", text: Option<String>, number: Option<i64>, flag: Option<bool>, bytes: Vec<u8>,
            texts in proptest::collection::vec(".*", 0..4),
        ) {
            let mut list = ListBuilder::new(StringBuilder::new());
            list.append_value(texts.iter().map(Some));
            let name = format!("x{name}");
            let line = lines(&batch(vec![
                ("number", Arc::new(Int64Array::from(vec![number]))),
                (&name, Arc::new(StringArray::from(vec![text.clone()]))),
                ("flag", Arc::new(BooleanArray::from(vec![flag]))),
                ("bytes", Arc::new(BinaryArray::from_vec(vec![&bytes]))),
                ("texts", Arc::new(list.finish())),
            ])).remove(0);
            let read: Value = serde_json::from_str(&line).expect("it is JSON");
            prop_assert_eq!(read, json!({
                "number": number, &name: text, "flag": flag, "bytes": BASE64.encode(&bytes), "texts": texts,
            }));
        }

        #[test]
        fn timestamps_sort_as_their_texts(a in 0i64..253_402_300_799_999_999, b in 0i64..253_402_300_799_999_999) {
            let text = |micros| cell(of::<TimestampMicrosecondType>(micros));
            prop_assert_eq!(a.cmp(&b), text(a).cmp(&text(b)));
        }
    }

    #[test]
    fn a_null_slot_in_one_column_leaves_the_others() {
        let batch = batch(vec![
            ("a", Arc::new(Float64Array::from(vec![Some(1.5), None]))),
            ("b", Arc::new(StringArray::from(vec![None, Some("")]))),
        ]);
        assert_eq!(lines(&batch), [r#"{"a":1.5,"b":null}"#, r#"{"a":null,"b":""}"#]);
    }
}
