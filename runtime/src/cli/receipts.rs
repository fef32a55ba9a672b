//! What the brokers have acknowledged of the lines that were sent to them, and what they have not.
//!
//! Invariant: a line is missing from its sending until its delivery, whatever order the partitions answer in. Bounded by
//! librdkafka's own queue.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use millrace::kafka::{self, Hears, Quiet};
use rdkafka::Message;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;

/// A producer's context; what comes with a message is the number of its line.
pub struct Receipts {
    quiet: Quiet,
    state: Mutex<State>,
    keeps_positions: bool,
}

#[derive(Default)]
struct State {
    missing: BTreeSet<usize>,
    positions: Vec<(i32, i64)>,
    failed: Option<KafkaError>,
}

impl Receipts {
    pub fn new(keeps_positions: bool) -> Receipts {
        Receipts { quiet: Quiet::default(), state: Mutex::default(), keeps_positions }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn sent(&self, number: usize) {
        self.state().missing.insert(number);
    }

    /// The first line that was sent and is not known to be in the topic.
    pub fn first_missing(&self) -> Option<usize> {
        self.state().missing.first().copied()
    }

    /// Partition and offset of what was acknowledged since the last look, in that order.
    pub fn positions(&self) -> Vec<(i32, i64)> {
        std::mem::take(&mut self.state().positions)
    }

    /// The first delivery that failed.
    pub fn failure(&self) -> Option<KafkaError> {
        self.state().failed.clone()
    }
}

impl Hears for Receipts {
    fn why(&self) -> Option<String> {
        self.quiet.why()
    }
}

impl ClientContext for Receipts {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        kafka::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.quiet.error(error, reason);
    }
}

impl ProducerContext for Receipts {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        let mut state = self.state();
        match result {
            Ok(message) => {
                state.missing.remove(&number);
                if self.keeps_positions {
                    state.positions.push((message.partition(), message.offset()));
                }
            }
            Err((error, _)) => drop(state.failed.get_or_insert_with(|| error.clone())),
        }
    }
}
