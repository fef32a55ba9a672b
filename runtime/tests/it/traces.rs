//! Messages that are followed, as a collector sees them: on a folder, and on the real services.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::time::Instant;

use serde_json::json;

use crate::collector::{Collector, Span};
use crate::embedded::{Bed, Sent};
use crate::flights::{repository, request};
use crate::flow::Rig;
use crate::flow::free_address;
use crate::process::PATIENCE;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const OTHER: &str = "0af7651916cd43dd8448eb211c80319c";
const SENDER: &str = "00f067aa0ba902b7";

fn traceparent(trace: &str, sampled: bool) -> String {
    format!("00-{trace}-{SENDER}-{:02}", u8::from(sampled))
}

fn followed(message: Vec<u8>, trace: &str) -> Sent {
    (message, Some(traceparent(trace, true)))
}

/// By name; a name is there once.
fn by_name(spans: Vec<Span>) -> BTreeMap<String, Span> {
    let (count, shown) = (spans.len(), format!("{spans:#?}"));
    let spans: BTreeMap<_, _> = spans.into_iter().map(|span| (span.name.clone(), span)).collect();
    assert_eq!(spans.len(), count, "{shown}");
    spans
}

fn names(spans: &BTreeMap<String, Span>) -> Vec<&str> {
    spans.keys().map(String::as_str).collect()
}

/// The trace of a message that went all the way: names, parents, attributes, and what lies in what.
fn assert_whole(spans: &BTreeMap<String, Span>, topic: &str, pipeline: &str, offset: &str) {
    let own = format!("process {topic}");
    let mut expected = vec![
        "commit",
        "decode",
        &own,
        "stage delay",
        "stage distance",
        "stage features",
        "write archive",
        "write store",
    ];
    expected.sort_unstable();
    assert_eq!(names(spans), expected);
    assert_documented(spans);
    let message = &spans[&own];
    assert_eq!((message.trace.as_str(), message.parent.as_str()), (TRACE, SENDER));
    assert_eq!(message.service, "millrace");
    let said = |name: &str| message.attributes[name].as_str();
    assert_eq!([said("millrace.pipeline"), said("messaging.destination.name")], [pipeline, topic]);
    assert_eq!([said("messaging.destination.partition.id"), said("messaging.kafka.offset")], ["0", offset]);
    assert_eq!(said("millrace.generation").len(), 16);
    for (name, span) in spans.iter().filter(|(name, _)| **name != own) {
        assert_eq!((span.trace.as_str(), &span.parent), (TRACE, &message.id), "{name}");
        assert!(message.start_ns <= span.start_ns && span.start_ns <= span.end_ns, "{name}");
        assert!(span.end_ns <= message.end_ns, "{name} ends after its message's own span");
        assert_eq!(span.error, None, "{name}");
    }
    assert_eq!(spans["stage features"].attributes["millrace.stage"], "features");
    assert_eq!(spans["write archive"].attributes["millrace.sink"], "archive");
    // in the order in which things happen
    for pair in ["decode", "stage distance", "stage features", "stage delay", "commit", "write store"].windows(2) {
        assert!(spans[pair[0]].end_ns <= spans[pair[1]].start_ns, "{pair:?}");
    }
}

/// The rows of docs/traces.md that are the pipeline's: names, and the attributes that they may have.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(repository().join("docs/traces.md")).unwrap();
    let rows = text.lines().map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    let rows = rows.filter(|cells| cells.get(2) == Some(&"pipeline"));
    let ticked = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    rows.map(|cells| (cells[1].trim_matches('`').to_owned(), ticked(cells[5]))).collect()
}

fn assert_documented(spans: &BTreeMap<String, Span>) {
    let documented = documented();
    let mut seen = BTreeMap::<String, BTreeSet<String>>::new();
    for (name, span) in spans {
        let kind = name.split(' ').next().unwrap();
        let row = documented.keys().find(|row| row.split(' ').next() == Some(kind));
        let row = row.unwrap_or_else(|| panic!("`{name}` is not in docs/traces.md"));
        seen.entry(row.clone()).or_default().extend(span.attributes.keys().cloned());
    }
    // that of a refusal is in another test
    let without_refusals = documented.into_iter().map(|(name, mut attributes)| {
        attributes.remove("millrace.reject.code");
        (name, attributes)
    });
    assert_eq!(seen, without_refusals.collect());
}

