//! One message's way as spans of one trace: decoding, each stage, the commit, each sink's durable write. The table of
//! spans is in docs/traces.md.
//!
//! Invariants: only a message that came with a sampled `traceparent` is followed; all others cost a look at their
//! headers, and nothing at all where no collector was named. Spans are made after the fact, so nothing waits for them.
//! A message's own span ends when the last part of the pipeline lets go of it: with the slowest sink, or its session.
//! Knows nothing of how spans come to the collector.

mod writes;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

use millrace_trace::{
    Context, Headers, KeyValue, SdkTracer, Span, SpanBuilder, SpanKind, Status, Tally, TraceContextExt, Tracer as _,
    Tracing, carried, remote,
};

pub use self::writes::Writes;
use crate::batch::{Batch, Reject};
use crate::ground::Ground;
use crate::json::decode::Message;
use crate::plan::Plan;
use crate::sink::Positions;

const PIPELINE: &str = "millrace.pipeline";
const GENERATION: &str = "millrace.generation";
const STAGE: &str = "millrace.stage";
const SINK: &str = "millrace.sink";
const REJECT_CODE: &str = "millrace.reject.code";

/// Follows messages of one pipeline, if anybody wants to see them.
#[derive(Clone, Default)]
pub struct Tracer(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    tracer: SdkTracer,
    tally: Arc<Tally>,
    /// Of a message's own span.
    name: String,
    /// What all messages share.
    attributes: Vec<KeyValue>,
}

impl Tracer {
    pub fn new(tracing: &Tracing, plan: &Plan, ground: &Ground) -> Tracer {
        let system = match ground {
            Ground::Services => "kafka",
            Ground::Embedded(_) => "millrace_embedded",
        };
        let attributes = vec![
            KeyValue::new("messaging.system", system),
            KeyValue::new("messaging.operation.type", "process"),
            KeyValue::new("messaging.destination.name", plan.source.topic.clone()),
            KeyValue::new("messaging.consumer.group.name", plan.source.group.clone()),
            KeyValue::new(PIPELINE, plan.name.clone()),
        ];
        let name = format!("process {}", plan.source.topic);
        Tracer(Some(Arc::new(Inner { tracer: tracing.tracer(), tally: tracing.tally(), name, attributes })))
    }

    /// None: nothing is followed.
    pub fn tally(&self) -> Option<&Tally> {
        self.0.as_ref().map(|inner| &*inner.tally)
    }

    /// Follows a message that was read just now, if its sender did. `generation`: what computes it.
    pub fn begin(&self, message: &impl Message, generation: &Arc<str>) -> Option<Trace> {
        let by = self.0.as_ref()?;
        let parent = remote(|name| message.header(name))?;
        if !parent.span().span_context().is_sampled() {
            return None;
        }
        let (partition, offset, since) = (message.partition(), message.offset(), SystemTime::now());
        let own = [
            KeyValue::new("messaging.destination.partition.id", partition.to_string()),
            KeyValue::new("messaging.kafka.offset", offset),
            KeyValue::new(GENERATION, generation.clone()),
        ];
        let builder = SpanBuilder::from_name(by.name.clone())
            .with_kind(SpanKind::Consumer)
            .with_start_time(since)
            .with_attributes(by.attributes.iter().cloned().chain(own));
        let span = by.tracer.build_with_context(builder, &parent);
        // a sampler of this program may have its own opinion
        let context = span.is_recording().then(|| Context::new().with_span(span))?;
        let headers = carried(&context);
        Some(Trace(Arc::new(Followed { by: by.clone(), context, headers, partition, offset, since })))
    }
}

/// A message that is followed.
#[derive(Clone, Debug)]
pub struct Trace(Arc<Followed>);

#[derive(Debug)]
struct Followed {
    by: Arc<Inner>,
    /// Holds the message's own span, which ends with it.
    context: Context,
    /// For the records that come of it.
    headers: Headers,
    partition: i32,
    offset: i64,
    /// When it was read.
    since: SystemTime,
}

impl Trace {
    /// The message was decoded, or refused.
    pub fn decoded(&self, reject: Option<&Reject>) {
        let mut span = self.child("decode".into(), SpanKind::Internal, self.0.since, []);
        mark(&mut span, reject);
        span.end();
    }

