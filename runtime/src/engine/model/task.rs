//! A sink's task on modelled media: its lane, driven as `drive` and `reread` drive it, and a writer that keeps the
//! order of its connector's steps. One request is sent at a time, so that anything may come between two.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::media::{Failed, Fault, Media, Request};
use super::rows::{Generation, Row, Sink, is_for};
use super::worker::{BATCH, Batch, Turn};
use crate::batch::Span;
use crate::engine::history::History;
use crate::engine::lane::{Act, Lane, Limits, Stretch};
use crate::engine::passage::{Passage, Seen, gap};
use crate::sink::{Positions, moves};

pub const QUEUE_ROWS_MAX: usize = 10;
const LIMITS: Limits = Limits {
    queue_rows_max: QUEUE_ROWS_MAX,
    queue_bytes_max: 1 << 20,
    join_messages_max: 3,
    backoff_first: Duration::from_millis(10),
    backoff_max: Duration::from_millis(40),
};
const ROLL_AFTER: Duration = Duration::from_millis(15);

/// What sinks ask the head, by number: are the partitions still this worker's? And the truth: how many commits it has
/// begun, and which of them was the last that it knows of.
#[derive(Default)]
pub struct Questions {
    pub asked: u64,
    pub proven: u64,
    pub begun: u64,
    pub known: u64,
}

pub struct Task {
    sink: Sink,
    pub lane: Lane<Rc<Batch>>,
    starts: Positions,
    writer: Option<Writer>,
    /// Requests, one after the other, and what follows from them.
    sending: VecDeque<Request>,
    then: Option<Then>,
    pass: Option<Pass>,
    question: Option<u64>,
    /// A writer has failed; the commits that the head had begun when the last question was asked.
    has_failed: bool,
    begun_before: Option<u64>,
    is_ending: bool,
    is_finishing: bool,
    pub ended: bool,
}

enum Then {
    /// What was missing is set up.
    OpenAgain,
    Opened(BTreeMap<i32, u64>),
    Moved(Vec<Span>, Positions),
    Published(Positions),
}

#[derive(Default)]
struct Writer {
    accepted: Positions,
    durable: Positions,
    /// Of a directory: tokens, markers, and what is not published.
    tokens: BTreeMap<i32, u64>,
    markers: Positions,
    rows: Vec<Row>,
    since: Option<Instant>,
}

impl Task {
    pub fn new(sink: Sink, required: bool, heads: Positions, starts: Positions) -> Task {
        Task {
            sink,
            lane: Lane::new(LIMITS, required, heads),
            starts,
            writer: None,
            sending: VecDeque::new(),
            then: None,
            pass: None,
            question: None,
            has_failed: false,
            begun_before: None,
            is_ending: false,
            is_finishing: false,
            ended: false,
        }
    }

    pub fn end(&mut self) {
        self.lane.end();
        self.is_ending = true;
    }

    pub fn step(&mut self, turn: &mut Turn<'_>, questions: &mut Questions, histories: &BTreeMap<i32, History>) {
        if self.ended {
            return;
        }
        if self.then.is_none() {
            self.begin(turn, questions, histories);
        }
        self.send(turn);
        let stopped = self.lane.stopped();
        turn.media.must(stopped.is_none(), || format!("{:?} has stopped: {stopped:?}", self.sink));
    }

    fn send(&mut self, turn: &mut Turn<'_>) {
        if let Some(request) = self.sending.pop_front()
            && turn.media.send(request, turn.fault).is_err()
        {
            return self.fail(turn);
        }
        if self.sending.is_empty()
            && let Some(then) = self.then.take()
        {
            self.sent(turn, then);
        }
    }

    fn fail(&mut self, turn: &Turn<'_>) {
        (self.writer, self.pass, self.then, self.question, self.begun_before) = (None, None, None, None, None);
        self.sending.clear();
        self.has_failed = true;
        self.ended = self.is_finishing;
        self.lane.failed("it failed".into(), turn.now, 0.5);
    }

