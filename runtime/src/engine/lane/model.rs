//! A lane against an adversary: the head commits when it likes, every act of the sink may fail before or after its
//! effect, time passes when it likes, and sessions end. A plain medium says what must hold: every offset once, in
//! order, none that the head has not committed; a bounded queue; and when peace comes, the sink is in step.

use proptest::prelude::*;

use super::*;

const PARTITIONS: i32 = 2;
const QUEUE_ROWS_MAX: usize = 12;
const LIMITS: Limits = Limits {
    queue_rows_max: QUEUE_ROWS_MAX,
    queue_bytes_max: 1 << 20,
    join_messages_max: 4,
    backoff_first: Duration::from_millis(100),
    backoff_max: Duration::from_secs(2),
};

#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    /// Nothing of it happened.
    Before,
    /// It happened, and the answer was lost.
    After,
}

#[derive(Clone, Debug)]
enum Step {
    /// The head commits one batch: so many messages of each partition.
    Commit([u8; PARTITIONS as usize]),
    /// The sink does what the lane says next.
    Act(Fault),
    Pass(u16),
    /// The session ends after so many more acts, and the next begins.
    NewSession(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let fault = prop_oneof![8 => Just(Fault::None), 1 => Just(Fault::Before), 1 => Just(Fault::After)];
    prop_oneof![
        4 => [0..5u8, 0..3u8].prop_map(Step::Commit),
        8 => fault.prop_map(Step::Act),
        3 => (0..500u16).prop_map(Step::Pass),
        1 => (0..4u8).prop_map(Step::NewSession),
    ]
}

/// What is durable, as the outside sees it: partition → the offsets that were written, in order.
#[derive(Default)]
struct Medium(Positions);

impl Medium {
    fn positions(&self) -> Positions {
        (0..PARTITIONS).map(|partition| (partition, self.0.get(&partition).copied().unwrap_or(0))).collect()
    }

    /// As a writer does: trims what is there, refuses a gap.
    fn write(&mut self, spans: &[Span], heads: &Positions) {
        for span in spans {
            let position = self.0.entry(span.partition).or_insert(0);
            assert!(span.from <= *position, "a gap: {span:?} after {position}");
            assert!(span.to <= heads[&span.partition], "{span:?} is beyond the head's commit");
            *position = span.to.max(*position);
        }
    }
}

struct World {
    lane: Lane<Vec<Span>>,
    heads: Positions,
    medium: Medium,
    now: Instant,
    /// The rest of what is being read again.
    rereading: Option<Stretch>,
}

impl World {
    fn new() -> World {
        let heads: Positions = (0..PARTITIONS).map(|partition| (partition, 0)).collect();
        World {
            lane: Lane::new(LIMITS, true, heads.clone()),
            heads,
            medium: Medium::default(),
            now: Instant::now(),
            rereading: None,
        }
    }

    fn commit(&mut self, messages: [u8; PARTITIONS as usize]) {
        let mut spans = Vec::new();
        for (partition, count) in (0..).zip(messages).filter(|(_, count)| *count > 0) {
            let from = self.heads[&partition];
            spans.push(Span { partition, from, to: from + i64::from(count) });
            self.heads.insert(partition, from + i64::from(count));
        }
        if spans.is_empty() {
            return;
        }
        let rows = messages.iter().map(|&count| usize::from(count)).sum();
        self.lane.committed(Queued { spans: spans.clone(), rows, bytes: rows, batch: spans });
        assert!(self.lane.queue_rows <= QUEUE_ROWS_MAX, "the queue grew");
    }

    /// True: there was something to do.
    fn act(&mut self, fault: Fault) -> bool {
        if let Some(stretch) = self.rereading.take() {
            self.read_on(stretch, fault);
            return true;
        }
        match self.lane.next(self.now) {
            Act::Prove => match fault {
                Fault::None => self.lane.proved().unwrap(),
                Fault::Before | Fault::After => {}
            },
            Act::Open => match fault {
                Fault::None => self.lane.opened(self.medium.positions()),
                Fault::Before | Fault::After => self.fail(),
            },
            Act::Write(spans) => self.write(&spans, fault),
            Act::Reread(stretch) => self.read_on(stretch, fault),
            Act::Wait(_) | Act::End => return false,
        }
        true
    }

    /// One batch of what is read again: at most two messages of a partition.
    fn read_on(&mut self, mut stretch: Stretch, fault: Fault) {
        let Some((&partition, &to)) = stretch.to.first_key_value() else { return };
        let from = stretch.from[&partition];
        let span = Span { partition, from, to: to.min(from + 2) };
        if span.to == to {
            stretch.to.remove(&partition);
        }
        stretch.from.insert(partition, span.to);
        self.rereading = (!stretch.to.is_empty()).then_some(stretch);
        self.write(&[span], fault);
    }

