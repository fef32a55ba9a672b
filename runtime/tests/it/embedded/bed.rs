//! A pipeline of its own in a folder of its own, and eyes for every output.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Instant;

use millrace_embedded::{Folder, Position, Record};
use serde_json::Value;

use crate::flights::repository;
use crate::process::{PATIENCE, Process};

/// A message, and the `traceparent` that it comes with.
pub type Sent = (Vec<u8>, Option<String>);

/// Tests run side by side: two that are called alike would delete each other's folder.
static TAKEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// A pipeline of its own in a folder of its own.
pub struct Bed {
    pub folder: PathBuf,
    pub file: PathBuf,
    pub toml: String,
    /// The embedded folder.
    pub data: PathBuf,
}

impl Bed {
    /// The reference pipeline.
    pub fn new(test: &str) -> Bed {
        let root = repository();
        let toml = fs::read_to_string(root.join("pipelines/flight-delay.toml")).unwrap();
        Bed::of(test, toml.replace("\"../", &format!("\"{}/", root.display())))
    }

    pub fn of(test: &str, toml: String) -> Bed {
        assert!(TAKEN.lock().unwrap().insert(test.to_owned()), "two tests have the folder `{test}`");
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("embedded-{test}"));
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(&folder).unwrap();
        Bed { toml, file: folder.join("pipeline.toml"), data: folder.join("data"), folder }
    }

    /// `millrace run`, not started.
    pub fn run(&self, options: &[&str]) -> Command {
        fs::write(&self.file, &self.toml).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
        command.arg("run").arg(&self.file).arg("--embedded").arg(&self.data).args(options);
        command
    }

    pub fn start(&self, options: &[&str]) -> Process {
        Process::start(self.run(options))
    }

    /// As a user does: lines on standard input.
    pub fn produce(&self, messages: &[Vec<u8>]) {
        self.try_produce(messages).unwrap();
    }

    /// The pipeline stands still from here on, and where it holds no transaction, such as that of its documents or of a
    /// heartbeat: nobody else could write.
    pub fn produce_while_it_stands(&self, messages: &[Vec<u8>], process: &Process) {
        process.signal("STOP");
        while let Err(said) = self.try_produce(messages) {
            assert!(said.contains("another process writes"), "{said}");
            process.signal("CONT");
            let mut folder = Folder::open(&self.data).unwrap();
            drop(folder.begin().unwrap());
            process.signal("STOP");
        }
    }

    pub fn try_produce(&self, messages: &[Vec<u8>]) -> Result<(), String> {
        self.try_produce_to("flight-delay-ml-request", messages)
    }

    /// What it said, if it could not.
    pub fn try_produce_to(&self, topic: &str, messages: &[Vec<u8>]) -> Result<(), String> {
        let mut produce = Command::new(env!("CARGO_BIN_EXE_millrace"))
            .args(["produce", topic, "--embedded"])
            .arg(&self.data)
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = produce.stdin.take().unwrap();
        // it may end before it has read them all
        let written =
            messages.iter().try_for_each(|message| lines.write_all(message).and_then(|()| lines.write_all(b"\n")));
        drop(lines);
        let done = produce.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        match done.status.code() {
            Some(0) => written.map_err(|error| panic!("{error}; said: {said}")),
            Some(1) => Err(said),
            code => panic!("ended with {code:?}; said: {said}"),
        }
    }

    /// Into one partition, as another program does.
    pub fn append(&self, messages: &[Sent]) {
        let mut folder = Folder::open(&self.data).unwrap();
        let mut transaction = folder.begin().unwrap();
        let topic = transaction.topic("flight-delay-ml-request", 1, 1_000_000).unwrap();
        for (value, traceparent) in messages {
            let header = |text: &String| ("traceparent".to_owned(), text.clone().into_bytes());
            let headers: Vec<_> = traceparent.iter().map(header).collect();
            let record = Record { value: Some(value), headers: &headers, ..Record::default() };
            transaction.append(&topic, 0, [record]).unwrap();
        }
        transaction.commit().unwrap();
    }

    /// Values and headers of a topic's first partition.
    pub fn records(&self, topic: &str) -> Vec<(Value, BTreeMap<String, String>)> {
        let folder = Folder::open(&self.data).unwrap();
        let topic = folder.topic(topic).unwrap().unwrap();
        let messages = folder.read(&topic, 0, 0, 10_000, usize::MAX).unwrap();
        let texts = |headers: millrace_embedded::Headers| {
            headers.into_iter().map(|(name, value)| (name, String::from_utf8(value).unwrap())).collect()
        };
        let shown = |message: millrace_embedded::Message| {
            (serde_json::from_slice(&message.value.unwrap()).unwrap(), texts(message.headers))
        };
        messages.into_iter().map(shown).collect()
    }

    pub fn consume(&self, topic: &str) -> Vec<Value> {
        let consumed = Command::new(env!("CARGO_BIN_EXE_millrace"))
            .args(["consume", topic, "--embedded"])
            .arg(&self.data)
            .output()
            .unwrap();
        assert!(consumed.status.success(), "{}", String::from_utf8_lossy(&consumed.stderr));
        let text = String::from_utf8(consumed.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub fn documents(&self) -> Vec<Value> {
        let folder = Folder::open(&self.data).unwrap();
        let documents = folder.documents("agile_data_science.flight_delay_ml_response").unwrap();
        documents.into_iter().map(|(_, json)| serde_json::from_str(&json).unwrap()).collect()
    }

    pub fn published(&self) -> Vec<PathBuf> {
        files(&self.data.join("hdfs/user/flight_predictions"))
    }

    /// As another writer would: whoever had the token is fenced.
    pub fn fence_archive(&self) {
        let tokens =
            self.data.join("hdfs/user/flight_predictions/_millrace/flight-delay-archive/flight-delay-ml-request-0");
        let token = fs::read_dir(&tokens).unwrap().next().unwrap().unwrap().path();
        fs::rename(&token, tokens.join("somebody-elses")).unwrap();
    }

    pub fn archived(&self) -> Vec<Value> {
        lines(&self.published())
    }

    /// Runs until as many rows are in the response topic, and everything is drained.
    pub fn run_until(&self, rows: usize) -> String {
        let mut process = self.start(&[]);
        self.await_rows(rows, &mut process);
        process.drain()
    }

    /// Somebody changes the store's position by hand.
    pub fn spoil_store(&self, change: impl FnOnce(&mut Position)) {
        let (sink, topic) = ("flight-delay/store", "flight-delay-ml-request");
        let mut folder = Folder::open(&self.data).unwrap();
        let mut transaction = folder.begin().unwrap();
        let mut position = transaction.position(sink, topic, 0).unwrap().unwrap();
        let from = position.next;
        change(&mut position);
        transaction.move_position(sink, topic, 0, Some(from), &position).unwrap();
        transaction.commit().unwrap();
    }

    pub fn await_rows(&self, count: usize, process: &mut Process) {
        self.await_records("flight-delay-ml-response", count, process);
    }

    pub fn await_records(&self, topic: &str, count: usize, process: &mut Process) {
        let deadline = Instant::now() + PATIENCE;
        let folder = Folder::open(&self.data).unwrap();
        let mut wake = folder.wake().unwrap();
        while self.consumed(&folder, topic) < count {
            process.must_run();
            assert!(Instant::now() < deadline, "said:\n{}", process.said());
            wake.wait(PATIENCE / 100);
        }
    }

    /// A sink that is behind when the pipeline drains goes on only at the next start. Files must roll by time for this.
    pub fn await_stored(&self, count: usize, process: &mut Process) {
        let deadline = Instant::now() + PATIENCE;
        while self.documents().len() < count || self.archived().len() < count {
            process.must_run();
            assert!(Instant::now() < deadline, "said:\n{}", process.said());
        }
    }

    fn consumed(&self, folder: &Folder, topic: &str) -> usize {
        let Some(topic) = folder.topic(topic).unwrap() else { return 0 };
        (0..topic.partitions).map(|partition| folder.extent(&topic, partition).unwrap().end as usize).sum()
    }

    pub fn assert_exactly_once(&self, expected: &BTreeSet<String>) {
        let responses = answers(self.consume("flight-delay-ml-response"), expected);
        assert_eq!(responses, answers(self.documents(), expected), "the collection's answers");
        assert_eq!(responses, answers(self.archived(), expected), "the directory's answers");
    }
}

/// Of a directory, in the order of their names.
pub fn files(directory: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(directory).into_iter().flatten().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.is_file()).collect();
    files.sort();
    files
}

pub fn lines(files: &[PathBuf]) -> Vec<Value> {
    let texts = files.iter().map(|file| fs::read_to_string(file).unwrap());
    texts.flat_map(|text| text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<_>>()).collect()
}

fn answers(rows: Vec<Value>, expected: &BTreeSet<String>) -> BTreeMap<String, Value> {
    let total = rows.len();
    let answers: BTreeMap<_, _> = rows.into_iter().map(|row| (row["UUID"].as_str().unwrap().to_owned(), row)).collect();
    assert_eq!(answers.keys().cloned().collect::<BTreeSet<_>>(), *expected, "losses, or rows that nobody asked for");
    assert_eq!(total, answers.len(), "rows that are there twice");
    answers
}