fn assert_carried(headers: &BTreeMap<String, String>, message: &Span) {
    let carried = format!("00-{}-{}-01", message.trace, message.id);
    assert_eq!(headers.get("traceparent"), Some(&carried));
}

#[test]
fn one_message_is_followed_to_three_sinks_and_its_neighbours_are_not() {
    let collector = Collector::start();
    let bed = Bed::new("traced");
    let plain = |id: &str| (request(id, json!({})), None);
    let unsampled = (request("unsampled", json!({})), Some(traceparent(OTHER, false)));
    let garbled = (request("garbled", json!({})), Some("00-1-2-01".to_owned()));
    let traced = followed(request("traced", json!({})), TRACE);
    bed.append(&[plain("before"), unsampled, traced, garbled, plain("after")]);
    let mut process = bed.start(&["--otlp", &collector.url]);
    bed.await_rows(5, &mut process);
    process.drain();
    let spans = by_name(collector.spans());
    assert_whole(&spans, "flight-delay-ml-request", "flight-delay", "2");
    // not when the sink took it, but when its file was there
    let [file] = &bed.published()[..] else { panic!("{:?}", bed.published()) };
    let file = fs::metadata(file).unwrap();
    let published_ns = file.ctime() as u64 * 1_000_000_000 + file.ctime_nsec() as u64;
    assert!(spans["write archive"].end_ns >= published_ns, "{} before {published_ns}", spans["write archive"].end_ns);
    for (value, headers) in bed.records("flight-delay-ml-response") {
        match value["UUID"].as_str() {
            Some("traced") => assert_carried(&headers, &spans["process flight-delay-ml-request"]),
            _ => assert_eq!(headers, BTreeMap::new(), "{value}"),
        }
    }
}

#[test]
fn a_refused_message_has_its_code_and_goes_no_further() {
    let collector = Collector::start();
    let bed = Bed::new("traced-refused");
    let nowhere = request("nowhere", json!({ "Origin": "jfk", "Distance": 1.0 }));
    bed.append(&[followed(b"{\"broken\"".to_vec(), TRACE), followed(nowhere, OTHER)]);
    let mut process = bed.start(&["--otlp", &collector.url]);
    bed.await_records("flight-delay-ml-rejected", 2, &mut process);
    process.drain();
    let (broken, nowhere) = collector.spans().into_iter().partition(|span: &Span| span.trace == TRACE);
    let (broken, nowhere) = (by_name(broken), by_name(nowhere));
    let own = "process flight-delay-ml-request";
    assert_eq!(names(&broken), ["commit", "decode", own]);
    assert_eq!(names(&nowhere), ["commit", "decode", own, "stage distance", "stage features"]);
    for (span, code) in [
        (&broken["decode"], Some("not_json")),
        (&broken[own], Some("not_json")),
        (&nowhere["stage distance"], None),
        (&nowhere["stage features"], Some("bad_origin")),
        (&nowhere[own], Some("bad_origin")),
    ] {
        assert_eq!(span.attributes.get("millrace.reject.code").map(String::as_str), code, "{}", span.name);
        assert_eq!(span.error.is_some(), code.is_some(), "{}", span.name);
    }
    assert!(nowhere[own].error.as_ref().is_some_and(|reason| reason.contains("jfk")), "{:?}", nowhere[own]);
    let records = bed.records("flight-delay-ml-rejected");
    assert_carried(&records[0].1, &broken[own]);
    assert_carried(&records[1].1, &nowhere[own]);
}

#[test]
fn a_message_that_is_read_again_has_spans_of_what_is_done_again() {
    let collector = Collector::start();
    let mut bed = Bed::new("traced-again");
    bed.append(&[followed(request("traced", json!({})), TRACE)]);
    let mut process = bed.start(&[]);
    let deadline = Instant::now() + PATIENCE;
    while bed.documents().is_empty() {
        process.must_run();
        assert!(Instant::now() < deadline, "said:\n{}", process.said());
    }
    // committed and in the collection, and not yet in the directory
    process.kill_nine();
    // one that is new comes in the same batch
    bed.append(&[followed(request("new", json!({})), OTHER)]);
    bed.toml = bed.toml.replace("roll_seconds_max = 60", "roll_seconds_max = 1");
    let mut process = bed.start(&["--otlp", &collector.url]);
    bed.await_stored(2, &mut process);
    process.drain();
    let (again, new) = collector.spans().into_iter().partition(|span: &Span| span.trace == TRACE);
    let (again, new) = (by_name(again), by_name(new));
    let own = "process flight-delay-ml-request";
    assert_eq!([&again, &new].map(|spans| spans.contains_key("commit")), [false, true]);
    assert_eq!([&again, &new].map(|spans| spans.contains_key("write store")), [false, true]);
    assert_eq!(names(&again), ["decode", own, "stage delay", "stage distance", "stage features", "write archive"]);
}

