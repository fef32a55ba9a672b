//! Runs a checked pipeline: workers, each a member of the consumer group, until a signal.
//!
//! Invariant: workers share nothing but counts and the wish to end. Every error that may pass is waited out here, and
//! nowhere else.

mod fan_out;
mod head;
mod history;
mod reader;
mod reject;
mod session;
mod stats;
mod stop;
mod store;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

pub use stats::Stats;
pub use stop::Stop;
use tokio::runtime::Handle;

use crate::engine::session::{Context, End};
use crate::engine::store::Store;
use crate::error::{Error, Kind, Result};
use crate::plan::{Plan, SinkKind};
use crate::source::kafka::Source;

const BACKOFF_FIRST: Duration = Duration::from_millis(250);
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// A worker that ran this long has recovered: the next error begins with a short wait again.
const RECOVERED_AFTER: Duration = Duration::from_secs(30);

/// Runs until `stop` is asked and everything is drained, or an error that waiting cannot mend.
pub fn run(plan: Arc<Plan>, state: &Path, workers: usize, handle: Handle, stop: &Stop, stats: &Stats) -> Result<()> {
    let store = Store::open(state, &plan.name)?;
    store.keep(&plan)?;
    tracing::info!(pipeline = plan.name, generation = %plan.generation, workers, "starting");
    thread::scope(|scope| {
        let workers: Vec<_> = (0..workers)
            .map(|_| {
                let (plan, store, handle) = (&plan, &store, handle.clone());
                scope.spawn(move || {
                    let ended = work(plan, store, handle, stop, stats);
                    // one worker that cannot go on ends the process, so that somebody looks
                    stop.ask();
                    ended
                })
            })
            .collect();
        let ended = workers.into_iter().map(|worker| worker.join().unwrap_or_else(|_| Err(broken())));
        ended.fold(Ok(()), Result::and)
    })
}

fn broken() -> Error {
    Error::stop("a worker broke; its words are above")
}

fn work(plan: &Arc<Plan>, store: &Store, handle: Handle, stop: &Stop, stats: &Stats) -> Result<()> {
    let slot = store.slot()?;
    let context = Context { plan, store, slot: &slot, stats, stop, handle };
    let mut backoff = BACKOFF_FIRST;
    loop {
        let started = Instant::now();
        let error = match live(&context) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind == Kind::Stop => return Err(error),
            Err(error) => error,
        };
        if stop.asked() {
            tracing::warn!(%error, "stopping while a service was away; nothing is lost, the next start goes on from here");
            return Ok(());
        }
        if started.elapsed() >= RECOVERED_AFTER {
            backoff = BACKOFF_FIRST;
        }
        tracing::warn!(%error, again_in_ms = backoff.as_millis() as u64, "not running");
        stats.restarted();
        stop.wait(backoff);
        backoff = (backoff * 2).min(BACKOFF_MAX);
    }
}

/// One membership in the group.
fn live(context: &Context<'_>) -> Result<()> {
    let plan = context.plan;
    let mut source = Source::new(&plan.source, &context.slot.transactional_id)?;
    let place = |error: Error| error.at(format!("source `{}` at {}", plan.source.topic, plan.source.brokers));
    let log = source.identify(&topics(plan)).map_err(place)?;
    source.subscribe()?;
    while source.wait_for_partitions(|| context.stop.asked()).map_err(place)? {
        if session::run(context, &mut source, &log)? == End::Stopped {
            break;
        }
    }
    Ok(())
}

/// Every topic that the head writes to.
fn topics(plan: &Plan) -> BTreeSet<&str> {
    let sinks = plan.sinks.iter().filter_map(|sink| match &sink.kind {
        SinkKind::Kafka { topic, .. } => Some(topic.as_str()),
        SinkKind::Mongodb(_) | SinkKind::Hdfs(_) => None,
    });
    sinks.chain([plan.rejects.topic.as_str()]).collect()
}
