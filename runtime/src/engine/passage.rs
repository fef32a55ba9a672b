//! A stretch of the log that a sink reads again: which messages are its, whose each of them is, where batches are cut,
//! and where the stretch ends.
//!
//! Invariants: nothing at or beyond the end of the stretch is read, and nothing in it is left out; a batch is of one
//! generation, the one that owns its offsets.
//! Does no I/O and knows no clock: time is an argument. `reread` does what is decided here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use crate::batch::Span;
use crate::engine::cut::Cut;
use crate::engine::history::History;
use crate::engine::lane::Stretch;
use crate::error::{Error, Result};
use crate::plan::BatchLimits;
use crate::sink::Positions;

/// Offsets that the log no longer holds, and a sink still needs: [from, to).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    pub partition: i32,
    pub from: i64,
    pub to: i64,
}

/// `first`: where the log begins now.
pub fn gap(stretch: &Stretch, first: impl Fn(i32) -> Result<i64>) -> Result<Option<Gap>> {
    for (&partition, &from) in &stretch.from {
        let first = first(partition)?;
        if first > from {
            return Ok(Some(Gap { partition, from, to: first }));
        }
    }
    Ok(None)
}

/// What a message is to the stretch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// To be pushed. `turns_to`: it is of this generation, and what was read before of another: that is to be taken
    /// first. The last one ends its partition.
    Wanted { turns_to: Option<Arc<str>>, is_last: bool },
    /// Its partition has ended.
    Beyond,
    /// It was read already, or nobody asked for it.
    Known,
}

pub struct Passage {
    cut: Cut,
    histories: BTreeMap<i32, History>,
    /// Of what is read now.
    generation: Arc<str>,
    /// Partitions that are not read to their end yet, and these ends.
    open: Positions,
}

impl Passage {
    /// `limits`: of the plan that runs, whichever generation the messages are of; `generation`: what rows are thought
    /// to be of before the first is seen.
    pub fn new(
        stretch: &Stretch,
        limits: BatchLimits,
        histories: BTreeMap<i32, History>,
        generation: Arc<str>,
    ) -> Passage {
        Passage { cut: Cut::new(limits, stretch.from.clone()), histories, generation, open: stretch.to.clone() }
    }

    /// Where each partition is to be read from.
    pub fn from(&self) -> Positions {
        self.open.keys().filter_map(|&partition| Some((partition, self.cut.read_to(partition)?))).collect()
    }

    pub fn is_over(&self) -> bool {
        self.open.is_empty()
    }

    pub fn see(&mut self, partition: i32, offset: i64) -> Result<Seen> {
        let to = match self.open.get(&partition) {
            None => return Ok(Seen::Known),
            Some(&to) if offset >= to => return Ok(Seen::Beyond),
            Some(_) if self.cut.read_to(partition).is_some_and(|read| offset < read) => return Ok(Seen::Known),
            Some(&to) => to,
        };
        let history = self.histories.get(&partition);
        let history = history.ok_or_else(|| Error::retry(format!("partition {partition} is not held")))?;
        let generation = history.at(offset).ok_or_else(|| forgotten(partition, offset, history.begins()))?;
        let turns_to = (*generation != self.generation).then(|| generation.clone());
        self.generation.clone_from(generation);
        Ok(Seen::Wanted { turns_to, is_last: offset + 1 == to })
    }

    pub fn push(&mut self, partition: i32, offset: i64, bytes: usize, now: Instant) {
        self.cut.push(partition, offset, bytes, now);
    }

    /// Offsets up to the end without a message are covered too. False: the partition had ended before.
    pub fn end(&mut self, partition: i32) -> bool {
        let to = self.open.remove(&partition);
        to.iter().for_each(|&to| self.cut.advance(partition, to));
        to.is_some()
    }

    pub fn is_due(&self, now: Instant) -> bool {
        self.cut.is_due(now)
    }

    /// What was read since the last time; None: nothing was.
    pub fn take(&mut self) -> Option<Vec<Span>> {
        self.cut.take()
    }
}

