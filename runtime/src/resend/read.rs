//! Where a pipeline's rejects are, and reading them: one `match`. A new place for rejects is a variant that [`open`]s
//! and scans.
//!
//! Invariant: a scan ends with what was there when it began, so that what is sent again and refused again is not part
//! of it. It changes nothing.
//!
//! [`open`]: Rejects::open

use super::record::Record;
use crate::error::{Error, Result};
use crate::ground::Ground;
use crate::json::decode::Message as _;
use crate::plan::Plan;
use crate::sink::Positions;
use crate::source;
use crate::topic::{Begin, Dropped, Manner, Place, Reader};

/// What carries a trace from a reject on to the message that is sent again.
const CARRIED: [&str; 2] = ["traceparent", "tracestate"];

pub type Headers = Vec<(String, Vec<u8>)>;

pub struct Refused {
    /// When it was refused, in milliseconds since 1970; None where nobody wrote it down.
    pub at_ms: Option<i64>,
    pub record: Record,
    /// Of the message's, as far as they were kept.
    pub headers: Headers,
}

pub enum Found {
    Reject(Box<Refused>),
    /// It is in the place of the rejects, and none.
    Foreign,
}

pub enum Rejects {
    Topic(Box<Reader>),
}

impl Rejects {
    /// `who`: as services know this client.
    pub fn open(plan: &Plan, ground: &Ground, who: &str) -> Result<Rejects> {
        let Some(topic) = plan.rejects.topic() else {
            return Err(Error::stop(format!(
                "{}: `[rejects]` is no topic, and only rejects of a topic can be shown and sent again so far: look at them \
                 where they are",
                plan.file.display()
            )));
        };
        let place = Place::of(ground, &plan.source);
        let manner = Manner { who, timeout: plan.source.timeout, dropped: Dropped::PassedOver };
        Reader::open(&place, topic, manner).map(|reader| Rejects::Topic(Box::new(reader)))
    }

    /// Is a reject there as soon as the head's offset is beyond its message?
    pub fn are_the_heads(&self) -> bool {
        match self {
            Rejects::Topic(_) => true,
        }
    }

    /// Shows every reject of every pipeline that is there, or was lately; an error of `each` ends it.
    pub fn scan(&mut self, mut each: impl FnMut(Found) -> Result<()>) -> Result<()> {
        match self {
            Rejects::Topic(reader) => scan(reader, &mut each),
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
            done = each(found(message));
        }
        // what follows may be markers of transactions only: then the end of the log says that this was the last one
        done.is_ok() && message.offset() + 1 < end
    })?;
    done
}

fn found(message: &source::Record<'_>) -> Found {
    let Some(record) = message.value().and_then(|value| serde_json::from_slice(value).ok()) else {
        return Found::Foreign;
    };
    let carried = CARRIED.iter().filter_map(|&name| Some((name.to_owned(), message.header(name)?.to_vec())));
    Found::Reject(Box::new(Refused { at_ms: message.timestamp_ms(), record, headers: carried.collect() }))
}
