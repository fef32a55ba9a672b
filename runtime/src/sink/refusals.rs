//! Rows that a sink's medium refuses, on their way to where the pipeline's rejects go.
//!
//! Invariants: a writer's order is its rows, then the rejects of those that were refused, then its position; so nothing
//! below its position is missing. Rejects have a position of their own, in their own medium, so that a writer that
//! comes to a row again writes its reject once: below that position every row was taken, or is among the rejects. That
//! position belongs to (pipeline, sink, epoch, log, partition), and a sink that a person moves begins a new epoch, for
//! its rows may fare otherwise then.
//! A partition's writer of rejects is opened by its first refused row, and fences whoever wrote them before.
//! Knows no medium: it writes through [`AnyWriter`].

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::batch::{Refused, Reject, Span};
use crate::error::{Error, Result};
use crate::ground::Ground;
use crate::plan::{Plan, SinkPlan, SourcePlan};
use crate::rejects::{self, Place};
use crate::sink::{AnyWriter, Log, Outbound, Start, Starts, Writer};

/// How often the position of each partition was reset; those that never were need not be there.
pub type Epochs = BTreeMap<i32, u64>;

pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// What a writer does with rows that its medium refuses.
pub trait Refusals: Send {
    /// Makes them durable rejects of the sink; those that are rejects already stay the same. To be called when every
    /// other row of the batch is durable. `refused`: in the order of the batch's rows.
    fn take<'a>(
        &'a mut self,
        outbound: &'a Outbound,
        epochs: &'a Epochs,
        refused: Vec<Refused>,
    ) -> Pending<'a, Vec<Reject>>;
}

/// What tells a sink's rejects from all others, in names of groups, folders and ids.
pub fn who(sink: &str) -> String {
    format!("{sink}.{}", rejects::SINK)
}

/// Is it such a name, of whatever sink? A sink whose position was reset has more of them, with a number behind.
pub fn is_who(name: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let name = name.rsplit_once('.').filter(|(_, epoch)| is_number(epoch)).map_or(name, |(who, _)| who);
    name.rsplit_once('.').is_some_and(|(sink, of)| !sink.is_empty() && of == rejects::SINK)
}

/// Of a sink whose own rows are rejects: nobody takes what it refuses.
pub struct Nowhere;

impl Refusals for Nowhere {
    fn take<'a>(
        &'a mut self,
        outbound: &'a Outbound,
        _: &'a Epochs,
        refused: Vec<Refused>,
    ) -> Pending<'a, Vec<Reject>> {
        Box::pin(async move {
            let Some(Refused { row, code, reason }) = refused.into_iter().next() else { return Ok(Vec::new()) };
            let origins = &outbound.batch.origins;
            let message = outbound.batch.lineage[row] as usize;
            let (partition, offset) = (origins.partitions[message], origins.offsets[message]);
            Err(Error::stop(format!(
                "partition {partition}, offset {offset} was refused ({code}), and nothing takes it: {reason}. Rejects need a \
                 place that takes every one"
            )))
        })
    }
}

/// Where a pipeline's rejects go.
#[derive(Clone, Debug)]
pub struct Destination {
    pub ground: Ground,
    pub pipeline: String,
    pub source: SourcePlan,
    pub rejects: SinkPlan,
    pub log: Log,
}

impl Destination {
    pub fn of(ground: &Ground, plan: &Plan, log: &Log) -> Destination {
        Destination {
            ground: ground.clone(),
            pipeline: plan.name.clone(),
            source: plan.source.clone(),
            rejects: plan.rejects.clone(),
            log: log.clone(),
        }
    }
}

/// A pipeline's rejects, seen from one of its sinks.
pub struct ToRejects {
    to: Destination,
    place: Place,
    sink: Arc<str>,
    who: String,
    /// By partition and epoch.
    open: BTreeMap<(i32, u64), AnyWriter>,
}

impl ToRejects {
    /// `who`: a word that tells this sink's rejects from all others.
    pub fn new(to: Destination, sink: &Arc<str>, who: String) -> ToRejects {
        let place = Place { pipeline: to.pipeline.as_str().into(), topic: to.source.topic.as_str().into() };
        ToRejects { to, place, sink: sink.clone(), who, open: BTreeMap::new() }
    }

    async fn take_all(&mut self, outbound: &Outbound, epochs: &Epochs, refused: Vec<Refused>) -> Result<Vec<Reject>> {
        let batch = &outbound.batch;
        let rejects: Vec<_> = refused.into_iter().map(|refused| batch.reject(&self.sink, refused)).collect();
        let mut by_partition: BTreeMap<i32, Vec<Reject>> = BTreeMap::new();
        for reject in &rejects {
            let partition = batch.origins.partitions[reject.origin as usize];
            by_partition.entry(partition).or_default().push(reject.clone());
        }
        for (partition, rejects) in by_partition {
            let epoch = epochs.get(&partition).copied().unwrap_or(0);
            let done = self.take_some(outbound, partition, epoch, &rejects).await;
            done.map_err(|error| error.at(format!("rejects of sink `{}`", self.sink)))?;
        }
        Ok(rejects)
    }

    async fn take_some(&mut self, outbound: &Outbound, partition: i32, epoch: u64, rejects: &[Reject]) -> Result<()> {
        let offset = |reject: &Reject| outbound.batch.origins.offsets[reject.origin as usize];
        let (Some(first), Some(last)) = (rejects.iter().map(offset).min(), rejects.iter().map(offset).max()) else {
            return Ok(());
        };
        // an error leaves no writer behind: the next one reads its position anew
        let mut writer = match self.open.remove(&(partition, epoch)) {
            Some(writer) => writer,
            None => self.open(partition, epoch, first).await?,
        };
        let from = writer.durable().get(&partition).copied().unwrap_or(first);
        // what lies between holds no reject of this sink
        let span = Span { partition, from: from.min(last + 1), to: last + 1 };
        let rows = Arc::new(self.place.of_some(outbound, rejects, vec![span])?);
        writer.write(rows).await?;
        writer.finish().await?;
        self.open.insert((partition, epoch), writer);
        Ok(())
    }

    async fn open(&mut self, partition: i32, epoch: u64, start: i64) -> Result<AnyWriter> {
        let who = if epoch == 0 { self.who.clone() } else { format!("{}.{epoch}", self.who) };
        let mut writer = AnyWriter::of_rejects(&self.to, &who)?;
        writer.open(&Starts::from([(partition, Start::At(start))])).await?;
        Ok(writer)
    }
}

impl Refusals for ToRejects {
    fn take<'a>(
        &'a mut self,
        outbound: &'a Outbound,
        epochs: &'a Epochs,
        refused: Vec<Refused>,
    ) -> Pending<'a, Vec<Reject>> {
        Box::pin(self.take_all(outbound, epochs, refused))
    }
}
