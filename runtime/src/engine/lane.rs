//! What the head and one sink have agreed on: what the sink does next, whether it takes the head's batches or reads
//! the log again by itself, and when it tries again after an error.
//!
//! Invariants: a batch is written only where it goes on from what the sink has taken, so that there is no gap; only
//! rows below the head's known commit are written; what waits in the queue is bounded, and a queue that would grow
//! beyond that is given up, for the log has it all. The head waits for a lane only where the sink is required, and
//! before it takes rows. A position beyond the head's stops a sink only after the group was asked: it may be the work
//! of who has the partitions by now.
//! Does no I/O and knows no clock: time is an argument. The task in `drive` does what `next` says, and tells what came
//! of it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::batch::Span;
use crate::sink::Positions;

#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub queue_rows_max: usize,
    pub queue_bytes_max: usize,
    /// A sink that is no further behind than this takes the head's batches again, while it reads what is before them.
    pub join_messages_max: i64,
    pub backoff_first: Duration,
    pub backoff_max: Duration,
}

/// A committed batch, and what it weighs while it waits.
#[derive(Clone, Debug)]
pub struct Queued<B> {
    pub spans: Vec<Span>,
    pub rows: usize,
    pub bytes: usize,
    pub batch: B,
}

/// Offsets [from, to) of each partition, to be read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    pub from: Positions,
    pub to: Positions,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act<B> {
    /// Ask the group whether the partitions are still this worker's; then [`Lane::proved`].
    Prove,
    /// Fence, clean, read the positions; then [`Lane::opened`].
    Open,
    /// Read the log again and write what it gives; [`Lane::took`] after each batch.
    Reread(Stretch),
    /// Then [`Lane::took`].
    Write(B),
    /// Nothing before this time, or before something changes.
    Wait(Option<Instant>),
    /// The session is over, and what this sink could write by then is written.
    End,
}

#[derive(Clone, Debug)]
enum Phase {
    Opening,
    /// A writer was opened, and stands beyond the head.
    Doubtful(Beyond),
    Open,
    Down(Down),
    Stopped(String),
}

#[derive(Clone, Debug)]
struct Down {
    why: String,
    until: Instant,
    proven: bool,
}

/// How the sink is, for those who look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Opening,
    InStep,
    CatchingUp,
    Down { why: String, next_try: Instant },
    Stopped { why: String },
}

pub struct Lane<B> {
    limits: Limits,
    /// The head waits for it, and for no other.
    required: bool,
    /// Where the head's last known commit stands.
    heads: Positions,
    /// The end of what the writer was given.
    taken: Positions,
    /// As the writer says; None: none was opened in this session, so nobody knows.
    durable: Option<Positions>,
    phase: Phase,
    /// The head's batches come into the queue.
    joined: bool,
    queue: VecDeque<Queued<B>>,
    queue_rows: usize,
    queue_bytes: usize,
    backoff: Duration,
    ending: bool,
}

impl<B> Lane<B> {
    /// A lane begins with its session: what the head commits from now on waits for the writer to be opened.
    pub fn new(limits: Limits, required: bool, heads: Positions) -> Lane<B> {
        Lane {
            limits,
            required,
            heads,
            taken: Positions::new(),
            durable: None,
            phase: Phase::Opening,
            joined: true,
            queue: VecDeque::new(),
            queue_rows: 0,
            queue_bytes: 0,
            backoff: limits.backoff_first,
            ending: false,
        }
    }

    /// The head has committed a batch, and knows it. A queue without room is given up.
    pub fn committed(&mut self, queued: Queued<B>) {
        for span in &queued.spans {
            self.heads.insert(span.partition, span.to);
        }
        if !self.joined {
            return;
        }
        self.queue_rows += queued.rows;
        self.queue_bytes += queued.bytes;
        self.queue.push_back(queued);
        if self.is_overfull() {
            self.leave();
        }
    }

