//! `millrace explain`: one message, from the log to every sink.

use std::collections::BTreeMap;
use std::time::Instant;

use mongodb::bson::doc;
use serde_json::{Value, json};

use super::stand::{Stand, bad, collection, directory, good};
use crate::flights::{flights, request};
use crate::flow::rig::setting;
use crate::process::PATIENCE;

/// The state of each sink, and of the rejects.
fn states(explained: &Value) -> BTreeMap<&str, &str> {
    let sinks = explained["sinks"].as_array().unwrap().iter().chain([&explained["rejects"]]);
    sinks.map(|sink| (sink["sink"].as_str().unwrap(), sink["state"].as_str().unwrap())).collect()
}

fn sink<'a>(explained: &'a Value, name: &str) -> &'a Value {
    explained["sinks"].as_array().unwrap().iter().find(|sink| sink["sink"] == name).unwrap()
}

fn all<'a>(state: &'a str, rejects: &'a str) -> BTreeMap<&'a str, &'a str> {
    BTreeMap::from([("responses", state), ("store", state), ("archive", state), ("rejects", rejects)])
}

fn from_the_log_to_every_sink(mut stand: Stand) {
    stand.edit("roll_seconds_max = 60", "roll_seconds_max = 1");
    let (mut messages, ids) = flights(20, "e");
    messages.insert(7, b"{\"UUID\":\"broken\"".to_vec());
    messages.push(request("nowhere", json!({ "Origin": "jfk" })));
    stand.produce(&messages);
    let before = stand.explain("e-000003");
    assert_eq!(states(&before), all("not_yet", "not_yet"));
    assert_eq!(before["owner"]["state"], "not_yet");
    assert!(before["stages"][3]["rows"][0]["Prediction"].is_number(), "what it will be is known: {before}");

    let mut process = stand.start();
    stand.await_stored(ids.len(), &mut process);
    let answer = stand.responses().into_iter().find(|row| row["UUID"] == "e-000010").unwrap();
    let explained = stand.explain("e-000010");
    assert_eq!(states(&explained), all("there", "nothing"));
    let message = &explained["message"];
    assert_eq!((&message["partition"], &message["offset"]), (&json!(0), &json!(11)));
    assert!(message["value"].as_str().unwrap().contains("e-000010"), "{message}");
    assert_eq!(explained["owner"]["generation"], answer["Generation"]);
    assert_eq!(explained["generation"], answer["Generation"]);
    let stages: Vec<_> = explained["stages"].as_array().unwrap().iter().map(|stage| &stage["stage"]).collect();
    assert_eq!(stages, ["source", "distance", "features", "delay"]);
    assert_eq!(explained["stages"][2]["rows"][0]["Route"], answer["Route"]);
    assert_eq!(explained["stages"][3]["rows"][0]["Prediction"], answer["Prediction"]);
    let responses = &sink(&explained, "responses")["rows"];
    assert_eq!(
        responses,
        &json!([{
            "place": format!("{}:0:10", stand.topic("response")),
            "generation": answer["Generation"], "as_computed": true, "row": answer,
        }])
    );
    let document = &sink(&explained, "store")["rows"][0];
    assert!(document["place"].as_str().unwrap().ends_with("/0/11"), "{document}");
    assert_eq!(document["row"]["UUID"], "e-000010");
    let line = &sink(&explained, "archive")["rows"][0];
    assert_eq!((&line["row"], &line["as_computed"]), (&answer, &json!(true)));
    assert!(line["place"].as_str().unwrap().contains(".jsonl line "), "{line}");
    // by its position, with and without the topic
    for position in [format!("{}:0:11", stand.topic("request")), "0:11".to_owned()] {
        assert_eq!(stand.explain(&position), explained);
    }

    let broken = stand.explain("broken");
    assert_eq!(states(&broken), all("nothing", "there"));
    assert_eq!(broken["message"]["offset"], 7);
    assert_eq!(broken["stages"][0]["rejected"][0]["code"], "not_json");
    assert_eq!(broken["rejects"]["rows"][0]["row"]["offset"], 7);
    let nowhere = stand.explain("nowhere");
    assert_eq!(states(&nowhere), all("nothing", "there"));
    assert_eq!(nowhere["stages"][1]["rejected"][0]["code"], "no_match");
    assert!(nowhere["stages"].as_array().unwrap().len() == 2, "{nowhere}");
    process.drain();

    stand.produce(&[request("late", json!({}))]);
    let late = stand.explain("late");
    assert_eq!(states(&late), all("not_yet", "not_yet"));
    for name in ["responses", "store", "archive"] {
        assert_eq!(sink(&late, name)["stands_at"], messages.len(), "{name}");
    }
    let text = good(&mut stand.command("explain", &["late"]));
    assert!(text.contains(&format!("not yet: the sink stands at offset {}", messages.len())), "{text}");
}

