//! Figures since the start of the process.
//!
//! Invariant: every series is made here, once; its labels come from the pipeline file or from closed lists, so their
//! number is bounded (a plugin's own reject codes apart, which the plugin bounds).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::batch::{Batch, Reject};
use crate::observe::asked::Asked;
use crate::observe::status::{SinkState, Status, WorkerState};
use crate::observe::trace::Tracer;
use crate::plan::Plan;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StageLabels {
    stage: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct SinkLabels {
    sink: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, PartialOrd, Ord, EncodeLabelSet)]
struct RejectLabels {
    stage: String,
    code: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct PartitionLabels {
    partition: i32,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StateLabels {
    sink: String,
    state: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct PositionLabels {
    sink: String,
    partition: i32,
}

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// From 100 µs to 52 s, each twice the one before.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 2.0, 20))
}

pub struct Metrics {
    registry: Registry,
    pub status: Arc<Status>,
    pub traces: Tracer,
    /// The partitions whose series each worker makes.
    held: Mutex<BTreeMap<i32, BTreeSet<i32>>>,
    messages: Counter,
    bytes: Counter,
    batches: Counter,
    transactions: Counter,
    unknown_fields: Counter,
    restarts: Counter,
    rejects: Rejects,
    stage_rows: Family<StageLabels, Counter>,
    stage_seconds: Histograms<StageLabels>,
    commit_seconds: Histogram,
    age_seconds: Histogram,
    lag: Family<PartitionLabels, Gauge>,
    head: Family<PartitionLabels, Gauge>,
    sinks: BTreeMap<Arc<str>, Arc<SinkMetrics>>,
}

/// Of one sink; rows that it had already are not counted.
pub struct SinkMetrics {
    sink: Arc<str>,
    rows: Counter,
    seconds: Histogram,
    positions: Family<PositionLabels, Gauge>,
    failures: Counter,
    states: Family<StateLabels, Gauge>,
    rejects: Rejects,
    status: Arc<Status>,
}

/// Of all of a pipeline's rejects, by stage and code; a sink's own are among them.
#[derive(Clone)]
struct Rejects {
    counts: Family<RejectLabels, Counter>,
    status: Arc<Status>,
}

impl Rejects {
    fn count(&self, reject: &Reject) {
        let labels = RejectLabels { stage: reject.stage.to_string(), code: reject.code.to_string() };
        self.counts.get_or_create(&labels).inc();
        self.status.reject(&reject.stage, &reject.code);
    }
}

impl SinkMetrics {
    /// Rows that the sink's medium refused.
    pub fn rejected(&self, reject: &Reject) {
        self.rejects.count(reject);
    }

    pub fn wrote(&self, rows: u64, time: Duration) {
        self.rows.inc_by(rows);
        self.seconds.observe(time.as_secs_f64());
    }

    pub fn durable(&self, positions: &BTreeMap<i32, i64>) {
        for (&partition, &position) in positions {
            let labels = PositionLabels { sink: self.sink.to_string(), partition };
            self.positions.get_or_create(&labels).set(position);
        }
        self.status.sink(&self.sink, positions);
    }
}

impl SinkMetrics {
    pub fn failed(&self) {
        self.failures.inc();
    }

    /// True: it is another state than before.
    pub fn state(&self, worker: i32, state: SinkState) -> bool {
        let is_news = self.status.sink_state(&self.sink, worker, state);
        if is_news {
            for state in SinkState::NAMES {
                let workers = self.status.sink_workers(&self.sink, state);
                let labels = StateLabels { sink: self.sink.to_string(), state };
                self.states.get_or_create(&labels).set(workers as i64);
            }
        }
        is_news
    }
}

impl Metrics {
    pub fn new(plan: &Plan, traces: Tracer) -> Metrics {
        let mut registry = Registry::with_prefix("millrace");
        let build = vec![
            ("pipeline".to_owned(), plan.name.clone()),
            ("generation".to_owned(), plan.generation.to_string()),
            ("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ];
        registry.register("build", "What runs here", Info::new(build));
        registry.register_collector(Box::new(Asked::new(plan, traces.clone())));
        let status = Arc::new(Status::new(plan));
        let counts = family(&mut registry, "rejects", "Messages or rows refused, by stage and code", Family::default());
        let rejects = Rejects { counts, status: status.clone() };
        Metrics {
            sinks: sinks(&mut registry, plan, &rejects),
            rejects,
            status,
            traces,
            held: Mutex::default(),
            messages: counter(&mut registry, "messages", "Messages whose offsets were committed"),
            bytes: counter(&mut registry, "message_bytes", "Bytes of these messages' values"),
            batches: counter(&mut registry, "batches", "Batches that went through the stages"),
            transactions: counter(&mut registry, "transactions", "Commits of the head"),
            unknown_fields: counter(
                &mut registry,
                "unknown_fields",
                "Fields of messages that the pipeline does not take",
            ),
            restarts: counter(&mut registry, "restarts", "Times that a worker began again after an error"),
            stage_rows: family(&mut registry, "stage_rows", "Rows that a stage was given", Family::default()),
            stage_seconds: family(&mut registry, "stage_seconds", "Time that a stage took for a batch", timed()),
            commit_seconds: family(&mut registry, "commit_seconds", "Time that a commit of the head took", seconds()),
            age_seconds: family(
                &mut registry,
                "age_seconds",
                "From a message's timestamp to the commit of its answer, of the oldest message of each batch",
                seconds(),
            ),
            lag: family(&mut registry, "lag", "Messages of a partition that are not read yet", Family::default()),
            head: family(&mut registry, "head_offset", "The head's committed offset", Family::default()),
            registry,
        }
    }

    /// For Prometheus, in the OpenMetrics text format.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // writing to a String does not fail
        let _ = encode(&mut text, &self.registry);
        text
    }

    pub fn sink(&self, name: &str) -> Arc<SinkMetrics> {
        self.sinks[name].clone()
    }

    pub fn stage(&self, name: &str, rows: u64, time: Duration) {
        let labels = StageLabels { stage: name.to_owned() };
        self.stage_rows.get_or_create(&labels).inc_by(rows);
        self.stage_seconds.get_or_create(&labels).observe(time.as_secs_f64());
    }

    pub fn computed(&self) {
        self.batches.inc();
    }

    pub fn committed<'b>(&self, batches: impl Iterator<Item = &'b Batch>, time: Duration) {
        self.transactions.inc();
        self.commit_seconds.observe(time.as_secs_f64());
        for batch in batches {
            self.messages.inc_by(batch.origins.len() as u64);
            self.bytes.inc_by(batch.origins.values.bytes_total() as u64);
            let oldest_ms = batch.origins.timestamps_ms.first().filter(|&&oldest_ms| oldest_ms >= 0);
            oldest_ms.into_iter().for_each(|&oldest_ms| self.age_seconds.observe(age(oldest_ms)));
        }
    }

    /// How a worker is. One that waits for partitions has none: what it said of those it had is another's to say now.
    pub fn worker(&self, worker: i32, state: WorkerState) {
        if state == WorkerState::Idle {
            let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&worker);
            held.into_iter().flatten().for_each(|partition| self.forget(partition));
        }
        self.status.worker(worker, state);
    }

    fn forget(&self, partition: i32) {
        self.lag.remove(&PartitionLabels { partition });
        self.head.remove(&PartitionLabels { partition });
        for sink in self.sinks.values() {
            sink.positions.remove(&PositionLabels { sink: sink.sink.to_string(), partition });
        }
    }

    /// Where the head stands in each of a worker's partitions.
    pub fn heads(&self, worker: i32, positions: &BTreeMap<i32, i64>) {
        for (&partition, &offset) in positions {
            self.head.get_or_create(&PartitionLabels { partition }).set(offset);
        }
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.entry(worker).or_default().extend(positions.keys());
        drop(held);
        self.status.partitions(worker, positions);
    }

    pub fn lag(&self, worker: i32, partition: i32, lag: i64) {
        self.lag.get_or_create(&PartitionLabels { partition }).set(lag);
        self.status.lag(worker, partition, lag);
    }

    pub fn unknown_fields(&self, fields: u64) {
        self.unknown_fields.inc_by(fields);
    }

    pub fn restarted(&self) {
        self.restarts.inc();
    }

    pub fn reject(&self, reject: &Reject) {
        self.rejects.count(reject);
    }
}

fn age(timestamp_ms: i64) -> f64 {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    (now_ms - timestamp_ms).max(0) as f64 / 1000.0
}

fn counter(registry: &mut Registry, name: &str, help: &str) -> Counter {
    family(registry, name, help, Counter::<u64, AtomicU64>::default())
}

fn family<M>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M
where
    M: prometheus_client::registry::Metric + Clone,
{
    registry.register(name, help, metric.clone());
    metric
}

fn timed<L: Clone + std::hash::Hash + Eq>() -> Histograms<L> {
    Family::new_with_constructor(seconds)
}

fn sinks(registry: &mut Registry, plan: &Plan, rejects: &Rejects) -> BTreeMap<Arc<str>, Arc<SinkMetrics>> {
    let rows: Family<SinkLabels, Counter> = family(
        registry,
        "sink_rows",
        "Rows that a sink took; those that it had already are not among them",
        Family::default(),
    );
    let times: Histograms<SinkLabels> = family(registry, "sink_seconds", "Time that a sink took for a batch", timed());
    let positions: Family<PositionLabels, Gauge> =
        family(registry, "sink_position", "The first offset that is not durable at a sink", Family::default());
    let failures: Family<SinkLabels, Counter> =
        family(registry, "sink_failures", "Times that a sink left the head after an error", Family::default());
    let states: Family<StateLabels, Gauge> =
        family(registry, "sink_workers", "Workers whose sink is in this state", Family::default());
    let one = |name: &Arc<str>| {
        let labels = SinkLabels { sink: name.to_string() };
        let (rows, seconds) = (rows.get_or_create_owned(&labels), times.get_or_create_owned(&labels));
        Arc::new(SinkMetrics {
            sink: name.clone(),
            rows,
            seconds,
            positions: positions.clone(),
            failures: failures.get_or_create_owned(&labels),
            states: states.clone(),
            rejects: rejects.clone(),
            status: rejects.status.clone(),
        })
    };
    plan.sinks_seen().map(|sink| (sink.name.clone(), one(&sink.name))).collect()
}

/// For the end of a run.
impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} messages in {} transactions", self.messages.get(), self.transactions.get())?;
        for (name, sink) in &self.sinks {
            write!(f, "; {name}: {} rows", sink.rows.get())?;
        }
        let rejects = self.status.rejects();
        write!(f, "; {} rejected", rejects.values().sum::<u64>())?;
        let each: Vec<_> = rejects.iter().map(|(code, count)| format!("{code} {count}")).collect();
        if !each.is_empty() {
            write!(f, " ({})", each.join(", "))?;
        }
        let unknown = self.unknown_fields.get();
        if unknown > 0 {
            write!(f, "; {unknown} fields that the pipeline does not take were ignored")?;
        }
        let restarts = self.restarts.get();
        if restarts > 0 {
            write!(f, "; started over {restarts} times after errors")?;
        }
        Ok(())
    }
}
