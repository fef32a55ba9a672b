//! A topic that lines are written to, wherever it is.
//!
//! Invariant: each line is there once, in the order in which the lines came; after a failure it is known up to which
//! one all of them are there.

use std::path::Path;
use std::time::Duration;

use millrace::kafka::{self, Brokers, Hears, Kept};
use millrace::sink::embedded::RECORD_BYTES_MAX;
use millrace::topic::Place;
use millrace_embedded::{Folder, Record, TOPIC_ROWS_MAX, now_ms};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, PurgeConfig};

use super::ground::Ground;
use super::receipts::Receipts;

/// Lines that are written to an embedded topic at once.
const CHUNK_LINES_MAX: usize = 1_000;
const TIMEOUT: Duration = Duration::from_secs(30);
const ASK_TIMEOUT: Duration = Duration::from_secs(10);

pub enum Topic {
    Kafka {
        producer: Kept<BaseProducer<Receipts>>,
        topic: String,
    },
    Embedded {
        folder: Box<Folder>,
        topic: String,
        lines: Vec<Line>,
        positions: Vec<(i32, i64)>,
        /// The line that ended it: too large for a topic.
        refused: Option<usize>,
    },
}

pub struct Line {
    /// In the input, from 1; each is higher than the one before.
    pub number: usize,
    pub key: Option<String>,
    pub text: String,
}

/// How much of the input is in the topic.
pub struct There {
    /// All that was sent, up to this one.
    pub through: usize,
    /// Of those behind it, some may be there too.
    pub perhaps_more: bool,
}

impl Topic {
    /// `positions`: [`Topic::positions`] will be asked for.
    pub fn open(topic: &str, ground: &Ground, positions: bool) -> Result<Topic, String> {
        let topic = topic.to_owned();
        match &ground.embedded {
            Some(folder) => Topic::embedded(folder, topic),
            None => {
                let brokers = ground.brokers()?;
                let mut config = kafka::producer_config(&brokers, "millrace-produce");
                config.set("message.timeout.ms", kafka::milliseconds(TIMEOUT));
                let producer: Kept<BaseProducer<Receipts>> = config
                    .create_with_context(Receipts::new(positions))
                    .map_err(|cause| format!("error: {}", kafka::error("the producer's settings", cause)))?;
                must_be_there(&producer, &brokers, &topic).map_err(|error| format!("error: {error}"))?;
                Ok(Topic::Kafka { producer, topic })
            }
        }
    }

    fn embedded(folder: &Path, topic: String) -> Result<Topic, String> {
        let folder = Folder::open(folder).map_err(|error| format!("error: {error}"))?;
        Ok(Topic::Embedded { folder: Box::new(folder), topic, lines: Vec::new(), positions: Vec::new(), refused: None })
    }

    /// An error may be about lines before this one.
    pub fn send(&mut self, line: Line) -> Result<(), String> {
        match self {
            Topic::Kafka { producer, topic } => send(producer, topic, &line),
            Topic::Embedded { lines, topic, refused, .. } => {
                fits(topic, &line).inspect_err(|_| *refused = Some(line.number))?;
                lines.push(line);
                if lines.len() >= CHUNK_LINES_MAX { self.write() } else { Ok(()) }
            }
        }
    }

    /// Partition and offset of what was acknowledged since the last look; to be looked at after each line.
    pub fn positions(&mut self) -> Vec<(i32, i64)> {
        match self {
            Topic::Kafka { producer, .. } => producer.context().positions(),
            Topic::Embedded { positions, .. } => std::mem::take(positions),
        }
    }

    /// What is waiting to fill a chunk goes now.
    pub fn write(&mut self) -> Result<(), String> {
        let Topic::Embedded { folder, topic, lines, positions, .. } = self else { return Ok(()) };
        if lines.is_empty() {
            return Ok(());
        }
        // whoever does not ask for them has no use for the last chunk's
        *positions = append(folder, topic, lines).map_err(|error| format!("error: {error}"))?;
        lines.clear();
        Ok(())
    }

