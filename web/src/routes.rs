//! The routes, word for word those of the front that this one replaces, so that its pages and scripts go on working.
//!
//! Invariants: every answer says in words what is wrong, where something is; every request ends within a bounded time,
//! but for event streams, which are bounded in number. Knows topics, documents and pipelines through [`Answers`],
//! [`Store`], [`Pipelines`] and [`Cluster`].

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::rejection::FormRejection;
use axum::extract::{DefaultBodyLimit, Form, Path, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER};
use axum::http::header::{HeaderMap, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use axum::http::{StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Json, Redirect, Response};
use axum::routing::{get, post};
use futures::stream::{self, Stream, StreamExt};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;
use uuid::Uuid;

use crate::answers::{Answers, Known, Listener, Outcome, Rejection, Verdict};
use crate::cluster::Cluster;
use crate::flight::{Flight, Typed};
use crate::follow::Reading;
use crate::page;
use crate::pipeline::Pipelines;
use crate::requests::Requests;
use crate::store::Store;
use crate::trace::Tracer;

pub const PAGE: &str = "/flights/delays/predict_kafka";
pub const CLASSIFY: &str = "/flights/delays/predict/classify_realtime";
pub const RESPONSE: &str = "/flights/delays/predict/classify_realtime/response/{id}";
pub const EVENTS: &str = "/flights/delays/predict/kafka_event_stream/{id}";
pub const HEALTH: &str = "/healthz";
pub const PIPELINE: &str = "/flights/delays/pipeline";
pub const CLUSTER: &str = "/cluster";
pub const CLUSTER_STATUS: &str = "/cluster/status";

const FORM_BYTES_MAX: usize = 16 << 10;
/// Of everything but the events of an open stream.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a question about an unknown flight waits for the topics to be read at start.
const START_WAIT: Duration = Duration::from_secs(5);
/// Shorter than what proxies cut off.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
                      object-src 'none'";

pub struct App {
    pub page: String,
    pub cluster_page: String,
    pub pipelines: Pipelines,
    pub answers: Arc<Answers>,
    pub requests: Requests,
    pub store: Store,
    pub tracer: Tracer,
    /// Of each topic, by name.
    pub topics: Vec<(String, watch::Receiver<Reading>)>,
    pub cluster: Arc<Cluster>,
    /// The topic that it is told by.
    pub workers: (String, watch::Receiver<Reading>),
    pub streams: Arc<Semaphore>,
    /// Becomes true when the process is to end.
    pub ending: watch::Receiver<bool>,
}

type Shared = State<Arc<App>>;

pub fn router(app: App) -> Router {
    Router::new()
        .route("/", get(|| async { Redirect::temporary(PAGE) }))
        .route(PAGE, get(|State(app): Shared| async move { Html(app.page.clone()) }))
        .route(CLUSTER, get(|State(app): Shared| async move { Html(app.cluster_page.clone()) }))
        .route("/assets/style.css", get(asset("text/css; charset=utf-8", page::STYLE)))
        .route("/assets/script.js", get(asset(JAVASCRIPT, page::SCRIPT)))
        .route("/assets/pipeline.js", get(asset(JAVASCRIPT, page::PIPELINE)))
        .route("/assets/cluster.css", get(asset("text/css; charset=utf-8", page::CLUSTER_STYLE)))
        .route("/assets/cluster.js", get(asset(JAVASCRIPT, page::CLUSTER_SCRIPT)))
        .route("/assets/words.js", get(asset(JAVASCRIPT, page::WORDS)))
        .route("/assets/elements.js", get(asset(JAVASCRIPT, page::ELEMENTS)))
        .route("/assets/icon.svg", get(asset("image/svg+xml", page::ICON)))
        .route(HEALTH, get(health))
        .route(PIPELINE, get(pipeline))
        .route(CLUSTER_STATUS, get(cluster))
        .route(CLASSIFY, post(classify).layer(DefaultBodyLimit::max(FORM_BYTES_MAX)))
        .route(RESPONSE, get(response))
        .route(EVENTS, get(events))
        .fallback(no_such_page)
        .layer(middleware::from_fn(bounded))
        .layer(middleware::map_response(guarded))
        .with_state(Arc::new(app))
}

fn asset(kind: &'static str, text: &'static str) -> impl Clone + Fn() -> std::future::Ready<Response> {
    move || std::future::ready(([(CONTENT_TYPE, kind)], text).into_response())
}

/// Only the events of a stream come after its response, so they are not cut off.
async fn bounded(request: Request, next: Next) -> Response {
    let late = |_| failed(StatusCode::SERVICE_UNAVAILABLE, "FAILED", "This took too long. Try again.");
    timeout(REQUEST_TIMEOUT, next.run(request)).await.unwrap_or_else(late)
}

async fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    // what is shown now may be otherwise in a moment, and assets change with the binary
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

async fn no_such_page(uri: Uri) -> Response {
    failed(StatusCode::NOT_FOUND, "UNKNOWN", &format!("There is no page at {}. The form is at {PAGE}.", uri.path()))
}

/// Ready once what was in the topics at start is known.
async fn health(State(app): Shared) -> Response {
    let topics: serde_json::Map<_, _> =
        app.topics.iter().map(|(name, reading)| (name.clone(), json!(*reading.borrow()))).collect();
    let (code, status) =
        if app.is_read() { (StatusCode::OK, "READY") } else { (StatusCode::SERVICE_UNAVAILABLE, "STARTING") };
    (code, Json(json!({ "status": status, "topics": topics }))).into_response()
}

/// How the pipeline is, as far as it can be asked.
async fn pipeline(State(app): Shared) -> Response {
    let text = app.pipelines.look().await;
    ([(CONTENT_TYPE, "application/json")], text.to_string()).into_response()
}

/// Who works, as far as they say so themselves.
async fn cluster(State(app): Shared) -> Response {
    let (topic, reading) = &app.workers;
    Json(json!({ "topic": topic, "reading": *reading.borrow(), "applications": app.cluster.look() })).into_response()
}

async fn classify(State(app): Shared, headers: HeaderMap, typed: Result<Form<Typed>, FormRejection>) -> Response {
    let Form(typed) = match typed {
        Ok(typed) => typed,
        Err(fault) => return invalid(fault.status(), json!({}), &fault.body_text()),
    };
    let flight = match Flight::check(&typed) {
        Ok(flight) => flight,
        Err(faults) => return invalid(StatusCode::UNPROCESSABLE_ENTITY, json!(faults), "Some fields are wrong."),
    };
    let id = Uuid::new_v4().to_string();
    match app.send(&headers, &id, &flight).await {
        Ok(()) => Json(json!({ "status": "OK", "id": id })).into_response(),
        Err(cause) => {
            tracing::warn!(%cause, "a flight was not taken");
            let sorry = "Kafka did not confirm that it has the flight, so nothing is promised. Send it again.";
            failed(StatusCode::SERVICE_UNAVAILABLE, "FAILED", sorry)
        }
    }
}

/// A stored document has the last word: a refused flight can be sent again.
async fn response(State(app): Shared, Path(id): Path<String>) -> Response {
    let found = app.store.find(&id).await;
    if let Ok(Some(prediction)) = found {
        return Json(json!({ "status": "OK", "id": id, "prediction": prediction })).into_response();
    }
    let known = app.look_when_read(&id).await;
    if let Some(Known::Done(outcome)) = &known
        && let Verdict::Rejected(Rejection { stage, code, reason }) = &outcome.verdict
    {
        let told = json!({ "status": "REJECTED", "id": id, "stage": stage, "code": code, "reason": reason });
        return Json(told).into_response();
    }
    if let Err(cause) = found {
        tracing::warn!(%cause, "a prediction could not be looked up");
        let sorry = "MongoDB does not answer. Ask again in a moment.";
        return failed(StatusCode::SERVICE_UNAVAILABLE, "FAILED", sorry);
    }
    match known {
        Some(_) => Json(json!({ "status": "WAIT", "id": id })).into_response(),
        None => app.unknown(&id),
    }
}

async fn events(State(app): Shared, Path(id): Path<String>, headers: HeaderMap) -> Response {
    app.look_when_read(&id).await;
    let Some(listener) = app.answers.listen(&id) else { return app.unknown(&id) };
    let Ok(permit) = app.streams.clone().try_acquire_owned() else {
        let full = "Too many pages listen at the moment. Try again in a moment.";
        return failed(StatusCode::SERVICE_UNAVAILABLE, "FAILED", full);
    };
    if is_last_event(&headers, &listener) {
        // the browser has it: this is what makes an EventSource stop
        return StatusCode::NO_CONTENT.into_response();
    }
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    Sse::new(one_event(listener, app.ending.clone(), permit)).keep_alive(keep_alive).into_response()
}

fn is_last_event(headers: &HeaderMap, listener: &Listener) -> bool {
    let seen = headers.get("last-event-id").map(HeaderValue::as_bytes);
    listener.borrow().as_ref().is_some_and(|outcome| seen == Some(outcome.event_id.as_bytes()))
}

/// Ends after the event, and without one when the flight is forgotten or the process ends.
fn one_event(
    mut listener: Listener,
    mut ending: watch::Receiver<bool>,
    permit: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let first = async move {
        let _open = permit;
        let outcome = tokio::select! {
            heard = listener.wait_for(Option::is_some) => heard.ok()?.clone(),
            _ = ending.wait_for(|ending| *ending) => None,
        };
        outcome.map(|outcome| Ok(event(&outcome)))
    };
    stream::once(first).filter_map(std::future::ready)
}

fn event(outcome: &Outcome) -> Event {
    let event = Event::default().id(&outcome.event_id);
    match &outcome.verdict {
        // line breaks of JSON are between its values, never in them
        Verdict::Answered(value) => event.data(value.replace(['\r', '\n'], " ")),
        Verdict::Rejected(rejection) => event.event("rejected").data(json!(rejection).to_string()),
    }
}

impl App {
    async fn send(&self, headers: &HeaderMap, id: &str, flight: &Flight) -> crate::error::Result<()> {
        let failed = |cause| crate::error::Error::new("the request as JSON").caused_by(cause);
        let request = flight.request(id, SystemTime::now()).map_err(failed)?;
        let Some((followed, sending)) = self.tracer.begin(CLASSIFY, headers, id) else {
            self.requests.send(id, &request, &[]).await?;
            self.answers.expect(id);
            return Ok(());
        };
        let sent = self.requests.send(id, &request, &sending.headers).await;
        match &sent {
            Ok(()) => self.answers.follow(id, followed),
            Err(cause) => {
                sending.failed(cause);
                followed.failed(cause);
            }
        }
        sent
    }

    fn is_read(&self) -> bool {
        self.topics.iter().all(|(_, reading)| reading.borrow().is_known())
    }

    /// Before the topics are read, not to know a flight means nothing: that is waited for, within bounds.
    async fn look_when_read(&self, id: &str) -> Option<Known> {
        if self.answers.look(id).is_none() {
            let read = async {
                for (_, reading) in &self.topics {
                    let _ = reading.clone().wait_for(|reading| reading.is_known()).await;
                }
            };
            let _ = timeout(START_WAIT, read).await;
        }
        self.answers.look(id)
    }

    fn unknown(&self, id: &str) -> Response {
        if !self.is_read() {
            let reason = "The topics are not read yet, so nothing is known of this flight. Ask again in a moment.";
            return failed(StatusCode::SERVICE_UNAVAILABLE, "FAILED", reason);
        }
        let reason = "No flight with this id is known: it was never sent, or too long ago.";
        (StatusCode::NOT_FOUND, Json(json!({ "status": "UNKNOWN", "id": id, "reason": reason }))).into_response()
    }
}

fn invalid(code: StatusCode, errors: serde_json::Value, reason: &str) -> Response {
    (code, Json(json!({ "status": "INVALID", "errors": errors, "reason": reason }))).into_response()
}

fn failed(code: StatusCode, status: &str, reason: &str) -> Response {
    let mut response = (code, Json(json!({ "status": status, "reason": reason }))).into_response();
    if code == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("2"));
    }
    response
}
