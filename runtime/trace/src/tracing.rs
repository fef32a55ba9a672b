//! From a span that ended to the collector: a bounded queue, a thread of the SDK's, an OTLP request.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracer, SdkTracerProvider, Span, SpanData, SpanExporter, SpanProcessor,
};
use tokio::runtime::Handle;

use crate::client::Client;
use crate::tally::{SPANS_WAITING_MAX, Tally};

/// Of one request, and of all that are made for one batch of spans.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);
/// What a program that ends waits for its last spans to be taken.
const FINISH_TIMEOUT: Duration = Duration::from_secs(5);
/// Where a collector takes traces, below its base address.
const PATH: &str = "/v1/traces";

pub struct Tracing {
    provider: SdkTracerProvider,
    tally: Arc<Tally>,
}

impl Tracing {
    /// Connects to nothing yet. `url`: the collector's base address; `service`: what the program is called in traces,
    /// unless OTEL_SERVICE_NAME says otherwise. Requests are made on `handle`.
    pub fn start(url: &str, service: &str, version: &str, handle: Handle) -> Result<Tracing, String> {
        let tally = Arc::new(Tally::default());
        let client = Client { handle, timeout: EXPORT_TIMEOUT };
        let inner = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(EXPORT_TIMEOUT)
            .with_endpoint(endpoint(url)?)
            .build()
            .map_err(|error| format!("traces to {url}: {error}"))?;
        let exporter = Counting { inner, tally: tally.clone() };
        let config = BatchConfigBuilder::default().with_max_queue_size(SPANS_WAITING_MAX).build();
        let inner = BatchSpanProcessor::builder(exporter).with_batch_config(config).build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(Bounded { inner, tally: tally.clone() })
            .with_resource(resource(service, version))
            .build();
        Ok(Tracing { provider, tally })
    }

    pub fn tracer(&self) -> SdkTracer {
        self.provider.tracer("millrace")
    }

    pub fn tally(&self) -> Arc<Tally> {
        self.tally.clone()
    }

    /// Sends what waits, for a bounded time. Blocks; the runtime that it was started on must still run.
    pub fn finish(&self) {
        if let Err(error) = self.provider.shutdown_with_timeout(FINISH_TIMEOUT) {
            tracing::debug!(%error, "the last spans");
        }
        self.tally.conclude();
    }
}

/// A value of an option: what [`Tracing::start`] takes. Empty is none.
pub fn collector(url: &str) -> Result<String, String> {
    if url.is_empty() { Ok(String::new()) } else { endpoint(url).map(|_| url.to_owned()) }
}

fn endpoint(url: &str) -> Result<String, String> {
    let base = url.trim().trim_end_matches('/');
    match base.strip_prefix("http://") {
        Some(host) if !host.is_empty() => Ok(format!("{base}{PATH}")),
        _ => Err("give the base address of an OTLP collector that takes HTTP, as http://localhost:4318. TLS is a \
                  collector's work: run one beside this program"
            .into()),
    }
}

fn resource(service: &str, version: &str) -> Resource {
    let said = std::env::var("OTEL_SERVICE_NAME").is_ok_and(|name| !name.is_empty())
        || std::env::var("OTEL_RESOURCE_ATTRIBUTES").is_ok_and(|text| text.contains("service.name="));
    let resource = Resource::builder().with_attribute(KeyValue::new("service.version", version.to_owned()));
    if said { resource.build() } else { resource.with_service_name(service.to_owned()).build() }
}

/// Takes a span only if there is room: the SDK's own queue, which drops without a count, is never full then.
#[derive(Debug)]
struct Bounded {
    inner: BatchSpanProcessor,
    tally: Arc<Tally>,
}

impl SpanProcessor for Bounded {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        match self.tally.waits() {
            true => self.inner.on_end(span),
            false => self.tally.drop_spans(1, format_args!("{SPANS_WAITING_MAX} wait for the collector already")),
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

#[derive(Debug)]
struct Counting {
    inner: opentelemetry_otlp::SpanExporter,
    tally: Arc<Tally>,
}

impl SpanExporter for Counting {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let exported = self.inner.export(batch).await;
        self.tally.leaves(spans);
        match &exported {
            Ok(()) => self.tally.takes(spans),
            Err(error) => self.tally.drop_spans(spans, error),
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::Tracer;

    use super::*;

    #[test]
    fn beyond_the_room_spans_are_dropped_and_counted() {
        // takes connections, and never answers
        let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", silent.local_addr().expect("its address"));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let tracing = Tracing::start(&url, "test", "0", runtime.handle().clone()).expect("an address");
        let (tracer, tally) = (tracing.tracer(), tracing.tally());
        (0..SPANS_WAITING_MAX + 7).for_each(|_| drop(tracer.start("span")));
        assert_eq!((tally.dropped(), tally.exported()), (7, 0));
        drop(silent);
        tracing.finish();
        assert_eq!(tally.dropped(), SPANS_WAITING_MAX as u64 + 7);
    }

    #[test]
    fn a_collector_is_named_by_its_base_address() {
        assert_eq!(endpoint("http://localhost:4318").as_deref(), Ok("http://localhost:4318/v1/traces"));
        assert_eq!(endpoint("http://collector/otlp/ ").as_deref(), Ok("http://collector/otlp/v1/traces"));
        for wrong in ["", "localhost:4318", "https://collector", "http://"] {
            assert!(endpoint(wrong).is_err_and(|said| said.contains("http://localhost:4318")), "{wrong}");
        }
    }
}
