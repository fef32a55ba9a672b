//! What librdkafka knows of a topic's and a cluster's identity, and rdkafka does not hand out.
//!
//! Invariant: nothing of librdkafka's outlives the call, and the client's own queues are not touched (the answer comes
//! on a queue made for it), so a client in use can be asked.
//! Knows nothing of positions: that a topic made again under its old name is another log is for the caller to act on.

use std::ffi::{CStr, CString, c_char};
use std::fmt;
use std::time::Duration;

use rdkafka::bindings::*;
use rdkafka::client::{Client, ClientContext};
use rdkafka::types::RDKafkaErrorCode;

use crate::owned::{ANSWER_MARGIN_MS, Owned, Rights, ask_for_rights, rights, text, timeout_ms};

/// What a broker without topic ids answers: a UUID of 128 zero bits.
const NO_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentityError {
    /// The cluster has no such topic (or this client may not see it).
    UnknownTopic { topic: String },
    /// No broker answered in time.
    Timeout { what: String, timeout: Duration },
    /// The cluster is older than topic ids (Kafka 2.8) or than cluster ids.
    Unsupported { what: String },
    /// What the broker or librdkafka said.
    Refused { what: String, code: RDKafkaErrorCode, message: String },
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IdentityError::UnknownTopic { topic } => write!(f, "topic `{topic}` does not exist: create it first"),
            IdentityError::Timeout { what, timeout } => {
                write!(f, "no broker gave {what} within {} ms", timeout.as_millis())
            }
            IdentityError::Unsupported { what } => write!(f, "the cluster has no {what}: Kafka 2.8 or newer is needed"),
            IdentityError::Refused { what, code, message } => write!(f, "no {what}: {message} ({code:?})"),
        }
    }
}

impl std::error::Error for IdentityError {}

/// The id that the cluster gave the topic when it was created, as Kafka's tools print it (base64, 22 characters).
/// Never creates the topic.
pub fn topic_id<C: ClientContext>(client: &Client<C>, topic: &str, timeout: Duration) -> Result<String, IdentityError> {
    let id = ask(client, topic, &format!("id of topic `{topic}`"), timeout, Event::topic_id)?;
    if id == NO_ID { Err(IdentityError::Unsupported { what: "topic ids".to_owned() }) } else { Ok(id) }
}

/// What this client may do with the topic. Never creates it.
pub fn topic_rights<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    timeout: Duration,
) -> Result<Rights, IdentityError> {
    ask(client, topic, &format!("rights to topic `{topic}`"), timeout, Event::rights)
}

fn ask<C: ClientContext, T>(
    client: &Client<C>,
    topic: &str,
    what: &str,
    timeout: Duration,
    answer: impl FnOnce(&Event) -> Result<T, (RDKafkaErrorCode, String)>,
) -> Result<T, IdentityError> {
    let what = || what.to_owned();
    let unknown = || IdentityError::UnknownTopic { topic: topic.to_owned() };
    let event = describe(client, &CString::new(topic).map_err(|_| unknown())?, timeout)
        .ok_or_else(|| IdentityError::Timeout { what: what(), timeout })?;
    match answer(&event) {
        Ok(answer) => Ok(answer),
        Err((RDKafkaErrorCode::UnknownTopicOrPartition, _)) => Err(unknown()),
        Err((RDKafkaErrorCode::OperationTimedOut, _)) => Err(IdentityError::Timeout { what: what(), timeout }),
        Err((code, message)) => Err(IdentityError::Refused { what: what(), code, message }),
    }
}

/// The id that the cluster was formatted with. Answers from the client's memory once it has talked to a broker.
pub fn cluster_id<C: ClientContext>(client: &Client<C>, timeout: Duration) -> Result<String, IdentityError> {
    let started = std::time::Instant::now();
    match client.fetch_cluster_id(timeout) {
        Some(id) => Ok(id),
        None if started.elapsed() < timeout => Err(IdentityError::Unsupported { what: "cluster id".to_owned() }),
        None => Err(IdentityError::Timeout { what: "the cluster's id".to_owned(), timeout }),
    }
}

/// Asks the cluster about one topic and waits for the answer; None: it did not come.
fn describe<C: ClientContext>(client: &Client<C>, topic: &CStr, timeout: Duration) -> Option<Event> {
    let timeout_ms = timeout_ms(timeout);
    let mut names: [*const c_char; 1] = [topic.as_ptr()];
    let mut sentence: [c_char; 256] = [0; 256];
    // SAFETY: `client` is borrowed for the whole block, so its handle lives; `names` and the string in it outlive
    // the call that copies them; each object made here is destroyed by its guard, after the last use of it, and the
    // queue before the client. librdkafka allows every one of these calls from any thread.
    unsafe {
        let handle = client.native_ptr();
        let topics = Owned(rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), 1), |it| {
            rd_kafka_TopicCollection_destroy(it)
        });
        let options =
            Owned(rd_kafka_AdminOptions_new(handle, rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS), |it| {
                rd_kafka_AdminOptions_destroy(it)
            });
        // cannot be refused: the value is within its documented range
        rd_kafka_AdminOptions_set_request_timeout(options.0, timeout_ms, sentence.as_mut_ptr(), sentence.len());
        ask_for_rights(options.0);
        let queue = Owned(rd_kafka_queue_new(handle), |it| rd_kafka_queue_destroy(it));
        rd_kafka_DescribeTopics(handle, topics.0, options.0, queue.0);
        let event = rd_kafka_queue_poll(queue.0, timeout_ms.saturating_add(ANSWER_MARGIN_MS));
        (!event.is_null()).then(|| Event(Owned(event, |it| rd_kafka_event_destroy(it))))
    }
}

/// The answer to one DescribeTopics of one topic.
struct Event(Owned<rd_kafka_event_t>);

impl Event {
    fn topic_id(&self) -> Result<String, (RDKafkaErrorCode, String)> {
        let topic = self.topic()?;
        // SAFETY: the description belongs to the event, which lives as long as `self`; the string is copied.
        Ok(unsafe { text(rd_kafka_Uuid_base64str(rd_kafka_TopicDescription_topic_id(topic))) })
    }

    fn rights(&self) -> Result<Rights, (RDKafkaErrorCode, String)> {
        let (topic, mut count) = (self.topic()?, 0);
        // SAFETY: as above; what is null is no right.
        Ok(unsafe { rights(rd_kafka_TopicDescription_authorized_operations(topic, &mut count), count) })
    }

    /// The one that was asked about. It lives as long as `self`.
    fn topic(&self) -> Result<*const rd_kafka_TopicDescription_t, (RDKafkaErrorCode, String)> {
        let event = self.0.0;
        // SAFETY: the event lives as long as `self`, and all that is read from it here belongs to it; strings are
        // copied before the block ends. A null is checked for wherever librdkafka's header allows one.
        unsafe {
            let failed = rd_kafka_event_error(event);
            if failed != rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                return Err((failed.into(), text(rd_kafka_event_error_string(event))));
            }
            let result = rd_kafka_event_DescribeTopics_result(event);
            let mut count = 0;
            let topics = match result.is_null() {
                true => std::ptr::null_mut(),
                false => rd_kafka_DescribeTopics_result_topics(result, &mut count),
            };
            if topics.is_null() || count != 1 {
                return Err((RDKafkaErrorCode::BadMessage, format!("the answer is about {count} topics, not 1")));
            }
            let error = rd_kafka_TopicDescription_error(*topics);
            let code = rd_kafka_error_code(error);
            if code != rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                return Err((code.into(), text(rd_kafka_error_string(error))));
            }
            Ok(*topics)
        }
    }
}
