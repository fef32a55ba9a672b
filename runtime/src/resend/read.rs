//! Where a pipeline's rejects are, and reading them.
//!
//! Invariant: a scan changes nothing, and ends. In a topic and in a directory it is of what was there when it began; of
//! a collection it may see more.

use tokio::runtime::Handle;

use super::record::Record;
use super::stored::Stored;
use crate::error::Result;
use crate::ground::Ground;
use crate::json::decode::Message as _;
use crate::json::time::parse_timestamp;
use crate::plan::Plan;
use crate::sink::Positions;
use crate::source;
use crate::topic::{Begin, Dropped, Manner, Place, Reader};

/// What carries a trace from a reject on to the message that is sent again.
const CARRIED: [&str; 2] = ["traceparent", "tracestate"];

pub type Headers = Vec<(String, Vec<u8>)>;

pub struct Refused {
    /// When it was refused, in milliseconds since 1970; None where it does not say so.
    pub at_ms: Option<i64>,
    pub record: Record,
    /// Of the message's, as far as they were kept: those of a trace, in a topic.
    pub headers: Headers,
}

pub enum Found {
    Reject(Box<Refused>),
    /// It is in the place of the rejects, and none.
    Foreign,
}

pub enum Rejects {
    Topic(Box<Reader>),
    Stored(Box<Stored>),
}

impl Rejects {
    /// `who`: as services know this client. `handle`: of a runtime with several threads; nothing here must run on it.
    pub fn open(plan: &Plan, ground: &Ground, who: &str, handle: &Handle) -> Result<Rejects> {
        let place = Place::of(ground, &plan.source);
        let manner = Manner { who, timeout: plan.source.timeout, dropped: Dropped::PassedOver, is_awaited: true };
        match plan.rejects.topic() {
            Some(topic) => Reader::open(&place, topic, manner).map(|reader| Rejects::Topic(Box::new(reader))),
            None => {
                let log = Reader::open(&place, &plan.source.topic, manner)?.identify()?;
                Stored::open(plan, ground, &log, handle).map(|stored| Rejects::Stored(Box::new(stored)))
            }
        }
    }

    /// Shows every reject of every pipeline that is there, or was lately; an error of `each` ends it.
    pub fn scan(&mut self, mut each: impl FnMut(Found) -> Result<()>) -> Result<()> {
        match self {
            Rejects::Topic(reader) => scan(reader, &mut each),
            Rejects::Stored(stored) => {
                while let Some(reject) = stored.read()? {
                    each(found(serde_json::from_value(reject).ok(), Headers::new()))?;
                }
                Ok(())
            }
        }
    }
}

fn scan(reader: &mut Reader, each: &mut impl FnMut(Found) -> Result<()>) -> Result<()> {
    let ends = reader.begins(Begin::Latest)?;
    let mut starts = reader.begins(Begin::Earliest)?;
    starts.retain(|partition, start| *start < ends[partition]);
    read(reader, &starts, &ends, each)
}

fn read(
    reader: &mut Reader,
    starts: &Positions,
    ends: &Positions,
    each: &mut impl FnMut(Found) -> Result<()>,
) -> Result<()> {
    let mut done = Ok(());
    reader.read_to_ends(starts, |message| {
        let end = ends[&message.partition()];
        if done.is_ok() && message.offset() < end {
            done = each(of_topic(message));
        }
        // what follows may be markers of transactions only: then the end of the log says that this was the last one
        done.is_ok() && message.offset() + 1 < end
    })?;
    done
}

fn of_topic(message: &source::Record<'_>) -> Found {
    let record = message.value().and_then(|value| serde_json::from_slice(value).ok());
    let carried = CARRIED.iter().filter_map(|&name| Some((name.to_owned(), message.header(name)?.to_vec())));
    found(record, carried.collect())
}

fn found(record: Option<Record>, headers: Headers) -> Found {
    let Some(record) = record else { return Found::Foreign };
    let at_ms = record.time.as_deref().and_then(parse_timestamp).map(|micros| micros / 1000);
    Found::Reject(Box::new(Refused { at_ms, record, headers }))
}
