//! A row as one JSON object. Shared by every sink that writes JSON, so that they agree byte for byte.
//!
//! Shapes: date `"2013-05-06"`, timestamp `"2013-05-06T07:08:09.123456Z"`, binary base64, absent `null`;
//! float64 in the shortest form that reads back to the same bits.

use arrow_array::RecordBatch;

use crate::schema::Schema;

/// Columns of one schema, in the order in which they are written.
pub struct Encoder {
    _columns: Vec<usize>,
}

impl Encoder {
    pub fn new(_schema: &Schema, columns: &[usize]) -> Encoder {
        Encoder { _columns: columns.to_vec() }
    }

    /// Appends `{…}` without a newline.
    pub fn row(&self, _columns: &RecordBatch, _row: usize, _out: &mut Vec<u8>) {
        todo!()
    }
}
