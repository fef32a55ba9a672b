//! Rejects as a person looks at them: the newest ones, all of them counted, and what became of those that were sent
//! again.
//!
//! Invariant: in memory are as many rows as are asked for, and no more than [`ROWS_BYTES_MAX`] of them; what is left
//! out is counted. Looking changes nothing.

use std::collections::{BTreeMap, HashMap};

use tokio::runtime::Handle;

use super::Position;
use super::filter::Filter;
use super::marks::Marks;
use super::read::{Found, Refused, Rejects};
use super::record::Record;
use super::sender::look;
use crate::error::Result;
use crate::ground::Ground;
use crate::plan::Plan;
use crate::positions::{Partition, Viewer};
use crate::source::group::Offsets;

const ROWS_BYTES_MAX: usize = 64 << 20;
/// Stages and codes that are counted apart; a plugin makes up codes of its own.
const KINDS_MAX: usize = 1_000;

/// What became of a message that was sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// The pipeline, or one of its sinks, is not beyond it.
    Waits,
    /// The pipeline and all of its sinks are beyond it, and it is not among the rejects.
    Passed,
    Refused,
    /// A sink did not say where it is.
    Unknown,
}

#[derive(Debug)]
pub struct Row {
    pub at_ms: Option<i64>,
    pub record: Record,
    pub resent: Option<(Position, Again)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub rejects: u64,
    /// Of these, those whose messages were sent again.
    pub resent: u64,
    pub newest_ms: Option<i64>,
}

#[derive(Debug, Default)]
pub struct View {
    /// The newest, oldest first.
    pub rows: Vec<Row>,
    /// By stage and code.
    pub counts: BTreeMap<(String, String), Count>,
    /// Of more stages and codes than are counted apart.
    pub others: Count,
    pub all: Count,
    /// Rejects of other pipelines in the same place, and what is no reject.
    pub of_others: u64,
    pub foreign: u64,
}

/// At most `rows_max` rows. `handle`: of a runtime with several threads; this must not run on it.
pub fn view(plan: &Plan, ground: &Ground, filter: &Filter, rows_max: usize, handle: &Handle) -> Result<View> {
    let mut rejects = Rejects::open(plan, ground, "millrace-rejects", handle)?;
    let marks = look(ground, &plan.source, filter)?;
    // before the rejects are read: who is beyond a message now has refused it before, or not at all
    let stands = stands(plan, ground, &marks, handle)?;
    let mut refused_again: HashMap<Position, bool> = marks.targets().map(|to| (to, false)).collect();
    let (mut view, mut newest) = (View::default(), Newest::new(rows_max));
    rejects.scan(|found| {
        let refused = match found {
            Found::Reject(refused) if refused.record.pipeline == plan.name => refused,
            Found::Reject(_) => {
                view.of_others += 1;
                return Ok(());
            }
            Found::Foreign => {
                view.foreign += 1;
                return Ok(());
            }
        };
        refused_again.entry(refused.record.position()).and_modify(|again| *again = true);
        if filter.takes(&refused) {
            view.count(&refused, marks.to(&refused.record.identity()).is_some());
            newest.add(*refused);
        }
        Ok(())
    })?;
    let again = |to: Position| match (refused_again.get(&to), stands.get(&to.partition)) {
        (Some(true), _) => Again::Refused,
        (_, Some(partition)) => passed(partition, plan, to.offset),
        _ => Again::Unknown,
    };
    let row = |Refused { at_ms, record, .. }: Refused| {
        let resent = marks.to(&record.identity()).map(|to| (to, again(to)));
        Row { at_ms, record, resent }
    };
    view.rows = newest.rows.into_values().map(row).collect();
    Ok(view)
}

/// How far the pipeline and its sinks have come, if any message came back.
fn stands(plan: &Plan, ground: &Ground, marks: &Marks, handle: &Handle) -> Result<BTreeMap<i32, Partition>> {
    if marks.is_empty() {
        return Ok(BTreeMap::new());
    }
    Ok(Viewer::open(plan, ground, Offsets::Last, handle.clone())?.view()?.partitions)
}

/// Of a message that is not among the rejects.
fn passed(partition: &Partition, plan: &Plan, offset: i64) -> Again {
    let of_sink = |name| partition.sinks.get(name).and_then(|sink| sink.entry.next);
    let sinks: Option<Vec<_>> = plan.sinks_apart().map(|sink| of_sink(&sink.name)).collect();
    match (partition.head.next, sinks) {
        (Some(head), Some(sinks)) if sinks.iter().chain([&head]).all(|next| *next > offset) => Again::Passed,
        (Some(head), None) if head > offset => Again::Unknown,
        _ => Again::Waits,
    }
}

impl View {
    fn count(&mut self, refused: &Refused, is_resent: bool) {
        let kind = (refused.record.stage.clone(), refused.record.code.clone());
        let is_known = self.counts.contains_key(&kind) || self.counts.len() < KINDS_MAX;
        let of_kind = if is_known { self.counts.entry(kind).or_default() } else { &mut self.others };
        for count in [of_kind, &mut self.all] {
            count.rejects += 1;
            count.resent += u64::from(is_resent);
            count.newest_ms = count.newest_ms.max(refused.at_ms);
        }
    }
}

/// The newest rejects that were seen, in the order of their time, then of their messages.
struct Newest {
    rows: BTreeMap<(Option<i64>, Position, u64), Refused>,
    rows_max: usize,
    bytes: usize,
    seen: u64,
}

impl Newest {
    fn new(rows_max: usize) -> Newest {
        Newest { rows: BTreeMap::new(), rows_max, bytes: 0, seen: 0 }
    }

    fn add(&mut self, refused: Refused) {
        self.seen += 1;
        self.bytes += refused.record.bytes();
        self.rows.insert((refused.at_ms, refused.record.position(), self.seen), refused);
        while self.rows.len() > self.rows_max || self.bytes > ROWS_BYTES_MAX && self.rows.len() > 1 {
            let Some((_, oldest)) = self.rows.pop_first() else { return };
            self.bytes -= oldest.record.bytes();
        }
    }
}
