//! Reads the log from where the head stands, and hands on batches of the generation that runs.
//!
//! Invariant: the spans of successive batches leave no offset of a partition out, and none is in two.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::{Duration, Instant};

use crate::batch::Batch;
use crate::engine::cut::Cut;
use crate::engine::ended::Ended;
use crate::engine::session::{Context, End};
use crate::engine::stop::Stop;
use crate::error::{Error, Result};
use crate::json::decode::{Decoder, Message};
use crate::plan::Plan;
use crate::sink::Positions;
use crate::source::{Membership, Source};

/// How late a signal or a rebalance may be seen.
const IDLE_POLL: Duration = Duration::from_millis(50);
/// How long the log is left alone while the next batch finds no room.
const FULL_POLL: Duration = Duration::from_millis(1);
/// Between two looks at the log's ends.
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
    cut: Cut,
    decoder: Decoder,
    /// When the log's ends and counts were last told.
    told: Instant,
    unknown_fields_told: u64,
}

impl<'a> Reader<'a> {
    pub fn new(context: &'a Context<'a>, ended: &'a Ended, heads: &Positions) -> Reader<'a> {
        let plan = context.plan;
        Reader {
            context,
            ended,
            cut: Cut::new(plan.batch, heads.clone()),
            decoder: Decoder::new(&plan.source),
            told: Instant::now(),
            unknown_fields_told: 0,
        }
    }

    /// Where the log ends, and what was ignored.
    fn tell(&mut self, source: &Source) {
        self.told = Instant::now();
        self.context.ends(&source.ends());
        let unknown = self.decoder.unknown_fields();
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
            let due = end.is_some() || self.cut.is_due(Instant::now());
            if due && !self.hand_over(source, stop, batches)? {
                let is_wanted = source.changed() && !self.ended.is_so();
                return Ok(if is_wanted { End::Rebalanced } else { End::Stopped });
            }
            if let Some(end) = end {
                return Ok(end);
            }
            self.poll(source)?;
        }
    }

    fn poll(&mut self, source: &Source) -> Result<()> {
        let wait = self.cut.left(Instant::now()).unwrap_or(IDLE_POLL);
        let Some(message) = source.poll(wait)? else { return Ok(()) };
        let (partition, offset) = (message.partition(), message.offset());
        let read = self
            .cut
            .read_to(partition)
            .ok_or_else(|| Error::retry(format!("partition {partition} gave offset {offset}, and is not held")))?;
        // below: fetched before the last start of this partition
        if offset >= read {
            let trace = self.context.metrics.traces.begin(&message, &self.context.plan.generation);
            self.decoder.push(&message);
            trace.into_iter().for_each(|trace| self.decoder.follow(trace));
            self.cut.push(partition, offset, message.bytes(), Instant::now());
        }
        Ok(())
    }

    /// False: nobody takes batches any more, or the group wants its partitions back.
    fn hand_over(&mut self, source: &Source, stop: &Stop, batches: &SyncSender<Read>) -> Result<bool> {
        let Some(spans) = self.cut.take() else { return Ok(true) };
        let batch = self.decoder.take(spans)?;
        let read = Read { batch, generation: self.context.plan.clone(), member: source.membership()? };
        self.send(read, source, stop, batches)
    }

    /// Waits for room; a long wait keeps the membership alive. False: nobody takes batches any more, or the group cannot
    /// wait for that: who has the partitions next reads these rows.
    fn send(&mut self, read: Read, source: &Source, stop: &Stop, batches: &SyncSender<Read>) -> Result<bool> {
        let started = Instant::now();
        let mut paused = false;
        let mut waiting = read;
        let sent = loop {
            match batches.try_send(waiting) {
                Ok(()) => break true,
                Err(TrySendError::Disconnected(_)) => break false,
                Err(TrySendError::Full(_)) if source.changed() => break false,
                Err(TrySendError::Full(back)) => waiting = back,
            }
            if self.told.elapsed() >= TELL_AFTER {
                // nobody polls, and the log goes on: how far the head is behind it must not stand still
                source.ask_ends();
                self.tell(source);
            }
            if !paused && started.elapsed() >= PAUSE_AFTER {
                tracing::warn!("no batch could be handed on for {PAUSE_AFTER:?}: reading pauses");
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
}
