//! Sinks that keep a position of their own, outside the head's transaction.
//!
//! Invariant: a row below a sink's own position is never written to it twice, and no row above it is skipped,
//! whatever other writer of the same partition is still alive. `POSITIONS` in ARCHITECTURE.md has the protocols.
//! A writer maps its driver's errors to [`Error`] (retry or stop) and knows nothing of retries, backoff or other sinks.

pub mod hdfs;
pub mod kafka;
pub mod mongodb;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use crate::batch::Batch;
use crate::error::{Error, Result};

/// The log that positions are about. Two topics of one name, one after the other, are not the same log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    pub cluster: String,
    pub topic: String,
    pub topic_id: String,
}

/// Partition → offset of the first row that is not there.
pub type Positions = BTreeMap<i32, i64>;

/// Rows of one generation on their way to the sinks; what they all share is computed once.
#[derive(Debug)]
pub struct Outbound {
    pub batch: Batch,
}

pub trait Writer: Send {
    /// Fences every other writer of these partitions, cleans up after it, and answers the durable position of each.
    /// `starts`: where to begin a partition of which this sink has never held anything; that is made durable too.
    /// A writer is opened once; another session makes another writer.
    fn open(&mut self, starts: &Positions) -> impl Future<Output = Result<Positions>> + Send;

    /// Takes the batch's rows at or above the writer's position; those below it are there already. Rows may be
    /// durable only after [`Writer::roll`] or [`Writer::finish`].
    fn write(&mut self, outbound: Arc<Outbound>) -> impl Future<Output = Result<()>> + Send;

    /// When [`Writer::roll`] wants to be called, if rows are waiting.
    fn deadline(&self) -> Option<Instant>;

    /// Makes durable what is due at `now`.
    fn roll(&mut self, now: Instant) -> impl Future<Output = Result<()>> + Send;

    /// Makes everything durable that was taken.
    fn finish(&mut self) -> impl Future<Output = Result<()>> + Send;

    /// What is durable now. Starts as what `open` answered.
    fn durable(&self) -> &Positions;
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
pub fn hand_over(position: i64, span: crate::batch::Span) -> Result<HandOver> {
    if span.from > position {
        return Err(Error::retry(format!(
            "partition {}: rows {position} to {} are missing before this batch",
            span.partition,
            span.from - 1
        )));
    }
    Ok(if span.to <= position { HandOver::Known } else { HandOver::From(position) })
}
