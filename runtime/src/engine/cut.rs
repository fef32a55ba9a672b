//! Messages of one generation on their way into a batch: what was read, what was cut, and when the next cut is due.
//!
//! Invariant: the spans of successive batches leave no offset of a partition out, and none is in two.
//! Does no I/O and knows no clock: time is an argument.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::batch::{Batch, Span};
use crate::error::Result;
use crate::json::decode::{Decoder, Message};
use crate::observe::trace::Trace;
use crate::plan::{BatchLimits, Plan};
use crate::sink::Positions;

pub struct Cut {
    plan: Arc<Plan>,
    decoder: Decoder,
    limits: BatchLimits,
    /// The end of what was cut, and of what was read.
    cut: Positions,
    read: Positions,
    /// When the first message of the next batch was read.
    since: Option<Instant>,
}

impl Cut {
    /// Bounded by the limits of the plan that runs, whichever generation the messages are of.
    pub fn new(plan: Arc<Plan>, limits: BatchLimits, from: Positions) -> Cut {
        Cut { decoder: Decoder::new(&plan.source), plan, limits, cut: from.clone(), read: from, since: None }
    }

    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Where a partition goes on; None: it is not among those that are read.
    pub fn read_to(&self, partition: i32) -> Option<i64> {
        self.read.get(&partition).copied()
    }

    pub fn unknown_fields(&self) -> u64 {
        self.decoder.unknown_fields()
    }

    pub fn push(&mut self, message: &impl Message, now: Instant) {
        self.decoder.push(message);
        self.advance(message.partition(), message.offset() + 1);
        self.since.get_or_insert(now);
    }

    /// The last message is followed from here on.
    pub fn follow(&mut self, trace: Trace) {
        self.decoder.follow(trace);
    }

    /// Offsets without a message: markers of transactions, gaps of compaction.
    pub fn advance(&mut self, partition: i32, to: i64) {
        let read = self.read.entry(partition).or_insert(to);
        *read = to.max(*read);
    }

    pub fn is_full(&self) -> bool {
        self.decoder.messages() >= self.limits.rows_max || self.decoder.bytes() >= self.limits.bytes_max
    }

    /// How long the next message may be waited for; None: nothing waits for it.
    pub fn left(&self, now: Instant) -> Option<Duration> {
        self.since.map(|since| self.limits.wait_max.saturating_sub(now.saturating_duration_since(since)))
    }

    pub fn is_due(&self, now: Instant) -> bool {
        self.is_full() || self.left(now).is_some_and(|left| left.is_zero())
    }

    /// What was read since the last cut; None: nothing was.
    pub fn take(&mut self) -> Result<Option<Batch>> {
        self.since = None;
        let new = self.read.iter().filter_map(|(&partition, &to)| {
            let from = self.cut.get(&partition).copied().unwrap_or(to);
            (from < to).then_some(Span { partition, from, to })
        });
        let spans: Vec<_> = new.collect();
        if spans.is_empty() {
            return Ok(None);
        }
        self.cut.clone_from(&self.read);
        self.decoder.take(spans).map(Some)
    }

    /// What comes now is of another generation; what came before was taken.
    pub fn switch(&mut self, plan: Arc<Plan>) {
        self.decoder = Decoder::new(&plan.source);
        self.plan = plan;
    }
}
