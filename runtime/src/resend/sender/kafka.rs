//! Messages and marks in one transaction of a Kafka cluster, under one transactional id for the source's topic.
//!
//! Invariant: after any error the producer is gone for good, and its successor takes the same id.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use futures::executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::super::Position;
use super::super::marks::{render, topic_of};
use super::{Message, Resent, manner};
use crate::error::{Error, Kind, Result};
use crate::kafka::{self, Brokers, Deliveries, Kept, Quiet};
use crate::plan::SourcePlan;
use crate::topic::{Begin, Place, Reader};

/// A sender that was killed holds back the readers of the source's topic for this long, unless it is called again.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two looks whether every broker knows a topic that was made just now.
const MADE_POLL: Duration = Duration::from_millis(50);
/// One partition: marks are few, and read whole. As many replicas as the cluster gives topics.
const MARKS_PARTITIONS: i32 = 1;
const MARKS_REPLICATION: i32 = -1;
const CLEANUP: &str = "cleanup.policy";

pub fn transactional_id(source: &str) -> String {
    format!("millrace-resend-{source}")
}

pub struct Sender {
    producer: Kept<BaseProducer<Deliveries>>,
    brokers: Brokers,
    source: String,
    marks: String,
    timeout: Duration,
    pending: Option<Vec<Resent>>,
}

impl Sender {
    /// Makes the topic of the marks where it is not there, and fences whoever sends to the source's topic again.
    pub fn open(plan: &SourcePlan) -> Result<Sender> {
        let (marks, timeout) = (topic_of(&plan.topic), plan.timeout);
        make(plan, &marks)?;
        let id = transactional_id(&plan.topic);
        let mut config = plan.brokers.client_config("millrace-rejects");
        config
            .set("transactional.id", &id)
            .set("transaction.timeout.ms", kafka::milliseconds(TRANSACTION_TIMEOUT))
            .set("message.timeout.ms", kafka::milliseconds(TRANSACTION_TIMEOUT))
            .set("linger.ms", "0.5");
        let producer: Kept<BaseProducer<Deliveries>> = config
            .create_with_context(Deliveries::with_positions())
            .map_err(|cause| kafka::error("the producer's settings", cause))?;
        let what = || format!("taking transactional id `{id}` at {}", plan.brokers);
        producer.init_transactions(timeout).map_err(|cause| kafka::error(what(), cause))?;
        let (brokers, source) = (plan.brokers.clone(), plan.topic.clone());
        Ok(Sender { producer, brokers, source, marks, timeout, pending: None })
    }

    pub fn put(&mut self, messages: &[Message]) -> Result<()> {
        if self.pending.is_none() {
            self.producer.begin_transaction().map_err(|cause| self.failed("beginning a transaction", cause))?;
            self.pending = Some(Vec::new());
        }
        for Message { of, key, value, headers } in messages {
            let mut record = BaseRecord::to(&self.source).partition(of.position.partition).payload(value);
            record.key = key.as_deref();
            self.send(record.headers(owned(headers)))?;
        }
        let resent = places(messages, self.delivered()?)?;
        for (of, to) in &resent {
            let (key, value) = render(&self.source, *of, *to)?;
            self.send(BaseRecord::to(&self.marks).key(key.as_bytes()).payload(&value))?;
        }
        self.delivered()?;
        self.pending.get_or_insert_default().extend(resent);
        Ok(())
    }

    pub fn commit(&mut self) -> Result<Vec<Resent>> {
        let Some(resent) = self.pending.take() else { return Ok(Vec::new()) };
        self.producer
            .commit_transaction(self.timeout)
            .map_err(|cause| self.failed("committing the transaction", cause))?;
        Ok(resent)
    }

    fn send<'a>(&self, mut record: BaseRecord<'a, [u8], Vec<u8>>) -> Result<()> {
        let (topic, deadline) = (record.topic.to_owned(), Instant::now() + self.timeout);
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if Instant::now() < deadline =>
                {
                    record = back;
                    self.producer.poll(Duration::from_millis(10));
                }
                Err((cause, _)) => return Err(self.failed(&format!("writing to topic `{topic}`"), cause)),
            }
        }
    }

    /// Partition and offset of everything that was sent; all of it was taken.
    fn delivered(&self) -> Result<Vec<(i32, i64)>> {
        self.producer.flush(self.timeout).map_err(|cause| self.failed("writing", cause))?;
        self.producer.context().failure().map_err(|error| self.fenced().unwrap_or(error))?;
        Ok(self.producer.context().acknowledged())
    }

    fn failed(&self, what: &str, cause: KafkaError) -> Error {
        self.fenced().unwrap_or_else(|| kafka::error(format!("{what} at {}", self.brokers), cause))
    }

    /// Somebody has taken the transactional id.
    fn fenced(&self) -> Option<Error> {
        let (code, _) = self.producer.client().fatal_error()?;
        matches!(code, RDKafkaErrorCode::Fenced | RDKafkaErrorCode::ProducerFenced).then(|| {
            Error::stop(format!(
                "somebody else began to send rejects of `{}` at {} again, and goes on where this one was: the last \
                 transaction of this one was not sent",
                self.source, self.brokers
            ))
        })
    }
}

