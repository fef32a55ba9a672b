//! How the pipeline is right now: each worker, each partition, each sink. What `/status` answers.
//!
//! Shape: [`Report`], as JSON. Times are seconds since 1970.
//! Invariant: a snapshot of what the engine last said; reading it slows nobody.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::plan::{Plan, SinkKind};

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", content = "detail", rename_all = "snake_case")]
pub enum WorkerState {
    Starting,
    /// It has no partition, and will get one when another worker goes.
    Idle,
    Running,
    /// Something is away; why, and when it is tried again is in the log.
    Waiting(String),
    Ended,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Worker {
    #[serde(flatten)]
    pub state: WorkerState,
    /// Since when the state holds.
    pub since: u64,
    pub partitions: BTreeMap<i32, Partition>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Partition {
    /// The first offset that the head has not committed.
    pub head: i64,
    /// Messages after it, as far as the log has told.
    pub lag: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sink {
    pub kind: &'static str,
    /// By partition, the first offset that is not durable. A Kafka sink's is the head's.
    pub positions: BTreeMap<i32, i64>,
    /// How far it is behind the head, in messages.
    pub behind: i64,
    /// By worker. A Kafka sink is in the head's transaction, and so always in step.
    pub workers: BTreeMap<i32, SinkWork>,
}

/// How a sink is in one worker.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SinkWork {
    #[serde(flatten)]
    pub state: SinkState,
    /// Since when it is in this state.
    pub since: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum SinkState {
    Opening,
    InStep,
    /// It reads the log by itself. `rows_per_second` and `done_in_seconds` are measured since `since`, and null before
    /// anything was measured, or where it falls back.
    CatchingUp {
        behind: i64,
        rows_per_second: Option<f64>,
        done_in_seconds: Option<f64>,
    },
    Down {
        why: String,
        next_try: u64,
    },
    /// Until somebody mends it and starts again.
    Stopped {
        why: String,
    },
}

impl SinkState {
    pub const NAMES: [&str; 5] = ["opening", "in_step", "catching_up", "down", "stopped"];

    pub fn name(&self) -> &'static str {
        let index = match self {
            SinkState::Opening => 0,
            SinkState::InStep => 1,
            SinkState::CatchingUp { .. } => 2,
            SinkState::Down { .. } => 3,
            SinkState::Stopped { .. } => 4,
        };
        SinkState::NAMES[index]
    }

    /// Is it another state, rather than other figures of the same?
    fn is_news_after(&self, before: &SinkState) -> bool {
        self.name() != before.name()
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub pipeline: String,
    pub generation: String,
    pub version: &'static str,
    pub host: String,
    pub started: u64,
    pub ready: bool,
    pub workers: BTreeMap<i32, Worker>,
    pub sinks: BTreeMap<String, Sink>,
    /// By `stage/code`.
    pub rejects: BTreeMap<String, u64>,
}

pub struct Status(Mutex<Report>);

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn kind(kind: &SinkKind) -> &'static str {
    match kind {
        SinkKind::Kafka { .. } => "kafka",
        SinkKind::Mongodb(_) => "mongodb",
        SinkKind::Hdfs(_) => "hdfs",
    }
}

impl Status {
    pub fn new(plan: &Plan) -> Status {
        let sink = |kind| Sink { kind, positions: BTreeMap::new(), behind: 0, workers: BTreeMap::new() };
        Status(Mutex::new(Report {
            pipeline: plan.name.clone(),
            generation: plan.generation.to_string(),
            version: env!("CARGO_PKG_VERSION"),
            host: std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned(),
            started: now(),
            ready: false,
            workers: BTreeMap::new(),
            sinks: plan.sinks_seen().map(|known| (known.name.to_string(), sink(kind(&known.kind)))).collect(),
            rejects: BTreeMap::new(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Report> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn worker(&self, worker: i32, state: WorkerState) {
        let mut report = self.lock();
        let entry = report.workers.entry(worker).or_insert_with(|| Worker {
            state: WorkerState::Starting,
            since: now(),
            partitions: BTreeMap::new(),
        });
        if entry.state != state {
            entry.since = now();
        }
        let rests = state != WorkerState::Running;
        if rests {
            entry.partitions.clear();
        }
        entry.state = state;
        if rests {
            report.sinks.values_mut().for_each(|sink| drop(sink.workers.remove(&worker)));
        }
        let ready = |worker: &Worker| matches!(worker.state, WorkerState::Running | WorkerState::Idle);
        report.ready = !report.workers.is_empty() && report.workers.values().all(ready);
    }

    /// Where a worker's partitions stand, and the log's ends as far as they are known.
    pub fn partitions(&self, worker: i32, heads: &BTreeMap<i32, i64>) {
        let mut report = self.lock();
        let Report { workers, sinks, .. } = &mut *report;
        let Some(worker) = workers.get_mut(&worker) else { return };
        for (&partition, &head) in heads {
            worker.partitions.entry(partition).or_default().head = head;
        }
        for sink in sinks.values_mut().filter(|sink| sink.kind == "kafka") {
            sink.positions.extend(heads);
        }
    }

    pub fn lag(&self, worker: i32, partition: i32, lag: i64) {
        if let Some(worker) = self.lock().workers.get_mut(&worker) {
            worker.partitions.entry(partition).or_default().lag = Some(lag);
        }
    }

    pub fn sink(&self, sink: &Arc<str>, positions: &BTreeMap<i32, i64>) {
        if let Some(sink) = self.lock().sinks.get_mut(&**sink) {
            sink.positions.extend(positions);
        }
    }

    /// True: it is another state than before.
    pub fn sink_state(&self, sink: &str, worker: i32, state: SinkState) -> bool {
        let mut report = self.lock();
        let Some(sink) = report.sinks.get_mut(sink) else { return false };
        match sink.workers.get_mut(&worker) {
            Some(known) if !state.is_news_after(&known.state) => {
                known.state = state;
                false
            }
            _ => {
                sink.workers.insert(worker, SinkWork { state, since: now() });
                true
            }
        }
    }

    /// In how many workers a sink is in that state.
    pub fn sink_workers(&self, sink: &str, state: &str) -> usize {
        let report = self.lock();
        let workers = report.sinks.get(sink).into_iter().flat_map(|sink| sink.workers.values());
        workers.filter(|work| work.state.name() == state).count()
    }

    pub fn reject(&self, stage: &str, code: &str) {
        *self.lock().rejects.entry(format!("{stage}/{code}")).or_default() += 1;
    }

    pub fn rejects(&self) -> BTreeMap<String, u64> {
        self.lock().rejects.clone()
    }

    pub fn is_ready(&self) -> bool {
        self.lock().ready
    }

    pub fn report(&self) -> Report {
        let mut report = self.lock().clone();
        let heads: BTreeMap<i32, i64> = report
            .workers
            .values()
            .flat_map(|worker| worker.partitions.iter().map(|(&partition, stands)| (partition, stands.head)))
            .collect();
        for sink in report.sinks.values_mut() {
            let behind = |(partition, position): (&i32, &i64)| heads.get(partition).map_or(0, |head| head - position);
            sink.behind = sink.positions.iter().map(behind).map(|behind| behind.max(0)).sum();
        }
        report
    }
}
