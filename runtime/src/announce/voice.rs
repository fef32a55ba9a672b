//! The way of a heartbeat into its topic: a producer of its own, or the embedded folder.
//!
//! Invariant: bounded in time, one message at a time; the topic is made first, where the pipeline's file says how.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use millrace_embedded::{Folder, Record, now_ms};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::embedded::error;
use crate::error::Result;
use crate::ground::Ground;
use crate::kafka::{self, Brokers, Deliveries, Kept};
use crate::plan::{SourcePlan, StatusPlan};
use crate::topics;

/// A slow broker loses heartbeats, rather than getting old ones.
const SAY_MAX: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(20);
/// What a folder's topic keeps: half an hour of one process.
const FOLDER_ROWS_MAX: u64 = 1_000;

pub enum Voice {
    Kafka(Kafka),
    Embedded(Embedded),
}

/// The folder stays open from one heartbeat to the next, unless it failed.
pub struct Embedded {
    path: PathBuf,
    topic: String,
    folder: Option<Folder>,
}

pub struct Kafka {
    brokers: Brokers,
    plan: StatusPlan,
    producer: Option<Kept<BaseProducer<Deliveries>>>,
}

impl Voice {
    /// Connects to nothing yet.
    pub fn new(source: &SourcePlan, plan: StatusPlan, ground: &Ground) -> Voice {
        match ground {
            Ground::Services => Voice::Kafka(Kafka { brokers: source.brokers.clone(), plan, producer: None }),
            Ground::Embedded(folder) => {
                Voice::Embedded(Embedded { path: folder.clone(), topic: plan.topic, folder: None })
            }
        }
    }

    /// No text: this process is gone. Ok: the topic has it.
    pub fn say(&mut self, key: &str, text: Option<&str>) -> Result<()> {
        match self {
            Voice::Kafka(kafka) => kafka.say(key, text),
            Voice::Embedded(embedded) => embedded.say(key, text).map_err(error),
        }
    }
}

impl Embedded {
    fn say(&mut self, key: &str, text: Option<&str>) -> millrace_embedded::Result<()> {
        let mut folder = match self.folder.take() {
            Some(folder) => folder,
            None => Folder::open(&self.path)?,
        };
        append(&mut folder, &self.topic, key, text)?;
        self.folder = Some(folder);
        Ok(())
    }
}

impl Kafka {
    fn say(&mut self, key: &str, text: Option<&str>) -> Result<()> {
        let topic = self.plan.topic.clone();
        let producer = self.producer()?;
        let mut record = BaseRecord::to(&topic).key(key);
        record.payload = text;
        let failed = |cause| kafka::error(format!("writing to topic `{topic}`"), cause);
        producer.send(record).map_err(|(cause, _)| failed(cause))?;
        // its message is delivered or given up in time
        while producer.in_flight_count() > 0 {
            producer.poll(POLL);
        }
        producer.poll(Duration::ZERO);
        producer.context().failure()
    }

    fn producer(&mut self) -> Result<&Kept<BaseProducer<Deliveries>>> {
        let producer = match self.producer.take() {
            Some(producer) => producer,
            None => self.open()?,
        };
        Ok(self.producer.insert(producer))
    }

    fn open(&self) -> Result<Kept<BaseProducer<Deliveries>>> {
        let StatusPlan { topic, create } = &self.plan;
        let creates: BTreeMap<_, _> = create.iter().map(|create| (topic.clone(), *create)).collect();
        topics::make_all(&self.brokers, &creates, SAY_MAX)?;
        let mut config = self.brokers.client_config("millrace-status");
        config.set("message.timeout.ms", kafka::milliseconds(SAY_MAX)).set("linger.ms", "0").set("acks", "1");
        let failed = |cause| kafka::error(format!("a producer for topic `{topic}`"), cause);
        config.create_with_context(Deliveries::default()).map_err(failed)
    }
}

fn append(folder: &mut Folder, topic: &str, key: &str, text: Option<&str>) -> millrace_embedded::Result<()> {
    let mut transaction = folder.begin()?;
    let topic = transaction.topic(topic, 1, FOLDER_ROWS_MAX)?;
    let record =
        Record { timestamp_ms: now_ms(), key: Some(key.as_bytes()), value: text.map(str::as_bytes), headers: &[] };
    transaction.append(&topic, 0, [record])?;
    transaction.commit()
}
