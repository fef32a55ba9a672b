//! What a pipeline's processes say, taken together.
//!
//! Invariants: sums are of those that are heard, and null where one of them does not know; who is silent adds nothing,
//! for its partitions may be another's by now.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::Process;
use super::heartbeat::{Heartbeat, Sink, Worker};
use crate::pipeline::report::{SinkState, State};

const REJECTS_MAX: usize = 20;
const POSITIONS_MAX: usize = 256;

#[derive(Serialize)]
pub struct Application<'p> {
    pipeline: &'p str,
    state: State,
    /// More than one while a new one takes over.
    generations: BTreeSet<&'p str>,
    versions: BTreeSet<&'p str>,
    processes: usize,
    silent: usize,
    lag: Option<i64>,
    rows_per_second: Option<f64>,
    workers: Vec<WorkerRow<'p>>,
    workers_left_out: u64,
    sinks: Vec<SinkRow<'p>>,
    /// By `stage/code`, since each process began.
    rejects: BTreeMap<&'p str, u64>,
    rejects_total: u64,
}

#[derive(Serialize)]
struct WorkerRow<'p> {
    host: Option<&'p str>,
    process: Option<u64>,
    worker: &'p str,
    listen: Option<&'p str>,
    generation: Option<&'p str>,
    version: Option<&'p str>,
    state: WorkerState,
    why: Option<&'p str>,
    waits_for: Option<&'p str>,
    /// Of the process.
    up_seconds: Option<u64>,
    /// Of the state.
    since_seconds: Option<u64>,
    silent_seconds: Option<u64>,
    rows_per_second: Option<f64>,
    lag: Option<i64>,
    partitions: &'p [i64],
    partitions_left_out: u64,
}

#[derive(Serialize)]
#[serde(untagged)]
enum WorkerState {
    Heard(State),
    Silent(&'static str),
}

#[derive(Serialize)]
struct SinkRow<'p> {
    name: &'p str,
    kind: Option<&'p str>,
    required: bool,
    /// That of the worker where it is worst.
    state: Option<SinkState>,
    why: Option<&'p str>,
    behind: Option<i64>,
    /// Of a sink of files: in step, what it is behind is in an open one.
    publishes_within_seconds: Option<u64>,
    seconds_left: Option<u64>,
    /// Partition, and the first offset that is not durable there.
    positions: Vec<(i64, i64)>,
    positions_left_out: u64,
}

impl<'p> Application<'p> {
    pub fn new(pipeline: &'p str, processes: &[&'p Process], now: Instant) -> Application<'p> {
        let heard: Vec<&Heartbeat> =
            processes.iter().filter(|process| process.silent(now).is_none()).map(|process| &process.said).collect();
        let working: Vec<&Worker> =
            heard.iter().flat_map(|said| &said.workers).filter(|worker| !worker.partitions.is_empty()).collect();
        let sinks = sinks(processes, &heard);
        let lags: Option<Vec<i64>> = working.iter().map(|worker| worker.lag).collect();
        let rates: Vec<f64> = working.iter().filter_map(|worker| worker.rows_per_second).collect();
        let silent = processes.len() - heard.len();
        let mut workers: Vec<_> = processes.iter().flat_map(|process| rows(process, now)).collect();
        workers.sort_by_key(|row| (row.host, row.process, row.worker.parse::<u64>().ok()));
        Application {
            pipeline,
            state: state(&heard, &sinks, silent),
            generations: heard.iter().filter_map(|said| said.generation.as_deref()).collect(),
            versions: heard.iter().filter_map(|said| said.version.as_deref()).collect(),
            processes: heard.len(),
            silent,
            lag: lags.filter(|lags| !lags.is_empty()).map(|lags| lags.iter().sum()),
            rows_per_second: (!rates.is_empty()).then(|| rates.iter().sum()),
            workers,
            workers_left_out: heard.iter().map(|said| said.workers_left_out).sum(),
            sinks,
            rejects: rejects(&heard),
            rejects_total: heard.iter().map(|said| said.rejects_total).sum(),
        }
    }
}

