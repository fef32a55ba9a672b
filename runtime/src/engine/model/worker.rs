//! A worker on modelled media: the machines of a session, driven as `session`, `reader` and `head` drive them.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::media::{Failed, Fault, Media, Member, Producer, Transaction};
use super::rows::{Content, Generation, PARTITIONS, Row, SINKS, content};
use super::task::{QUEUE_ROWS_MAX, Questions, Task};
use crate::batch::Span;
use crate::engine::cut::Cut;
use crate::engine::history::History;
use crate::engine::lane::{Queued, State};
use crate::engine::progress::{Act, Held, Progress, advances};
use crate::engine::stand::{Group, Stand};
use crate::plan::{BatchLimits, CommitLimits, Start};
use crate::sink::{Log, Positions};

pub const BATCH: BatchLimits = BatchLimits { rows_max: 2, bytes_max: 1 << 20, wait_max: Duration::from_millis(5) };
/// A transaction has at most four rows: fewer than wait for a sink that has room.
const COMMIT: CommitLimits =
    CommitLimits { rows_max: 3, bytes_max: usize::MAX, interval_max: Duration::from_millis(5) };
const QUEUE_BATCHES_MAX: usize = 2;

#[derive(Debug)]
pub struct Batch {
    pub spans: Vec<Span>,
    /// Those that a stage refuses are among them.
    pub rows: Vec<Row>,
}

/// A batch for the head, and who read it.
type Read = (Batch, Member);

/// The world, for one step.
pub struct Turn<'a> {
    pub media: &'a mut Media,
    pub now: Instant,
    pub fault: Fault,
    /// Which of the sinks are.
    pub required: [bool; SINKS.len()],
}

pub struct Worker {
    id: usize,
    generation: Generation,
    phase: Phase,
}

enum Phase {
    Idle,
    /// The group has given it partitions, and its transactional id is taken; no position is read.
    Taken {
        producer: Producer,
        member: Member,
        partitions: Vec<i32>,
    },
    Running(Box<Session>),
}

struct Session {
    generation: Generation,
    member: Member,
    producer: Producer,
    /// The group, or a signal, wants an end, and this worker has heard of it.
    must_end: bool,
    cut: Cut,
    gathered: Vec<Row>,
    read: VecDeque<Read>,
    progress: Progress<Read, Member>,
    /// Rows of the open transaction.
    sent: Vec<Row>,
    /// What came of the commit under way; the head has not heard it yet.
    answer: Option<Result<(), Failed>>,
    /// When room was looked for, and since then nothing was taken: there was some at every sink that is required.
    room: Option<bool>,
    histories: BTreeMap<i32, History>,
    tasks: Vec<Task>,
    required: [bool; SINKS.len()],
    questions: Questions,
    is_reading: bool,
    is_heading: bool,
}

impl Worker {
    pub fn new(id: usize, generation: Generation) -> Worker {
        Worker { id, generation, phase: Phase::Idle }
    }

    /// It learns of a rebalance, if there was one.
    pub fn hear(&mut self, media: &Media) {
        if let Phase::Running(session) = &mut self.phase {
            session.must_end |= session.member != media.member;
        }
    }

    /// A signal: it drains, and its successor is of another generation.
    pub fn stop(&mut self, generation: Generation) {
        self.generation = generation;
        if let Phase::Running(session) = &mut self.phase {
            session.must_end = true;
        }
    }

    /// The time to drain is over.
    pub fn give_up(&mut self) {
        if matches!(&self.phase, Phase::Running(session) if !session.is_heading) {
            self.phase = Phase::Idle;
        }
    }

    pub fn is_in_step(&self, media: &Media) -> bool {
        match &self.phase {
            Phase::Running(session) => session.tasks.iter().all(|task| task.lane.state() == State::InStep),
            Phase::Idle => !media.assigned.contains(&self.id),
            Phase::Taken { .. } => false,
        }
    }

    pub fn read(&mut self, turn: &Turn<'_>, partition: i32) {
        if let Phase::Running(session) = &mut self.phase {
            session.read(turn, partition);
        }
    }