    fn begin(&mut self, turn: &mut Turn<'_>, questions: &mut Questions, histories: &BTreeMap<i32, History>) {
        if self.pass.is_some() && self.lane.may_reread() {
            return self.read_on(turn);
        }
        self.pass = None;
        match self.question {
            Some(question) if questions.proven >= question => {
                if let Err(beyond) = self.lane.proved() {
                    self.lane.stop(format!("{beyond:?}"));
                }
            }
            Some(_) if !self.is_ending => return,
            _ => {}
        }
        self.question = None;
        match self.lane.next(turn.now) {
            Act::Prove => {
                questions.asked += 1;
                (self.question, self.begun_before) = (Some(questions.asked), Some(questions.begun));
            }
            Act::Open => {
                let is_asked = !self.has_failed || self.begun_before.is_some_and(|begun| questions.known > begun);
                turn.media.must(is_asked, || format!("{:?}: opened again without asking the group", self.sink));
                self.open(turn.media);
            }
            Act::Write(batch) => self.write(turn, &batch),
            Act::Reread(stretch) => self.reread(turn, &stretch, histories),
            Act::Wait(_) => self.roll(turn.now),
            Act::End if self.is_finishing => self.ended = true,
            Act::End => {
                self.is_finishing = true;
                self.publish();
                self.ended = self.then.is_none();
            }
        }
    }

    fn open(&mut self, media: &mut Media) {
        let is_missing = |&(partition, _): &(i32, i64)| media.position(self.sink, partition).is_none();
        let missing: Positions = self.starts.clone().into_iter().filter(is_missing).collect();
        if !missing.is_empty() {
            let set_up = |(partition, start)| Request::SetUpToken { partition, start };
            match self.sink {
                Sink::Directory => self.sending.extend(missing.into_iter().map(set_up)),
                sink => self.sending.push_back(Request::SetUpCursors(sink, missing)),
            }
            self.then = Some(Then::OpenAgain);
            return;
        }
        let mut tokens = BTreeMap::new();
        if self.sink == Sink::Directory {
            for &partition in self.starts.keys() {
                let (from, to) = (media.directories[&partition].token, media.fresh_token());
                tokens.insert(partition, to);
                self.sending.push_back(Request::Take { partition, from, to });
            }
        }
        self.then = Some(Then::Opened(tokens));
    }

    fn sent(&mut self, turn: &mut Turn<'_>, then: Then) {
        match then {
            Then::OpenAgain => {}
            Then::Opened(tokens) => self.opened(turn, tokens),
            Then::Moved(spans, moves) => {
                if let Some(writer) = &mut self.writer {
                    writer.accepted.extend(moves);
                    self.lane.made_durable(&writer.accepted);
                }
                self.lane.took(&spans);
            }
            Then::Published(to) => {
                if let Some(writer) = &mut self.writer {
                    writer.markers.extend(to.clone());
                    writer.durable.extend(to);
                    self.lane.made_durable(&writer.durable);
                }
            }
        }
    }

    fn opened(&mut self, turn: &mut Turn<'_>, tokens: BTreeMap<i32, u64>) {
        let is_gone = |(partition, token): (&i32, &u64)| turn.media.directories[partition].token != *token;
        if turn.fault == Fault::Before || tokens.iter().any(is_gone) {
            return self.fail(turn);
        }
        let position = |&partition| Some((partition, turn.media.position(self.sink, partition)?));
        let positions: Positions = self.starts.keys().filter_map(position).collect();
        let marker = |partition: &i32| (*partition, turn.media.directories[partition].marker);
        let markers = tokens.keys().map(marker).collect();
        self.lane.made_durable(&positions);
        self.lane.opened(positions.clone());
        let (accepted, durable) = (positions.clone(), positions);
        self.writer = Some(Writer { accepted, durable, tokens, markers, ..Writer::default() });
    }

    fn write(&mut self, turn: &mut Turn<'_>, batch: &Batch) {
        let Some(writer) = &mut self.writer else { return self.fail(turn) };
        let moves = match moves(&writer.accepted, &batch.spans) {
            Ok(moves) => moves,
            Err(error) => return turn.media.must(false, || format!("{:?}: {error}", self.sink)),
        };
        let is_new = |row: &&Row| {
            is_for(self.sink, row.offset) && writer.accepted.get(&row.partition).is_some_and(|&p| row.offset >= p)
        };
        let rows: Vec<Row> = batch.rows.iter().filter(is_new).cloned().collect();
        if self.sink == Sink::Directory {
            writer.rows.extend(rows);
            writer.accepted.extend(moves);
            writer.since.get_or_insert(turn.now);
            self.lane.took(&batch.spans);
            return self.roll(turn.now);
        }
        if !rows.is_empty() {
            self.sending.push_back(Request::Insert(self.sink, rows));
        }
        if !moves.is_empty() {
            self.sending.push_back(Request::MoveCursors(self.sink, moves.clone()));
        }
        self.then = Some(Then::Moved(batch.spans.clone(), moves));
    }

