//! Streams that take no more: a reader that has gone (`millrace … | head -1`) ends a command well, a full disk is an error,
//! and nothing is a panic. Every command of the program is tried: it says itself which there are.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Write, pipe};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use serde_json::Value;

use crate::embedded::Bed;
use crate::flights::{flights, repository};
use crate::flow::rig::Rig;
use crate::process::{PATIENCE, signal};

/// Of a command that has no results, and says what it does on standard error.
const SILENT: &[&str] = &["man", "new plugin", "replay", "run"];

/// Every command, those of commands too: each has a manual page.
pub fn commands(folder: &Path) -> Vec<String> {
    let pages = folder.join("man");
    let made = Command::new(env!("CARGO_BIN_EXE_millrace")).arg("man").arg(&pages).output().unwrap();
    assert!(made.status.success());
    let names = fs::read_dir(pages).unwrap().map(|page| page.unwrap().file_name().into_string().unwrap());
    let names = names.map(|name| name.strip_suffix(".1").unwrap().replace('-', " "));
    let mut commands: Vec<_> = names.filter_map(|name| Some(name.strip_prefix("millrace ")?.to_owned())).collect();
    commands.sort();
    assert!(commands.len() > 15, "{commands:?}");
    commands
}

#[derive(Clone, Copy, Debug)]
enum To {
    Gone,
    Full,
}

fn stream(to: To) -> Stdio {
    match to {
        To::Full => File::options().write(true).open("/dev/full").unwrap().into(),
        To::Gone => {
            let (reader, writer) = pipe().unwrap();
            drop(reader);
            writer.into()
        }
    }
}

#[derive(Clone)]
struct Call {
    arguments: Vec<String>,
    input: &'static str,
}

impl Call {
    fn new(arguments: &[&str]) -> Call {
        Call { arguments: arguments.iter().map(|word| (*word).to_owned()).collect(), input: "" }
    }

    fn made(&self, out: impl Into<Stdio>, err: impl Into<Stdio>) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
        command.args(&self.arguments).stdin(Stdio::piped()).stdout(out).stderr(err);
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(self.input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    fn said_to(&self, to: To) -> (Option<i32>, String) {
        let done = self.made(stream(to), Stdio::piped());
        (done.status.code(), format!("{:?}, {to:?}:\n{}", self.arguments, String::from_utf8(done.stderr).unwrap()))
    }

    fn assert_error(&self) {
        let (code, said) = self.said_to(To::Full);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("error: writing to standard output: No space left on device"), "{said}");
    }

    fn assert_well(&self) {
        let (code, said) = self.said_to(To::Gone);
        assert_eq!(code, Some(0), "{said}");
        assert!(!said.contains("error: "), "{said}");
        // as with `2>&1 | head -1`
        let done = self.made(stream(To::Gone), stream(To::Gone));
        assert_eq!(done.status.code(), Some(0), "{:?}, both streams", self.arguments);
    }
}

fn await_documents(bed: &Bed, count: usize, mut must_run: impl FnMut()) {
    let deadline = Instant::now() + PATIENCE;
    while bed.documents().len() < count {
        must_run();
        assert!(Instant::now() < deadline);
    }
}

/// Of the pipeline that runs on `bed`.
fn calls(bed: &Bed, listen: &str) -> BTreeMap<&'static str, Call> {
    let (file, data) = (bed.file.to_str().unwrap(), bed.data.to_str().unwrap());
    let [plugin, sample, cases] =
        ["plugins/flight-features", "examples/flight-delay/sample.jsonl", "pipelines/flight-delay.cases"]
            .map(|path| repository().join(path));
    let [plugin, sample, cases] = [&plugin, &sample, &cases].map(|path| path.to_str().unwrap());
    let (training, renewed) = (training(bed), bed.folder.join("renewed"));
    fs::create_dir_all(&renewed).unwrap();
    fs::write(renewed.join("main.py"), "").unwrap();
    let renewed = renewed.to_str().unwrap();
    let mut calls = BTreeMap::from([
        ("check", Call::new(&["check", file])),
        ("completions", Call::new(&["completions", "bash"])),
        ("consume", Call::new(&["consume", "flight-delay-ml-response", "--embedded", data])),
        ("doctor", Call::new(&["doctor", file, "--embedded", data])),
        ("explain", Call::new(&["explain", file, "0:0", "--embedded", data])),
        ("graph", Call::new(&["graph", file])),
        ("plugin bench", Call::new(&["plugin", "bench", plugin, "--milliseconds", "1", "--rows", sample])),
        ("plugin build", Call::new(&["plugin", "build", plugin])),
        ("plugin inspect", Call::new(&["plugin", "inspect", plugin])),
        ("plugin renew", Call::new(&["plugin", "renew", renewed])),
        ("plugin test", Call::new(&["plugin", "test", "--no-build", plugin])),
        ("positions show", Call::new(&["positions", "show", file, "--embedded", data])),
        ("produce", Call::new(&["produce", "lines", "--positions", "--embedded", data])),
        ("ready", Call::new(&["ready", "--at", listen])),
        ("rejects resend", Call::new(&["rejects", "resend", file, "--dry-run", "--embedded", data])),
        ("rejects show", Call::new(&["rejects", "show", file, "--embedded", data])),
        ("schema", Call::new(&["schema"])),
        ("status", Call::new(&["status", "--at", listen])),
        (
            "tap",
            Call::new(&["tap", file, "--at", "source", "--from", "earliest", "--rows-max", "5", "--embedded", data]),
        ),
        ("test", Call::new(&["test", file, "--cases", cases])),
        ("top", Call::new(&["top", "--at", listen])),
        ("train", Call::new(&["train", training.to_str().unwrap()])),
    ]);
    calls.get_mut("produce").unwrap().input = "1\n2\n3\n";
    calls
}