    pub fn sink(&mut self, turn: &mut Turn<'_>, sink: usize) {
        if let Phase::Running(session) = &mut self.phase {
            session.tasks[sink].step(turn, &mut session.questions, &session.histories);
        }
    }

    /// From one session to the next, and in it the head.
    pub fn head(&mut self, turn: &mut Turn<'_>) {
        let media = &mut *turn.media;
        match &mut self.phase {
            Phase::Idle => {
                let partitions: Vec<i32> = (0..PARTITIONS).filter(|&p| media.assigned[p as usize] == self.id).collect();
                let member = media.member;
                if !partitions.is_empty() {
                    self.phase = Phase::Taken { producer: media.init(self.id), member, partitions };
                }
            }
            Phase::Taken { producer, member, partitions } => {
                let (producer, member, partitions) = (*producer, *member, std::mem::take(partitions));
                let begun = self.begin(turn, producer, member, &partitions);
                self.phase = begun.map_or(Phase::Idle, |session| Phase::Running(Box::new(session)));
            }
            Phase::Running(session) => {
                session.head(turn);
                if !session.is_heading && session.tasks.iter().all(|task| task.ended) {
                    self.phase = Phase::Idle;
                }
            }
        }
    }

    /// As `session::run` does; None: it is tried again from the start.
    fn begin(&self, turn: &mut Turn<'_>, producer: Producer, member: Member, partitions: &[i32]) -> Option<Session> {
        let log = Log { cluster: "c".into(), topic: "t".into(), topic_id: "id".into() };
        let (start, generation) = (Start::Earliest, &self.generation);
        let group = Group { name: "g", log: &log, start, is_known: false, generation, reset: "reset" };
        let (mut heads, mut histories, mut committed) = (Positions::new(), BTreeMap::new(), Positions::new());
        let mut decided = false;
        for &partition in partitions {
            let found = turn.media.committed(partition)?;
            let extent = turn.media.log[&partition];
            let stood = group.stand(partition, &found, extent);
            let Ok(Stand { head, history, is_news }) = stood.map_err(|error| {
                turn.media.must(false, || format!("a worker ends: {error}"));
            }) else {
                return None;
            };
            committed.extend(found.offset.map(|offset| (partition, offset)));
            heads.insert(partition, head);
            histories.insert(partition, history);
            decided |= is_news;
        }
        if decided {
            let advances = advances(|partition| committed.get(&partition).copied(), &heads, &histories).ok()?;
            turn.media.commit(producer, Transaction { advances, rows: Vec::new() }, member, turn.fault).ok()?;
        }
        let starts: Positions = histories.iter().map(|(&partition, list)| (partition, list.since(|_| true))).collect();
        let task = |(sink, required)| Task::new(sink, required, heads.clone(), starts.clone());
        Some(Session {
            generation: generation.clone(),
            member,
            producer,
            must_end: false,
            cut: Cut::new(BATCH, heads.clone()),
            gathered: Vec::new(),
            read: VecDeque::new(),
            tasks: SINKS.into_iter().zip(turn.required).map(task).collect(),
            progress: Progress::new(COMMIT, heads, histories.clone(), member, turn.now),
            sent: Vec::new(),
            answer: None,
            room: None,
            histories,
            required: turn.required,
            questions: Questions::default(),
            is_reading: true,
            is_heading: true,
        })
    }
}

impl Session {
    /// One message, or a batch for the head.
    fn read(&mut self, turn: &Turn<'_>, partition: i32) {
        let has_room = self.read.len() < QUEUE_BATCHES_MAX;
        let is_due = self.must_end || self.cut.is_due(turn.now);
        if !self.is_reading || (is_due && !has_room) {
            return;
        }
        if is_due {
            if let Some(spans) = self.cut.take() {
                self.read.push_back((Batch { spans, rows: std::mem::take(&mut self.gathered) }, self.member));
            }
            self.is_reading = !self.must_end;
            return;
        }
        let Some(read) = self.cut.read_to(partition) else { return };
        if let Some(offset) = turn.media.next_message(partition, read) {
            self.cut.push(partition, offset, 1, turn.now);
            self.gathered.push(Row { partition, offset, generation: self.generation.clone() });
        }
    }

