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

    fn split_off(&mut self, at: usize) -> Arena {
        let middle = if at == 0 { 0 } else { self.ends[at - 1] };
        let ends = self.ends.split_off(at).into_iter().map(|end| end - middle).collect();
        Arena { ends, bytes: self.bytes.split_off(middle) }
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

    /// The messages from `at` on; those before it stay.
    fn split_off(&mut self, at: usize) -> Origins {
        let message = at as u32;
        let resent_from = self.resent_from.split_off(&message).into_iter();
        Origins {
            partitions: self.partitions.split_off(at),
            offsets: self.offsets.split_off(at),
            timestamps_ms: self.timestamps_ms.split_off(at),
            keys: self.keys.split_off(at),
            has_key: self.has_key.split_off(at),
            values: self.values.split_off(at),
            resent_from: resent_from.map(|(resent, from)| (resent - message, from)).collect(),
            traces: self.traces.split_off(message),
        }
    }

    /// A message's key, where it has one.
    pub fn key(&self, message: u32) -> Option<&[u8]> {
        let message = message as usize;
        self.has_key[message].then(|| self.keys.get(message))
    }
}

/// A reject's share of what is not its words.
const REJECT_BYTES: usize = 128;

/// A row that goes no further, and why. `code` is from the stage's closed list (a plugin's own codes apart).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// Index into the batch's `Origins`.
    pub origin: u32,
    pub stage: Arc<str>,
    pub code: Cow<'static, str>,
    pub reason: String,
}

impl Reject {
    /// What one of these words takes in memory.
    pub fn bytes(code: &str, reason: &str) -> usize {
        REJECT_BYTES + code.len() + reason.len()
    }
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

    /// Is the row the first of its message?
    pub fn begins_message(&self, row: usize) -> bool {
        row == 0 || self.lineage[row] != self.lineage[row - 1]
    }

    /// The messages before that of `row`, which begins it, and the others: two batches, as if they had been read so.
    pub fn cut(self, row: usize) -> (Batch, Batch) {
        let message = self.lineage[row];
        let (mut lineage, mut origins) = (self.lineage, Arc::unwrap_or_clone(self.origins));
        let (lineage_of_rest, origins_of_rest) = (lineage.split_off(row), origins.split_off(message as usize));
        let (spans, spans_of_rest) = cut_spans(self.spans, &origins_of_rest);
        let (rejects, rejects_of_rest): (Vec<_>, Vec<_>) =
            self.rejects.into_iter().partition(|reject| reject.origin < message);
        let of_rest = |reject: Reject| Reject { origin: reject.origin - message, ..reject };
        let rest = Batch {
            columns: self.columns.slice(row, self.columns.num_rows() - row),
            lineage: lineage_of_rest.into_iter().map(|origin| origin - message).collect(),
            origins: Arc::new(origins_of_rest),
            spans: spans_of_rest,
            rejects: rejects_of_rest.into_iter().map(of_rest).collect(),
        };
        let columns = self.columns.slice(0, row);
        (Batch { columns, lineage, origins: Arc::new(origins), spans, rejects }, rest)
    }

    /// Of the columns, in memory: what of their buffers is this batch's.
    pub fn bytes(&self) -> usize {
        let of = |column: &ArrayRef| column.to_data().get_slice_memory_size().unwrap_or_default();
        self.columns.columns().iter().map(of).sum()
    }

    /// What it holds in memory: columns, the messages that they come from, and rejects.
    pub fn bytes_held(&self) -> usize {
        let Origins { keys, values, .. } = &*self.origins;
        let rejects = self.rejects.iter().map(|reject| Reject::bytes(&reject.code, &reject.reason));
        self.bytes() + keys.bytes_total() + values.bytes_total() + rejects.sum::<usize>()
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

/// Each in two, where the first message of its partition among `rest` is; what would be empty is left out.
fn cut_spans(spans: Vec<Span>, rest: &Origins) -> (Vec<Span>, Vec<Span>) {
    let (mut first, mut then) = (Vec::new(), Vec::new());
    for Span { partition, from, to } in spans {
        let next = rest.partitions.iter().position(|&other| other == partition).map(|message| rest.offsets[message]);
        let middle = next.map_or(to, |offset| offset.max(from));
        first.extend((from < middle).then_some(Span { partition, from, to: middle }));
        then.extend((middle < to).then_some(Span { partition, from: middle, to }));
    }
    (first, then)
}

#[cfg(test)]
mod tests {
    use arrow_array::Int64Array;
    use arrow_schema::{DataType, Field, Schema};

    use super::*;

    fn span(partition: i32, from: i64, to: i64) -> Span {
        Span { partition, from, to }
    }

    /// Messages at 5 and 7 of partition 0, and 3 of partition 1, of which the second gives two rows.
    fn batch() -> Batch {
        let mut origins = Origins {
            partitions: vec![0, 1, 0],
            offsets: vec![5, 3, 7],
            timestamps_ms: vec![50, 30, 70],
            has_key: vec![true, false, true],
            ..Origins::default()
        };
        ["a", "", "cc"].into_iter().for_each(|key| origins.keys.push(key.as_bytes()));
        ["one", "two", "three"].into_iter().for_each(|value| origins.values.push(value.as_bytes()));
        origins.resent_from = BTreeMap::from([(2, "elsewhere".into())]);
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
        let columns = RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from(vec![1, 2, 3, 4]))]).unwrap();
        let reject = |origin| Reject { origin, stage: "s".into(), code: "c".into(), reason: String::new() };
        let (lineage, spans) = (vec![0, 1, 1, 2], vec![span(0, 4, 9), span(1, 3, 4), span(2, 0, 6)]);
        Batch { columns, lineage, origins: Arc::new(origins), spans, rejects: vec![reject(0), reject(2)] }
    }

    #[test]
    fn two_parts_are_what_two_readings_would_be() {
        let (first, rest) = batch().cut(3);
        assert_eq!(first.positions().collect::<Vec<_>>(), [(0, 5, 0), (1, 3, 0), (1, 3, 1)]);
        assert_eq!(rest.positions().collect::<Vec<_>>(), [(0, 7, 0)]);
        // an offset without a message goes with those before it
        assert_eq!(first.spans, [span(0, 4, 7), span(1, 3, 4), span(2, 0, 6)]);
        assert_eq!(rest.spans, [span(0, 7, 9)]);
        assert_eq!((first.rejects.len(), rest.rejects[0].origin), (1, 0));
        assert_eq!((first.origins.len(), rest.origins.len()), (2, 1));
        assert_eq!((first.origins.key(1), rest.origins.key(0)), (None, Some(&b"cc"[..])));
        assert_eq!((first.origins.values.get(1), rest.origins.values.get(0)), (&b"two"[..], &b"three"[..]));
        assert_eq!(rest.origins.resent_from, BTreeMap::from([(0, "elsewhere".to_owned())]));
        assert!(first.origins.resent_from.is_empty());
    }

    #[test]
    fn a_message_begins_with_its_first_row() {
        let batch = batch();
        assert_eq!([0, 1, 2, 3].map(|row| batch.begins_message(row)), [true, true, false, true]);
    }
}
