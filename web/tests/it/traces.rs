//! Flights that are followed, as a collector sees them; and what the pipeline is told of the trace.

use std::collections::BTreeMap;

use crate::collector::{Collector, Span};
use crate::embedded::Pipeline;
use crate::http;
use crate::rig::{CLASSIFY, FORM, Rig, Web, events_path, prediction};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SENDER: &str = "00f067aa0ba902b7";

/// Sends a flight within a trace, and returns its id.
async fn send(web: &Web, traceparent: &str) -> String {
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("traceparent", traceparent)];
    let answer = http::post_with(web.address, CLASSIFY, &headers, FORM).await;
    assert_eq!(answer.code, 200, "{}", answer.text);
    answer.json()["id"].as_str().expect("an id").to_owned()
}

fn sender(sampled: bool) -> String {
    format!("00-{TRACE}-{SENDER}-{:02}", u8::from(sampled))
}

/// The flight's own span, and that of its way into the topic.
fn two(mut spans: Vec<Span>, topic: &str) -> [Span; 2] {
    spans.sort_by(|a, b| a.name.cmp(&b.name));
    let names: Vec<_> = spans.iter().map(|span| span.name.clone()).collect();
    assert_eq!(names, [format!("POST {CLASSIFY}"), format!("send {topic}")]);
    let [flight, sending]: [Span; 2] = spans.try_into().expect("two spans");
    assert_eq!((&sending.trace, &sending.parent), (&flight.trace, &flight.id));
    assert_eq!([&flight.service, &sending.service], ["millrace-web"; 2]);
    assert!(flight.start_ns <= sending.start_ns && sending.end_ns <= flight.end_ns, "one in the other");
    [flight, sending]
}

fn carried(sending: &Span) -> BTreeMap<String, String> {
    BTreeMap::from([("traceparent".to_owned(), format!("00-{}-{}-01", sending.trace, sending.id))])
}

fn said<'a>(span: &'a Span, name: &str) -> Option<&'a str> {
    span.attributes.get(name).map(String::as_str)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flight_is_followed_from_its_sender_to_its_answer() {
    let collector = Collector::start();
    let mut rig = Rig::new("traced").await;
    rig.flag("otlp", &collector.url);
    let web = rig.web().await;
    let id = send(&web, &sender(true)).await;
    let headers = rig.next_headers();
    let mut listening = web.events(&id).await;
    rig.answer(&id, 2).await;
    assert!(listening.next().await.is_some());
    web.stop().await;
    let [flight, sending] = two(collector.spans(), &rig.topic("request"));
    assert_eq!((flight.trace.as_str(), flight.parent.as_str()), (TRACE, SENDER));
    assert_eq!((said(&flight, "millrace.flight.id"), said(&flight, "http.route")), (Some(&*id), Some(CLASSIFY)));
    assert_eq!((said(&flight, "millrace.outcome"), flight.error.as_deref()), (Some("answered"), None));
    assert_eq!(headers, carried(&sending));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_flight_begins_a_trace_of_its_own_and_has_its_code() {
    let collector = Collector::start();
    let mut rig = Rig::new("traced-refused").await;
    rig.flag("otlp", &collector.url);
    let web = rig.web().await;
    let id = web.send().await;
    let mut listening = web.events(&id).await;
    rig.reject(&id).await;
    assert_eq!(listening.next().await.expect("an event").event, "rejected");
    web.stop().await;
    let [flight, sending] = two(collector.spans(), &rig.topic("request"));
    assert_eq!(flight.parent, "");
    assert_eq!(said(&flight, "millrace.outcome"), Some("rejected"));
    assert_eq!(said(&flight, "millrace.stage"), Some("features"));
    assert_eq!(said(&flight, "millrace.reject.code"), Some("no_distance"));
    assert!(flight.error.is_some_and(|reason| reason.contains("JFK")), "its reason");
    assert_eq!(rig.next_headers(), carried(&sending));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_is_not_sampled_is_not_followed() {
    let collector = Collector::start();
    let mut rig = Rig::new("unsampled").await;
    rig.flag("otlp", &collector.url);
    let web = rig.web().await;
    send(&web, &sender(false)).await;
    web.stop().await;
    assert_eq!(rig.next_headers(), BTreeMap::new());
    assert!(collector.spans().is_empty(), "{:#?}", collector.spans());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_collector_the_pipeline_is_told_of_no_trace() {
    let rig = Rig::new("untraced").await;
    let web = rig.web().await;
    send(&web, &sender(true)).await;
    web.stop().await;
    assert_eq!(rig.next_headers(), BTreeMap::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flight_that_the_log_did_not_take_is_an_error() {
    let collector = Collector::start();
    let mut rig = Rig::new("traced-lost").await;
    rig.flag("brokers", "127.0.0.1:1");
    rig.flag("otlp", &collector.url);
    let web = rig.web().await;
    assert_eq!(http::post(web.address, CLASSIFY, FORM).await.code, 503);
    web.stop().await;
    for span in two(collector.spans(), &rig.topic("request")) {
        assert!(span.error.is_some_and(|cause| cause.contains(&rig.topic("request"))), "{}", span.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_folder_a_flight_is_followed_as_well() {
    let collector = Collector::start();
    let mut pipeline = Pipeline::new("traced-folder").await;
    pipeline.rig.flag("otlp", &collector.url);
    let web = pipeline.rig.web().await;
    let id = send(&web, &sender(true)).await;
    let headers = pipeline.headers();
    let mut listening = http::events(web.address, &events_path(&id), None).await;
    pipeline.write("response", &prediction(&id, 2), None);
    assert!(listening.next().await.is_some());
    // it does not take the end of the module
    collector.await_span(&format!("POST {CLASSIFY}"));
    web.stop().await;
    let [flight, sending] = two(collector.spans(), &pipeline.rig.topic("request"));
    assert_eq!((flight.parent.as_str(), said(&flight, "millrace.outcome")), (SENDER, Some("answered")));
    assert_eq!(headers, carried(&sending));
}
