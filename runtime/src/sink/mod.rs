//! Sinks that keep a position of their own, outside the head's transaction.
//!
//! Invariant: a row below a sink's own position is never written to it twice, and no row above it is skipped,
//! whatever other writer of the same partition is still alive. `POSITIONS` in ARCHITECTURE.md has the protocols.
//! A writer maps its driver's errors to [`Error`] (retry or stop) and knows nothing of retries, backoff or other sinks.

mod any;
mod blocking;
pub mod embedded;
pub mod hdfs;
pub mod kafka;
pub mod ledger;
pub(crate) mod mark;
pub mod mongodb;
pub mod refusals;
pub mod topic;
pub mod transaction;

use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, ready};
use std::ops::AddAssign;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use any::AnyWriter;
use arrow_array::Array;
use arrow_array::cast::AsArray;

use crate::batch::{Batch, Reject, Span};
use crate::error::{Error, Result};
use crate::json::encode::Encoder;
use crate::plan::{Plan, SinkPlan};
use crate::rejects;
use crate::schema::Schema;

/// The log that positions are about. Two topics of one name, one after the other, are not the same log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    pub cluster: String,
    pub topic: String,
    pub topic_id: String,
}

impl Log {
    pub fn embedded(topic: &millrace_embedded::Topic) -> Log {
        Log { cluster: "embedded".into(), topic: topic.name.clone(), topic_id: topic.uuid.clone() }
    }
}

/// Partition → offset of the first row that is not there.
pub type Positions = BTreeMap<i32, i64>;

/// What is known of a partition before its position is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Where it begins if this sink has never held anything of it.
    At(i64),
    /// This process has read its position, which was this: one that is gone now is not begun anew.
    Stood(i64),
}

pub type Starts = BTreeMap<i32, Start>;

impl Start {
    /// Where a partition begins of which there is no position; nobody begins one otherwise. `place`: of the position.
    fn anew(self, sink: &str, partition: i32, place: impl fmt::Display) -> Result<i64> {
        match self {
            Start::At(offset) => Ok(offset),
            Start::Stood(offset) => Err(Error::retry(format!(
                "{place} is gone: it was moved or deleted while the pipeline ran, and partition {partition} stood at \
                 offset {offset} there. Put it back, and the sink goes on. To begin with an empty one, stop the \
                 pipeline and start it again: it begins where the sink's `start` says, or where `millrace positions \
                 reset FILE --sink {sink} --to {partition}:OFFSET` puts it in between"
            ))),
        }
    }
}

/// A sink that begins is told from one that goes on.
fn begins(sink: &str, partition: i32, offset: i64) {
    tracing::info!(sink = %sink, partition, offset, "sink has no position yet, and nothing that it wrote: it begins here");
}

/// Rows of one generation on their way to the sinks; what they all share is computed once.
#[derive(Debug)]
pub struct Outbound {
    pub batch: Batch,
    pub generation: Arc<str>,
}

impl Outbound {
    /// The rows that a sink takes: where the column `when` is true; null is not. Rows of a generation that had no such
    /// column are all taken. What is left out counts as written: the spans stay.
    pub fn taken(self: &Arc<Outbound>, when: Option<&str>) -> Result<Arc<Outbound>> {
        let keep = when.and_then(|when| self.batch.columns.column_by_name(when)?.as_boolean_opt());
        let Some(keep) = keep.filter(|keep| keep.true_count() < keep.len()) else { return Ok(self.clone()) };
        Ok(Arc::new(Outbound { batch: self.batch.only(keep)?, generation: self.generation.clone() }))
    }
}

/// What the rows are that a writer writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// A pipeline's rows, known by the pipeline and their position.
    Rows,
    /// Rejects, known by who refused them besides; a value that is absent is left out.
    Rejects,
}

/// Rows, and their bytes as the medium was given them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    pub rows: u64,
    pub bytes: u64,
}

