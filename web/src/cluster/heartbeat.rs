//! One process's word of itself, as docs/status.md has it.
//!
//! Invariants: a field that is not there, or not as expected, is not known, and fails nothing else; texts and lists are
//! bounded, whatever came.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::pipeline::report::{SinkState, State, entries, short, sink_state, state, text, waits_for};

const WORKERS_MAX: usize = 64;
const PARTITIONS_MAX: usize = 256;
const EVERY_SECONDS: u64 = 2;
const EVERY_SECONDS_MAX: u64 = 60;

pub struct Heartbeat {
    pub pipeline: String,
    pub generation: Option<String>,
    pub version: Option<String>,
    pub host: Option<String>,
    pub process: Option<u64>,
    /// Where its own status is.
    pub listen: Option<String>,
    /// By its own clock, as all of its times.
    pub up: Option<Duration>,
    pub every: Duration,
    pub workers: Vec<Worker>,
    pub workers_left_out: u64,
    pub sinks: Vec<Sink>,
    pub rejects: BTreeMap<String, u64>,
    pub rejects_total: u64,
}

pub struct Worker {
    pub id: String,
    pub state: State,
    pub why: Option<String>,
    pub waits_for: Option<String>,
    pub since: Option<Duration>,
    pub rows_per_second: Option<f64>,
    pub lag: Option<i64>,
    pub partitions: Vec<i64>,
    pub partitions_left_out: u64,
}

pub struct Sink {
    pub name: String,
    pub kind: Option<String>,
    pub required: bool,
    /// That of the worker where it is worst.
    pub state: Option<SinkState>,
    pub why: Option<String>,
    pub behind: Option<i64>,
    pub publishes_within_seconds: Option<u64>,
    pub seconds_left: Option<u64>,
    pub positions: BTreeMap<i64, i64>,
    pub positions_left_out: u64,
}

impl Heartbeat {
    /// None: it is none.
    pub fn read(value: &[u8]) -> Option<Heartbeat> {
        let said: Value = serde_json::from_slice(value).ok()?;
        let (pipeline, workers) = (text(&said["pipeline"])?, said["workers"].as_object()?);
        let every = said["every_seconds"].as_u64().unwrap_or(EVERY_SECONDS).min(EVERY_SECONDS_MAX);
        let at = said["at"].as_u64();
        Some(Heartbeat {
            pipeline,
            generation: text(&said["generation"]),
            version: text(&said["version"]),
            host: text(&said["host"]),
            process: said["process"].as_u64(),
            listen: text(&said["listen"]),
            up: before(at, &said["started"]),
            every: Duration::from_secs(every),
            workers: workers.iter().take(WORKERS_MAX).map(|(id, said)| worker(id, said, at)).collect(),
            workers_left_out: said["workers_left_out"].as_u64().unwrap_or(0),
            sinks: entries(&said["sinks"]).map(|(name, said)| sink(name, said)).collect(),
            rejects: entries(&said["rejects"]).filter_map(|(code, n)| Some((short(code), n.as_u64()?))).collect(),
            rejects_total: said["rejects_total"].as_u64().unwrap_or(0),
        })
    }
}

fn before(at: Option<u64>, then: &Value) -> Option<Duration> {
    Some(Duration::from_secs(at?.saturating_sub(then.as_u64()?)))
}

fn worker(id: &str, said: &Value, at: Option<u64>) -> Worker {
    let partitions = said["partitions"].as_array().into_iter().flatten().filter_map(Value::as_i64);
    Worker {
        id: short(id),
        state: state(said),
        why: text(&said["detail"]),
        waits_for: waits_for(said),
        since: before(at, &said["since"]),
        rows_per_second: said["rows_per_second"].as_f64(),
        lag: said["lag"].as_i64(),
        partitions: partitions.take(PARTITIONS_MAX).collect(),
        partitions_left_out: said["partitions_left_out"].as_u64().unwrap_or(0),
    }
}

fn sink(name: &str, said: &Value) -> Sink {
    let worst = said["workers"].as_object().into_iter().flat_map(Map::values).max_by_key(|worker| sink_state(worker));
    let positions = said["positions"].as_object().into_iter().flatten();
    let positions = positions.filter_map(|(partition, next)| Some((partition.parse().ok()?, next.as_i64()?)));
    Sink {
        name: short(name),
        kind: text(&said["kind"]),
        required: said["required"].as_bool().unwrap_or(false),
        state: worst.map(sink_state),
        why: worst.and_then(|worker| text(&worker["why"])),
        behind: said["behind"].as_i64(),
        publishes_within_seconds: said["publishes_within_seconds"].as_u64(),
        seconds_left: worst.and_then(|worker| worker["done_in_seconds"].as_f64()).map(|seconds| seconds.ceil() as u64),
        positions: positions.take(PARTITIONS_MAX).collect(),
        positions_left_out: said["positions_left_out"].as_u64().unwrap_or(0),
    }
}