    fn child<const N: usize>(
        &self,
        name: Cow<'static, str>,
        kind: SpanKind,
        since: SystemTime,
        attributes: [KeyValue; N],
    ) -> millrace_trace::SdkSpan {
        let builder = SpanBuilder::from_name(name).with_kind(kind).with_start_time(since).with_attributes(attributes);
        self.0.by.tracer.build_with_context(builder, &self.0.context)
    }

    /// Is it at or above the position of its partition?
    fn is_beyond(&self, positions: &Positions) -> bool {
        positions.get(&self.0.partition).is_none_or(|&position| self.0.offset >= position)
    }
}

fn mark(span: &mut impl Span, reject: Option<&Reject>) {
    if let Some(reject) = reject {
        span.set_attribute(KeyValue::new(REJECT_CODE, reject.code.to_string()));
        span.set_status(Status::error(reject.reason.clone()));
    }
}

/// Of a batch's messages, those that are followed, by their index among its origins, rising. Mostly there are none.
#[derive(Clone, Debug, Default)]
pub struct Traces(Vec<(u32, Trace)>);

impl Traces {
    /// `origin` is above all before it.
    pub fn push(&mut self, origin: u32, trace: Trace) {
        self.0.push((origin, trace));
    }

    /// Those of the messages from `at` on; the others stay.
    pub fn split_off(&mut self, at: u32) -> Traces {
        let rest = self.0.split_off(self.0.partition_point(|(origin, _)| *origin < at));
        Traces(rest.into_iter().map(|(origin, trace)| (origin - at, trace)).collect())
    }

    fn of(&self, origin: u32) -> Option<&Trace> {
        let found = self.0.binary_search_by_key(&origin, |(known, _)| *known).ok()?;
        Some(&self.0[found].1)
    }

    /// What a record that comes of this message carries.
    pub fn headers(&self, origin: u32) -> &[(String, Vec<u8>)] {
        self.of(origin).map_or(&[], |trace| &trace.0.headers)
    }

    /// The message is among the rejects for good.
    pub fn refused(&self, reject: &Reject) {
        if let Some(trace) = self.of(reject.origin) {
            let span = trace.0.context.span();
            span.set_attribute(KeyValue::new(REJECT_CODE, reject.code.to_string()));
            span.set_status(Status::error(reject.reason.clone()));
        }
    }

    /// The head's commit, which began at `since`, took these messages beyond where it stood `before`.
    pub fn committed(&self, before: &Positions, since: SystemTime) {
        for (_, trace) in self.0.iter().filter(|(_, trace)| trace.is_beyond(before)) {
            trace.child("commit".into(), SpanKind::Client, since, []).end();
        }
    }

    /// Those that have rows.
    fn with_rows<'a>(&'a self, lineage: &'a [u32]) -> impl Iterator<Item = &'a (u32, Trace)> {
        self.0.iter().filter(|(origin, _)| lineage.binary_search(origin).is_ok())
    }
}

/// A batch's way through a stage.
pub struct Passing {
    since: SystemTime,
    origins: Vec<u32>,
}

impl Passing {
    /// None: nobody in the batch is followed.
    pub fn begin(batch: &Batch) -> Option<Passing> {
        let traces = &batch.origins.traces;
        if traces.0.is_empty() {
            return None;
        }
        let origins = traces.with_rows(&batch.lineage).map(|(origin, _)| *origin).collect();
        Some(Passing { since: SystemTime::now(), origins })
    }

    /// `batch`: as the stage left it.
    pub fn end(self, batch: &Batch, stage: &Arc<str>) {
        for origin in self.origins {
            let Some(trace) = batch.origins.traces.of(origin) else { continue };
            let reject = batch.rejects.iter().find(|reject| reject.origin == origin && reject.stage == *stage);
            let name = format!("stage {stage}").into();
            let mut span = trace.child(name, SpanKind::Internal, self.since, [KeyValue::new(STAGE, stage.clone())]);
            mark(&mut span, reject);
            span.end();
        }
    }
}
