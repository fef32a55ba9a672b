//! A worker's work on the partitions that it holds, from the moment when every position is known until the group, a
//! signal or an error ends it. Restart, redeploy, rebalance and recovery are this same act: fence, read what the head
//! committed, go on from there; each other sink does the same with its own position, in its lane.
//!
//! Threads: the caller reads and decodes; one computes the stages; one is the head; the other sinks are tasks. The
//! channels between the first three are bounded; the head waits for no sink that is not `required`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;
use tracing::Span;

use crate::embedded::Share;
use crate::engine::begin::Known;
use crate::engine::compute;
use crate::engine::ended::Ended;
use crate::engine::fan_out::FanOut;
use crate::engine::generations::Generations;
use crate::engine::head::Head;
use crate::engine::history::History;
use crate::engine::progress::advances;
use crate::engine::reader::Reader;
use crate::engine::reread::Material;
use crate::engine::seen::Seen;
use crate::engine::stand::{Group, Stand};
use crate::engine::stop::Stop;
use crate::engine::store::{Slot, Store};
use crate::error::{Error, Result};
use crate::ground::Ground;
use crate::observe::{Metrics, WorkerState};
use crate::plan::{Plan, SinkPlan, SinkStart};
use crate::positions;
use crate::sink::transaction::Transactions;
use crate::sink::{Log, Positions};
use crate::source::{Extent, Source};

/// Batches between reading and computing, and between computing and the head.
const QUEUE_BATCHES_MAX: usize = 2;
/// How long a worker that ends waits for its sinks to make durable what they were given.
const DRAIN_MAX: Duration = Duration::from_secs(30);
/// How long the group waits for that, when partitions go to another worker.
const HAND_OVER_MAX: Duration = Duration::from_secs(5);

/// What a session needs, and does not change.
pub struct Context<'a> {
    pub plan: &'a Arc<Plan>,
    pub generations: &'a Arc<Generations>,
    pub seen: &'a Arc<Seen>,
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
        self.metrics.status.heads(self.share.worker, positions);
    }

    /// Where the log ends now.
    pub fn ends(&self, positions: &Positions) {
        self.metrics.status.ends(self.share.worker, positions);
    }

    /// The required sinks that the head waits for now.
    pub fn head_waits(&self, sinks: &[Arc<str>]) {
        self.metrics.status.head_waits(self.share.worker, sinks);
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
    let Standing { transactions, heads, histories, extents } = take_head(context, source, log)?;
    tracing::info!(head = %listed(&heads), "positions read");
    source.start(&heads)?;
    context.state(WorkerState::Running);
    context.heads(&heads);
    let starts = starts(context, &histories, &extents);
    let material = Arc::new(Material {
        plan: context.plan.clone(),
        ground: context.ground.clone(),
        log: log.clone(),
        client_id: format!("{}-rereads", context.slot.transactional_id),
        generations: context.generations.clone(),
        histories: histories.clone(),
        traces: context.metrics.traces.clone(),
    });
    let ended = Ended::default();
    let reader = Reader::new(context, &ended, &heads);
    let fan_out = FanOut::start(context, &ended, &material, &heads, starts);
    let head = Head::new(context, log, transactions, fan_out, heads, histories, source.membership()?);
    mill(context, &ended, source, reader, head)
}

/// As commands take them: `0:12,1:44`.
fn listed(positions: &Positions) -> String {
    let each = positions.iter().map(|(partition, offset)| format!("{partition}:{offset}"));
    each.collect::<Vec<_>>().join(",")
}

/// Fences the former holder, reads what it committed, and decides which generation goes on from there.
fn take_head(context: &Context<'_>, source: &mut Source, log: &Log) -> Result<Standing> {
    let plan = context.plan;
    // before the positions are read: the reverse repeats rows
    let (id, topics) = (&context.slot.transactional_id, plan.topics_written());
    let mut transactions = context.ground.transactions(&plan.source, &topics, id, context.share)?;
    let (mut heads, mut histories, mut extents) = (Positions::new(), BTreeMap::new(), BTreeMap::new());
    let mut decided = false;
    let known = Known::read(context, log)?;
    let committed = source.committed()?;
    let missing = committed.iter().filter(|(_, committed)| committed.offset.is_none()).map(|(&partition, _)| partition);
    let missing: BTreeSet<i32> = missing.collect();
    let group_is_known = !missing.is_empty() && source.group_is_known()?;
    known.may_begin(context, log, &missing, group_is_known)?;
    let group = Group {
        name: &plan.source.group,
        log,
        start: plan.source.start,
        is_known: group_is_known,
        generation: &plan.generation,
        reset: &positions::command(plan, context.ground, "--head"),
    };
    for (&partition, committed) in &committed {
        let extent = source.extent(partition)?;
        let Stand { head, history, is_news } = group.stand(partition, committed, extent)?;
        heads.insert(partition, head);
        histories.insert(partition, history);
        extents.insert(partition, extent);
        decided |= is_news;
    }
    if decided {
        let from = |partition| committed.get(&partition).and_then(|committed| committed.offset);
        transactions.commit(&advances(from, &heads, &histories)?, &source.membership()?)?;
    }
    known.begins(context, log)?;
    Ok(Standing { transactions, heads, histories, extents })
}

/// Where each sink begins that has never held anything of a partition: where the first of the generations that have it
/// took effect, or at the beginning of the log.
fn starts(
    context: &Context<'_>,
    histories: &BTreeMap<i32, History>,
    extents: &BTreeMap<i32, Extent>,
) -> BTreeMap<Arc<str>, Positions> {
    let of = |sink: &SinkPlan| match sink.start {
        SinkStart::Earliest => extents.iter().map(|(&partition, extent)| (partition, extent.first)).collect(),
        SinkStart::Head => {
            let since = |(&partition, history)| (partition, context.generations.sink_since(&sink.name, history));
            histories.iter().map(since).collect()
        }
    };
    context.plan.sinks_apart().map(|sink| (sink.name.clone(), of(sink))).collect()
}

fn mill(context: &Context<'_>, ended: &Ended, source: &Source, mut reader: Reader<'_>, head: Head<'_>) -> Result<End> {
    let (read, to_compute) = mpsc::sync_channel(QUEUE_BATCHES_MAX);
    let (computed, to_head) = mpsc::sync_channel(QUEUE_BATCHES_MAX);
    // lines say whose they are
    let (named, of_head) = (Span::current(), Span::current());
    thread::scope(|scope| {
        let computing = scope.spawn(move || {
            let _named = named.entered();
            let _alive = ended.when_dropped();
            compute::run(context.metrics, ended, &to_compute, &computed)
        });
        let heading = scope.spawn(move || {
            let _named = of_head.entered();
            let _alive = ended.when_dropped();
            head.run(&to_head, || context.stop.asked() || ended.is_so())
        });
        let reading = {
            // a head that waits for a sink waits no longer
            let _alive = ended.when_dropped();
            reader.run(source, &read)
        };
        drop(read);
        let (headed, fan_out) = heading.join().map_err(|_| broken())?;
        let computed = computing.join().unwrap_or_else(|_| Err(broken()));
        let time_max = if context.stop.asked() { DRAIN_MAX } else { HAND_OVER_MAX };
        let finished = fan_out.finish(time_max);
        // the head knows best why the others ended early
        headed.and(computed)?;
        match reading? {
            // a sink that has stopped is opened again in the next session, and says it there
            End::Rebalanced => Ok(End::Rebalanced),
            End::Stopped => finished.map(|()| End::Stopped),
        }
    })
}

fn broken() -> Error {
    Error::stop("a worker's thread broke; its words are above")
}
