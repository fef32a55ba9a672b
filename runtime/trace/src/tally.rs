//! What became of spans: how many wait, were taken by the collector, or were dropped.
//!
//! Invariant: no more spans wait than [`SPANS_WAITING_MAX`]. What is dropped is said in the log, at most once a minute.

use std::fmt::Display;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Spans that wait for the collector, those on their way to it among them. Each is below a kilobyte.
pub const SPANS_WAITING_MAX: usize = 8_192;
const SAY_AGAIN_AFTER: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub struct Tally {
    waiting: AtomicUsize,
    exported: AtomicU64,
    dropped: AtomicU64,
    said: Mutex<Option<Said>>,
}

#[derive(Debug)]
struct Said {
    at: Instant,
    dropped: u64,
}

impl Tally {
    /// Since the start, spans that the collector took.
    pub fn exported(&self) -> u64 {
        self.exported.load(Ordering::Relaxed)
    }

    /// Since the start, spans that it did not.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Spans that will not be there.
    pub fn drop_spans(&self, spans: usize, why: impl Display) {
        self.dropped.fetch_add(spans as u64, Ordering::Relaxed);
        self.say(why, Instant::now());
    }

    /// False: there is no room for one more.
    pub(crate) fn waits(&self) -> bool {
        let room = |waiting| (waiting < SPANS_WAITING_MAX).then_some(waiting + 1);
        self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_ok()
    }

    pub(crate) fn leaves(&self, spans: usize) {
        let left = |waiting: usize| Some(waiting.saturating_sub(spans));
        // this one always gives a number
        let _ = self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left);
    }

    pub(crate) fn takes(&self, spans: usize) {
        self.exported.fetch_add(spans as u64, Ordering::Relaxed);
    }

    /// The first time at once, then only now and then.
    fn say(&self, why: impl Display, now: Instant) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let before = said.as_ref().map_or(0, |said| said.dropped);
        if said.as_ref().is_some_and(|said| now.duration_since(said.at) < SAY_AGAIN_AFTER) {
            return;
        }
        let dropped = self.dropped();
        tracing::warn!(spans = dropped - before, in_all = dropped, %why, "spans were dropped; the pipeline goes on");
        *said = Some(Said { at: now, dropped });
    }

    /// Nobody waits any longer: what was not said yet.
    pub(crate) fn conclude(&self) {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        self.dropped.fetch_add(self.waiting.swap(0, Ordering::Relaxed) as u64, Ordering::Relaxed);
        let (before, dropped) = (said.as_ref().map_or(0, |said| said.dropped), self.dropped());
        if dropped > before {
            tracing::warn!(spans = dropped - before, in_all = dropped, "spans were dropped");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_wait_than_there_is_room_for() {
        let tally = Tally::default();
        assert_eq!((0..SPANS_WAITING_MAX + 2).filter(|_| tally.waits()).count(), SPANS_WAITING_MAX);
        tally.leaves(1);
        assert_eq!([tally.waits(), tally.waits()], [true, false]);
    }
}
