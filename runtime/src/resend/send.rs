//! Which of the rejects are sent again, and sending them.
//!
//! Invariants: several rejects of one message (of several rows, or of several sinks) send it once. What was sent here,
//! and is refused again while this still reads, is left for the next time: it ends.

use std::collections::{BTreeMap, HashSet};

use tokio::runtime::Handle;

use super::Position;
use super::filter::Filter;
use super::marks::Marks;
use super::read::{Found, Refused, Rejects};
use super::record::Unsendable;
use super::sender::{Message, Resent, Sender, look};
use crate::error::Result;
use crate::ground::Ground;
use crate::json::decode::RESENT_FROM;
use crate::plan::Plan;
use crate::topic::{Manner, Place, Reader};

/// Of one transaction; the bytes of one message more.
const MESSAGES_MAX: usize = 1_000;
const BYTES_MAX: usize = 8 << 20;
/// Messages that are named of those that cannot be sent, for each reason.
const NAMED_MAX: usize = 10;

/// What became, or would become, of the rejects that were asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub sent: u64,
    /// Rejects whose messages were sent before.
    pub already: u64,
    /// By the reason, how many rejects, and where the first of their messages are.
    pub unsendable: BTreeMap<Unsendable, (u64, Vec<Position>)>,
}

impl Outcome {
    fn unsendable(&mut self, why: Unsendable, at: Position) {
        let (count, named) = self.unsendable.entry(why).or_default();
        *count += 1;
        if named.len() < NAMED_MAX && !named.contains(&at) {
            named.push(at);
        }
    }
}

pub struct Resend<'a> {
    plan: &'a Plan,
    ground: &'a Ground,
    filter: Filter,
    rejects: Rejects,
    /// Of the source's topic.
    partitions: usize,
}

impl<'a> Resend<'a> {
    /// The source's topic and the place of the rejects must be there.
    /// `handle`: of a runtime with several threads; nothing here must run on it.
    pub fn open(plan: &'a Plan, ground: &'a Ground, filter: Filter, handle: &Handle) -> Result<Resend<'a>> {
        let who = "millrace-rejects";
        let manner = Manner { timeout: plan.source.timeout, ..Manner::looking(who) };
        let source = Reader::open(&Place::of(ground, &plan.source), &plan.source.topic, manner)?;
        let (partitions, rejects) = (source.partitions().len(), Rejects::open(plan, ground, who, handle)?);
        Ok(Resend { plan, ground, filter, rejects, partitions })
    }

    /// What would be sent, if nobody else does before: shown to `each`. Changes nothing.
    pub fn survey(&mut self, mut each: impl FnMut(Position)) -> Result<Outcome> {
        let mut marks = look(self.ground, &self.plan.source, &self.filter)?;
        let mut outcome = Outcome::default();
        self.sift(&mut marks, &mut outcome, |outcome, message| {
            outcome.sent += 1;
            each(message.of.position);
            Ok(())
        })?;
        Ok(outcome)
    }

    /// Sends; shows `each` what was sent for good, transaction by transaction.
    pub fn run(&mut self, mut each: impl FnMut(&[Resent])) -> Result<Outcome> {
        let (mut sender, mut marks) = Sender::open(self.ground, &self.plan.source, &self.filter)?;
        let (mut outcome, mut pending, mut bytes) = (Outcome::default(), Vec::new(), 0);
        let mut send = |outcome: &mut Outcome, mut messages: Vec<Message>| {
            // rejects of a batch are in the order of its stages
            messages.sort_by_key(|message| message.of.position);
            sender.put(messages)?;
            let resent = sender.commit()?;
            outcome.sent += resent.len() as u64;
            each(&resent);
            Ok(())
        };
        self.sift(&mut marks, &mut outcome, |outcome, message| {
            bytes += message.bytes();
            pending.push(message);
            if pending.len() < MESSAGES_MAX && bytes < BYTES_MAX {
                return Ok(());
            }
            bytes = 0;
            send(outcome, std::mem::take(&mut pending))
        })?;
        if !pending.is_empty() {
            send(&mut outcome, pending)?;
        }
        Ok(outcome)
    }

    /// Gives `due` every message that is to be sent, once.
    fn sift(
        &mut self,
        marks: &mut Marks,
        outcome: &mut Outcome,
        mut due: impl FnMut(&mut Outcome, Message) -> Result<()>,
    ) -> Result<()> {
        let (plan, partitions, filter) = (self.plan, self.partitions, &self.filter);
        let mut links = HashSet::new();
        self.rejects.scan(|found| {
            let Found::Reject(refused) = found else { return Ok(()) };
            let (of, at) = (refused.record.identity(), refused.record.position());
            let is_of_this_run = refused.record.resent_from.as_ref().is_some_and(|from| links.contains(from));
            if refused.record.pipeline != plan.name || !filter.takes(&refused) || is_of_this_run {
                return Ok(());
            }
            match marks.to(&of) {
                // by this very command
                Some(to) if to == at => return Ok(()),
                Some(_) => {
                    outcome.already += 1;
                    return Ok(());
                }
                None => {}
            }
            match message(plan, partitions, *refused) {
                Ok(message) => {
                    marks.add(of, at)?;
                    links.insert(link(plan, at));
                    due(outcome, message)
                }
                Err(why) => {
                    outcome.unsendable(why, at);
                    Ok(())
                }
            }
        })
    }
}

/// Where a message was, in the words of the header that says so.
fn link(plan: &Plan, at: Position) -> String {
    format!("{}:{at}", plan.source.topic)
}

/// As it came, and where it came from.
fn message(plan: &Plan, partitions: usize, refused: Refused) -> Result<Message, Unsendable> {
    let Refused { record, mut headers, .. } = refused;
    if record.topic != plan.source.topic {
        return Err(Unsendable::OtherTopic(record.topic));
    }
    if usize::try_from(record.partition).is_ok_and(|partition| partition >= partitions) {
        return Err(Unsendable::NoSuchPartition(record.partition));
    }
    let (key, value) = record.original()?;
    headers.push((RESENT_FROM.to_owned(), link(plan, record.position()).into_bytes()));
    Ok(Message { of: record.identity(), key, value, headers })
}
