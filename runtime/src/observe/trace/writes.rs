//! What one sink has of the messages that are followed and does not hold durably yet.
//!
//! Invariant: a write's span ends when the sink's durable position passes the message, and not before.

use std::sync::Arc;
use std::time::SystemTime;

use millrace_trace::{KeyValue, SdkSpan, Span, SpanKind, Status};

use super::{SINK, Trace};
use crate::batch::Batch;
use crate::sink::Positions;

/// A directory that rolls once a minute holds a minute's messages. Those beyond are not followed to the end.
const WRITES_OPEN_MAX: usize = 4_096;

pub struct Writes {
    sink: Arc<str>,
    open: Vec<Write>,
}

struct Write {
    span: SdkSpan,
    /// The message's own span lasts as long.
    trace: Trace,
}

impl Writes {
    pub fn new(sink: &str) -> Writes {
        Writes { sink: sink.into(), open: Vec::new() }
    }

    /// The sink, which holds what is below `durable`, is given a batch.
    pub fn begin(&mut self, batch: &Batch, durable: &Positions) {
        let traces = &batch.origins.traces;
        if traces.0.is_empty() {
            return;
        }
        let since = SystemTime::now();
        for (_, trace) in traces.with_rows(&batch.lineage).filter(|(_, trace)| trace.is_beyond(durable)) {
            if self.open.len() == WRITES_OPEN_MAX {
                let tally = &trace.0.by.tally;
                tally.drop_spans(1, format_args!("{WRITES_OPEN_MAX} writes of sink `{}` are followed", self.sink));
                continue;
            }
            let name = format!("write {}", self.sink).into();
            let span = trace.child(name, SpanKind::Client, since, [KeyValue::new(SINK, self.sink.clone())]);
            self.open.push(Write { span, trace: trace.clone() });
        }
    }

    /// The sink holds what is below these positions.
    pub fn durable(&mut self, positions: &Positions) {
        // a span ends with its drop
        self.open.retain(|write| write.trace.is_beyond(positions));
    }
}

impl Drop for Writes {
    /// Whether the sink got them is for its next writer to say.
    fn drop(&mut self) {
        for write in &mut self.open {
            write.span.set_status(Status::error("the writer ended first: the message is read again"));
        }
    }
}
