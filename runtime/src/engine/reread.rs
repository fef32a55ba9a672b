//! A sink that is behind gets its rows by reading the log again: a thread of its own that decodes, computes each row
//! by the generation that owns its offset, and hands batches on, one at a time.
//!
//! Invariant: nothing at or beyond the end of the asked stretch is handed on, and nothing in it is left out. Memory is
//! bounded by two batches, whatever the stretch.

use std::collections::BTreeMap;
use std::sync::{Arc, mpsc as std_mpsc};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::engine::compute::Stages;
use crate::engine::cut::Cut;
use crate::engine::generations::Generations;
use crate::engine::history::History;
use crate::engine::lane::Stretch;
use crate::error::{Error, Result};
use crate::ground::Ground;
use crate::json::decode::Message;
use crate::observe::trace::Tracer;
use crate::plan::Plan;
use crate::sink::{Log, Outbound, Positions};
use crate::topic::{Dropped, Event, Manner, Place, Reader};

/// How late the end of the wish for rows is seen.
const POLL: Duration = Duration::from_millis(50);
/// Batches between this thread and the sink, besides the one that each works on.
const AHEAD_BATCHES_MAX: usize = 1;

/// What every sink of a session needs to compute rows by itself.
pub struct Material {
    pub plan: Arc<Plan>,
    pub ground: Ground,
    pub log: Log,
    pub client_id: String,
    pub generations: Arc<Generations>,
    /// As they were when the session began: within a session nothing is decided anew.
    pub histories: BTreeMap<i32, History>,
    pub traces: Tracer,
}

/// Offsets that the log no longer holds, and a sink still needs: [from, to).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    pub partition: i32,
    pub from: i64,
    pub to: i64,
}

pub enum Given {
    Batch(Arc<Outbound>),
    /// Nothing of the stretch was read.
    Gap(Gap),
    /// The stretch is read to its end.
    Done,
}

/// Ends when it is dropped.
pub struct Rereader {
    stretches: std_mpsc::SyncSender<Stretch>,
    given: mpsc::Receiver<Result<Given>>,
}

impl Rereader {
    pub fn start(material: Arc<Material>, handle: &Handle) -> Rereader {
        let (stretches, wanted) = std_mpsc::sync_channel(1);
        let (giver, given) = mpsc::channel(AHEAD_BATCHES_MAX);
        handle.spawn_blocking(move || {
            if let Err(error) = serve(&material, &wanted, &giver) {
                // nobody hears it who has left
                let _ = giver.blocking_send(Err(error));
            }
        });
        Rereader { stretches, given }
    }

    /// To be followed by [`Rereader::next`] until it is done, or gives a gap.
    pub fn read(&self, stretch: Stretch) -> Result<()> {
        self.stretches.try_send(stretch).map_err(|_| Error::retry("reading the log again has ended"))
    }

    pub async fn next(&mut self) -> Result<Given> {
        self.given.recv().await.unwrap_or_else(|| Err(Error::retry("reading the log again has ended")))
    }
}

type Giver = mpsc::Sender<Result<Given>>;

fn serve(material: &Material, wanted: &std_mpsc::Receiver<Stretch>, giver: &Giver) -> Result<()> {
    let mut log = open(material)?;
    let mut stages = Stages::default();
    while let Ok(stretch) = wanted.recv() {
        let end = match gap(&log, &stretch)? {
            Some(gap) => Given::Gap(gap),
            None => match Pass::new(material, giver, &stretch)?.run(&mut log, &mut stages)? {
                true => Given::Done,
                false => return Ok(()),
            },
        };
        if giver.blocking_send(Ok(end)).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

fn open(material: &Material) -> Result<Reader> {
    let source = &material.plan.source;
    let manner = Manner { who: &material.client_id, timeout: source.timeout, dropped: Dropped::AnError };
    let log = Reader::open(&Place::of(&material.ground, source), &source.topic, manner)?;
    match log.identify()? == material.log {
        true => Ok(log),
        false => Err(Error::stop(format!("topic `{}` was deleted, or made again, while it was read", source.topic))),
    }
}

fn gap(log: &Reader, stretch: &Stretch) -> Result<Option<Gap>> {
    for (&partition, &from) in &stretch.from {
        let first = log.extent(partition)?.first;
        if first > from {
            return Ok(Some(Gap { partition, from, to: first }));
        }
    }
    Ok(None)
}

/// One stretch on its way.
struct Pass<'a> {
    material: &'a Material,
    giver: &'a Giver,
    cut: Cut,
    /// Partitions that are not read to their end yet.
    open: Positions,
}

impl<'a> Pass<'a> {
    fn new(material: &'a Material, giver: &'a Giver, stretch: &Stretch) -> Result<Pass<'a>> {
        let plan = material.plan.clone();
        let cut = Cut::new(plan.clone(), plan.batch, stretch.from.clone());
        Ok(Pass { material, giver, cut, open: stretch.to.clone() })
    }

    /// False: nobody wants rows any more.
    fn run(mut self, log: &mut Reader, stages: &mut Stages) -> Result<bool> {
        let from = self.open.keys().filter_map(|&partition| Some((partition, self.cut.read_to(partition)?)));
        log.start(&from.collect())?;
        while !self.open.is_empty() {
            let end = match log.poll(POLL)? {
                Event::Message(message) => match self.to(message.partition()) {
                    Some(to) if message.offset() < to => {
                        let (partition, is_last) = (message.partition(), message.offset() + 1 == to);
                        if !self.push(&message, stages)? {
                            return Ok(false);
                        }
                        is_last.then_some(partition)
                    }
                    Some(_) => Some(message.partition()),
                    None => None,
                },
                Event::End(partition) => self.to(partition).map(|_| partition),
                Event::Nothing => None,
            };
            if let Some(partition) = end {
                self.end(partition, log)?;
            }
            if self.giver.is_closed() || (self.cut.is_due(Instant::now()) && !self.give(stages)?) {
                return Ok(false);
            }
        }
        self.give(stages)
    }

    fn to(&self, partition: i32) -> Option<i64> {
        self.open.get(&partition).copied()
    }

    /// Offsets up to the end without a message are covered too.
    fn end(&mut self, partition: i32, log: &mut Reader) -> Result<()> {
        if let Some(to) = self.open.remove(&partition) {
            self.cut.advance(partition, to);
            log.leave(partition)?;
        }
        Ok(())
    }

    fn push(&mut self, message: &impl Message, stages: &mut Stages) -> Result<bool> {
        let (partition, offset) = (message.partition(), message.offset());
        if self.cut.read_to(partition).is_some_and(|read| offset < read) {
            return Ok(true);
        }
        let history = self.material.histories.get(&partition);
        let history = history.ok_or_else(|| Error::retry(format!("partition {partition} is not held")))?;
        let hash = history.at(offset);
        if *hash != self.cut.plan().generation {
            if !self.give(stages)? {
                return Ok(false);
            }
            self.cut.switch(self.material.generations.get(hash)?);
        }
        let trace = self.material.traces.begin(message, hash);
        self.cut.push(message, Instant::now());
        trace.into_iter().for_each(|trace| self.cut.follow(trace));
        Ok(true)
    }

    fn give(&mut self, stages: &mut Stages) -> Result<bool> {
        let Some(batch) = self.cut.take()? else { return Ok(true) };
        // what stages take for rows that are read again is in no metric: those are the head's
        let outbound = stages.process(self.cut.plan(), batch, None)?;
        Ok(self.giver.blocking_send(Ok(Given::Batch(outbound))).is_ok())
    }
}
