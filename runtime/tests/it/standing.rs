//! What a running pipeline says of itself is true in every state: in `/status`, `/metrics`, `top` and its log.

use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use millrace_embedded::Folder;
use serde_json::{Value, json};

use crate::embedded::Bed;
use crate::figures::{await_scrape, get};
use crate::flights::flights;
use crate::flow::free_address;
use crate::process::{PATIENCE, Process};

/// The shipped pipeline on a folder, and where it answers.
struct Watched {
    bed: Bed,
    listen: String,
}

impl Watched {
    fn new(test: &str) -> Watched {
        let mut bed = Bed::new(test);
        bed.toml = bed.toml.replace("roll_seconds_max = 60", "roll_seconds_max = 1");
        Watched { bed, listen: free_address() }
    }

    fn start(&self) -> Process {
        self.bed.start(&["--listen", &self.listen])
    }

    fn status(&self) -> Value {
        get(&self.listen, "/status").map_or(Value::Null, |text| serde_json::from_str(&text).unwrap())
    }

    /// Waits until the status is as wanted.
    fn await_status(&self, process: &mut Process, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.status();
            if wanted(&status) {
                return status;
            }
            process.must_run();
            assert!(Instant::now() < deadline, "it is {status:#}; said:\n{}", process.said());
        }
    }

    /// What `millrace top` draws once.
    fn top(&self) -> String {
        let drawn = Command::new(env!("CARGO_BIN_EXE_millrace")).args(["top", "--at", &self.listen]).output().unwrap();
        assert!(drawn.status.success(), "{}", String::from_utf8_lossy(&drawn.stderr));
        String::from_utf8(drawn.stdout).unwrap()
    }

    /// The store's position is about another topic: it stops.
    fn spoil_store(&self) {
        self.bed.spoil_store(|position| position.topic_uuid = "another".into());
    }

    /// A file where the archive's directory belongs: the sink cannot be opened until it is gone.
    fn block_archive(&self) -> PathBuf {
        let file = self.bed.data.join("hdfs/user");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "a file").unwrap();
        file
    }
}

fn state(status: &Value, sink: &str) -> Value {
    status["sinks"][sink]["workers"]["0"]["state"].clone()
}

/// The line of `top` that begins so; its last column is what is missing.
fn line<'t>(top: &'t str, beginning: &str) -> &'t str {
    top.lines().find(|line| line.starts_with(beginning)).unwrap_or_else(|| panic!("no {beginning:?} in:\n{top}"))
}

#[test]
fn how_far_a_sink_is_behind_is_unknown_where_its_position_is() {
    let watched = Watched::new("unknown");
    watched.bed.produce(&flights(10, "a").0);
    let mut process = watched.start();
    watched.bed.await_rows(10, &mut process);
    process.drain();
    watched.spoil_store();
    watched.bed.produce(&flights(20, "b").0);
    let mut process = watched.start();
    watched.bed.await_rows(30, &mut process);
    let status = watched.await_status(&mut process, |status| {
        state(status, "store") == "stopped" && status["sinks"]["responses"]["behind"] == 0
    });
    let store = &status["sinks"]["store"];
    assert_eq!((&store["behind"], &store["positions"]), (&Value::Null, &json!({})), "{status:#}");
    let series = await_scrape(&watched.listen, &mut process, |_| true).series;
    let known = |sink: &str| series.contains_key(&format!("millrace_sink_position{{sink=\"{sink}\",partition=\"0\"}}"));
    assert!(!known("store"), "{series:?}");

    let top = watched.top();
    assert!(line(&top, "sink store ").ends_with(" unknown"), "{top}");
    assert!(line(&top, "sink responses ").ends_with(" 0"), "{top}");
    assert!(line(&top, "sink store: stopped for ").contains("was deleted and made again"), "{top}");
    process.await_word("sink has stopped; the head does not wait for it sink=store");
    process.signal("TERM");
    let (code, said) = process.wait();
    assert_eq!(code, Some(1), "{said}");
}

