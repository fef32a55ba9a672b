//! One schedule against one pipeline, and what the checker says of it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::check::{Finding, Observed, When, Wrong, check};
use crate::message::{Fate, Source};
use crate::random::Random;
use crate::schedule::{Step, steps};
use crate::worker::{LOOK, PATIENCE};

/// A pipeline with its workers, and what can be done to it.
pub trait World {
    type Fault: std::fmt::Debug;
    const PARTITIONS: u64;
    const MESSAGES_MAX: u64;
    /// Rounds, for a word.
    const TOLD_EVERY: u64;

    fn draw(&self, random: &mut Random) -> Self::Fault;
    fn kind(&self, fault: &Self::Fault) -> &'static str;
    /// A worker was killed, and nothing else is wrong: how long until others do its work?
    fn is_kill(fault: &Self::Fault) -> bool;
    fn start(&mut self) -> Result<(), String>;
    /// They are in the log when this returns.
    fn produce(&mut self, partition: i32, messages: &[Vec<u8>]) -> Result<(), String>;
    /// Records in the topics of rows and rejects; None: nobody can tell just now.
    fn records(&mut self) -> Option<usize>;
    /// Does it, and what it takes that the pipeline can go on.
    fn act(&mut self, fault: &Self::Fault, feed: &mut Feed, timeline: &mut Timeline) -> Result<(), String>;
    /// Takes back what still stands in the way.
    fn heal(&mut self) -> Result<(), String>;
    fn must_run(&mut self) -> Result<(), String>;
    fn observe(&mut self) -> Option<Observed>;
    fn topic(&self) -> String;
    fn deployed(&self) -> std::collections::BTreeSet<i64>;
    fn drain(&mut self) -> Result<(), String>;
}

pub struct Timeline {
    since: Instant,
    lines: Vec<(Duration, String)>,
}

impl Timeline {
    pub fn new() -> Timeline {
        Timeline { since: Instant::now(), lines: Vec::new() }
    }

    pub fn note(&mut self, what: impl Into<String>) {
        self.lines.push((self.since.elapsed(), what.into()));
    }

    pub fn text(&self) -> String {
        self.lines.iter().fold(String::new(), |mut text, (at, what)| {
            let _ = writeln!(text, "{:>9.3} s  {what}", at.as_secs_f64());
            text
        })
    }
}

/// What was done in rounds that were well.
#[derive(Default)]
pub struct Tally {
    pub rounds: u64,
    pub messages: u64,
    pub faults: BTreeMap<&'static str, u64>,
    /// From a kill to the last record of what had been sent until then.
    pub recoveries: Vec<Duration>,
}

impl Tally {
    pub fn add(&mut self, other: Tally) {
        self.rounds += other.rounds;
        self.messages += other.messages;
        self.recoveries.extend(other.recoveries);
        other.faults.into_iter().for_each(|(kind, count)| *self.faults.entry(kind).or_default() += count);
    }
}

pub struct Failure {
    pub why: String,
    pub findings: Vec<Finding>,
}

impl From<String> for Failure {
    fn from(why: String) -> Failure {
        Failure { why, findings: Vec::new() }
    }
}

pub fn run<W: World>(world: &mut W, seed: u64, timeline: &mut Timeline) -> Result<Tally, Failure> {
    let mut random = Random::new(seed);
    let mut feed = Feed { source: Source::new(random.fork()), random: random.fork(), sent: 0, records: 0 };
    let (mut tally, steps) =
        (Tally { rounds: 1, ..Tally::default() }, steps(&mut random, W::MESSAGES_MAX, |random| world.draw(random)));
    feed.send(world, 20, timeline)?;
    world.start()?;
    timeline.note("started");
    for Step { messages, percent, later_us, fault } in &steps {
        feed.send(world, *messages / 2, timeline)?;
        await_records(world, feed.records * *percent as usize / 100)?;
        // it meets a pipeline at work, however fast that is
        feed.send(world, *messages - *messages / 2, timeline)?;
        sleep(Duration::from_micros(*later_us));
        timeline.note(format!("{fault:?}, once {percent} % of the records before the last messages were there"));
        let began = Instant::now();
        world.act(fault, &mut feed, timeline)?;
        timeline.note("done");
        if W::is_kill(fault) {
            await_records(world, feed.records)?;
            tally.recoveries.push(began.elapsed());
        }
        *tally.faults.entry(world.kind(fault)).or_default() += 1;
        if let Some(observed) = world.observe() {
            must_be_right(world, &observed, When::Meanwhile)?;
        }
    }
    world.heal()?;
    timeline.note("healed");
    feed.send(world, 20, timeline)?;
    await_the_rest(world)?;
    timeline.note("every row was there");
    world.drain()?;
    timeline.note("drained");
    let observed = world.observe().ok_or_else(|| "the outputs cannot be read".to_owned())?;
    must_be_right(world, &observed, When::AtTheEnd)?;
    tally.messages = feed.sent;
    Ok(tally)
}

pub struct Feed {
    source: Source,
    random: Random,
    sent: u64,
    /// What all that was sent leaves in the topics of rows and rejects.
    records: usize,
}

impl Feed {
    pub fn send<W: World>(&mut self, world: &mut W, count: u64, timeline: &mut Timeline) -> Result<(), String> {
        let mut left = count;
        while left > 0 {
            let part = self.random.within(1, left);
            let (partition, messages) = (self.random.below(W::PARTITIONS) as i32, self.source.take(part as usize));
            world.produce(partition, &messages)?;
            self.records += messages.iter().map(|message| Fate::of(message).records()).sum::<usize>();
            left -= part;
        }
        self.sent += count;
        timeline.note(format!("{count} messages sent"));
        Ok(())
    }
}

fn await_records<W: World>(world: &mut W, count: usize) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let records = world.records();
        if records.is_some_and(|records| records >= count) {
            return Ok(());
        }
        world.must_run()?;
        if Instant::now() > deadline {
            return Err(format!("{records:?} records of {count} after {PATIENCE:?}: it does not go on"));
        }
        sleep(LOOK / 10);
    }
}

/// Losses are losses once it has had the time to write everything; whatever else is wrong is so at once.
fn await_the_rest<W: World>(world: &mut W) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        world.must_run()?;
        let in_time = Instant::now() < deadline;
        if let Some(observed) = world.observe() {
            let findings = check(&world.topic(), &observed, &world.deployed(), When::AtTheEnd);
            let may_pass = |finding: &Finding| matches!(finding.wrong, Wrong::Lost | Wrong::Balance);
            if findings.is_empty() {
                return Ok(());
            }
            if !in_time || !findings.iter().all(may_pass) {
                return Err(Failure { why: format!("wrong, and it was waited for {PATIENCE:?}"), findings });
            }
        }
        if !in_time {
            return Err(Failure::from("the outputs cannot be read".to_owned()));
        }
        sleep(LOOK);
    }
}

fn must_be_right<W: World>(world: &W, observed: &Observed, when: When) -> Result<(), Failure> {
    let findings = check(&world.topic(), observed, &world.deployed(), when);
    match findings.is_empty() {
        true => Ok(()),
        false => Err(Failure { why: format!("wrong, {when:?}"), findings }),
    }
}
