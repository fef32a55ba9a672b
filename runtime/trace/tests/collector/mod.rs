//! An OTLP collector for tests: takes spans over HTTP and shows them. What the tests of `runtime` and `web` share.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span as Sent;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message;
use tokio::runtime::Builder;

/// Long enough for a busy machine; nothing waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Clone, Debug)]
pub struct Span {
    pub service: String,
    pub name: String,
    pub trace: String,
    pub id: String,
    /// Empty: it has none.
    pub parent: String,
    pub attributes: BTreeMap<String, String>,
    /// What its status says, where that is an error.
    pub error: Option<String>,
    pub start_ns: u64,
    pub end_ns: u64,
}

type Received = Arc<(Mutex<Vec<Span>>, Condvar)>;

pub struct Collector {
    /// Its base address.
    pub url: String,
    received: Received,
}

impl Collector {
    /// Lives as long as the test's process.
    pub fn start() -> Collector {
        let received = Received::default();
        let routes = Router::new().route("/v1/traces", post(take)).with_state(received.clone());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        // a runtime of its own: the test may have one or none
        thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, routes).await
            })
        });
        Collector { url, received }
    }

    pub fn spans(&self) -> Vec<Span> {
        self.received.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until a span of this name has come.
    pub fn await_span(&self, name: &str) -> Span {
        let deadline = Instant::now() + PATIENCE;
        let mut spans = self.received.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(span) = spans.iter().find(|span| span.name == name) {
                return span.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no span `{name}` among {spans:#?}");
            spans = self.received.1.wait_timeout(spans, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

async fn take(State(received): State<Received>, body: Bytes) -> ([(axum::http::HeaderName, &'static str); 1], Vec<u8>) {
    let request = ExportTraceServiceRequest::decode(body).expect("an OTLP request");
    let spans = request.resource_spans.into_iter().flat_map(|resource| {
        let attributes = texts(&resource.resource.unwrap_or_default().attributes);
        let service = attributes.get("service.name").cloned().unwrap_or_default();
        let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        spans.map(move |span| shown(&service, span))
    });
    received.0.lock().unwrap_or_else(PoisonError::into_inner).extend(spans);
    received.1.notify_all();
    ([(CONTENT_TYPE, "application/x-protobuf")], ExportTraceServiceResponse::default().encode_to_vec())
}

fn shown(service: &str, span: Sent) -> Span {
    let status = span.status.unwrap_or_default();
    Span {
        service: service.to_owned(),
        name: span.name,
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        attributes: texts(&span.attributes),
        error: (status.code == StatusCode::Error as i32).then_some(status.message),
        start_ns: span.start_time_unix_nano,
        end_ns: span.end_time_unix_nano,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    attributes.iter().map(|attribute| (attribute.key.clone(), text(attribute.value.as_ref()))).collect()
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}