/// Where each message came to be: those of one partition are acknowledged in their order.
fn places(messages: &[Message], acknowledged: Vec<(i32, i64)>) -> Result<Vec<Resent>> {
    let mut offsets = BTreeMap::<i32, VecDeque<i64>>::new();
    acknowledged.into_iter().for_each(|(partition, offset)| offsets.entry(partition).or_default().push_back(offset));
    let place = |message: &Message| {
        let partition = message.of.position.partition;
        let offset = offsets.get_mut(&partition).and_then(VecDeque::pop_front);
        let offset = offset.ok_or_else(|| Error::retry(format!("{} was not acknowledged", message.of.position)))?;
        Ok((message.of, Position { partition, offset }))
    };
    messages.iter().map(place).collect()
}

fn owned(headers: &[(String, Vec<u8>)]) -> OwnedHeaders {
    let each = headers.iter().map(|(name, value)| Header { key: name, value: Some(value) });
    each.fold(OwnedHeaders::new(), OwnedHeaders::insert)
}

/// Makes the topic of the marks, or looks whether the one that is there keeps them.
fn make(plan: &SourcePlan, topic: &str) -> Result<()> {
    let admin: Kept<AdminClient<Quiet>> = plan
        .brokers
        .client_config("millrace-rejects")
        .create_with_context(Quiet::default())
        .map_err(|cause| kafka::error("the client's settings", cause))?;
    let options = AdminOptions::new().request_timeout(Some(plan.timeout)).operation_timeout(Some(plan.timeout));
    let new =
        NewTopic::new(topic, MARKS_PARTITIONS, TopicReplication::Fixed(MARKS_REPLICATION)).set(CLEANUP, "compact");
    let what = || format!("making topic `{topic}` at {}", plan.brokers);
    let made = block_on(admin.create_topics([&new], &options)).map_err(|cause| kafka::error(what(), cause))?;
    match made.into_iter().next() {
        Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => must_keep(&admin, plan, topic, &options),
        Some(Err((_, code))) => Err(kafka::error(what(), KafkaError::AdminOp(code))),
        Some(Ok(_)) | None => known(plan, topic),
    }
}

/// A mark that is dropped is a message that is sent twice.
fn must_keep(admin: &AdminClient<Quiet>, plan: &SourcePlan, topic: &str, options: &AdminOptions) -> Result<()> {
    let what = || format!("asking {} how topic `{topic}` keeps its records", plan.brokers);
    let answers = kafka::topic_settings(admin, &BTreeSet::from([topic]), CLEANUP, options);
    let answers = answers.map_err(|cause| kafka::error(what(), cause))?;
    let Some(answer) = answers.into_iter().next() else { return Err(Error::retry(what())) };
    let (_, policy) = answer.map_err(|code| kafka::error(what(), KafkaError::AdminOp(code)))?;
    match policy.as_deref() {
        Some("compact") => Ok(()),
        policy => Err(Error::stop(format!(
            "topic `{topic}` at {} says which messages were sent again, and forgets it: its {CLEANUP} is `{}`. Make it \
             `compact` (kafka-configs --alter --add-config {CLEANUP}=compact --topic {topic}), or name the topic of \
             your own otherwise",
            plan.brokers,
            policy.unwrap_or("unknown")
        ))),
    }
}

/// Waits until brokers know a topic that was made just now.
fn known(plan: &SourcePlan, topic: &str) -> Result<()> {
    let deadline = Instant::now() + plan.timeout;
    let look = || Reader::open(&Place::Brokers(plan.brokers.clone()), topic, manner(plan))?.begins(Begin::Latest);
    loop {
        match look() {
            Ok(_) => return Ok(()),
            Err(error) if error.kind == Kind::Retry && Instant::now() < deadline => std::thread::sleep(MADE_POLL),
            Err(error) => return Err(error),
        }
    }
}