    fn write(&mut self, spans: &[Span], fault: Fault) {
        if !matches!(fault, Fault::Before) {
            self.medium.write(spans, &self.heads);
        }
        match fault {
            Fault::None => self.lane.took(spans),
            Fault::Before | Fault::After => self.fail(),
        }
    }

    fn fail(&mut self) {
        self.rereading = None;
        self.lane.failed("it failed".into(), self.now, 0.5);
    }

    fn new_session(&mut self, acts: u8) {
        self.rereading = None;
        self.lane.end();
        for _ in 0..acts {
            self.act(Fault::None);
        }
        self.rereading = None;
        self.lane = Lane::new(LIMITS, true, self.heads.clone());
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Commit(messages) => self.commit(*messages),
            Step::Act(fault) => {
                self.act(*fault);
            }
            Step::Pass(ms) => self.now += Duration::from_millis(u64::from(*ms)),
            Step::NewSession(acts) => self.new_session(*acts),
        }
    }

    /// No more faults; the head rests, or goes on for a while, slower than the sink.
    fn peace(&mut self, head_rests: bool) {
        for round in 0..400 {
            if !head_rests && round < 100 && round % 8 == 0 {
                self.commit([1, 1]);
            }
            if !self.act(Fault::None) {
                self.now += LIMITS.backoff_max;
            }
            if round == 99 && !head_rests {
                assert!(self.lane.joined, "it never joined a head that is slower than it");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn every_offset_once_in_order_and_in_step_at_last(
        steps in prop::collection::vec(step(), 0..120),
        head_rests in any::<bool>(),
    ) {
        let mut world = World::new();
        steps.iter().for_each(|step| world.step(step));
        world.peace(head_rests);
        prop_assert_eq!(world.medium.positions(), world.heads.clone());
        prop_assert_eq!(world.lane.state(), State::InStep);
        prop_assert!(!world.lane.holds_head(), "a head that waits for it would wait for ever");
    }
}

#[test]
fn a_lane_without_faults_never_reads_again() {
    let mut world = World::new();
    world.act(Fault::None);
    for _ in 0..100 {
        world.commit([2, 1]);
        assert!(matches!(world.lane.next(world.now), Act::Write(_)));
        let spans: Vec<_> = world.heads.iter().map(|(&p, &to)| Span { partition: p, from: 0, to }).collect();
        world.lane.took(&spans);
    }
}

#[test]
fn the_wait_doubles_up_to_its_bound_and_begins_anew_after_a_success() {
    let mut world = World::new();
    let mut waits = Vec::new();
    for _ in 0..7 {
        world.lane.failed("away".into(), world.now, 1.0);
        let Act::Wait(Some(until)) = world.lane.next(world.now) else { panic!("it does not wait") };
        waits.push((until - world.now).as_millis());
    }
    assert_eq!(waits, [100, 200, 400, 800, 1600, 2000, 2000]);
    let mut waits_after = |durable: i64| {
        world.lane.opened(Positions::from([(0, 0)]));
        world.lane.made_durable(&Positions::from([(0, durable)]));
        world.lane.took(&[Span { partition: 0, from: 0, to: 5 }]);
        world.lane.failed("away".into(), world.now, 1.0);
        let Act::Wait(Some(until)) = world.lane.next(world.now) else { panic!("it does not wait") };
        (until - world.now).as_millis()
    };
    // what a file has taken is no success, before it is published
    assert_eq!([waits_after(0), waits_after(0), waits_after(3), waits_after(3)], [2000, 2000, 100, 200]);
}

#[test]
fn a_position_beyond_the_head_is_refused_once_the_group_was_asked() {
    let mut lane: Lane<()> = Lane::new(LIMITS, false, Positions::from([(0, 5)]));
    lane.opened(Positions::from([(0, 6)]));
    let now = Instant::now();
    assert_eq!(lane.next(now), Act::Prove);
    assert_eq!(lane.proved(), Err(Beyond { partition: 0, position: 6, head: 5 }));
    lane.end();
    assert_eq!(lane.next(now), Act::End, "a session that ends has no answer");
    lane.opened(Positions::from([(0, 5)]));
    assert_eq!(lane.proved(), Ok(()));
}

#[test]
fn a_sink_that_is_down_is_opened_only_after_the_group_was_asked() {
    let mut world = World::new();
    world.lane.failed("away".into(), world.now, 1.0);
    world.now += Duration::from_secs(1);
    assert_eq!(world.lane.next(world.now), Act::Prove);
    assert_eq!(world.lane.next(world.now), Act::Prove);
    world.lane.proved().unwrap();
    assert_eq!(world.lane.next(world.now), Act::Open);
}
