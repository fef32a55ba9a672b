//! The suite of the head's transactions: rows, rejects and the source's offsets, all or nothing.
//!
//! A log gets all of it by one line of `on_each_log!`.

mod cases;
mod coordinator;
mod limits;
mod zombies;

use std::collections::BTreeMap;

use super::logs::{ALL, ALONE, Logs};
use crate::error::{Error, Kind, Result};
use crate::sink::transaction::{Advance, Transactions};
use crate::source::Membership;

const OUT: &str = "out";
const ASIDE: &str = "aside";

/// A log with a source of so many partitions, and two topics to write to.
fn logs<L: Logs>(partitions: i32) -> L {
    let logs = L::fresh();
    logs.make_topic(&logs.plan().topic, partitions, ALL);
    logs.make_topic(&topic(&logs, OUT), 1, ALL);
    logs.make_topic(&topic(&logs, ASIDE), 1, ALL);
    logs
}

fn topic<L: Logs>(logs: &L, role: &str) -> String {
    format!("{}-{role}", logs.plan().group)
}

/// Fences whoever had `slot`.
fn open<L: Logs>(logs: &L, slot: i32) -> Result<Transactions> {
    let id = format!("{}-{slot}", logs.plan().group);
    let topics = [OUT, ASIDE].map(|role| topic(logs, role));
    logs.ground().transactions(logs.plan(), &topics.iter().map(String::as_str).collect(), &id, ALONE)
}

/// A row of the source's partition at this offset.
fn row(partition: i32, offset: i64) -> Vec<u8> {
    format!("{partition}/{offset}").into_bytes()
}

fn send<L: Logs>(logs: &L, to: &mut Transactions, partition: i32, offsets: std::ops::Range<i64>) -> Result<()> {
    for offset in offsets {
        to.send(&topic(logs, OUT), None, &row(partition, offset), &[])?.unwrap();
    }
    Ok(())
}

/// The source's partition goes from where it stands to `to`.
fn advance(partition: i32, from: Option<i64>, to: i64) -> BTreeMap<i32, Advance> {
    BTreeMap::from([(partition, Advance { from, to, metadata: format!("at {to}") })])
}

/// As a session of the engine: fences, reads the position, brings the rows that are missing up to `end`.
fn bring<L: Logs>(logs: &L, partition: i32, end: i64, member: &Membership) {
    let mut transactions = open(logs, partition).unwrap();
    let stands = logs.committed(partition).offset;
    send(logs, &mut transactions, partition, stands.unwrap_or(0)..end).unwrap();
    transactions.commit(&advance(partition, stands, end), member).unwrap();
}

/// The partition's rows up to what is committed, in order, and no other.
fn assert_committed<L: Logs>(logs: &L, partition: i32, end: i64) {
    let committed = logs.committed(partition);
    assert_eq!(committed.offset.unwrap_or(0), end, "of partition {partition}");
    let prefix = format!("{partition}/").into_bytes();
    let rows: Vec<_> = logs.read(&topic(logs, OUT)).into_iter().map(|(_, value)| value).collect();
    let rows: Vec<_> = rows.into_iter().filter(|value| value.starts_with(&prefix)).collect();
    let all: Vec<_> = (0..end).map(|offset| row(partition, offset)).collect();
    assert!(rows == all, "{:?}", rows.iter().map(|row| String::from_utf8_lossy(row)).collect::<Vec<_>>());
}

fn must_be_retry(error: &Error) {
    assert_eq!(error.kind, Kind::Retry, "{error}");
}

on_each_log!({
    cases::offsets_alone_are_a_transaction
    cases::rows_and_offsets_are_seen_at_once
    cases::many_rows_keep_their_order
    cases::a_large_record
    cases::a_record_that_is_refused_leaves_the_others
    cases::what_was_not_committed_never_was
    cases::whatever_became_of_the_last_one_the_next_goes_on
    cases::a_topic_that_is_not_there
    cases::a_service_that_is_gone_is_named
    zombies::whatever_the_order_each_row_is_there_once
    zombies::who_lost_its_partitions_commits_nothing
});
