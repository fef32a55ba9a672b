//! What was reset, by whom and when: `<state>/<pipeline>/resets.jsonl`, a line for each thing that happened.
//!
//! Invariant: what is about to be moved is on disk before anything moves, and each move once it was made.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use uuid::Uuid;

use super::rules::Move;
use crate::error::{Error, Result};
use crate::json::time::format_timestamp;
use crate::sink::Log;

pub struct Record {
    path: PathBuf,
    file: File,
    /// What every line of this reset begins with.
    reset: Value,
}

impl Record {
    /// Says what is about to happen.
    pub fn begin(folder: &Path, log: &Log, moves: &[Move]) -> Result<Record> {
        let path = folder.join("resets.jsonl");
        let opened = fs::create_dir_all(folder).and_then(|()| OpenOptions::new().create(true).append(true).open(&path));
        let file = opened.map_err(|cause| failed(&path, cause))?;
        let reset = json!({
            "reset": Uuid::new_v4().to_string(), "by": by(), "topic": log.topic, "topic_id": log.topic_id,
        });
        let record = Record { path, file, reset };
        let moves: Vec<_> = moves.iter().map(fields).collect();
        record.write(json!({ "event": "begun", "moves": moves }))?;
        Ok(record)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn moved(&self, step: &Move) -> Result<()> {
        let mut line = fields(step);
        line["event"] = "moved".into();
        self.write(line)
    }

    /// The first thing that went wrong; what follows it was not tried.
    pub fn failed(&self, error: &Error) -> Result<()> {
        self.write(json!({ "event": "failed", "error": error.to_string() }))
    }

    fn write(&self, mut line: Value) -> Result<()> {
        line["at"] = now().into();
        if let (Some(line), Some(reset)) = (line.as_object_mut(), self.reset.as_object()) {
            line.extend(reset.clone());
        }
        let written = (&self.file).write_all(format!("{line}\n").as_bytes()).and_then(|()| self.file.sync_all());
        written.map_err(|cause| failed(&self.path, cause))
    }
}

fn fields(step: &Move) -> Value {
    json!({ "who": step.who.to_string(), "partition": step.partition, "from": step.from, "to": step.to })
}

fn failed(path: &Path, cause: io::Error) -> Error {
    Error::stop(format!("keeping a record of resets in {}", path.display())).caused_by(cause)
}

fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format_timestamp(since.as_micros() as i64).unwrap_or_default()
}

/// Who runs this, as far as the system says.
fn by() -> String {
    let name = ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    let uid = fs::metadata("/proc/self").map_or("?".to_owned(), |own| own.uid().to_string());
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.map_or(String::new(), |name| format!("{name}, "));
    format!("{name}uid {uid} on {}", host.trim())
}
