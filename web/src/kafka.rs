//! What every Kafka client here has in common.

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;

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
