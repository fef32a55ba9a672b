//! How the pipeline is right now: each worker, each partition, each sink. What `/status` answers.
//!
//! Shape: [`Report`], as JSON. Times are seconds since 1970.
//! Invariant: a snapshot of what the engine last said; reading it slows nobody. What nobody can know now is null, not 0:
//! who stops reading takes back all that it said of its partitions.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::clock::now_seconds;
use crate::plan::{Plan, SinkKind, SinkPlan};
use crate::stage::plugin::{Health, Program};

/// Of each stage, counted apart: more than a person reads, for codes are a guest's words. Another stage's are its own.
const REJECT_CODES_MAX: usize = 256;
/// Of a stage, beyond that.
const OTHER_CODE: &str = "other";

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
    /// Sinks with `required = true` that the head waits for, with rows in its hands. None: it goes on.
    pub head_waits_for: Vec<String>,
    pub partitions: BTreeMap<i32, Partition>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Partition {
    /// The first offset that the head has not committed.
    pub head: i64,
    /// The log's, as far as it has told: never before the head.
    pub end: Option<i64>,
    /// From the head to the end.
    pub lag: Option<i64>,
}

impl Partition {
    fn stands(&mut self, head: i64, end: Option<i64>) {
        self.head = head;
        self.end = end.map(|end| end.max(head));
        self.lag = self.end.map(|end| end - head);
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sink {
    pub kind: &'static str,
    pub required: bool,
    /// By partition, the first offset that is not durable. A Kafka sink's is the head's.
    pub positions: BTreeMap<i32, i64>,
    /// A sink that gathers rows in files publishes each so long after its first row, at the latest. In step, all that it
    /// is behind is in an open file.
    pub publishes_within_seconds: Option<u64>,
    /// How far it is behind the head, in messages. None: its position in a partition that is read is not known.
    pub behind: Option<i64>,
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
    /// Its number on that host.
    pub process: u32,
    /// `HOST:PORT` of its `/status`. None: it answers nowhere.
    pub listen: Option<String>,
    pub started: u64,
    pub ready: bool,
    pub workers: BTreeMap<i32, Worker>,
    /// In the order in which rows go through them.
    pub stages: Vec<String>,
    pub sinks: BTreeMap<String, Sink>,
    /// By stage.
    pub plugins: BTreeMap<String, Health>,
    /// By `stage/code`.
    pub rejects: BTreeMap<String, u64>,
}

pub struct Status {
    report: Mutex<Report>,
    plugins: Vec<(String, Arc<Program>)>,
}

/// Sinks of the head's transaction.
pub(super) const KAFKA: &str = "kafka";

fn kind(kind: &SinkKind) -> &'static str {
    match kind {
        SinkKind::Kafka { .. } => KAFKA,
        SinkKind::Mongodb(_) => "mongodb",
        SinkKind::Hdfs(_) => "hdfs",
    }
}

impl Status {
    pub fn new(plan: &Plan) -> Status {
        let sink = |known: &SinkPlan| Sink {
            kind: kind(&known.kind),
            required: known.required,
            publishes_within_seconds: known.publishes_within().map(|time| time.as_secs()),
            positions: BTreeMap::new(),
            behind: None,
            workers: BTreeMap::new(),
        };
        let report = Report {
            pipeline: plan.name.clone(),
            generation: plan.generation.to_string(),
            version: env!("CARGO_PKG_VERSION"),
            host: std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned(),
            process: std::process::id(),
            listen: None,
            started: now_seconds(),
            ready: false,
            workers: BTreeMap::new(),
            stages: plan.stages.iter().map(|stage| stage.name.to_string()).collect(),
            sinks: plan.sinks_seen().map(|known| (known.name.to_string(), sink(known))).collect(),
            plugins: BTreeMap::new(),
            rejects: BTreeMap::new(),
        };
        let plugins = plan.plugins().map(|(name, program)| (name.to_string(), program.clone()));
        Status { report: Mutex::new(report), plugins: plugins.collect() }
    }

    fn lock(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where it answers. An address of every interface is told with the host's name.
    pub fn listens(&self, address: SocketAddr) {
        let mut report = self.lock();
        report.listen = Some(match address.ip().is_unspecified() {
            true => format!("{}:{}", report.host, address.port()),
            false => address.to_string(),
        });
    }

    pub fn worker(&self, worker: i32, state: WorkerState) {
        let mut report = self.lock();
        if state != WorkerState::Running {
            report.forget(worker);
        }
        let entry = report.workers.entry(worker).or_insert_with(|| Worker {
            state: WorkerState::Starting,
            since: now_seconds(),
            head_waits_for: Vec::new(),
            partitions: BTreeMap::new(),
        });
        if entry.state != state {
            entry.since = now_seconds();
        }
        entry.state = state;
        let ready = |worker: &Worker| matches!(worker.state, WorkerState::Running | WorkerState::Idle);
        report.ready = !report.workers.is_empty() && report.workers.values().all(ready);
    }

    /// Where the head stands in a worker's partitions.
    pub fn heads(&self, worker: i32, heads: &BTreeMap<i32, i64>) {
        let mut report = self.lock();
        let Report { workers, sinks, .. } = &mut *report;
        let Some(worker) = workers.get_mut(&worker) else { return };
        for (&partition, &head) in heads {
            let partition = worker.partitions.entry(partition).or_default();
            partition.stands(head, partition.end);
        }
        for sink in sinks.values_mut().filter(|sink| sink.kind == KAFKA) {
            sink.positions.extend(heads);
        }
    }

    /// The log's ends in a worker's partitions, as far as they are known.
    pub fn ends(&self, worker: i32, ends: &BTreeMap<i32, i64>) {
        let mut report = self.lock();
        let partitions = report.workers.get_mut(&worker).into_iter().flat_map(|worker| &mut worker.partitions);
        for (partition, stands) in partitions {
            stands.stands(stands.head, ends.get(partition).copied().or(stands.end));
        }
    }

    /// The required sinks that a worker's head waits for.
    pub fn head_waits(&self, worker: i32, sinks: &[Arc<str>]) {
        if let Some(worker) = self.lock().workers.get_mut(&worker) {
            worker.head_waits_for = sinks.iter().map(ToString::to_string).collect();
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
                sink.workers.insert(worker, SinkWork { state, since: now_seconds() });
                true
            }
        }
    }

