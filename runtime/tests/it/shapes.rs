//! The example pipelines of each shape: in order, as their cases say, and exactly once on a folder, whatever a row
//! becomes.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use millrace::config;
use millrace::plan::{Plan, SinkPlan};
use serde_json::{Map, Value};

use crate::flights::repository;
use crate::process::{PATIENCE, Process};

fn files() -> Vec<PathBuf> {
    let folder = fs::read_dir(repository().join("examples/shapes")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = folder.filter(|path| path.extension().is_some_and(|kind| kind == "toml")).collect();
    files.sort();
    files
}

fn millrace(arguments: &[&str], file: &Path) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_millrace")).args(arguments).arg(file).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

fn lines(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn there_is_one_of_each_shape() {
    let names: Vec<_> = files().iter().map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["chain", "enrich", "explode", "filter", "route"]);
}

#[test]
fn each_is_in_order_and_does_what_its_cases_say() {
    for file in files() {
        let (code, said, odd) = millrace(&["check"], &file);
        assert_eq!((code, &*odd), (Some(0), ""), "{said}");
        let (code, said, odd) = millrace(&["test"], &file);
        assert_eq!((code, &*said), (Some(0), "orders: ok\n"), "{}: {odd}", file.display());
    }
}

/// A folder that a shape runs on.
struct Bed {
    file: PathBuf,
    plan: Plan,
    data: PathBuf,
}

impl Bed {
    fn new(file: &Path) -> Bed {
        let plan = config::check(file, &|_| None).unwrap_or_else(|wrong| panic!("{wrong}"));
        let data = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("shape-{}", plan.name));
        drop(fs::remove_dir_all(&data));
        Bed { file: file.to_owned(), plan, data }
    }

    fn start(&self) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
        command.arg("run").arg(&self.file).arg("--embedded").arg(&self.data);
        Process::start(command)
    }

    fn produce(&self, messages: &[u8]) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
        command.args(["produce", &self.plan.source.topic, "--embedded"]).arg(&self.data);
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(messages).unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// None where the topic is not there yet.
    fn consume(&self, topic: &str) -> Option<Vec<Value>> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
        let done = command.args(["consume", topic, "--embedded"]).arg(&self.data).output().unwrap();
        let text = String::from_utf8(done.stdout).unwrap();
        done.status.success().then(|| text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    }

    fn await_rows(&self, sink: &SinkPlan, count: usize, process: &mut Process) {
        let deadline = Instant::now() + PATIENCE;
        while self.consume(sink.topic().unwrap()).is_none_or(|rows| rows.len() < count) {
            process.must_run();
            assert!(Instant::now() < deadline, "said:\n{}", process.said());
        }
    }
}

/// Of the rows that leave the last stage, what a sink should have.
fn taken(plan: &Plan, sink: &SinkPlan, rows: &[Value]) -> Vec<Value> {
    let wanted = rows.iter().filter(|row| sink.when.as_ref().is_none_or(|when| row[when] == true));
    let columns: Vec<_> = sink.columns.iter().map(|&index| plan.schema.0[index].name.clone()).collect();
    let cut = |row: &Value| columns.iter().map(|name| (name.clone(), row[name].clone())).collect::<Map<_, _>>().into();
    wanted.map(cut).collect()
}

#[test]
fn each_runs_on_a_folder_exactly_once_through_a_kill() {
    for file in files() {
        let (bed, case) = (Bed::new(&file), file.with_extension("cases").join("orders"));
        let (rows, refused) = (lines(&case.join("out.jsonl")), lines(&case.join("rejects.jsonl")));
        assert!(!rows.is_empty());
        let sinks: Vec<_> = bed.plan.sinks.iter().map(|sink| (sink, taken(&bed.plan, sink, &rows))).collect();
        let messages = fs::read(case.join("in.jsonl")).unwrap();
        bed.produce(&messages);
        let mut process = bed.start();
        sinks.iter().for_each(|(sink, expected)| bed.await_rows(sink, expected.len(), &mut process));
        process.kill_nine();
        bed.produce(&messages);
        let mut process = bed.start();
        sinks.iter().for_each(|(sink, expected)| bed.await_rows(sink, 2 * expected.len(), &mut process));
        process.drain();
        for (sink, expected) in &sinks {
            let twice = [&expected[..], &expected[..]].concat();
            assert_eq!(bed.consume(sink.topic().unwrap()).unwrap(), twice, "{} of {}", sink.name, bed.plan.name);
        }
        let mut rejects = bed.consume(bed.plan.rejects.topic().unwrap()).unwrap_or_default();
        // within a batch they are there by stage
        rejects.sort_by_key(|reject| reject["offset"].as_i64());
        let codes: Vec<_> = rejects.iter().map(|reject| reject["code"].clone()).collect();
        let expected: Vec<_> = refused.iter().chain(&refused).map(|refused| refused["code"].clone()).collect();
        assert_eq!(codes, expected, "{}", bed.plan.name);
    }
}
