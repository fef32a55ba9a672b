//! What a process says of itself: its status in short, bounded whatever the process holds.
//!
//! Invariant: sums are of everything; lists are cut, and say how much was left out. What is not known is null.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::clock::now_seconds;
use crate::observe::{Report, Sink, SinkState, Worker, WorkerState};
use crate::words::sentence;

const WORKERS_MAX: usize = 64;
/// Of each worker, and of each sink.
const PARTITIONS_MAX: usize = 256;
const REJECTS_MAX: usize = 20;
const WHY_BYTES_MAX: usize = 300;

#[derive(Serialize)]
pub struct Heartbeat<'r> {
    pipeline: &'r str,
    generation: &'r str,
    version: &'r str,
    host: &'r str,
    process: u32,
    listen: Option<&'r str>,
    started: u64,
    at: u64,
    every_seconds: u64,
    workers: BTreeMap<i32, Work<'r>>,
    workers_left_out: usize,
    sinks: BTreeMap<&'r str, Medium>,
    /// Those that are most, by `stage/code`.
    rejects: BTreeMap<&'r str, u64>,
    rejects_total: u64,
}

#[derive(Serialize)]
struct Work<'r> {
    #[serde(flatten)]
    state: WorkerState,
    since: u64,
    head_waits_for: &'r [String],
    /// Messages, between the last two heartbeats.
    rows_per_second: Option<f64>,
    lag: Option<i64>,
    partitions: Vec<i32>,
    partitions_left_out: usize,
}

#[derive(Serialize)]
struct Medium {
    #[serde(flatten)]
    sink: Sink,
    positions_left_out: usize,
}

