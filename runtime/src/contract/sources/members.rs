//! Members of a group, each driven as the engine drives its source.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::super::PATIENCE;
use super::super::logs::{ALL, ALONE, Logs, message, source};
use super::poll;
use crate::embedded::Share;
use crate::source::Source;

struct Member {
    source: Source,
    held: BTreeSet<i32>,
}

impl Member {
    fn new<L: Logs>(logs: &L, share: Share) -> Member {
        let source = source(logs, share);
        source.subscribe().unwrap();
        Member { source, held: BTreeSet::new() }
    }

    /// Takes up what the group asks for, and reads on. `next`: what nobody has seen, by partition.
    fn step(&mut self, next: &mut BTreeMap<i32, i64>) -> Option<(i32, i64)> {
        if self.held.is_empty() || self.source.changed() {
            self.take_up(next);
        }
        let seen = poll(&self.source)?;
        next.insert(seen.partition, seen.offset + 1);
        Some((seen.partition, seen.offset))
    }

    fn take_up(&mut self, next: &BTreeMap<i32, i64>) {
        self.held.clear();
        let was_asked = Cell::new(false);
        if !self.source.wait_for_partitions(|| was_asked.replace(true)).unwrap() {
            return;
        }
        self.held = self.source.committed().unwrap().into_keys().collect();
        let starts = self.held.iter().map(|partition| (*partition, next.get(partition).copied().unwrap_or(0)));
        self.source.start(&starts.collect()).unwrap();
    }
}

/// (partition, offset) → who saw it.
type Sights = BTreeMap<(i32, i64), Vec<usize>>;

fn run(
    members: &mut [Member],
    next: &mut BTreeMap<i32, i64>,
    sights: &mut Sights,
    is_done: impl Fn(&[Member], &Sights) -> bool,
) {
    let deadline = Instant::now() + PATIENCE;
    while !is_done(members, sights) {
        for (number, member) in members.iter_mut().enumerate() {
            if let Some(position) = member.step(next) {
                sights.entry(position).or_default().push(number);
            }
        }
        let held: Vec<_> = members.iter().map(|member| &member.held).collect();
        assert!(Instant::now() < deadline, "they hold {held:?} and saw {sights:?}");
    }
}

fn assert_each_once(sights: &Sights, partitions: i32, offsets: i64) {
    let all: Vec<_> =
        (0..partitions).flat_map(|partition| (0..offsets).map(move |offset| (partition, offset))).collect();
    assert_eq!(sights.keys().copied().collect::<Vec<_>>(), all);
    assert!(sights.values().all(|who| who.len() == 1), "seen twice: {sights:?}");
}

pub fn two_members_share_the_partitions<L: Logs>() {
    const PARTITIONS: i32 = 4;
    let logs = L::fresh();
    let topic = &logs.plan().topic;
    logs.make_topic(topic, PARTITIONS, ALL);
    let produce =
        || (0..PARTITIONS).for_each(|partition| logs.produce(topic, partition, &[message("a"), message("b")]));
    let (mut next, mut sights) = (BTreeMap::new(), Sights::new());
    let mut members = vec![Member::new(&logs, Share { worker: 0, of: 2 })];
    members.push(Member::new(&logs, Share { worker: 1, of: 2 }));
    run(&mut members, &mut next, &mut sights, |members, _| {
        let held: Vec<_> = members.iter().flat_map(|member| &member.held).collect();
        members.iter().all(|member| !member.held.is_empty()) && held.len() as i32 == PARTITIONS
    });
    produce();
    run(&mut members, &mut next, &mut sights, |_, sights| sights.len() as i32 == 2 * PARTITIONS);
    assert_each_once(&sights, PARTITIONS, 2);
    for ((partition, _), who) in &sights {
        assert!(members[who[0]].held.contains(partition), "{partition} was seen by who does not hold it");
    }
    // both go, and the next one alone holds all
    drop(members);
    let mut members = vec![Member::new(&logs, ALONE)];
    produce();
    run(&mut members, &mut next, &mut sights, |_, sights| sights.len() as i32 == 4 * PARTITIONS);
    assert_each_once(&sights, PARTITIONS, 4);
    assert_eq!(members[0].held.len() as i32, PARTITIONS);
}

pub fn a_partition_that_was_added_is_read<L: Logs>() {
    let logs = L::fresh();
    let topic = &logs.plan().topic;
    logs.make_topic(topic, 1, ALL);
    let (mut next, mut sights) = (BTreeMap::new(), Sights::new());
    let mut members = vec![Member::new(&logs, ALONE)];
    run(&mut members, &mut next, &mut sights, |members, _| members[0].held.len() == 1);
    if !L::GROWS {
        let error = members[0].source.extent(1).unwrap_err().to_string();
        return assert!(error.contains("no partition 1"), "{error}");
    }
    logs.produce(topic, 0, &[message("a")]);
    logs.grow_topic(topic, 2);
    logs.produce(topic, 1, &[message("b")]);
    run(&mut members, &mut next, &mut sights, |_, sights| sights.len() == 2);
    assert_each_once(&sights, 2, 1);
}
