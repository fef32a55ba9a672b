//! `/metrics` for Prometheus, `/status` for people and pages, `/healthz` and `/readyz` for whoever starts and stops it.
//!
//! Invariant: answers from memory; whatever is asked of it, the pipeline goes on.

use std::future::Future;
use std::io;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use super::Metrics;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const JSON: &str = "application/json";

/// Until `end`.
pub async fn serve(
    listener: TcpListener,
    metrics: Arc<Metrics>,
    end: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let routes = Router::new()
        .route("/metrics", get(figures))
        .route("/status", get(status))
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .fallback(elsewhere)
        .with_state(metrics);
    axum::serve(listener, routes).with_graceful_shutdown(end).await
}

async fn figures(State(metrics): State<Arc<Metrics>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, OPEN_METRICS)], metrics.text())
}

async fn status(State(metrics): State<Arc<Metrics>>) -> Response {
    match serde_json::to_string(&metrics.status.report()) {
        Ok(report) => ([(header::CONTENT_TYPE, JSON)], report + "\n").into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn elsewhere() -> impl IntoResponse {
    (StatusCode::NOT_FOUND, "nothing is here: this answers /status, /metrics, /healthz and /readyz\n")
}

async fn ready(State(metrics): State<Arc<Metrics>>) -> Response {
    match metrics.status.is_ready() {
        true => "ready\n".into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready: see /status\n").into_response(),
    }
}
