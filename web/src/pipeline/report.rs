//! What the page is told of a pipeline, made of the JSON that its status API answers.
//!
//! Invariants: a field that is not there, or not as expected, is left out, and fails nothing else; texts and lists are
//! bounded, whatever came.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::{Map, Value};

const TEXT_CHARS_MAX: usize = 300;
const ENTRIES_MAX: usize = 20;

/// Of a pipeline: that of the worker which needs a person first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// None of its workers has a partition.
    Idle,
    Running,
    #[default]
    Starting,
    /// It runs, and a sink of it does not.
    Partly,
    /// One that is not known here.
    Other,
    Ended,
    /// Something that it needs is away, or a sink that it must not leave behind.
    Waiting,
    /// It does not answer.
    Away,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub at: String,
    pub state: State,
    /// Why it waits, or is away.
    pub why: Option<String>,
    /// It reads, and answers nothing before this sink takes its rows.
    pub waits_for: Option<String>,
    /// How long this has been so, as far as that is known.
    pub seconds: Option<u64>,
    pub pipeline: Option<String>,
    pub generation: Option<String>,
    /// Messages that are not answered yet.
    pub lag: Option<i64>,
    pub sinks: Vec<Sink>,
    /// By `stage/code`.
    pub rejects: BTreeMap<String, u64>,
    /// Of all stages and codes.
    pub rejects_total: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sink {
    pub name: String,
    pub kind: Option<String>,
    /// Messages that are answered, and not durable here yet; unknown while the pipeline does not run, or the sink's
    /// position is not known.
    pub behind: Option<i64>,
    /// That of the worker where it is worst; unknown where it is not told apart from the pipeline's.
    pub state: Option<SinkState>,
    /// Why it is down or stopped.
    pub why: Option<String>,
    /// Until it has caught up, as far as that is known.
    pub seconds_left: Option<u64>,
    /// Of a sink that gathers rows in files: so long after its first row each appears, at the latest.
    pub publishes_within_seconds: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SinkState {
    InStep,
    Opening,
    CatchingUp,
    Other,
    Down,
    Stopped,
}

impl Report {
    pub fn read(status: &Value) -> Result<Report, String> {
        let Some(workers) = status["workers"].as_object() else {
            return Err("what answered there says nothing of a pipeline's workers".into());
        };
        let first = workers.values().max_by_key(|worker| state(worker));
        let partitions =
            || workers.values().filter_map(|worker| worker["partitions"].as_object()).flat_map(Map::values);
        let lags: Option<Vec<i64>> = partitions().map(|partition| partition["lag"].as_i64()).collect();
        let runs = partitions().next().is_some();
        let sinks: Vec<_> = entries(&status["sinks"]).map(|(name, said)| sink(name, said, runs)).collect();
        let lacks_one = sinks.iter().any(|sink| sink.state >= Some(SinkState::Down));
        let of_workers = first.map_or(State::Starting, state);
        Ok(Report {
            at: String::new(),
            state: if of_workers == State::Running && lacks_one { State::Partly } else { of_workers },
            why: first.and_then(|worker| text(&worker["detail"])),
            waits_for: first.and_then(waits_for),
            seconds: first
                .filter(|worker| waits_for(worker).is_none())
                .and_then(|worker| worker["since"].as_u64())
                .map(|since| now().saturating_sub(since)),
            pipeline: text(&status["pipeline"]),
            generation: text(&status["generation"]),
            lag: lags.filter(|_| runs).map(|lags| lags.iter().sum()),
            sinks,
            rejects: entries(&status["rejects"]).filter_map(|(code, n)| Some((short(code), n.as_u64()?))).collect(),
            rejects_total: status["rejects"].as_object().map_or(0, |all| all.values().filter_map(Value::as_u64).sum()),
        })
    }

    /// A pipeline that tries again is still waiting, until it runs.
    pub fn after(mut self, before: &Report) -> Report {
        if self.state == State::Starting && before.state == State::Waiting {
            (self.state, self.why, self.seconds) = (State::Waiting, before.why.clone(), before.seconds);
        }
        self
    }
}

pub fn state(worker: &Value) -> State {
    match worker["state"].as_str() {
        Some("starting") => State::Starting,
        Some("idle") => State::Idle,
        Some("running") if waits_for(worker).is_some() => State::Waiting,
        Some("running") => State::Running,
        Some("waiting") => State::Waiting,
        Some("ended") => State::Ended,
        _ => State::Other,
    }
}

pub fn waits_for(worker: &Value) -> Option<String> {
    text(&worker["head_waits_for"][0])
}

fn sink(name: &str, said: &Value, runs: bool) -> Sink {
    let workers = said["workers"].as_object().into_iter().flat_map(Map::values);
    let worst = workers.filter(|_| runs).max_by_key(|worker| sink_state(worker));
    Sink {
        name: short(name),
        kind: text(&said["kind"]),
        behind: said["behind"].as_i64().filter(|_| runs),
        state: worst.map(sink_state),
        why: worst.and_then(|worker| text(&worker["why"])),
        seconds_left: worst.and_then(|worker| worker["done_in_seconds"].as_f64()).map(|seconds| seconds.ceil() as u64),
        publishes_within_seconds: said["publishes_within_seconds"].as_u64(),
    }
}

pub fn sink_state(worker: &Value) -> SinkState {
    match worker["state"].as_str() {
        Some("in_step") => SinkState::InStep,
        Some("opening") => SinkState::Opening,
        Some("catching_up") => SinkState::CatchingUp,
        Some("down") => SinkState::Down,
        Some("stopped") => SinkState::Stopped,
        _ => SinkState::Other,
    }
}

pub fn entries(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    object.as_object().into_iter().flatten().take(ENTRIES_MAX)
}

pub fn text(value: &Value) -> Option<String> {
    value.as_str().map(short)
}

pub fn short(text: &str) -> String {
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn worker(state: &str, partitions: Value) -> Value {
        json!({ "state": state, "since": now(), "partitions": partitions })
    }

    #[test]
    fn lags_are_added_and_sinks_told() {
        let partitions = json!({ "0": { "head": 9, "lag": 2 }, "1": { "head": 5, "lag": 3 } });
        let status = json!({
            "pipeline": "p", "generation": "g", "workers": { "0": worker("running", partitions) },
            "sinks": { "store": { "kind": "mongodb", "positions": {}, "behind": 4, "publishes_within_seconds": 60 } },
            "rejects": { "source/not_json": 2, "features/bad_delay": 1 },
        });
        let report = Report::read(&status).unwrap();
        assert_eq!((report.state, report.lag, report.rejects_total), (State::Running, Some(5), 3));
        let (name, kind) = ("store".into(), Some("mongodb".into()));
        let store = Sink {
            name,
            kind,
            behind: Some(4),
            state: None,
            why: None,
            seconds_left: None,
            publishes_within_seconds: Some(60),
        };
        assert_eq!(report.sinks, [store]);
    }

    #[test]
    fn a_sink_that_is_down_is_told_beside_a_pipeline_that_runs() {
        let workers = json!({ "0": worker("running", json!({ "0": { "head": 9, "lag": 0 } })) });
        let sinks = |worst: Value| {
            let others = json!({ "0": { "state": "in_step" }, "1": worst, "2": { "state": "opening" } });
            Report::read(&json!({ "workers": workers, "sinks": { "s": { "behind": 4, "workers": others } } })).unwrap()
        };
        let report = sinks(json!({ "state": "down", "why": "refused", "next_try": 1 }));
        assert_eq!((report.state, report.sinks[0].state), (State::Partly, Some(SinkState::Down)));
        assert_eq!(report.sinks[0].why.as_deref(), Some("refused"));
        let report = sinks(json!({ "state": "catching_up", "behind": 4, "done_in_seconds": 1.2 }));
        assert_eq!((report.state, report.sinks[0].state), (State::Running, Some(SinkState::CatchingUp)));
        assert_eq!(report.sinks[0].seconds_left, Some(2));
    }

    #[test]
    fn one_worker_that_waits_is_what_is_told() {
        let mut waits = worker("waiting", json!({}));
        waits["detail"] = json!("Kafka is away");
        let workers = json!({ "0": worker("running", json!({ "0": { "head": 1, "lag": null } })), "1": waits });
        let report = Report::read(&json!({ "workers": workers })).unwrap();
        assert_eq!((report.state, report.why.as_deref()), (State::Waiting, Some("Kafka is away")));
        assert_eq!(report.lag, None, "a lag that is not known in one partition is not known");
    }

    #[test]
    fn a_head_that_waits_for_a_sink_is_a_pipeline_that_waits() {
        let mut running = worker("running", json!({ "0": { "head": 1, "lag": 7 } }));
        running["head_waits_for"] = json!(["store"]);
        let sinks = json!({ "store": { "behind": null, "workers": { "0": { "state": "down", "why": "refused" } } } });
        let report = Report::read(&json!({ "workers": { "0": running }, "sinks": sinks })).unwrap();
        assert_eq!((report.state, report.waits_for.as_deref()), (State::Waiting, Some("store")));
        assert_eq!((report.lag, report.seconds), (Some(7), None), "since when it runs is not since when it waits");
        assert_eq!((report.sinks[0].state, report.sinks[0].behind), (Some(SinkState::Down), None));
    }

    #[test]
    fn trying_again_is_still_waiting_until_it_runs() {
        let waiting = Report { state: State::Waiting, why: Some("w".into()), ..Report::default() };
        let starting = Report { state: State::Starting, ..Report::default() };
        assert_eq!(starting.clone().after(&waiting).why.as_deref(), Some("w"));
        assert_eq!(starting.clone().after(&starting).state, State::Starting);
        let running = Report { state: State::Running, ..Report::default() };
        assert_eq!(running.after(&waiting).state, State::Running);
    }

    #[test]
    fn a_sink_is_not_in_step_because_nothing_is_known() {
        let status = json!({ "workers": { "0": worker("starting", json!({})) }, "sinks": { "s": { "behind": 0 } } });
        assert_eq!(Report::read(&status).unwrap().sinks[0].behind, None);
    }

    #[test]
    fn what_came_is_bounded_and_never_trusted() {
        assert!(Report::read(&json!([1])).is_err());
        let rejects: Map<_, _> = (0..100).map(|n| (format!("{n}/{}", "x".repeat(900)), json!(1))).collect();
        let status = json!({ "workers": { "0": 7 }, "sinks": 3, "lag": "x", "rejects": rejects });
        let report = Report::read(&status).unwrap();
        assert_eq!((report.state, report.rejects.len(), report.rejects_total), (State::Other, ENTRIES_MAX, 100));
        assert!(report.rejects.keys().all(|code| code.chars().count() == TEXT_CHARS_MAX + 1));
    }
}
