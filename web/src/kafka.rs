//! What every Kafka client here has in common, and the way of a flight into its topic.
//!
//! Invariant: a flight counts as sent only once the brokers have acknowledged it.

use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::producer::{FutureProducer, FutureRecord};

use crate::error::{Error, Result};

/// librdkafka's word on a message comes within this time.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
const QUEUE_MESSAGES_MAX: usize = 10_000;

/// librdkafka's settings for a client of these brokers; a lost broker is tried again within half a second.
pub fn client_config(brokers: &str, client_id: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("client.id", client_id)
        .set("reconnect.backoff.max.ms", "500")
        .set("allow.auto.create.topics", "false")
        .set_log_level(RDKafkaLogLevel::Warning);
    config
}

/// Its broker-down chatter repeats what our own lines say, so it is for debugging.
pub struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(target: "millrace_web::librdkafka", facility, "{message}");
            }
            _ => tracing::debug!(target: "millrace_web::librdkafka", facility, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "millrace_web::librdkafka", %error, "{reason}");
    }
}

impl ConsumerContext for Quiet {}

pub struct Requests {
    producer: FutureProducer<Quiet>,
    topic: String,
}

impl Requests {
    /// Connects to nothing yet.
    pub fn new(brokers: &str, topic: &str) -> Result<Requests> {
        let mut config = client_config(brokers, "millrace-web");
        config
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("linger.ms", "0")
            .set("message.timeout.ms", SEND_TIMEOUT.as_millis().to_string())
            .set("queue.buffering.max.messages", QUEUE_MESSAGES_MAX.to_string());
        let producer = FutureProducer::from_config_and_context(&config, Quiet)
            .map_err(|cause| Error::new("the producer's settings").caused_by(cause))?;
        Ok(Requests { producer, topic: topic.into() })
    }

    /// Returns when the brokers have it; an error means that they may have it or not.
    pub async fn send(&self, key: &str, value: &[u8]) -> Result<()> {
        let failed = |cause| Error::new(format!("topic `{}`", self.topic)).caused_by(cause);
        let record = FutureRecord::to(&self.topic).key(key).payload(value);
        let acknowledged = self.producer.send_result(record).map_err(|(cause, _)| failed(cause))?;
        match acknowledged.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err((cause, _))) => Err(failed(cause)),
            Err(_) => Err(Error::new("the producer is closed")),
        }
    }
}