    /// The head must not leave this sink behind, and would.
    pub fn holds_head(&self) -> bool {
        self.required && !self.has_room()
    }

    fn has_room(&self) -> bool {
        let rows_left = self.limits.queue_rows_max.saturating_sub(self.queue_rows);
        let bytes_left = self.limits.queue_bytes_max.saturating_sub(self.queue_bytes);
        let halves = rows_left > self.limits.queue_rows_max / 2 && bytes_left > self.limits.queue_bytes_max / 2;
        self.joined && halves && matches!(self.phase, Phase::Open) && !self.is_behind_queue()
    }

    pub fn next(&mut self, now: Instant) -> Act<B> {
        match &self.phase {
            Phase::Open => self.forward(),
            // what the head has committed while the writer was opened is its as well
            Phase::Opening => Act::Open,
            _ if self.ending => Act::End,
            Phase::Doubtful(_) => Act::Prove,
            Phase::Down(down) if now < down.until => Act::Wait(Some(down.until)),
            Phase::Down(down) if !down.proven => Act::Prove,
            Phase::Down(_) => Act::Open,
            Phase::Stopped(_) => Act::Wait(None),
        }
    }

    fn forward(&mut self) -> Act<B> {
        if self.queue.front().is_some_and(|first| self.goes_on_with(&first.spans)) {
            return self.pop().map_or(Act::Wait(None), |queued| Act::Write(queued.batch));
        }
        let to = self.reread_to();
        if to.is_empty() {
            self.joined = true;
            return if self.ending { Act::End } else { Act::Wait(None) };
        }
        if !self.may_reread() {
            return Act::End;
        }
        // what comes from now on waits, while the rest is read
        self.joined |= self.is_near();
        let from = to.keys().filter_map(|partition| Some((*partition, *self.taken.get(partition)?)));
        Act::Reread(Stretch { from: from.collect(), to })
    }

    fn is_near(&self) -> bool {
        self.behind() <= self.limits.join_messages_max
    }

    /// A session that ends waits for the little that is missing, and for no more.
    pub fn may_reread(&self) -> bool {
        !self.ending || self.is_near()
    }

    fn pop(&mut self) -> Option<Queued<B>> {
        let queued = self.queue.pop_front()?;
        self.queue_rows -= queued.rows;
        self.queue_bytes -= queued.bytes;
        // in the writer's hands: should it fail, the next writer says where it stands
        self.reach(&queued.spans);
        Some(queued)
    }

    fn goes_on_with(&self, spans: &[Span]) -> bool {
        spans.iter().all(|span| self.taken.get(&span.partition).is_some_and(|&taken| span.from <= taken))
    }

    fn is_behind_queue(&self) -> bool {
        !self.reread_to().is_empty()
    }

    /// What neither the writer nor the queue has: up to the first offset that waits, or up to the head.
    fn reread_to(&self) -> Positions {
        let mut to = self.heads.clone();
        for span in self.queue.iter().rev().flat_map(|queued| &queued.spans) {
            to.insert(span.partition, span.from);
        }
        to.retain(|partition, to| self.taken.get(partition).is_some_and(|taken| taken < to));
        to
    }

    /// Messages between what was taken and the head.
    pub fn behind(&self) -> i64 {
        let behind = |(partition, head): (&i32, &i64)| (head - self.taken.get(partition).unwrap_or(head)).max(0);
        self.heads.iter().map(behind).sum()
    }

    /// Messages taken, over all partitions, counted from the logs' beginnings: for rates.
    pub fn taken(&self) -> i64 {
        self.taken.values().sum()
    }

    #[cfg(test)]
    pub fn queue_rows(&self) -> usize {
        self.queue_rows
    }

    fn is_overfull(&self) -> bool {
        self.queue_rows > self.limits.queue_rows_max || self.queue_bytes > self.limits.queue_bytes_max
    }

