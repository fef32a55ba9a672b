//! The head's transaction, by the log that the pipeline runs on: rows, rejects, the source's offsets and generations
//! become visible at once or never.
//!
//! Invariant: offsets move only from where this writer's session found them, or where it brought them.

use std::collections::BTreeMap;

use super::{embedded, kafka};
use crate::error::{Error, Result};
use crate::source::Membership;

/// How far a partition of the source goes with a commit, and what is written beside its offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advance {
    /// Where it stands; None: nothing is committed.
    pub from: Option<i64>,
    pub to: i64,
    pub metadata: String,
}

/// The broker's or the client's limit on one record is passed: the row is bad, not the transaction.
#[derive(Debug, PartialEq, Eq)]
pub struct TooLarge;

pub enum Transactions {
    Kafka(kafka::Transactions),
    Embedded(embedded::Transactions),
}

impl Transactions {
    pub fn send(
        &mut self,
        topic: &str,
        key: Option<&[u8]>,
        value: &[u8],
        headers: &[(String, Vec<u8>)],
    ) -> Result<Result<(), TooLarge>> {
        match self {
            Transactions::Kafka(transactions) => transactions.send(topic, key, value, headers),
            Transactions::Embedded(transactions) => Ok(transactions.send(topic, key, value, headers)),
        }
    }

    /// Bytes of a record's key and value, with what surrounds them.
    pub fn record_bytes_max(&self, topic: &str) -> usize {
        match self {
            Transactions::Kafka(transactions) => transactions.record_bytes_max(topic),
            Transactions::Embedded(_) => embedded::RECORD_BYTES_MAX,
        }
    }

    /// Everything sent since the last commit, and these offsets. `member`: who read the rows.
    pub fn commit(&mut self, advances: &BTreeMap<i32, Advance>, member: &Membership) -> Result<()> {
        match (self, member) {
            (Transactions::Kafka(transactions), Membership::Kafka(group)) => transactions.commit(advances, group),
            (Transactions::Embedded(transactions), Membership::Embedded) => transactions.commit(advances),
            _ => Err(Error::stop("the source and the head are on different logs")),
        }
    }
}
