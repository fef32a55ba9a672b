//! A topic of an embedded folder.
//!
//! Invariant: a commit of whichever process wakes the reader; nothing is held open between two looks.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

use millrace_embedded::{Folder, Topic, Wake};
use tokio::sync::watch;

use super::{Message, Reading, Told};
use crate::error::{Error, Result};

/// The bound on how late the end is seen.
const WAIT: Duration = Duration::from_millis(100);
const READ_ROWS_MAX: usize = 1_000;
const READ_BYTES_MAX: usize = 4 << 20;

pub struct Follower {
    told: Told,
    topic: String,
    look_back: i64,
    folder: Folder,
    wake: Wake,
    reading: watch::Sender<Reading>,
    /// Of the topic with this id, the next offset of each partition.
    at: Option<(String, BTreeMap<i32, i64>)>,
}

impl Follower {
    pub fn new(told: Told, folder: &Path, topic: &str, look_back: i64) -> Result<Follower> {
        let failed = |cause| Error::new(format!("topic `{topic}`")).caused_by(cause);
        let folder = Folder::open(folder).map_err(failed)?;
        Ok(Follower {
            told,
            topic: topic.into(),
            look_back,
            wake: folder.wake().map_err(failed)?,
            folder,
            reading: watch::Sender::new(Reading::Unreached),
            at: None,
        })
    }

    pub fn topic(&self) -> &str {
        &self.topic
    }

    pub fn reading(&self) -> watch::Receiver<Reading> {
        self.reading.subscribe()
    }

    pub fn run(mut self, stopped: &Receiver<()>) {
        while stopped.try_recv() == Err(TryRecvError::Empty) {
            if let Err(cause) = self.look() {
                tracing::warn!(topic = self.topic, %cause, "the folder cannot be read; trying again");
            }
            self.wake.wait(WAIT);
        }
    }

    fn look(&mut self) -> millrace_embedded::Result<()> {
        let Some(topic) = self.folder.topic(&self.topic)? else {
            self.reading.send_if_modified(|now| std::mem::replace(now, Reading::Absent) != Reading::Absent);
            return Ok(());
        };
        let mut next = self.starts(&topic)?;
        for (&partition, next) in &mut next {
            while self.read(&topic, partition, next)? {}
        }
        self.at = Some((topic.uuid, next));
        if self.reading.send_if_modified(|now| std::mem::replace(now, Reading::Current) != Reading::Current) {
            tracing::info!(topic = self.topic, "topic read, following it");
        }
        Ok(())
    }

    /// Where it goes on; a topic that was made again begins anew.
    fn starts(&self, topic: &Topic) -> millrace_embedded::Result<BTreeMap<i32, i64>> {
        if let Some((_, next)) = self.at.as_ref().filter(|(uuid, _)| *uuid == topic.uuid) {
            return Ok(next.clone());
        }
        let start = |partition| {
            let extent = self.folder.extent(topic, partition)?;
            Ok((partition, extent.first.max(extent.end.saturating_sub(self.look_back))))
        };
        (0..topic.partitions).map(start).collect()
    }

    /// False: there is nothing more.
    fn read(&self, topic: &Topic, partition: i32, next: &mut i64) -> millrace_embedded::Result<bool> {
        let messages = self.folder.read(topic, partition, *next, READ_ROWS_MAX, READ_BYTES_MAX)?;
        for message in &messages {
            self.told.take(&Message {
                topic: &self.topic,
                partition,
                offset: message.offset,
                timestamp_ms: Some(message.timestamp_ms),
                key: message.key.as_deref().unwrap_or_default(),
                value: message.value.as_deref(),
                is_news: *self.reading.borrow() == Reading::Current,
            });
            *next = message.offset + 1;
        }
        Ok(!messages.is_empty())
    }
}
