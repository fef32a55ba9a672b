//! A sink that is slow, frozen or away is nobody else's problem: it leaves the head, catches up alone, and is in step
//! again, with no gap and no repeat.

use std::collections::BTreeSet;
use std::time::Instant;

use serde_json::{Value, json};

use super::life::free_address;
use super::rig::{PATIENCE, Process, Rig, flights, setting};
use super::wire::Wire;

/// The shipped pipeline with MongoDB behind a wire, and its status.
pub struct Apart {
    pub rig: Rig,
    pub wire: Wire,
    listen: String,
}

impl Apart {
    pub fn new(test: &str) -> Apart {
        let mut rig = Rig::new(test, 2);
        let target = setting("MONGODB_URI").trim_start_matches("mongodb://").split('/').next().unwrap().to_owned();
        let wire = Wire::to(target);
        rig.env("MONGODB_URI", &format!("mongodb://{}/?directConnection=true", wire.address));
        rig.edit("roll_seconds_max = 60", "roll_seconds_max = 1");
        // so that a frozen service is noticed before the tester is
        rig.edit("[sinks.store.mongodb]", "[sinks.store]\ntimeout_ms = 1500\n\n[sinks.store.mongodb]");
        Apart { rig, wire, listen: free_address() }
    }

    pub fn start(&self) -> Process {
        self.rig.start_with(&["--listen", &self.listen])
    }

    pub fn status(&self) -> Value {
        let text = std::process::Command::new(env!("CARGO_BIN_EXE_millrace"))
            .args(["status", "--at", &self.listen])
            .output()
            .unwrap();
        serde_json::from_slice(&text.stdout).unwrap_or(Value::Null)
    }

    pub fn await_state(&self, sink: &str, state: &str, process: &mut Process) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.status();
            let found = status["sinks"][sink]["workers"]["0"]["state"].clone();
            if found == state {
                return;
            }
            process.must_run();
            assert!(Instant::now() < deadline, "{sink} is {found}, not {state}; said:\n{}", process.said());
        }
    }

    /// While the head waits: nothing of what came is committed.
    fn await_lag(&self, messages: usize, process: &mut Process) {
        let deadline = Instant::now() + PATIENCE;
        while lag(&self.status()) != messages as i64 {
            process.must_run();
            assert!(Instant::now() < deadline, "{:#}; said:\n{}", self.status(), process.said());
        }
    }
}

/// Of all partitions; as far as it is known.
fn lag(status: &Value) -> i64 {
    let partitions = status["workers"]["0"]["partitions"].as_object().into_iter().flatten();
    partitions.filter_map(|(_, partition)| partition["lag"].as_i64()).sum()
}

fn requests(apart: &Apart, count: usize, prefix: &str, all: &mut BTreeSet<String>) {
    let (messages, ids) = flights(count, prefix);
    apart.rig.produce(&messages);
    all.extend(ids);
}

#[test]
fn a_frozen_store_stops_nobody_and_catches_up() {
    let apart = Apart::new("frozen");
    let mut ids = BTreeSet::new();
    requests(&apart, 500, "a", &mut ids);
    let mut process = apart.start();
    apart.rig.await_stored(ids.len(), &mut process);
    apart.await_state("store", "in_step", &mut process);
    apart.wire.freeze();
    // more than what may wait in memory for one sink
    requests(&apart, 30_000, "b", &mut ids);
    apart.rig.await_records("response", ids.len(), &mut process);
    apart.await_state("store", "down", &mut process);
    let why = apart.status()["sinks"]["store"]["workers"]["0"]["why"].clone();
    assert!(why.as_str().unwrap().contains(&apart.wire.address), "{why}");
    apart.await_state("archive", "in_step", &mut process);
    apart.wire.mend();
    requests(&apart, 200, "c", &mut ids);
    apart.rig.await_stored(ids.len(), &mut process);
    apart.await_state("store", "in_step", &mut process);
    let said = process.drain();
    assert!(!said.contains("started over"), "the session was begun again: {said}");
    apart.rig.assert_exactly_once(&ids);
}

#[test]
fn a_store_whose_connection_is_cut_again_and_again_has_every_row_once() {
    let apart = Apart::new("cut");
    let mut ids = BTreeSet::new();
    let mut process = apart.start();
    for round in 0..6 {
        requests(&apart, 3_000, &format!("r{round}-"), &mut ids);
        apart.rig.await_records("response", ids.len() - 1_000, &mut process);
        apart.wire.cut();
        // something to write, so that it sees it
        requests(&apart, 500, &format!("s{round}-"), &mut ids);
        apart.await_state("store", "down", &mut process);
        apart.wire.mend();
    }
    apart.rig.await_stored(ids.len(), &mut process);
    apart.await_state("store", "in_step", &mut process);
    process.drain();
    apart.rig.assert_exactly_once(&ids);
}

