//! A worker's work on the partitions that it holds, from the moment when every position is known until the group, a
//! signal or an error ends it. Restart, redeploy, rebalance and recovery are this same act: fence, read each position,
//! replay from the lowest.
//!
//! Threads: the caller reads and decodes; one computes the stages; one is the head; the other sinks are tasks. The
//! channels between them are bounded, so that the slowest sets the pace.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::Instant;

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use tokio::runtime::Handle;

use crate::batch::Batch;
use crate::embedded::Share;
use crate::engine::ended::Ended;
use crate::engine::fan_out::{FanOut, Opened};
use crate::engine::head::{Computed, Head, advances};
use crate::engine::history::History;
use crate::engine::reader::{Read, Reader};
use crate::engine::stop::Stop;
use crate::engine::store::{Slot, Store};
use crate::error::{Error, Result};
use crate::ground::Ground;
use crate::observe::trace::Passing;
use crate::observe::{Metrics, WorkerState};
use crate::plan::{Plan, SinkPlan, SinkStart};
use crate::sink::transaction::Transactions;
use crate::sink::{AnyWriter, Log, Outbound, Positions, Writer};
use crate::source::{Committed, Extent, Source, first_start};
use crate::stage::Stage;

/// Batches between reading and computing, and between computing and the head.
const QUEUE_BATCHES_MAX: usize = 2;

/// What a session needs, and does not change.
pub struct Context<'a> {
    pub plan: &'a Arc<Plan>,
    pub store: &'a Store,
    pub slot: &'a Slot,
    pub metrics: &'a Metrics,
    pub stop: &'a Stop,
    pub handle: Handle,
    pub ground: &'a Ground,
    pub share: Share,
}

impl Context<'_> {
    pub fn state(&self, state: WorkerState) {
        self.metrics.worker(self.share.worker, state);
    }

    /// Where the head stands now.
    pub fn heads(&self, positions: &Positions) {
        self.metrics.heads(self.share.worker, positions);
    }
}

/// Why a session ended well.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    Stopped,
    Rebalanced,
}

/// Where everything stands in the partitions that this worker holds.
struct Standing {
    transactions: Transactions,
    heads: Positions,
    histories: BTreeMap<i32, History>,
    extents: BTreeMap<i32, Extent>,
}

pub fn run(context: &Context<'_>, source: &mut Source, log: &Log) -> Result<End> {
    let standing = take_head(context, source, log)?;
    let (sinks, lowest) = open_sinks(context, log, &standing)?;
    let generations = generations(context, &standing.histories)?;
    tracing::info!(head = ?standing.heads, from = ?lowest, "positions read");
    source.start(&lowest)?;
    context.state(WorkerState::Running);
    context.heads(&standing.heads);
    let ended = Ended::default();
    let reader = Reader::new(context, &ended, generations, standing.histories.clone(), lowest);
    let fan_out = FanOut::start(context, &ended, sinks);
    let Standing { transactions, heads, histories, .. } = standing;
    let head = Head::new(context, transactions, fan_out, heads, histories);
    mill(context, &ended, source, reader, head)
}

/// Fences the former holder, reads what it committed, and decides which generation goes on from there.
fn take_head(context: &Context<'_>, source: &mut Source, log: &Log) -> Result<Standing> {
    let plan = context.plan;
    // before the positions are read: the reverse repeats rows
    let mut transactions = context.ground.transactions(&plan.source, &context.slot.transactional_id, context.share)?;
    let (mut heads, mut histories, mut extents) = (Positions::new(), BTreeMap::new(), BTreeMap::new());
    let mut decided = false;
    let committed = source.committed()?;
    let some_are_missing = committed.values().any(|committed| committed.offset.is_none());
    let group_is_known = some_are_missing && source.group_is_known()?;
    for (&partition, committed) in &committed {
        let extent = source.extent(partition)?;
        let (head, history, changed) = stand(plan, log, partition, committed, extent, group_is_known)?;
        heads.insert(partition, head);
        histories.insert(partition, history);
        extents.insert(partition, extent);
        decided |= changed;
    }
    if decided {
        let from = |partition| committed.get(&partition).and_then(|committed| committed.offset);
        transactions.commit(&advances(from, &heads, &histories)?, &source.membership()?)?;
    }
    Ok(Standing { transactions, heads, histories, extents })
}

/// The head's offset in one partition, its generations, and whether these are news that must be committed first.
fn stand(
    plan: &Plan,
    log: &Log,
    partition: i32,
    committed: &Committed,
    extent: Extent,
    group_is_known: bool,
) -> Result<(i64, History, bool)> {
    let Some(offset) = committed.offset else {
        let start = first_start(plan.source.start, extent, group_is_known);
        return Ok((start, History::new(&log.topic_id, start, &plan.generation), true));
    };
    let place = format!("group `{}` on `{}` partition {partition}", plan.source.group, log.topic);
    within(&place, offset, extent)?;
    match History::parse(&committed.metadata) {
        Some(history) if history.topic_id != log.topic_id => Err(Error::stop(format!(
            "{place}: its offset {offset} is about another topic of this name (id {}, now {}): the topic was deleted \
             and made again. Reset the group and every sink's position, or give the pipeline a new name",
            history.topic_id, log.topic_id
        ))),
        Some(mut history) => {
            let changed = history.decide(offset, &plan.generation);
            Ok((offset, history, changed))
        }
        None => Ok((offset, History::new(&log.topic_id, offset, &plan.generation), true)),
    }
}

