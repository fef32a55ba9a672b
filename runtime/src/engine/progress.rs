//! How far the head has come: when it takes the next batch, when it commits and what stands in the commit, and which
//! batches the other sinks may be told of.
//!
//! Invariants: batches go on from each other, so that no offset is left out or committed twice; what a commit holds is
//! told only after it is known to have happened (decide first); a commit is in the name of who read its last rows; the
//! generation list forgets only what every sink has passed.
//! Does no I/O and knows no clock: time is an argument. The thread in `head` does what `next` says, and tells what
//! came of it; after an error nobody asks it again, for the next session begins from what was committed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::batch::{Batch, Span};
use crate::engine::history::History;
use crate::error::{Error, Result};
use crate::plan::CommitLimits;
use crate::sink::Positions;
use crate::sink::transaction::Advance;

/// How late a sink's question to the group is seen while nothing is read.
const IDLE_WAIT: Duration = Duration::from_millis(50);
/// Offsets of a topic at rest are committed again, before any broker forgets them (by default after seven days).
const COMMIT_AGAIN_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Debug, PartialEq, Eq)]
pub enum Act<B> {
    /// Wait for a batch until then; [`Progress::came`], [`Progress::waited`], or [`Progress::end`] if no more come.
    Receive(Instant),
    /// See whether the sinks that are required have room; then [`Progress::looked`].
    LookForRoom,
    /// Send its rows; then [`Progress::took`].
    Take(B),
    /// Commit what [`Progress::propose`] answers; then [`Progress::committed`].
    Commit,
    End,
}

/// What follows from a commit that is known to have happened.
#[derive(Debug)]
pub struct Known<B> {
    /// Where it began.
    pub from: Positions,
    /// What the other sinks may write from now on.
    pub batches: Vec<B>,
    /// The last question that it answers: the partitions were still this worker's.
    pub proof: u64,
}

/// What waits in memory for a commit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Held {
    pub messages: usize,
    pub bytes: usize,
}

impl Held {
    pub fn of(batch: &Batch) -> Held {
        Held { messages: batch.origins.len(), bytes: batch.bytes_held() }
    }

    fn is_enough(self, limits: CommitLimits) -> bool {
        self.messages >= limits.rows_max || self.bytes >= limits.bytes_max
    }
}

pub struct Progress<B, M> {
    limits: CommitLimits,
    committed: Positions,
    /// Committed, or in the open transaction.
    positions: Positions,
    histories: BTreeMap<i32, History>,
    /// Read, and not in the transaction yet.
    next: Option<B>,
    has_room: bool,
    /// The last wait, for a batch or for room, was in vain.
    rests: bool,
    /// In the open transaction, which is to be committed by then.
    pending: Vec<B>,
    held: Held,
    due: Option<Instant>,
    /// Who read the rows that were taken last.
    member: M,
    committed_at: Instant,
    /// The last question of a sink that was asked when the commit under way began, and the last that is answered.
    asked: u64,
    proven: u64,
    ending: bool,
}

impl<B, M> Progress<B, M> {
    pub fn new(
        limits: CommitLimits,
        positions: Positions,
        histories: BTreeMap<i32, History>,
        member: M,
        now: Instant,
    ) -> Progress<B, M> {
        Progress {
            limits,
            committed: positions.clone(),
            positions,
            histories,
            next: None,
            has_room: false,
            rests: false,
            pending: Vec::new(),
            held: Held::default(),
            due: None,
            member,
            committed_at: now,
            asked: 0,
            proven: 0,
            ending: false,
        }
    }

    /// `asked`: the last question of a sink whether the partitions are still this worker's.
    pub fn next(&mut self, now: Instant, asked: u64) -> Act<B> {
        let is_wanted = asked > self.proven || now >= self.committed_at + COMMIT_AGAIN_AFTER;
        match self.due {
            Some(due) if self.ending || now >= due || self.held.is_enough(self.limits) => Act::Commit,
            Some(due) => self.next.take().map_or(Act::Receive(due), Act::Take),
            // of what stands: the group's answer is what is wanted
            None if self.rests && is_wanted => Act::Commit,
            None if self.next.is_none() && self.ending => Act::End,
            None if self.next.is_none() => Act::Receive(now + IDLE_WAIT),
            // before anything of it is sent: a transaction is short
            None if !self.has_room => Act::LookForRoom,
            None => self.next.take().map_or(Act::End, Act::Take),
        }
    }

    pub fn came(&mut self, batch: B) {
        (self.next, self.rests) = (Some(batch), false);
    }

    /// No batch came in time.
    pub fn waited(&mut self) {
        self.rests = true;
    }

    /// No more batches come.
    pub fn end(&mut self) {
        (self.ending, self.rests) = (true, false);
    }