#[test]
fn a_message_is_explained_from_the_log_to_every_sink() {
    from_the_log_to_every_sink(Stand::services("explain"));
}

#[test]
fn a_message_is_explained_from_the_log_to_every_sink_embedded() {
    from_the_log_to_every_sink(Stand::embedded("explain"));
}

/// Rejects that are no records of a topic: a stage's, and one of the store's own where its owner has a rule.
fn rejects_elsewhere(mut stand: Stand, table: &str) {
    let topic = stand.topic("rejected");
    stand.edit(&format!("[rejects.kafka]\ntopic = \"{topic}\""), table);
    let mut refused = vec![("0:1", "not_json")];
    if let Stand::Services(rig) = &stand {
        rig.rule_the_store(doc! { "UUID": { "$ne": "bad" } }, "UUID");
        refused.push(("0:2", "document_refused"));
    }
    stand.produce(&[request("fine", json!({})), b"{\"broken\"".to_vec(), request("bad", json!({}))]);
    let mut process = stand.start();
    let deadline = Instant::now() + PATIENCE;
    let rejects = |position: &str| stand.explain(position)["rejects"].clone();
    for (position, code) in refused {
        while rejects(position)["state"] != "there" {
            process.must_run();
            assert!(Instant::now() < deadline, "{}; said:\n{}", rejects(position), process.said());
        }
        assert_eq!(rejects(position)["rows"][0]["row"]["code"], code);
    }
    while rejects("0:0")["state"] != "nothing" {
        process.must_run();
        assert!(Instant::now() < deadline, "{}; said:\n{}", rejects("0:0"), process.said());
    }
    process.drain();
}

#[test]
fn rejects_in_mongodb_are_found() {
    rejects_elsewhere(Stand::services("explain-mongodb"), &collection("explained", &setting("MONGODB_URI")));
}

#[test]
fn rejects_in_hdfs_are_found() {
    rejects_elsewhere(Stand::services("explain-hdfs"), &directory("explained", &setting("HDFS_URI")));
}

#[test]
fn rejects_in_documents_are_found() {
    rejects_elsewhere(Stand::embedded("explain-documents"), &collection("explained", "mongodb://nobody"));
}

#[test]
fn rejects_in_a_directory_are_found() {
    rejects_elsewhere(Stand::embedded("explain-directory"), &directory("explained", "hdfs://nobody:1"));
}

/// Two flights that the first file answers, and the second refuses or answers otherwise.
fn of_another_generation(mut stand: Stand) {
    stand.edit("roll_seconds_max = 60", "roll_seconds_max = 1");
    stand.produce(&[request("known", json!({})), request("unknown", json!({ "Carrier": "ZZ" }))]);
    let mut process = stand.start();
    stand.await_stored(2, &mut process);
    process.drain();
    let first = stand.explain("known")["generation"].clone();
    stand.edit("unknown_category = \"missing\"", "unknown_category = \"reject\"");
    let explained = stand.explain("unknown");
    assert_eq!(explained["owner"]["generation"], first);
    assert_ne!(explained["generation"], first);
    assert_eq!(explained["stages"][3]["rejected"][0]["code"], "unknown_category", "{explained}");
    // what the first one wrote is there, whatever this file makes of it
    assert_eq!(states(&explained), all("there", "not_found"));
    assert_eq!(sink(&explained, "archive")["rows"][0]["generation"], first);
    let text = good(&mut stand.command("explain", &["unknown"]));
    assert!(text.contains(&format!("generation {}, another one", first.as_str().unwrap())), "{text}");
    let same = stand.explain("known");
    assert_eq!(sink(&same, "responses")["rows"][0]["as_computed"], true);
}

#[test]
fn a_row_of_another_generation_is_said_to_be_one() {
    of_another_generation(Stand::services("explainold"));
}

#[test]
fn a_row_of_another_generation_is_said_to_be_one_embedded() {
    of_another_generation(Stand::embedded("explainold"));
}

