//! Reads the log and cuts it into batches: each of one generation, bounded by rows, bytes and time.
//!
//! Invariant: the spans of successive batches leave no offset of a partition out, and none is in two.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::{Duration, Instant};

use crate::batch::{Batch, Span};
use crate::engine::ended::Ended;
use crate::engine::history::History;
use crate::engine::session::{Context, End};
use crate::engine::stop::Stop;
use crate::error::{Error, Result};
use crate::json::decode::{Decoder, Message};
use crate::plan::{BatchLimits, Plan};
use crate::sink::Positions;
use crate::source::{Membership, Source};

/// How late a signal or a rebalance may be seen.
const IDLE_POLL: Duration = Duration::from_millis(50);
/// How long the log is left alone while the next batch finds no room.
const FULL_POLL: Duration = Duration::from_millis(1);
/// Between two looks at the lag.
const TELL_AFTER: Duration = Duration::from_secs(1);
/// After this long without room, partitions are paused so that polling keeps the membership alive.
const PAUSE_AFTER: Duration = Duration::from_secs(30);

/// A batch before its first stage.
pub struct Read {
    pub batch: Batch,
    pub generation: Arc<Plan>,
    pub member: Membership,
}

pub struct Reader<'a> {
    context: &'a Context<'a>,
    ended: &'a Ended,
    limits: BatchLimits,
    current: Arc<Plan>,
    decoders: HashMap<Arc<str>, (Arc<Plan>, Decoder)>,
    histories: BTreeMap<i32, History>,
    /// The end of what was cut, and of what was read.
    cut: Positions,
    read: Positions,
    since: Option<Instant>,
    /// When lag and counts were last told.
    told: Instant,
    unknown_fields_told: u64,
}

