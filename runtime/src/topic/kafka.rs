//! A Kafka topic, assigned and never subscribed to.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::Event;
use crate::error::{Error, Result};
use crate::kafka::{self, Quiet};
use crate::sink::Log;
use crate::source::{Committed, Extent, Record, kafka as source};

const TIMEOUT: Duration = Duration::from_secs(10);

pub struct Reader {
    consumer: BaseConsumer<Quiet>,
    brokers: String,
    topic: String,
    partitions: i32,
}

/// A consumer that joins no group: `group` is only asked about.
fn consumer(brokers: &str, group: &str) -> Result<BaseConsumer<Quiet>> {
    let mut config = kafka::client_config(brokers, group);
    config
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        // with the default of 1 s a full queue stalls the fetcher
        .set("fetch.queue.backoff.ms", "5")
        // a new start waits for the fetch that is under way at the log's end
        .set("fetch.wait.max.ms", "100")
        // what retention drops before it was read is passed over
        .set("auto.offset.reset", "earliest");
    config.create_with_context(Quiet).map_err(|cause| kafka::error("the consumer's settings", cause))
}

impl Reader {
    pub fn open(brokers: &str, topic: &str, who: &str) -> Result<Reader> {
        let consumer = consumer(brokers, who)?;
        let metadata = consumer
            .fetch_metadata(Some(topic), TIMEOUT)
            .map_err(|cause| kafka::error("the brokers did not answer", cause))?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        let partitions = found.filter(|found| found.error().is_none()).map_or(0, |found| found.partitions().len());
        if partitions == 0 {
            return Err(Error::stop("it is not there: `millrace topics create` makes the topics of a pipeline's file"));
        }
        Ok(Reader { consumer, brokers: brokers.to_owned(), topic: topic.to_owned(), partitions: partitions as i32 })
    }

    pub fn partitions(&self) -> i32 {
        self.partitions
    }

    pub fn identify(&self) -> Result<Log> {
        let client = self.consumer.client();
        let cluster = client
            .fetch_cluster_id(TIMEOUT)
            .ok_or_else(|| Error::retry(format!("the brokers named no cluster id within {TIMEOUT:?}")))?;
        let topic_id = millrace_native::topic_id::topic_id(client, &self.topic, TIMEOUT)
            .map_err(|cause| Error::retry(format!("the id of topic `{}`", self.topic)).caused_by(cause))?;
        Ok(Log { cluster, topic: self.topic.clone(), topic_id })
    }

    pub fn extent(&self, partition: i32) -> Result<Extent> {
        let (first, end) = self
            .consumer
            .fetch_watermarks(&self.topic, partition, TIMEOUT)
            .map_err(|cause| kafka::error(format!("the first and last offset of partition {partition}"), cause))?;
        Ok(Extent { first, end })
    }

    pub fn committed(&self, group: &str, partition: i32) -> Result<Committed> {
        let what = || format!("what group `{group}` committed of partition {partition}");
        // a list that outlives its consumer hangs the drop
        let consumer = consumer(&self.brokers, group)?;
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topic, partition);
        let list = consumer.committed_offsets(list, TIMEOUT).map_err(|cause| kafka::error(what(), cause))?;
        let nothing = Committed { offset: None, metadata: String::new() };
        let Some(element) = list.elements().into_iter().next() else { return Ok(nothing) };
        element.error().map_err(|cause| kafka::error(what(), cause))?;
        match element.offset() {
            Offset::Offset(offset) => Ok(Committed { offset: Some(offset), metadata: element.metadata().to_owned() }),
            _ => Ok(nothing),
        }
    }

    pub fn start(&mut self, starts: &BTreeMap<i32, i64>) -> Result<()> {
        let list = kafka::offsets(&self.topic, starts)?;
        let assigned = self.consumer.assign(&list);
        assigned.map_err(|cause| kafka::error(format!("reading from {starts:?}"), cause))
    }

    pub fn poll(&mut self, timeout: Duration) -> Result<Event<'_>> {
        match self.consumer.poll(timeout) {
            None => Ok(Event::Nothing),
            Some(Ok(message)) => Ok(Event::Message(Record::Kafka(source::Record::new(message)))),
            Some(Err(KafkaError::PartitionEOF(partition))) => Ok(Event::End(partition)),
            Some(Err(error)) => match error.rdkafka_error_code() {
                Some(
                    RDKafkaErrorCode::AllBrokersDown
                    | RDKafkaErrorCode::BrokerTransportFailure
                    | RDKafkaErrorCode::Resolve
                    | RDKafkaErrorCode::OperationTimedOut,
                ) => Ok(Event::Nothing),
                _ => Err(kafka::error(format!("reading `{}`", self.topic), error)),
            },
        }
    }
}
