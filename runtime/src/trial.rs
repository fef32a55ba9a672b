//! Stages without services, all those of a pipeline or one plugin alone: messages become rows and rejects.
//!
//! Invariant: a row becomes what it becomes in a running pipeline, for decoder, stages and encoder are the same.

use std::time::{Duration, Instant};

use crate::batch::Batch;
use crate::cases::{Outcome, Refused};
use crate::error::Result;
use crate::json::decode::Decoder;
use crate::json::encode::Encoder;
use crate::json::lines::Line;
use crate::plan::Plan;
use crate::probe;
use crate::stage::plugin::Program;
use crate::stage::{Piece, Stage, through};

/// Messages that are also asked alone: enough to find what depends on its neighbours.
const ALONE_MAX: usize = 1_000;

pub struct Trial {
    decoder: Decoder,
    stages: Vec<Stage>,
}

impl Trial {
    /// Messages hold the columns that the plugin reads.
    pub fn of_plugin(program: &Program) -> Result<Trial> {
        Ok(Trial { decoder: Decoder::of(program.types().reads), stages: vec![Stage::Plugin(program.worker()?)] })
    }

    /// Messages are those of the pipeline's source; rows are what its last stage leaves.
    pub fn of_pipeline(plan: &Plan) -> Result<Trial> {
        let stages = plan.stages.iter().map(Stage::new).collect::<Result<_>>()?;
        Ok(Trial { decoder: Decoder::new(&plan.source), stages })
    }

    /// Messages with their numbers, in one batch; a message that is no row is a reject of the source.
    pub fn run(&mut self, messages: &[(usize, Vec<u8>)]) -> Result<Outcome> {
        let batch = self.decode(messages)?;
        let mut outcome = Outcome::default();
        self.process(batch, |batch| {
            let schema = batch.columns.schema_ref();
            let encoder = Encoder::of_names(schema.fields().iter().map(|field| field.name().as_str()));
            outcome.rows.extend(probe::lines(&encoder, &batch)?);
            let line = |origin: u32| batch.origins.offsets[origin as usize] as usize;
            outcome.lines.extend(batch.lineage.iter().map(|&origin| line(origin)));
            let refused = |reject: &crate::batch::Reject| Refused {
                line: line(reject.origin),
                stage: reject.stage.to_string(),
                code: reject.code.to_string(),
                reason: reject.reason.clone(),
            };
            outcome.rejects.extend(batch.rejects.iter().map(refused));
            Ok(())
        })?;
        outcome.rejects.sort_by_key(|refused| refused.line);
        Ok(outcome)
    }

    /// Has each message alone, the last one first, the outcome that it had in company? Else the first that has not.
    pub fn differs_alone(&mut self, messages: &[(usize, Vec<u8>)], together: &Outcome) -> Result<Option<usize>> {
        let messages = &messages[..messages.len().min(ALONE_MAX)];
        let alone = messages.iter().rev().map(|message| self.run(std::slice::from_ref(message)));
        let mut alone = alone.collect::<Result<Vec<_>>>()?;
        alone.reverse();
        let mut rows = together.lines.iter().zip(&together.rows).peekable();
        let mut rejects = together.rejects.iter().peekable();
        for (outcome, (line, _)) in alone.iter().zip(messages) {
            let rows = std::iter::from_fn(|| rows.next_if(|(of, _)| *of == line)).map(|(_, row)| row);
            let rejects = std::iter::from_fn(|| rejects.next_if(|refused| refused.line == *line));
            if !(rows.eq(&outcome.rows) && rejects.eq(&outcome.rejects)) {
                return Ok(Some(*line));
            }
        }
        Ok(None)
    }

    fn process(&mut self, batch: Batch, mut each: impl FnMut(Batch) -> Result<()>) -> Result<()> {
        let process = |stage: &mut Stage, _at: usize, batch: Batch| {
            if batch.rows() == 0 { Ok(Piece::all(batch)) } else { stage.process(batch) }
        };
        through(&mut self.stages, batch, process, |batch, _is_last| each(batch).map(|()| true))?;
        Ok(())
    }

    pub fn decode(&mut self, messages: &[(usize, Vec<u8>)]) -> Result<Batch> {
        messages.iter().for_each(|(number, value)| self.decoder.push(&Line { number: *number, value }));
        self.decoder.take(Vec::new())
    }

    /// Of the stages alone, for a batch again and again; the best of several times.
    pub fn nanoseconds_a_row(&mut self, batch: &Batch, tries: u32, each: Duration) -> Result<f64> {
        let mut best = f64::INFINITY;
        for _ in 0..tries {
            let (started, mut calls) = (Instant::now(), 0_u32);
            while calls == 0 || started.elapsed() < each {
                self.process(batch.clone(), |_| Ok(()))?;
                calls += 1;
            }
            let ns = started.elapsed().as_nanos() as f64;
            best = best.min(ns / f64::from(calls) / batch.rows().max(1) as f64);
        }
        Ok(best)
    }
}
