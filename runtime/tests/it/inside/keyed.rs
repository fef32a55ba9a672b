//! A document a key: the pipeline asks twice for one flight, and the first answer stays, or the last one does.

use std::time::Instant;

use serde_json::{Value, json};

use super::stand::{Stand, json_lines};
use crate::flights::request;
use crate::process::PATIENCE;

/// The same flight is asked for twice, another one in between; `delay`: of the one that stays.
fn one_document_a_flight(mut stand: Stand, write: &str, delay: f64, rejected: &[(i64, &str, &str)]) {
    let table = "[sinks.store.mongodb]";
    stand.edit(table, &format!("{table}\nwrite = \"{write}\"\nkey = \"UUID\""));
    let asked = |uuid, delay: f64| request(uuid, json!({ "DepDelay": delay }));
    stand.produce(&[asked("twice", 1.0), asked("once", 2.0), asked("twice", 90.0)]);
    let (mut process, deadline) = (stand.start(), Instant::now() + PATIENCE);
    let delays = |stand: &Stand| stand.documents().iter().map(|it| it["DepDelay"].as_f64()).collect::<Vec<_>>();
    let rejects = |stand: &Stand| {
        let consumed = stand.on_topic("consume", "rejected", &[]).output().unwrap();
        json_lines(&String::from_utf8(consumed.stdout).unwrap())
    };
    while delays(&stand) != [Some(2.0), Some(delay)] || rejects(&stand).len() < rejected.len() {
        process.must_run();
        assert!(Instant::now() < deadline, "{:?}; said:\n{}", stand.documents(), process.said());
    }
    process.drain();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let found: Vec<_> = rejects(&stand)
        .iter()
        .map(|it| (it["offset"].as_i64().unwrap(), text(&it["stage"]), text(&it["code"])))
        .collect();
    assert_eq!(found.iter().map(|(at, stage, code)| (*at, &**stage, &**code)).collect::<Vec<_>>(), rejected);
    let there = |offset: i64| {
        let explained = stand.explain(&format!("0:{offset}"));
        let sinks = explained["sinks"].as_array().unwrap();
        sinks.iter().find(|sink| sink["sink"] == "store").unwrap()["state"] == "there"
    };
    let stays = if write == "key" { [true, true, false] } else { [false, true, true] };
    assert_eq!([0, 1, 2].map(there), stays);
}

const REFUSED: &[(i64, &str, &str)] = &[(2, "store", "duplicate_key")];

#[test]
fn the_first_answer_stays_in_mongodb() {
    one_document_a_flight(Stand::services("keyedfirst"), "key", 1.0, REFUSED);
}

#[test]
fn the_first_answer_stays_in_documents() {
    one_document_a_flight(Stand::embedded("keyed-first"), "key", 1.0, REFUSED);
}

#[test]
fn the_last_answer_stays_in_mongodb() {
    one_document_a_flight(Stand::services("keyedlast"), "replace", 90.0, &[]);
}

#[test]
fn the_last_answer_stays_in_documents() {
    one_document_a_flight(Stand::embedded("keyed-last"), "replace", 90.0, &[]);
}
