//! Reading all positions, and what is wrong with them.
//!
//! Invariant: a service that is away hides its own sink and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::runtime::Handle;

use crate::engine::history::History;
use crate::error::Result;
use crate::ground::Ground;
use crate::plan::Plan;
use crate::sink::Log;
use crate::sink::ledger::{AnyLedger, Entry, Ledger};
use crate::source::Extent;
use crate::source::group::{Group, Observed, Offsets};

/// What can be asked where things stand.
pub struct Viewer<'a> {
    pub(super) plan: &'a Plan,
    pub(super) group: Group,
    pub(super) ledgers: BTreeMap<Arc<str>, AnyLedger>,
    pub(super) handle: Handle,
    log: Log,
}

/// Where everything stood when it was read.
#[derive(Debug)]
pub struct View {
    pub log: Log,
    pub group: String,
    /// Living members of the group. None: not known.
    pub members: Option<Vec<String>>,
    pub partitions: BTreeMap<i32, Partition>,
    /// Where each sink keeps its positions.
    pub places: BTreeMap<Arc<str>, String>,
    /// Sinks that gave no answer, and why.
    pub unread: BTreeMap<Arc<str>, String>,
}

#[derive(Clone, Debug)]
pub struct Partition {
    pub extent: Extent,
    pub head: Head,
    pub sinks: BTreeMap<Arc<str>, Sink>,
}

#[derive(Clone, Debug)]
pub struct Head {
    /// None: nothing is committed.
    pub next: Option<i64>,
    /// None: nothing of ours stands beside the offset.
    pub history: Option<History>,
    pub wrong: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Sink {
    pub entry: Entry,
    pub wrong: Option<String>,
}

impl<'a> Viewer<'a> {
    pub fn open(plan: &'a Plan, ground: &Ground, offsets: Offsets, handle: Handle) -> Result<Viewer<'a>> {
        let place = |error: crate::error::Error| {
            error.at(format!("source `{}` {}", plan.source.topic, ground.place(&plan.source)))
        };
        let group = Group::new(ground, &plan.source, offsets).map_err(place)?;
        let log = group.log().map_err(place)?;
        let mut ledgers = BTreeMap::new();
        for sink in plan.sinks_apart() {
            let ledger = AnyLedger::new(ground, plan, sink, &log);
            if let Some(ledger) = ledger.map_err(|error| error.at(format!("sink `{}`", sink.name)))? {
                ledgers.insert(sink.name.clone(), ledger);
            }
        }
        Ok(Viewer { plan, group, ledgers, handle, log })
    }

    pub fn view(&mut self) -> Result<View> {
        let (members, observed) = (self.group.members()?, self.group.read()?);
        let ids: BTreeSet<_> = observed.keys().copied().collect();
        let mut partitions: BTreeMap<_, _> =
            observed.into_iter().map(|(id, observed)| (id, partition(&self.log, observed))).collect();
        let (mut unread, mut places) = (BTreeMap::new(), BTreeMap::new());
        for (name, ledger) in &mut self.ledgers {
            places.insert(name.clone(), ledger.place());
            match self.handle.block_on(ledger.read(&ids)) {
                Ok(entries) => entries.into_iter().for_each(|(id, entry)| {
                    let Some(partition) = partitions.get_mut(&id) else { return };
                    let wrong = sink_is_wrong(partition, &entry);
                    partition.sinks.insert(name.clone(), Sink { entry, wrong });
                }),
                Err(error) => drop(unread.insert(name.clone(), error.to_string())),
            }
        }
        let (log, group) = (self.log.clone(), self.plan.source.group.clone());
        Ok(View { log, group, members, partitions, places, unread })
    }
}

fn partition(log: &Log, Observed { committed, extent }: Observed) -> Partition {
    let history = History::parse(&committed.metadata);
    let wrong = committed.offset.and_then(|offset| match &history {
        Some(history) if history.topic_id != log.topic_id => {
            Some(format!("of another topic of this name: its id was {}, and is {} now", history.topic_id, log.topic_id))
        }
        _ => outside(offset, extent),
    });
    Partition { extent, head: Head { next: committed.offset, history, wrong }, sinks: BTreeMap::new() }
}

fn sink_is_wrong(partition: &Partition, entry: &Entry) -> Option<String> {
    if let Some(wrong) = &entry.wrong {
        return Some(wrong.said.clone());
    }
    let next = entry.next?;
    let beyond = |head: i64| (next > head).then(|| format!("beyond the head, which stands at {head}"));
    outside(next, partition.extent).or_else(|| partition.head.next.and_then(beyond))
}

pub(super) fn outside(offset: i64, extent: Extent) -> Option<String> {
    let Extent { first, end } = extent;
    if offset < first {
        return Some(format!("before the log's beginning: rows {offset} to {} are gone", first - 1));
    }
    (offset > end).then(|| format!("beyond the log's end, {end}"))
}