fn what_is_not_there(stand: &Stand) {
    let topic = stand.topic("request");
    let (mut messages, _) = flights(5, "m");
    messages.push(request("twice", json!({})));
    messages.push(request("twice", json!({ "DepDelay": 1.0 })));
    stand.produce(&messages);
    let said = |arguments: &[&str]| bad(&mut stand.command("explain", arguments));
    let none = said(&["m-000009"]);
    assert!(none.contains("has `m-000009` in its `UUID`: looked through all that it holds, 7 offsets"), "{none}");
    let far = said(&["m-000001", "--look-back-messages-max", "3"]);
    assert!(far.contains("looked through its last 3 offsets") && far.contains("--look-back-messages-max"), "{far}");
    let found = good(&mut stand.command("explain", &["m-000001", "--look-back-messages-max", "6"]));
    assert!(found.contains(&format!("{topic}:0:1")), "{found}");
    let end = said(&["0:7"]);
    assert!(end.contains("offsets from 0 on, and the next one to come is 7"), "{end}");
    let partition = said(&["9:0"]);
    assert!(partition.contains("partitions are 0 to 0"), "{partition}");
    let other = said(&["elsewhere:0:1"]);
    assert!(other.contains("position in topic `elsewhere`") && other.contains(&topic), "{other}");
    let twice = stand.explain("twice");
    assert_eq!(twice["message"]["offset"], 6);
    assert_eq!(twice["message"]["same_key_at"], json!([format!("{topic}:0:5")]));
}

/// Two messages with one key, each with an answer of its own.
fn twins(stand: &Stand) {
    stand.produce(&[request("twin", json!({})), request("twin", json!({ "DepDelay": 90.0 }))]);
    let mut process = stand.start();
    stand.await_responses(2, &mut process);
    process.drain();
    let (request, response) = (stand.topic("request"), stand.topic("response"));
    for (of, other) in [(0, 1), (1, 0)] {
        let explained = stand.explain(&format!("0:{of}"));
        assert_eq!(explained["message"]["same_key_at"], json!([format!("{request}:0:{other}")]));
        let rows = sink(&explained, "responses")["rows"].as_array().unwrap();
        let places: Vec<_> = rows.iter().map(|row| row["place"].as_str().unwrap()).collect();
        assert_eq!(places, [format!("{response}:0:{of}")], "{explained:#}");
    }
}

#[test]
fn an_answer_of_another_message_with_the_same_key_is_not_its_own() {
    twins(&Stand::services("explaintwins"));
}

#[test]
fn an_answer_of_another_message_with_the_same_key_is_not_its_own_embedded() {
    twins(&Stand::embedded("explaintwins"));
}

#[test]
fn what_is_not_there_is_said_with_how_far_it_looked() {
    what_is_not_there(&Stand::services("explainnot"));
}

#[test]
fn what_is_not_there_is_said_with_how_far_it_looked_embedded() {
    what_is_not_there(&Stand::embedded("explainnot"));
}

#[test]
fn a_sink_that_cannot_be_asked_is_said_and_the_others_are_asked() {
    let stand = Stand::services("explaindown");
    stand.produce(&[request("one", json!({}))]);
    let mut process = stand.start();
    stand.await_responses(1, &mut process);
    process.drain();
    let mut explain = stand.command("explain", &["one", "--json"]);
    explain.env("MONGODB_URI", "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=500");
    let done = explain.output().unwrap();
    assert_eq!(done.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&done.stderr).contains("1 of the sinks could not be asked"));
    let explained: Value = serde_json::from_slice(&done.stdout).unwrap();
    let states = states(&explained);
    assert_eq!((states["responses"], states["store"], states["archive"]), ("there", "no_answer", "there"));
    let detail = sink(&explained, "store")["detail"].as_str().unwrap();
    assert!(detail.contains("127.0.0.1:1"), "{detail}");
}

#[test]
fn a_topic_made_again_is_said_to_be_another_one() {
    let stand = Stand::embedded("explainagain");
    let Stand::Embedded(bed) = &stand else { unreachable!() };
    stand.produce(&[request("one", json!({}))]);
    let mut process = stand.start();
    stand.await_responses(1, &mut process);
    process.drain();
    let mut folder = millrace_embedded::Folder::open(&bed.data).unwrap();
    let topic = folder.topic(&stand.topic("request")).unwrap().unwrap();
    let mut transaction = folder.begin().unwrap();
    transaction.delete_topic(&topic).unwrap();
    transaction.commit().unwrap();
    stand.produce(&[request("one", json!({}))]);
    let done = stand.command("explain", &["one", "--json"]).output().unwrap();
    assert_eq!(done.status.code(), Some(1));
    let explained: Value = serde_json::from_slice(&done.stdout).unwrap();
    let states = states(&explained);
    assert_eq!((states["store"], states["archive"], states["responses"]), ("no_answer", "no_answer", "not_yet"));
    for name in ["store", "archive"] {
        let detail = sink(&explained, name)["detail"].as_str().unwrap();
        assert!(detail.contains("made a"), "{detail}");
    }
}
