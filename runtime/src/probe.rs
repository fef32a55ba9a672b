//! A pipeline's own decoder and stages, run on messages that somebody wants to look at, and to no other end.
//!
//! Invariant: a row becomes what it becomes in the pipeline of the same generation, for it is the same code; nothing
//! is written anywhere.

use crate::batch::{Batch, Reject, Span};
use crate::engine::stamp;
use crate::error::{Error, Result};
use crate::json::decode::{Decoder, Message};
use crate::json::encode::Encoder;
use crate::plan::Plan;
use crate::schema::Schema;
use crate::stage::Stage;

/// What decodes; rejects name it so.
pub const SOURCE: &str = "source";

pub struct Probe<'a> {
    plan: &'a Plan,
    decoder: Decoder,
    stages: Vec<Stage>,
    /// Of the rows as they leave the source, then each stage.
    encoders: Vec<Encoder>,
}

/// What one message became at one stage.
#[derive(Debug)]
pub struct Step {
    /// JSON objects.
    pub rows: Vec<String>,
    /// Of this stage.
    pub rejects: Vec<Reject>,
}

/// The source and the stages, by name.
pub fn names(plan: &Plan) -> impl Iterator<Item = &str> {
    std::iter::once(SOURCE).chain(plan.stages.iter().map(|stage| &*stage.name))
}

/// Columns as they leave the source, then each stage.
pub fn schemas(plan: &Plan) -> impl Iterator<Item = Schema> {
    std::iter::once(plan.source.schema()).chain(plan.stages.iter().map(|stage| stage.schema.clone()))
}

impl<'a> Probe<'a> {
    /// Of the source and the `stages` first stages.
    pub fn new(plan: &'a Plan, stages: usize) -> Result<Probe<'a>> {
        let made = plan.stages.iter().take(stages).map(Stage::new).collect::<Result<_>>()?;
        let encoder = |schema: Schema| Encoder::of_names(schema.names());
        let encoders = schemas(plan).take(stages + 1).map(encoder).collect();
        Ok(Probe { plan, decoder: Decoder::new(&plan.source), stages: made, encoders })
    }

    /// What the message becomes at each step, until no row of it is left; and the batch after the last one.
    pub fn run(&mut self, message: &impl Message) -> Result<(Vec<Step>, Batch)> {
        let (partition, offset) = (message.partition(), message.offset());
        self.decoder.push(message);
        let mut batch = self.decoder.take(vec![Span { partition, from: offset, to: offset + 1 }])?;
        let mut steps = vec![step(&self.encoders[0], &batch, 0)?];
        for (stage, encoder) in self.stages.iter_mut().zip(&self.encoders[1..]) {
            if batch.rows() == 0 {
                break;
            }
            let rejects_before = batch.rejects.len();
            batch = stage.process(batch)?.whole();
            steps.push(step(encoder, &batch, rejects_before)?);
        }
        Ok((steps, batch))
    }

    /// The rows of a message as the sinks get them, each with its generation; none where a stage took them all.
    pub fn stamped(&self, batch: Batch) -> Result<Option<Batch>> {
        if self.stages.len() < self.plan.stages.len() {
            return Err(Error::stop("rows have their generation after the last stage only"));
        }
        (batch.rows() > 0).then(|| stamp(batch, self.plan)).transpose()
    }
}

fn step(encoder: &Encoder, batch: &Batch, rejects_before: usize) -> Result<Step> {
    Ok(Step { rows: lines(encoder, batch)?, rejects: batch.rejects[rejects_before..].to_vec() })
}

/// Every row of a batch as JSON.
pub fn lines(encoder: &Encoder, batch: &Batch) -> Result<Vec<String>> {
    let rows = encoder.batch(&batch.columns)?;
    let line = |row| {
        let mut json = Vec::new();
        rows.row(row, &mut json);
        String::from_utf8(json).map_err(|cause| Error::stop("a row as JSON").caused_by(cause))
    };
    (0..batch.rows()).map(line).collect()
}