#[test]
fn a_writer_that_fails_leaves_no_write_that_looks_done() {
    let collector = Collector::start();
    let mut bed = Bed::new("traced-fenced");
    bed.toml = bed.toml.replace("roll_seconds_max = 60", "roll_seconds_max = 2");
    let mut process = bed.start(&["--otlp", &collector.url]);
    process.await_word("sink is in step sink=archive");
    bed.fence_archive();
    bed.append(&[followed(request("traced", json!({})), TRACE)]);
    process.await_word("sink is down");
    bed.await_stored(1, &mut process);
    process.drain();
    let spans = collector.spans();
    let named = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    let each = ["commit", "write store", "write archive", "process flight-delay-ml-request"];
    assert_eq!(each.map(|name| named(name).len()), [1, 1, 2, 2], "{spans:#?}");
    let errors: Vec<_> = named("write archive").iter().map(|span| span.error.is_some()).collect();
    assert_eq!(errors, [true, false], "{spans:#?}");
}

#[test]
fn without_a_collector_nothing_is_followed() {
    let bed = Bed::new("untraced");
    bed.append(&[followed(request("one", json!({})), TRACE)]);
    let mut process = bed.start(&[]);
    bed.await_rows(1, &mut process);
    let said = process.drain();
    assert_eq!(bed.records("flight-delay-ml-response")[0].1, BTreeMap::new());
    assert!(!said.contains("spans"), "{said}");
}

#[test]
fn a_collector_that_is_away_or_silent_costs_the_spans_and_nothing_else() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for (name, address) in [("away", free_address()), ("silent", silent.local_addr().unwrap().to_string())] {
        let bed = Bed::new(&format!("traced-{name}"));
        let messages: Vec<_> = (0..50).map(|n| followed(request(&n.to_string(), json!({})), TRACE)).collect();
        bed.append(&messages);
        let mut process = bed.start(&["--otlp", &format!("http://{address}")]);
        bed.await_rows(50, &mut process);
        let said = process.drain();
        assert!(said.contains("50 messages"), "{said}");
        // eight of each message
        assert!(said.contains("spans were dropped"), "{said}");
        let in_all = said.rsplit("in_all=").next().and_then(|rest| rest.split_whitespace().next());
        assert_eq!(in_all, Some("400"), "{said}");
        assert!(!said.contains("not running"), "{said}");
    }
}

#[test]
fn an_address_that_is_no_collectors_is_said_before_anything_runs() {
    let bed = Bed::new("traced-wrong");
    let (code, said) = bed.start(&["--otlp", "https://collector:4318"]).wait();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("--otlp") && said.contains("http://localhost:4318"), "{said}");
}

#[test]
fn on_real_services_one_message_is_followed_to_three_sinks() {
    let collector = Collector::start();
    let mut rig = Rig::new("traced", 1);
    rig.edit("roll_seconds_max = 60", "roll_seconds_max = 1");
    rig.env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url);
    rig.produce(&[request("before", json!({}))]);
    rig.produce_traced(&request("traced", json!({})), &traceparent(TRACE, true));
    // whatever the pipeline's own sampler says, what its sender does not follow is not followed
    rig.env("OTEL_TRACES_SAMPLER", "always_on");
    rig.produce_traced(&request("unsampled", json!({})), &traceparent(OTHER, false));
    let mut process = rig.start();
    rig.await_records("response", 3, &mut process);
    rig.await_stored(3, &mut process);
    // it does not take the end of the process
    collector.await_span(&format!("process {}", rig.topic("request")));
    process.drain();
    let spans = by_name(collector.spans());
    assert_whole(&spans, &rig.topic("request"), &rig.name, "1");
    for record in rig.records("response") {
        match record.json()["UUID"].as_str() {
            Some("traced") => assert_carried(&record.headers, &spans[&format!("process {}", rig.topic("request"))]),
            _ => assert_eq!(record.headers, BTreeMap::new()),
        }
    }
}
