//! What scripts read: JSON and positions on standard output, alike on both grounds.

use std::process::Command;

use serde_json::{Value, json};

use super::stand::{Stand, fed, good, json_lines};
use crate::flights::repository;

fn millrace(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    command.args(arguments);
    command
}

#[test]
fn check_says_as_json_what_it_says_in_words() {
    let case = repository().join("runtime/tests/check/unknown-keys");
    let mut check = millrace(&["check", "pipeline.toml"]);
    let words = check.current_dir(&case).output().unwrap();
    let said = check.arg("--json").output().unwrap();
    assert_eq!((said.status.code(), words.status.code()), (Some(1), Some(1)));
    assert!(said.stderr.is_empty(), "{}", String::from_utf8_lossy(&said.stderr));
    let said: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!((&said["in_order"], &said["generation"]), (&json!(false), &Value::Null));
    let words = String::from_utf8(words.stderr).unwrap();
    let found = said["diagnostics"].as_array().unwrap();
    let count = words.lines().filter(|line| line.starts_with("error: ") || line.starts_with("warning: ")).count();
    assert_eq!(found.len(), count, "{said}");
    for diagnostic in found {
        let message = diagnostic["message"].as_str().unwrap();
        let headline = format!("{}: {message}\n", diagnostic["severity"].as_str().unwrap());
        let after = words.split_once(&headline).unwrap_or_else(|| panic!("{headline} is not in\n{words}")).1;
        let place = format!("--> pipeline.toml:{}:{}\n", diagnostic["line"], diagnostic["column"]);
        assert!(after.trim_start().starts_with(&place), "{place} is not after {headline}\n{words}");
        if let Some(help) = diagnostic["help"].as_str() {
            assert!(words.contains(&format!("help: {help}\n")), "{help} is not in\n{words}");
        }
    }
}

#[test]
fn a_pipeline_in_order_has_its_generation_in_the_json() {
    let file = repository().join("pipelines/flight-delay.toml");
    let file = file.to_str().unwrap();
    let said: Value = serde_json::from_str(&good(&mut millrace(&["check", file, "--json"]))).unwrap();
    assert_eq!((&said["in_order"], &said["pipeline"]), (&json!(true), &json!("flight-delay")));
    assert_eq!(said["diagnostics"], json!([]));
    let words = good(&mut millrace(&["check", file]));
    assert!(words.trim_end().ends_with(said["generation"].as_str().unwrap()), "{words}");
    let graph: Value = serde_json::from_str(&good(&mut millrace(&["graph", file, "--format", "json"]))).unwrap();
    assert_eq!(graph["generation"], said["generation"]);
    let names = |list: &Value, field: &str| -> Vec<String> {
        list.as_array().unwrap().iter().map(|it| it[field].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&graph["stages"], "name"), ["distance", "features", "delay"]);
    assert_eq!(names(&graph["stages"], "kind"), ["lookup", "plugin", "model"]);
    assert_eq!(names(&graph["sinks"], "kind"), ["kafka", "mongodb", "hdfs"]);
    assert_eq!(graph["source"]["columns"][5], json!({ "name": "DepDelay", "type": "float64?" }));
    // the lookup fills the distance: its type changes there
    assert_eq!(graph["stages"][0]["adds"], json!([{ "name": "Distance", "type": "float64" }]));
    assert_eq!(graph["sinks"][0]["key"], "UUID");
    assert_eq!(graph["columns"].as_array().unwrap().last().unwrap()["name"], "Generation");
}

#[test]
fn topics_that_were_made_and_topics_that_were_there_are_told_apart() {
    let stand = Stand::services("scripttopics");
    let Stand::Services(rig) = &stand else { unreachable!() };
    rig.delete_topic(&rig.topic("response"));
    let file = stand.file();
    let create = ["topics", "create", file.to_str().unwrap(), "--partitions", "2", "--json"];
    let made: Value = serde_json::from_str(&good(&mut millrace(&create))).unwrap();
    let topic = |role: &str, created: bool| json!({ "topic": rig.topic(role), "created": created, "partitions": if created { json!(2) } else { Value::Null } });
    let mut topics = made["topics"].as_array().unwrap().clone();
    topics.sort_by_key(|topic| topic["topic"].as_str().unwrap().to_owned());
    // heartbeats need no partitions that others could share
    let status = json!({ "topic": rig.topic("status"), "created": true, "partitions": 1 });
    assert_eq!(topics, [topic("rejected", false), topic("request", false), topic("response", true), status]);
}

fn positions(stand: &Stand) {
    let lines = "{\"UUID\":\"a\"}\n{\"UUID\":\"b\"}\n{\"UUID\":\"c\"}\n";
    let produced = fed(&mut stand.on_topic("produce", "request", &["--positions", "--key", "UUID"]), lines);
    assert_eq!(produced, "0:0\n0:1\n0:2\n");
    let consumed = json_lines(&good(&mut stand.on_topic("consume", "request", &["--json", "--from", "1"])));
    let of = |field: &str| consumed.iter().map(|line| line[field].clone()).collect::<Vec<_>>();
    assert_eq!(of("offset"), [1, 2]);
    assert_eq!(of("partition"), [0, 0]);
    assert_eq!(of("key"), ["b", "c"]);
    assert_eq!(of("value"), ["{\"UUID\":\"b\"}", "{\"UUID\":\"c\"}"]);
    assert!(of("timestamp").iter().all(Value::is_string), "{consumed:?}");
    let plain = good(&mut stand.on_topic("consume", "request", &["--positions", "--from", "2"]));
    assert_eq!(plain, "0:2\t{\"UUID\":\"c\"}\n");
    // silent unless it is asked
    assert_eq!(fed(&mut stand.on_topic("produce", "request", &[]), lines), "");
    // beyond the end there is nothing, and before the beginning is the beginning
    assert_eq!(good(&mut stand.on_topic("consume", "request", &["--from", "99"])), "");
}

#[test]
fn positions_come_out_of_produce_and_go_into_consume() {
    positions(&Stand::services("scriptpositions"));
}

#[test]
fn positions_come_out_of_produce_and_go_into_consume_embedded() {
    positions(&Stand::embedded("scriptpositions"));
}
