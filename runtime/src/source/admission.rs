//! Whether a worker that gets no partition is in touch with its group at all.
//!
//! Invariant: who is in touch waits for as long as others have all partitions. Nothing is asked here: the client says by
//! itself every second how it stands with the group's coordinator.

use std::time::{Duration, Instant};

use rdkafka::statistics::Statistics;

use crate::error::{Error, Result};

/// A rebalance is over, as a rule.
const SAY_AFTER: Duration = Duration::from_secs(10);
/// librdkafka waits a minute for an answer, and does not say so.
const OUT_OF_TOUCH_MAX: Duration = Duration::from_secs(20);

/// Has the client a coordinator that it talks to?
pub fn is_in_touch(statistics: &Statistics) -> bool {
    statistics.cgrp.as_ref().is_some_and(|group| group.state == "up")
}

pub struct Admission {
    since: Instant,
    /// When it was last in touch, or began.
    in_touch: Instant,
    /// That there is nothing to do.
    is_said: bool,
}

impl Admission {
    pub fn awaited(now: Instant) -> Admission {
        Admission { since: now, in_touch: now, is_said: false }
    }

    /// An error: the group's coordinator has been out of reach for too long.
    pub fn look(&mut self, is_in_touch: bool, group: &str, now: Instant) -> Result<()> {
        if is_in_touch {
            self.in_touch = now;
        }
        if is_in_touch && !self.is_said && now - self.since >= SAY_AFTER {
            self.is_said = true;
            tracing::info!(group, "the group has no partition for this worker now");
        }
        let out_of_touch = now - self.in_touch;
        match out_of_touch < OUT_OF_TOUCH_MAX {
            true => Ok(()),
            false => Err(Error::retry(format!(
                "no word from the coordinator of group `{group}` for {} s: it is asked anew",
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
        let mut admission = Admission::awaited(began);
        let mut look = |is_in_touch, second| admission.look(is_in_touch, "g", began + Duration::from_secs(second));
        assert!((0..1_000).all(|second| look(true, second).is_ok()));
        assert!((1_000..1_019).all(|second| look(false, second).is_ok()));
        let said = look(false, 1_019).expect_err("too long").to_string();
        assert!(said.contains("group `g` for 20 s"), "{said}");
    }
}
