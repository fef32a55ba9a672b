//! What brokers know of a topic and of a group's offsets in it, whoever asks.
//!
//! Errors name the brokers' addresses where they are about the brokers.
//!
//! Invariant: asking joins nothing, creates nothing and moves nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::{Offset, TopicPartitionList};

use super::{Committed, Extent};
use crate::error::{Error, Result};
use crate::kafka::{self, Brokers, Hears};
use crate::sink::Log;

/// Before anything is subscribed to, or by who never does.
pub fn partitions<C: ConsumerContext + Hears>(
    consumer: &BaseConsumer<C>,
    brokers: &Brokers,
    topic: &str,
    timeout: Duration,
) -> Result<i32> {
    let metadata = consumer.fetch_metadata(Some(topic), timeout);
    let metadata = metadata.map_err(|cause| {
        kafka::unanswered(brokers, consumer, format!("asking {brokers} for topic `{topic}`"), cause)
    })?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    match found {
        Some(found) if found.error().is_none() && !found.partitions().is_empty() => Ok(found.partitions().len() as i32),
        _ => Err(Error::retry(format!(
            "topic `{topic}` is not there, at {brokers}: create it by `millrace topics create` with this pipeline's \
             file, or as you create topics; where the file says `create` of it, a start makes it"
        ))),
    }
}

/// Which log the topic is.
pub fn log<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    brokers: &Brokers,
    topic: &str,
    timeout: Duration,
) -> Result<Log> {
    let client = consumer.client();
    let cluster = client
        .fetch_cluster_id(timeout)
        .ok_or_else(|| Error::retry(format!("the brokers at {brokers} named no cluster id within {timeout:?}")))?;
    let topic_id = millrace_native::topic_id::topic_id(client, topic, timeout)
        .map_err(|cause| Error::retry(format!("the id of topic `{topic}` at {brokers}")).caused_by(cause))?;
    Ok(Log { cluster, topic: topic.to_owned(), topic_id })
}

/// The group's offsets, and what was written beside them. Waits for pending transactions where the consumer reads what
/// is committed only.
pub fn committed<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partitions: &BTreeSet<i32>,
    timeout: Duration,
) -> Result<BTreeMap<i32, Committed>> {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition(topic, *partition);
    }
    let what = || format!("the committed offsets of {partitions:?}");
    let list = consumer.committed_offsets(list, timeout).map_err(|cause| kafka::error(what(), cause))?;
    let mut committed = BTreeMap::new();
    for element in list.elements() {
        element.error().map_err(|cause| kafka::error(what(), cause))?;
        let offset = match element.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        };
        committed.insert(element.partition(), Committed { offset, metadata: element.metadata().to_owned() });
    }
    Ok(committed)
}

pub fn extent<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
    timeout: Duration,
) -> Result<Extent> {
    let (first, end) = consumer
        .fetch_watermarks(topic, partition, timeout)
        .map_err(|cause| kafka::error(format!("the first and last offset of partition {partition}"), cause))?;
    Ok(Extent { first, end })
}