    /// Answers the code that it is counted by.
    pub fn reject<'c>(&self, stage: &str, code: &'c str) -> &'c str {
        count(&mut self.lock().rejects, stage, code)
    }

    pub fn rejects(&self) -> BTreeMap<String, u64> {
        self.lock().rejects.clone()
    }

    pub fn is_ready(&self) -> bool {
        self.lock().ready
    }

    pub fn report(&self) -> Report {
        let mut report = self.lock().clone();
        let partitions = report.workers.values().flat_map(|worker| &worker.partitions);
        let heads: BTreeMap<i32, i64> = partitions.map(|(&partition, stands)| (partition, stands.head)).collect();
        report.sinks.values_mut().for_each(|sink| sink.behind = behind(&heads, &sink.positions));
        report.plugins = self.plugins.iter().map(|(name, program)| (name.clone(), program.health())).collect();
        report
    }
}

impl Report {
    /// What a worker said of the partitions that it no longer reads is another's to say now.
    fn forget(&mut self, worker: i32) {
        let Some(known) = self.workers.get_mut(&worker) else { return };
        known.head_waits_for.clear();
        let partitions = std::mem::take(&mut known.partitions);
        for sink in self.sinks.values_mut() {
            sink.workers.remove(&worker);
            sink.positions.retain(|partition, _| !partitions.contains_key(partition));
        }
    }
}

fn count<'c>(rejects: &mut BTreeMap<String, u64>, stage: &str, code: &'c str) -> &'c str {
    let (own, of_stage) = (format!("{stage}/{code}"), format!("{stage}/"));
    let known = || rejects.range(of_stage.clone()..).take_while(|(key, _)| key.starts_with(&of_stage)).count();
    let has_room = rejects.contains_key(&own) || known() < REJECT_CODES_MAX;
    let (by, code) = if has_room { (own, code) } else { (of_stage + OTHER_CODE, OTHER_CODE) };
    *rejects.entry(by).or_default() += 1;
    code
}

/// A position beyond the head's is one that nobody can explain: it is not in step.
fn behind(heads: &BTreeMap<i32, i64>, positions: &BTreeMap<i32, i64>) -> Option<i64> {
    let of = |(partition, head): (&i32, &i64)| positions.get(partition).map(|position| head - position);
    let each: Option<Vec<i64>> = heads.iter().map(of).collect();
    each.filter(|each| !each.is_empty() && each.iter().all(|&behind| behind >= 0)).map(|each| each.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::{BTreeMap, REJECT_CODES_MAX, count};

    #[test]
    fn codes_beyond_so_many_of_a_stage_are_counted_as_one_and_hide_no_other_stage() {
        let mut rejects = BTreeMap::new();
        for n in 0..REJECT_CODES_MAX + 10 {
            let code = format!("c{n}");
            let by = count(&mut rejects, "guest", &code);
            assert_eq!(by, if n < REJECT_CODES_MAX { &code } else { "other" });
        }
        assert_eq!(count(&mut rejects, "guest", "c0"), "c0", "one that is known stays itself");
        assert_eq!(count(&mut rejects, "source", "not_json"), "not_json");
        assert_eq!(rejects.len(), REJECT_CODES_MAX + 2);
        assert_eq!((rejects["guest/c0"], rejects["guest/other"], rejects["source/not_json"]), (2, 10, 1));
    }

    #[test]
    fn behind_is_known_only_where_every_position_is() {
        let behind = |heads: &[(i32, i64)], positions: &[(i32, i64)]| {
            super::behind(&heads.iter().copied().collect(), &positions.iter().copied().collect())
        };
        assert_eq!(behind(&[(0, 10), (1, 5)], &[(0, 7), (1, 5)]), Some(3));
        assert_eq!(behind(&[(0, 10), (1, 5)], &[(0, 10)]), None, "one of two is open");
        assert_eq!(behind(&[(0, 10)], &[(0, 11)]), None, "beyond the head");
        assert_eq!(behind(&[], &[]), None, "nobody reads");
        assert_eq!(behind(&[(0, 10)], &[(0, 10), (1, 3)]), Some(0), "partition 1 is another process's");
    }
}
