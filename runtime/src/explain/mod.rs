//! Where one message is: who owns its offset, what it becomes at every stage, and whether and where it is in each sink.
//!
//! Invariant: only looks. What it computes is this file's generation's; what it finds is whatever is there.

mod message;
mod owner;
mod sinks;
mod text;

use serde::Serialize;
use tokio::runtime::Handle;

pub use self::message::{Message, Wanted};
pub use self::owner::{Owner, State as OwnerState};
pub use self::sinks::{InSink, Row, State};
use crate::error::{Error, Result};
use crate::ground::Ground;
use crate::plan::{Plan, StageKind};
use crate::probe::{self, Probe, SOURCE};
use crate::topic::{Manner, Place, Reader};

/// How this client is known to the brokers.
const WHO: &str = "millrace-explain";

#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Of each partition, wherever a message can only be found by looking through a topic.
    pub look_back_messages_max: u64,
}

/// What is known of one message.
#[derive(Debug, Serialize)]
pub struct Explained {
    pub pipeline: String,
    /// Of the file, and of the values at the stages.
    pub generation: String,
    pub message: Message,
    pub owner: Owner,
    pub stages: Vec<Step>,
    pub sinks: Vec<InSink>,
    pub rejects: InSink,
}

/// What the message is as it leaves a stage. A stage without rows ends the way: it refused the row, or filtered it.
#[derive(Debug, Serialize)]
pub struct Step {
    pub stage: String,
    pub kind: &'static str,
    pub rows: Vec<serde_json::Value>,
    pub rejected: Vec<Rejected>,
    /// Columns in their order, which JSON objects do not keep.
    #[serde(skip)]
    columns: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct Rejected {
    pub code: String,
    pub reason: String,
}

/// `handle`: of a runtime with several threads; this must not run on it.
pub fn explain(plan: &Plan, ground: &Ground, handle: &Handle, wanted: &Wanted, options: Options) -> Result<Explained> {
    let place = Place::of(ground, &plan.source);
    let mut reader = Reader::open(&place, &plan.source.topic, Manner::looking(WHO))?;
    let log = reader.identify()?;
    let (mut message, owned) = message::find(plan, &mut reader, wanted, options)?;
    let owner = Owner::of(plan, &mut reader, &log, &message)?;
    let mut probe = Probe::new(plan, plan.stages.len())?;
    let (steps, batch) = probe.run(&owned)?;
    let batch = probe.stamped(batch)?;
    let key = message::key_column(plan).and_then(|column| Some((column, sinks::key(batch.as_ref(), column, &owned)?)));
    if let (Wanted::At { .. }, Some((column, key))) = (wanted, &key) {
        message::look_for_twins(plan, &mut reader, &mut message, (column, key), options)?;
    }
    let look = sinks::Look { plan, ground, place: &place, log: &log, owner: &owner, message: &message, batch, options };
    let sinks = plan.sinks.iter().map(|sink| look.sink(handle, sink, &owned)).collect::<Result<_>>()?;
    let rejects = look.rejects(handle)?;
    Ok(Explained {
        pipeline: plan.name.clone(),
        generation: plan.generation.to_string(),
        message,
        owner,
        stages: named(plan, steps)?,
        sinks,
        rejects,
    })
}

impl Explained {
    /// Sinks that could not be asked.
    pub fn unanswered(&self) -> usize {
        let asked = self.sinks.iter().chain([&self.rejects]);
        asked.filter(|sink| sink.state == State::NoAnswer).count()
    }
}

fn named(plan: &Plan, steps: Vec<probe::Step>) -> Result<Vec<Step>> {
    let kinds = std::iter::once(SOURCE).chain(plan.stages.iter().map(|stage| match stage.kind {
        StageKind::Lookup(_) => "lookup",
        StageKind::Plugin(_) => "plugin",
        StageKind::Model(_) => "model",
    }));
    let names = probe::names(plan).zip(kinds).zip(probe::schemas(plan));
    let steps = steps.into_iter().zip(names).map(|(step, ((stage, kind), schema))| {
        let rows = step.rows.iter().map(|row| serde_json::from_str(row)).collect::<Result<_, _>>();
        let rejected = step.rejects.into_iter();
        Ok(Step {
            stage: stage.to_owned(),
            kind,
            rows: rows.map_err(|cause| Error::stop("a row as JSON").caused_by(cause))?,
            rejected: rejected.map(|it| Rejected { code: it.code.into_owned(), reason: it.reason }).collect(),
            columns: schema.names().map(str::to_owned).collect(),
        })
    });
    steps.collect()
}