/// Computed by another generation, the row would be another one than at the other sinks.
fn forgotten(partition: i32, offset: i64, begins: i64) -> Error {
    Error::stop(format!(
        "which generation row {offset} of partition {partition} is of is not known any more: the group's list begins with \
         row {begins}. A reset of this sink to {partition}:{offset}, or to where it is to go on, has what comes before \
         that computed by the oldest generation that is known"
    ))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::error::Kind;

    /// Offsets 2 to 8 of partition 0, where `b` begins at 6; and 0 to 1 of partition 1.
    fn passage() -> Passage {
        let limits = BatchLimits { rows_max: 10, bytes_max: 100, wait_max: Duration::from_millis(10) };
        let mut history = History::new("t", 0, &"a".into());
        let histories = BTreeMap::from([
            (1, history.clone()),
            (0, {
                history.decide(6, &"b".into());
                history
            }),
        ]);
        let (from, to) = (Positions::from([(0, 2), (1, 0)]), Positions::from([(0, 8), (1, 1)]));
        Passage::new(&Stretch { from, to }, limits, histories, "b".into())
    }

    fn wanted(turns_to: Option<&str>, is_last: bool) -> Seen {
        Seen::Wanted { turns_to: turns_to.map(Arc::from), is_last }
    }

    #[test]
    fn what_is_in_the_stretch_is_wanted_once_and_nothing_else() {
        let (mut passage, now) = (passage(), Instant::now());
        let mut see = |partition, offset| {
            let seen = passage.see(partition, offset).unwrap();
            if let Seen::Wanted { .. } = seen {
                passage.push(partition, offset, 1, now);
            }
            seen
        };
        assert_eq!(see(0, 1), Seen::Known, "it was asked for from 2 on");
        assert_eq!(see(0, 2), wanted(Some("a"), false));
        assert_eq!(see(0, 2), Seen::Known);
        assert_eq!(see(0, 5), wanted(None, false));
        assert_eq!(see(0, 6), wanted(Some("b"), false));
        assert_eq!(see(1, 0), wanted(Some("a"), true));
        assert_eq!(see(0, 7), wanted(Some("b"), true));
        assert_eq!(see(0, 8), Seen::Beyond);
        assert_eq!(see(2, 0), Seen::Known);
    }

    #[test]
    fn the_end_covers_offsets_without_a_message_and_comes_once() {
        let (mut passage, now) = (passage(), Instant::now());
        passage.push(0, 2, 1, now);
        assert_eq!(passage.from(), Positions::from([(0, 3), (1, 0)]));
        assert!(passage.end(0) && !passage.end(0) && !passage.is_over());
        assert_eq!(passage.see(0, 5).unwrap(), Seen::Known);
        assert!(passage.end(1) && passage.is_over());
        let span = |partition, from, to| Span { partition, from, to };
        assert_eq!(passage.take(), Some(vec![span(0, 2, 8), span(1, 0, 1)]));
        assert_eq!(passage.take(), None);
    }

    #[test]
    fn a_row_whose_generation_is_forgotten_stops_the_sink() {
        let limits = BatchLimits { rows_max: 10, bytes_max: 100, wait_max: Duration::from_millis(10) };
        let histories = BTreeMap::from([(0, History::new("t", 5, &"b".into()))]);
        let stretch = Stretch { from: Positions::from([(0, 4)]), to: Positions::from([(0, 8)]) };
        let mut passage = Passage::new(&stretch, limits, histories, "b".into());
        let error = passage.see(0, 4).unwrap_err();
        assert!(error.kind == Kind::Stop && error.to_string().contains("reset of this sink to 0:4"), "{error}");
        assert_eq!(passage.see(0, 5).unwrap(), wanted(None, false));
    }

    #[test]
    fn what_the_log_has_dropped_is_a_gap() {
        let stretch = Stretch { from: Positions::from([(0, 2), (1, 5)]), to: Positions::from([(0, 8), (1, 9)]) };
        let log = |first: [i64; 2]| gap(&stretch, move |partition| Ok(first[partition as usize])).unwrap();
        assert_eq!(log([2, 5]), None);
        assert_eq!(log([0, 7]), Some(Gap { partition: 1, from: 5, to: 7 }));
    }
}