    fn leave(&mut self) {
        self.joined = false;
        self.queue.clear();
        (self.queue_rows, self.queue_bytes) = (0, 0);
    }

    /// The group says that the partitions are still this worker's. An error: so nobody else has moved the sink to
    /// where it stands, beyond the head.
    pub fn proved(&mut self) -> Result<(), Beyond> {
        match &mut self.phase {
            Phase::Doubtful(beyond) => return Err(*beyond),
            Phase::Down(down) => down.proven = true,
            Phase::Opening | Phase::Open | Phase::Stopped(_) => {}
        }
        Ok(())
    }

    /// A writer was opened, and stands there.
    pub fn opened(&mut self, positions: Positions) {
        let beyond = positions.iter().find_map(|(&partition, &position)| {
            let head = self.heads.get(&partition).copied().unwrap_or(i64::MIN);
            (position > head).then_some(Beyond { partition, position, head })
        });
        self.phase = beyond.map_or(Phase::Open, Phase::Doubtful);
        self.taken = positions;
    }

    /// The first offset of a partition that is not durable, as far as anybody knows; unknown is lower than any.
    pub fn durable(&self, partition: i32) -> i64 {
        self.durable.as_ref().and_then(|durable| durable.get(&partition).copied()).unwrap_or(i64::MIN)
    }

    /// What the writer has made durable; also after an error. False: that was known.
    pub fn made_durable(&mut self, positions: &Positions) -> bool {
        let is_news = self.durable.as_ref() != Some(positions);
        if is_news {
            // it works; that a writer was opened, or takes rows which it only gathers, says nothing
            if self.durable.as_ref().is_some_and(|before| has_advanced(before, positions)) {
                self.backoff = self.limits.backoff_first;
            }
            self.durable = Some(positions.clone());
        }
        is_news
    }

    pub fn took(&mut self, spans: &[Span]) {
        self.reach(spans);
    }

    fn reach(&mut self, spans: &[Span]) {
        for span in spans {
            let taken = self.taken.entry(span.partition).or_insert(span.to);
            *taken = span.to.max(*taken);
        }
    }

    /// The writer is of no more use. `jitter`: from 0 to 1, so that those who fell together do not rise together.
    pub fn failed(&mut self, why: String, now: Instant, jitter: f64) {
        self.leave();
        let rest = self.backoff.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0);
        self.phase = Phase::Down(Down { why, until: now + rest, proven: false });
        self.backoff = (self.backoff * 2).min(self.limits.backoff_max);
    }

    /// Trying again would give the same.
    pub fn stop(&mut self, why: String) {
        self.leave();
        self.phase = Phase::Stopped(why);
    }

    /// No more batches come: what waits and can be written is written, the rest is for the next session.
    pub fn end(&mut self) {
        self.ending = true;
    }

    /// Why it has stopped for good, if it has.
    pub fn stopped(&self) -> Option<&str> {
        match &self.phase {
            Phase::Stopped(why) => Some(why),
            Phase::Opening | Phase::Doubtful(_) | Phase::Open | Phase::Down(_) => None,
        }
    }

    pub fn state(&self) -> State {
        match &self.phase {
            Phase::Opening | Phase::Doubtful(_) => State::Opening,
            Phase::Open if self.joined && !self.is_behind_queue() => State::InStep,
            Phase::Open => State::CatchingUp,
            Phase::Down(down) => State::Down { why: down.why.clone(), next_try: down.until },
            Phase::Stopped(why) => State::Stopped { why: why.clone() },
        }
    }
}

fn has_advanced(before: &Positions, now: &Positions) -> bool {
    now.iter().any(|(partition, position)| before.get(partition).is_some_and(|before| position > before))
}

/// A sink's position beyond the head's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beyond {
    pub partition: i32,
    pub position: i64,
    pub head: i64,
}

#[cfg(test)]
#[path = "lane/model.rs"]
mod model;
