//! What a running pipeline says of itself: figures for Prometheus, a status as JSON, a summary at the end.
//!
//! Invariant: nothing in here waits, fails, or decides anything. docs/metrics.md has the table of figures.

mod metrics;
mod server;
mod status;

pub use metrics::{Metrics, SinkMetrics};
pub use server::serve;
pub use status::{Partition, Sink, SinkState, Status, Worker, WorkerState};