/// A pipeline whose model learns from few flights, and is its own.
fn training(bed: &Bed) -> PathBuf {
    let model = bed.folder.join("model");
    let mut toml = bed.toml.clone();
    for (from, to) in [
        (format!("{}/examples/flight-delay/model", repository().display()), model.display().to_string()),
        ("flights.jsonl".into(), "sample.jsonl".into()),
        ("rounds = 100".into(), "rounds = 2".into()),
    ] {
        assert!(toml.contains(&from), "{from} is not in\n{toml}");
        toml = toml.replace(&from, &to);
    }
    let file = bed.folder.join("training.toml");
    fs::write(&file, toml).unwrap();
    file
}

#[test]
fn every_command_outlives_whoever_reads_it() {
    let bed = Bed::new("output");
    let mut messages = flights(50, "o").0;
    messages.insert(0, b"{".to_vec());
    bed.produce(&messages);
    let listen = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().to_string()
    };
    let mut process = bed.start(&["--listen", &listen]);
    await_documents(&bed, 50, || process.must_run());
    let calls = calls(&bed, &listen);
    for call in calls.values() {
        call.assert_error();
        call.assert_well();
    }
    process.drain();
    assert_eq!(bed.consume("lines").len(), 9, "produce sends its lines whoever reads their positions");

    let (file, data) = (bed.file.to_str().unwrap(), bed.data.to_str().unwrap());
    let position = || {
        let shown = Call::new(&["positions", "show", file, "--json", "--embedded", data]);
        let shown: Value = serde_json::from_slice(&shown.made(Stdio::piped(), Stdio::piped()).stdout).unwrap();
        shown["partitions"][0]["sinks"]["store"]["position"].as_i64()
    };
    let reset = ["positions", "reset", file, "--sink", "store", "--to", "10", "--embedded", data, "--yes"];
    let reset = Call::new(&reset);
    reset.assert_error();
    assert_eq!(position(), Some(51), "what could not be said was done");
    reset.assert_well();
    assert_eq!(position(), Some(10));

    let rig = Rig::new("output", 1);
    let create = Call::new(&["topics", "create", rig.file().to_str().unwrap()]);
    create.assert_error();
    create.assert_well();

    let mut tried: Vec<_> =
        calls.into_keys().chain(["positions reset", "topics create"]).chain(SILENT.iter().copied()).collect();
    tried.sort_unstable();
    let commands = commands(&bed.folder);
    let is_group = |name: &String| commands.iter().any(|other| other.starts_with(&format!("{name} ")));
    let acting: Vec<_> = commands.iter().filter(|name| !is_group(name)).collect();
    assert_eq!(acting, tried, "a command that this test does not know, or that is no more");
}

#[test]
fn help_of_every_command_outlives_whoever_reads_it() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("output-help");
    drop(fs::remove_dir_all(&folder));
    let mut commands = commands(&folder);
    commands.push(String::new());
    for command in commands {
        let words: Vec<_> = command.split_whitespace().chain(["--help"]).collect();
        Call::new(&words).assert_error();
        Call::new(&words).assert_well();
    }
    Call::new(&["--version"]).assert_error();
}

#[test]
fn a_failure_keeps_its_exit_code_whoever_hears_of_it() {
    for (arguments, expected) in [(vec!["check", "/nowhere.toml"], 1), (vec!["check", "--unknown"], 2)] {
        for to in [To::Gone, To::Full] {
            let done = Call::new(&arguments).made(stream(To::Gone), stream(to));
            assert_eq!(done.status.code(), Some(expected), "{arguments:?} {to:?}");
        }
    }
}

/// The log of a pipeline on a full disk, or behind a pipe that nobody reads, is no reason to stop.
#[test]
fn a_pipeline_whose_log_cannot_be_written_goes_on() {
    let bed = Bed::new("output-log");
    for (begin, to) in [(0, To::Gone), (20, To::Full)] {
        bed.produce(&flights(20, &format!("l{begin}")).0);
        let mut child = bed.run(&[]).stdout(Stdio::null()).stderr(stream(to)).spawn().unwrap();
        await_documents(&bed, begin + 20, || assert_eq!(child.try_wait().unwrap(), None, "{to:?}"));
        signal(child.id(), "TERM");
        assert_eq!(child.wait().unwrap().code(), Some(0), "{to:?}");
    }
}
