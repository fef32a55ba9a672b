//! Reads topics: what three of them say of each flight is told to [`Answers`], what the status topic says of each process
//! to [`Cluster`].
//!
//! One reader a topic, however many browsers there are. A reader begins a bounded way back in each partition, so what
//! came while nobody listened, or before a restart, is found again; it then stays at the end.

mod embedded;
mod kafka;

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use crate::answers::{Answers, Outcome, Verdict};
use crate::cluster::Cluster;
use crate::error::Result;
use crate::message;
use crate::settings::Settings;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Requests,
    Responses,
    Rejects,
}

/// Who is told what a topic says.
pub enum Told {
    Flights(Role, Arc<Answers>),
    Workers(Arc<Cluster>),
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

/// More heartbeats than are of processes that may still live.
const HEARTBEATS_MAX: i64 = 10_000;

#[allow(clippy::large_enum_variant, reason = "a process has one")]
pub enum Follower {
    Kafka(kafka::Follower),
    Embedded(embedded::Follower),
}

impl Follower {
    /// Connects to nothing yet.
    pub fn new(told: Told, settings: &Settings, topic: &str) -> Result<Follower> {
        let look_back = match told {
            Told::Flights(..) => i64::try_from(settings.look_back_messages_max.get()).unwrap_or(i64::MAX),
            Told::Workers(_) => HEARTBEATS_MAX,
        };
        Ok(match &settings.embedded {
            None => Follower::Kafka(kafka::Follower::new(told, &settings.brokers()?, topic, look_back)?),
            Some(folder) => Follower::Embedded(embedded::Follower::new(told, folder, topic, look_back)?),
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

/// A message, and where it is.
struct Message<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    timestamp_ms: Option<i64>,
    key: &'a [u8],
    value: Option<&'a [u8]>,
    /// It came while the end of the topic was followed.
    is_news: bool,
}

impl Message<'_> {
    /// News is as old as it was heard, whatever the sender's clock says.
    fn age(&self) -> Duration {
        let sent_ms = self.timestamp_ms.filter(|_| !self.is_news).and_then(|ms| u64::try_from(ms).ok());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        sent_ms.map_or(Duration::ZERO, |ms| now.saturating_sub(Duration::from_millis(ms)))
    }
}

impl Told {
    fn take(&self, message: &Message<'_>) {
        match self {
            Told::Flights(role, answers) => tell(*role, answers, message),
            Told::Workers(cluster) => cluster.take(message.key, message.value, message.age()),
        }
    }
}

fn tell(role: Role, answers: &Answers, message: &Message<'_>) {
    let event_id = || format!("{}-{}-{}", message.topic, message.partition, message.offset);
    let value = message.value.unwrap_or_default();
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
