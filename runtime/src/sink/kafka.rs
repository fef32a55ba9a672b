//! The head's transaction: rows, rejects, source offsets and generations, all or nothing.
//!
//! Invariant: after any error the producer is gone for good; its successor takes the same transactional id, which
//! fences it and aborts what it left. "Abort and go on" would let a late message into the next transaction.
//! Knows nothing of batches.

mod limits;

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use crate::error::{Error, Result};
use crate::kafka::{self, Brokers, Deliveries, Kept};
use crate::plan::SourcePlan;
use crate::sink::transaction::{Advance, TooLarge};

/// A worker that was killed holds back read-committed readers, and its successor, for this long.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);
/// Of memory for records that are not acknowledged; a single one that is larger is taken all the same.
const QUEUE_KBYTES_MAX: usize = 32_768;
/// Between two looks at what is in flight.
const IN_FLIGHT_POLL: Duration = Duration::from_micros(100);

pub struct Transactions {
    /// Of each topic that is written.
    limits: BTreeMap<String, usize>,
    /// A record a batch, so that one which is refused is known.
    alone: bool,
    producer: Kept<BaseProducer<Deliveries>>,
    brokers: Brokers,
    /// The topic that the offsets are about.
    source: String,
    timeout: Duration,
    open: bool,
}

impl Transactions {
    /// Fences whoever had this id, and finishes what it left. `topics`: those that will be written.
    pub fn init(plan: &SourcePlan, transactional_id: &str, topics: &BTreeSet<&str>) -> Result<Transactions> {
        let mut limits = limits::ask(&plan.brokers, topics, plan.timeout)?;
        let largest = limits.values().copied().max().unwrap_or(limits::BATCH_BYTES_DEFAULT);
        let smallest = limits.values().copied().min().unwrap_or(limits::BATCH_BYTES_DEFAULT);
        let mut alone = false;
        // of these alone: how large a record of another topic may be they do not say
        for (topic, bytes) in limits::learned(&plan.brokers) {
            alone |= !limits.contains_key(&topic);
            limits.entry(topic).or_insert(bytes);
        }
        let (mut config, timeout) = (plan.brokers.client_config(transactional_id), plan.timeout);
        config
            .set("transactional.id", transactional_id)
            .set("transaction.timeout.ms", kafka::milliseconds(TRANSACTION_TIMEOUT))
            .set("message.timeout.ms", kafka::milliseconds(TRANSACTION_TIMEOUT))
            .set("linger.ms", "0.5")
            .set("queue.buffering.max.messages", "100000")
            .set("queue.buffering.max.kbytes", (largest / 1024 + 1).max(QUEUE_KBYTES_MAX).to_string())
            // one record may be as large as its topic takes; a batch of several is never larger than any topic takes
            .set("message.max.bytes", largest.clamp(1_000, 1_000_000_000).to_string())
            .set("batch.size", if alone { 1 } else { smallest.min(limits::BATCH_BYTES_DEFAULT) }.to_string())
            // thousands of reports a transaction that say nothing else
            .set("delivery.report.only.error", "true");
        let producer: Kept<BaseProducer<Deliveries>> = config
            .create_with_context(Deliveries::default())
            .map_err(|cause| kafka::error("the producer's settings", cause))?;
        producer.init_transactions(timeout).map_err(|cause| {
            kafka::error(format!("taking transactional id `{transactional_id}` at {}", plan.brokers), cause)
        })?;
        let (brokers, source) = (plan.brokers.clone(), plan.topic.clone());
        Ok(Transactions { limits, alone, producer, brokers, source, timeout, open: false })
    }

    fn begin(&mut self) -> Result<()> {
        if !self.open {
            self.producer.begin_transaction().map_err(|cause| self.failed("beginning a transaction", cause))?;
            self.open = true;
        }
        Ok(())
    }

