//! Messages to the source's topic again, and their marks, in transactions: one `match` for each act.
//!
//! Invariant: what was put is in the topic, with its marks, when `commit` says so, and only then; of two senders of one
//! topic the later one fences the other. After an error a sender is gone for good.

mod embedded;
mod kafka;

use super::marks::{Marks, topic_of};
use super::read::Headers;
use super::{Filter, Identity, Position};
use crate::error::Result;
use crate::ground::Ground;
use crate::plan::SourcePlan;
use crate::topic::{Dropped, Manner, Place, Reader};

/// A message on its way to the partition that it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub of: Identity,
    pub key: Option<Vec<u8>>,
    pub value: Vec<u8>,
    pub headers: Headers,
}

impl Message {
    pub fn bytes(&self) -> usize {
        self.key.as_ref().map_or(0, Vec::len) + self.value.len()
    }
}

/// Which message came back, and where.
pub type Resent = (Identity, Position);

pub enum Sender {
    Kafka(Box<kafka::Sender>),
    Embedded(Box<embedded::Sender>),
}

impl Sender {
    /// Fences whoever sends to this topic again; then reads the marks.
    pub fn open(ground: &Ground, source: &SourcePlan, filter: &Filter) -> Result<(Sender, Marks)> {
        match ground {
            Ground::Services => {
                let sender = kafka::Sender::open(source)?;
                Ok((Sender::Kafka(Box::new(sender)), read(ground, source, filter)?))
            }
            Ground::Embedded(folder) => {
                embedded::prepare(folder, source)?;
                let marks = read(ground, source, filter)?;
                let sender = embedded::Sender::open(folder, source, marks.end())?;
                Ok((Sender::Embedded(Box::new(sender)), marks))
            }
        }
    }

    pub fn put(&mut self, messages: Vec<Message>) -> Result<()> {
        match self {
            Sender::Kafka(sender) => sender.put(&messages),
            Sender::Embedded(sender) => {
                sender.put(messages);
                Ok(())
            }
        }
    }

    /// All that was put since the last commit, in that order.
    pub fn commit(&mut self) -> Result<Vec<Resent>> {
        match self {
            Sender::Kafka(sender) => sender.commit(),
            Sender::Embedded(sender) => sender.commit(),
        }
    }
}

fn read(ground: &Ground, source: &SourcePlan, filter: &Filter) -> Result<Marks> {
    let (place, topic) = (Place::of(ground, source), topic_of(&source.topic));
    let read = Reader::open(&place, &topic, manner(source)).and_then(|mut reader| Marks::read(&mut reader, filter));
    read.map_err(|error| error.at(format!("marks in `{topic}`")))
}

/// The marks as somebody finds them who only looks.
pub fn look(ground: &Ground, source: &SourcePlan, filter: &Filter) -> Result<Marks> {
    let (place, topic) = (Place::of(ground, source), topic_of(&source.topic));
    let read = Reader::find(&place, &topic, manner(source)).and_then(|reader| match reader {
        Some(mut reader) => Marks::read(&mut reader, filter),
        None => Ok(Marks::none(filter)),
    });
    read.map_err(|error| error.at(format!("marks in `{topic}`")))
}

/// No mark may be passed over.
fn manner(source: &SourcePlan) -> Manner<'_> {
    Manner { who: "millrace-rejects", timeout: source.timeout, dropped: Dropped::AnError, is_awaited: true }
}
