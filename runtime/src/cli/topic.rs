//! A topic that lines are written to, wherever it is.

use std::path::Path;
use std::time::Duration;

use millrace::kafka;
use millrace_embedded::{Folder, Record, TOPIC_ROWS_MAX, now_ms};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::ground::Ground;

/// Lines that are written to an embedded topic at once.
const CHUNK_LINES_MAX: usize = 1_000;
const TIMEOUT: Duration = Duration::from_secs(30);

pub enum Topic {
    Kafka { producer: BaseProducer<kafka::Deliveries>, topic: String },
    Embedded { folder: Box<Folder>, topic: String, lines: Vec<(Option<String>, String)>, written: Vec<(i32, i64)> },
}

impl Topic {
    /// `positions`: [`Topic::written`] will be asked for.
    pub fn open(topic: &str, ground: &Ground, positions: bool) -> Result<Topic, String> {
        let topic = topic.to_owned();
        match &ground.embedded {
            Some(folder) => Topic::embedded(folder, topic),
            None => {
                let deliveries =
                    if positions { kafka::Deliveries::with_positions() } else { kafka::Deliveries::default() };
                let mut config = kafka::client_config(&ground.brokers, "millrace-produce");
                config.set("message.timeout.ms", kafka::milliseconds(TIMEOUT));
                let producer = config.create_with_context(deliveries).map_err(|error| format!("error: {error}"))?;
                Ok(Topic::Kafka { producer, topic })
            }
        }
    }

    fn embedded(folder: &Path, topic: String) -> Result<Topic, String> {
        let folder = Folder::open(folder).map_err(|error| format!("error: {error}"))?;
        Ok(Topic::Embedded { folder: Box::new(folder), topic, lines: Vec::new(), written: Vec::new() })
    }

    pub fn send(&mut self, key: Option<String>, line: String) -> Result<(), String> {
        match self {
            Topic::Kafka { producer, topic } => send(producer, topic, key.as_deref(), &line),
            Topic::Embedded { lines, .. } => {
                lines.push((key, line));
                if lines.len() >= CHUNK_LINES_MAX { self.write() } else { Ok(()) }
            }
        }
    }

    /// Partition and offset of what was acknowledged since the last look; to be looked at after each line.
    pub fn written(&mut self) -> Vec<(i32, i64)> {
        match self {
            Topic::Kafka { producer, .. } => producer.context().acknowledged(),
            Topic::Embedded { written, .. } => std::mem::take(written),
        }
    }

    /// What is waiting to fill a chunk goes now.
    pub fn write(&mut self) -> Result<(), String> {
        let Topic::Embedded { folder, topic, lines, written } = self else { return Ok(()) };
        // whoever does not ask for them has no use for the last chunk's
        *written = append(folder, topic, lines).map_err(|error| format!("error: {error}"))?;
        lines.clear();
        Ok(())
    }

    /// Waits until everything is acknowledged.
    pub fn finish(&mut self) -> Result<(), String> {
        self.write()?;
        let Topic::Kafka { producer, topic } = self else { return Ok(()) };
        producer.flush(TIMEOUT).map_err(|error| format!("error: writing to topic `{topic}`: {error}"))?;
        producer.context().failure().map_err(|error| format!("error: {error}"))
    }
}

fn send(producer: &BaseProducer<kafka::Deliveries>, topic: &str, key: Option<&str>, line: &str) -> Result<(), String> {
    let mut record = BaseRecord::<str, str>::to(topic).payload(line);
    record.key = key;
    loop {
        match producer.send(record) {
            Ok(()) => {
                producer.poll(Duration::ZERO);
                return Ok(());
            }
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                producer.poll(Duration::from_millis(10));
                record = back;
            }
            Err((error, _)) => return Err(format!("error: writing to topic `{topic}`: {error}")),
        }
    }
}

fn append(
    folder: &mut Folder,
    topic: &str,
    lines: &[(Option<String>, String)],
) -> millrace_embedded::Result<Vec<(i32, i64)>> {
    let timestamp_ms = now_ms();
    let mut transaction = folder.begin()?;
    let topic = transaction.topic(topic, 1, TOPIC_ROWS_MAX)?;
    let mut written = Vec::new();
    for partition in 0..topic.partitions {
        let theirs = lines.iter().zip((0..topic.partitions).cycle()).filter(|(_, its)| *its == partition);
        let theirs: Vec<_> = theirs.collect();
        let records = theirs.iter().map(|((key, line), _)| Record {
            timestamp_ms,
            key: key.as_ref().map(String::as_bytes),
            value: Some(line.as_bytes()),
            headers: &[],
        });
        let first = transaction.append(&topic, partition, records)?;
        written.extend((first..).take(theirs.len()).map(|offset| (partition, offset)));
    }
    transaction.commit()?;
    Ok(written)
}
