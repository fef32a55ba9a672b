//! Whether a worker that gets no partition is in touch with its group at all.
//!
//! Invariant: who is in touch waits for as long as others have all partitions. Nothing is asked here: the client says by
//! itself every second how it stands with the group's coordinator.

use std::time::{Duration, Instant};

use rdkafka::statistics::Statistics;

use crate::error::{Error, Result};

/// A rebalance is over, as a rule.
const SAY_AFTER: Duration = Duration::from_secs(10);
/// The client says how it is every second.
const WORD_MAX: Duration = Duration::from_secs(3);
/// Beyond the time that a connection may take. librdkafka waits a minute for an answer, and does not say so.
const MARGIN: Duration = Duration::from_secs(5);

/// Has the client a coordinator that it is connected to?
pub fn is_in_touch(statistics: &Statistics) -> bool {
    statistics.cgrp.as_ref().is_some_and(|group| group.state == "up")
}

pub struct Admission {
    since: Instant,
    out_of_touch_max: Duration,
    /// That there is nothing to do.
    is_said: bool,
}

impl Admission {
    pub fn awaited(now: Instant, connecting_max: Duration) -> Admission {
        Admission { since: now, out_of_touch_max: connecting_max + MARGIN, is_said: false }
    }

    /// `in_touch`: when the client was that, as far as it said. An error: the coordinator has been out of reach for too
    /// long.
    pub fn look(&mut self, in_touch: Option<Instant>, group: &str, now: Instant) -> Result<()> {
        let out_of_touch = now.saturating_duration_since(in_touch.map_or(self.since, |then| then.max(self.since)));
        if in_touch.is_some() && out_of_touch < WORD_MAX && !self.is_said && now - self.since >= SAY_AFTER {
            self.is_said = true;
            tracing::info!(group, "the group has no partition for this worker now");
        }
        match out_of_touch < self.out_of_touch_max {
            true => Ok(()),
            false => Err(Error::retry(format!(
                "the coordinator of group `{group}` has been out of reach for {} s: it is looked for anew",
                out_of_touch.as_secs()
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_in_touch_waits_and_who_is_not_begins_anew() {
        let began = Instant::now();
        let after = |second| began + Duration::from_secs(second);
        let mut admission = Admission::awaited(began, Duration::from_secs(30));
        assert!((0..1_000).all(|second| admission.look(Some(after(second)), "g", after(second)).is_ok()));
        assert!((1_000..1_034).all(|second| admission.look(Some(after(999)), "g", after(second)).is_ok()));
        let said = admission.look(Some(after(999)), "g", after(1_034)).expect_err("too long").to_string();
        assert!(said.contains("group `g` has been out of reach for 35 s"), "{said}");
        // what was said before this wait began does not count
        let mut admission = Admission::awaited(after(10), Duration::from_secs(30));
        assert!(admission.look(Some(began), "g", after(44)).is_ok());
        assert!(admission.look(None, "g", after(45)).is_err());
    }
}
