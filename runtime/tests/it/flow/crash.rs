//! kill -9 at any moment, and every row is once at every sink, and once among the rejects.

use std::collections::BTreeSet;

use super::rig::{Process, Rig, flights};

/// Stops the process as soon as `ripe` says so.
pub fn run_until(process: &mut Process, mut ripe: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + super::rig::PATIENCE;
    while !ripe() {
        process.must_run();
        assert!(std::time::Instant::now() < deadline, "said:\n{}", process.said());
    }
    process.kill_nine();
}

fn with_bad(mut messages: Vec<Vec<u8>>, every: usize) -> (Vec<Vec<u8>>, usize) {
    let bad = (0..messages.len()).step_by(every).count();
    for (index, at) in (0..messages.len()).step_by(every).enumerate() {
        messages.insert(at + index, format!("{{\"broken\": {index}").into_bytes());
    }
    (messages, bad)
}

#[test]
fn killed_again_and_again_every_row_is_once_at_every_sink() {
    let mut rig = Rig::new("kill", 2);
    // small files and transactions: many moments to be killed at
    rig.edit("roll_seconds_max = 60", "roll_seconds_max = 1\nroll_rows_max = 700");
    rig.toml = format!("{}\n[batch]\nrows_max = 100\n\n[commit]\nrows_max = 150\n", rig.toml);
    let (messages, ids) = flights(6000, "k");
    let (messages, bad) = with_bad(messages, 500);
    rig.produce(&messages);
    // within the first transactions; between sinks; while files roll; while replaying for the slowest
    for target in [1, 900, 2500, 2600] {
        let mut process = rig.start();
        run_until(&mut process, || rig.records("response").len() >= target);
    }
    let mut process = rig.start();
    rig.await_records("response", ids.len(), &mut process);
    rig.await_records("rejected", bad, &mut process);
    rig.await_stored(ids.len(), &mut process);
    // those that were killed may have done it all: it must be there to hear that it is to end
    process.await_word("positions read");
    process.drain();
    rig.assert_exactly_once(&ids);
    assert_rejected_once(&rig, bad);
}

#[test]
fn killed_while_only_the_archive_is_behind_nothing_is_lost() {
    let mut rig = Rig::new("behind", 1);
    // one file holds everything, and is not published before the end
    let (messages, ids) = flights(1500, "b");
    rig.produce(&messages);
    for _ in 0..2 {
        let mut process = rig.start();
        run_until(&mut process, || rig.documents().len() == ids.len());
    }
    assert_eq!(rig.archived().len(), 0, "published before its time");
    rig.edit("roll_seconds_max = 60", "roll_seconds_max = 1");
    let mut process = rig.start();
    rig.await_stored(ids.len(), &mut process);
    process.drain();
    rig.assert_exactly_once(&ids);
}

#[test]
fn stopped_by_the_second_signal_it_goes_on_where_it_was() {
    let mut rig = Rig::new("twice", 1);
    rig.edit("roll_seconds_max = 60", "roll_seconds_max = 1");
    let (messages, ids) = flights(3000, "t");
    rig.produce(&messages);
    let mut process = rig.start();
    rig.await_records("response", 1, &mut process);
    process.signal("TERM");
    process.await_word("draining");
    process.signal("TERM");
    let (code, said) = process.wait();
    assert!(matches!(code, Some(0 | 130)), "{code:?}: {said}");
    let mut process = rig.start();
    rig.await_records("response", ids.len(), &mut process);
    rig.await_stored(ids.len(), &mut process);
    process.await_word("positions read");
    process.drain();
    rig.assert_exactly_once(&ids);
}

fn assert_rejected_once(rig: &Rig, bad: usize) {
    let rejects = rig.rejects();
    let originals: BTreeSet<_> = rejects.iter().map(|reject| reject["original"].to_string()).collect();
    assert_eq!(originals.len(), bad, "distinct rejects");
    assert_eq!(rejects.len(), bad, "rejects that are there twice");
}

#[test]
fn two_workers_share_the_partitions_and_a_killed_ones_rows_are_not_lost() {
    let mut rig = Rig::new("pair", 4);
    rig.edit("roll_seconds_max = 60", "roll_seconds_max = 1");
    rig.toml = format!("{}\n[commit]\nrows_max = 200\n", rig.toml);
    let (messages, mut ids) = flights(2000, "p");
    rig.produce(&messages);
    let mut first = rig.start();
    rig.await_records("response", 1, &mut first);
    let mut second = rig.start();
    rig.await_records("response", ids.len(), &mut first);
    second.await_word("partitions taken");
    second.await_word("positions read");
    let (more, more_ids) = flights(2000, "q");
    rig.produce(&more);
    ids.extend(more_ids);
    second.kill_nine();
    rig.await_records("response", ids.len(), &mut first);
    rig.await_stored(ids.len(), &mut first);
    first.drain();
    rig.assert_exactly_once(&ids);
}
