//! The suite of sources: what [`Source`] promises of a replayable log.
//!
//! A log gets all of it by one line of `on_each_log!`.

mod cases;
mod members;

use std::time::{Duration, Instant};

use super::PATIENCE;
use super::logs::Message;
use crate::json::decode::Message as _;
use crate::source::Source;

/// One look at a log. Not a wait: whoever looks looks again.
const LOOK: Duration = Duration::from_millis(20);
/// A header that messages may have.
const TRACE: &str = "trace";

/// What came out of a source. Of the headers, the last [`TRACE`].
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    partition: i32,
    offset: i64,
    timestamp_ms: Option<i64>,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    trace: Option<Vec<u8>>,
}

fn poll(source: &Source) -> Option<Seen> {
    let record = source.poll(LOOK).unwrap()?;
    Some(Seen {
        partition: record.partition(),
        offset: record.offset(),
        timestamp_ms: record.timestamp_ms(),
        key: record.key().map(<[u8]>::to_vec),
        value: record.value().map(<[u8]>::to_vec),
        trace: record.header(TRACE).map(<[u8]>::to_vec),
    })
}

fn next(source: &Source) -> Seen {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match poll(source) {
            Some(seen) => return seen,
            None => assert!(Instant::now() < deadline, "no message came"),
        }
    }
}

/// What a message looks like when it comes out as it went in.
fn seen(partition: i32, offset: i64, message: &Message) -> Seen {
    let trace = message.headers.iter().rfind(|(name, _)| *name == TRACE);
    Seen {
        partition,
        offset,
        timestamp_ms: Some(message.timestamp_ms),
        key: message.key.clone(),
        value: message.value.clone(),
        trace: trace.map(|(_, value)| value.clone()),
    }
}

on_each_log!({
    cases::an_empty_topic
    cases::messages_come_as_they_went_in
    cases::large_messages
    cases::many_messages_in_order
    cases::reading_begins_where_it_is_told
    cases::reading_begins_at_the_end
    cases::committed_offsets_come_with_their_metadata
    cases::rows_that_were_dropped
    cases::a_topic_that_is_not_there
    cases::a_topic_made_again_is_another
    cases::a_service_that_is_gone_is_named
    members::two_members_share_the_partitions
    members::a_partition_that_was_added_is_read
});