#[test]
fn what_is_in_an_open_file_is_told_from_what_is_behind() {
    let mut watched = Watched::new("open-file");
    watched.bed.toml = watched.bed.toml.replace("roll_seconds_max = 1", "roll_seconds_max = 3000");
    watched.bed.produce(&flights(3, "a").0);
    let mut process = watched.start();
    let status = watched.await_status(&mut process, |status| {
        state(status, "archive") == "in_step" && status["sinks"]["archive"]["behind"] == 3
    });
    let within = |sink: &str| status["sinks"][sink]["publishes_within_seconds"].clone();
    assert_eq!((within("archive"), within("store")), (json!(3000), Value::Null));
    assert_eq!(status["stages"], json!(["distance", "features", "delay"]));
    let top = watched.top();
    let archive = line(&top, "sink archive: in step for ");
    assert!(archive.ends_with(", 3 messages in an open file, published within 3000 s"), "{top}");
    let at = |stage: &str| top.find(&format!("stage {stage}")).unwrap();
    assert!(at("distance") < at("features") && at("features") < at("delay"), "not in their order:\n{top}");
    process.drain();
}

#[test]
fn what_is_no_pipeline_is_said_to_be_none() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answers = ["404 Not Found\r\nContent-Length: 6\r\n\r\n<html>", "200 OK\r\nContent-Length: 2\r\n\r\n{}"];
    let serving = std::thread::spawn(move || {
        for answer in answers.into_iter().flat_map(|answer| [answer; 2]) {
            let (mut stream, _) = listener.accept().unwrap();
            // all of the request, or closing would throw the answer away
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.extend(byte);
            }
            stream.write_all(format!("HTTP/1.1 {answer}").as_bytes()).unwrap();
        }
    });
    for said in ["answered 404 Not Found", "answered no status of one"] {
        for command in ["status", "top"] {
            let done = Command::new(env!("CARGO_BIN_EXE_millrace")).args([command, "--at", &address]).output().unwrap();
            let words = String::from_utf8(done.stderr).unwrap();
            assert_eq!((done.status.code(), done.stdout.len()), (Some(1), 0), "{words}");
            assert!(words.contains(&format!("what listens at {address} is no millrace pipeline")), "{words}");
            assert!(words.contains(said), "{words}");
        }
    }
    serving.join().unwrap();
}

#[test]
fn a_head_that_waits_for_a_required_sink_says_so_and_its_lag_grows() {
    let mut watched = Watched::new("waits");
    watched.bed.toml = watched.bed.toml.replace("[sinks.archive]", "[sinks.archive]\nrequired = true");
    // so few that the reader, too, finds no room for all of them
    watched.bed.toml += "\n[batch]\nrows_max = 10\n";
    let blocked = watched.block_archive();
    let (messages, mut ids) = flights(200, "a");
    watched.bed.produce(&messages);
    let mut process = watched.start();
    let lag = |status: &Value| status["workers"]["0"]["partitions"]["0"]["lag"].clone();
    let waits_for = |status: &Value| status["workers"]["0"]["head_waits_for"].clone();
    let status = watched.await_status(&mut process, |status| {
        waits_for(status) == json!(["archive"]) && lag(status) == 200 && state(status, "archive") == "down"
    });
    assert_eq!(status["workers"]["0"]["state"], "running");
    // the log goes on while nobody reads it
    let (messages, more) = flights(30, "b");
    watched.bed.produce(&messages);
    ids.extend(more);
    watched.await_status(&mut process, |status| lag(status) == 230);
    let waiting = "millrace_head_waiting{sink=\"archive\"}";
    let figures =
        await_scrape(&watched.listen, &mut process, |scrape| scrape.series["millrace_lag{partition=\"0\"}"] == 230.0);
    assert_eq!(figures.series.get(waiting), Some(&1.0));
    let top = watched.top();
    assert!(line(&top, "messages, to the commit ").ends_with(" 230"), "{top}");
    assert!(line(&top, "worker 0: ").contains("waits for sink `archive`"), "{top}");
    let archive = line(&top, "sink archive: down for ");
    assert!(archive.contains("next try ") && archive.contains("a file is in the way"), "{top}");
    process.await_word("the head waits: a sink that is required does not take its rows sinks=archive");
    process.await_word("sink is down; it is tried again, and the head waits for it sink=archive");

    fs::remove_file(blocked).unwrap();
    process.await_word("the head goes on");
    watched.bed.await_rows(ids.len(), &mut process);
    let status = watched.await_status(&mut process, |status| lag(status) == 0 && state(status, "archive") == "in_step");
    assert_eq!(waits_for(&status), json!([]));
    assert_eq!(await_scrape(&watched.listen, &mut process, |_| true).series.get(waiting), Some(&0.0));
    assert!(line(&watched.top(), "sink archive: ").starts_with("sink archive: in step for "));
    let said = process.drain();
    for once in ["the head waits: ", "the head goes on"] {
        assert_eq!(said.matches(once).count(), 1, "{once:?} in {said}");
    }
    watched.bed.assert_exactly_once(&ids);
}