    pub fn looked(&mut self, has_room: bool) {
        (self.has_room, self.rests) = (has_room, !has_room);
    }

    /// Its rows were sent. `member`: who read them.
    pub fn took(&mut self, batch: B, spans: &[Span], held: Held, member: M, now: Instant) -> Result<()> {
        for span in spans {
            let position = self.positions.get_mut(&span.partition).filter(|position| **position == span.from);
            let position = position.ok_or_else(|| {
                Error::stop(format!("partition {}: offsets {} to {} do not go on", span.partition, span.from, span.to))
            })?;
            *position = span.to;
        }
        self.has_room = false;
        self.pending.push(batch);
        self.held.messages += held.messages;
        self.held.bytes += held.bytes;
        self.due.get_or_insert(now + self.limits.interval_max);
        self.member = member;
        Ok(())
    }

    /// Offsets with their generation lists, without what no sink asks for again; the commit is to be begun now.
    /// `asked`: the last question of a sink; `slowest`: the first offset of a partition that some sink lacks.
    pub fn propose(&mut self, asked: u64, slowest: impl Fn(i32) -> i64) -> Result<BTreeMap<i32, Advance>> {
        // asked before the commit begins, so that the answer is younger than the question
        self.asked = asked;
        for (partition, history) in &mut self.histories {
            history.prune(slowest(*partition).min(self.positions[partition]));
        }
        advances(|partition| self.committed.get(&partition).copied(), &self.positions, &self.histories)
    }

    /// In whose name it is committed.
    pub fn member(&self) -> &M {
        &self.member
    }

    /// The commit is known to have happened.
    pub fn committed(&mut self, now: Instant) -> Known<B> {
        (self.committed_at, self.due, self.held, self.rests) = (now, None, Held::default(), false);
        self.proven = self.asked;
        let from = std::mem::replace(&mut self.committed, self.positions.clone());
        Known { from, batches: std::mem::take(&mut self.pending), proof: self.proven }
    }

    /// Where the head stands, by its last known commit.
    pub fn heads(&self) -> &Positions {
        &self.committed
    }
}

