//! What every Kafka client here has in common: where its log lines go, and which errors are worth another try.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::executor::block_on;
use rdkafka::Message;
use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, OwnedResourceSpecifier, ResourceSpecifier};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, DeliveryResult, Headers};
use rdkafka::producer::ProducerContext;

use crate::error::{Error, Kind};

pub use millrace_brokers::{Brokers, Config, Kept, Properties};

/// Of a producer that is in no transaction: each message is in the log once, in the order in which it was sent, or its
/// delivery fails. Without idempotence what librdkafka sends again may come after what it sent later, or twice.
pub fn producer_config(brokers: &Brokers, client_id: &str) -> Config {
    let mut config = brokers.client_config(client_id);
    config.set("acks", "all").set("enable.idempotence", "true");
    config
}

pub fn milliseconds(duration: Duration) -> String {
    duration.as_millis().to_string()
}

/// Besides its bytes a message costs the client some 500: a queue of tiny ones is bounded by their number.
const QUEUED_MESSAGES_MAX: usize = 50_000;
/// Of one broker's answer, as it is compressed; a first batch that is larger comes all the same.
const FETCH_BYTES_MAX: usize = 8 << 20;

/// What a consumer holds that is not polled: it asks for no more once it has this much of all partitions together.
pub fn bound_reading_ahead(config: &mut Config, queued_bytes_max: usize) {
    config
        .set("queued.max.messages.kbytes", (queued_bytes_max >> 10).to_string())
        .set("queued.min.messages", QUEUED_MESSAGES_MAX.to_string())
        .set("fetch.max.bytes", FETCH_BYTES_MAX.to_string());
}

/// librdkafka's own log lines; its broker-down chatter repeats what our errors say, so it is for debugging.
pub fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(target: "millrace::librdkafka", facility, "{message}");
        }
        _ => tracing::debug!(target: "millrace::librdkafka", facility, "{message}"),
    }
}

/// Of clients that are asked one thing: remembers why the last connection failed, for the answer does not say it.
#[derive(Default)]
pub struct Quiet {
    why: Mutex<Option<String>>,
}

/// A consumer that nobody assigns partitions to.
impl ConsumerContext for Quiet {}

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "millrace::librdkafka", %error, "{reason}");
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            // it counts milliseconds behind that
            let why = reason.split(" (after ").next().unwrap_or(reason);
            *self.why.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.to_owned());
        }
    }
}

/// A context that remembers why the last connection failed.
pub trait Hears {
    /// The client's own words, once they were polled for.
    fn why(&self) -> Option<String>;
}

