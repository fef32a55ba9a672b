//! Replayable logs that a pipeline reads.

pub mod kafka;
