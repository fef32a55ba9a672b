//! A folder that stands in for a broker and a document store: topics, consumers' offsets, documents and sinks'
//! positions, all tables of one SQLite file (WAL, `synchronous=FULL`), which every SQLite tool can read.
//!
//! | table | a row is |
//! |---|---|
//! | `topics` | a topic: name, uuid (a topic made again is another), how many rows a partition keeps |
//! | `partitions` | offsets [first, end) that a partition holds |
//! | `messages` | a message: partition, offset, time, key, value, headers |
//! | `offsets` | how far a consumer group has come, with its own text beside it |
//! | `documents` | a document of a collection, JSON |
//! | `positions` | how far a sink has come in a partition |
//!
//! Invariants: what a [`Transaction`] did is there whole or not at all, and on disk when `commit` returns; offsets of
//! a partition rise by one without gaps; a reader never holds a transaction open, and a writer bounds the file of changes.
//! Any number of processes may read and write; one [`Hold`] says who runs the pipeline.
//! Knows nothing of pipelines, columns or JSON.

mod changes;
mod error;
mod folder;
mod log;
mod positions;
mod transaction;
mod wake;

pub use error::{Error, Result, advice};
pub use folder::{Folder, Hold};
pub use log::{Extent, Headers, Message, Record, TOPIC_NAMES, TOPIC_ROWS_MAX, Topic, is_topic_name, now_ms};
pub use positions::{Offset, Position};
pub use transaction::Transaction;
pub use wake::Wake;
