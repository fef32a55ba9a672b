//! Replayable logs that a pipeline reads: one `match` for each act.
//!
//! Invariant: no message is handed out before the engine has said where to begin in its partition, and partitions are
//! given back only when the engine says so. Offsets are never committed from here.

mod admission;
pub(crate) mod broker;
pub mod embedded;
pub mod group;
pub mod kafka;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::ConsumerGroupMetadata;

use crate::error::{Error, Result};
use crate::json::decode::Message;
use crate::plan::Start;
use crate::sink::Log;

/// What is committed of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    pub offset: Option<i64>,
    pub metadata: String,
}

/// Offsets [first, end) that the log still holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    pub first: i64,
    pub end: i64,
}

/// Who the consumer was when rows were read.
#[derive(Clone)]
pub enum Membership {
    Kafka(Arc<ConsumerGroupMetadata>),
    /// One process holds the log, and its workers share the partitions out for good.
    Embedded,
}

pub enum Source {
    Kafka(Box<kafka::Source>),
    Embedded(Box<embedded::Source>),
}

/// A message, wherever it comes from.
pub enum Record<'a> {
    Kafka(kafka::Record<'a>),
    Embedded(embedded::Record),
}

impl Source {
    /// Asks which log this is, and whether every topic in `topics` is there.
    pub fn identify(&mut self, topics: &BTreeSet<&str>) -> Result<Log> {
        match self {
            Source::Kafka(source) => source.identify(topics),
            Source::Embedded(source) => source.identify(topics),
        }
    }

    pub fn subscribe(&self) -> Result<()> {
        match self {
            Source::Kafka(source) => source.subscribe(),
            Source::Embedded(_) => Ok(()),
        }
    }

    /// Waits until this worker has partitions: true; or until `stopping` says so: false.
    pub fn wait_for_partitions(&mut self, stopping: impl Fn() -> bool) -> Result<bool> {
        match self {
            Source::Kafka(source) => source.wait_for_partitions(stopping),
            Source::Embedded(source) => Ok(source.wait_for_partitions(stopping)),
        }
    }

    /// Has the group asked for something that [`Source::wait_for_partitions`] has not taken up?
    pub fn changed(&self) -> bool {
        match self {
            Source::Kafka(source) => source.changed(),
            Source::Embedded(_) => false,
        }
    }

    /// Offsets committed by the group, and what was written beside them. Waits for pending transactions.
    pub fn committed(&mut self) -> Result<BTreeMap<i32, Committed>> {
        match self {
            Source::Kafka(source) => source.committed(),
            Source::Embedded(source) => source.committed(),
        }
    }

    /// Does the group have an offset in any of the topic's partitions, whoever holds them?
    pub fn group_is_known(&mut self) -> Result<bool> {
        match self {
            Source::Kafka(source) => source.group_is_known(),
            Source::Embedded(source) => source.group_is_known(),
        }
    }

    pub fn extent(&self, partition: i32) -> Result<Extent> {
        match self {
            Source::Kafka(source) => source.extent(partition),
            Source::Embedded(source) => source.extent(partition),
        }
    }

    /// Reads each held partition from its offset on.
    pub fn start(&mut self, starts: &BTreeMap<i32, i64>) -> Result<()> {
        match self {
            Source::Kafka(source) => source.start(starts),
            Source::Embedded(source) => {
                source.start(starts);
                Ok(())
            }
        }
    }

    /// The next message, if one comes in time. A log that is away for a while is no error.
    pub fn poll(&self, timeout: Duration) -> Result<Option<Record<'_>>> {
        Ok(match self {
            Source::Kafka(source) => source.poll(timeout)?.map(Record::Kafka),
            Source::Embedded(source) => source.poll(timeout)?.map(Record::Embedded),
        })
    }

    /// Nothing more can be taken in for a while.
    pub fn pause(&self) -> Result<()> {
        match self {
            Source::Kafka(source) => source.pause(),
            Source::Embedded(_) => Ok(()),
        }
    }

    pub fn resume(&self) -> Result<()> {
        match self {
            Source::Kafka(source) => source.resume(),
            Source::Embedded(_) => Ok(()),
        }
    }

    /// Keeps the membership alive while nothing can be taken in.
    pub fn idle(&self, time: Duration) -> Result<()> {
        match self {
            Source::Kafka(source) => match source.poll(time)? {
                None => Ok(()),
                Some(_) => Err(Error::retry("a message came while reading was paused: it is read again")),
            },
            Source::Embedded(_) => {
                std::thread::sleep(time);
                Ok(())
            }
        }
    }

    /// The log's ends, as far as they are known without asking anybody.
    pub fn ends(&self) -> BTreeMap<i32, i64> {
        match self {
            Source::Kafka(source) => source.ends(),
            Source::Embedded(source) => source.ends(),
        }
    }

    /// Learns the log's ends while nobody polls, and so nobody is told; or not, if the log gives no answer soon.
    pub fn ask_ends(&self) {
        match self {
            Source::Kafka(source) => source.ask_ends(),
            // it is asked each time
            Source::Embedded(_) => {}
        }
    }

    /// Who this worker is, for the commit of what was read until now.
    pub fn membership(&self) -> Result<Membership> {
        match self {
            Source::Kafka(source) => source.group_metadata().map(Membership::Kafka),
            Source::Embedded(_) => Ok(Membership::Embedded),
        }
    }
}

impl Message for Record<'_> {
    fn partition(&self) -> i32 {
        match self {
            Record::Kafka(record) => record.partition(),
            Record::Embedded(record) => record.partition(),
        }
    }

    fn offset(&self) -> i64 {
        match self {
            Record::Kafka(record) => record.offset(),
            Record::Embedded(record) => record.offset(),
        }
    }

    fn timestamp_ms(&self) -> Option<i64> {
        match self {
            Record::Kafka(record) => record.timestamp_ms(),
            Record::Embedded(record) => record.timestamp_ms(),
        }
    }

    fn key(&self) -> Option<&[u8]> {
        match self {
            Record::Kafka(record) => record.key(),
            Record::Embedded(record) => record.key(),
        }
    }

    fn value(&self) -> Option<&[u8]> {
        match self {
            Record::Kafka(record) => record.value(),
            Record::Embedded(record) => record.value(),
        }
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        match self {
            Record::Kafka(record) => record.header(name),
            Record::Embedded(record) => record.header(name),
        }
    }
}

/// Where a partition without a committed offset begins. `latest` is for a group that begins: a partition that came
/// later, or whose offset expired, holds rows that nobody has seen.
pub fn first_start(start: Start, extent: Extent, group_is_known: bool) -> i64 {
    match start {
        Start::Latest if !group_is_known => extent.end,
        Start::Earliest | Start::Latest => extent.first,
    }
}
