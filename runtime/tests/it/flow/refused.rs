//! Rows that a sink refuses, and rejects wherever they go: each once, whatever is cut off and killed, and the others go
//! on.

use std::collections::BTreeSet;
use std::time::Instant;

use mongodb::bson::doc;
use serde_json::{Value, json};

use super::apart::Apart;
use super::crash::run_until;
use super::rig::{PATIENCE, Process, Record, Rig, flights, request, setting};

const REJECTS: &str = "[rejects.kafka]\ntopic = ";

/// What is shown of a message's id.
const ID_CHARS: usize = 9;

fn rejects_to(rig: &mut Rig, table: &str) {
    let topic = format!("{REJECTS}\"{}\"", rig.topic("rejected"));
    rig.edit(&topic, table);
}

/// Stage, code and message of each, sorted.
fn told(rejects: &[Value]) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{value} in {rejects:?}")).to_owned();
    let message = |reject: &Value| match (&reject["original"], &reject["original_bytes"]) {
        (Value::String(original), Value::Null) => match serde_json::from_str::<Value>(original) {
            Ok(flight) => text(&flight["UUID"]).chars().take(ID_CHARS).collect(),
            Err(_) => original.clone(),
        },
        both => panic!("{both:?}"),
    };
    let mut told: Vec<_> =
        rejects.iter().map(|reject| (text(&reject["stage"]), text(&reject["code"]), message(reject))).collect();
    told.sort();
    told
}

fn triples(expected: &[(&str, &str, &str)]) -> Vec<(String, String, String)> {
    expected.iter().map(|(stage, code, id)| ((*stage).into(), (*code).into(), (*id).into())).collect()
}

fn ids(documents: Vec<mongodb::bson::Document>) -> Vec<String> {
    let mut ids: Vec<_> = documents.iter().map(|document| document.get_str("UUID").unwrap().to_owned()).collect();
    ids.sort();
    ids
}

/// A store with rules gets 1,000 rows, of which it refuses three; it is frozen in the middle, and the pipeline is killed
/// again and again.
#[test]
fn what_the_store_refuses_is_a_reject_once_though_it_is_cut_off_and_the_pipeline_is_killed() {
    let mut apart = Apart::new("refused");
    apart.rig.rule_the_store(doc! { "UUID": { "$not": { "$regex": "^bad" } } }, "UUID");
    apart.rig.toml += "\n[batch]\nrows_max = 50\n";
    let mut all = BTreeSet::new();
    let parts = [("a", 400, "bad-1"), ("b", 300, "a-000007"), ("c", 300, "bad-2")].map(|(label, count, bad)| {
        let (mut messages, mut ids) = flights(count, label);
        ids.remove(&format!("{label}-{:06}", 100));
        messages[100] = request(bad, json!({}));
        all.extend(ids);
        messages
    });
    let stored = |apart: &Apart| apart.rig.documents().len();
    apart.rig.produce(&parts[0]);
    let mut process = apart.start();
    apart.rig.await_records("rejected", 1, &mut process);
    run_until(&mut process, || stored(&apart) == 399);
    let mut process = apart.start();
    apart.await_state("store", "in_step", &mut process);
    apart.wire.freeze();
    apart.rig.produce(&parts[1]);
    apart.rig.await_records("response", 700, &mut process);
    apart.await_state("store", "down", &mut process);
    process.kill_nine();
    apart.wire.mend();
    // while it reads the log again
    for target in [400, 500, 650] {
        let mut process = apart.start();
        run_until(&mut process, || stored(&apart) >= target);
    }
    apart.rig.produce(&parts[2]);
    let mut process = apart.start();
    apart.rig.await_records("rejected", 3, &mut process);
    apart.rig.await_records("response", 1_000, &mut process);
    apart.rig.await_stored(all.len(), &mut process);
    apart.await_state("store", "in_step", &mut process);
    let status = apart.status();
    assert_eq!(status["rejects"]["store/document_refused"], 1, "{status}");
    let said = process.drain();
    assert!(said.contains("store/document_refused 1"), "{said}");
    // rows in are rows out and rejects
    assert_eq!(ids(apart.rig.documents()), all.into_iter().collect::<Vec<_>>());
    let expected = [
        ("store", "document_refused", "bad-1"),
        ("store", "document_refused", "bad-2"),
        ("store", "duplicate_key", "a-000007"),
    ];
    let rejects = apart.rig.rejects();
    assert_eq!(told(&rejects), triples(&expected));
    assert!(rejects.iter().all(|reject| reject["time"].is_string() && reject["generation"].is_string()), "{rejects:?}");
    assert_eq!(apart.rig.responses().len(), 1_000);
}

