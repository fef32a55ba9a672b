//! Into a topic of Kafka.

use std::time::Duration;

use millrace_brokers::{Brokers, Kept};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};

use crate::error::{Error, Result};
use crate::kafka::Quiet;

/// librdkafka's word on a message comes within this time.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
const QUEUE_MESSAGES_MAX: usize = 10_000;

pub struct Kafka {
    producer: Kept<FutureProducer<Quiet>>,
    topic: String,
}

impl Kafka {
    /// Connects to nothing yet.
    pub fn new(brokers: &Brokers, topic: &str) -> Result<Kafka> {
        let mut config = brokers.client_config("millrace-web");
        config
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("linger.ms", "0")
            .set("message.timeout.ms", SEND_TIMEOUT.as_millis().to_string())
            .set("queue.buffering.max.messages", QUEUE_MESSAGES_MAX.to_string());
        let producer = config
            .create_with_context(Quiet)
            .map_err(|cause| Error::new("the producer's settings").caused_by(cause))?;
        Ok(Kafka { producer, topic: topic.into() })
    }

    /// Returns when the brokers have it; an error means that they may have it or not.
    pub async fn send(&self, key: &str, value: &[u8], headers: &[(String, Vec<u8>)]) -> Result<()> {
        let failed = |cause| Error::new(format!("topic `{}`", self.topic)).caused_by(cause);
        let mut record = FutureRecord::to(&self.topic).key(key).payload(value);
        record.headers = (!headers.is_empty()).then(|| owned(headers));
        let acknowledged = self.producer.send_result(record).map_err(|(cause, _)| failed(cause))?;
        match acknowledged.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err((cause, _))) => Err(failed(cause)),
            Err(_) => Err(Error::new("the producer is closed")),
        }
    }
}

fn owned(headers: &[(String, Vec<u8>)]) -> OwnedHeaders {
    let each = headers.iter().map(|(name, value)| Header { key: name, value: Some(value) });
    each.fold(OwnedHeaders::new(), OwnedHeaders::insert)
}