/// That of the worker which needs a person first; a pipeline that lacks a sink or a process still runs.
fn state(heard: &[&Heartbeat], sinks: &[SinkRow<'_>], silent: usize) -> State {
    let worst = heard.iter().flat_map(|said| &said.workers).map(|worker| worker.state).max();
    let lacks = silent > 0 || sinks.iter().any(|sink| sink.state >= Some(SinkState::Down));
    match worst {
        None if heard.is_empty() => State::Away,
        None => State::Starting,
        Some(State::Idle | State::Running) if lacks => State::Partly,
        Some(worst) => worst,
    }
}

fn rows<'p>(process: &'p Process, now: Instant) -> impl Iterator<Item = WorkerRow<'p>> {
    let said = &process.said;
    let passed = now.saturating_duration_since(process.heard);
    let seconds = move |before: Option<Duration>| before.map(|before| (before + passed).as_secs());
    let silent = process.silent(now).map(|silent| silent.as_secs());
    said.workers.iter().map(move |worker| WorkerRow {
        host: said.host.as_deref(),
        process: said.process,
        worker: &worker.id,
        listen: said.listen.as_deref(),
        generation: said.generation.as_deref(),
        version: said.version.as_deref(),
        state: silent.map_or(WorkerState::Heard(worker.state), |_| WorkerState::Silent("silent")),
        why: worker.why.as_deref(),
        waits_for: worker.waits_for.as_deref(),
        up_seconds: seconds(said.up),
        since_seconds: seconds(worker.since),
        silent_seconds: silent,
        rows_per_second: worker.rows_per_second.filter(|_| silent.is_none()),
        lag: worker.lag.filter(|_| silent.is_none()),
        partitions: &worker.partitions,
        partitions_left_out: worker.partitions_left_out,
    })
}

/// By name: every sink that anybody names, and of those that are heard how it is.
fn sinks<'p>(processes: &[&'p Process], heard: &[&'p Heartbeat]) -> Vec<SinkRow<'p>> {
    let mut rows: BTreeMap<&str, SinkRow<'_>> = BTreeMap::new();
    for sink in processes.iter().flat_map(|process| &process.said.sinks) {
        rows.entry(&sink.name).or_insert_with(|| SinkRow {
            name: &sink.name,
            kind: sink.kind.as_deref(),
            required: sink.required,
            state: None,
            why: None,
            behind: Some(0),
            publishes_within_seconds: sink.publishes_within_seconds,
            seconds_left: None,
            positions: Vec::new(),
            positions_left_out: 0,
        });
    }
    for row in rows.values_mut() {
        // a process without a partition knows nothing of any sink
        let works = |said: &&&Heartbeat| said.workers.iter().any(|worker| !worker.partitions.is_empty());
        let own = heard.iter().filter(works).flat_map(|said| &said.sinks).filter(|sink| sink.name == row.name);
        row.gather(&own.collect::<Vec<_>>());
    }
    rows.into_values().collect()
}

impl<'p> SinkRow<'p> {
    fn gather(&mut self, told: &[&'p Sink]) {
        let worst = told.iter().max_by_key(|sink| sink.state);
        self.state = worst.and_then(|sink| sink.state);
        self.why = worst.and_then(|sink| sink.why.as_deref());
        let behind: Option<Vec<i64>> = told.iter().map(|sink| sink.behind).collect();
        self.behind = behind.filter(|behind| !behind.is_empty()).map(|behind| behind.iter().sum());
        self.seconds_left = told.iter().filter_map(|sink| sink.seconds_left).max();
        // two tell of one partition while it moves: the later has it
        let mut positions = BTreeMap::new();
        for (&partition, &next) in told.iter().flat_map(|sink| &sink.positions) {
            let known = positions.entry(partition).or_insert(next);
            *known = next.max(*known);
        }
        let cut = positions.len().saturating_sub(POSITIONS_MAX) as u64;
        self.positions_left_out = told.iter().map(|sink| sink.positions_left_out).sum::<u64>() + cut;
        self.positions = positions.into_iter().take(POSITIONS_MAX).collect();
    }
}

fn rejects<'p>(heard: &[&'p Heartbeat]) -> BTreeMap<&'p str, u64> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for (code, count) in heard.iter().flat_map(|said| &said.rejects) {
        *counts.entry(code).or_default() += count;
    }
    let mut most: Vec<_> = counts.into_iter().collect();
    most.sort_by_key(|&(code, count)| (Reverse(count), code));
    most.into_iter().take(REJECTS_MAX).collect()
}
