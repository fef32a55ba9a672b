//! The way of a flight into its topic.
//!
//! Invariant: a flight counts as sent only once the log has it for good.

mod embedded;
mod kafka;

use self::embedded::Embedded;
use self::kafka::Kafka;
use crate::error::Result;
use crate::settings::Settings;

pub enum Requests {
    Kafka(Kafka),
    Embedded(Embedded),
}

impl Requests {
    /// Connects to nothing yet.
    pub fn new(settings: &Settings) -> Result<Requests> {
        Ok(match &settings.embedded {
            None => Requests::Kafka(Kafka::new(&settings.brokers()?, &settings.request_topic)?),
            Some(folder) => Requests::Embedded(Embedded::new(folder, &settings.request_topic)?),
        })
    }

    /// Returns when the log has it; an error means that it may have it or not.
    pub async fn send(&self, key: &str, value: &[u8], headers: &[(String, Vec<u8>)]) -> Result<()> {
        match self {
            Requests::Kafka(requests) => requests.send(key, value, headers).await,
            Requests::Embedded(requests) => requests.send(key, value, headers).await,
        }
    }
}
