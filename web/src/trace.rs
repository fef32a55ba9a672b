//! A flight's trace: its own span from the post to the answer, and in it the span of its way into the topic, which is
//! the parent of all that the pipeline does. The table of spans is in docs/traces.md.
//!
//! Invariant: a flight's span ends when the flight is decided, cannot be sent, or is forgotten.

use axum::http::header::{HeaderMap, HeaderValue};
use millrace_trace::{
    Context, Headers, KeyValue, SdkTracer, Span, SpanBuilder, SpanKind, Status, TraceContextExt, Tracer as _, Tracing,
    carried, remote,
};

use crate::answers::{Outcome, Rejection, Verdict};
use crate::error::Error;
use crate::settings::Settings;

/// Follows flights, if anybody wants to see them.
#[derive(Default)]
pub struct Tracer(Option<Inner>);

struct Inner {
    tracer: SdkTracer,
    system: &'static str,
    topic: String,
}

/// A flight that is followed; its span ends with it.
#[derive(Debug)]
pub struct Followed(Context);

/// A flight on its way into the topic.
pub struct Sending {
    context: Context,
    pub headers: Headers,
}

impl Tracer {
    pub fn new(tracing: &Tracing, settings: &Settings) -> Tracer {
        let system = if settings.embedded.is_some() { "millrace_embedded" } else { "kafka" };
        Tracer(Some(Inner { tracer: tracing.tracer(), system, topic: settings.request_topic.clone() }))
    }

    /// A flight was posted to this route, perhaps within a trace of the sender's.
    pub fn begin(&self, route: &'static str, sent: &HeaderMap, id: &str) -> Option<(Followed, Sending)> {
        let inner = self.0.as_ref()?;
        let parent = remote(|name| sent.get(name).map(HeaderValue::as_bytes)).unwrap_or_default();
        let builder = SpanBuilder::from_name(format!("POST {route}")).with_kind(SpanKind::Server).with_attributes([
            KeyValue::new("http.request.method", "POST"),
            KeyValue::new("http.route", route),
            KeyValue::new("millrace.flight.id", id.to_owned()),
        ]);
        let span = inner.tracer.build_with_context(builder, &parent);
        let flight = span.is_recording().then(|| Context::new().with_span(span))?;
        let builder =
            SpanBuilder::from_name(format!("send {}", inner.topic)).with_kind(SpanKind::Producer).with_attributes([
                KeyValue::new("messaging.system", inner.system),
                KeyValue::new("messaging.operation.type", "send"),
                KeyValue::new("messaging.destination.name", inner.topic.clone()),
            ]);
        let context = Context::new().with_span(inner.tracer.build_with_context(builder, &flight));
        let headers = carried(&context);
        Some((Followed(flight), Sending { context, headers }))
    }
}

impl Sending {
    /// The log did not take it.
    pub fn failed(&self, cause: &Error) {
        self.context.span().set_status(Status::error(cause.to_string()));
    }
}

impl Followed {
    pub fn failed(&self, cause: &Error) {
        self.0.span().set_status(Status::error(cause.to_string()));
    }

    /// The flight is decided.
    pub fn settled(self, outcome: &Outcome) {
        let span = self.0.span();
        let word = match &outcome.verdict {
            Verdict::Answered(_) => "answered",
            Verdict::Rejected(Rejection { stage, code, reason }) => {
                span.set_attribute(KeyValue::new("millrace.stage", stage.clone()));
                span.set_attribute(KeyValue::new("millrace.reject.code", code.clone()));
                span.set_status(Status::error(reason.clone()));
                "rejected"
            }
        };
        span.set_attribute(KeyValue::new("millrace.outcome", word));
        span.end();
    }
}