/// What a pipeline refuses everywhere: at the source, in a stage, in a topic and in a store.
const EVERYWHERE: [(&str, &str, &str); 5] = [
    ("distance", "no_match", "nowhere"),
    ("responses", "record_too_large", "large-xxx"),
    ("source", "not_json", "{\"broken\""),
    ("store", "document_refused", "bad-1"),
    ("store", "duplicate_key", "f-000001"),
];
/// Killed again and again, with rejects that `found` finds; the rig's rejects go there already.
fn refused_everywhere(rig: &mut Rig, found: impl Fn(&Rig) -> Vec<Value>) {
    rig.rule_the_store(doc! { "UUID": { "$not": { "$regex": "^bad" } } }, "UUID");
    let (responses, small) = (rig.topic("response"), rig.topic("small"));
    rig.create_topic_of(&small, 2, "5000");
    rig.edit(&responses, &small);
    rig.edit("roll_seconds_max = 60", "roll_seconds_max = 1");
    rig.toml += "\n[batch]\nrows_max = 50\n\n[commit]\nrows_max = 100\n";
    let (mut messages, mut all) = flights(1_000, "f");
    // more than a record of the small topic may have
    let large = format!("large-{}", "x".repeat(5_000));
    let bad = [
        b"{\"broken\"".to_vec(),
        request("nowhere", json!({ "Origin": "jfk" })),
        request("bad-1", json!({})),
        request("f-000001", json!({})),
        request(&large, json!({})),
    ];
    for (n, bad) in bad.into_iter().enumerate() {
        messages.insert(200 * (n + 1), bad);
    }
    rig.produce(&messages);
    all.insert(large);
    for target in [1, 300, 800] {
        let mut process = rig.start();
        run_until(&mut process, || rig.documents().len() >= target);
    }
    let mut process = rig.start();
    rig.await_stored(all.len(), &mut process);
    await_rejects(rig, EVERYWHERE.len(), &found, &mut process);
    // those that were killed may have done it all: it must be there to hear that it is to end
    process.await_word("positions read");
    process.drain();
    assert_eq!(ids(rig.documents()), all.into_iter().collect::<Vec<_>>());
    assert_eq!(told(&found(rig)), triples(&EVERYWHERE));
    // 1,000 flights, and the two that only the store refused
    assert_eq!(rig.records("small").iter().map(Record::json).count(), 1_002);
}

fn await_rejects(rig: &Rig, count: usize, found: impl Fn(&Rig) -> Vec<Value>, process: &mut Process) {
    let deadline = Instant::now() + PATIENCE;
    while found(rig).len() < count {
        process.must_run();
        assert!(Instant::now() < deadline, "{} of {count} rejects; said:\n{}", found(rig).len(), process.said());
    }
}

#[test]
fn rejects_in_a_topic_are_there_once() {
    let mut rig = Rig::new("rejects-kafka", 2);
    refused_everywhere(&mut rig, Rig::rejects);
}

#[test]
fn rejects_in_mongodb_are_there_once() {
    let mut rig = Rig::new("rejects-mongodb", 2);
    let collection = format!("{}-rejected", rig.name);
    let table = format!(
        "[rejects.mongodb]\nuri = \"{}\"\ndatabase = \"agile_data_science\"\ncollection = \"{collection}\"",
        setting("MONGODB_URI")
    );
    rejects_to(&mut rig, &table);
    refused_everywhere(&mut rig, |rig| {
        let found = rig.documents_of(&collection).into_iter();
        found.map(|reject| serde_json::to_value(reject).unwrap()).collect()
    });
}

#[test]
fn rejects_in_hdfs_are_there_once() {
    let mut rig = Rig::new("rejects-hdfs", 2);
    let directory = format!("/millrace-test/{}-rejected", rig.name);
    let table =
        format!("[rejects.hdfs]\nuri = \"{}\"\ndirectory = \"{directory}\"\nroll_seconds_max = 1", setting("HDFS_URI"));
    rejects_to(&mut rig, &table);
    refused_everywhere(&mut rig, |rig| rig.published_below(&directory));
}
