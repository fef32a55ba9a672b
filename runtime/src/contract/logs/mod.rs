//! Replayable logs as their users have them, for the suites of sources and of transactions: a topic and a group of one
//! case's own, and eyes and hands that are no connector's.

pub mod embedded;
pub mod kafka;

use std::any::Any;
use std::collections::BTreeMap;
use std::time::Instant;

use crate::embedded::Share;
use crate::error::Kind;
use crate::ground::Ground;
use crate::plan::{GroupProtocol, SourcePlan, Start};
use crate::sink::Log;
use crate::source::{Committed, Source};

use super::{PATIENCE, TIMEOUT};

/// A message, on its way in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub timestamp_ms: i64,
    pub headers: Vec<(&'static str, Vec<u8>)>,
}

pub fn message(value: &str) -> Message {
    Message { value: Some(value.into()), timestamp_ms: 1_367_824_089_000, ..Message::default() }
}

pub type Keyed = (Option<Vec<u8>>, Vec<u8>);

pub trait Logs: Sized {
    /// Is a topic made when it is asked for?
    const MAKES_TOPICS: bool;
    /// Can a topic get more partitions?
    const GROWS: bool;
    /// Of a message, in bytes: more than is read ahead of a partition at once.
    const MESSAGE_BYTES_LARGE: usize = 5 << 20;

    /// What its topics take of a record.
    const RECORD_BYTES_MAX: usize;

    /// Names that nobody used before, and nothing made.
    fn fresh() -> Self;
    fn ground(&self) -> Ground;
    fn plan(&self) -> &SourcePlan;

    fn make_topic(&self, topic: &str, partitions: i32, rows_max: u64);
    fn delete_topic(&self, topic: &str);
    /// To so many partitions in all.
    fn grow_topic(&self, topic: &str, partitions: i32);
    /// What retention does: the partition begins at `first` then. (A log that counts rows has done so by itself.)
    fn drop_below(&self, topic: &str, partition: i32, first: i64);
    fn produce(&self, topic: &str, partition: i32, messages: &[Message]);
    /// Keys and values of the first partition, as far as they are committed.
    fn read(&self, topic: &str) -> Vec<Keyed>;

    /// After a commit of so many: a broker answers one before it has told the partitions, and a reader sees it a moment
    /// later.
    fn read_what_came(&self, topic: &str, count: usize) -> Vec<Keyed> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let read = self.read(topic);
            if read.len() >= count || Instant::now() > deadline {
                return read;
            }
        }
    }

    fn commit(&self, partition: i32, offset: i64, metadata: &str);
    fn committed(&self, partition: i32) -> Committed;

    /// Logs that are not there, and the address that errors must name.
    fn unreachable() -> Vec<Unreachable>;
}

pub struct Unreachable {
    pub ground: Ground,
    pub plan: SourcePlan,
    pub address: String,
    /// What makes it unreachable, as long as it is held.
    pub by: Box<dyn Any>,
}

pub const ALONE: Share = Share { worker: 0, of: 1 };
/// Of a topic that keeps everything.
pub const ALL: u64 = 1_000_000;

pub fn plan(brokers: String, name: &str, group_protocol: GroupProtocol) -> SourcePlan {
    SourcePlan {
        brokers: brokers.as_str().into(),
        topic: format!("{name}-in"),
        group: name.to_owned(),
        group_protocol,
        start: Start::Earliest,
        timeout: TIMEOUT,
        fields: Vec::new(),
        metadata: Vec::new(),
    }
}

/// A source that has told which log it is, and holds nothing.
pub fn source<L: Logs>(logs: &L, share: Share) -> Source {
    let id = format!("{}-{}", logs.plan().group, share.worker);
    let mut source = logs.ground().source(logs.plan(), &id, share).unwrap();
    identify(&mut source);
    source
}

/// A topic that is a moment old may not be known to every broker yet: as the engine, again.
pub fn identify(source: &mut Source) -> Log {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match source.identify(&[].into()) {
            Ok(log) => return log,
            Err(error) => assert!(error.kind == Kind::Retry && Instant::now() < deadline, "{error}"),
        }
    }
}

/// A source that holds every partition, each read from its committed offset, or from the beginning.
pub fn member<L: Logs>(logs: &L) -> Source {
    let mut source = source(logs, ALONE);
    source.subscribe().unwrap();
    wait_for_partitions(&mut source);
    let committed = source.committed().unwrap();
    let starts: BTreeMap<_, _> = committed.iter().map(|(partition, c)| (*partition, c.offset.unwrap_or(0))).collect();
    source.start(&starts).unwrap();
    source
}

pub fn wait_for_partitions(source: &mut Source) {
    let deadline = std::time::Instant::now() + PATIENCE;
    let patient = || std::time::Instant::now() > deadline;
    assert!(source.wait_for_partitions(patient).unwrap(), "the group gave no partition");
}

/// Every case of a suite in which no group has a part, for each log: a line for one.
macro_rules! on_each_topic {
    ($cases:tt) => {
        on_log!(on_kafka: crate::contract::logs::kafka::Kafka; $cases);
        on_log!(embedded: crate::contract::logs::embedded::Embedded; $cases);
    };
}

/// And of one that is about groups too.
macro_rules! on_each_log {
    ($cases:tt) => {
        on_each_topic!($cases);
        on_log!(on_kafka_with_a_classic_group: crate::contract::logs::kafka::KafkaClassic; $cases);
    };
}

macro_rules! on_log {
    ($connector:ident: $logs:ty; { $($file:ident::$case:ident)+ }) => {
        mod $connector {
            use super::*;

            $(#[test]
            fn $case() {
                $file::$case::<$logs>();
            })+
        }
    };
}
