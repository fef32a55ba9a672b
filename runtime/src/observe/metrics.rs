//! Figures since the start of the process.
//!
//! Invariant: every series is made once, here or by a collector that is registered here; its labels come from the
//! pipeline file or from closed lists, so their number is bounded; a plugin's own reject codes come from its guest, and
//! beyond a number they count as one. Rows, bytes and rejects are counted when they are durable, so that what is done
//! again after an error is not counted again.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use millrace_embedded::now_ms;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::batch::{Batch, Reject};
use crate::observe::asked::Asked;
use crate::observe::standing::Standing;
use crate::observe::status::{SinkState, Status, WorkerState};
use crate::observe::trace::Tracer;
use crate::plan::Plan;
use crate::sink::Written;
use crate::words::counted;

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

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// From 100 µs to 52 s, each twice the one before.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 2.0, 20))
}

pub struct Metrics {
    registry: Registry,
    pub status: Arc<Status>,
    pub traces: Tracer,
    /// Has a worker ever read?
    ran: AtomicBool,
    messages: Counter,
    bytes: Counter,
    batches: Counter,
    transactions: Counter,
    unknown_fields: Counter,
    restarts: Counter,
    pub heartbeats: Heartbeats,
    rejects: Rejects,
    stage_rows: Family<StageLabels, Counter>,
    stage_bytes: Family<StageLabels, Counter>,
    stage_seconds: Histograms<StageLabels>,
    commit_seconds: Histogram,
    age_seconds: Histogram,
    sinks: BTreeMap<Arc<str>, Arc<SinkMetrics>>,
}

/// Of the process's announcing.
#[derive(Clone)]
pub struct Heartbeats {
    pub sent: Counter,
    pub lost: Counter,
}

/// Of one sink.
pub struct SinkMetrics {
    sink: Arc<str>,
    rows: Counter,
    bytes: Counter,
    seconds: Histogram,
    failures: Counter,
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
        let code = self.status.reject(&reject.stage, &reject.code);
        self.counts.get_or_create(&RejectLabels { stage: reject.stage.to_string(), code: code.to_owned() }).inc();
    }
}

impl SinkMetrics {
    /// Rows that the sink's medium refused.
    pub fn rejected(&self, reject: &Reject) {
        self.rejects.count(reject);
    }

    /// A batch was given to it, perhaps not for the first time.
    pub fn took(&self, time: Duration) {
        self.seconds.observe(time.as_secs_f64());
    }

    /// These are durable since the last time.
    pub fn wrote(&self, written: Written) {
        self.rows.inc_by(written.rows);
        self.bytes.inc_by(written.bytes);
    }

    pub fn durable(&self, positions: &BTreeMap<i32, i64>) {
        self.status.sink(&self.sink, positions);
    }

    pub fn failed(&self) {
        self.failures.inc();
    }

    /// True: it is another state than before.
    pub fn state(&self, worker: i32, state: SinkState) -> bool {
        self.status.sink_state(&self.sink, worker, state)
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
        registry.register_collector(Box::new(Standing::new(status.clone())));
        Metrics {
            sinks: sinks(&mut registry, plan, &rejects),
            rejects,
            status,
            traces,
            ran: AtomicBool::new(false),
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
            heartbeats: Heartbeats {
                sent: counter(&mut registry, "heartbeats", "Heartbeats that the status topic has"),
                lost: counter(&mut registry, "heartbeats_lost", "Heartbeats that it did not take in time"),
            },
            stage_rows: family(&mut registry, "stage_rows", "Rows that a stage was given", Family::default()),
            stage_bytes: family(
                &mut registry,
                "stage_bytes",
                "Bytes of the columns of these rows, in memory",
                Family::default(),
            ),
            stage_seconds: family(&mut registry, "stage_seconds", "Time that a stage took for a batch", timed()),
            commit_seconds: family(&mut registry, "commit_seconds", "Time that a commit of the head took", seconds()),
            age_seconds: family(
                &mut registry,
                "age_seconds",
                "From a message's timestamp to the commit of its answer, of the oldest message of each batch",
                seconds(),
            ),
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

    /// A stage was given so many rows, and bytes of columns.
    pub fn stage(&self, name: &str, rows: usize, bytes: usize, time: Duration) {
        let labels = StageLabels { stage: name.to_owned() };
        self.stage_rows.get_or_create(&labels).inc_by(rows as u64);
        self.stage_bytes.get_or_create(&labels).inc_by(bytes as u64);
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

    pub fn worker(&self, worker: i32, state: WorkerState) {
        if state == WorkerState::Running {
            self.ran.store(true, Ordering::Relaxed);
        }
        self.status.worker(worker, state);
    }

    /// Is there anything to sum up?
    pub fn ran(&self) -> bool {
        self.ran.load(Ordering::Relaxed)
    }

    pub fn unknown_fields(&self, fields: u64) {
        self.unknown_fields.inc_by(fields);
    }

    pub fn restarted(&self) {
        self.restarts.inc();
    }

    /// A message or row was refused, and that is committed.
    pub fn reject(&self, reject: &Reject) {
        self.rejects.count(reject);
    }
}

fn age(timestamp_ms: i64) -> f64 {
    (now_ms() - timestamp_ms).max(0) as f64 / 1000.0
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
    let mut counter = |name, help| -> Family<SinkLabels, Counter> { family(registry, name, help, Family::default()) };
    let rows = counter("sink_rows", "Rows that are durable at a sink");
    let bytes = counter("sink_bytes", "Bytes of rows that are durable at a sink, as it was given them");
    let failures = counter("sink_failures", "Times that a sink left the head after an error");
    let times: Histograms<SinkLabels> = family(registry, "sink_seconds", "Time that a sink took for a batch", timed());
    let one = |name: &Arc<str>| {
        let labels = SinkLabels { sink: name.to_string() };
        Arc::new(SinkMetrics {
            sink: name.clone(),
            rows: rows.get_or_create_owned(&labels),
            bytes: bytes.get_or_create_owned(&labels),
            seconds: times.get_or_create_owned(&labels),
            failures: failures.get_or_create_owned(&labels),
            rejects: rejects.clone(),
            status: rejects.status.clone(),
        })
    };
    plan.sinks_seen().map(|sink| (sink.name.clone(), one(&sink.name))).collect()
}

/// For the end of a run.
impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |counter: &Counter, what| counted(counter.get(), what);
        write!(f, "{} in {}", number(&self.messages, "message"), number(&self.transactions, "transaction"))?;
        for (name, sink) in &self.sinks {
            write!(f, "; {name}: {}", number(&sink.rows, "row"))?;
        }
        let rejects = self.status.rejects();
        write!(f, "; {} rejected", rejects.values().sum::<u64>())?;
        let each: Vec<_> = rejects.iter().map(|(code, count)| format!("{code} {count}")).collect();
        if !each.is_empty() {
            write!(f, " ({})", each.join(", "))?;
        }
        let unknown = self.unknown_fields.get();
        if unknown > 0 {
            write!(f, "; ignored {} that the pipeline does not take", counted(unknown, "field"))?;
        }
        let restarts = self.restarts.get();
        if restarts > 0 {
            write!(f, "; started over {} after errors", counted(restarts, "time"))?;
        }
        Ok(())
    }
}
