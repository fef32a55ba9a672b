//! What a batch goes through between source and sinks.
//!
//! Invariant: a row's outcome depends on the row, the config and the artifact alone; a row that a stage refuses is
//! among the batch's rejects afterwards. Stages know nothing of sources and sinks, and of JSON only a lookup does, while
//! it loads its table.

pub mod lookup;
pub mod model;
pub mod plugin;
mod refuse;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::batch::Batch;
use crate::error::Result;
use crate::plan::{StageKind, StagePlan};

/// A stage as one worker runs it.
pub enum Stage {
    Lookup(Arc<lookup::Lookup>),
    Plugin(plugin::Worker),
    Model(model::Scorer),
}

impl Stage {
    pub fn new(plan: &StagePlan) -> Result<Stage> {
        Ok(match &plan.kind {
            StageKind::Lookup(lookup) => Stage::Lookup(lookup.clone()),
            StageKind::Plugin(program) => Stage::Plugin(program.worker()?),
            StageKind::Model(model) => Stage::Model(model.scorer()),
        })
    }

    pub fn process(&mut self, batch: Batch) -> Result<Piece> {
        match self {
            Stage::Lookup(lookup) => lookup.process(batch).map(Piece::all),
            Stage::Plugin(worker) => worker.process(batch),
            Stage::Model(scorer) => scorer.process(batch).map(Piece::all),
        }
    }
}

/// What a stage made of a batch: of its first messages alone, where all of it at once would be too much to hold, or to
/// wait for. What is left is to be given again.
#[derive(Debug)]
pub struct Piece {
    pub done: Batch,
    pub rest: Option<Batch>,
}

impl Piece {
    pub fn all(done: Batch) -> Piece {
        Piece { done, rest: None }
    }

    /// Of a batch that is known to be small.
    pub fn whole(self) -> Batch {
        assert!(self.rest.is_none(), "the batch goes on in pieces");
        self.done
    }
}

/// A batch through `stages`, by `process`; what comes out goes to `give`, piece by piece, in order, each before the next is
/// made, and with whether it is the last. False: `give` wanted no more.
pub fn through(
    stages: &mut [Stage],
    batch: Batch,
    mut process: impl FnMut(&mut Stage, usize, Batch) -> Result<Piece>,
    mut give: impl FnMut(Batch, bool) -> Result<bool>,
) -> Result<bool> {
    // the next is the last: what a stage has left waits until what it has done is given
    let mut waiting = vec![(0, batch)];
    while let Some((at, batch)) = waiting.pop() {
        let Some(stage) = stages.get_mut(at) else {
            if !give(batch, waiting.is_empty())? {
                return Ok(false);
            }
            continue;
        };
        let Piece { done, rest } = process(stage, at, batch)?;
        waiting.extend(rest.map(|rest| (at, rest)));
        waiting.push((at + 1, done));
    }
    Ok(true)
}

/// A file that a stage is made of cannot be used: where, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    pub file: PathBuf,
    /// Counted from 1.
    pub line: Option<usize>,
    pub message: String,
}

impl LoadError {
    pub fn new(file: &Path, message: impl Into<String>) -> LoadError {
        LoadError { file: file.to_owned(), line: None, message: message.into() }
    }

    pub fn at_line(self, line: usize) -> LoadError {
        LoadError { line: Some(line), ..self }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for LoadError {}