impl Hears for Quiet {
    fn why(&self) -> Option<String> {
        self.why.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Of a question that has no answer, with what the client says of the brokers. It polls: not for a consumer that gets
/// messages.
pub fn unanswered<C: ConsumerContext + Hears>(
    brokers: &Brokers,
    consumer: &BaseConsumer<C>,
    what: String,
    cause: KafkaError,
) -> Error {
    tokenless(brokers).unwrap_or_else(|| error(what + &because(said(brokers, || heard(consumer))), cause))
}

/// A client without a token does not get as far as to ask, and says nothing of it.
pub fn tokenless(brokers: &Brokers) -> Option<Error> {
    brokers.trouble().map(|trouble| Error::retry(format!("no token for the brokers at {brokers}: {trouble}")))
}

/// After one event more: not for a consumer that gets messages.
pub fn heard<C: ConsumerContext + Hears>(consumer: &BaseConsumer<C>) -> Option<String> {
    drop(consumer.poll(Duration::ZERO));
    consumer.context().why()
}

fn said(brokers: &Brokers, poll: impl Fn() -> Option<String>) -> Option<String> {
    let why = (0..EVENTS_MAX).find_map(|_| poll())?;
    Some(brokers.refused(&why).unwrap_or(why))
}

fn because(why: Option<String>) -> String {
    why.map_or(String::new(), |why| format!(" ({why})"))
}

/// Whoever waits for brokers that are away hears of it after so long.
const SAY_AFTER: Duration = Duration::from_secs(2);

/// Among the events that a client is polled for there are others.
const EVENTS_MAX: usize = 100;

/// One question to the brokers. `poll`: what [`Quiet`] knows after one event more.
pub fn ask<T>(
    brokers: &Brokers,
    timeout: Duration,
    ask: impl Fn(Duration) -> KafkaResult<T>,
    poll: impl Fn() -> Option<String>,
) -> Result<T, Error> {
    let first = SAY_AFTER.min(timeout);
    let answer = match ask(first) {
        Err(error) if is_away(&error) && first < timeout => {
            let left = timeout - first;
            tracing::warn!(
                "no answer from the brokers at {brokers} yet{}: waiting {left:?} more",
                because(said(brokers, &poll))
            );
            ask(left)
        }
        answer => answer,
    };
    let unanswered = |cause| {
        let why = said(brokers, &poll).unwrap_or_else(|| "if they are there, `security.protocol` is not theirs".into());
        error(format!("the brokers at {brokers} did not answer ({why})"), cause)
    };
    answer.map_err(|cause| tokenless(brokers).unwrap_or_else(|| unanswered(cause)))
}

/// A producer's context: remembers the first delivery that failed, for `flush` answers Ok even then.
#[derive(Default)]
pub struct Deliveries {
    failed: Mutex<Option<(String, KafkaError)>>,
    too_large: Mutex<BTreeMap<String, usize>>,
    /// Partition and offset of what was acknowledged, where somebody wants to know.
    acknowledged: Option<Mutex<Vec<(i32, i64)>>>,
}

impl Deliveries {
    /// Remembers positions too, until they are asked for.
    pub fn with_positions() -> Deliveries {
        Deliveries { acknowledged: Some(Mutex::default()), ..Deliveries::default() }
    }

    /// What was acknowledged since the last look, in that order.
    pub fn acknowledged(&self) -> Vec<(i32, i64)> {
        let Some(acknowledged) = &self.acknowledged else { return Vec::new() };
        std::mem::take(&mut acknowledged.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The smallest record of each topic that was too large since the last look, as brokers weigh it.
    pub fn too_large(&self) -> BTreeMap<String, usize> {
        std::mem::take(&mut self.too_large.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The first failure since the last look: the topic, and why.
    pub fn failure(&self) -> Result<(), Error> {
        match self.failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some((topic, cause)) => Err(error(format!("writing to topic `{topic}`"), cause)),
            None => Ok(()),
        }
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "millrace::librdkafka", %error, "{reason}");
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(message) => {
                if let Some(acknowledged) = &self.acknowledged {
                    let position = (message.partition(), message.offset());
                    acknowledged.lock().unwrap_or_else(PoisonError::into_inner).push(position);
                }
            }
            Err((error, message)) => {
                if error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge) {
                    let mut too_large = self.too_large.lock().unwrap_or_else(PoisonError::into_inner);
                    let bytes = weight(message);
                    let known = too_large.entry(message.topic().to_owned()).or_insert(bytes);
                    *known = bytes.min(*known);
                }
                let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
                failed.get_or_insert_with(|| (message.topic().to_owned(), error.clone()));
            }
        }
    }
}

fn weight(message: &BorrowedMessage<'_>) -> usize {
    let headers = message.headers().into_iter().flat_map(Headers::iter);
    let headers = headers.map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_owned()));
    batch_bytes(message.key(), message.payload().unwrap_or_default(), &headers.collect::<Vec<_>>())
}

/// What surrounds the records of a batch.
const BATCH_BYTES: usize = 61;

/// Of a record alone, as brokers weigh it.
pub fn batch_bytes(key: Option<&[u8]>, value: &[u8], headers: &[(String, Vec<u8>)]) -> usize {
    let sized = |length: usize| varint_bytes(length) + length;
    let headers_bytes: usize = headers.iter().map(|(name, value)| sized(name.len()) + sized(value.len())).sum();
    // attributes, and two distances from the batch's first record
    let record =
        3 + key.map_or(1, |key| sized(key.len())) + sized(value.len()) + varint_bytes(headers.len()) + headers_bytes;
    BATCH_BYTES + sized(record)
}

/// As Kafka writes lengths: seven bits a byte, the lowest for the sign.
fn varint_bytes(length: usize) -> usize {
    let bits = usize::BITS - (length << 1).leading_zeros();
    (bits.max(1) as usize).div_ceil(7)
}

/// A topic, and what a setting of it is; None: the brokers do not tell it.
pub type TopicSetting = (String, Option<String>);

/// One setting of each topic. A topic that cannot be asked has its own error.
pub fn topic_settings(
    admin: &AdminClient<Quiet>,
    topics: &BTreeSet<&str>,
    setting: &str,
    options: &AdminOptions,
) -> KafkaResult<Vec<Result<TopicSetting, RDKafkaErrorCode>>> {
    let resources: Vec<_> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
    let found = |answer: ConfigResource| {
        let value = answer.entries.into_iter().find(|entry| entry.name == setting).and_then(|entry| entry.value);
        match answer.specifier {
            OwnedResourceSpecifier::Topic(topic) => Some((topic, value)),
            _ => None,
        }
    };
    let answers = block_on(admin.describe_configs(&resources, options))?;
    Ok(answers.into_iter().filter_map(|answer| answer.map(found).transpose()).collect())
}

/// What the pipeline's file or a record must be changed for; everything else is mended from outside: brokers, topics,
/// rights. docs/errors.md has the table.
fn kind(code: Option<RDKafkaErrorCode>) -> Kind {
    use RDKafkaErrorCode::*;
    match code {
        Some(
            BadCompression
            | InvalidArgument
            | InvalidConfig
            | InvalidGroupId
            | InvalidRecord
            | InvalidTopic
            | MessageSizeTooLarge
            | NotImplemented
            | OffsetMetadataTooLarge
            | UnsupportedVersion
            | PolicyViolation,
        ) => Kind::Stop,
        _ => Kind::Retry,
    }
}

