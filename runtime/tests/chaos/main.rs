//! Seeded schedules of faults against a pipeline at work, and a checker that reads what it left from outside.
//!
//! A fixed handful of seeds here; `./dev chaos` runs as many as it is told to. docs/chaos.md says how to read a failure.

mod check;
mod embedded;
#[path = "../it/flow/eyes.rs"]
mod eyes;
mod message;
#[allow(dead_code, reason = "other tests need more of it")]
#[path = "../it/mount.rs"]
mod mount;
mod pipeline;
mod random;
mod round;
mod schedule;
mod services;
#[allow(dead_code, reason = "other tests need more of it")]
#[path = "../it/flow/wire.rs"]
mod wire;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use embedded::Embedded;
use round::{Failure, Tally, Timeline, World};
use services::Services;

/// `FIRST+COUNT`, instead of the fixed ones.
const SEEDS: &str = "MILLRACE_CHAOS_SEEDS";
/// Findings of one seed that are printed.
const SHOWN_MAX: usize = 12;

fn seeds(fixed: std::ops::Range<u64>) -> std::ops::Range<u64> {
    let Ok(text) = std::env::var(SEEDS) else { return fixed };
    let (first, count) = text.split_once('+').expect("FIRST+COUNT");
    let (first, count): (u64, u64) = (first.parse().unwrap(), count.parse().unwrap());
    first..first + count
}

fn folder(ground: &str, seed: u64) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("chaos").join(format!("{ground}-{seed}"))
}

fn said(option: &str, seed: u64, folder: &Path, timeline: &Timeline, failure: &Failure) -> String {
    let shown = failure
        .findings
        .iter()
        .take(SHOWN_MAX)
        .map(|found| format!("    {:?} at {}: {}\n", found.wrong, found.sink, found.what));
    format!(
        "seed {seed}: {}; {} findings\n{}  what happened:\n{}  again: ./dev chaos --seed {seed}{option}; what was left is in {}\n",
        failure.why,
        failure.findings.len(),
        shown.collect::<String>(),
        timeline.text(),
        folder.display()
    )
}

/// Every seed, so many at a time; panics with what failed.
fn run_all<W: World>(
    seeds: std::ops::Range<u64>,
    at_once: usize,
    option: &str,
    world: impl Fn(u64) -> (W, PathBuf) + Sync,
) {
    let (next, tally, failed) = (AtomicU64::new(seeds.start), Mutex::new(Tally::default()), Mutex::new(Vec::new()));
    let since = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    let ((mut world, folder), mut timeline) = (world(seed), Timeline::new());
                    match round::run(&mut world, seed, &mut timeline) {
                        Ok(done) => {
                            let mut tally = tally.lock().unwrap();
                            tally.add(done);
                            if tally.rounds % W::TOLD_EVERY == 0 {
                                eprintln!("{} schedules in {:?}", tally.rounds, since.elapsed());
                            }
                            drop(tally);
                            drop(world);
                            drop(std::fs::remove_dir_all(&folder));
                        }
                        Err(failure) => {
                            let said = said(option, seed, &folder, &timeline, &failure);
                            eprint!("{said}");
                            failed.lock().unwrap().push(said);
                        }
                    }
                }
            });
        }
    });
    let (mut tally, failed) = (tally.into_inner().unwrap(), failed.into_inner().unwrap());
    eprintln!(
        "{} schedules{option} without a loss, a repeat or another wrong, {} with; {} messages; {:?}; faults:",
        tally.rounds,
        failed.len(),
        tally.messages,
        since.elapsed()
    );
    tally.recoveries.sort();
    if let (Some(longest), median) = (tally.recoveries.last(), tally.recoveries.get(tally.recoveries.len() / 2)) {
        eprintln!("all of it was there {median:?} after a kill -9 in the median, {longest:?} at most");
    }
    tally.faults.iter().for_each(|(kind, count)| eprintln!("{count:>7}  {kind}"));
    assert!(failed.is_empty(), "{}", failed.concat());
}

#[test]
fn on_a_folder() {
    mount::where_mounting_is_allowed("on_a_folder", || {
        // half of a round is waiting
        let at_once = 2 * std::thread::available_parallelism().map_or(1, usize::from);
        run_all(seeds(1..13), at_once, "", |seed| {
            let folder = folder("embedded", seed);
            (Embedded::new(folder.clone(), seed), folder)
        });
    });
}

/// One after the other: the services are killed under them, so that nobody else may need them meanwhile.
#[test]
#[ignore = "kills the services under itself: ./dev chaos --real"]
fn on_the_services() {
    run_all(seeds(1..3), 1, " --real", |seed| {
        let folder = folder("real", seed);
        (Services::new(folder.clone(), seed), folder)
    });
}