#[test]
fn what_a_sink_missed_is_there_after_the_next_start() {
    let apart = Apart::new("missed");
    let mut ids = BTreeSet::new();
    apart.wire.cut();
    requests(&apart, 2_000, "a", &mut ids);
    let mut process = apart.start();
    apart.rig.await_records("response", ids.len(), &mut process);
    process.drain();
    assert_eq!(apart.rig.documents().len(), 0);
    apart.wire.mend();
    requests(&apart, 100, "b", &mut ids);
    let mut process = apart.start();
    apart.rig.await_stored(ids.len(), &mut process);
    process.drain();
    apart.rig.assert_exactly_once(&ids);
}

/// What the log has dropped meanwhile is told with its exact range: then the sink stops, or goes on, as its file says.
#[test]
fn rows_that_are_gone_before_a_sink_had_them() {
    let mut apart = Apart::new("gap");
    apart.wire.cut();
    let mut ids = BTreeSet::new();
    requests(&apart, 100, "a", &mut ids);
    let mut process = apart.start();
    apart.rig.await_records("response", ids.len(), &mut process);
    process.drain();
    apart.rig.drop_before(40);
    apart.wire.mend();
    let gone = "rows 0 to 39 of partition 0 are gone";
    let mut process = apart.start();
    apart.await_state("store", "stopped", &mut process);
    requests(&apart, 20, "b", &mut ids);
    apart.rig.await_records("response", ids.len(), &mut process);
    process.signal("TERM");
    let (code, said) = process.wait();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(gone) && said.contains("--sink store --to 0:40`, or `on_gap = \"skip\"`"), "{said}");
    assert_eq!(apart.rig.documents().len(), 0);
    apart.rig.edit("[sinks.store]", "[sinks.store]\non_gap = \"skip\"");
    let mut process = apart.start();
    apart.await_state("store", "in_step", &mut process);
    let said = process.drain();
    assert_eq!(said.matches(gone).count(), 1, "{said}");
    assert_eq!(apart.rig.documents().len(), 80);
}

/// The partitions of who waits go to who could take them, long before the group throws him out.
#[test]
fn a_worker_whose_head_waits_gives_its_partitions_back() {
    let mut rig = Rig::new("stuck", 2);
    rig.edit("[sinks.store.mongodb]", "[sinks.store]\nrequired = true\n\n[sinks.store.mongodb]");
    rig.edit("[rejects.kafka]", "[batch]\nrows_max = 10\n\n[rejects.kafka]");
    rig.produce(&flights(500, "a").0);
    rig.env("MONGODB_URI", "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=1000");
    let mut stuck = rig.start();
    stuck.await_word("the head waits");
    rig.env("MONGODB_URI", &super::rig::setting("MONGODB_URI"));
    let mut healthy = rig.start();
    rig.await_records("response", 1, &mut healthy);
    stuck.kill_nine();
    rig.await_records("response", 500, &mut healthy);
    healthy.drain();
}

#[test]
fn the_pipeline_waits_for_a_required_sink() {
    let mut apart = Apart::new("required");
    apart.rig.edit("[sinks.store]", "[sinks.store]\nrequired = true");
    // so few that the reader finds no room for all of them, and polls no more
    apart.rig.edit("[rejects.kafka]", "[batch]\nrows_max = 10\n\n[rejects.kafka]");
    apart.wire.cut();
    let mut ids = BTreeSet::new();
    requests(&apart, 500, "a", &mut ids);
    let mut process = apart.start();
    apart.await_state("store", "down", &mut process);
    assert_eq!(apart.rig.records("response").len(), 0, "it went on without the required sink");
    apart.await_lag(ids.len(), &mut process);
    requests(&apart, 300, "b", &mut ids);
    apart.await_lag(ids.len(), &mut process);
    // nothing is fetched from now on, so that the client learns nothing by itself
    process.await_word("reading pauses");
    requests(&apart, 300, "c", &mut ids);
    apart.await_lag(ids.len(), &mut process);
    assert_eq!(apart.status()["workers"]["0"]["head_waits_for"], json!(["store"]));
    apart.wire.mend();
    apart.rig.await_records("response", ids.len(), &mut process);
    apart.rig.await_stored(ids.len(), &mut process);
    process.drain();
    apart.rig.assert_exactly_once(&ids);
}