    /// As `head::drain`, until a commit has begun or is answered, or nothing can be done.
    fn head(&mut self, turn: &mut Turn<'_>) {
        if let Some(answer) = self.answer.take() {
            return self.answered(turn, answer);
        }
        while self.is_heading {
            match self.progress.next(turn.now, self.questions.asked) {
                Act::Receive(_) => match self.read.pop_front() {
                    Some(read) => self.progress.came(read),
                    None if !self.is_reading => self.progress.end(),
                    None => return self.progress.waited(),
                },
                Act::LookForRoom => {
                    let has_room = !self.tasks.iter().any(|task| task.lane.holds_head());
                    self.room = Some(self.has_room());
                    if !has_room && !self.is_reading {
                        return self.end();
                    }
                    self.progress.looked(has_room);
                    if !has_room {
                        return;
                    }
                }
                Act::Take((batch, member)) => self.take(turn, batch, member),
                Act::Commit => return self.commit(turn),
                Act::End => self.end(),
            }
        }
    }

    /// Whether the head may go on, seen from outside of lanes.
    fn has_room(&self) -> bool {
        let mut required = self.tasks.iter().zip(self.required).filter(|(_, required)| *required);
        required.all(|(Task { lane, .. }, _)| lane.state() == State::InStep && lane.queue_rows() <= QUEUE_ROWS_MAX / 2)
    }

    fn take(&mut self, turn: &mut Turn<'_>, batch: Batch, member: Member) {
        if self.sent.is_empty() {
            let has_room = self.room.take() == Some(true);
            turn.media.must(has_room, || "the head has not waited for a sink that is required".into());
        }
        self.sent.extend(batch.rows.iter().cloned());
        let (spans, rows) = (batch.spans.clone(), batch.rows.len());
        if let Err(error) =
            self.progress.took((batch, member), &spans, Held { messages: rows, bytes: 0 }, member, turn.now)
        {
            turn.media.must(false, || error.to_string());
            self.end();
        }
    }

    fn commit(&mut self, turn: &mut Turn<'_>) {
        let tasks = &self.tasks;
        let slowest = |partition| tasks.iter().map(|task| task.lane.durable(partition)).min().unwrap_or(i64::MAX);
        let advances = self.progress.propose(self.questions.asked, slowest).expect("a list that fits");
        let rows = self.sent.drain(..).filter(|row| content(row.offset) == Content::Row).collect();
        let member = *self.progress.member();
        self.questions.begun += 1;
        self.answer = Some(turn.media.commit(self.producer, Transaction { advances, rows }, member, turn.fault));
    }

    fn answered(&mut self, turn: &mut Turn<'_>, answer: Result<(), Failed>) {
        if answer.is_err() {
            return self.end();
        }
        self.questions.known = self.questions.begun;
        let known = self.progress.committed(turn.now);
        self.questions.proven = known.proof;
        for (batch, _) in known.batches {
            let (spans, rows) = (batch.spans.clone(), batch.rows.len());
            let batch = Rc::new(batch);
            for (task, required) in self.tasks.iter_mut().zip(self.required) {
                let was_in_step = task.lane.state() == State::InStep;
                task.lane.committed(Queued { spans: spans.clone(), rows, bytes: rows, batch: batch.clone() });
                let queued = task.lane.queue_rows();
                turn.media.must(queued <= QUEUE_ROWS_MAX, || format!("{queued} rows wait for a sink"));
                let is_left = required && was_in_step && task.lane.state() != State::InStep;
                turn.media.must(!is_left, || "the head has left a sink behind that is required".into());
            }
        }
    }

    /// The head is done, or it failed: the sinks are told, whatever it was.
    fn end(&mut self) {
        (self.is_reading, self.is_heading) = (false, false);
        self.read.clear();
        self.tasks.iter_mut().for_each(Task::end);
    }
}