impl<'r> Heartbeat<'r> {
    pub fn new(report: &'r Report, rates: &BTreeMap<i32, f64>, every: Duration) -> Heartbeat<'r> {
        let work = |(&id, worker)| (id, Work::new(worker, rates.get(&id).copied()));
        Heartbeat {
            pipeline: &report.pipeline,
            generation: &report.generation,
            version: report.version,
            host: &report.host,
            process: report.process,
            listen: report.listen.as_deref(),
            started: report.started,
            at: now_seconds(),
            every_seconds: every.as_secs(),
            workers: report.workers.iter().take(WORKERS_MAX).map(work).collect(),
            workers_left_out: report.workers.len().saturating_sub(WORKERS_MAX),
            sinks: report.sinks.iter().map(|(name, sink)| (name.as_str(), Medium::new(sink))).collect(),
            rejects: most(&report.rejects),
            rejects_total: report.rejects.values().sum(),
        }
    }
}

impl<'r> Work<'r> {
    fn new(worker: &'r Worker, rows_per_second: Option<f64>) -> Work<'r> {
        let lags: Option<Vec<i64>> = worker.partitions.values().map(|partition| partition.lag).collect();
        Work {
            state: match &worker.state {
                WorkerState::Waiting(why) => WorkerState::Waiting(sentence(why, WHY_BYTES_MAX)),
                state => state.clone(),
            },
            since: worker.since,
            head_waits_for: &worker.head_waits_for,
            rows_per_second,
            lag: lags.filter(|lags| !lags.is_empty()).map(|lags| lags.iter().sum()),
            partitions: worker.partitions.keys().copied().take(PARTITIONS_MAX).collect(),
            partitions_left_out: worker.partitions.len().saturating_sub(PARTITIONS_MAX),
        }
    }
}

impl Medium {
    fn new(sink: &Sink) -> Medium {
        let mut sink = sink.clone();
        let positions_left_out = sink.positions.len().saturating_sub(PARTITIONS_MAX);
        sink.positions = sink.positions.into_iter().take(PARTITIONS_MAX).collect();
        sink.workers = sink.workers.into_iter().take(WORKERS_MAX).collect();
        for work in sink.workers.values_mut() {
            if let SinkState::Down { why, .. } | SinkState::Stopped { why } = &mut work.state {
                *why = sentence(why, WHY_BYTES_MAX);
            }
        }
        Medium { sink, positions_left_out }
    }
}

fn most(rejects: &BTreeMap<String, u64>) -> BTreeMap<&str, u64> {
    let mut all: Vec<_> = rejects.iter().map(|(code, &count)| (code.as_str(), count)).collect();
    all.sort_by_key(|&(code, count)| (std::cmp::Reverse(count), code));
    all.into_iter().take(REJECTS_MAX).collect()
}

/// By worker and partition.
type Heads = BTreeMap<i32, BTreeMap<i32, i64>>;

/// Where each worker's head stood when it was last asked.
#[derive(Default)]
pub struct Pace {
    before: Option<(Instant, Heads)>,
}

impl Pace {
    /// Messages a second of each worker since the last time, over the partitions that it held then and holds now.
    pub fn rates(&mut self, report: &Report, now: Instant) -> BTreeMap<i32, f64> {
        let heads: BTreeMap<_, BTreeMap<_, _>> =
            report.workers.iter().map(|(&id, worker)| (id, heads(worker))).collect();
        let Some((then, before)) = self.before.replace((now, heads.clone())) else { return BTreeMap::new() };
        let seconds = now.duration_since(then).as_secs_f64().max(0.001);
        let moved = |(id, heads): (i32, BTreeMap<i32, i64>)| {
            let before = before.get(&id)?;
            let each = heads.iter().filter_map(|(partition, head)| Some((head - before.get(partition)?).max(0)));
            let each: Vec<i64> = each.collect();
            (!each.is_empty()).then(|| (id, each.iter().sum::<i64>() as f64 / seconds))
        };
        heads.into_iter().filter_map(moved).collect()
    }
}

fn heads(worker: &Worker) -> BTreeMap<i32, i64> {
    worker.partitions.iter().map(|(&id, partition)| (id, partition.head)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::observe::Partition;

    fn report(partitions: i32, head: i64) -> Report {
        let stands = Partition { head, end: Some(head + 2), lag: Some(2) };
        let worker = Worker {
            state: WorkerState::Running,
            since: 5,
            head_waits_for: Vec::new(),
            partitions: (0..partitions).map(|id| (id, stands)).collect(),
        };
        let sink = Sink {
            publishes_within_seconds: None,
            kind: "mongodb",
            required: false,
            positions: (0..partitions).map(|id| (id, head)).collect(),
            behind: Some(0),
            workers: BTreeMap::new(),
        };
        Report {
            plugins: BTreeMap::new(),
            stages: Vec::new(),
            pipeline: "p".into(),
            generation: "g".into(),
            version: "0",
            host: "h".into(),
            process: 7,
            listen: None,
            started: 1,
            ready: true,
            workers: [(0, worker)].into(),
            sinks: [("store".to_owned(), sink)].into(),
            rejects: (0..30).map(|n| (format!("s/c{n}"), n)).collect(),
        }
    }

    #[test]
    fn what_is_cut_is_counted_and_sums_are_of_everything() {
        let said = serde_json::to_value(Heartbeat::new(&report(1000, 40), &BTreeMap::new(), Duration::from_secs(2)));
        let said = said.unwrap();
        let work = &said["workers"]["0"];
        assert_eq!((work["partitions"].as_array().unwrap().len(), &work["partitions_left_out"]), (256, &json!(744)));
        assert_eq!(
            (&work["state"], &work["lag"], &work["rows_per_second"]),
            (&json!("running"), &json!(2000), &json!(null))
        );
        let store = &said["sinks"]["store"];
        assert_eq!((store["positions"].as_object().unwrap().len(), &store["positions_left_out"]), (256, &json!(744)));
        assert_eq!((said["rejects"].as_object().unwrap().len(), &said["rejects_total"]), (20, &json!(435)));
        assert_eq!(said["rejects"]["s/c29"], json!(29));
    }

    #[test]
    fn a_rate_is_of_partitions_that_were_held_all_the_time() {
        let (mut pace, then) = (Pace::default(), Instant::now());
        assert_eq!(pace.rates(&report(1, 40), then), BTreeMap::new());
        assert_eq!(pace.rates(&report(2, 60), then + Duration::from_secs(2)), [(0, 10.0)].into());
    }
}
