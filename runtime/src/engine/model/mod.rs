//! The whole engine against an adversary: workers, each of them a zombie from the moment that the group has moved on
//! without its hearing of it, drive the machines that production drives (where the head stands, what it takes and
//! commits, cuts, generation lists, lanes, stretches that are read again) over media in memory.
//!
//! Any worker may be frozen for any time, or be killed, at any step; any request may not happen, happen without an
//! answer, or happen at any later time; sinks are as slow as they like, and their services go away; the group moves
//! partitions as it likes; the log drops what the head has passed; other generations are deployed. Whatever comes: every
//! row is once at each sink, and every reject among the rejects, of the generation that the head's commits decided, in
//! order, none before the head's known commit; positions have everything below them; queues are bounded, and a sink that
//! is required is waited for; no writer is opened again before the group was asked, and none stops for good. When peace
//! comes, all is in step within bounded time.
//!
//! A schedule follows from its seed. `MODEL_SEEDS=17` plays one, `MODEL_SEEDS=0..200000` many.

mod media;
mod rows;
mod task;
mod worker;

use std::ops::Range;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestError, TestRng, TestRunner};

use self::media::{Fault, Media};
use self::rows::{Generation, PARTITIONS, SINKS, WORKERS};
use self::worker::{Turn, Worker};

const SEEDS: Range<u64> = 0..4_000;
const STEPS_MAX: usize = 400;
const OFFSETS_MAX: i64 = 24;
/// Rounds of peace, each a step of everything.
const ROUNDS_MAX: usize = 400;
const GENERATIONS: [&str; 3] = ["a", "b", "c"];

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A step of everything in a worker, without faults.
    Round(usize),
    Head(usize, Fault),
    Read(usize, i32),
    Sink(usize, usize, Fault),
    Pass(u64),
    Produce(i32, i64),
    Hear(usize),
    Assign([usize; PARTITIONS as usize]),
    /// A request of which nobody knows what became of it is carried out.
    CarryOut(usize),
    TimeOut(usize),
    Crash(usize, usize),
    Stop(usize, usize),
    GiveUp(usize),
    /// SIGSTOP, or SIGCONT.
    Freeze(usize, bool),
    /// A sink's service, or back again.
    Away(usize, bool),
    Retain(i32, i64),
    Compact(i32, i64),
}

fn step() -> impl Strategy<Value = Step> {
    let fault = || {
        prop_oneof![
            40 => Just(Fault::None),
            1 => Just(Fault::Before),
            1 => Just(Fault::After),
            2 => Just(Fault::Late),
        ]
    };
    let worker = || 0..WORKERS;
    let generation = || 0..GENERATIONS.len();
    prop_oneof![
        40 => worker().prop_map(Step::Round),
        20 => (worker(), fault()).prop_map(|(worker, fault)| Step::Head(worker, fault)),
        10 => (worker(), 0..PARTITIONS).prop_map(|(worker, partition)| Step::Read(worker, partition)),
        30 => (worker(), 0..SINKS.len(), fault()).prop_map(|(worker, sink, fault)| Step::Sink(worker, sink, fault)),
        10 => (1..20u64).prop_map(Step::Pass),
        12 => (0..PARTITIONS, 1..5i64).prop_map(|(partition, messages)| Step::Produce(partition, messages)),
        3 => worker().prop_map(Step::Hear),
        2 => [worker(), worker()].prop_map(Step::Assign),
        3 => (0..8usize).prop_map(Step::CarryOut),
        1 => worker().prop_map(Step::TimeOut),
        1 => (worker(), generation()).prop_map(|(worker, generation)| Step::Crash(worker, generation)),
        1 => (worker(), generation()).prop_map(|(worker, generation)| Step::Stop(worker, generation)),
        1 => worker().prop_map(Step::GiveUp),
        3 => (worker(), any::<bool>()).prop_map(|(worker, is_frozen)| Step::Freeze(worker, is_frozen)),
        2 => (0..SINKS.len(), any::<bool>()).prop_map(|(sink, is_away)| Step::Away(sink, is_away)),
        1 => (0..PARTITIONS, 1..4i64).prop_map(|(partition, messages)| Step::Retain(partition, messages)),
        1 => (0..PARTITIONS, 0..OFFSETS_MAX).prop_map(|(partition, offset)| Step::Compact(partition, offset)),
    ]
}

#[derive(Clone, Debug)]
struct Schedule {
    steps: Vec<Step>,
    required: [bool; SINKS.len()],
    /// What nobody has heard of when peace comes never happens.
    is_late_lost: bool,
}

fn schedule() -> impl Strategy<Value = Schedule> {
    let steps = prop::collection::vec(step(), 0..STEPS_MAX);
    (steps, any::<[bool; SINKS.len()]>(), any::<bool>()).prop_map(|(steps, required, is_late_lost)| Schedule {
        steps,
        required,
        is_late_lost,
    })
}

struct World {
    media: Media,
    workers: Vec<Worker>,
    now: Instant,
    frozen: [bool; WORKERS],
    away: [bool; SINKS.len()],
    required: [bool; SINKS.len()],
    generations: [Generation; GENERATIONS.len()],
}

impl World {
    fn new(required: [bool; SINKS.len()]) -> World {
        let generations = GENERATIONS.map(Generation::from);
        let workers = (0..WORKERS).map(|id| Worker::new(id, generations[0].clone())).collect();
        World {
            media: Media::new(),
            workers,
            now: Instant::now(),
            frozen: [false; WORKERS],
            away: [false; SINKS.len()],
            required,
            generations,
        }
    }

