//! Who works, as far as they say so themselves: the processes of pipelines, by their heartbeats in the status topic.
//!
//! Invariants: bounded in processes and in bytes of each, whatever the topic holds; who is silent is told as silent, then
//! forgotten. Knows fields of JSON (docs/status.md), never the runtime's types.

mod application;
mod heartbeat;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use self::application::Application;
use self::heartbeat::Heartbeat;

/// Beyond them who was heard first is forgotten first.
const PROCESSES_MAX: usize = 1_000;
const KEY_BYTES_MAX: usize = 500;
const VALUE_BYTES_MAX: usize = 1 << 20;
/// How many heartbeats may be late, and by how much more the last of them.
const MISSED_MAX: u32 = 3;
const LATE_MAX: Duration = Duration::from_secs(4);
/// How long one is told that says nothing more.
const GONE_AFTER: Duration = Duration::from_secs(120);

#[derive(Default)]
pub struct Cluster {
    processes: Mutex<BTreeMap<Vec<u8>, Process>>,
}

struct Process {
    said: Heartbeat,
    heard: Instant,
}

impl Process {
    /// How long it has said nothing, if that is too long.
    fn silent(&self, now: Instant) -> Option<Duration> {
        let silent = now.saturating_duration_since(self.heard);
        (silent > self.said.every * MISSED_MAX + LATE_MAX).then_some(silent)
    }
}

impl Cluster {
    /// A message of the topic, and how old it is. No value: that process is gone.
    pub fn take(&self, key: &[u8], value: Option<&[u8]>, age: Duration) {
        if key.len() > KEY_BYTES_MAX || value.is_some_and(|value| value.len() > VALUE_BYTES_MAX) {
            return;
        }
        let mut processes = self.processes.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(value) = value else { return drop(processes.remove(key)) };
        // what is no heartbeat says nothing of anybody
        let Some(said) = Heartbeat::read(value) else { return };
        let Some(heard) = Instant::now().checked_sub(age) else { return };
        processes.insert(key.to_owned(), Process { said, heard });
        if processes.len() > PROCESSES_MAX {
            let first = processes.iter().min_by_key(|(_, process)| process.heard).map(|(key, _)| key.clone());
            first.iter().for_each(|key| drop(processes.remove(key)));
        }
    }

    /// As JSON: each pipeline, with its workers.
    pub fn look(&self) -> Value {
        let now = Instant::now();
        let mut processes = self.processes.lock().unwrap_or_else(PoisonError::into_inner);
        processes.retain(|_, process| now.saturating_duration_since(process.heard) <= GONE_AFTER);
        let names: BTreeSet<_> = processes.values().map(|process| process.said.pipeline.as_str()).collect();
        let applications = names.into_iter().map(|name| {
            let own = processes.values().filter(|process| process.said.pipeline == name);
            Application::new(name, &own.collect::<Vec<_>>(), now)
        });
        json!(applications.collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(host: &str, lag: Value) -> Vec<u8> {
        let worker = json!({ "state": "running", "since": 10, "partitions": [0], "lag": lag, "rows_per_second": 1.5 });
        let said = json!({
            "pipeline": "p", "generation": "g", "host": host, "process": 1, "started": 0, "at": 100, "every_seconds": 2,
            "workers": { "0": worker }, "rejects": { "source/not_json": 2 }, "rejects_total": 2,
            "sinks": { "store": { "kind": "mongodb", "behind": 1, "positions": { "0": 7 },
                                  "workers": { "0": { "state": "in_step" } } } },
        });
        said.to_string().into_bytes()
    }

    const NOW: Duration = Duration::ZERO;

    #[test]
    fn processes_of_a_pipeline_are_told_together() {
        let cluster = Cluster::default();
        cluster.take(b"a", Some(&beat("one", json!(3))), NOW);
        cluster.take(b"b", Some(&beat("two", json!(4))), NOW);
        let told = &cluster.look()[0];
        assert_eq!(
            (&told["state"], &told["lag"], &told["rows_per_second"]),
            (&json!("running"), &json!(7), &json!(3.0))
        );
        assert_eq!((&told["rejects"]["source/not_json"], &told["rejects_total"]), (&json!(4), &json!(4)));
        assert_eq!(told["workers"].as_array().unwrap().len(), 2);
        assert_eq!((&told["sinks"][0]["behind"], &told["sinks"][0]["state"]), (&json!(2), &json!("in_step")));
        assert_eq!(told["sinks"][0]["positions"], json!([[0, 7]]));
        cluster.take(b"b", None, NOW);
        assert_eq!(cluster.look()[0]["workers"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn who_is_silent_is_told_counts_for_nothing_and_is_forgotten() {
        let cluster = Cluster::default();
        cluster.take(b"a", Some(&beat("one", json!(3))), NOW);
        cluster.take(b"b", Some(&beat("two", json!(4))), Duration::from_secs(30));
        let told = &cluster.look()[0];
        assert_eq!((&told["state"], &told["lag"]), (&json!("partly"), &json!(3)));
        assert_eq!((&told["workers"][1]["host"], &told["workers"][1]["state"]), (&json!("two"), &json!("silent")));
        assert_eq!(told["workers"][1]["silent_seconds"], json!(30));
        cluster.take(b"b", Some(&beat("two", json!(4))), GONE_AFTER + LATE_MAX);
        assert_eq!(cluster.look()[0]["workers"].as_array().unwrap().len(), 1);
        cluster.take(b"a", Some(&beat("one", json!(3))), Duration::from_secs(30));
        assert_eq!(cluster.look()[0]["state"], json!("away"), "nobody says anything");
    }

    #[test]
    fn what_is_not_known_is_null_and_what_is_no_heartbeat_is_nobody() {
        let cluster = Cluster::default();
        cluster.take(b"a", Some(&beat("one", json!(null))), NOW);
        assert_eq!(cluster.look()[0]["lag"], json!(null));
        for value in
            [&b"hello"[..], b"{}", b"[]", br#"{"pipeline":"q","workers":[]}"#, &vec![b' '; VALUE_BYTES_MAX + 1]]
        {
            cluster.take(b"x", Some(value), NOW);
        }
        cluster.take(&[b'k'; KEY_BYTES_MAX + 1], Some(&beat("two", json!(1))), NOW);
        assert_eq!(cluster.look().as_array().unwrap().len(), 1);
    }

    #[test]
    fn a_topic_full_of_strangers_is_bounded() {
        let cluster = Cluster::default();
        for n in 0..PROCESSES_MAX + 5 {
            cluster.take(n.to_string().as_bytes(), Some(&beat("h", json!(1))), NOW);
        }
        assert_eq!(cluster.processes.lock().unwrap().len(), PROCESSES_MAX);
    }
}
