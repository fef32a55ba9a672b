//! Topics of a pipeline, made where they are not there: at a start, where the file says so (`create`), and by `millrace
//! topics create`.
//!
//! Invariant: a topic that is there stays as it is, and is not asked to be made: that takes a right of its own.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use futures::executor::block_on;
use millrace_embedded::{Folder, TOPIC_ROWS_MAX};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;

use crate::error::{Error, Result};
use crate::kafka::{self, Brokers, Kept, Quiet};
use crate::plan::{Create, Plan};

/// Where a file does not say how a topic is made.
const DEFAULT: Create = Create { partitions: 4, replication: 1, retention_ms: None, compact: false };
/// Heartbeats are few.
const DEFAULT_OF_STATUS: Create = Create { partitions: 1, compact: true, ..DEFAULT };

/// What a pipeline has a topic for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    Source,
    Sink(String),
    Rejects,
    Status,
}

impl Role {
    /// What the pipeline does with it, by Kafka's own names of rights.
    pub fn needs(&self) -> &'static [&'static str] {
        match self {
            Role::Source => &["READ", "DESCRIBE"],
            Role::Sink(_) | Role::Rejects | Role::Status => &["WRITE", "DESCRIBE"],
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Role::Source => f.write_str("source"),
            Role::Sink(name) => write!(f, "sink {name}"),
            Role::Rejects => f.write_str("rejects"),
            Role::Status => f.write_str("heartbeats"),
        }
    }
}

/// Every topic of a pipeline; no two are the same.
pub fn roles(plan: &Plan) -> BTreeMap<&str, Role> {
    let role = |sink: &crate::plan::SinkPlan| {
        if sink.is_rejects() { Role::Rejects } else { Role::Sink(sink.name.to_string()) }
    };
    let sinks = plan.sinks.iter().chain([&plan.rejects]).filter_map(|sink| Some((sink.topic()?, role(sink))));
    let status = plan.status.iter().map(|status| (status.topic.as_str(), Role::Status));
    [(plan.source.topic.as_str(), Role::Source)].into_iter().chain(sinks).chain(status).collect()
}

/// Every topic of a pipeline, and how it is made.
pub fn all(plan: &Plan) -> BTreeMap<String, Create> {
    let create = |(topic, role): (&str, Role)| {
        let create = match role {
            Role::Status => plan.status.as_ref().and_then(|status| status.create).unwrap_or(DEFAULT_OF_STATUS),
            _ => plan.creates.get(topic).copied().unwrap_or(DEFAULT),
        };
        (topic.to_owned(), create)
    };
    roles(plan).into_iter().map(create).collect()
}

/// What became of each topic: true, it was made; false, it was there already.
pub type Made = Vec<(String, Result<bool>)>;

pub fn make(brokers: &Brokers, topics: &BTreeMap<String, Create>, timeout: Duration) -> Result<Made> {
    let failed = |cause| kafka::error(format!("creating topics at {brokers}"), cause);
    let config = brokers.client_config("millrace-topics");
    // an admin client does not say why brokers are silent
    let consumer: Kept<BaseConsumer<Quiet>> = config.create_with_context(Quiet::default()).map_err(failed)?;
    let mut made = Made::new();
    let mut missing = Vec::new();
    for (topic, create) in topics {
        let found = consumer.fetch_metadata(Some(topic), timeout);
        let what = || format!("creating topics at {brokers}");
        let found = found.map_err(|cause| kafka::unanswered(brokers, &consumer, what(), cause))?;
        let unknown = Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
        match found.topics().iter().find(|found| found.name() == topic) {
            Some(found) if found.error() != unknown => made.push((topic.clone(), Ok(false))),
            _ => missing.push((topic, create, retention_ms(create))),
        }
    }
    if missing.is_empty() {
        return Ok(made);
    }
    let new = missing.iter().map(|(topic, create, retention_ms)| {
        let new = NewTopic::new(topic, create.partitions, TopicReplication::Fixed(create.replication));
        settings(create, retention_ms).into_iter().fold(new, |new, (name, value)| new.set(name, value))
    });
    let options = AdminOptions::new().request_timeout(Some(timeout)).operation_timeout(Some(timeout));
    let admin: Kept<AdminClient<Quiet>> = config.create_with_context(Quiet::default()).map_err(failed)?;
    let answers = block_on(admin.create_topics(&new.collect::<Vec<_>>(), &options)).map_err(failed)?;
    made.extend(answers.into_iter().map(|answer| match answer {
        Ok(topic) => (topic, Ok(true)),
        // another worker was quicker
        Err((topic, RDKafkaErrorCode::TopicAlreadyExists)) => (topic, Ok(false)),
        Err((topic, code)) => {
            let what = format!("creating topic `{topic}` at {brokers}");
            (topic, Err(kafka::error(what, KafkaError::AdminOp(code))))
        }
    }));
    Ok(made)
}

/// Of a compacted topic that stays small: what was said again goes within minutes, and what nobody says any more too.
const COMPACTED: [(&str, &str); 2] = [("cleanup.policy", "compact,delete"), ("segment.ms", "600000")];
const COMPACTED_RETENTION_MS: u64 = 3_600_000;

fn retention_ms(create: &Create) -> Option<String> {
    let default = create.compact.then_some(COMPACTED_RETENTION_MS);
    create.retention_ms.or(default).map(|ms| ms.to_string())
}

fn settings<'s>(create: &Create, retention_ms: &'s Option<String>) -> Vec<(&'static str, &'s str)> {
    let retention = retention_ms.iter().map(|ms| ("retention.ms", ms.as_str()));
    let compacted = COMPACTED.into_iter().filter(|_| create.compact);
    retention.chain(compacted).collect()
}

/// Those that the pipeline's file says how to make; every one of them is there afterwards.
pub fn make_all(brokers: &Brokers, topics: &BTreeMap<String, Create>, timeout: Duration) -> Result<()> {
    if topics.is_empty() {
        return Ok(());
    }
    for (topic, made) in make(brokers, topics, timeout)? {
        if made.map_err(|error: Error| error.at("the pipeline's `create`"))? {
            tracing::info!(topic, partitions = topics[&topic].partitions, "topic made");
        }
    }
    Ok(())
}

/// The same in a folder, which keeps a number of messages of each partition, whatever the file says of time. True: it
/// was made.
pub fn make_in(folder: &Path, topics: &BTreeMap<String, Create>) -> millrace_embedded::Result<BTreeMap<String, bool>> {
    let mut folder = Folder::open(folder)?;
    let mut transaction = folder.begin()?;
    let mut made = BTreeMap::new();
    for (topic, create) in topics {
        made.insert(topic.clone(), transaction.folder().topic(topic)?.is_none());
        transaction.topic(topic, create.partitions, TOPIC_ROWS_MAX)?;
    }
    transaction.commit()?;
    Ok(made)
}