/// librdkafka's words on a setting, which may repeat its value: that may be a secret.
pub fn without(why: &str, value: &str) -> String {
    why.replace(&format!("\"{value}\""), "\"…\"")
}

/// `what` says what was being done, and to what.
pub fn error(what: impl Into<String>, error: KafkaError) -> Error {
    let code = match &error {
        KafkaError::Transaction(error) => Some(error.code()),
        error => error.rdkafka_error_code(),
    };
    let made = match kind(code) {
        Kind::Retry => Error::retry(what),
        Kind::Stop => Error::stop(what),
    };
    match error {
        // its Display drops the broker's own words
        KafkaError::Transaction(error) => made.caused_by(error),
        // its Display has the value, which may be a secret
        KafkaError::ClientConfig(_, why, name, value) => made.caused_by(format!("`{name}`: {}", without(&why, &value))),
        error => made.caused_by(error),
    }
}

/// Why a topic cannot be read on. The client goes no further than a batch that it cannot unpack, and does not say
/// which partition has it.
pub fn unread(topic: &str, cause: KafkaError) -> Error {
    let why = match cause.rdkafka_error_code() {
        Some(RDKafkaErrorCode::NotImplemented) => {
            "compressed or written in a way that this build does not know (it knows gzip, snappy, lz4 and zstd). Write \
             its messages again otherwise"
        }
        Some(RDKafkaErrorCode::BadCompression) => "compressed, and cannot be unpacked. Write its messages again",
        _ => return error(format!("reading `{topic}`"), cause),
    };
    let what = format!(
        "reading `{topic}`: a batch is {why}; `millrace positions show` says where the pipeline stands, `millrace \
         positions reset` takes it past them"
    );
    error(what, cause)
}

/// Brokers are away for a while: librdkafka goes on by itself, and says so.
pub fn is_away(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::OperationTimedOut
        )
    )
}

/// Offsets of one topic, by partition.
pub fn offsets(topic: &str, offsets: &BTreeMap<i32, i64>) -> Result<rdkafka::TopicPartitionList, Error> {
    let mut list = rdkafka::TopicPartitionList::with_capacity(offsets.len());
    for (partition, offset) in offsets {
        list.add_partition_offset(topic, *partition, rdkafka::Offset::Offset(*offset))
            .map_err(|cause| error(format!("offset {offset} of {topic}[{partition}]"), cause))?;
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use RDKafkaErrorCode::*;
    use rdkafka::ClientConfig;

    use super::*;

    #[test]
    fn the_value_of_a_setting_is_in_no_error() {
        for (name, value) in [("sasl.password", "hunter2"), ("security.protocol", "hunter2"), ("nothing", "hunter2")] {
            let mut config = ClientConfig::new();
            config.set(name, value).set("sasl.mechanism", "hunter3").set("acks", "hunter4");
            let failed = config.create_with_context::<_, BaseConsumer<Quiet>>(Quiet::default()).err().expect("wrong");
            let said = error("a client", failed).to_string();
            assert!(said.contains('`') && !said.contains("hunter"), "{said}");
        }
    }

    /// The same code, as every call has it.
    fn kinds(code: RDKafkaErrorCode) -> [Kind; 4] {
        [KafkaError::Global, KafkaError::MessageProduction, KafkaError::MessageConsumption, KafkaError::OffsetFetch]
            .map(|of| error("a call", of(code)).kind)
    }

    #[test]
    fn what_the_brokers_mend_is_tried_again() {
        let codes = [
            AllBrokersDown,
            Authentication,
            BrokerTransportFailure,
            ClusterAuthorizationFailed,
            ConcurrentTransactions,
            CoordinatorLoadInProgress,
            CoordinatorNotAvailable,
            Fenced,
            GroupAuthorizationFailed,
            InvalidProducerEpoch,
            InvalidTransactionTimeout,
            KafkaStorageError,
            MessageTimedOut,
            NotEnoughReplicas,
            NotEnoughReplicasAfterAppend,
            NotLeaderForPartition,
            OperationTimedOut,
            ProducerFenced,
            RebalanceInProgress,
            RequestTimedOut,
            SaslAuthenticationFailed,
            SSL,
            ThrottlingQuotaExceeded,
            TopicAuthorizationFailed,
            TransactionalIdAuthorizationFailed,
            UnknownTopic,
            UnknownTopicOrPartition,
        ];
        codes.iter().for_each(|&code| assert_eq!(kinds(code), [Kind::Retry; 4], "{code:?}"));
    }

    #[test]
    fn what_a_person_must_change_stops_it() {
        let codes = [
            BadCompression,
            NotImplemented,
            InvalidConfig,
            InvalidGroupId,
            InvalidRecord,
            InvalidTopic,
            MessageSizeTooLarge,
            OffsetMetadataTooLarge,
            PolicyViolation,
            UnsupportedVersion,
        ];
        codes.iter().for_each(|&code| assert_eq!(kinds(code), [Kind::Stop; 4], "{code:?}"));
    }
}
