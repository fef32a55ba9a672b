//! A Kafka topic as a member of a consumer group.
//!
//! Invariant: no message is handed out before the engine has said where to begin in its partition, and partitions
//! are given back only when the engine says so ([`Source::release`]). Offsets are never committed from here.
//! Knows nothing of batches, stages or sinks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, ConsumerGroupMetadata};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message as _};
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaRespErr;

use super::admission::{self, Admission};
use super::{Committed, Extent, broker};
use crate::error::{Error, Result};
use crate::json::decode::Message;
use crate::kafka::{self, Brokers, Hears, Kept, Quiet};
use crate::plan::{GroupProtocol, SourcePlan};
use crate::sink::Log;

/// How long one poll of an idle topic takes: the bound on how late a signal or a rebalance is seen.
const IDLE_POLL: Duration = Duration::from_millis(50);

/// The bound on how long the log's ends may be asked for by a reader that waits.
const ASK_TIMEOUT: Duration = Duration::from_millis(500);
const QUEUED_BYTES_MAX: usize = 16 << 20;

/// How long the group has to let a member go. It may never do so where the member was frozen for longer than the group
/// waits, and closes as it wakes.
const CLOSE_MAX: Duration = Duration::from_secs(5);

/// By librdkafka's own name and default.
const CONNECTING_MAX: &str = "socket.connection.setup.timeout.ms";
const CONNECTING_MAX_DEFAULT: Duration = Duration::from_secs(30);

enum Change {
    Assigned(Vec<i32>),
    Revoked(Vec<i32>),
}

/// What the group asks for is queued here, and answered by the engine when it is ready.
struct Group {
    changes: Mutex<VecDeque<Change>>,
    closing: AtomicBool,
    topic: String,
    /// The log's ends, as the client last said.
    ends: Mutex<BTreeMap<i32, i64>>,
    /// When it was that with the group's coordinator, as it last said.
    in_touch: Mutex<Option<Instant>>,
    quiet: Quiet,
}

impl Hears for Group {
    fn why(&self) -> Option<String> {
        self.quiet.why()
    }
}

impl Group {
    fn ends(&self) -> MutexGuard<'_, BTreeMap<i32, i64>> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn in_touch(&self) -> MutexGuard<'_, Option<Instant>> {
        self.in_touch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changes(&self) -> MutexGuard<'_, VecDeque<Change>> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Group {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        kafka::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.quiet.error(error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        if admission::is_in_touch(&statistics) {
            *self.in_touch() = Some(Instant::now());
        }
        let partitions = statistics.topics.get(&self.topic).into_iter().flat_map(|topic| topic.partitions.values());
        // the client counts itself as partition -1, and has no end of what it does not fetch
        let known = partitions.filter(|partition| partition.partition >= 0 && partition.ls_offset >= 0);
        let ends = known.map(|partition| (partition.partition, partition.ls_offset)).collect();
        *self.ends() = ends;
    }
}

impl ConsumerContext for Group {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, err: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let partitions = list.elements().iter().map(|element| element.partition()).collect();
        if self.closing.load(Ordering::Acquire) {
            // nobody will answer any more, and the consumer does not close before it is answered
            let answered = consumer.unassign();
            tracing::debug!(?answered, "partitions given back while closing");
            return;
        }
        self.changes().push_back(match err {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Change::Assigned(partitions),
            _ => Change::Revoked(partitions),
        });
    }
}

pub struct Source {
    consumer: Kept<BaseConsumer<Group>>,
    brokers: Brokers,
    topic: String,
    group: String,
    timeout: Duration,
    /// What a connection may take.
    connecting_max: Duration,
    /// Partitions that this member holds.
    held: BTreeSet<i32>,
    /// Of these, the ones that the client has not been told to fetch.
    fresh: BTreeSet<i32>,
}

