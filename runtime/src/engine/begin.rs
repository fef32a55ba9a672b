//! Whether partitions without a committed offset begin. Offsets expire, groups and topics are deleted; rows that were
//! answered once must not be answered again for that, nor those be passed over that came meanwhile.
//!
//! Invariant: a pipeline begins only where neither this state folder nor any sink that answers knows that it was there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::engine::session::Context;
use crate::error::{Error, Result};
use crate::positions;
use crate::sink::Log;
use crate::sink::ledger::{AnyLedger, Entry, Ledger};

/// Looked at before the offsets are read: another worker of this folder may begin meanwhile.
pub struct Known(Option<String>);

impl Known {
    /// The topic that the group had offsets of, by the state folder.
    pub fn read(context: &Context<'_>, log: &Log) -> Result<Known> {
        context.store.began(&context.plan.source.group, log).map(Known)
    }

    /// An error where the pipeline was there. `group_is_known`: it has an offset in another partition, so that these
    /// may have been added to the topic.
    pub fn may_begin(
        &self,
        context: &Context<'_>,
        log: &Log,
        partitions: &BTreeSet<i32>,
        group_is_known: bool,
    ) -> Result<()> {
        if partitions.is_empty() {
            return Ok(());
        }
        let standing = standing(context, log, partitions);
        let expired = |who: String| {
            let command = positions::command(context.plan, context.ground, "--head");
            let stand = stand(&standing);
            let go_on = if stand.is_empty() {
                String::new()
            } else {
                format!("To go on where the sinks stand: `{command} --to {stand}`. ")
            };
            format!(
                "{who}: the group's offsets expired, or were deleted. {go_on}To answer all that the topic holds once more"
            )
        };
        let again = |was: String| format!("the topic was deleted and made again ({was}). To begin with the new one");
        let said = match (&self.0, furthest(&standing)) {
            (Some(id), _) if !group_is_known && *id != log.topic_id => again(format!("id {id}, now {}", log.topic_id)),
            (_, Some((sink, _, Entry { wrong: Some(wrong), .. }))) => again(format!("sink `{sink}`: {}", wrong.said)),
            (_, Some((sink, partition, Entry { next: Some(next), .. }))) => {
                expired(format!("sink `{sink}` stands at offset {next} of partition {partition}"))
            }
            (Some(_), _) if !group_is_known => {
                expired("this pipeline was there before, by its state folder".to_owned())
            }
            _ => return Ok(()),
        };
        Err(Error::stop(format!(
            "group `{}` has no offset in topic `{}`, and {said}: `{} --to earliest`",
            context.plan.source.group,
            log.topic,
            positions::command(context.plan, context.ground, "--all")
        )))
    }

    /// The group has offsets of this topic.
    pub fn begins(&self, context: &Context<'_>, log: &Log) -> Result<()> {
        match &self.0 {
            Some(topic_id) if *topic_id == log.topic_id => Ok(()),
            _ => context.store.begins(&context.plan.source.group, log),
        }
    }
}

type Standing = BTreeMap<Arc<str>, BTreeMap<i32, Entry>>;

/// Where each sink that answers stands, in these partitions.
fn standing(context: &Context<'_>, log: &Log, partitions: &BTreeSet<i32>) -> Standing {
    let mut standing = Standing::new();
    for sink in context.plan.sinks_apart() {
        let ledger = AnyLedger::new(context.ground, context.plan, sink, log);
        let read = ledger.and_then(|ledger| {
            let Some(mut ledger) = ledger else { return Ok(BTreeMap::new()) };
            context.handle.block_on(ledger.read(partitions))
        });
        match read {
            Ok(entries) => drop(standing.insert(sink.name.clone(), entries)),
            Err(error) => {
                tracing::warn!(sink = %sink.name, %error, "sink does not say whether it has rows of this topic already");
            }
        }
    }
    standing
}

/// Of all sinks.
fn furthest(standing: &Standing) -> Option<(&str, i32, &Entry)> {
    let entries = standing.iter().flat_map(|(sink, entries)| entries.iter().map(|(id, entry)| (&**sink, *id, entry)));
    entries.filter(|(_, _, entry)| entry.next.is_some()).max_by_key(|(_, _, entry)| entry.next)
}

/// As the command takes it.
fn stand(standing: &Standing) -> String {
    let mut furthest = BTreeMap::<i32, i64>::new();
    for (&partition, entry) in standing.values().flatten().filter(|(_, entry)| entry.wrong.is_none()) {
        let Some(next) = entry.next else { continue };
        let known = furthest.entry(partition).or_insert(next);
        *known = next.max(*known);
    }
    furthest.iter().map(|(partition, next)| format!("{partition}:{next}")).collect::<Vec<_>>().join(",")
}
