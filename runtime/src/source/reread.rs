//! A stretch of the log read again, by nobody's member: for a sink that is behind, and for people who look.
//!
//! Invariant: offsets come in order within each partition, committed messages only. Nothing is ever committed from
//! here, and no group is joined, so that it disturbs nobody.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::time::Duration;

use millrace_embedded as log;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::{Extent, Record, embedded, kafka};
use crate::embedded::error;
use crate::error::{Error, Result};
use crate::plan::SourcePlan;
use crate::sink::Log;

/// Read ahead of a partition at once, on the embedded ground.
const AHEAD_ROWS_MAX: usize = 500;
const AHEAD_BYTES_MAX: usize = 2 << 20;

/// What a look at the log finds.
pub enum Found<'a> {
    Message(Record<'a>),
    /// Nothing more in this partition now.
    End(i32),
}

pub enum Reread {
    Brokers(Brokers),
    Folder(Box<Folder>),
}

pub struct Brokers {
    consumer: BaseConsumer<crate::kafka::Quiet>,
    topic: String,
    timeout: Duration,
}

pub struct Folder {
    folder: log::Folder,
    topic: log::Topic,
    /// Where each partition that is still read goes on.
    next: BTreeMap<i32, i64>,
    ahead: VecDeque<log::Message>,
    ended: BTreeSet<i32>,
}

impl Reread {
    pub fn of_brokers(plan: &SourcePlan, client_id: &str) -> Result<Reread> {
        let mut config = crate::kafka::client_config(&plan.brokers, client_id);
        config
            // never joined
            .set("group.id", client_id)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "true")
            .set("fetch.queue.backoff.ms", "5")
            .set("queued.max.messages.kbytes", "8192");
        let consumer = config.create_with_context(crate::kafka::Quiet);
        let consumer = consumer.map_err(|cause| crate::kafka::error("the settings of a consumer", cause))?;
        Ok(Reread::Brokers(Brokers { consumer, topic: plan.topic.clone(), timeout: plan.timeout }))
    }

    pub fn of_folder(path: &Path, log: &Log) -> Result<Reread> {
        let folder = log::Folder::open(path).map_err(error)?;
        let topic = folder.topic(&log.topic).map_err(error)?.filter(|topic| topic.uuid == log.topic_id);
        let gone = || Error::stop(format!("topic `{}` was deleted, or made again, while it was read", log.topic));
        Ok(Reread::Folder(Box::new(Folder {
            topic: topic.ok_or_else(gone)?,
            folder,
            next: BTreeMap::new(),
            ahead: VecDeque::new(),
            ended: BTreeSet::new(),
        })))
    }

    pub fn extent(&self, partition: i32) -> Result<Extent> {
        match self {
            Reread::Brokers(brokers) => {
                let marks = brokers.consumer.fetch_watermarks(&brokers.topic, partition, brokers.timeout);
                let what = || format!("the first and last offset of partition {partition}");
                let (first, end) = marks.map_err(|cause| crate::kafka::error(what(), cause))?;
                Ok(Extent { first, end })
            }
            Reread::Folder(folder) => {
                let extent = folder.folder.extent(&folder.topic, partition).map_err(error)?;
                Ok(Extent { first: extent.first, end: extent.end })
            }
        }
    }

    /// From these offsets on, and nothing else.
    pub fn start(&mut self, from: &BTreeMap<i32, i64>) -> Result<()> {
        match self {
            Reread::Brokers(brokers) => {
                let list = crate::kafka::offsets(&brokers.topic, from)?;
                let assigned = brokers.consumer.assign(&list);
                assigned.map_err(|cause| crate::kafka::error(format!("reading from {from:?}"), cause))
            }
            Reread::Folder(folder) => {
                folder.next.clone_from(from);
                folder.ahead.clear();
                folder.ended.clear();
                Ok(())
            }
        }
    }

    /// No more of this partition.
    pub fn leave(&mut self, partition: i32) -> Result<()> {
        match self {
            Reread::Brokers(brokers) => {
                let mut list = TopicPartitionList::new();
                list.add_partition(&brokers.topic, partition);
                let left = brokers.consumer.incremental_unassign(&list);
                left.map_err(|cause| crate::kafka::error(format!("leaving partition {partition}"), cause))
            }
            Reread::Folder(folder) => {
                folder.next.remove(&partition);
                folder.ahead.retain(|message| message.partition != partition);
                Ok(())
            }
        }
    }

    /// None: nothing came in time, and brokers may be away.
    pub fn poll(&mut self, timeout: Duration) -> Result<Option<Found<'_>>> {
        match self {
            Reread::Brokers(brokers) => brokers.poll(timeout),
            Reread::Folder(folder) => folder.poll(),
        }
    }
}

impl Brokers {
    fn poll(&self, timeout: Duration) -> Result<Option<Found<'_>>> {
        match self.consumer.poll(timeout) {
            None => Ok(None),
            Some(Ok(message)) => Ok(Some(Found::Message(Record::Kafka(kafka::Record(message))))),
            Some(Err(KafkaError::PartitionEOF(partition))) => Ok(Some(Found::End(partition))),
            Some(Err(error)) => match error.rdkafka_error_code() {
                Some(
                    RDKafkaErrorCode::AllBrokersDown
                    | RDKafkaErrorCode::BrokerTransportFailure
                    | RDKafkaErrorCode::Resolve
                    | RDKafkaErrorCode::OperationTimedOut,
                ) => Ok(None),
                _ => Err(crate::kafka::error(format!("reading `{}` again", self.topic), error)),
            },
        }
    }
}

impl Folder {
    fn poll(&mut self) -> Result<Option<Found<'static>>> {
        if self.ahead.is_empty() {
            self.fetch()?;
        }
        if let Some(message) = self.ahead.pop_front() {
            return Ok(Some(Found::Message(Record::Embedded(embedded::Record(message)))));
        }
        Ok(self.ended.pop_first().map(Found::End))
    }

    fn fetch(&mut self) -> Result<()> {
        for (&partition, next) in &mut self.next {
            let read = self.folder.read(&self.topic, partition, *next, AHEAD_ROWS_MAX, AHEAD_BYTES_MAX);
            let read = read.map_err(error)?;
            if let Some(first) = read.first().filter(|first| first.offset != *next) {
                return Err(Error::retry(format!(
                    "partition {partition}: rows {next} to {} were dropped while they were read",
                    first.offset - 1
                )));
            }
            match read.last() {
                Some(last) => *next = last.offset + 1,
                None => drop(self.ended.insert(partition)),
            }
            self.ahead.extend(read);
        }
        Ok(())
    }
}
