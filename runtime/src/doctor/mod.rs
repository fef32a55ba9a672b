//! What a pipeline needs of the systems around it, looked at from outside: `millrace doctor`.
//!
//! Invariants: looking writes no message, no document, no file and no offset, and joins no group; topics are made only
//! where that was asked for. A system that is away is one wrong line and hides no other system. What could not be asked
//! is told as such, never as good.

mod clock;
mod disk;
mod embedded;
mod hdfs;
mod kafka;
mod mongodb;
mod standing;

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use tokio::runtime::Handle;

use crate::ground::Ground;
use crate::plan::{Plan, SinkKind};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    Good,
    /// The pipeline runs, and somebody may be surprised.
    Odd,
    /// The pipeline does not run, or not all of it.
    Wrong,
    /// It could not be asked; the line that is wrong says why.
    Unknown,
}

/// A line of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub what: String,
    pub health: Health,
    pub found: String,
    /// What to do about it.
    pub fix: Option<String>,
}

impl Finding {
    fn good(what: impl Into<String>, found: impl Into<String>) -> Finding {
        Finding { what: what.into(), health: Health::Good, found: found.into(), fix: None }
    }

    fn odd(what: impl Into<String>, found: impl Into<String>, fix: impl Into<String>) -> Finding {
        Finding { what: what.into(), health: Health::Odd, found: found.into(), fix: Some(fix.into()) }
    }

    fn wrong(what: impl Into<String>, found: impl Into<String>, fix: impl Into<String>) -> Finding {
        Finding { what: what.into(), health: Health::Wrong, found: found.into(), fix: Some(fix.into()) }
    }

    fn unknown(what: impl Into<String>, found: impl Into<String>) -> Finding {
        Finding { what: what.into(), health: Health::Unknown, found: found.into(), fix: None }
    }
}

/// How a pipeline would be run.
pub struct Options<'o> {
    pub ground: &'o Ground,
    pub state: &'o Path,
    /// Make topics that are not there.
    pub create: bool,
}

/// Everything, in the order in which a pipeline needs it.
pub fn look(plan: &Plan, options: &Options<'_>, handle: &Handle) -> Vec<Finding> {
    let mut findings = vec![disk::folder("state folder", options.state)];
    match options.ground {
        Ground::Services => services(plan, options, handle, &mut findings),
        Ground::Embedded(folder) => embedded::look(plan, folder, options.create, &mut findings),
    }
    standing::look(plan, options.ground, handle, &mut findings);
    findings
}

fn services(plan: &Plan, options: &Options<'_>, handle: &Handle, findings: &mut Vec<Finding>) {
    kafka::look(plan, options.create, findings);
    for sink in plan.sinks_apart() {
        let what = sink_named(&sink.name);
        match &sink.kind {
            SinkKind::Kafka { .. } => {}
            SinkKind::Mongodb(plan) => handle.block_on(mongodb::look(&what, plan, sink.timeout, findings)),
            SinkKind::Hdfs(plan) => handle.block_on(hdfs::look(&what, plan, sink.timeout, findings)),
        }
    }
}

fn sink_named(name: &Arc<str>) -> String {
    format!("sink {name}")
}
