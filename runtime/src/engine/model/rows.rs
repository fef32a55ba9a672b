//! What is in the log, and what of it goes where.

use std::sync::Arc;

pub const PARTITIONS: i32 = 2;
pub const WORKERS: usize = 2;

/// The sinks apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sink {
    /// A row is there with its request, once however often it is sent; a cursor follows.
    Collection,
    /// Rows wait for a file, and its publication is the position.
    Directory,
    /// Another collection: what stages refused.
    Rejects,
}

pub const SINKS: [Sink; 3] = [Sink::Collection, Sink::Directory, Sink::Rejects];

pub type Generation = Arc<str>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A marker of a transaction, or a gap of compaction.
    Nothing,
    Row,
    /// A stage refuses it.
    Reject,
}

pub fn content(offset: i64) -> Content {
    match offset % 10 {
        3 | 8 => Content::Nothing,
        1 | 6 => Content::Reject,
        _ => Content::Row,
    }
}

pub fn is_message(offset: i64) -> bool {
    content(offset) != Content::Nothing
}

/// What of a message a sink gets.
pub fn is_for(sink: Sink, offset: i64) -> bool {
    content(offset) == if sink == Sink::Rejects { Content::Reject } else { Content::Row }
}

#[derive(Clone, Debug)]
pub struct Row {
    pub partition: i32,
    pub offset: i64,
    pub generation: Generation,
}
