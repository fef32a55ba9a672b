//! Runs a checked pipeline: workers, each a member of the consumer group, until a signal.
//!
//! Invariant: workers share nothing but counts and the wish to end. Every error that may pass is waited out here, and
//! nowhere else.
//! `stand`, `history`, `cut`, `progress`, `lane` and `passage` decide, without I/O and without a clock; the others do what
//! they decide.

mod begin;
mod compute;
mod cut;
mod drive;
mod ended;
mod fan_out;
mod generations;
mod head;
pub(crate) mod history;
mod lane;
#[cfg(test)]
mod model;
mod passage;
mod progress;
mod reader;
mod reread;
mod seen;
mod session;
mod stand;
mod stop;
pub(crate) mod store;

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use compute::stamp;
pub use history::History;
pub use stop::Stop;
use tokio::runtime::Handle;

use crate::announce::Announcer;
use crate::embedded::Share;
use crate::engine::generations::Generations;
use crate::engine::seen::Seen;
use crate::engine::session::{Context, End};
use crate::engine::store::Store;
use crate::error::{Error, Kind, Result};
use crate::ground::Ground;
use crate::observe::{Metrics, WorkerState};
use crate::plan::Plan;

const BACKOFF_FIRST: Duration = Duration::from_millis(250);
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// A worker that ran this long has recovered: the next error begins with a short wait again.
const RECOVERED_AFTER: Duration = Duration::from_secs(30);

/// How a pipeline is run.
#[derive(Clone, Debug)]
pub struct Options {
    pub ground: Ground,
    /// The folder that outlives the process.
    pub state: PathBuf,
    pub workers: NonZeroU16,
}

/// Runs until `stop` is asked and everything is drained, or an error that waiting cannot mend.
pub fn run(plan: Arc<Plan>, options: &Options, handle: Handle, stop: &Stop, metrics: &Metrics) -> Result<()> {
    let _hold = options.ground.hold()?;
    let (store, workers) = (Store::open(&options.state, &plan.name)?, i32::from(options.workers.get()));
    store.keep(&plan)?;
    let store = Arc::new(store);
    let generations = Arc::new(Generations::new(store.clone(), &plan));
    let seen = Arc::<Seen>::default();
    tracing::info!(pipeline = plan.name, generation = %plan.generation, workers, "starting");
    let slots = (0..workers).map(|_| store.slot()).collect::<Result<Vec<_>>>()?;
    // a process is known by its first slot, so that a successor's heartbeats take the place of a killed one's
    let key = &slots.first().ok_or_else(broken)?.transactional_id;
    let announcer = Announcer::start(&plan, &options.ground, key, metrics);
    let ended = thread::scope(|scope| {
        let workers: Vec<_> = slots
            .iter()
            .zip(0..)
            .map(|(slot, worker)| {
                let share = Share { worker, of: workers };
                let ground = &options.ground;
                let (generations, seen, handle) = (&generations, &seen, handle.clone());
                let (plan, store) = (&plan, &*store);
                let context = Context { plan, generations, seen, store, slot, metrics, stop, handle, ground, share };
                scope.spawn(move || {
                    // one worker that cannot go on, or breaks, ends the process, so that somebody looks
                    let _asks = stop.ask_when_dropped();
                    // at the highest level, so that no filter of lines takes it off those that are left
                    let _named = (workers > 1).then(|| tracing::error_span!("worker", worker).entered());
                    let ended = work(&context);
                    metrics.worker(worker, WorkerState::Ended);
                    ended
                })
            })
            .collect();
        let ended = workers.into_iter().map(|worker| worker.join().unwrap_or_else(|_| Err(broken())));
        ended.fold(Ok(()), Result::and)
    });
    announcer.into_iter().for_each(|announcer| announcer.end(ended.is_ok()));
    ended
}

fn broken() -> Error {
    Error::stop("a worker broke; its words are above")
}

fn work(context: &Context<'_>) -> Result<()> {
    let mut backoff = BACKOFF_FIRST;
    loop {
        let started = Instant::now();
        context.state(WorkerState::Starting);
        let error = match live(context) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind == Kind::Stop => return Err(error),
            Err(error) => error,
        };
        if started.elapsed() >= RECOVERED_AFTER {
            backoff = BACKOFF_FIRST;
        }
        tracing::warn!(%error, again_in_ms = backoff.as_millis() as u64, "not running");
        context.metrics.restarted();
        context.state(WorkerState::Waiting(error.to_string()));
        context.stop.wait(backoff);
        if context.stop.asked() {
            tracing::warn!(%error, "stopping while a service was away; nothing is lost, the next start goes on from here");
            return Ok(());
        }
        backoff = (backoff * 2).min(BACKOFF_MAX);
    }
}

/// One membership in the group.
fn live(context: &Context<'_>) -> Result<()> {
    let plan = context.plan;
    context.ground.make_topics(plan)?;
    let mut source = context.ground.source(&plan.source, &context.slot.transactional_id, context.share)?;
    let place =
        |error: Error| error.at(format!("source `{}` {}", plan.source.topic, context.ground.place(&plan.source)));
    let log = source.identify(&plan.topics_written())?;
    source.subscribe()?;
    context.state(WorkerState::Idle);
    while source.wait_for_partitions(|| context.stop.asked()).map_err(place)? {
        if session::run(context, &mut source, &log)? == End::Stopped {
            break;
        }
        context.state(WorkerState::Idle);
    }
    Ok(())
}
