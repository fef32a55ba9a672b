//! Batches through the stages of their generation: what the head and a sink that reads the log again both do.
//!
//! Invariant: instances of stages belong to one thread, and are made anew for each generation that comes by.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Instant;

use arrow_array::{ArrayRef, RecordBatch, StringArray};

use crate::batch::Batch;
use crate::engine::head::Computed;
use crate::engine::reader::Read;
use crate::error::{Error, Result};
use crate::observe::Metrics;
use crate::observe::trace::Passing;
use crate::plan::Plan;
use crate::sink::Outbound;
use crate::stage::Stage;

#[derive(Default)]
pub struct Stages(HashMap<Arc<str>, Vec<Stage>>);

impl Stages {
    /// `metrics`: where it is counted; rows that are read again are counted nowhere.
    pub fn process(&mut self, generation: &Plan, mut batch: Batch, metrics: Option<&Metrics>) -> Result<Arc<Outbound>> {
        if !self.0.contains_key(&generation.generation) {
            let fresh = generation.stages.iter().map(Stage::new).collect::<Result<_>>()?;
            self.0.insert(generation.generation.clone(), fresh);
        }
        let stages = self.0.get_mut(&generation.generation).into_iter().flatten();
        for (stage, plan) in stages.zip(&generation.stages) {
            let given = metrics.map(|metrics| (metrics, batch.rows(), batch.bytes()));
            let since = Instant::now();
            let passing = Passing::begin(&batch);
            batch = stage.process(batch)?;
            if let Some((metrics, rows, bytes)) = given {
                metrics.stage(&plan.name, rows, bytes, since.elapsed());
            }
            passing.into_iter().for_each(|passing| passing.end(&batch, &plan.name));
        }
        Ok(Arc::new(Outbound { batch: stamp(batch, generation)?, generation: generation.generation.clone() }))
    }
}

/// For the head, until no more come or nobody wants them.
pub fn run(metrics: &Metrics, batches: &Receiver<Read>, computed: &SyncSender<Computed>) -> Result<()> {
    let mut stages = Stages::default();
    while let Ok(Read { batch, generation, member }) = batches.recv() {
        let outbound = stages.process(&generation, batch, Some(metrics))?;
        metrics.computed();
        if computed.send(Computed { outbound, generation, member }).is_err() {
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