/// A sink that is required and stops takes the pipeline with it: the log says no other thing.
#[test]
fn a_required_sink_that_stops_ends_the_pipeline_and_the_log_says_so() {
    let mut watched = Watched::new("required-stops");
    watched.bed.toml =
        watched.bed.toml.replace("[sinks.store.mongodb]", "[sinks.store]\nrequired = true\n\n[sinks.store.mongodb]");
    watched.bed.produce(&flights(10, "a").0);
    let mut process = watched.start();
    watched.bed.await_stored(10, &mut process);
    process.drain();
    watched.spoil_store();
    watched.bed.produce(&flights(20, "b").0);
    let (code, said) = watched.start().wait();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("sink has stopped; it is required, so the pipeline ends sink=store"), "{said}");
    assert!(!said.contains("the others go on"), "{said}");
}

#[test]
fn rows_are_counted_once_when_a_sink_fails_and_catches_up() {
    let watched = Watched::new("fails");
    let (messages, ids) = flights(300, "f");
    let mut process = watched.start();
    watched.await_status(&mut process, |status| state(status, "archive") == "in_step");
    // it takes the rows, and finds out when it publishes them
    watched.bed.fence_archive();
    watched.bed.produce(&messages);
    process.await_word("sink is down");
    watched.bed.await_stored(ids.len(), &mut process);
    let figure = |sink: &str, what: &str| format!("millrace_sink_{what}_total{{sink=\"{sink}\"}}");
    let bytes: u64 = watched.bed.published().iter().map(|file| fs::metadata(file).unwrap().len()).sum();
    let rows = ids.len() as f64;
    let scrape = await_scrape(&watched.listen, &mut process, |scrape| {
        scrape.series.get(&figure("archive", "rows")).is_some_and(|&counted| counted >= rows)
    });
    for sink in ["responses", "store", "archive"] {
        assert_eq!(scrape.series.get(&figure(sink, "rows")), Some(&rows), "{sink}");
    }
    assert_eq!(scrape.series.get(&figure("archive", "bytes")), Some(&(bytes as f64)), "as the files have them");
    assert!(scrape.series[&figure("archive", "failures")] >= 1.0);
    let said = process.drain();
    assert!(said.contains("archive: 300 rows") && said.contains("store: 300 rows"), "{said}");
    watched.bed.assert_exactly_once(&ids);
}

#[test]
fn rows_and_rejects_are_counted_once_when_a_commit_of_the_head_fails() {
    let watched = Watched::new("commit-fails");
    let (mut messages, ids) = flights(50, "c");
    messages.push(b"{\"broken\"".to_vec());
    let mut process = watched.start();
    watched.await_status(&mut process, |status| state(status, "archive") == "in_step");
    watched.bed.produce_while_it_stands(&messages, &process);
    // somebody holds the file for longer than a commit waits
    let mut folder = Folder::open(&watched.bed.data).unwrap();
    let held = folder.begin().unwrap();
    process.signal("CONT");
    process.await_word("not running");
    drop(held);
    watched.bed.await_stored(ids.len(), &mut process);
    let rejects = "millrace_rejects_total{stage=\"source\",code=\"not_json\"}";
    let responses = "millrace_sink_rows_total{sink=\"responses\"}";
    let series = await_scrape(&watched.listen, &mut process, |scrape| scrape.series.contains_key(rejects)).series;
    assert_eq!((series.get(responses), series.get(rejects)), (Some(&50.0), Some(&1.0)), "{series:?}");
    let said = process.drain();
    assert!(said.contains("responses: 50 rows") && said.contains("1 rejected (source/not_json 1)"), "{said}");
    watched.bed.assert_exactly_once(&ids);
}

/// There is nothing to sum up, and the error is what to read.
#[test]
fn a_start_that_fails_has_no_summary() {
    let bed = Bed::new("no-summary");
    let mut first = bed.start(&[]);
    first.await_word("positions read");
    let (code, said) = bed.start(&[]).wait();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("is held by another millrace") && !said.contains("messages in"), "{said}");
    let said = first.drain();
    assert!(said.contains("0 messages in 0 transactions"), "one that ran has one: {said}");
}