impl Written {
    pub fn row(&mut self, bytes: usize) {
        self.rows += 1;
        self.bytes += bytes as u64;
    }

    pub fn since(self, before: Written) -> Written {
        Written { rows: self.rows - before.rows, bytes: self.bytes - before.bytes }
    }
}

impl AddAssign for Written {
    fn add_assign(&mut self, more: Written) {
        self.rows += more.rows;
        self.bytes += more.bytes;
    }
}

/// Whose rows a writer writes, and how.
#[derive(Clone, Debug)]
pub struct Context {
    pub pipeline: Arc<str>,
    pub sink: Arc<str>,
    pub log: Log,
    pub of: Of,
    /// Names, in the order in which they are written. Found by name in each batch: generations differ in their columns.
    pub columns: Vec<String>,
    /// For each call to the service.
    pub timeout: Duration,
}

impl Context {
    /// `schema`: the columns that `sink` has the indices of.
    pub fn new(pipeline: &str, schema: &Schema, sink: &SinkPlan, log: Log) -> Context {
        Context {
            pipeline: pipeline.into(),
            sink: sink.name.clone(),
            log,
            of: Of::Rows,
            columns: sink.columns.iter().map(|&index| schema.0[index].name.clone()).collect(),
            timeout: sink.timeout,
        }
    }

    /// Of one of the pipeline's sinks; the rejects may be one.
    pub fn of_sink(plan: &Plan, sink: &SinkPlan, log: &Log) -> Context {
        match sink.is_rejects() {
            true => Context::of_rejects(&plan.name, sink.name.clone(), sink, log.clone()),
            false => Context::new(&plan.name, &plan.schema, sink, log.clone()),
        }
    }

    /// `sink`: whose rejects, as part of names. `rejects`: where they go.
    pub fn of_rejects(pipeline: &str, sink: Arc<str>, rejects: &SinkPlan, log: Log) -> Context {
        let (pipeline, columns) = (pipeline.into(), rejects::columns());
        Context { pipeline, sink, log, of: Of::Rejects, columns, timeout: rejects.timeout }
    }

    /// For sinks that write JSON.
    fn encoder(&self) -> Encoder {
        let encoder = Encoder::of_names(self.columns.iter().map(String::as_str));
        match self.of {
            Of::Rows => encoder,
            Of::Rejects => encoder.without_nulls(),
        }
    }

    /// A row's position as text: what a document is known by.
    fn row_id(&self, partition: i32, offset: i64, index: u32) -> String {
        let prefix = self.rows_prefix(partition);
        if index == 0 { format!("{prefix}{offset}") } else { format!("{prefix}{offset}/{index}") }
    }

    /// The ids of all rejects of the pipeline, whichever stage or sink refused the rows: from here to below there.
    fn rejects_range(&self) -> (String, String) {
        // '0' is the character after '/'
        (format!("{}/", self.pipeline), format!("{}0", self.pipeline))
    }

    /// What the id of every row of a partition begins with.
    fn rows_prefix(&self, partition: i32) -> String {
        match self.of {
            Of::Rows => format!("{}/{}/{partition}/", self.pipeline, self.log.topic_id),
            Of::Rejects => format!("{}/{}/{}/{partition}/", self.pipeline, self.sink, self.log.topic_id),
        }
    }
}

/// More rows of one message than anybody reads.
pub const FOUND_ROWS_MAX: usize = 100;

/// What a sink holds of one message.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The sink's position in the message's partition; None: it has none yet.
    pub stands_at: Option<i64>,
    pub rows: Vec<FoundRow>,
    /// The published file whose offsets cover the message, in a sink that writes files.
    pub file: Option<String>,
}

/// Where in its medium a row is, for people; and the row.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundRow {
    pub place: String,
    pub row: serde_json::Value,
}

