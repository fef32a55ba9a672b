//! The sinks that keep their own positions, each a task with a bounded inbox.
//!
//! Invariant: what is sent here was decided by a known commit, and every sink gets every batch in log order.
//! For now a slow sink slows the head once its inbox is full.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::engine::ended::Ended;
use crate::engine::session::Context;
use crate::error::{Error, Result};
use crate::observe::trace::Writes;
use crate::observe::{Metrics, SinkMetrics};
use crate::sink::{AnyWriter, Outbound, Positions, Writer};

/// Batches that wait for one sink; they share their columns with the other sinks.
const INBOX_BATCHES_MAX: usize = 8;

struct Lane {
    name: Arc<str>,
    inbox: mpsc::Sender<Arc<Outbound>>,
    durable: Arc<Mutex<Positions>>,
    task: JoinHandle<Result<()>>,
}

/// A sink that was opened, and stands at its durable positions.
pub struct Opened {
    pub name: Arc<str>,
    pub writer: AnyWriter,
}

pub struct FanOut {
    lanes: Vec<Lane>,
    handle: Handle,
}

impl FanOut {
    pub fn start(context: &Context<'_>, ended: &Ended, sinks: Vec<Opened>) -> FanOut {
        let handle = context.handle.clone();
        let lanes = sinks.into_iter().map(|Opened { name, writer }| {
            let (inbox, outbox) = mpsc::channel(INBOX_BATCHES_MAX);
            let said = Said::new(context.metrics, &name, writer.durable());
            let durable = said.durable.clone();
            let alive = ended.when_dropped();
            let task = handle.spawn(async move {
                let _alive = alive;
                drive(writer, outbox, said).await
            });
            Lane { name, inbox, durable, task }
        });
        let lanes = lanes.collect();
        FanOut { lanes, handle }
    }

    /// Waits for room. An error means that the sink has stopped; [`FanOut::finish`] says why.
    pub fn send(&self, outbound: &Arc<Outbound>) -> Result<()> {
        for lane in &self.lanes {
            let sent = lane.inbox.blocking_send(outbound.clone());
            sent.map_err(|_| Error::retry(format!("sink `{}` takes no more rows", lane.name)))?;
        }
        Ok(())
    }

    /// The lowest durable position of a partition over all sinks here.
    pub fn slowest(&self, partition: i32) -> i64 {
        let position = |lane: &Lane| {
            let durable = lane.durable.lock().unwrap_or_else(PoisonError::into_inner);
            durable.get(&partition).copied()
        };
        self.lanes.iter().filter_map(position).min().unwrap_or(i64::MAX)
    }

    /// No more rows: each sink makes durable what it was given. The first error, with the sink's name.
    pub fn finish(self) -> Result<()> {
        let FanOut { lanes, handle } = self;
        let mut first = Ok(());
        // all of them at once
        let tasks: Vec<_> = lanes.into_iter().map(|lane| (lane.name, lane.task)).collect();
        for (name, task) in tasks {
            let ended =
                handle.block_on(task).unwrap_or_else(|cause| Err(Error::stop("its task broke").caused_by(cause)));
            first = first.and(ended.map_err(|error| error.at(format!("sink `{name}`"))));
        }
        first
    }
}

/// What a sink's task says of itself.
struct Said {
    durable: Arc<Mutex<Positions>>,
    metrics: Arc<SinkMetrics>,
    writes: Writes,
}

impl Said {
    fn new(metrics: &Metrics, sink: &str, durable: &Positions) -> Said {
        let mut said = Said { durable: Arc::default(), metrics: metrics.sink(sink), writes: Writes::new(sink) };
        said.durable(durable);
        said
    }

    fn durable(&mut self, positions: &Positions) {
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        if *durable != *positions {
            durable.clone_from(positions);
            self.metrics.durable(positions);
            self.writes.durable(positions);
        }
    }
}

async fn drive(mut writer: AnyWriter, mut inbox: mpsc::Receiver<Arc<Outbound>>, mut said: Said) -> Result<()> {
    loop {
        let deadline = writer.deadline();
        let due = tokio::time::sleep_until(deadline.unwrap_or_else(Instant::now).into());
        tokio::select! {
            // a file that is due is not put off by rows that keep coming
            biased;
            () = due, if deadline.is_some() => writer.roll(Instant::now()).await?,
            outbound = inbox.recv() => match outbound {
                Some(outbound) => {
                    let since = Instant::now();
                    said.writes.begin(&outbound.batch, writer.durable());
                    let rows = writer.write(outbound).await?;
                    said.metrics.wrote(rows, since.elapsed());
                }
                None => break,
            },
        }
        said.durable(writer.durable());
    }
    writer.finish().await?;
    said.durable(writer.durable());
    Ok(())
}
