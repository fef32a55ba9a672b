//! Batches through the stages of their generation: what the head and a sink that reads the log again both do.
//!
//! Invariant: instances of stages belong to one thread, and are made anew for each generation that comes by.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Instant;

use arrow_array::{ArrayRef, RecordBatch, StringArray};

use crate::batch::Batch;
use crate::engine::ended::Ended;
use crate::engine::head::Computed;
use crate::engine::reader::Read;
use crate::error::{Error, Result};
use crate::observe::Metrics;
use crate::observe::trace::Passing;
use crate::plan::Plan;
use crate::sink::Outbound;
use crate::stage::{Stage, through};

#[derive(Default)]
pub struct Stages(HashMap<Arc<str>, Vec<Stage>>);

impl Stages {
    /// What comes out goes to `give`, piece by piece, each with whether it is the last; false: it wanted no more.
    /// `metrics`: where it is counted; rows that are read again are counted nowhere.
    pub fn process(
        &mut self,
        generation: &Plan,
        batch: Batch,
        metrics: Option<&Metrics>,
        mut give: impl FnMut(Arc<Outbound>, bool) -> bool,
    ) -> Result<bool> {
        if !self.0.contains_key(&generation.generation) {
            let fresh = generation.stages.iter().map(Stage::new).collect::<Result<_>>()?;
            self.0.insert(generation.generation.clone(), fresh);
        }
        let stages = self.0.get_mut(&generation.generation).map_or(&mut [][..], |stages| stages);
        let process = |stage: &mut Stage, at: usize, batch: Batch| {
            let name = &generation.stages[at].name;
            let (rows, bytes) = metrics.map_or((0, 0), |_| (batch.rows(), batch.bytes()));
            let (since, passing) = (Instant::now(), Passing::begin(&batch));
            let piece = stage.process(batch)?;
            if let Some(metrics) = metrics {
                let (rows_left, bytes_left) = piece.rest.as_ref().map_or((0, 0), |rest| (rest.rows(), rest.bytes()));
                metrics.stage(name, rows - rows_left, bytes.saturating_sub(bytes_left), since.elapsed());
            }
            passing.into_iter().for_each(|passing| passing.end(&piece.done, name));
            Ok(piece)
        };
        through(stages, batch, process, |batch, is_last| {
            let batch = stamp(batch, generation)?;
            Ok(give(Arc::new(Outbound { batch, generation: generation.generation.clone() }), is_last))
        })
    }
}

/// For the head, until no more come or nobody wants them. Once the session ends, of a batch that goes on in pieces the
/// next is not begun: it may take long, and whoever goes on reads these rows again.
pub fn run(metrics: &Metrics, ended: &Ended, batches: &Receiver<Read>, computed: &SyncSender<Computed>) -> Result<()> {
    let mut stages = Stages::default();
    while let Ok(Read { batch, generation, member }) = batches.recv() {
        let goes_on = stages.process(&generation, batch, Some(metrics), |outbound, is_last| {
            if is_last {
                metrics.computed();
            }
            let (generation, member) = (generation.clone(), member.clone());
            computed.send(Computed { outbound, generation, member }).is_ok() && (is_last || !ended.is_so())
        })?;
        if !goes_on {
            break;
        }
    }
    Ok(())
}

/// Adds the generation to every row.
pub(crate) fn stamp(mut batch: Batch, generation: &Plan) -> Result<Batch> {
    let stamp: ArrayRef = Arc::new(StringArray::new_repeated(&*generation.generation, batch.rows()));
    let arrays = batch.columns.columns().iter().cloned().chain([stamp]).collect();
    batch.columns = RecordBatch::try_new(generation.schema.arrow(), arrays)
        .map_err(|cause| Error::stop("the stages' columns are not the plan's").caused_by(cause))?;
    Ok(batch)
}
