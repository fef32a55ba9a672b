//! The example pipelines of each shape: in order, as their cases say, and exactly once on a folder, whatever a row
//! becomes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

use millrace::config;
use millrace::plan::{MongodbPlan, Plan, SinkKind, SinkPlan};
use millrace_embedded::Folder;
use serde_json::{Map, Value};

use crate::embedded::Bed;
use crate::flights::repository;
use crate::process::{PATIENCE, Process};

fn files() -> Vec<PathBuf> {
    let folder = fs::read_dir(repository().join("examples/shapes")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = folder.filter(|path| path.extension().is_some_and(|kind| kind == "toml")).collect();
    files.sort();
    files
}

fn stem(file: &Path) -> &str {
    file.file_stem().unwrap().to_str().unwrap()
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
    let names: Vec<_> = files().iter().map(|file| stem(file).to_owned()).collect();
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

/// So that a kill can meet rows on their way: as it stands, a shape does all of them in one transaction.
const SMALL_STEPS: &str = "\n[batch]\nrows_max = 16\n\n[commit]\nrows_max = 32\n";

/// A shape, in small steps, on a folder.
struct Shape {
    bed: Bed,
    plan: Plan,
}

impl Shape {
    fn new(file: &Path) -> Shape {
        let toml = fs::read_to_string(file).unwrap().replace("\"../../", &format!("\"{}/", repository().display()));
        let beside = format!("table = \"{}/", file.parent().unwrap().display());
        let bed = Bed::of(&format!("shape-{}", stem(file)), toml.replace("table = \"", &beside) + SMALL_STEPS);
        fs::write(&bed.file, &bed.toml).unwrap();
        let plan = config::check(&bed.file, &|_| None).unwrap_or_else(|wrong| panic!("{wrong}"));
        Shape { bed, plan }
    }

    fn produce(&self, messages: &[Vec<u8>]) {
        self.bed.try_produce_to(&self.plan.source.topic, messages).unwrap();
    }

    /// By what an `_id` has behind pipeline and topic: partition, offset, and from a message's second row on its index.
    fn documents(&self, plan: &MongodbPlan) -> BTreeMap<String, Value> {
        let documents = Folder::open(&self.bed.data).unwrap().documents(&plan.namespace()).unwrap();
        let place = |id: &str| id.splitn(3, '/').nth(2).unwrap().to_owned();
        documents.iter().map(|(id, json)| (place(id), serde_json::from_str(json).unwrap())).collect()
    }

    fn rows(&self, sink: &SinkPlan) -> usize {
        match &sink.kind {
            SinkKind::Kafka { topic, .. } => {
                let folder = Folder::open(&self.bed.data).unwrap();
                folder.topic(topic).unwrap().map_or(0, |topic| folder.extent(&topic, 0).unwrap().end as usize)
            }
            SinkKind::Mongodb(plan) => self.documents(plan).len(),
            SinkKind::Hdfs(_) => unimplemented!("no shape writes files"),
        }
    }

    fn await_rows(&self, sink: &SinkPlan, count: usize, process: &mut Process) {
        let deadline = Instant::now() + PATIENCE;
        while self.rows(sink) < count {
            process.must_run();
            assert!(Instant::now() < deadline, "said:\n{}", process.said());
        }
    }

    /// What is there is this and no more: a topic in order, a collection under the places of its rows.
    fn assert_is(&self, sink: &SinkPlan, expected: &[Row]) {
        let of = format!("{} of {}", sink.name, self.plan.name);
        match &sink.kind {
            SinkKind::Kafka { topic, .. } => {
                let rows: Vec<_> = expected.iter().map(|row| row.value.clone()).collect();
                assert_eq!(self.bed.consume(topic), rows, "{of}");
            }
            SinkKind::Mongodb(plan) => {
                let place = |row: &Row| match row.index {
                    0 => format!("0/{}", row.offset),
                    index => format!("0/{}/{index}", row.offset),
                };
                let rows: BTreeMap<_, _> = expected.iter().map(|row| (place(row), row.value.clone())).collect();
                assert_eq!(rows.len(), expected.len(), "{of}");
                assert_eq!(self.documents(plan), rows, "{of}");
            }
            SinkKind::Hdfs(_) => unimplemented!("no shape writes files"),
        }
    }
}

/// A row, the offset of its message, and which of that message's rows it is.
#[derive(Clone)]
struct Row {
    offset: usize,
    index: usize,
    value: Value,
}

/// The rows of a case that leave the last stage. A message's `id`, which each of its rows has, says whose they are.
fn rows_of(case: &Path) -> Vec<Row> {
    let ids: Vec<_> = lines(&case.join("in.jsonl")).iter().map(|message| message["id"].clone()).collect();
    let mut seen = vec![0; ids.len()];
    let row = |value: Value| {
        let offset = ids.iter().position(|id| *id == value["id"]).unwrap();
        seen[offset] += 1;
        Row { offset, index: seen[offset] - 1, value }
    };
    lines(&case.join("out.jsonl")).into_iter().map(row).collect()
}

/// Of these rows, what a sink should have.
fn taken(plan: &Plan, sink: &SinkPlan, rows: &[Row]) -> Vec<Row> {
    let wanted = rows.iter().filter(|row| sink.when.as_ref().is_none_or(|when| row.value[when] == true));
    let columns: Vec<_> = sink.columns.iter().map(|&index| plan.schema.0[index].name.clone()).collect();
    let cut = |row: &Row| {
        let value = columns.iter().map(|name| (name.clone(), row.value[name].clone())).collect::<Map<_, _>>();
        Row { value: value.into(), ..row.clone() }
    };
    wanted.map(cut).collect()
}

/// The same messages `times` times, one after the other.
fn repeated(rows: &[Row], messages: usize, times: usize) -> Vec<Row> {
    let later = |time: usize| rows.iter().map(move |row| Row { offset: row.offset + time * messages, ..row.clone() });
    (0..times).flat_map(later).collect()
}

/// A case, so many times between two kills.
const REPEATED: usize = 300;

/// Killed at once, after the first row of a sink, and after the last: by the end each row is there once.
#[test]
fn each_runs_on_a_folder_exactly_once_through_kills() {
    let mut midway = 0;
    for file in files() {
        let (shape, case) = (Shape::new(&file), file.with_extension("cases").join("orders"));
        let (rows, refused) = (rows_of(&case), lines(&case.join("rejects.jsonl")));
        let messages = fs::read_to_string(case.join("in.jsonl")).unwrap();
        let messages: Vec<_> = messages.lines().map(|line| line.as_bytes().to_vec()).collect();
        let count = messages.len();
        let sinks: Vec<_> = shape.plan.sinks.iter().map(|sink| (sink, taken(&shape.plan, sink, &rows))).collect();
        assert!(sinks.iter().all(|(_, rows)| !rows.is_empty()));
        // where a process is killed: before it can have done much, in the middle, and when nothing is left to do
        for (round, (awaited, share)) in [(0, 0), (1, 1), (sinks.len(), REPEATED)].into_iter().enumerate() {
            shape.produce(&vec![messages.clone(); REPEATED].concat());
            let mut process = shape.bed.start(&[]);
            process.await_word("positions read");
            for (sink, rows) in &sinks[..awaited] {
                shape.await_rows(sink, rows.len() * (round * REPEATED + share), &mut process);
            }
            process.kill_nine();
            let done = |(sink, rows): &(&SinkPlan, Vec<Row>)| shape.rows(sink) == rows.len() * REPEATED * (round + 1);
            midway += usize::from(share == 1 && !sinks.iter().all(done));
        }
        shape.produce(&messages);
        let times = 3 * REPEATED + 1;
        let mut process = shape.bed.start(&[]);
        sinks.iter().for_each(|(sink, rows)| shape.await_rows(sink, times * rows.len(), &mut process));
        process.drain();
        for (sink, rows) in &sinks {
            shape.assert_is(sink, &repeated(rows, count, times));
        }
        let mut rejects = shape.bed.consume(shape.plan.rejects.topic().unwrap());
        // within a batch they are there by stage
        rejects.sort_by_key(|reject| reject["offset"].as_i64());
        let found: Vec<_> = rejects.iter().map(|reject| (reject["offset"].as_u64(), reject["code"].clone())).collect();
        let place =
            |time: usize, refused: &Value| refused["line"].as_u64().map(|line| line - 1 + (time * count) as u64);
        let expected = (0..times).flat_map(|time| refused.iter().map(move |of| (place(time, of), of["code"].clone())));
        assert_eq!(found, expected.collect::<Vec<_>>(), "{}", shape.plan.name);
    }
    assert!(midway > 0, "no kill has met rows on their way");
}
