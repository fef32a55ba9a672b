//! Rows on their way: Arrow columns, and where in the log each row comes from.
//!
//! Invariant: every message that a batch consumed is accounted for: it gave rows, or it is among the rejects, or a
//! stage filtered it; and `spans` say which offsets were consumed, whatever became of their messages.
//! Knows nothing of JSON or Kafka's client.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow_schema::SchemaRef;
use arrow_select::filter::filter_record_batch;

use crate::error::{Error, Result};
use crate::observe::trace::Traces;

/// Offsets [from, to) of a partition, consumed by one batch: covers transaction markers and compaction gaps too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub partition: i32,
    pub from: i64,
    pub to: i64,
}

/// Variable-length byte strings in one allocation.
#[derive(Clone, Debug, Default)]
pub struct Arena {
    ends: Vec<usize>,
    bytes: Vec<u8>,
}

impl Arena {
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.ends.push(self.bytes.len());
    }

    pub fn get(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..self.ends[index]]
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub fn bytes_total(&self) -> usize {
        self.bytes.len()
    }
}

/// The messages that a batch consumed, in log order within each partition. A row names its message by index here.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    pub partitions: Vec<i32>,
    pub offsets: Vec<i64>,
    /// Milliseconds since 1970, as the broker has them; -1 where it has none.
    pub timestamps_ms: Vec<i64>,
    /// Messages without a key hold an empty one here, and false in `has_key`.
    pub keys: Arena,
    pub has_key: Vec<bool>,
    /// The values as they came, for rejects.
    pub values: Arena,
    /// Of the few messages that were sent again: the position that they were sent from.
    pub resent_from: BTreeMap<u32, String>,
    pub traces: Traces,
}

impl Origins {
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// A message's key, where it has one.
    pub fn key(&self, message: u32) -> Option<&[u8]> {
        let message = message as usize;
        self.has_key[message].then(|| self.keys.get(message))
    }
}

/// A row that goes no further, and why. `code` is from the stage's closed list (a plugin's own codes apart).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// Index into the batch's `Origins`.
    pub origin: u32,
    pub stage: Arc<str>,
    pub code: Cow<'static, str>,
    pub reason: String,
}

/// A row of a batch that a stage or a sink refuses: its index in the batch, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub row: usize,
    pub code: &'static str,
    pub reason: String,
}

#[derive(Clone, Debug)]
pub struct Batch {
    pub columns: RecordBatch,
    /// For each row, the message that it comes from (index into `origins`). Never goes back.
    pub lineage: Vec<u32>,
    pub origins: Arc<Origins>,
    pub spans: Vec<Span>,
    pub rejects: Vec<Reject>,
}

impl Batch {
    /// Offsets that gave nothing.
    pub fn empty(schema: SchemaRef, spans: Vec<Span>) -> Batch {
        let columns = RecordBatch::new_empty(schema);
        Batch { columns, lineage: Vec::new(), origins: Arc::default(), spans, rejects: Vec::new() }
    }

    pub fn rows(&self) -> usize {
        self.columns.num_rows()
    }

    /// A refused row as a reject of `stage`, which may be a sink.
    pub fn reject(&self, stage: &Arc<str>, Refused { row, code, reason }: Refused) -> Reject {
        Reject { origin: self.lineage[row], stage: stage.clone(), code: Cow::Borrowed(code), reason }
    }

    /// The rows where `keep` is true. The others count as filtered: spans and rejects stay.
    pub fn only(&self, keep: &BooleanArray) -> Result<Batch> {
        let columns = filter_record_batch(&self.columns, keep)
            .map_err(|cause| Error::stop("choosing a sink's rows").caused_by(cause))?;
        let lineage = keep.iter().zip(&self.lineage).filter(|(keep, _)| *keep == Some(true)).map(|(_, &row)| row);
        let (origins, spans, rejects) = (self.origins.clone(), self.spans.clone(), self.rejects.clone());
        Ok(Batch { columns, lineage: lineage.collect(), origins, spans, rejects })
    }

    /// Of the columns, in memory: what of their buffers is this batch's.
    pub fn bytes(&self) -> usize {
        let of = |column: &ArrayRef| column.to_data().get_slice_memory_size().unwrap_or_default();
        self.columns.columns().iter().map(of).sum()
    }

    /// What it holds in memory: columns, and the messages that they come from.
    pub fn bytes_held(&self) -> usize {
        let Origins { keys, values, .. } = &*self.origins;
        self.columns.get_array_memory_size() + keys.bytes_total() + values.bytes_total()
    }

    /// Partition, offset and index (among the rows of the same message) of every row.
    pub fn positions(&self) -> impl Iterator<Item = (i32, i64, u32)> + '_ {
        let mut last = (u32::MAX, 0u32);
        self.lineage.iter().map(move |&origin| {
            let index = if last.0 == origin { last.1 + 1 } else { 0 };
            last = (origin, index);
            (self.origins.partitions[origin as usize], self.origins.offsets[origin as usize], index)
        })
    }
}