/// Offsets with their generation lists beside them.
pub fn advances(
    from: impl Fn(i32) -> Option<i64>,
    positions: &Positions,
    histories: &BTreeMap<i32, History>,
) -> Result<BTreeMap<i32, Advance>> {
    let advance = |(&partition, &to): (&i32, &i64)| {
        let metadata = histories.get(&partition).map_or_else(|| Ok(String::new()), History::render)?;
        Ok((partition, Advance { from: from(partition), to, metadata }))
    };
    positions.iter().map(advance).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: CommitLimits = CommitLimits { rows_max: 3, bytes_max: 100, interval_max: Duration::from_millis(10) };

    /// A head at offset 0 of partition 0, whose batches are names and whose members are numbers.
    fn head(now: Instant) -> Progress<&'static str, u32> {
        let histories = BTreeMap::from([(0, History::new("t", 0, &"a".into()))]);
        Progress::new(LIMITS, Positions::from([(0, 0)]), histories, 1, now)
    }

    fn held(messages: usize) -> Held {
        Held { messages, bytes: messages }
    }

    fn span(from: i64, to: i64) -> Vec<Span> {
        vec![Span { partition: 0, from, to }]
    }

    /// A batch on its way from the reader into the transaction.
    fn take(
        head: &mut Progress<&'static str, u32>,
        name: &'static str,
        (from, to): (i64, i64),
        member: u32,
        now: Instant,
    ) {
        head.came(name);
        if head.next(now, 0) == Act::LookForRoom {
            head.looked(true);
            assert_eq!(head.next(now, 0), Act::Take(name));
        }
        head.took(name, &span(from, to), held((to - from) as usize), member, now).unwrap();
    }

    #[test]
    fn what_was_taken_is_committed_when_it_is_due_and_told_only_then() {
        let now = Instant::now();
        let mut head = head(now);
        assert_eq!(head.next(now, 0), Act::Receive(now + IDLE_WAIT));
        take(&mut head, "first", (0, 2), 7, now);
        assert_eq!(head.next(now, 0), Act::Receive(now + LIMITS.interval_max));
        assert_eq!(head.next(now + LIMITS.interval_max, 0), Act::Commit);
        let advance = head.propose(0, |_| 0).unwrap().remove(&0).unwrap();
        assert_eq!((advance.from, advance.to, *head.member()), (Some(0), 2, 7));
        assert_eq!(head.heads(), &Positions::from([(0, 0)]), "nobody knows of it yet");
        let known = head.committed(now);
        assert_eq!((known.batches, known.from), (vec!["first"], Positions::from([(0, 0)])));
        assert_eq!(head.heads(), &Positions::from([(0, 2)]));
        assert_eq!(head.next(now, 0), Act::Receive(now + IDLE_WAIT));
    }

    #[test]
    fn many_rows_or_the_end_of_batches_are_a_reason_too() {
        let now = Instant::now();
        let mut head = head(now);
        take(&mut head, "many", (0, 3), 1, now);
        head.came("next");
        assert_eq!(head.next(now, 0), Act::Commit);
        head.committed(now);
        head.looked(true);
        assert_eq!(head.next(now, 0), Act::Take("next"));
        head.took("next", &span(3, 4), held(1), 1, now).unwrap();
        head.end();
        assert_eq!(head.next(now, 0), Act::Commit);
        head.committed(now);
        assert_eq!(head.next(now, 9), Act::End);
    }

    #[test]
    fn many_bytes_are_a_reason() {
        let now = Instant::now();
        let mut head = head(now);
        head.came("large");
        head.looked(true);
        assert_eq!(head.next(now, 0), Act::Take("large"));
        head.took("large", &span(0, 1), Held { messages: 1, bytes: LIMITS.bytes_max }, 1, now).unwrap();
        assert_eq!(head.next(now, 0), Act::Commit);
        head.committed(now);
        take(&mut head, "small", (1, 2), 1, now);
        assert_eq!(head.next(now, 0), Act::Receive(now + LIMITS.interval_max));
    }

    #[test]
    fn a_batch_that_does_not_go_on_is_an_error() {
        let now = Instant::now();
        for (from, to) in [(1, 2), (-1, 2)] {
            assert!(head(now).took("odd", &span(from, to), held(1), 1, now).is_err());
        }
        let elsewhere = [Span { partition: 5, from: 0, to: 1 }];
        assert!(head(now).took("odd", &elsewhere, held(1), 1, now).is_err());
    }

    #[test]
    fn nothing_is_taken_before_required_sinks_have_room() {
        let now = Instant::now();
        let mut head = head(now);
        head.came("first");
        for _ in 0..3 {
            assert_eq!(head.next(now, 0), Act::LookForRoom);
            head.looked(false);
        }
        assert_eq!(head.next(now, 1), Act::Commit, "the sink that lacks room may be waiting for the group's answer");
        head.propose(1, |_| 0).unwrap();
        assert!(head.committed(now).batches.is_empty());
        assert_eq!(head.next(now, 1), Act::LookForRoom);
        head.looked(true);
        assert_eq!(head.next(now, 1), Act::Take("first"));
        head.took("first", &span(0, 3), held(3), 1, now).unwrap();
        assert_eq!(head.next(now, 1), Act::Commit);
        head.committed(now);
        head.came("second");
        assert_eq!(head.next(now, 1), Act::LookForRoom, "each transaction looks anew");
    }

    #[test]
    fn a_commit_answers_what_was_asked_before_it_began() {
        let now = Instant::now();
        let mut head = head(now);
        head.waited();
        assert_eq!(head.next(now, 1), Act::Commit);
        head.propose(1, |_| 0).unwrap();
        assert_eq!(head.committed(now).proof, 1);
        head.waited();
        assert_eq!(head.next(now, 1), Act::Receive(now + IDLE_WAIT));
        assert_eq!(head.next(now, 2), Act::Commit);
        // rows that come answer it just as well
        take(&mut head, "first", (0, 3), 1, now);
        head.propose(2, |_| 0).unwrap();
        assert_eq!(head.committed(now).proof, 2);
    }

    #[test]
    fn offsets_at_rest_are_committed_again_before_they_expire() {
        let now = Instant::now();
        let mut head = head(now);
        head.waited();
        assert_eq!(head.next(now, 0), Act::Receive(now + IDLE_WAIT));
        let later = now + COMMIT_AGAIN_AFTER;
        assert_eq!(head.next(later, 0), Act::Commit);
        head.committed(later);
        head.waited();
        assert_eq!(head.next(later, 0), Act::Receive(later + IDLE_WAIT));
    }

    #[test]
    fn the_list_beside_the_offset_keeps_what_the_slowest_sink_needs() {
        let now = Instant::now();
        let mut history = History::new("t", 0, &"a".into());
        for n in 1..=20 {
            history.decide(n, &["a", "b"][n as usize % 2].into());
        }
        let lists = |slowest: i64| {
            let histories = BTreeMap::from([(0, history.clone())]);
            let mut head = Progress::<(), u32>::new(LIMITS, Positions::from([(0, 20)]), histories, 1, now);
            let advance = head.propose(0, |_| slowest).unwrap().remove(&0).unwrap();
            History::parse(&advance.metadata).unwrap().begins()
        };
        assert_eq!([lists(i64::MIN), lists(4), lists(5), lists(i64::MAX)], [0, 4, 5, 13]);
    }
}