fn config(plan: &SourcePlan, client_id: &str) -> kafka::Config {
    let mut config = plan.brokers.client_config(client_id);
    config
        .set("group.id", &plan.group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // every partition gets its offset from the positions: an offset out of range must be an error
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_committed")
        // how late a new partition may be seen where the broker does not say so itself; the default is 5 minutes
        .set("topic.metadata.refresh.interval.ms", "10000")
        // where the lag is from, and whether the group is in reach
        .set("statistics.interval.ms", "1000")
        // with the default of 1 s a full queue stalls the fetcher
        .set("fetch.queue.backoff.ms", "5");
    kafka::bound_reading_ahead(&mut config, QUEUED_BYTES_MAX);
    match plan.group_protocol {
        // KIP-848: session timeout, heartbeat and assignor are the broker's
        GroupProtocol::Consumer => config.set("group.protocol", "consumer"),
        GroupProtocol::Classic => config
            .set("group.protocol", "classic")
            .set("session.timeout.ms", "10000")
            .set("heartbeat.interval.ms", "3000")
            .set("partition.assignment.strategy", "cooperative-sticky"),
    };
    config
}

impl Source {
    /// Connects to nothing yet.
    pub fn new(plan: &SourcePlan, client_id: &str) -> Result<Source> {
        let group = Group {
            changes: Mutex::new(VecDeque::new()),
            closing: AtomicBool::new(false),
            topic: plan.topic.clone(),
            ends: Mutex::new(BTreeMap::new()),
            in_touch: Mutex::new(None),
            quiet: Quiet::default(),
        };
        let config = config(plan, client_id);
        let connecting_max = config.get(CONNECTING_MAX).and_then(|milliseconds| milliseconds.parse().ok());
        let connecting_max = connecting_max.map_or(CONNECTING_MAX_DEFAULT, Duration::from_millis);
        let consumer =
            config.create_with_context(group).map_err(|cause| kafka::error("the consumer's settings", cause))?;
        Ok(Source {
            consumer,
            brokers: plan.brokers.clone(),
            topic: plan.topic.clone(),
            group: plan.group.clone(),
            timeout: plan.timeout,
            connecting_max,
            held: BTreeSet::new(),
            fresh: BTreeSet::new(),
        })
    }

    /// Asks the brokers which log this is, and whether every topic in `topics` is there.
    pub fn identify(&self, topics: &BTreeSet<&str>) -> Result<Log> {
        for topic in topics.iter().copied().chain([self.topic.as_str()]) {
            self.partitions_of(topic)?;
        }
        broker::log(&self.consumer, &self.brokers, &self.topic, self.timeout)
    }

    fn partitions_of(&self, topic: &str) -> Result<i32> {
        broker::partitions(&self.consumer, &self.brokers, topic, self.timeout)
    }

    pub fn subscribe(&self) -> Result<()> {
        let subscribed = self.consumer.subscribe(&[&self.topic]);
        subscribed.map_err(|cause| kafka::error(format!("subscribing to `{}`", self.topic), cause))
    }

    /// Waits until the group has given partitions to this member: true; or until `stopping` says so: false.
    pub fn wait_for_partitions(&mut self, stopping: impl Fn() -> bool) -> Result<bool> {
        let mut admission = Admission::awaited(Instant::now(), self.connecting_max);
        loop {
            if stopping() {
                return Ok(false);
            }
            self.take_changes()?;
            if !self.held.is_empty() {
                return Ok(true);
            }
            // a partition held since before still delivers; what comes now is read again from where `start` says
            self.poll(IDLE_POLL)?;
            let in_touch = *self.consumer.context().in_touch();
            admission.look(in_touch, &self.group, Instant::now())?;
        }
    }

    /// Has the group asked for something that [`Source::wait_for_partitions`] has not taken up?
    pub fn changed(&self) -> bool {
        !self.consumer.context().changes().is_empty()
    }

    fn take_changes(&mut self) -> Result<()> {
        loop {
            let Some(change) = self.consumer.context().changes().pop_front() else { return Ok(()) };
            match change {
                Change::Assigned(partitions) => {
                    tracing::info!(topic = self.topic, ?partitions, "partitions taken");
                    if partitions.is_empty() {
                        self.assign(&BTreeMap::new())?;
                    }
                    self.fresh.extend(&partitions);
                    self.held.extend(&partitions);
                }
                Change::Revoked(partitions) => {
                    tracing::info!(topic = self.topic, ?partitions, "partitions given back");
                    self.give_back(&partitions)?;
                }
            }
        }
    }

    fn give_back(&mut self, partitions: &[i32]) -> Result<()> {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            self.held.remove(partition);
            // what was never assigned to the client cannot be unassigned
            if !self.fresh.remove(partition) {
                list.add_partition(&self.topic, *partition);
            }
        }
        let given = self.consumer.incremental_unassign(&list);
        given.map_err(|cause| kafka::error(format!("giving back partitions {partitions:?}"), cause))
    }

    fn assign(&self, starts: &BTreeMap<i32, i64>) -> Result<()> {
        let list = kafka::offsets(&self.topic, starts)?;
        let assigned = self.consumer.incremental_assign(&list);
        assigned.map_err(|cause| kafka::error(format!("taking partitions {:?}", starts.keys()), cause))
    }

    /// Offsets committed by the group, and what was written beside them. Waits for pending transactions.
    pub fn committed(&self) -> Result<BTreeMap<i32, Committed>> {
        self.committed_of(&self.held)
    }

    pub fn group_is_known(&self) -> Result<bool> {
        let all = (0..self.partitions_of(&self.topic)?).collect();
        Ok(self.committed_of(&all)?.values().any(|committed| committed.offset.is_some()))
    }

    fn committed_of(&self, partitions: &BTreeSet<i32>) -> Result<BTreeMap<i32, Committed>> {
        broker::committed(&self.consumer, &self.topic, partitions, self.timeout)
    }

    pub fn extent(&self, partition: i32) -> Result<Extent> {
        broker::extent(&self.consumer, &self.topic, partition, self.timeout)
    }

    /// Reads each held partition from its offset on.
    pub fn start(&mut self, starts: &BTreeMap<i32, i64>) -> Result<()> {
        let (fresh, known): (BTreeMap<_, _>, BTreeMap<_, _>) =
            starts.iter().map(|(p, o)| (*p, *o)).partition(|(partition, _)| self.fresh.contains(partition));
        if !fresh.is_empty() {
            self.assign(&fresh)?;
        }
        self.fresh.clear();
        if known.is_empty() {
            return Ok(());
        }
        let list = kafka::offsets(&self.topic, &known)?;
        let what = || format!("going to {known:?}");
        let list = self.consumer.seek_partitions(list, self.timeout).map_err(|cause| kafka::error(what(), cause))?;
        for element in list.elements() {
            element.error().map_err(|cause| kafka::error(what(), cause))?;
        }
        Ok(())
    }

    /// The next message, if one comes in time. Brokers that are away for a while are no error, nor is an endpoint of
    /// tokens: connections that stand go on, and who asks for tokens says what is wrong.
    pub fn poll(&self, timeout: Duration) -> Result<Option<Record<'_>>> {
        match self.consumer.poll(timeout) {
            None => Ok(None),
            Some(Ok(message)) => Ok(Some(Record(message))),
            Some(Err(error)) if kafka::is_away(&error) => {
                tracing::debug!(%error, "the brokers are away");
                Ok(None)
            }
            Some(Err(error)) => Err(kafka::unread(&self.topic, error)),
        }
    }

    /// Keeps the membership alive while nothing more can be taken in.
    pub fn pause(&self) -> Result<()> {
        self.on_assignment("pausing", |list| self.consumer.pause(list))
    }

    pub fn resume(&self) -> Result<()> {
        self.on_assignment("going on", |list| self.consumer.resume(list))
    }

    fn on_assignment(&self, what: &str, act: impl Fn(&TopicPartitionList) -> Result<(), KafkaError>) -> Result<()> {
        let list = self.consumer.assignment().map_err(|cause| kafka::error(what, cause))?;
        act(&list).map_err(|cause| kafka::error(what, cause))
    }

    pub fn ends(&self) -> BTreeMap<i32, i64> {
        self.consumer.context().ends().clone()
    }

    /// Asks the brokers, for so long, whatever the client fetches now.
    pub fn ask_ends(&self) {
        let deadline = Instant::now() + ASK_TIMEOUT;
        for &partition in &self.held {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            match broker::extent(&self.consumer, &self.topic, partition, left) {
                Ok(Extent { end, .. }) => drop(self.consumer.context().ends().insert(partition, end)),
                Err(error) => return tracing::debug!(%error, "the log's ends are not known now"),
            }
        }
    }

    /// Who this member is, for the transaction that commits what was polled until now.
    pub fn group_metadata(&self) -> Result<Arc<ConsumerGroupMetadata>> {
        let metadata = self.consumer.group_metadata().map(Arc::new);
        metadata.ok_or_else(|| Error::retry("the consumer is in no group"))
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.consumer.context().closing.store(true, Ordering::Release);
        let started = Instant::now();
        let answered = self.consumer.unassign();
        let closing = self.consumer.close_queue();
        tracing::debug!(?answered, ?closing, "closing the consumer");
        while !self.consumer.closed() {
            if started.elapsed() > CLOSE_MAX {
                tracing::warn!(topic = self.topic, "the group did not let this member go within {CLOSE_MAX:?}");
                // its own end would wait for that without a bound
                self.consumer.leak();
                return;
            }
            drop(self.consumer.poll(IDLE_POLL));
        }
        tracing::debug!(elapsed_ms = started.elapsed().as_millis() as u64, "consumer closed");
    }
}

/// A message of the topic.
pub struct Record<'a>(BorrowedMessage<'a>);

impl<'a> Record<'a> {
    pub(crate) fn new(message: BorrowedMessage<'a>) -> Record<'a> {
        Record(message)
    }
}

impl Message for Record<'_> {
    fn partition(&self) -> i32 {
        self.0.partition()
    }

    fn offset(&self) -> i64 {
        self.0.offset()
    }

    fn timestamp_ms(&self) -> Option<i64> {
        self.0.timestamp().to_millis()
    }

    fn key(&self) -> Option<&[u8]> {
        self.0.key()
    }

    fn value(&self) -> Option<&[u8]> {
        self.0.payload()
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        let headers = self.0.headers()?;
        headers.iter().filter(|header| header.key == name).last().and_then(|header| header.value)
    }
}