    /// Waits until everything is acknowledged; after a failure, until it is known what is.
    pub fn finish(&mut self) -> Result<(), String> {
        self.write()?;
        let Topic::Kafka { producer, topic } = self else { return Ok(()) };
        if producer.context().failure().is_some() {
            // what was not sent yet would come after the hole
            producer.purge(PurgeConfig::default().queue());
        }
        producer.flush(TIMEOUT).map_err(|error| said(topic, &error))?;
        failure(producer, topic)
    }

    /// `sent`: the number of the last line that was sent.
    pub fn there(&self, sent: usize) -> There {
        let missing = match self {
            Topic::Kafka { producer, .. } => producer.context().first_missing(),
            Topic::Embedded { lines, refused, .. } => lines.first().map(|line| line.number).or(*refused),
        };
        let perhaps_more = missing.is_some() && matches!(self, Topic::Kafka { .. });
        There { through: missing.map_or(sent, |missing| missing - 1), perhaps_more }
    }
}

/// Before the first line is sent, for a line that waits for its brokers says nothing of them.
fn must_be_there(producer: &BaseProducer<Receipts>, brokers: &Brokers, topic: &str) -> millrace::error::Result<()> {
    let found = kafka::ask(
        brokers,
        ASK_TIMEOUT,
        |timeout| producer.client().fetch_metadata(Some(topic), timeout),
        || {
            producer.poll(Duration::ZERO);
            producer.context().why()
        },
    )?;
    let error = found.topics().iter().find(|found| found.name() == topic).and_then(|found| found.error());
    match error.map(RDKafkaErrorCode::from) {
        None => Ok(()),
        Some(RDKafkaErrorCode::UnknownTopicOrPartition) => Err(Place::Brokers(brokers.clone()).lacks(topic)),
        Some(code) => {
            let what = format!("topic `{topic}` at {brokers} cannot be written to");
            Err(kafka::error(what, KafkaError::MetadataFetch(code)))
        }
    }
}

fn said(topic: &str, error: &KafkaError) -> String {
    format!("error: writing to topic `{topic}`: {error}")
}

fn failure(producer: &BaseProducer<Receipts>, topic: &str) -> Result<(), String> {
    producer.context().failure().map_or(Ok(()), |error| Err(said(topic, &error)))
}

/// Nothing more goes once a delivery failed.
fn send(producer: &BaseProducer<Receipts>, topic: &str, line: &Line) -> Result<(), String> {
    let mut record = BaseRecord::<str, str, usize>::with_opaque_to(topic, line.number).payload(&line.text);
    record.key = line.key.as_deref();
    producer.context().sent(line.number);
    loop {
        match producer.send(record) {
            Ok(()) => {
                producer.poll(Duration::ZERO);
                return failure(producer, topic);
            }
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                producer.poll(Duration::from_millis(10));
                failure(producer, topic)?;
                record = back;
            }
            Err((error, _)) => return Err(said(topic, &error)),
        }
    }
}

/// As a broker's own limit, which an embedded topic has too.
fn fits(topic: &str, line: &Line) -> Result<(), String> {
    let bytes = line.key.as_ref().map_or(0, String::len) + line.text.len();
    match bytes > RECORD_BYTES_MAX {
        false => Ok(()),
        true => Err(format!(
            "error: line {} is {bytes} bytes with its key, and a message of {topic}, a topic of a folder, has at most \
             {RECORD_BYTES_MAX}",
            line.number
        )),
    }
}

fn append(folder: &mut Folder, topic: &str, lines: &[Line]) -> millrace_embedded::Result<Vec<(i32, i64)>> {
    let timestamp_ms = now_ms();
    let mut transaction = folder.begin()?;
    let topic = transaction.topic(topic, 1, TOPIC_ROWS_MAX)?;
    let mut written = Vec::new();
    for partition in 0..topic.partitions {
        // in turn, however many lines a chunk has
        let is_theirs = |line: &&Line| (line.number - 1) % topic.partitions as usize == partition as usize;
        let theirs: Vec<_> = lines.iter().filter(is_theirs).collect();
        let records = theirs.iter().map(|line| Record {
            timestamp_ms,
            key: line.key.as_ref().map(String::as_bytes),
            value: Some(line.text.as_bytes()),
            headers: &[],
        });
        let first = transaction.append(&topic, partition, records)?;
        written.extend((first..).take(theirs.len()).map(|offset| (partition, offset)));
    }
    transaction.commit()?;
    Ok(written)
}
