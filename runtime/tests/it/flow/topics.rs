//! Topics that the pipeline's file says how to make.

use std::process::Command;

use serde_json::{Value, json};

use super::rig::{Rig, flights};

const CREATE: &str = "create = { partitions = 3, retention_ms = 315360000000 }";

/// The shipped pipeline whose topics are not there, and are to be made.
fn rig(test: &str) -> Rig {
    let mut rig = Rig::new(test, 1);
    for role in ["request", "response", "rejected"] {
        let topic = rig.topic(role);
        rig.delete_topic(&topic);
        rig.edit(&format!("topic = \"{topic}\""), &format!("topic = \"{topic}\"\n{CREATE}"));
    }
    rig
}

fn partitions(rig: &Rig, role: &str) -> i32 {
    rig.describe(&rig.topic(role)).0
}

#[test]
fn a_start_makes_the_topics_as_the_file_says() {
    let mut rig = rig("made");
    rig.edit("roll_seconds_max = 60", "roll_seconds_max = 1");
    let mut process = rig.start();
    process.await_word("positions read");
    for role in ["request", "response", "rejected"] {
        assert_eq!(rig.describe(&rig.topic(role)), (3, "315360000000".to_owned()), "{role}");
    }
    let mut ids = std::collections::BTreeSet::new();
    for partition in 0..3 {
        let (messages, more) = flights(20, &format!("p{partition}-"));
        rig.produce_to(partition, &messages);
        ids.extend(more);
    }
    rig.await_stored(ids.len(), &mut process);
    process.drain();
    // what is there stays as it is
    rig.edit("create = { partitions = 3", "create = { partitions = 4");
    let mut process = rig.start();
    process.await_word("positions read");
    process.drain();
    assert_eq!(partitions(&rig, "request"), 3);
}

#[test]
fn what_the_brokers_refuse_is_said_with_the_topic() {
    let mut rig = rig("refused");
    rig.edit("create = { partitions = 3", "create = { replication = 50, partitions = 3");
    let mut process = rig.start();
    process.await_word("not running");
    let said = process.said().to_owned();
    assert!(said.contains("creating topic `") && said.contains("eplication"), "{said}");
    process.drain();
}

#[test]
fn the_command_makes_them_as_the_file_says_too() {
    let rig = rig("command");
    rig.write();
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    let done = command.args(["topics", "create", "--json", "--replication", "1"]).arg(rig.file()).output().unwrap();
    let said: Value = serde_json::from_slice(&done.stdout).unwrap();
    let topics = said["topics"].as_array().unwrap();
    assert_eq!(topics.len(), 4, "{said}");
    let (heartbeats, topics): (Vec<_>, Vec<_>) = topics.iter().partition(|topic| topic["topic"] == rig.topic("status"));
    assert_eq!(heartbeats[0]["partitions"], 1, "{said}");
    for topic in topics {
        assert_eq!((&topic["created"], &topic["partitions"]), (&json!(true), &json!(3)), "{said}");
    }
    assert_eq!(partitions(&rig, "response"), 3);
}

#[test]
fn the_commands_own_words_go_before_the_files() {
    let rig = rig("words");
    rig.write();
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    command.args(["topics", "create", "--partitions", "2", "--retention-ms", "86400000"]).arg(rig.file());
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(rig.describe(&rig.topic("response")), (2, "86400000".to_owned()));
}