impl<'a> Reader<'a> {
    pub fn new(
        context: &'a Context<'a>,
        ended: &'a Ended,
        generations: HashMap<Arc<str>, Arc<Plan>>,
        histories: BTreeMap<i32, History>,
        from: Positions,
    ) -> Reader<'a> {
        let plan = context.plan;
        let decoders =
            generations.into_iter().map(|(hash, plan)| (hash, (plan.clone(), Decoder::new(&plan.source)))).collect();
        let (cut, read) = (from.clone(), from);
        Reader {
            context,
            ended,
            limits: plan.batch,
            current: plan.clone(),
            decoders,
            histories,
            cut,
            read,
            since: None,
            told: Instant::now(),
            unknown_fields_told: 0,
        }
    }

    /// How far behind the log's end each partition is, and what was ignored.
    fn tell(&mut self, source: &Source) {
        self.told = Instant::now();
        for (partition, end) in source.ends() {
            let Some(read) = self.read.get(&partition) else { continue };
            let lag = (end - read).max(0);
            self.context.metrics.lag(self.context.share.worker, partition, lag);
        }
        let unknown = self.decoders.values().map(|(_, decoder)| decoder.unknown_fields()).sum();
        self.context.metrics.unknown_fields(unknown - self.unknown_fields_told);
        self.unknown_fields_told = unknown;
    }

    /// Until the group or a signal wants an end, or nobody takes batches any more (the taker knows why).
    pub fn run(&mut self, source: &Source, batches: &SyncSender<Read>) -> Result<End> {
        let ended = self.read(source, self.context.stop, batches);
        self.tell(source);
        ended
    }

    fn read(&mut self, source: &Source, stop: &Stop, batches: &SyncSender<Read>) -> Result<End> {
        loop {
            if self.told.elapsed() >= TELL_AFTER {
                self.tell(source);
            }
            if self.ended.is_so() {
                // who ended knows why
                return Ok(End::Stopped);
            }
            let end = if stop.asked() { Some(End::Stopped) } else { source.changed().then_some(End::Rebalanced) };
            let full = self.messages() >= self.limits.rows_max || self.bytes() >= self.limits.bytes_max;
            let due = self.since.is_some_and(|since| since.elapsed() >= self.limits.wait_max);
            if (end.is_some() || full || due) && !self.hand_over(source, stop, batches)? {
                return Ok(End::Stopped);
            }
            if let Some(end) = end {
                return Ok(end);
            }
            self.poll(source, stop, batches)?;
        }
    }

    fn poll(&mut self, source: &Source, stop: &Stop, batches: &SyncSender<Read>) -> Result<()> {
        let wait = self.since.map_or(IDLE_POLL, |since| self.limits.wait_max.saturating_sub(since.elapsed()));
        let Some(message) = source.poll(wait)? else { return Ok(()) };
        let (partition, offset) = (message.partition(), message.offset());
        let history = self
            .histories
            .get(&partition)
            .ok_or_else(|| Error::retry(format!("partition {partition} gave offset {offset}, and is not held")))?;
        if offset < self.read[&partition] {
            // fetched before the last start of this partition
            return Ok(());
        }
        if *history.at(offset) != self.current.generation {
            let generation = history.at(offset).clone();
            self.hand_over(source, stop, batches)?;
            self.current = self.decoder(&generation)?.0.clone();
        }
        let hash = self.current.generation.clone();
        let trace = self.context.metrics.traces.begin(&message, &hash);
        let decoder = &mut self.decoder(&hash)?.1;
        decoder.push(&message);
        trace.into_iter().for_each(|trace| decoder.follow(trace));
        self.read.insert(partition, offset + 1);
        self.since.get_or_insert_with(Instant::now);
        Ok(())
    }

    fn decoder(&mut self, generation: &Arc<str>) -> Result<&mut (Arc<Plan>, Decoder)> {
        let found = self.decoders.get_mut(generation);
        found.ok_or_else(|| Error::retry(format!("generation {generation} came up after the positions were read")))
    }

    fn messages(&self) -> usize {
        self.decoders.get(&self.current.generation).map_or(0, |(_, decoder)| decoder.messages())
    }

    fn bytes(&self) -> usize {
        self.decoders.get(&self.current.generation).map_or(0, |(_, decoder)| decoder.bytes())
    }

    /// False: nobody takes batches any more.
    fn hand_over(&mut self, source: &Source, stop: &Stop, batches: &SyncSender<Read>) -> Result<bool> {
        self.since = None;
        if self.messages() == 0 {
            return Ok(true);
        }
        let spans = self.spans();
        let hash = self.current.generation.clone();
        let batch = self.decoder(&hash)?.1.take(spans)?;
        self.cut.clone_from(&self.read);
        let read = Read { batch, generation: self.current.clone(), member: source.membership()? };
        send(read, source, stop, batches)
    }

    fn spans(&self) -> Vec<Span> {
        let new = self.read.iter().filter(|(partition, to)| self.cut[*partition] < **to);
        new.map(|(partition, to)| Span { partition: *partition, from: self.cut[partition], to: *to }).collect()
    }
}

/// Waits for room; a long wait keeps the membership alive. False: nobody takes batches any more.
fn send(read: Read, source: &Source, stop: &Stop, batches: &SyncSender<Read>) -> Result<bool> {
    let started = Instant::now();
    let mut paused = false;
    let mut waiting = read;
    let sent = loop {
        match batches.try_send(waiting) {
            Ok(()) => break true,
            Err(TrySendError::Disconnected(_)) => break false,
            Err(TrySendError::Full(back)) => waiting = back,
        }
        if !paused && started.elapsed() >= PAUSE_AFTER {
            tracing::warn!("no batch could be handed on for {PAUSE_AFTER:?}: a sink is slow; reading pauses");
            source.pause()?;
            paused = true;
        }
        if paused && !stop.asked() {
            source.idle(IDLE_POLL)?;
        } else {
            std::thread::sleep(FULL_POLL);
        }
    };
    if paused {
        source.resume()?;
    }
    Ok(sent)
}
