//! What a running pipeline says of itself: figures for Prometheus, a status as JSON, spans, a summary at the end.
//!
//! Invariant: nothing in here waits, fails, or decides anything. docs/metrics.md has the table of figures, docs/traces.md that of spans.

mod asked;
mod metrics;
mod server;
mod standing;
mod status;
pub mod trace;

pub use metrics::{Heartbeats, Metrics, SinkMetrics};
pub use server::serve;
pub use status::{Partition, Report, Sink, SinkState, Status, Worker, WorkerState};
