//! A topic of Kafka.
//!
//! Invariant: nothing is committed, and only committed messages are read. A topic or a broker that is not there is
//! waited for.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use millrace_brokers::{Brokers, Kept};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::watch;

use super::{Message, Reading, Told};
use crate::error::{Error, Result};
use crate::kafka::Quiet;

/// The bound on how late the end is seen.
const POLL: Duration = Duration::from_millis(100);
const ASK_TIMEOUT: Duration = Duration::from_secs(5);
/// How often new partitions are looked for, and a topic that is not there.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
const ABSENT_LOOK_AGAIN: Duration = Duration::from_millis(500);

pub struct Follower {
    told: Told,
    topic: String,
    look_back: i64,
    consumer: Kept<BaseConsumer<Quiet>>,
    reading: watch::Sender<Reading>,
    assigned: BTreeSet<i32>,
    /// Of these, the ones whose end has not been seen.
    behind: BTreeSet<i32>,
    /// That the brokers cannot be reached was said already.
    complained: bool,
}

impl Follower {
    /// Connects to nothing yet.
    pub fn new(told: Told, brokers: &Brokers, topic: &str, look_back: i64) -> Result<Follower> {
        let mut config = brokers.client_config("millrace-web");
        config
            // the client wants a name; nothing joins a group, nothing is committed
            .set("group.id", "millrace-web")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", "read_committed")
            .set("fetch.queue.backoff.ms", "5")
            .set("queued.max.messages.kbytes", "16384");
        let consumer = config
            .create_with_context(Quiet)
            .map_err(|cause| Error::new("the consumer's settings").caused_by(cause))?;
        Ok(Follower {
            told,
            topic: topic.into(),
            look_back,
            consumer,
            reading: watch::Sender::new(Reading::Unreached),
            assigned: BTreeSet::new(),
            behind: BTreeSet::new(),
            complained: false,
        })
    }

    pub fn topic(&self) -> &str {
        &self.topic
    }

    pub fn reading(&self) -> watch::Receiver<Reading> {
        self.reading.subscribe()
    }

    /// Until the other end of `stopped` is dropped.
    pub fn run(mut self, stopped: &Receiver<()>) {
        loop {
            let pause = match self.look() {
                Ok(true) => {
                    self.read_until(Instant::now() + LOOK_AGAIN, stopped);
                    Duration::ZERO
                }
                Ok(false) => ABSENT_LOOK_AGAIN,
                Err(cause) => {
                    self.unreached(&cause);
                    ABSENT_LOOK_AGAIN
                }
            };
            if stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }

    /// Takes up partitions that are new. False: the topic is not there.
    fn look(&mut self) -> std::result::Result<bool, KafkaError> {
        let there = self.partitions()?;
        if there.is_empty() {
            self.absent();
            return Ok(false);
        }
        let mut fresh = TopicPartitionList::new();
        for &partition in there.difference(&self.assigned) {
            let (first, end) = self.consumer.fetch_watermarks(&self.topic, partition, ASK_TIMEOUT)?;
            let from = first.max(end.saturating_sub(self.look_back));
            fresh.add_partition_offset(&self.topic, partition, Offset::Offset(from))?;
        }
        if fresh.count() > 0 {
            self.consumer.incremental_assign(&fresh)?;
            self.behind.extend(there.difference(&self.assigned));
            self.assigned = there;
        }
        self.found();
        Ok(true)
    }

    fn partitions(&self) -> std::result::Result<BTreeSet<i32>, KafkaError> {
        let metadata = self.consumer.fetch_metadata(Some(&self.topic), ASK_TIMEOUT)?;
        let topic = metadata.topics().iter().find(|topic| topic.name() == self.topic);
        Ok(topic.map(|topic| topic.partitions().iter().map(|partition| partition.id()).collect()).unwrap_or_default())
    }

    fn read_until(&mut self, deadline: Instant, stopped: &Receiver<()>) {
        while Instant::now() < deadline && stopped.try_recv() == Err(TryRecvError::Empty) {
            match self.consumer.poll(POLL) {
                None => {}
                Some(Ok(message)) => self.told.take(&Message {
                    topic: &self.topic,
                    partition: message.partition(),
                    offset: message.offset(),
                    timestamp_ms: message.timestamp().to_millis(),
                    key: message.key().unwrap_or_default(),
                    value: message.payload(),
                    is_news: *self.reading.borrow() == Reading::Current,
                }),
                Some(Err(KafkaError::PartitionEOF(partition))) => self.caught_up(partition),
                // the client goes on by itself
                Some(Err(cause)) => tracing::debug!(topic = self.topic, %cause, "reading"),
            }
        }
    }

    fn caught_up(&mut self, partition: i32) {
        if self.behind.remove(&partition) && self.behind.is_empty() && self.becomes(Reading::Current) {
            tracing::info!(topic = self.topic, partitions = self.assigned.len(), "topic read, following it");
        }
    }

    fn found(&mut self) {
        if std::mem::take(&mut self.complained) {
            tracing::info!(topic = self.topic, "Kafka is there");
        }
        if !self.behind.is_empty() && *self.reading.borrow() != Reading::Current {
            self.becomes(Reading::Behind);
        }
    }

    fn absent(&self) {
        if self.becomes(Reading::Absent) {
            tracing::warn!(topic = self.topic, "there is no such topic yet; looking for it again and again");
        }
    }

    /// A topic that was read stays known: the client reconnects by itself.
    fn unreached(&mut self, cause: &KafkaError) {
        if cause.rdkafka_error_code() == Some(RDKafkaErrorCode::UnknownTopicOrPartition) {
            return self.absent();
        }
        if !std::mem::replace(&mut self.complained, true) {
            tracing::warn!(topic = self.topic, %cause, "Kafka is not there; trying again and again");
        }
    }

    fn becomes(&self, reading: Reading) -> bool {
        self.reading.send_if_modified(|now| std::mem::replace(now, reading) != reading)
    }
}