    fn roll(&mut self, now: Instant) {
        if self.writer.as_ref().and_then(|writer| writer.since).is_some_and(|since| now >= since + ROLL_AFTER) {
            self.publish();
        }
    }

    fn publish(&mut self) {
        let Some(writer) = self.writer.as_mut().filter(|writer| writer.since.is_some()) else { return };
        writer.since = None;
        for (&partition, &next) in &writer.accepted {
            let first = writer.durable[&partition];
            if next <= first {
                continue;
            }
            let rows: Vec<Row> = writer.rows.extract_if(.., |row| row.partition == partition).collect();
            let token = writer.tokens[&partition];
            if !rows.is_empty() {
                self.sending.push_back(Request::Publish { partition, token, first, next, rows });
            }
            let from = writer.markers[&partition];
            self.sending.push_back(Request::MoveMarker { partition, token, from, to: next });
        }
        self.then = Some(Then::Published(writer.accepted.clone()));
    }

    fn reread(&mut self, turn: &mut Turn<'_>, stretch: &Stretch, histories: &BTreeMap<i32, History>) {
        let found = gap(stretch, |partition| Ok(turn.media.log[&partition].first)).expect("the log is there");
        if let Some(gap) = found {
            turn.media.skip(self.sink, gap.partition, gap.from, gap.to);
            let spans = vec![Span { partition: gap.partition, from: gap.from, to: gap.to }];
            return self.write(turn, &Batch { spans, rows: Vec::new() });
        }
        self.pass = Some(Pass::new(stretch, histories));
        self.read_on(turn);
    }

    fn read_on(&mut self, turn: &mut Turn<'_>) {
        let Some(pass) = &mut self.pass else { return };
        match pass.next(turn) {
            Ok(Some(batch)) => self.write(turn, &batch),
            Ok(None) => self.pass = None,
            Err(Failed) => self.fail(turn),
        }
    }
}

/// A stretch that is read again, as `reread` does it.
struct Pass {
    passage: Passage,
    generation: Generation,
    rows: Vec<Row>,
    ready: VecDeque<Batch>,
}

impl Pass {
    fn new(stretch: &Stretch, histories: &BTreeMap<i32, History>) -> Pass {
        let generation = Generation::from("a");
        let passage = Passage::new(stretch, BATCH, histories.clone(), generation.clone());
        Pass { passage, generation, rows: Vec::new(), ready: VecDeque::new() }
    }

    /// The next batch; None: the stretch is read.
    fn next(&mut self, turn: &Turn<'_>) -> Result<Option<Batch>, Failed> {
        while self.ready.is_empty() {
            let Some((partition, read)) = self.passage.from().pop_first() else {
                self.give();
                break;
            };
            if read < turn.media.log[&partition].first {
                return Err(Failed);
            }
            let message = turn.media.next_message(partition, read);
            let is_end = message.is_none_or(|offset| self.comes(turn.now, partition, offset));
            if is_end {
                self.passage.end(partition);
            }
            if self.passage.is_due(turn.now) {
                self.give();
            }
        }
        Ok(self.ready.pop_front())
    }

    /// True: it is the last of its partition, or beyond.
    fn comes(&mut self, now: Instant, partition: i32, offset: i64) -> bool {
        match self.passage.see(partition, offset).expect("it is held") {
            Seen::Wanted { turns_to, is_last } => {
                if let Some(generation) = turns_to {
                    self.give();
                    self.generation = generation;
                }
                self.rows.push(Row { partition, offset, generation: self.generation.clone() });
                self.passage.push(partition, offset, 1, now);
                is_last
            }
            Seen::Beyond => true,
            Seen::Known => false,
        }
    }

    fn give(&mut self) {
        if let Some(spans) = self.passage.take() {
            self.ready.push_back(Batch { spans, rows: std::mem::take(&mut self.rows) });
        }
    }
}
