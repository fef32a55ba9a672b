//! A topic looked at from outside: its messages from offsets that the caller names, for people who want to see inside.
//!
//! Invariant: joins no consumer group, commits nothing, and makes no topic or folder, so that it can disturb nobody.
//! Only committed messages are seen. Knows nothing of pipelines. Used by people who look, and by the engine, where a
//! sink that is behind reads its rows again.

mod embedded;
mod kafka;
pub mod search;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::ground::Ground;
use crate::json::decode::Message;
use crate::kafka::Brokers;
use crate::plan::SourcePlan;
use crate::sink::{Log, Positions};
use crate::source::{Committed, Extent, Record};

/// Whoever waits for the end of a log gives up when nothing came for so long.
const SILENCE_MAX: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(500);
const LOOKING_TIMEOUT: Duration = Duration::from_secs(10);

/// What becomes of offsets that retention drops before they were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    PassedOver,
    AnError,
}

/// How a topic is read.
#[derive(Clone, Copy, Debug)]
pub struct Manner<'a> {
    /// As the brokers know this client.
    pub who: &'a str,
    /// For each question to the brokers.
    pub timeout: Duration,
    pub dropped: Dropped,
    /// Somebody waits: brokers that are away are said before the time is over.
    pub is_awaited: bool,
}

impl<'a> Manner<'a> {
    /// Of people who look.
    pub fn looking(who: &'a str) -> Manner<'a> {
        Manner { who, timeout: LOOKING_TIMEOUT, dropped: Dropped::PassedOver, is_awaited: true }
    }
}

/// Where topics are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Brokers(Brokers),
    Folder(PathBuf),
}

impl Place {
    /// Where a pipeline's source is.
    pub fn of(ground: &Ground, source: &SourcePlan) -> Place {
        match ground {
            Ground::Services => Place::Brokers(source.brokers.clone()),
            Ground::Embedded(folder) => Place::Folder(folder.clone()),
        }
    }
}

impl Place {
    /// What to do about a topic that is not there.
    pub fn lacks(&self, topic: &str) -> Error {
        let missing = match self {
            Place::Brokers(_) => "it is not there: `millrace topics create` makes the topics of a pipeline's file",
            Place::Folder(_) => {
                "it is not there: `millrace run` with this folder makes its topics, and so do `millrace topics create` \
                 and `millrace produce`"
            }
        };
        Error::retry(missing).at(format!("topic `{topic}` {self}"))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Brokers(brokers) => write!(f, "at {brokers}"),
            Place::Folder(folder) => write!(f, "in {}", folder.display()),
        }
    }
}

/// Where reading begins in each partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    Earliest,
    Latest,
    /// Or with the first that the partition still has.
    Offset(i64),
}

impl FromStr for Begin {
    type Err = String;

    fn from_str(text: &str) -> Result<Begin, String> {
        match text {
            "earliest" => Ok(Begin::Earliest),
            "latest" => Ok(Begin::Latest),
            number => match number.parse() {
                Ok(offset) if offset >= 0 => Ok(Begin::Offset(offset)),
                _ => Err("expected earliest, latest, or an offset from 0 on".into()),
            },
        }
    }
}

impl Begin {
    fn at(self, extent: Extent) -> i64 {
        match self {
            Begin::Earliest => extent.first,
            Begin::Latest => extent.end,
            Begin::Offset(offset) => offset.clamp(extent.first, extent.end),
        }
    }
}

/// What a look at the log gave.
pub enum Event<'a> {
    Message(Record<'a>),
    /// The partition was read to its end, as it is now. Said again when it was read to a later one.
    End(i32),
    /// Nothing came in time.
    Nothing,
}

pub enum Reader {
    Kafka(Box<kafka::Reader>),
    Embedded(Box<embedded::Reader>),
}

impl Reader {
    /// The topic must be there.
    pub fn open(place: &Place, topic: &str, manner: Manner<'_>) -> Result<Reader> {
        Reader::find(place, topic, manner)?.ok_or_else(|| place.lacks(topic))
    }

