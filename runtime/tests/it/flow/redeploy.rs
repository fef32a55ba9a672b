//! Stop, edit, start: each sink goes on from its position, and every row has one answer.

use std::collections::BTreeSet;

use std::time::Instant;

use super::rig::{Rig, flights, setting};
use crate::process::{PATIENCE, Process};

fn generations(rig: &Rig) -> BTreeSet<String> {
    rig.responses().iter().map(|row| row["Generation"].to_string()).collect()
}

fn until(process: &mut Process, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        process.must_run();
        assert!(Instant::now() < deadline, "said:\n{}", process.said());
    }
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

/// The rows of before are computed by their own generation, although the environment says of the sink what it did not
/// say then.
#[test]
fn a_sink_that_is_switched_on_begins_with_its_generation_and_goes_on_where_it_was_after_a_time_off() {
    let mut rig = Rig::new("switched", 1);
    rig.edit("roll_seconds_max = 60", "roll_seconds_max = 1");
    let (mut archived, mut all) = (BTreeSet::new(), 0);
    for (round, on) in ["false", "true", "false", "true"].into_iter().enumerate() {
        rig.env("HDFS_SINK", on);
        let (messages, ids) = flights(60, &format!("round{round}"));
        all += ids.len();
        rig.produce(&messages);
        // what passed before the sink ever ran is not its own
        if round > 0 {
            archived.extend(ids);
        }
        let mut process = rig.start();
        rig.await_records("response", all, &mut process);
        if on == "true" {
            until(&mut process, || rig.archived().len() >= archived.len());
        }
        process.drain();
    }
    let there: Vec<_> = rig.archived().iter().map(|row| row["UUID"].as_str().unwrap().to_owned()).collect();
    assert_eq!(there.len(), archived.len(), "rows that are there twice");
    assert_eq!(there.into_iter().collect::<BTreeSet<_>>(), archived);
    assert_eq!(rig.documents().len(), all);
}

/// MongoDB got nothing, the archive was off: the generation that owns the rows is loaded as it was, and not as the
/// environment would have it now.
#[test]
fn a_generation_is_kept_with_the_sinks_that_were_off() {
    let mut rig = Rig::new("off", 1);
    rig.env("HDFS_SINK", "false");
    rig.env("MONGODB_URI", "mongodb://127.0.0.1:1");
    let (messages, ids) = flights(60, "one");
    rig.produce(&messages);
    let mut process = rig.start();
    rig.await_records("response", ids.len(), &mut process);
    process.drain();
    rig.env("HDFS_SINK", "true");
    rig.env("MONGODB_URI", &setting("MONGODB_URI"));
    let mut process = rig.start();
    process.await_word("rows of an earlier generation wait");
    until(&mut process, || rig.documents().len() == ids.len());
    process.drain();
    assert_eq!(rig.archived().len(), 0, "the rows of before are not a new sink's");
}
