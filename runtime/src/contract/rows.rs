//! The log that the suites for sinks write: which rows an offset gives is a rule, so that whoever looks knows them.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use serde::Deserialize;

use crate::batch::{Batch, Origins, Span};
use crate::sink::Outbound;

pub const GENERATION: &str = "0123456789abcdef";
pub const COLUMNS: [&str; 4] = ["partition", "offset", "index", "text"];

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Row {
    pub partition: i32,
    pub offset: i64,
    pub index: u32,
    pub text: String,
}

/// Some offsets give no row, some give two.
pub fn rows(partition: i32, offsets: Range<i64>) -> Vec<Row> {
    let row = |offset: i64, index: u32| Row { partition, offset, index, text: format!("ü\n{offset}/{index}") };
    let of = |offset: i64| [1, 0, 2, 1][(offset % 4) as usize];
    offsets.flat_map(|offset| (0..of(offset)).map(move |index| row(offset, index))).collect()
}

pub fn span(partition: i32, offsets: Range<i64>) -> Span {
    Span { partition, from: offsets.start, to: offsets.end }
}

/// Offsets of one partition with the rows that they give.
pub fn batch(partition: i32, offsets: Range<i64>) -> Arc<Outbound> {
    batch_of(vec![span(partition, offsets.clone())], &rows(partition, offsets))
}

/// `rows` in the order of their messages.
pub fn batch_of(spans: Vec<Span>, rows: &[Row]) -> Arc<Outbound> {
    let numbers = |of: fn(&Row) -> i64| Arc::new(rows.iter().map(of).collect::<Int64Array>()) as ArrayRef;
    let texts: StringArray = rows.iter().map(|row| Some(&*row.text)).collect();
    // of each row alone; no sink writes it
    let keys: StringArray =
        rows.iter().map(|row| Some(format!("{}/{}/{}", row.partition, row.offset, row.index))).collect();
    let columns: [ArrayRef; 5] = [
        numbers(|row| row.partition.into()),
        numbers(|row| row.offset),
        numbers(|row| row.index.into()),
        Arc::new(texts),
        Arc::new(keys),
    ];
    let columns = RecordBatch::try_from_iter(COLUMNS.into_iter().chain(["key"]).zip(columns)).unwrap();
    let mut messages: Vec<_> = rows.iter().map(|row| (row.partition, row.offset)).collect();
    messages.dedup();
    let mut lineage = Vec::with_capacity(rows.len());
    let mut message = 0;
    for row in rows {
        while messages[message] != (row.partition, row.offset) {
            message += 1;
        }
        lineage.push(message as u32);
    }
    let origins = Arc::new(origins(&messages));
    let batch = Batch { columns, lineage, origins, spans, rejects: Vec::new() };
    Arc::new(Outbound { batch, generation: GENERATION.into() })
}

/// Each message has a key, and a value that says where it is.
fn origins(messages: &[(i32, i64)]) -> Origins {
    let mut origins = Origins {
        partitions: messages.iter().map(|message| message.0).collect(),
        offsets: messages.iter().map(|message| message.1).collect(),
        timestamps_ms: vec![1_367_824_089_000; messages.len()],
        has_key: vec![true; messages.len()],
        ..Origins::default()
    };
    for &(partition, offset) in messages {
        origins.keys.push(b"key");
        origins.values.push(original(partition, offset).as_bytes());
    }
    origins
}

/// A message's value.
pub fn original(partition: i32, offset: i64) -> String {
    format!("message {partition}/{offset}")
}