    fn step(&mut self, step: Step) {
        let World { media, workers, now, frozen, away, required, generations } = self;
        let mut turn = Turn { media, now: *now, fault: Fault::None, required: *required };
        match step {
            Step::Round(worker)
            | Step::Head(worker, _)
            | Step::Read(worker, _)
            | Step::Sink(worker, ..)
            | Step::Hear(worker)
            | Step::GiveUp(worker)
                if frozen[worker] => {}
            Step::Round(worker) => self.round(worker),
            Step::Head(worker, fault) => workers[worker].head(&mut Turn { fault, ..turn }),
            Step::Read(worker, partition) => workers[worker].read(&turn, partition),
            Step::Sink(worker, sink, fault) => {
                let fault = if away[sink] { Fault::Before } else { fault };
                workers[worker].sink(&mut Turn { fault, ..turn }, sink);
            }
            Step::Pass(ms) => *now += Duration::from_millis(ms),
            Step::Produce(partition, messages) => turn.media.produce(partition, messages, OFFSETS_MAX),
            Step::Hear(worker) => workers[worker].hear(turn.media),
            Step::Assign(to) => turn.media.assign(to),
            Step::CarryOut(which) => carry_out(&mut turn, which),
            Step::TimeOut(worker) => turn.media.time_out(worker),
            Step::Crash(worker, generation) => {
                workers[worker] = Worker::new(worker, generations[generation].clone());
                frozen[worker] = false;
            }
            Step::Stop(worker, generation) => workers[worker].stop(generations[generation].clone()),
            Step::GiveUp(worker) => workers[worker].give_up(),
            Step::Freeze(worker, is_frozen) => frozen[worker] = is_frozen,
            Step::Away(sink, is_away) => away[sink] = is_away,
            Step::Retain(partition, messages) => turn.media.retain(partition, messages),
            Step::Compact(partition, offset) => turn.media.compact(partition, offset),
        }
    }

    fn round(&mut self, worker: usize) {
        (0..PARTITIONS).for_each(|partition| self.step(Step::Read(worker, partition)));
        self.step(Step::Head(worker, Fault::None));
        (0..SINKS.len()).for_each(|sink| self.step(Step::Sink(worker, sink, Fault::None)));
    }

    /// No more faults, crashes and moves; what is late comes, one a round, or never.
    fn peace(&mut self, is_late_lost: bool) {
        if is_late_lost {
            self.media.late.clear();
        }
        (self.frozen, self.away) = ([false; WORKERS], [false; SINKS.len()]);
        self.step(Step::Assign([0, 1]));
        for _ in 0..ROUNDS_MAX {
            self.step(Step::CarryOut(0));
            for worker in 0..WORKERS {
                self.step(Step::Hear(worker));
                if self.media.late.is_empty() {
                    self.step(Step::TimeOut(worker));
                }
                self.round(worker);
            }
            self.step(Step::Pass(7));
            if self.media.late.is_empty() && self.media.is_complete() && self.are_in_step() {
                return;
            }
        }
        let stands = self.media.stands();
        self.media.must(false, || format!("it does not come into step: {stands}"));
    }

    fn are_in_step(&self) -> bool {
        self.workers.iter().all(|worker| worker.is_in_step(&self.media))
    }
}

fn carry_out(turn: &mut Turn<'_>, which: usize) {
    if !turn.media.late.is_empty() {
        let request = turn.media.late.remove(which % turn.media.late.len());
        drop(turn.media.carry_out(request));
    }
}

/// What is broken, if anything is.
fn play(schedule: &Schedule) -> Result<(), TestCaseError> {
    let mut world = World::new(schedule.required);
    for &step in &schedule.steps {
        world.step(step);
        if let Some(broken) = world.media.broken.take() {
            return Err(TestCaseError::fail(broken));
        }
    }
    world.peace(schedule.is_late_lost);
    world.media.broken.map_or(Ok(()), |broken| Err(TestCaseError::fail(format!("in peace: {broken}"))))
}

/// A seed's schedule; where that breaks something, what, and a short schedule that does it.
fn play_seed(seed: u64) -> Result<(), String> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let config = ProptestConfig { cases: 1, failure_persistence: None, max_shrink_iters: 20_000, ..Default::default() };
    match TestRunner::new_with_rng(config, random).run(&schedule(), |schedule| play(&schedule)) {
        Ok(()) => Ok(()),
        Err(TestError::Fail(broken, Schedule { steps, required, is_late_lost })) => {
            let steps: String = steps.iter().map(|step| format!("  {step:?}\n")).collect();
            Err(format!(
                "seed {seed}: {broken}\nrequired: {required:?}; late is lost: {is_late_lost}; after\n{steps}again: \
                 MODEL_SEEDS={seed} cargo test -p millrace --lib engine::model"
            ))
        }
        Err(TestError::Abort(why)) => Err(format!("seed {seed}: {why}")),
    }
}

fn seeds() -> Range<u64> {
    let Ok(seeds) = std::env::var("MODEL_SEEDS") else { return SEEDS };
    let number = |text: &str| text.parse::<u64>().expect("MODEL_SEEDS is a number, or two with `..` between");
    match seeds.split_once("..") {
        Some((from, to)) => number(from)..number(to),
        None => number(&seeds)..number(&seeds) + 1,
    }
}

#[test]
fn every_row_is_once_at_every_sink_whatever_happens() {
    if let Some(broken) = seeds().find_map(|seed| play_seed(seed).err()) {
        panic!("{broken}");
    }
}
