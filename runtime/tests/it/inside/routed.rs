//! `when`: a column of true and false says which rows a sink takes. The others are nobody's loss: positions pass them.

use std::collections::BTreeSet;
use std::time::Instant;

use serde_json::{Value, json};

use super::stand::{Stand, good};
use crate::flights::request;
use crate::process::{PATIENCE, Process};

/// `[source.fields]` with one more.
fn with_wanted(mut stand: Stand) -> Stand {
    stand.edit("Timestamp = \"text?\"", "Timestamp = \"text?\"\nWanted = \"bool?\"");
    stand
}

fn route(stand: &mut Stand, sink: &str, kind: &str) {
    let table = format!("[sinks.{sink}.{kind}]");
    stand.edit(&table, &format!("[sinks.{sink}]\nwhen = \"Wanted\"\n\n{table}"));
}

/// In turn wanted, unwanted, null, and without the field. All ids, and those that are wanted.
fn messages(count: usize, label: &str) -> (Vec<Vec<u8>>, BTreeSet<String>, BTreeSet<String>) {
    let id = |n: usize| format!("{label}-{n:04}");
    let wanted = [json!({ "Wanted": true }), json!({ "Wanted": false }), json!({ "Wanted": null }), json!({})];
    let messages = (0..count).map(|n| request(&id(n), wanted[n % wanted.len()].clone())).collect();
    (messages, (0..count).map(id).collect(), (0..count).step_by(wanted.len()).map(id).collect())
}

/// None twice.
fn ids(rows: &[Value]) -> BTreeSet<String> {
    let ids: BTreeSet<_> = rows.iter().map(|row| row["UUID"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), rows.len(), "rows that are there twice");
    ids
}

fn await_archived(stand: &Stand, count: usize, process: &mut Process) {
    let deadline = Instant::now() + PATIENCE;
    while stand.archived().len() < count {
        process.must_run();
        assert!(Instant::now() < deadline, "said:\n{}", process.said());
    }
}

fn rows_go_where_they_are_wanted(stand: Stand) {
    let mut stand = with_wanted(stand);
    route(&mut stand, "responses", "kafka");
    route(&mut stand, "store", "mongodb");
    let (messages, all, wanted) = messages(50, "r");
    stand.produce(&messages);
    let mut process = stand.start();
    stand.await_responses(wanted.len(), &mut process);
    process.drain();
    assert_eq!(ids(&stand.responses()), wanted);
    assert_eq!(ids(&stand.documents()), wanted);
    assert_eq!(ids(&stand.archived()), all);
    // the last rows are not wanted: the store has passed them
    let shown: Value = serde_json::from_str(&good(
        &mut stand.command_of(&["positions", "show", &stand.file().display().to_string()], &["--json"]),
    ))
    .unwrap();
    for sink in ["store", "archive"] {
        assert_eq!(shown["partitions"][0]["sinks"][sink]["position"], messages.len(), "{sink}");
    }
    let explained = stand.explain("r-0001");
    let state = |sink: &str| {
        let sinks = explained["sinks"].as_array().unwrap();
        sinks.iter().find(|known| known["sink"] == sink).unwrap()["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(["responses", "store", "archive"].map(state), ["nothing", "nothing", "there"]);
}

#[test]
fn rows_go_where_a_column_says() {
    rows_go_where_they_are_wanted(Stand::services("routed"));
}

#[test]
fn rows_go_where_a_column_says_embedded() {
    rows_go_where_they_are_wanted(Stand::embedded("routed"));
}

/// The archive has published nothing when the file is edited: it reads the log again.
fn an_edit_is_about_rows_that_come_after_it(stand: Stand) {
    let before = with_wanted(stand);
    let Stand::Embedded(bed) = &before else { unreachable!() };
    let plain = bed.toml.clone();
    let mut stand = before;
    stand.edit("[sinks.archive]\n", "[sinks.archive]\nwhen = \"Wanted\"\n");
    let (old, olds, wanted) = messages(40, "old");
    stand.produce(&old);
    let mut process = stand.start();
    stand.await_responses(olds.len(), &mut process);
    process.kill_nine();
    assert_eq!(stand.archived().len(), 0);
    let Stand::Embedded(bed) = &mut stand else { unreachable!() };
    bed.toml = plain.replace("roll_seconds_max = 60", "roll_seconds_max = 1");
    let (new, news, _) = messages(8, "new");
    stand.produce(&new);
    let mut process = stand.start();
    let expected: BTreeSet<_> = wanted.union(&news).cloned().collect();
    await_archived(&stand, expected.len(), &mut process);
    process.drain();
    assert_eq!(ids(&stand.archived()), expected, "rows are routed by the generation that owns them");
    assert_eq!(ids(&stand.responses()), olds.union(&news).cloned().collect());
}

#[test]
fn rows_before_an_edit_go_where_they_went() {
    an_edit_is_about_rows_that_come_after_it(Stand::embedded("rerouted"));
}
