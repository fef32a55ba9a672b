//! A sink that is behind gets its rows by reading the log again: a thread of its own that decodes, computes each row
//! by the generation that owns its offset, and hands batches on, one at a time.
//!
//! Invariant: what `passage` wants of the asked stretch is handed on, and nothing else. Memory is bounded by two batches,
//! and what stages have left of a third, whatever the stretch.

use std::collections::BTreeMap;
use std::sync::{Arc, mpsc as std_mpsc};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tracing::Span;

use crate::engine::compute::Stages;
use crate::engine::generations::Generations;
use crate::engine::history::History;
use crate::engine::lane::Stretch;
use crate::engine::passage::{self, Gap, Passage, Seen};
use crate::error::{Error, Result};
use crate::ground::Ground;
use crate::json::decode::{Decoder, Message};
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
    /// `reach`: rows from there on are of the oldest generation that is known, where the list begins later.
    pub fn start(material: Arc<Material>, reach: Positions, handle: &Handle) -> Rereader {
        let (stretches, wanted) = std_mpsc::sync_channel(1);
        let (giver, given) = mpsc::channel(AHEAD_BATCHES_MAX);
        let named = Span::current();
        handle.spawn_blocking(move || {
            let _named = named.entered();
            if let Err(error) = serve(&material, &reach, &wanted, &giver) {
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

fn serve(material: &Material, reach: &Positions, wanted: &std_mpsc::Receiver<Stretch>, giver: &Giver) -> Result<()> {
    let mut log = open(material)?;
    let mut histories = material.histories.clone();
    for (partition, history) in &mut histories {
        reach.get(partition).into_iter().for_each(|&offset| history.reach_back(offset));
    }
    let mut stages = Stages::default();
    while let Ok(stretch) = wanted.recv() {
        let end = match passage::gap(&stretch, |partition| Ok(log.extent(partition)?.first))? {
            Some(gap) => Given::Gap(gap),
            None => match Pass::new(material, &histories, giver, &stretch).run(&mut log, &mut stages)? {
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
    let manner =
        Manner { who: &material.client_id, timeout: source.timeout, dropped: Dropped::AnError, is_awaited: false };
    let log = Reader::open(&Place::of(&material.ground, source), &source.topic, manner)?;
    match log.identify()? == material.log {
        true => Ok(log),
        false => Err(Error::stop(format!("topic `{}` was deleted, or made again, while it was read", source.topic))),
    }
}

/// One stretch on its way.
struct Pass<'a> {
    material: &'a Material,
    giver: &'a Giver,
    passage: Passage,
    /// Of the generation that owns what is read now.
    plan: Arc<Plan>,
    decoder: Decoder,
}

impl<'a> Pass<'a> {
    fn new(
        material: &'a Material,
        histories: &BTreeMap<i32, History>,
        giver: &'a Giver,
        stretch: &Stretch,
    ) -> Pass<'a> {
        let plan = &material.plan;
        let passage = Passage::new(stretch, plan.batch, histories.clone(), plan.generation.clone());
        Pass { material, giver, passage, plan: plan.clone(), decoder: Decoder::new(&plan.source) }
    }

    /// False: nobody wants rows any more.
    fn run(mut self, log: &mut Reader, stages: &mut Stages) -> Result<bool> {
        log.start(&self.passage.from())?;
        while !self.passage.is_over() {
            let end = match log.poll(POLL)? {
                Event::Message(message) => match self.passage.see(message.partition(), message.offset())? {
                    Seen::Wanted { turns_to, is_last } => {
                        if !self.turn(turns_to, stages)? {
                            return Ok(false);
                        }
                        self.push(&message);
                        is_last.then_some(message.partition())
                    }
                    Seen::Beyond => Some(message.partition()),
                    Seen::Known => None,
                },
                Event::End(partition) => Some(partition),
                Event::Nothing => None,
            };
            if let Some(partition) = end
                && self.passage.end(partition)
            {
                log.leave(partition)?;
            }
            if self.giver.is_closed() || (self.passage.is_due(Instant::now()) && !self.give(stages)?) {
                return Ok(false);
            }
        }
        self.give(stages)
    }

    /// What comes now is of this generation, if there is one.
    fn turn(&mut self, to: Option<Arc<str>>, stages: &mut Stages) -> Result<bool> {
        let Some(hash) = to else { return Ok(true) };
        if !self.give(stages)? {
            return Ok(false);
        }
        self.plan = self.material.generations.get(&hash)?;
        self.decoder = Decoder::new(&self.plan.source);
        Ok(true)
    }

    fn push(&mut self, message: &impl Message) {
        let trace = self.material.traces.begin(message, &self.plan.generation);
        self.decoder.push(message);
        trace.into_iter().for_each(|trace| self.decoder.follow(trace));
        self.passage.push(message.partition(), message.offset(), message.bytes(), Instant::now());
    }

    fn give(&mut self, stages: &mut Stages) -> Result<bool> {
        let Some(spans) = self.passage.take() else { return Ok(true) };
        let batch = self.decoder.take(spans)?;
        // what stages take for rows that are read again is in no metric: those are the head's
        let give = |outbound, _is_last| self.giver.blocking_send(Ok(Given::Batch(outbound))).is_ok();
        stages.process(&self.plan, batch, None, give)
    }
}
