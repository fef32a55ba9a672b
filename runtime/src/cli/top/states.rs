//! How each worker and each sink is, in words: what a person needs who wonders why rows do not come.

use std::fmt::Write as _;

use millrace::clock::now_seconds;
use millrace::words::counted;
use serde_json::Value;

/// In the order in which rows go through them.
pub fn stages(status: &Value) -> Vec<String> {
    status["stages"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// A figure that may be null: nobody knows it then.
pub fn known(figure: &Value) -> String {
    figure.as_i64().map_or_else(|| "unknown".into(), |figure| figure.to_string())
}

pub fn workers(status: &Value, out: &mut String) {
    for (worker, now) in entries(&status["workers"]) {
        let partitions = now["partitions"].as_object().map_or(0, serde_json::Map::len);
        let state = now["state"].as_str().unwrap_or("?");
        let detail = now["detail"].as_str().map_or(String::new(), |detail| format!(": {detail}"));
        let sinks = now["head_waits_for"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let waits: String =
            sinks.map(|sink| format!(", its head waits for sink `{sink}`, which is required")).collect();
        // writing to a String does not fail
        let _ = writeln!(out, "worker {worker}: {state}, {}{waits}{detail}", counted(partitions, "partition"));
    }
}

/// A line for each sink and worker; which worker, where there are several.
pub fn sinks(status: &Value, out: &mut String) {
    let several = entries(&status["workers"]).count() > 1;
    for (name, sink) in entries(&status["sinks"]) {
        if sink["kind"] == "kafka" {
            let _ = writeln!(out, "sink {name}: in the head's transaction");
            continue;
        }
        let mut is_open = false;
        for (worker, work) in entries(&sink["workers"]) {
            is_open = true;
            let whose = if several { format!(", worker {worker}") } else { String::new() };
            let _ = writeln!(out, "sink {name}{whose}: {}{}", state(work, now_seconds()), in_files(sink, work));
        }
        if !is_open {
            let _ = writeln!(out, "sink {name}: not open, no worker reads");
        }
    }
}

/// What a sink lags: what one in step has in an open file is no lag, and is said as that.
pub fn behind(sink: &Value) -> String {
    let mut work = entries(&sink["workers"]).map(|(_, work)| work).peekable();
    let is_in_step = work.peek().is_some() && work.all(|work| work["state"] == "in_step");
    match (open(sink), is_in_step) {
        (Some((rows, _)), true) => format!("{rows} open"),
        _ => known(&sink["behind"]),
    }
}

/// What a sink in step has taken, and nobody sees yet.
fn in_files(sink: &Value, work: &Value) -> String {
    match open(sink).filter(|_| work["state"] == "in_step") {
        Some((rows, seconds)) => {
            format!(", {} in an open file, published within {seconds} s", counted(rows, "message"))
        }
        None => String::new(),
    }
}

/// Messages that a sink of files is behind, and within how many seconds it publishes them.
fn open(sink: &Value) -> Option<(i64, u64)> {
    let rows = sink["behind"].as_i64().filter(|rows| *rows > 0)?;
    Some((rows, sink["publishes_within_seconds"].as_u64()?))
}

fn state(work: &Value, now: u64) -> String {
    let since =
        work["since"].as_u64().map_or(String::new(), |since| format!(" for {}", duration(now.saturating_sub(since))));
    let why = work["why"].as_str().unwrap_or("it does not say why");
    match work["state"].as_str().unwrap_or("?") {
        "in_step" => format!("in step{since}"),
        "catching_up" => format!("catching up{since}, {} behind{}", known(&work["behind"]), speed(work)),
        "down" => {
            let left = work["next_try"].as_u64().map(|next| next.saturating_sub(now));
            let next = match left {
                None | Some(0) => "now".into(),
                Some(left) => format!("in {}", duration(left)),
            };
            format!("down{since}, next try {next}: {why}")
        }
        "stopped" => format!("stopped{since}: {why}"),
        other => format!("{other}{since}"),
    }
}

/// How fast, and when it is done, as far as that was measured.
fn speed(work: &Value) -> String {
    let rate = work["rows_per_second"].as_f64().map(|rate| format!(", {rate:.0} rows/s"));
    let left = work["done_in_seconds"].as_f64().map(|left| format!(", done in {}", duration(left.ceil() as u64)));
    [rate, left].into_iter().flatten().collect()
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3_600),
    }
}

fn entries(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    object.as_object().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_state_says_what_a_person_asks_next() {
        for (work, said) in [
            (json!({ "state": "opening", "since": 995 }), "opening for 5 s"),
            (json!({ "state": "in_step", "since": 0 }), "in step for 16 min"),
            (
                json!({ "state": "catching_up", "since": 990, "behind": 800, "rows_per_second": 120.4, "done_in_seconds": 6.2 }),
                "catching up for 10 s, 800 behind, 120 rows/s, done in 7 s",
            ),
            (
                json!({ "state": "catching_up", "since": 1000, "behind": 800, "rows_per_second": null, "done_in_seconds": null }),
                "catching up for 0 s, 800 behind",
            ),
            (
                json!({ "state": "down", "since": 880, "why": "refused", "next_try": 1003 }),
                "down for 2 min, next try in 3 s: refused",
            ),
            (
                json!({ "state": "down", "since": 999, "why": "refused", "next_try": 998 }),
                "down for 1 s, next try now: refused",
            ),
            (json!({ "state": "stopped", "since": 1000, "why": "made again" }), "stopped for 0 s: made again"),
        ] {
            assert_eq!(state(&work, 1000), said);
        }
    }

    #[test]
    fn workers_are_named_where_there_are_several() {
        let work = |since: u64| json!({ "state": "in_step", "since": since });
        let status = |workers: Value| {
            let sinks = json!({ "k": { "kind": "kafka", "workers": {} }, "s": { "kind": "hdfs", "workers": workers } });
            json!({ "workers": workers, "sinks": sinks })
        };
        let drawn = |status: &Value| {
            let mut out = String::new();
            sinks(status, &mut out);
            out
        };
        let since = now_seconds() + 9;
        assert_eq!(
            drawn(&status(json!({ "0": work(since) }))),
            "sink k: in the head's transaction\nsink s: in step for 0 s\n"
        );
        let two = drawn(&status(json!({ "0": work(since), "1": work(since) })));
        assert!(two.ends_with("sink s, worker 0: in step for 0 s\nsink s, worker 1: in step for 0 s\n"), "{two}");
        assert!(drawn(&status(json!({}))).ends_with("sink s: not open, no worker reads\n"));
    }
}