    pub fn send(
        &mut self,
        topic: &str,
        key: Option<&[u8]>,
        value: &[u8],
        headers: &[(String, Vec<u8>)],
    ) -> Result<Result<(), TooLarge>> {
        self.begin()?;
        if kafka::batch_bytes(key, value, headers) > self.record_bytes_max(topic) {
            return Ok(Err(TooLarge));
        }
        let deadline = Instant::now() + self.timeout;
        let mut record = BaseRecord::to(topic).payload(value);
        record.key = key;
        record.headers = (!headers.is_empty()).then(|| owned(headers));
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(Ok(())),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge), _)) => {
                    return Ok(Err(TooLarge));
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if Instant::now() < deadline =>
                {
                    record = back;
                    self.serve();
                }
                Err((cause, _)) => {
                    return Err(self.explained(kafka::error(format!("writing to topic `{topic}`"), cause)));
                }
            }
        }
    }

    pub fn record_bytes_max(&self, topic: &str) -> usize {
        self.limits.get(topic).copied().unwrap_or(limits::BATCH_BYTES_DEFAULT)
    }

    /// Everything sent since the last commit, and these offsets, become visible at once. `group`: who the consumer
    /// was when the rows were polled, so that a partition that has moved on since fences this.
    pub fn commit(&mut self, advances: &BTreeMap<i32, Advance>, group: &ConsumerGroupMetadata) -> Result<()> {
        self.try_commit(advances, group).map_err(|error| self.explained(error))
    }

    fn try_commit(&mut self, advances: &BTreeMap<i32, Advance>, group: &ConsumerGroupMetadata) -> Result<()> {
        self.begin()?;
        let offsets = offsets(&self.source, advances)?;
        self.producer
            .send_offsets_to_transaction(&offsets, group, self.timeout)
            .map_err(|cause| self.failed("adding the source's offsets to the transaction", cause))?;
        self.settle()?;
        self.producer
            .commit_transaction(self.timeout)
            .map_err(|cause| self.failed("committing the transaction", cause))?;
        self.open = false;
        Ok(())
    }

    fn failed(&self, what: &str, cause: KafkaError) -> Error {
        kafka::error(format!("{what} at {}", self.brokers), cause)
    }

    /// `commit_transaction` takes 100 ms when anything is still in flight.
    fn settle(&self) -> Result<()> {
        let deadline = Instant::now() + self.timeout;
        while self.producer.in_flight_count() > 0 {
            if Instant::now() > deadline {
                return Err(Error::retry(format!(
                    "{} records were not acknowledged within {:?} at {}",
                    self.producer.in_flight_count(),
                    self.timeout,
                    self.brokers
                )));
            }
            self.serve();
        }
        self.producer.poll(Duration::ZERO);
        self.producer.context().failure()
    }

    /// A record that a topic refuses fails whatever comes next: then this is why.
    fn explained(&self, error: Error) -> Error {
        let too_large = self.producer.context().too_large();
        for (topic, bytes) in &too_large {
            limits::refused(&self.brokers, topic, *bytes, self.alone);
        }
        let Some((topic, bytes)) = too_large.first_key_value() else { return error };
        // they are sent again, one a batch, and what is refused then is a reject
        Error::retry(format!(
            "topic `{topic}` at {} refuses a record of {bytes} bytes, or several together: its limit was lowered, or it does \
             not say how much it takes, for this user lacks the right to describe its configuration",
            self.brokers
        ))
    }

    fn serve(&self) {
        self.producer.poll(Duration::ZERO);
        thread::sleep(IN_FLIGHT_POLL);
    }
}

fn owned(headers: &[(String, Vec<u8>)]) -> OwnedHeaders {
    let each = headers.iter().map(|(name, value)| Header { key: name, value: Some(value) });
    each.fold(OwnedHeaders::new(), OwnedHeaders::insert)
}

/// Offsets with what is written beside them.
pub fn offsets(topic: &str, advances: &BTreeMap<i32, Advance>) -> Result<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(advances.len());
    for (partition, Advance { to, metadata, .. }) in advances {
        let mut element = list.add_partition(topic, *partition);
        element
            .set_offset(Offset::Offset(*to))
            .map_err(|cause| kafka::error(format!("offset {to} of {topic}[{partition}]"), cause))?;
        element.set_metadata(metadata);
    }
    Ok(list)
}