/// A position must lie in what the log holds: rows are never skipped in silence.
fn within(place: &str, offset: i64, extent: Extent) -> Result<()> {
    if offset < extent.first {
        return Err(Error::stop(format!(
            "{place} stands at offset {offset}, and the log begins at {}: rows {offset} to {} are gone (the topic's \
             retention dropped them). To go on without them, move the position to {}",
            extent.first,
            extent.first - 1,
            extent.first
        )));
    }
    if offset > extent.end {
        return Err(Error::stop(format!(
            "{place} stands at offset {offset}, beyond the log's end {}: the topic was deleted and made again, or lost \
             rows",
            extent.end
        )));
    }
    Ok(())
}

fn open_sinks(context: &Context<'_>, log: &Log, standing: &Standing) -> Result<(Vec<Opened>, Positions)> {
    let mut lowest = standing.heads.clone();
    let mut opened = Vec::new();
    for sink in &context.plan.sinks {
        let Some(mut writer) = AnyWriter::new(context.ground, context.plan, sink, log)? else { continue };
        let positions = context
            .handle
            .block_on(writer.open(&starts(sink, standing)))
            .map_err(|error| error.at(format!("sink `{}`", sink.name)))?;
        for (partition, position) in &positions {
            check_sink(sink, log, *partition, *position, standing)?;
            lowest.entry(*partition).and_modify(|lowest| *lowest = (*lowest).min(*position));
        }
        opened.push(Opened { name: sink.name.clone(), writer });
    }
    Ok((opened, lowest))
}

fn starts(sink: &SinkPlan, standing: &Standing) -> Positions {
    match sink.start {
        SinkStart::Head => standing.heads.clone(),
        SinkStart::Earliest => standing.extents.iter().map(|(partition, extent)| (*partition, extent.first)).collect(),
    }
}

fn check_sink(sink: &SinkPlan, log: &Log, partition: i32, position: i64, standing: &Standing) -> Result<()> {
    let place = format!("sink `{}` on `{}` partition {partition}", sink.name, log.topic);
    within(&place, position, standing.extents[&partition])?;
    let head = standing.heads[&partition];
    if position > head {
        return Err(Error::stop(format!(
            "{place} stands at offset {position}, beyond the consumer group's {head}: the group's offsets expired or \
             were reset. Set the group's offset to {position}, or remove this sink's position to begin again"
        )));
    }
    Ok(())
}

/// The plans of all generations whose rows may be read again.
fn generations(context: &Context<'_>, histories: &BTreeMap<i32, History>) -> Result<HashMap<Arc<str>, Arc<Plan>>> {
    let hashes: BTreeSet<_> = histories.values().flat_map(History::generations).collect();
    let mut plans = HashMap::from([(context.plan.generation.clone(), context.plan.clone())]);
    for hash in hashes {
        if !plans.contains_key(hash) {
            tracing::info!(generation = %hash, "rows of an earlier generation wait for a sink");
            plans.insert(hash.clone(), Arc::new(context.store.load(hash)?));
        }
    }
    Ok(plans)
}

fn mill(context: &Context<'_>, ended: &Ended, source: &Source, mut reader: Reader<'_>, head: Head<'_>) -> Result<End> {
    let (read, to_compute) = mpsc::sync_channel(QUEUE_BATCHES_MAX);
    let (computed, to_head) = mpsc::sync_channel(QUEUE_BATCHES_MAX);
    thread::scope(|scope| {
        let computing = scope.spawn(move || {
            let _alive = ended.when_dropped();
            compute(context.metrics, &to_compute, &computed)
        });
        let heading = scope.spawn(move || {
            let _alive = ended.when_dropped();
            head.run(&to_head)
        });
        let reading = reader.run(source, &read);
        drop(read);
        // the head knows best why the others ended early
        let headed = joined(heading.join());
        let computed = joined(computing.join());
        headed.and(computed)?;
        reading
    })
}

fn joined(ended: thread::Result<Result<()>>) -> Result<()> {
    ended.unwrap_or_else(|_| Err(Error::stop("a worker's thread broke; its words are above")))
}

/// Takes batches through the stages of their generation, until no more come or nobody wants them.
fn compute(metrics: &Metrics, batches: &Receiver<Read>, computed: &SyncSender<Computed>) -> Result<()> {
    let mut stages: HashMap<Arc<str>, Vec<Stage>> = HashMap::new();
    while let Ok(Read { mut batch, generation, member }) = batches.recv() {
        if !stages.contains_key(&generation.generation) {
            let fresh = generation.stages.iter().map(Stage::new).collect::<Result<_>>()?;
            stages.insert(generation.generation.clone(), fresh);
        }
        let stages = stages.get_mut(&generation.generation).into_iter().flatten();
        for (stage, plan) in stages.zip(&generation.stages) {
            let (since, rows) = (Instant::now(), batch.rows() as u64);
            let passing = Passing::begin(&batch);
            batch = stage.process(batch)?;
            metrics.stage(&plan.name, rows, since.elapsed());
            passing.into_iter().for_each(|passing| passing.end(&batch, &plan.name));
        }
        metrics.computed();
        let outbound = Arc::new(Outbound { batch: stamp(batch, &generation)? });
        if computed.send(Computed { outbound, generation, member }).is_err() {
            break;
        }
    }
    Ok(())
}

/// Adds the generation to every row.
fn stamp(mut batch: Batch, generation: &Plan) -> Result<Batch> {
    let stamp: ArrayRef = Arc::new(StringArray::new_repeated(&*generation.generation, batch.rows()));
    let arrays = batch.columns.columns().iter().cloned().chain([stamp]).collect();
    batch.columns = RecordBatch::try_new(generation.schema.arrow(), arrays)
        .map_err(|cause| Error::stop("the stages' columns are not the plan's").caused_by(cause))?;
    Ok(batch)
}
