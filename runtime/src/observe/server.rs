//! `/metrics` for Prometheus, `/status` for people and pages, `/healthz` and `/readyz` for whoever starts and stops it.
//!
//! Invariant: answers from memory; whatever is asked of it, the pipeline goes on.

use std::future::Future;
use std::io;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use tokio::net::TcpListener;

use super::Metrics;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

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
        .with_state(metrics);
    axum::serve(listener, routes).with_graceful_shutdown(end).await
}

async fn figures(State(metrics): State<Arc<Metrics>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, OPEN_METRICS)], metrics.text())
}

async fn status(State(metrics): State<Arc<Metrics>>) -> impl IntoResponse {
    Json(metrics.status.report())
}

async fn ready(State(metrics): State<Arc<Metrics>>) -> Response {
    match metrics.status.is_ready() {
        true => "ready\n".into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready: see /status\n").into_response(),
    }
}
