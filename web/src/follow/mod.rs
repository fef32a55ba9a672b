//! Reads the three topics, and tells [`Answers`] what they say of each flight.
//!
//! One reader a topic, however many browsers there are. A reader begins a bounded way back in each partition, so what
//! came while nobody listened, or before a restart, is found again; it then stays at the end.

mod embedded;
mod kafka;

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use tokio::sync::watch;

use crate::answers::{Answers, Outcome, Verdict};
use crate::error::Result;
use crate::message;
use crate::settings::Settings;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Requests,
    Responses,
    Rejects,
}

/// How far a topic is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reading {
    /// The brokers have not been reached.
    Unreached,
    /// There is no such topic yet, so there is nothing in it.
    Absent,
    /// What was there at the start is being read.
    Behind,
    /// What was there at the start is known.
    Current,
}

impl Reading {
    pub fn is_known(self) -> bool {
        matches!(self, Reading::Absent | Reading::Current)
    }
}

pub enum Follower {
    Kafka(kafka::Follower),
    Embedded(embedded::Follower),
}

impl Follower {
    /// Connects to nothing yet.
    pub fn new(role: Role, settings: &Settings, topic: &str, answers: Arc<Answers>) -> Result<Follower> {
        let look_back = settings.look_back_messages_max.get();
        Ok(match &settings.embedded {
            None => Follower::Kafka(kafka::Follower::new(role, &settings.brokers()?, topic, look_back, answers)?),
            Some(folder) => Follower::Embedded(embedded::Follower::new(role, folder, topic, look_back, answers)?),
        })
    }

    pub fn topic(&self) -> &str {
        match self {
            Follower::Kafka(follower) => follower.topic(),
            Follower::Embedded(follower) => follower.topic(),
        }
    }

    pub fn reading(&self) -> watch::Receiver<Reading> {
        match self {
            Follower::Kafka(follower) => follower.reading(),
            Follower::Embedded(follower) => follower.reading(),
        }
    }

    /// Until the other end of `stopped` is dropped.
    pub fn run(self, stopped: &Receiver<()>) {
        match self {
            Follower::Kafka(follower) => follower.run(stopped),
            Follower::Embedded(follower) => follower.run(stopped),
        }
    }
}

/// Where a message is.
#[derive(Clone, Copy)]
struct Place<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
}

fn take(role: Role, answers: &Answers, place: Place<'_>, value: &[u8]) {
    let event_id = || format!("{}-{}-{}", place.topic, place.partition, place.offset);
    match role {
        Role::Requests => message::id(value).iter().for_each(|id| answers.expect(id)),
        Role::Responses => {
            if let Some((id, text)) = message::id(value).zip(std::str::from_utf8(value).ok()) {
                answers.settle(&id, Outcome { event_id: event_id(), verdict: Verdict::Answered(text.into()) });
            }
        }
        Role::Rejects => {
            if let Some((id, rejection)) = message::rejection(value) {
                answers.settle(&id, Outcome { event_id: event_id(), verdict: Verdict::Rejected(rejection) });
            }
        }
    }
}