    /// None: the topic is not there.
    pub fn find(place: &Place, topic: &str, manner: Manner<'_>) -> Result<Option<Reader>> {
        let found = match place {
            Place::Brokers(brokers) => {
                kafka::Reader::find(brokers, topic, manner).map(|it| it.map(|it| Reader::Kafka(Box::new(it))))
            }
            Place::Folder(folder) => {
                embedded::Reader::find(folder, topic, manner).map(|it| it.map(|it| Reader::Embedded(Box::new(it))))
            }
        };
        found.map_err(|error| error.at(format!("topic `{topic}` {place}")))
    }

    pub fn partitions(&self) -> Vec<i32> {
        let count = match self {
            Reader::Kafka(reader) => reader.partitions(),
            Reader::Embedded(reader) => reader.partitions(),
        };
        (0..count).collect()
    }

    /// Which log this is.
    pub fn identify(&self) -> Result<Log> {
        match self {
            Reader::Kafka(reader) => reader.identify(),
            Reader::Embedded(reader) => Ok(reader.identify()),
        }
    }

    pub fn extent(&self, partition: i32) -> Result<Extent> {
        match self {
            Reader::Kafka(reader) => reader.extent(partition),
            Reader::Embedded(reader) => reader.extent(partition),
        }
    }

    /// What a consumer group has committed of a partition.
    pub fn committed(&mut self, group: &str, partition: i32) -> Result<Committed> {
        match self {
            Reader::Kafka(reader) => reader.committed(group, partition),
            Reader::Embedded(reader) => reader.committed(group, partition),
        }
    }

    /// The offsets where reading begins, of every partition.
    pub fn begins(&self, begin: Begin) -> Result<Positions> {
        let partitions = self.partitions().into_iter();
        partitions.map(|partition| Ok((partition, begin.at(self.extent(partition)?)))).collect()
    }

    /// Reads these partitions from there on, and no others.
    pub fn start(&mut self, starts: &BTreeMap<i32, i64>) -> Result<()> {
        match self {
            Reader::Kafka(reader) => reader.start(starts),
            Reader::Embedded(reader) => {
                reader.start(starts);
                Ok(())
            }
        }
    }

    /// No more of this partition.
    pub fn leave(&mut self, partition: i32) -> Result<()> {
        match self {
            Reader::Kafka(reader) => reader.leave(partition),
            Reader::Embedded(reader) => {
                reader.leave(partition);
                Ok(())
            }
        }
    }

    /// The next message, if one comes in time. Brokers that are away for a while are no error.
    pub fn poll(&mut self, timeout: Duration) -> Result<Event<'_>> {
        match self {
            Reader::Kafka(reader) => reader.poll(timeout),
            Reader::Embedded(reader) => reader.poll(timeout),
        }
    }

    /// Shows every message of the started partitions to `each`, until each partition ended or `each` said that it has
    /// seen enough of it (false). A log that falls silent before is an error.
    pub fn read_to_ends(&mut self, starts: &Positions, mut each: impl FnMut(&Record<'_>) -> bool) -> Result<()> {
        self.start(starts)?;
        let mut open: std::collections::BTreeSet<i32> = starts.keys().copied().collect();
        let mut heard = Instant::now();
        while !open.is_empty() {
            match self.poll(POLL)? {
                Event::Message(message) => {
                    let partition = message.partition();
                    if open.contains(&partition) && !each(&message) {
                        open.remove(&partition);
                    }
                }
                Event::End(partition) => drop(open.remove(&partition)),
                Event::Nothing if heard.elapsed() < SILENCE_MAX => continue,
                Event::Nothing => {
                    return Err(Error::retry(format!(
                        "nothing came for {SILENCE_MAX:?}, and partitions {open:?} were not read to their ends: are the \
                         brokers there?"
                    )));
                }
            }
            heard = Instant::now();
        }
        Ok(())
    }
}
