//! The suite of messages sent again: each once, with its mark, whatever ends the sender and whoever sends beside.
//!
//! A log gets all of it by one line of `on_each_topic!`.

mod cases;
mod zombies;

use super::logs::{ALL, Keyed, Logs};
use crate::error::Result;
use crate::resend::marks::Marks;
use crate::resend::sender::{Message, Resent, Sender};
use crate::resend::{Filter, Identity, Position};

/// A log whose source has one partition and holds nothing.
fn logs<L: Logs>() -> L {
    let logs = L::fresh();
    logs.make_topic(&logs.plan().topic, 1, ALL);
    logs
}

fn identity(offset: i64) -> Identity {
    Identity { position: Position { partition: 0, offset }, timestamp_us: Some(1_000 * offset) }
}

fn message(offset: i64) -> Message {
    let value = offset.to_string().into_bytes();
    Message { of: identity(offset), key: None, value, headers: Vec::new() }
}

/// Fences whoever sends to this log's source.
fn open<L: Logs>(logs: &L) -> Result<(Sender, Marks)> {
    Sender::open(&logs.ground(), logs.plan(), &Filter::default())
}

/// Of the first `count` messages, those without a mark.
fn due(marks: &Marks, count: i64) -> Vec<Message> {
    (0..count).filter(|offset| marks.to(&identity(*offset)).is_none()).map(message).collect()
}

/// As the command: fences, reads marks, sends what is due.
fn bring<L: Logs>(logs: &L, count: i64) -> Vec<Resent> {
    let (mut sender, marks) = open(logs).unwrap();
    let due = due(&marks, count);
    if due.is_empty() {
        return Vec::new();
    }
    sender.put(due).unwrap();
    sender.commit().unwrap()
}

/// The first `count` messages are in the topic, once each, and nothing else.
fn assert_once<L: Logs>(logs: &L, count: i64) {
    let read: Vec<Keyed> = logs.read_what_came(&logs.plan().topic, count as usize);
    let mut offsets: Vec<i64> =
        read.iter().map(|(_, value)| std::str::from_utf8(value).unwrap().parse().unwrap()).collect();
    offsets.sort_unstable();
    assert_eq!(offsets, (0..count).collect::<Vec<_>>());
}

on_each_topic!({
    cases::a_message_comes_back_as_it_was_and_its_mark_says_where
    cases::several_transactions_of_one_sender
    cases::what_was_not_committed_never_was
    cases::a_topic_that_was_made_again_has_other_messages
    cases::marks_that_nobody_asked_for_are_passed_over
    cases::a_service_that_is_gone_is_named
    zombies::whatever_the_order_each_message_is_sent_once
});
