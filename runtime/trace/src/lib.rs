//! Traces: how spans come to a collector (OTLP over HTTP), and how a trace goes on in the next program (W3C
//! `traceparent` and `tracestate` headers). What `runtime` and `web` share of it.
//!
//! Invariants: whoever makes a span never waits: what the collector does not take in time is dropped and counted.
//! Without [`Tracing::start`] nothing runs and nothing is sent.
//! Knows nothing of pipelines, topics or pages.

mod client;
mod headers;
mod tally;
mod tracing;

pub use headers::{Headers, carried, remote};
pub use opentelemetry::trace::{Span, SpanBuilder, SpanKind, Status, TraceContextExt, Tracer};
pub use opentelemetry::{Context, KeyValue};
pub use opentelemetry_sdk::trace::{SdkTracer, Span as SdkSpan};
pub use tally::Tally;

pub use crate::tracing::{Tracing, collector};
