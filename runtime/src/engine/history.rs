//! Which generation computes which offsets of a partition: decided once, by the head's commit, and kept beside the
//! committed offset until every sink has passed.
//!
//! Invariant: offsets never go back, and each entry holds from its offset to the next one's. A row is computed by the
//! generation that owned its offset, whoever replays it and whenever.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Kafka's limit on what stands beside an offset (`offset.metadata.max.bytes`).
const METADATA_BYTES_MAX: usize = 4096;
/// The last ones stay, whoever has passed them: a sink that was switched off meanwhile, or in another worker's file, comes
/// back to rows of theirs. An entry is some 35 bytes.
const ENTRIES_KEPT: usize = 8;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// Of the log that the offsets are about.
    pub topic_id: String,
    /// (from offset, generation), rising.
    generations: Vec<(i64, Arc<str>)>,
}

/// As it stands beside a committed offset.
#[derive(Serialize, Deserialize)]
struct Written {
    topic_id: String,
    generations: Vec<(i64, String)>,
}

impl History {
    pub fn new(topic_id: &str, from: i64, generation: &Arc<str>) -> History {
        History { topic_id: topic_id.to_owned(), generations: vec![(from, generation.clone())] }
    }

    /// None: nothing of ours stands there.
    pub fn parse(metadata: &str) -> Option<History> {
        let Written { topic_id, generations } = serde_json::from_str(metadata).ok()?;
        let generations: Vec<_> = generations.into_iter().map(|(from, hash)| (from, Arc::from(hash))).collect();
        (!generations.is_empty()).then_some(History { topic_id, generations })
    }

    pub fn render(&self) -> Result<String> {
        let generations = self.generations.iter().map(|(from, hash)| (*from, hash.to_string())).collect();
        let written = Written { topic_id: self.topic_id.clone(), generations };
        let text =
            serde_json::to_string(&written).map_err(|cause| Error::stop("the generation list").caused_by(cause))?;
        if text.len() > METADATA_BYTES_MAX {
            return Err(Error::stop(format!(
                "{} generations are waiting for the slowest sink, more than fit beside a committed offset \
                 ({METADATA_BYTES_MAX} bytes): let the sinks catch up before the next change",
                self.generations.len()
            )));
        }
        Ok(text)
    }

    /// From `offset` on, rows are `generation`'s. True where that changes anything.
    pub fn decide(&mut self, offset: i64, generation: &Arc<str>) -> bool {
        if self.generations.last().is_some_and(|(_, last)| last == generation) {
            return false;
        }
        // a generation that never got a row leaves no entry
        self.generations.retain(|(from, _)| *from < offset);
        if self.generations.last().is_none_or(|(_, last)| last != generation) {
            self.generations.push((offset, generation.clone()));
        }
        true
    }

    /// The generation of a row; None before the list, where it says nothing any more, or never did.
    pub fn at(&self, offset: i64) -> Option<&Arc<str>> {
        let after = self.generations.partition_point(|(from, _)| *from <= offset);
        after.checked_sub(1).map(|at| &self.generations[at].1)
    }

    /// The first offset that the list is about.
    pub fn begins(&self) -> i64 {
        self.generations.first().map_or(i64::MAX, |(from, _)| *from)
    }

    /// Forgets what no sink will ask for again, beyond the last [`ENTRIES_KEPT`].
    pub fn prune(&mut self, slowest: i64) {
        let passed = self.generations.partition_point(|(from, _)| *from <= slowest).saturating_sub(1);
        self.generations.drain(..passed.min(self.generations.len().saturating_sub(ENTRIES_KEPT)));
    }

    /// Where the first generation begins that `has` is true of, which it is of the last.
    pub fn since(&self, has: impl Fn(&Arc<str>) -> bool) -> i64 {
        let first = self.generations.iter().find(|(_, hash)| has(hash)).or(self.generations.last());
        first.map_or(0, |(from, _)| *from)
    }

    /// Rows from `offset` on may be asked for again: those before the list are its first entry's, and stay so whatever
    /// is decided later.
    pub fn reach_back(&mut self, offset: i64) {
        if let Some((from, _)) = self.generations.first_mut() {
            *from = offset.min(*from);
        }
    }

    /// (from offset, generation), rising.
    pub fn entries(&self) -> &[(i64, Arc<str>)] {
        &self.generations
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(entries: &[(i64, &str)]) -> History {
        History { topic_id: "t".into(), generations: entries.iter().map(|(o, g)| (*o, Arc::from(*g))).collect() }
    }

    #[test]
    fn a_row_is_its_offsets_generation() {
        let history = history(&[(10, "a"), (20, "b")]);
        let of = |offset| history.at(offset).map(|hash| &**hash);
        assert_eq!([of(9), of(10), of(19), of(20), of(99)], [None, Some("a"), Some("a"), Some("b"), Some("b")]);
    }

    #[test]
    fn going_back_to_a_generation_is_a_decision_too() {
        let mut list = history(&[(10, "a")]);
        assert!(!list.decide(15, &"a".into()));
        assert!(list.decide(20, &"b".into()));
        assert!(list.decide(30, &"a".into()));
        assert_eq!(list, history(&[(10, "a"), (20, "b"), (30, "a")]));
    }

    #[test]
    fn it_tells_since_when_a_generation_has_something() {
        let list = history(&[(10, "a"), (20, "b"), (30, "c")]);
        let since = |having: &str| list.since(|hash| having.contains(&**hash));
        assert_eq!([since("abc"), since("bc"), since("ac"), since("c"), since("")], [10, 20, 10, 30, 30]);
    }

    #[test]
    fn a_generation_without_rows_leaves_no_entry() {
        let mut list = history(&[(10, "a"), (20, "b")]);
        assert!(list.decide(20, &"a".into()));
        assert_eq!(list, history(&[(10, "a")]));
        assert!(list.decide(10, &"c".into()));
        assert_eq!(list, history(&[(10, "c")]));
    }

    #[test]
    fn entries_below_the_slowest_sink_go_beyond_the_last_few() {
        let whole: Vec<_> = (0..12).map(|n| (10 * n, "g")).collect();
        let begins = |slowest| {
            let mut list = history(&whole);
            list.prune(slowest);
            list.begins()
        };
        assert_eq!(
            [begins(i64::MIN), begins(9), begins(10), begins(39), begins(40), begins(1000)],
            [0, 0, 10, 30, 40, 40]
        );
    }

    #[test]
    fn a_rewind_before_the_list_keeps_its_rows_with_the_first_entry() {
        let mut list = history(&[(10, "a"), (20, "b")]);
        list.reach_back(12);
        assert_eq!(list, history(&[(10, "a"), (20, "b")]));
        list.reach_back(5);
        assert_eq!(list, history(&[(5, "a"), (20, "b")]));
        // a switch at a head that stands before the old first entry leaves the rows below it with `a`
        assert!(list.decide(8, &"c".into()));
        assert_eq!(list, history(&[(5, "a"), (8, "c")]));
    }

    #[test]
    fn it_survives_the_journey_beside_an_offset() {
        let list = history(&[(10, "a"), (20, "b")]);
        assert_eq!(History::parse(&list.render().unwrap()), Some(list));
        assert_eq!(History::parse(""), None);
        let many: Vec<_> = (0..400).map(|n| (n, "0123456789abcdef")).collect();
        assert!(history(&many).render().is_err());
    }
}
