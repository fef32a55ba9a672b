//! How far consumers and sinks have come, read.
//!
//! Invariant: a call is one short read transaction, or part of the [`crate::Transaction`] that is open on this
//! connection; it changes nothing.

use rusqlite::{OptionalExtension, params};

use crate::error::Result;
use crate::folder::Folder;
use crate::log::Topic;

/// A consumer's offset in one partition, and what its owner wrote beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offset {
    pub next: i64,
    pub metadata: String,
}

/// How far a sink has come in one partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    pub topic_uuid: String,
    pub next: i64,
}

impl Folder {
    pub fn offset(&self, consumer: &str, topic: &Topic, partition: i32) -> Result<Option<Offset>> {
        let found = self
            .connection
            .prepare_cached("SELECT next, metadata FROM offsets WHERE consumer = ? AND topic = ? AND partition = ?")
            .and_then(|mut select| {
                let offset = |row: &rusqlite::Row<'_>| Ok(Offset { next: row.get(0)?, metadata: row.get(1)? });
                select.query_row(params![consumer, topic.id, partition], offset).optional()
            });
        found.map_err(self.failed("reading offsets"))
    }

    pub fn position(&self, sink: &str, topic: &str, partition: i32) -> Result<Option<Position>> {
        let found = self
            .connection
            .prepare_cached("SELECT topic_uuid, next FROM positions WHERE sink = ? AND topic = ? AND partition = ?")
            .and_then(|mut select| {
                let position = |row: &rusqlite::Row<'_>| Ok(Position { topic_uuid: row.get(0)?, next: row.get(1)? });
                select.query_row(params![sink, topic, partition], position).optional()
            });
        found.map_err(self.failed("reading positions"))
    }

    /// Rows of a sink, in a collection, below which ids sort; for a sink without a position that finds rows.
    pub fn has_document_with_prefix(&self, collection: &str, prefix: &str) -> Result<bool> {
        self.connection
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM documents WHERE collection = ? AND id >= ? AND id < ? || x'ff')",
            )
            .and_then(|mut select| select.query_row(params![collection, prefix, prefix], |row| row.get(0)))
            .map_err(self.failed("reading documents"))
    }
}
