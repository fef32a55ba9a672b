//! Rejects, looked at, and their messages sent to the source's topic again: what `millrace rejects` does.
//!
//! A message is sent again once, whatever ends the command and whoever calls it beside: with the message goes, in one
//! transaction, a mark (which message, and where it came back) into the topic `<source topic>-resent`. Marks and the
//! transactional id belong to the source's topic, not to a pipeline: all that read the topic read what comes back.
//!
//! Invariants: the transactional id is taken before marks are read, so that whoever had it sends nothing any more, and
//! what it left is decided: committed, with its marks, or never sent. On a folder a transaction finds the marks as they
//! were read, or does nothing. A message is its position and its time: a topic that was made again begins at 0 again.
//! What is in memory is bounded by the marks asked for ([`marks`]), the rows shown, and one transaction.
//! Knows nothing of what became of a message in any sink but the head's.

pub mod filter;
pub mod marks;
pub mod read;
pub mod record;
pub mod send;
pub mod sender;
mod stored;
pub mod view;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use filter::Filter;
pub use send::{Outcome, Resend};
pub use view::{Again, Row, View, view};

/// Of a message in the source's topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    pub partition: i32,
    pub offset: i64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.partition, self.offset)
    }
}

/// Which message of all that the topic ever had, under this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    pub position: Position,
    /// The message's own time, in microseconds since 1970.
    pub timestamp_us: Option<i64>,
}
