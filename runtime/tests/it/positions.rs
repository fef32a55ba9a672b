//! `millrace positions` as a person calls it, and what it says.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::process::on_a_terminal;

/// A pipeline's file, and where it runs.
pub struct Positions<'a> {
    pub file: &'a Path,
    /// `--embedded DIR`, or nothing.
    pub ground: Vec<String>,
    /// `--state DIR`, or nothing.
    pub state: Vec<String>,
}

pub struct Answer {
    pub code: Option<i32>,
    pub out: String,
    pub said: String,
}

impl Answer {
    fn of(output: Output) -> Answer {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Answer { code: output.status.code(), out: text(output.stdout), said: text(output.stderr) }
    }

    /// It failed, moved nothing, and said all of this.
    pub fn assert_refused(&self, words: &[&str]) {
        assert_eq!(self.code, Some(1), "{}\n{}", self.out, self.said);
        let missing: Vec<_> = words.iter().filter(|word| !self.said.contains(**word)).collect();
        assert!(missing.is_empty(), "{missing:?} is not in:\n{}", self.said);
    }

    /// It is done, and printed all of this.
    pub fn assert_done(&self, words: &[&str]) {
        assert_eq!(self.code, Some(0), "{}\n{}", self.out, self.said);
        let missing: Vec<_> = words.iter().filter(|word| !self.out.contains(**word)).collect();
        assert!(missing.is_empty(), "{missing:?} is not in:\n{}", self.out);
    }
}

impl Positions<'_> {
    fn command(&self, act: &str, options: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
        command.args(["positions", act]).arg(self.file).args(&self.ground).args(options);
        command.stdin(Stdio::null());
        command
    }

    pub fn answer(&self, act: &str, options: &[&str]) -> Answer {
        Answer::of(self.command(act, options).output().unwrap())
    }

    pub fn show(&self) -> Value {
        let answer = self.answer("show", &["--json"]);
        answer.assert_done(&[]);
        serde_json::from_str(&answer.out).unwrap()
    }

    pub fn table(&self) -> String {
        let answer = self.answer("show", &[]);
        answer.assert_done(&[]);
        answer.out
    }

    pub fn reset(&self, options: &[&str]) -> Answer {
        Answer::of(self.command("reset", options).args(&self.state).output().unwrap())
    }

    /// With a terminal, on which somebody types.
    pub fn reset_on_a_terminal(&self, options: &[&str], typed: &str) -> Answer {
        let mut command = self.command("reset", options);
        command.args(&self.state);
        Answer::of(on_a_terminal(&command, typed))
    }
}

/// Position of the head and of each sink in a partition, as `show` says.
pub fn standing(shown: &Value, partition: usize) -> [Option<i64>; 3] {
    let partition = &shown["partitions"][partition];
    let position = |of: &Value| of["position"].as_i64();
    [&partition["head"], &partition["sinks"]["store"], &partition["sinks"]["archive"]].map(position)
}

/// What is wrong with the head and each sink in a partition.
pub fn wrongs(shown: &Value, partition: usize) -> Vec<String> {
    let partition = &shown["partitions"][partition];
    let sinks = partition["sinks"].as_object().unwrap().values();
    sinks.chain([&partition["head"]]).filter_map(|of| of["wrong"].as_str().map(str::to_owned)).collect()
}