/// A writer that answered an error, or whose future was dropped before its end, is of no more use: drop it, and open
/// another, which goes on from what is durable.
pub trait Writer: Send {
    /// Fences every other writer of these partitions (or makes what it still writes harmless), cleans up after it, and
    /// answers the durable position of each.
    /// `starts`: where to begin a partition of which this sink has never held anything; that is made durable too. A
    /// position that was there and is gone is an error, and nothing is made in its place ([`Start::anew`]).
    /// A writer is opened once; another session makes another writer.
    fn open(&mut self, starts: &Starts) -> impl Future<Output = Result<Positions>> + Send;

    /// Takes the batch's rows at or above the writer's position; those below it are there already. Rows may be
    /// durable only after [`Writer::roll`] or [`Writer::finish`]. A row that the medium refuses is a durable reject
    /// before the writer's position passes it. Answers what it refused, in the order of the rows.
    fn write(&mut self, outbound: Arc<Outbound>) -> impl Future<Output = Result<Vec<Reject>>> + Send;

    /// When [`Writer::roll`] wants to be called, if rows are waiting, or work in the background wants to be seen to. Where
    /// rows are durable with their `write`, there is nothing to roll or to finish.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// Makes durable what is due at `now`.
    fn roll(&mut self, _now: Instant) -> impl Future<Output = Result<()>> + Send {
        ready(Ok(()))
    }

    /// Makes everything durable that was taken.
    fn finish(&mut self) -> impl Future<Output = Result<()>> + Send {
        ready(Ok(()))
    }

    /// What is durable now. Starts as what `open` answered.
    fn durable(&self) -> &Positions;

    /// What it has made durable since it was opened; also after an error.
    fn written(&self) -> Written;
}

/// What a hand-over means for a writer that stands at `position`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandOver {
    /// All of it is there already.
    Known,
    /// Rows at or above the position are new.
    From(i64),
}

/// A writer trims what is below its position, and refuses to skip what is above it.
pub fn hand_over(position: i64, span: Span) -> Result<HandOver> {
    if span.from > position {
        return Err(Error::retry(format!(
            "partition {}: rows {position} to {} are missing before this batch",
            span.partition,
            span.from - 1
        )));
    }
    Ok(if span.to <= position { HandOver::Known } else { HandOver::From(position) })
}

/// Where spans take each partition that they bring something new of, given how far each was `accepted`.
pub(crate) fn moves(accepted: &Positions, spans: &[Span]) -> Result<Positions> {
    let mut moves = Positions::new();
    for &span in spans {
        let opened = accepted.get(&span.partition);
        let opened = opened.ok_or_else(|| Error::retry(format!("partition {} is not open", span.partition)))?;
        let position = moves.get(&span.partition).unwrap_or(opened);
        if let HandOver::From(_) = hand_over(*position, span)? {
            moves.insert(span.partition, span.to);
        }
    }
    Ok(moves)
}

/// One call to a service. A service that is frozen never answers by itself.
pub(crate) async fn within<T>(
    timeout: Duration,
    what: impl FnOnce() -> String,
    call: impl IntoFuture<Output = T>,
) -> Result<T> {
    let answer = tokio::time::timeout(timeout, call).await;
    answer.map_err(|_| Error::retry(format!("{} gave no answer within {timeout:?}", what())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn a_hand_over_is_known_or_new_from_the_position_on_or_a_gap() {
        let span = Span { partition: 3, from: 10, to: 20 };
        assert_eq!(hand_over(20, span).expect("it is there"), HandOver::Known);
        assert_eq!(hand_over(15, span).expect("half of it is new"), HandOver::From(15));
        assert_eq!(hand_over(10, span).expect("all of it is new"), HandOver::From(10));
        let gap = hand_over(9, span).expect_err("row 9 would be skipped");
        assert_eq!(
            (gap.kind, gap.to_string().as_str()),
            (Kind::Retry, "partition 3: rows 9 to 9 are missing before this batch")
        );
    }
}
