//! Stop, edit, start: each sink goes on from its position, and every row has one answer.

use std::collections::BTreeSet;

use super::rig::{Rig, flights};

fn generations(rig: &Rig) -> BTreeSet<String> {
    rig.responses().iter().map(|row| row["Generation"].to_string()).collect()
}

#[test]
fn an_edit_between_two_runs_loses_and_repeats_nothing() {
    let mut rig = Rig::new("edit", 1);
    let (messages, mut ids) = flights(300, "one");
    rig.produce(&messages);
    let mut process = rig.start();
    rig.await_records("response", ids.len(), &mut process);
    process.drain();
    rig.edit("unknown_category = \"missing\"", "unknown_category = \"reject\"");
    let (messages, more) = flights(300, "two");
    rig.produce(&messages);
    ids.extend(more);
    let mut process = rig.start();
    rig.await_records("response", ids.len(), &mut process);
    process.drain();
    rig.assert_exactly_once(&ids);
    assert_eq!(generations(&rig).len(), 2);
}

#[test]
fn rows_that_a_sink_lacks_at_a_redeploy_are_computed_by_their_own_generation() {
    let mut rig = Rig::new("decided", 1);
    let (messages, mut ids) = flights(400, "old");
    rig.produce(&messages);
    let mut process = rig.start();
    // Kafka has answered, the archive has published nothing: killed in between
    rig.await_records("response", ids.len(), &mut process);
    process.kill_nine();
    assert_eq!(rig.archived().len(), 0);
    rig.edit("unknown_category = \"missing\"", "unknown_category = \"reject\"");
    let (messages, more) = flights(400, "new");
    rig.produce(&messages);
    ids.extend(more);
    let mut process = rig.start();
    process.await_word("rows of an earlier generation wait");
    rig.await_records("response", ids.len(), &mut process);
    process.drain();
    // every sink has the same generation for every row
    rig.assert_exactly_once(&ids);
    assert_eq!(generations(&rig).len(), 2);
}

#[test]
fn a_new_sink_starts_where_its_start_says() {
    let mut rig = Rig::new("newsink", 1);
    let (messages, first) = flights(100, "one");
    rig.produce(&messages);
    let mut process = rig.start();
    rig.await_records("response", first.len(), &mut process);
    process.drain();
    for (name, start) in [("late", "head"), ("whole", "earliest")] {
        let collection = format!("{}-{name}", rig.name);
        rig.toml = format!(
            "{}\n[sinks.{name}]\nstart = \"{start}\"\n[sinks.{name}.mongodb]\nuri = \"${{MONGODB_URI}}\"\n\
             database = \"agile_data_science\"\ncollection = \"{collection}\"\n",
            rig.toml
        );
    }
    let (messages, second) = flights(50, "two");
    rig.produce(&messages);
    let mut process = rig.start();
    rig.await_records("response", 150, &mut process);
    process.drain();
    assert_eq!(rig.documents_of(&format!("{}-late", rig.name)).len(), second.len());
    assert_eq!(rig.documents_of(&format!("{}-whole", rig.name)).len(), first.len() + second.len());
}
