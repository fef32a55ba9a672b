//! `millrace tap`: the rows that the pipeline would have, and nobody notices.

use serde_json::{Value, json};

use super::stand::{Running, Stand, bad, good, json_lines};
use crate::flights::{flights, request};

fn tapped(stand: &Stand, stage: &str, rows: &str) -> Vec<Value> {
    let arguments = ["--at", stage, "--from", "earliest", "--rows-max", rows];
    json_lines(&good(&mut stand.command("tap", &arguments)))
}

/// Three flights, a broken message at offset 1, an airport that nobody knows at 3.
fn five() -> Vec<Vec<u8>> {
    let (mut messages, _) = flights(3, "t");
    messages.insert(1, b"{\"UUID\":\"broken\"".to_vec());
    messages.insert(3, request("nowhere", json!({ "Origin": "jfk" })));
    messages
}

fn offsets(lines: &[Value]) -> Vec<i64> {
    lines.iter().map(|line| line["offset"].as_i64().unwrap()).collect()
}

/// Before the pipeline ever ran, and its rows are those that it then has.
fn rows_at_every_stage(stand: &Stand) {
    stand.produce(&five());
    let decoded = tapped(stand, "source", "5");
    assert_eq!(offsets(&decoded), [0, 1, 2, 3, 4]);
    assert_eq!(decoded[1]["rejected"]["code"], "not_json");
    assert!(decoded[1].get("row").is_none(), "{}", decoded[1]);
    assert_eq!(decoded[0]["row"]["UUID"], "t-000000");
    assert_eq!((&decoded[0]["partition"], &decoded[0]["index"]), (&json!(0), &json!(0)));
    assert!(decoded[0]["row"].get("Route").is_none(), "{}", decoded[0]);
    // the broken one was refused before this stage: it is none of its lines
    let distances = tapped(stand, "distance", "4");
    assert_eq!(offsets(&distances), [0, 2, 3, 4]);
    assert!(distances[2]["rejected"]["reason"].as_str().unwrap().contains("jfk"), "{}", distances[2]);
    let features = tapped(stand, "features", "3");
    assert!(features.iter().all(|line| line["row"]["Route"].is_string()), "{features:?}");
    assert!(features.iter().all(|line| line["row"].get("Prediction").is_none()), "{features:?}");
    let answers = tapped(stand, "delay", "3");
    assert_eq!(offsets(&answers), [0, 2, 4]);
    assert_eq!(stand.explain("0:0")["owner"]["group_stands_at"], Value::Null, "nothing is committed");
    let mut process = stand.start();
    stand.await_responses(3, &mut process);
    process.drain();
    let mut responses = stand.responses();
    responses.iter_mut().for_each(|row| drop(row.as_object_mut().unwrap().remove("Generation")));
    assert_eq!(answers.iter().map(|line| line["row"].clone()).collect::<Vec<_>>(), responses);
}

#[test]
fn rows_leave_every_stage_as_the_pipeline_has_them() {
    rows_at_every_stage(&Stand::services("tapstages"));
}

#[test]
fn rows_leave_every_stage_as_the_pipeline_has_them_embedded() {
    rows_at_every_stage(&Stand::embedded("tapstages"));
}

/// Beside a pipeline that runs, which answers everything all the same.
fn follows(stand: &Stand) {
    stand.produce(&flights(3, "before").0);
    let mut process = stand.start();
    stand.await_responses(3, &mut process);
    let mut tap = Running::start(stand.command("tap", &["--at", "delay"]));
    tap.await_word(|line| line.starts_with("tapping"));
    stand.produce(&[request("live", json!({}))]);
    let line = tap.line();
    assert_eq!((&line["offset"], &line["row"]["UUID"]), (&json!(3), &json!("live")));
    stand.produce(&[request("next", json!({}))]);
    assert_eq!(tap.line()["row"]["UUID"], "next");
    let (lines, said) = tap.interrupt();
    assert!(lines.is_empty(), "{lines:?}");
    assert_eq!(said, "2 lines of 2 messages; 0 messages passed over");
    stand.await_responses(5, &mut process);
    process.drain();
    assert_eq!(stand.responses().len(), 5);
}

#[test]
fn it_follows_what_comes_and_moves_nothing() {
    follows(&Stand::services("tapfollow"));
}

#[test]
fn it_follows_what_comes_and_moves_nothing_embedded() {
    follows(&Stand::embedded("tapfollow"));
}

/// Messages taken and passed over, of `… of TAKEN messages; PASSED messages passed over`.
fn counts(said: &str) -> Option<(u64, u64)> {
    let (taken, passed_over) = said.strip_suffix(" passed over")?.split_once("; ")?;
    let number = |counted: &str| counted.split(' ').next()?.parse().ok();
    Some((number(taken.split_once(" of ")?.1)?, number(passed_over)?))
}

fn samples(stand: &Stand) {
    const MESSAGES: u64 = 3_000;
    stand.produce(&flights(MESSAGES as usize, "s").0);
    let arguments = ["--at", "features", "--from", "earliest", "--rows-per-second-max", "1"];
    let mut tap = Running::start(stand.command("tap", &arguments));
    assert_eq!(tap.line()["offset"], 0);
    let all = |said: &str| counts(said).is_some_and(|(taken, passed_over)| taken + passed_over == MESSAGES);
    let said = tap.await_word(all);
    let (lines, last) = tap.interrupt();
    let (taken, passed_over) = counts(&said).unwrap();
    assert_eq!(taken, 1 + lines.len() as u64);
    assert!(passed_over > taken, "{said}");
    assert_eq!(last, said);
}

#[test]
fn what_comes_faster_than_the_rate_is_passed_over_and_counted() {
    samples(&Stand::services("tapsample"));
}

#[test]
fn what_comes_faster_than_the_rate_is_passed_over_and_counted_embedded() {
    samples(&Stand::embedded("tapsample"));
}

#[test]
fn a_stage_that_is_not_there_is_said_with_those_that_are() {
    let stand = Stand::embedded("tapunknown");
    let said = bad(&mut stand.command("tap", &["--at", "modle"]));
    assert!(said.contains("no stage `modle`"), "{said}");
    assert!(said.contains("`source`, `distance`, `features`, `delay`"), "{said}");
}

#[test]
fn a_folder_or_a_topic_that_is_not_there_is_said_and_not_made() {
    let stand = Stand::embedded("tapnothing");
    let said = bad(&mut stand.command("tap", &["--at", "source"]));
    assert!(said.contains("is no embedded folder"), "{said}");
    let Stand::Embedded(bed) = &stand else { unreachable!() };
    assert!(!bed.data.exists());
    drop(millrace_embedded::Folder::open(&bed.data).unwrap());
    let said = bad(&mut stand.command("tap", &["--at", "source"]));
    assert!(said.contains("topic `flight-delay-ml-request`") && said.contains("not there"), "{said}");
    let services = Stand::services("tapnothing");
    let Stand::Services(rig) = &services else { unreachable!() };
    rig.delete_topic(&rig.topic("request"));
    let said = bad(&mut services.command("tap", &["--at", "source"]));
    assert!(said.contains(&rig.topic("request")) && said.contains("not there"), "{said}");
}
