//! The sinks that keep their own positions, each a task with a lane.
//!
//! Invariant: what is told here was decided by a known commit, and telling it waits for no sink; only a sink that the
//! pipeline calls `required` is waited for, before the next rows are taken.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tracing::Instrument;

use crate::engine::drive::{Driver, Link, Proofs};
use crate::engine::ended::Ended;
use crate::engine::lane::Queued;
use crate::engine::reread::Material;
use crate::engine::session::Context;
use crate::error::{Error, Result};
use crate::plan::SinkPlan;
use crate::rejects;
use crate::sink::{Outbound, Positions};

/// How late the head sees anything else while it waits for a required sink.
const WAIT: Duration = Duration::from_millis(50);

struct Lane {
    name: Arc<str>,
    required: bool,
    link: Arc<Link>,
    task: JoinHandle<Result<()>>,
}

pub struct FanOut {
    lanes: Vec<Lane>,
    /// The head has no sink of its own: without these nothing is written.
    are_all: bool,
    proofs: Arc<Proofs>,
    handle: Handle,
}

impl FanOut {
    /// `starts`: where each sink begins that has never held anything of a partition.
    pub fn start(
        context: &Context<'_>,
        ended: &Ended,
        material: &Arc<Material>,
        heads: &Positions,
        mut starts: BTreeMap<Arc<str>, Positions>,
    ) -> FanOut {
        let proofs = Arc::new(Proofs::default());
        let lane = |sink: &SinkPlan| {
            let link = Arc::new(Link::new(sink.required, heads.clone()));
            let driver = Driver {
                sink: sink.clone(),
                material: material.clone(),
                starts: starts.remove(&sink.name).unwrap_or_default(),
                seen: context.seen.clone(),
                link: link.clone(),
                proofs: proofs.clone(),
                metrics: context.metrics.sink(&sink.name),
                worker: context.share.worker,
                handle: context.handle.clone(),
            };
            let alive = ended.when_dropped();
            let task = async move {
                let _alive = alive;
                driver.run().await
            };
            let task = context.handle.spawn(task.in_current_span());
            Lane { name: sink.name.clone(), required: sink.required, link, task }
        };
        let lanes = context.plan.sinks_apart().map(lane).collect();
        let are_all = context.plan.sinks.iter().all(|sink| sink.topic().is_none());
        FanOut { are_all, lanes, proofs, handle: context.handle.clone() }
    }

    /// The head has committed this.
    pub fn committed(&self, outbound: &Arc<Outbound>) {
        if self.lanes.is_empty() {
            return;
        }
        let batch = &outbound.batch;
        let rows = batch.origins.len().max(batch.rows());
        let queued = Queued { spans: batch.spans.clone(), rows, bytes: batch.bytes_held(), batch: outbound.clone() };
        self.lanes.iter().for_each(|lane| lane.link.committed(queued.clone()));
    }

    pub fn proofs(&self) -> &Proofs {
        &self.proofs
    }

    /// The lowest durable position of a partition over all sinks here; unknown is lower than any.
    pub fn slowest(&self, partition: i32) -> i64 {
        self.lanes.iter().map(|lane| lane.link.durable(partition)).min().unwrap_or(i64::MAX)
    }

    /// Waits a little for every required sink to be in step with room to spare: those that are not.
    pub fn required_without_room(&self) -> Vec<Arc<str>> {
        let lacking = self.lanes.iter().filter(|lane| lane.link.holds_head(WAIT));
        lacking.map(|lane| lane.name.clone()).collect()
    }

    /// A sink has stopped that the pipeline cannot be without.
    pub fn must_go_on(&self) -> Result<()> {
        let mut stopped = self.lanes.iter().filter_map(|lane| Some((lane, lane.link.stopped()?)));
        let has_rows = |lane: &&Lane| *lane.name != *rejects::SINK;
        let none_is_left = || self.lanes.iter().filter(has_rows).all(|lane| lane.link.stopped().is_some());
        let none_is_left = self.are_all && none_is_left();
        match stopped.find(|(lane, _)| lane.required || none_is_left) {
            Some((lane, why)) => Err(Error::stop(why).at(format!("sink `{}`", lane.name))),
            None => Ok(()),
        }
    }

    /// No more rows: each sink in step makes durable what it was given, in this time; the rest is for the next
    /// session. The first that has stopped for good, with its name.
    pub fn finish(self, time_max: Duration) -> Result<()> {
        self.lanes.iter().for_each(|lane| lane.link.end());
        let mut first = Ok(());
        let deadline = tokio::time::Instant::now() + time_max;
        for Lane { name, task, .. } in self.lanes {
            let abort = task.abort_handle();
            let ended = self.handle.block_on(async { tokio::time::timeout_at(deadline, task).await });
            let ended = match ended {
                Ok(ended) => ended.unwrap_or_else(|cause| Err(Error::stop("its task broke").caused_by(cause))),
                Err(_) => {
                    // dropping a writer in the middle is what a crash does: the next opening finds what is durable
                    abort.abort();
                    tracing::warn!(sink = %name, "not done within {time_max:?}: the next start goes on from its position");
                    Ok(())
                }
            };
            first = first.and(ended.map_err(|error| error.at(format!("sink `{name}`"))));
        }
        first
    }
}
