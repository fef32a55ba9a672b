//! Where batches are cut: what was read, what was cut, and when the next cut is due.
//!
//! Invariant: the spans of successive batches leave no offset of a partition out, and none is in two.
//! Does no I/O and knows no clock: time is an argument. Who reads decodes what is pushed here.

use std::time::{Duration, Instant};

use crate::batch::Span;
use crate::plan::BatchLimits;
use crate::sink::Positions;

pub struct Cut {
    limits: BatchLimits,
    /// The end of what was cut, and of what was read.
    cut: Positions,
    read: Positions,
    /// Of the next batch.
    messages: usize,
    bytes: usize,
    /// When its first message was read.
    since: Option<Instant>,
}

impl Cut {
    pub fn new(limits: BatchLimits, from: Positions) -> Cut {
        Cut { limits, cut: from.clone(), read: from, messages: 0, bytes: 0, since: None }
    }

    /// Where a partition goes on; None: it is not among those that are read.
    pub fn read_to(&self, partition: i32) -> Option<i64> {
        self.read.get(&partition).copied()
    }

    pub fn push(&mut self, partition: i32, offset: i64, bytes: usize, now: Instant) {
        self.advance(partition, offset + 1);
        self.messages += 1;
        self.bytes += bytes;
        self.since.get_or_insert(now);
    }

    /// Offsets without a message: markers of transactions, gaps of compaction.
    pub fn advance(&mut self, partition: i32, to: i64) {
        let read = self.read.entry(partition).or_insert(to);
        *read = to.max(*read);
    }

    fn is_full(&self) -> bool {
        self.messages >= self.limits.rows_max || self.bytes >= self.limits.bytes_max
    }

    /// How long the next message may be waited for; None: nothing waits for it.
    pub fn left(&self, now: Instant) -> Option<Duration> {
        self.since.map(|since| self.limits.wait_max.saturating_sub(now.saturating_duration_since(since)))
    }

    pub fn is_due(&self, now: Instant) -> bool {
        self.is_full() || self.left(now).is_some_and(|left| left.is_zero())
    }

    /// What was read since the last cut; None: nothing was.
    pub fn take(&mut self) -> Option<Vec<Span>> {
        (self.since, self.messages, self.bytes) = (None, 0, 0);
        let new = self.read.iter().filter_map(|(&partition, &to)| {
            let from = self.cut.get(&partition).copied().unwrap_or(to);
            (from < to).then_some(Span { partition, from, to })
        });
        let spans: Vec<_> = new.collect();
        self.cut.clone_from(&self.read);
        (!spans.is_empty()).then_some(spans)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: BatchLimits = BatchLimits { rows_max: 3, bytes_max: 100, wait_max: Duration::from_millis(10) };

    fn cut() -> Cut {
        Cut::new(LIMITS, Positions::from([(0, 5), (1, 0)]))
    }

    fn span(partition: i32, from: i64, to: i64) -> Span {
        Span { partition, from, to }
    }

    #[test]
    fn spans_go_on_from_each_other_and_cover_what_holds_no_message() {
        let (mut cut, now) = (cut(), Instant::now());
        assert_eq!(cut.take(), None);
        cut.push(0, 7, 1, now);
        cut.push(1, 0, 1, now);
        assert_eq!(cut.take(), Some(vec![span(0, 5, 8), span(1, 0, 1)]));
        assert_eq!(cut.take(), None);
        cut.advance(0, 12);
        cut.advance(0, 11);
        assert_eq!(cut.read_to(0), Some(12));
        assert_eq!(cut.take(), Some(vec![span(0, 8, 12)]));
        assert_eq!(cut.read_to(2), None);
    }

    #[test]
    fn it_is_due_by_messages_by_bytes_or_by_the_time_since_the_first() {
        let now = Instant::now();
        let later = now + LIMITS.wait_max;
        let mut many = cut();
        assert_eq!((many.left(now), many.is_due(later)), (None, false));
        many.push(0, 5, 1, now);
        many.push(0, 6, 1, later);
        assert_eq!((many.left(now), many.left(later)), (Some(LIMITS.wait_max), Some(Duration::ZERO)));
        assert_eq!((many.is_due(now), many.is_due(later)), (false, true));
        many.push(0, 7, 1, now);
        assert!(many.is_due(now));
        many.take();
        assert_eq!((many.left(later), many.is_due(later)), (None, false));
        many.push(0, 8, 100, now);
        assert!(many.is_due(now));
    }
}
