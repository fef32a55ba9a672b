//! Where the head stands in a partition when a session begins, and which generation goes on from there.
//!
//! Invariant: a position lies in what the log holds, and is about this very log; rows are never skipped in silence.
//! Does no I/O: what is committed and what the log holds are arguments.

use std::sync::Arc;

use crate::engine::history::History;
use crate::error::{Error, Result};
use crate::plan::Start;
use crate::sink::Log;
use crate::source::{Committed, Extent, first_start};

/// Whose offsets they are, and what runs.
pub struct Group<'a> {
    pub name: &'a str,
    pub log: &'a Log,
    pub start: Start,
    /// It has an offset in some partition.
    pub is_known: bool,
    pub generation: &'a Arc<str>,
    /// The command that moves the group's offsets, for messages.
    pub reset: &'a str,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Stand {
    pub head: i64,
    pub history: History,
    /// It is not what is committed, and must be before anything else.
    pub is_news: bool,
}

impl Group<'_> {
    pub fn stand(&self, partition: i32, committed: &Committed, extent: Extent) -> Result<Stand> {
        let log = self.log;
        let anew = |head| Stand { head, history: History::new(&log.topic_id, head, self.generation), is_news: true };
        let Some(head) = committed.offset else {
            return Ok(anew(first_start(self.start, extent, self.is_known)));
        };
        let place = format!("group `{}` on `{}` partition {partition}", self.name, log.topic);
        self.within(&place, partition, head, extent)?;
        match History::parse(&committed.metadata) {
            Some(history) if history.topic_id != log.topic_id => Err(Error::stop(format!(
                "{place}: its offset {head} is about another topic of this name (id {}, now {}): the topic was deleted \
                 and made again. To begin with the new one: `{} --to earliest`, or give the pipeline a new name",
                history.topic_id,
                log.topic_id,
                self.reset.replace("--head", "--all")
            ))),
            Some(mut history) => {
                let is_news = history.decide(head, self.generation);
                Ok(Stand { head, history, is_news })
            }
            None => Ok(anew(head)),
        }
    }

    /// A position must lie in what the log holds.
    fn within(&self, place: &str, partition: i32, offset: i64, extent: Extent) -> Result<()> {
        let reset = self.reset;
        if offset < extent.first {
            return Err(Error::stop(format!(
                "{place} stands at offset {offset}, and the log begins at {}: rows {offset} to {} are gone (the topic's \
                 retention dropped them). To go on without them: `{reset} --to {partition}:{}`",
                extent.first,
                extent.first - 1,
                extent.first
            )));
        }
        if offset > extent.end {
            return Err(Error::stop(format!(
                "{place} stands at offset {offset}, beyond the log's end {}: the topic was deleted and made again, or \
                 lost rows. To go on with what comes: `{} --to {partition}:{}`",
                extent.end,
                reset.replace("--head", "--all"),
                extent.end
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    const EXTENT: Extent = Extent { first: 10, end: 20 };

    /// Of a pipeline whose generation is `b`.
    fn stand(offset: Option<i64>, metadata: &str) -> Result<Stand> {
        let log = Log { cluster: "c".into(), topic: "flights".into(), topic_id: "t".into() };
        let (start, generation) = (Start::Latest, &"b".into());
        let group = Group { name: "g", log: &log, start, is_known: false, generation, reset: "reset --head" };
        group.stand(3, &Committed { offset, metadata: metadata.to_owned() }, EXTENT)
    }

    fn beside(topic_id: &str, generation: &str) -> String {
        History::new(topic_id, 10, &generation.into()).render().unwrap()
    }

    #[test]
    fn it_goes_on_where_it_was_and_a_new_generation_is_news() {
        let same = stand(Some(15), &beside("t", "b")).unwrap();
        assert_eq!(same, Stand { head: 15, history: History::new("t", 10, &"b".into()), is_news: false });
        let other = stand(Some(15), &beside("t", "a")).unwrap();
        assert_eq!((other.head, other.is_news), (15, true));
        assert_eq!(
            [other.history.at(14), other.history.at(15)].map(|hash| hash.map(|hash| &**hash)),
            [Some("a"), Some("b")]
        );
    }

    #[test]
    fn what_is_not_decided_yet_is_news() {
        for (offset, head) in [(None, 20), (Some(15), 15)] {
            let history = History::new("t", head, &"b".into());
            assert_eq!(stand(offset, "").unwrap(), Stand { head, history, is_news: true });
        }
    }

    #[test]
    fn an_offset_outside_of_the_log_or_of_another_log_stops_and_says_what_to_do() {
        let said = |offset, metadata: &str| {
            let error = stand(Some(offset), metadata).unwrap_err();
            assert_eq!(error.kind, Kind::Stop);
            error.to_string()
        };
        let gone = said(9, &beside("t", "b"));
        assert!(gone.contains("rows 9 to 9 are gone") && gone.contains("`reset --head --to 3:10`"), "{gone}");
        let beyond = said(21, &beside("t", "b"));
        assert!(beyond.contains("beyond the log's end 20") && beyond.contains("`reset --all --to 3:20`"), "{beyond}");
        let other = said(15, &beside("u", "b"));
        assert!(other.contains("(id u, now t)") && other.contains("`reset --all --to earliest`"), "{other}");
    }
}
