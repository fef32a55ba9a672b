//! A Kafka topic, assigned and never subscribed to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::{Dropped, Event, Manner};
use crate::error::Result;
use crate::kafka::{self, Brokers, Kept, Quiet};
use crate::sink::Log;
use crate::source::{Committed, Extent, Record, broker, kafka as source};

/// Less than the source's: there may be a reader for each sink.
const QUEUED_BYTES_MAX: usize = 8 << 20;

pub struct Reader {
    consumer: Kept<BaseConsumer<Quiet>>,
    brokers: Brokers,
    topic: String,
    partitions: i32,
    timeout: Duration,
}

/// A consumer that joins no group: `group` is only asked about.
fn consumer(brokers: &Brokers, group: &str, dropped: Dropped) -> Result<Kept<BaseConsumer<Quiet>>> {
    let reset = match dropped {
        Dropped::PassedOver => "earliest",
        Dropped::AnError => "error",
    };
    let mut config = brokers.client_config(group);
    config
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        // with the default of 1 s a full queue stalls the fetcher
        .set("fetch.queue.backoff.ms", "5")
        // a new start waits for the fetch that is under way at the log's end
        .set("fetch.wait.max.ms", "100")
        .set("auto.offset.reset", reset);
    kafka::bound_reading_ahead(&mut config, QUEUED_BYTES_MAX);
    config.create_with_context(Quiet::default()).map_err(|cause| kafka::error("the consumer's settings", cause))
}

impl Reader {
    pub fn find(brokers: &Brokers, topic: &str, manner: Manner<'_>) -> Result<Option<Reader>> {
        let (consumer, timeout) = (consumer(brokers, manner.who, manner.dropped)?, manner.timeout);
        let ask = |timeout| consumer.fetch_metadata(Some(topic), timeout);
        let metadata = match manner.is_awaited {
            true => kafka::ask(brokers, timeout, ask, || kafka::heard(&consumer)),
            false => ask(timeout).map_err(|cause| {
                kafka::unanswered(brokers, &consumer, format!("the brokers at {brokers} did not answer"), cause)
            }),
        }?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        match found.and_then(|found| found.error()).map(RDKafkaErrorCode::from) {
            None | Some(RDKafkaErrorCode::UnknownTopicOrPartition) => {}
            Some(code) => return Err(kafka::error("it cannot be read", KafkaError::MetadataFetch(code))),
        }
        let partitions = found.map_or(0, |found| found.partitions().len()) as i32;
        let (brokers, topic) = (brokers.clone(), topic.to_owned());
        Ok((partitions > 0).then_some(Reader { consumer, brokers, topic, partitions, timeout }))
    }

    pub fn partitions(&self) -> i32 {
        self.partitions
    }

    pub fn identify(&self) -> Result<Log> {
        broker::log(&self.consumer, &self.brokers, &self.topic, self.timeout)
    }

    pub fn extent(&self, partition: i32) -> Result<Extent> {
        broker::extent(&self.consumer, &self.topic, partition, self.timeout)
    }

    pub fn committed(&self, group: &str, partition: i32) -> Result<Committed> {
        let consumer = consumer(&self.brokers, group, Dropped::PassedOver)?;
        let mut found = broker::committed(&consumer, &self.topic, &BTreeSet::from([partition]), self.timeout)?;
        Ok(found.remove(&partition).unwrap_or_else(|| Committed { offset: None, metadata: String::new() }))
    }

    pub fn start(&mut self, starts: &BTreeMap<i32, i64>) -> Result<()> {
        let list = kafka::offsets(&self.topic, starts)?;
        let assigned = self.consumer.assign(&list);
        assigned.map_err(|cause| kafka::error(format!("reading from {starts:?}"), cause))
    }

    pub fn leave(&mut self, partition: i32) -> Result<()> {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topic, partition);
        let left = self.consumer.incremental_unassign(&list);
        left.map_err(|cause| kafka::error(format!("leaving partition {partition}"), cause))
    }

    pub fn poll(&mut self, timeout: Duration) -> Result<Event<'_>> {
        match self.consumer.poll(timeout) {
            None => Ok(Event::Nothing),
            Some(Ok(message)) => Ok(Event::Message(Record::Kafka(source::Record::new(message)))),
            Some(Err(KafkaError::PartitionEOF(partition))) => Ok(Event::End(partition)),
            Some(Err(error)) if kafka::is_away(&error) => Ok(Event::Nothing),
            Some(Err(error)) => Err(kafka::unread(&self.topic, error)),
        }
    }
}
