//! A pipeline on either ground, and the commands that look at it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use serde_json::Value;

use crate::embedded::Bed;
use crate::flow::rig::Rig;
use crate::process::{PATIENCE, Process, signal};

pub enum Stand {
    Services(Box<Rig>),
    Embedded(Bed),
}

impl Stand {
    pub fn services(test: &str) -> Stand {
        Stand::Services(Box::new(Rig::new(test, 1)))
    }

    pub fn embedded(test: &str) -> Stand {
        Stand::Embedded(Bed::new(test))
    }

    /// Replaces text in the pipeline file; it must be there.
    pub fn edit(&mut self, from: &str, to: &str) {
        match self {
            Stand::Services(rig) => rig.edit(from, to),
            Stand::Embedded(bed) => {
                assert!(bed.toml.contains(from), "{from} is not in\n{}", bed.toml);
                bed.toml = bed.toml.replace(from, to);
            }
        }
    }

    pub fn topic(&self, role: &str) -> String {
        match self {
            Stand::Services(rig) => rig.topic(role),
            Stand::Embedded(_) => format!("flight-delay-ml-{role}"),
        }
    }

    pub fn produce(&self, messages: &[Vec<u8>]) {
        match self {
            Stand::Services(rig) => rig.produce(messages),
            Stand::Embedded(bed) => bed.produce(messages),
        }
    }

    pub fn start(&self) -> Process {
        self.start_with(&[])
    }

    pub fn start_with(&self, options: &[&str]) -> Process {
        match self {
            Stand::Services(rig) => rig.start_with(options),
            Stand::Embedded(bed) => bed.start(options),
        }
    }

    pub fn await_responses(&self, count: usize, process: &mut Process) {
        match self {
            Stand::Services(rig) => drop(rig.await_records("response", count, process)),
            Stand::Embedded(bed) => bed.await_rows(count, process),
        }
    }

    pub fn await_stored(&self, count: usize, process: &mut Process) {
        match self {
            Stand::Services(rig) => rig.await_stored(count, process),
            Stand::Embedded(bed) => bed.await_stored(count, process),
        }
    }

    pub fn responses(&self) -> Vec<Value> {
        match self {
            Stand::Services(rig) => rig.responses(),
            Stand::Embedded(bed) => bed.consume("flight-delay-ml-response"),
        }
    }

    /// In the order of their flights.
    pub fn documents(&self) -> Vec<Value> {
        let mut documents = match self {
            Stand::Services(rig) => rig.documents().iter().map(|it| serde_json::to_value(it).unwrap()).collect(),
            Stand::Embedded(bed) => bed.documents(),
        };
        documents.sort_by_key(|document| document["UUID"].to_string());
        documents
    }

    pub fn archived(&self) -> Vec<Value> {
        match self {
            Stand::Services(rig) => rig.archived(),
            Stand::Embedded(bed) => bed.archived(),
        }
    }

    pub fn file(&self) -> PathBuf {
        let (folder, toml) = match self {
            Stand::Services(rig) => (&rig.folder, &rig.toml),
            Stand::Embedded(bed) => (&bed.folder, &bed.toml),
        };
        let (file, new) = (folder.join("pipeline.toml"), folder.join("pipeline.toml.new"));
        // a process that has just started may read it
        fs::write(&new, toml).unwrap();
        fs::rename(new, &file).unwrap();
        file
    }

    /// `millrace COMMAND FILE …` on this ground.
    pub fn command(&self, command: &str, arguments: &[&str]) -> Command {
        self.command_of(&[command, &self.file().display().to_string()], arguments)
    }

    /// `millrace COMMAND TOPIC …` on this ground.
    pub fn on_topic(&self, command: &str, role: &str, arguments: &[&str]) -> Command {
        self.command_of(&[command, &self.topic(role)], arguments)
    }

    /// `millrace COMMAND… …` on this ground.
    pub fn command_of(&self, command: &[&str], arguments: &[&str]) -> Command {
        let mut millrace = Command::new(env!("CARGO_BIN_EXE_millrace"));
        millrace.args(command).args(arguments);
        if let Stand::Embedded(bed) = self {
            millrace.arg("--embedded").arg(&bed.data);
        }
        millrace
    }

    pub fn explain(&self, message: &str) -> Value {
        serde_json::from_str(&good(&mut self.command("explain", &[message, "--json"]))).unwrap()
    }
}

/// What it writes to standard output, and a good end.
pub fn good(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

/// What it writes to standard error, and exit code 1.
pub fn bad(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert_eq!(status.code(), Some(1), "{}", String::from_utf8_lossy(&stdout));
    String::from_utf8(stderr).unwrap()
}

/// With these lines on standard input: what it writes to standard output, and a good end.
pub fn fed(command: &mut Command, lines: &str) -> String {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success());
    String::from_utf8(done.stdout).unwrap()
}

pub fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A command that goes on until it is told to end; its lines as they come.
pub struct Running {
    child: Child,
    out: Receiver<String>,
    err: Receiver<String>,
}

impl Running {
    pub fn start(mut command: Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (out, err) = (lines(child.stdout.take().unwrap()), lines(child.stderr.take().unwrap()));
        Running { child, out, err }
    }

    pub fn line(&mut self) -> Value {
        serde_json::from_str(&self.out.recv_timeout(PATIENCE).expect("a line")).unwrap()
    }

    /// The first line of standard error that is such a one.
    pub fn await_word(&mut self, is_it: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let line = self.err.recv_timeout(deadline.saturating_duration_since(Instant::now())).expect("such a word");
            if is_it(&line) {
                return line;
            }
        }
    }

    /// Ctrl-C, and a good end: the lines that were not looked at, and the last word.
    pub fn interrupt(mut self) -> (Vec<Value>, String) {
        signal(self.child.id(), "INT");
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        let lines = self.out.iter().map(|line| serde_json::from_str(&line).unwrap()).collect();
        (lines, self.err.iter().last().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // a test that failed leaves no process behind
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        BufReader::new(from).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    lines
}

/// `[rejects]` in a collection of this run.
pub fn collection(test: &str, uri: &str) -> String {
    let collection = format!("{test}-{}", std::process::id());
    format!("[rejects.mongodb]\nuri = \"{uri}\"\ndatabase = \"agile_data_science\"\ncollection = \"{collection}\"")
}

/// And in a directory.
pub fn directory(test: &str, uri: &str) -> String {
    let directory = format!("/millrace-test/{test}-{}", std::process::id());
    format!("[rejects.hdfs]\nuri = \"{uri}\"\ndirectory = \"{directory}\"\nroll_seconds_max = 1")
}
