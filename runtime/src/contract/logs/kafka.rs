//! Topics of a Kafka cluster, for either protocol of a consumer group.

use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};
use tokio::runtime::Runtime;

use super::super::{Nobody, PATIENCE, SHORT, fresh_name, setting};
use super::{Keyed, Logs, Message, Unreachable, plan};
use crate::ground::Ground;
use crate::kafka::{self, Kept};
use crate::plan::{GroupProtocol, SourcePlan};
use crate::source::Committed;

pub struct Cluster<const IS_CLASSIC: bool> {
    plan: SourcePlan,
    runtime: Runtime,
    admin: AdminClient<DefaultClientContext>,
    /// Joins no group.
    eyes: BaseConsumer,
}

/// KIP-848: the broker shares the partitions out.
pub type Kafka = Cluster<false>;
pub type KafkaClassic = Cluster<true>;

fn protocol(is_classic: bool) -> GroupProtocol {
    if is_classic { GroupProtocol::Classic } else { GroupProtocol::Consumer }
}

fn config() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", setting("KAFKA_BROKERS"));
    config
}

fn eyes(group: &str) -> BaseConsumer {
    config()
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        // how long the end of a partition is not told
        .set("fetch.wait.max.ms", "5")
        .create()
        .unwrap()
}

impl<const IS_CLASSIC: bool> Cluster<IS_CLASSIC> {
    /// One that takes records of so many bytes, with what surrounds them.
    pub fn make_topic_of(&self, topic: &str, partitions: i32, record_bytes_max: usize) {
        let limit = record_bytes_max.to_string();
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1))
            .set("max.message.bytes", &limit)
            // the messages' timestamps are years old: the broker's retention would drop them while they are read
            .set("retention.ms", "-1");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let made = self.runtime.block_on(self.admin.create_topics([&new], &AdminOptions::new())).unwrap();
            match made.into_iter().next().unwrap() {
                Ok(_) => return self.await_partitions(topic, partitions as usize),
                // the one that was deleted just now
                Err((_, Code::TopicAlreadyExists)) if Instant::now() < deadline => {}
                Err((_, code)) => panic!("making `{topic}`: {code}"),
            }
        }
    }

    /// The controller answers before the broker knows: until then a client may be told what was before.
    fn await_partitions(&self, topic: &str, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let metadata = self.eyes.fetch_metadata(Some(topic), PATIENCE).unwrap();
            let found = metadata.topics()[0].partitions();
            if found.len() == count && found.iter().all(|partition| partition.leader() >= 0) {
                return;
            }
            assert!(Instant::now() < deadline, "{topic}: {} partitions, not {count}", found.len());
        }
    }
}

impl<const IS_CLASSIC: bool> Logs for Cluster<IS_CLASSIC> {
    const MAKES_TOPICS: bool = false;
    const GROWS: bool = true;
    const RECORD_BYTES_MAX: usize = 10_000_000;

    fn fresh() -> Self {
        let plan = plan(setting("KAFKA_BROKERS"), &fresh_name(), protocol(IS_CLASSIC));
        let (admin, eyes) = (config().create().unwrap(), eyes(&plan.group));
        Cluster { plan, runtime: Runtime::new().unwrap(), admin, eyes }
    }

    fn ground(&self) -> Ground {
        Ground::Services
    }

    fn plan(&self) -> &SourcePlan {
        &self.plan
    }

    /// Retention by rows is not Kafka's.
    fn make_topic(&self, topic: &str, partitions: i32, _rows_max: u64) {
        self.make_topic_of(topic, partitions, Self::RECORD_BYTES_MAX);
    }

    fn delete_topic(&self, topic: &str) {
        let gone = self.runtime.block_on(self.admin.delete_topics(&[topic], &AdminOptions::new())).unwrap();
        gone.into_iter().for_each(|topic| drop(topic.unwrap()));
        self.await_partitions(topic, 0);
    }

    fn grow_topic(&self, topic: &str, partitions: i32) {
        let more = NewPartitions::new(topic, partitions as usize);
        let made = self.runtime.block_on(self.admin.create_partitions([&more], &AdminOptions::new())).unwrap();
        made.into_iter().for_each(|topic| drop(topic.unwrap()));
        self.await_partitions(topic, partitions as usize);
    }

    fn drop_below(&self, topic: &str, partition: i32, first: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(first)).unwrap();
        let dropped = self.runtime.block_on(self.admin.delete_records(&list, &AdminOptions::new())).unwrap();
        assert_eq!(dropped.elements()[0].offset(), Offset::Offset(first));
    }

    fn produce(&self, topic: &str, partition: i32, messages: &[Message]) {
        let mut config = kafka::producer_config(&self.plan.brokers, "contract");
        let producer: Kept<BaseProducer> = config.set("message.max.bytes", "10000000").create().unwrap();
        for message in messages {
            let mut record = BaseRecord::<[u8], [u8]>::to(topic).partition(partition).timestamp(message.timestamp_ms);
            record.key = message.key.as_deref();
            record.payload = message.value.as_deref();
            let headers = OwnedHeaders::new_with_capacity(message.headers.len());
            let with = |headers: OwnedHeaders, (key, value): &(&'static str, Vec<u8>)| {
                headers.insert(Header { key, value: Some(value) })
            };
            record = record.headers(message.headers.iter().fold(headers, with));
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
        assert_eq!(producer.in_flight_count(), 0);
    }

    fn read(&self, topic: &str) -> Vec<Keyed> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
        self.eyes.assign(&list).unwrap();
        let (mut read, deadline) = (Vec::new(), Instant::now() + PATIENCE);
        loop {
            match self.eyes.poll(Duration::from_secs(1)) {
                Some(Ok(message)) => {
                    read.push((message.key().map(<[u8]>::to_vec), message.payload().unwrap_or_default().to_vec()))
                }
                Some(Err(KafkaError::PartitionEOF(_))) => return read,
                Some(Err(error)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnknownTopicOrPartition) => {
                    return read;
                }
                Some(Err(error)) => panic!("reading {topic}: {error}"),
                None => assert!(Instant::now() < deadline, "{topic} could not be read to its end"),
            }
        }
    }

    fn commit(&self, partition: i32, offset: i64, metadata: &str) {
        let mut list = TopicPartitionList::new();
        let mut element = list.add_partition(&self.plan.topic, partition);
        element.set_offset(Offset::Offset(offset)).unwrap();
        element.set_metadata(metadata);
        self.eyes.commit(&list, CommitMode::Sync).unwrap();
    }

    fn committed(&self, partition: i32) -> Committed {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.plan.topic, partition);
        let list = self.eyes.committed_offsets(list, PATIENCE).unwrap();
        let element = &list.elements()[0];
        let offset = match element.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        };
        Committed { offset, metadata: element.metadata().to_owned() }
    }

    fn unreachable() -> Vec<Unreachable> {
        let gone = |by: Nobody| {
            let mut plan = plan(by.address.clone(), &fresh_name(), protocol(IS_CLASSIC));
            plan.timeout = SHORT;
            Unreachable { ground: Ground::Services, plan, address: by.address.clone(), by: Box::new(by) }
        };
        Nobody::each().into_iter().map(gone).collect()
    }
}
