//! Marks: which messages were sent again, and where they came back. A compacted topic beside the source's, one record
//! for a message: key `topic:partition:offset@timestamp`, value one JSON object.
//!
//! Invariant: at most [`MARKS_MAX`] are in memory; where more are asked for it is an error that says how to ask for
//! fewer, never a mark that is passed over.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde::{Deserialize, Serialize};

use super::{Filter, Identity, Position};
use crate::error::{Error, Result};
use crate::json::decode::Message as _;
use crate::json::time::{format_timestamp, parse_timestamp};
use crate::source;
use crate::topic::{Begin, Reader};

/// Some 60 bytes each.
pub const MARKS_MAX: usize = 1_000_000;

/// Of the source's topic; whoever reads that shares it.
pub fn topic_of(source: &str) -> String {
    format!("{source}-resent")
}

/// A mark as it is written.
#[derive(Debug, Serialize, Deserialize)]
struct Mark {
    partition: i32,
    offset: i64,
    timestamp: Option<String>,
    to: Position,
}

/// Key and value of the record that marks a message.
pub fn render(source: &str, of: Identity, to: Position) -> Result<(String, Vec<u8>)> {
    let Position { partition, offset } = of.position;
    let timestamp = of.timestamp_us.and_then(format_timestamp);
    let key = format!("{source}:{}@{}", of.position, timestamp.as_deref().unwrap_or_default());
    let value = serde_json::to_vec(&Mark { partition, offset, timestamp, to });
    Ok((key, value.map_err(|cause| Error::stop("a mark as JSON").caused_by(cause))?))
}

#[derive(Debug)]
pub struct Marks {
    to: HashMap<Identity, Position>,
    filter: Filter,
    marks_max: usize,
    /// The offset behind the last one that was read.
    end: i64,
}

impl Marks {
    /// None were made yet.
    pub fn none(filter: &Filter) -> Marks {
        Marks { to: HashMap::new(), filter: filter.clone(), marks_max: MARKS_MAX, end: 0 }
    }

    /// Of the messages that the filter may mean.
    pub fn read(reader: &mut Reader, filter: &Filter) -> Result<Marks> {
        let (starts, mut marks) = (reader.begins(Begin::Earliest)?, Marks::none(filter));
        let mut done = Ok(());
        reader.read_to_ends(&starts, |message| {
            done = marks.take(message);
            done.is_ok()
        })?;
        done.map(|()| marks)
    }

    fn take(&mut self, message: &source::Record<'_>) -> Result<()> {
        self.end = message.offset() + 1;
        let Some(value) = message.value() else { return Ok(()) };
        let place = || format!("mark at {}:{}", message.partition(), message.offset());
        let mark: Mark = serde_json::from_slice(value)
            .map_err(|cause| Error::stop("it is none that millrace wrote").at(place()).caused_by(cause))?;
        let Mark { partition, offset, timestamp, to } = mark;
        let timestamp_us = timestamp.as_deref().and_then(parse_timestamp);
        let of = Identity { position: Position { partition, offset }, timestamp_us };
        if self.filter.takes_position(of.position) {
            self.add(of, to)?;
        }
        Ok(())
    }

    /// False: it was there.
    pub fn add(&mut self, of: Identity, to: Position) -> Result<bool> {
        let count = self.to.len();
        match self.to.entry(of) {
            Entry::Occupied(_) => Ok(false),
            Entry::Vacant(_) if count >= self.marks_max => Err(Error::stop(format!(
                "more than {} messages were sent again, or are to be: ask for fewer of them at once, by --partition, \
                 --from and --to",
                self.marks_max
            ))),
            Entry::Vacant(vacant) => {
                vacant.insert(to);
                Ok(true)
            }
        }
    }

    pub fn to(&self, of: &Identity) -> Option<Position> {
        self.to.get(of).copied()
    }

    pub fn targets(&self) -> impl Iterator<Item = Position> + '_ {
        self.to.values().copied()
    }

    pub fn is_empty(&self) -> bool {
        self.to.is_empty()
    }

    pub fn end(&self) -> i64 {
        self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_bound_it_says_how_to_ask_for_fewer() {
        let mut marks = Marks { marks_max: 2, ..Marks::none(&Filter::default()) };
        let at = |offset| Position { partition: 0, offset };
        let of = |offset, timestamp_us| Identity { position: at(offset), timestamp_us };
        assert!(marks.add(of(1, None), at(7)).unwrap());
        assert!(marks.add(of(1, Some(1)), at(8)).unwrap(), "a topic that was made again");
        assert!(!marks.add(of(1, None), at(9)).unwrap());
        assert_eq!(marks.to(&of(1, None)), Some(at(7)));
        let said = marks.add(of(2, None), at(9)).unwrap_err().to_string();
        assert!(said.contains("more than 2 messages") && said.contains("--partition"), "{said}");
    }
}
