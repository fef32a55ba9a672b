//! A plugin as one worker runs it: a batch in as few calls as the fuel allows, and bad rows apart from good ones.
//!
//! A call is given the fuel of one row, however many rows it carries. Thus rows that went through together would have
//! gone through alone, a call that fails is short, and where calls are cut changes nothing. A call that fails is cut in
//! halves; a row that fails alone is tried once more in a fresh instance, and that is the verdict on it.
//!
//! Invariant: an instance whose call failed is thrown away. What failing calls of a batch may cost is bounded; the
//! rows that are left then are refused unseen.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use super::Loaded;
use super::answers::Answers;
use super::instance::{Failure, Instance};
use super::layout::Layout;
use super::lift::{self, Answer};
use crate::batch::Batch;
use crate::error::Result;

/// Beyond it a call's own cost no longer shows.
const ROWS_PER_CALL_MAX: usize = 8_192;
/// For what a call costs whatever it carries: some thousands in fact. An interpreter takes hundreds of times that, and
/// as much again to open: so what opening takes tells, by the component and its config alone.
const CALL_FUEL: RangeInclusive<u64> = 100_000..=20_000_000;
const CALL_FUEL_OF_OPEN: u64 = 2;
/// A first call may set up what later ones find. It is given more, so that no row that passed in company fails alone.
const FRESH_FUEL: RangeInclusive<u64> = 1_000_000..=100_000_000;
const FRESH_FUEL_OF_OPEN: u64 = 10;
/// What the failing calls of one batch may cost.
#[derive(Clone, Copy)]
pub struct Bounds {
    pub failed_calls_max: u32,
    pub failed_fuel_max: u64,
}

/// A batch of 8,000 rows that all trap stays below the number of calls; the fuel is some ten seconds of computing. Both
/// are far from the time after which a consumer loses its partitions.
const BOUNDS: Bounds = Bounds { failed_calls_max: 16_384, failed_fuel_max: 20_000_000_000 };

pub struct Worker {
    program: Arc<Loaded>,
    instance: Option<Instance>,
    layout: Option<Arc<Layout>>,
    pub(super) rows_per_call: usize,
    pub(super) bounds: Bounds,
}

/// A batch on its way through the guest.
struct Pass<'a> {
    batch: &'a Batch,
    layout: &'a Layout,
    answers: Answers,
    bounds: Bounds,
    failed_calls: u32,
    failed_fuel: u64,
}

impl Pass<'_> {
    fn is_spent(&self) -> bool {
        self.failed_calls >= self.bounds.failed_calls_max || self.failed_fuel >= self.bounds.failed_fuel_max
    }
}

impl Worker {
    pub(super) fn new(program: Arc<Loaded>) -> Result<Worker> {
        let instance = Some(program.instance()?);
        Ok(Worker { program, instance, layout: None, rows_per_call: ROWS_PER_CALL_MAX, bounds: BOUNDS })
    }

    pub fn process(&mut self, batch: Batch) -> Result<Batch> {
        let layout = self.layout(&batch)?;
        let (answers, bounds) = (Answers::default(), self.bounds);
        let mut pass = Pass { batch: &batch, layout: &layout, answers, bounds, failed_calls: 0, failed_fuel: 0 };
        let mut from = 0;
        while from < batch.rows() {
            let rows = self.rows_per_call.min(batch.rows() - from);
            self.answer(&mut pass, from..from + rows)?;
            from += rows;
        }
        let (answers, rejects) = (pass.answers, batch.rejects.len());
        let batch = answers.into_batch(batch, &layout, &self.program.settings.stage)?;
        self.program.meter.refused(batch.rejects.len() - rejects);
        Ok(batch)
    }

    fn layout(&mut self, batch: &Batch) -> Result<Arc<Layout>> {
        let schema = batch.columns.schema_ref();
        match &self.layout {
            Some(layout) if layout.is_from(schema) => Ok(layout.clone()),
            _ => {
                let layout =
                    Layout::new(&self.program.signature, schema).map_err(|error| error.at(self.program.place()))?;
                Ok(self.layout.insert(Arc::new(layout)).clone())
            }
        }
    }

    /// Answers these rows, by one call where that succeeds.
    fn answer(&mut self, pass: &mut Pass<'_>, rows: Range<usize>) -> Result<()> {
        if pass.is_spent() {
            rows.for_each(|_| pass.answers.refuse("plugin_budget", "other rows of its batch failed too often".into()));
            return Ok(());
        }
        // one row without an instance would get a fresh one: that is the verdict at once
        if rows.len() > 1 || self.instance.is_some() {
            let answered = self.call(pass, rows.clone(), self.fuel())?;
            self.adapt(rows.len(), answered.as_ref().err());
            if let Ok(answer) = answered {
                pass.answers.push(rows.len() as u32, answer);
                return Ok(());
            }
        }
        if rows.len() == 1 {
            return self.verdict(pass, rows);
        }
        let middle = rows.start + rows.len() / 2;
        self.answer(pass, rows.start..middle)?;
        self.answer(pass, middle..rows.end)
    }

    fn fuel(&self) -> u64 {
        let call = within(self.program.open_fuel * CALL_FUEL_OF_OPEN, CALL_FUEL);
        self.program.settings.fuel_per_row_max.saturating_add(call)
    }

    /// What becomes of this row is decided here, in an instance without a past: the last one failed and is gone.
    fn verdict(&mut self, pass: &mut Pass<'_>, row: Range<usize>) -> Result<()> {
        let fresh = within(self.program.open_fuel * FRESH_FUEL_OF_OPEN, FRESH_FUEL);
        let fuel = self.fuel().saturating_add(fresh);
        match self.call(pass, row, fuel)? {
            Ok(answer) => pass.answers.push(1, answer),
            Err(failure) => {
                let (code, reason) = self.reject(failure);
                self.program.failed(code, &reason);
                pass.answers.refuse(code, reason);
            }
        }
        Ok(())
    }

    fn reject(&self, failure: Failure) -> (&'static str, String) {
        match failure {
            Failure::Trap(reason) => ("plugin_trap", reason),
            Failure::Fuel => {
                let fuel = self.program.settings.fuel_per_row_max;
                ("plugin_fuel", format!("it took more than the {fuel} units of fuel of `fuel_per_row_max`"))
            }
            Failure::Invalid(reason) => ("plugin_invalid_output", format!("it returned {reason}")),
            Failure::Error(reason) => ("plugin_error", reason),
        }
    }

    /// An instance is kept only if its answer is good.
    fn call(&mut self, pass: &mut Pass<'_>, rows: Range<usize>, fuel: u64) -> Result<Result<Answer, Failure>> {
        let mut instance = match self.instance.take() {
            Some(instance) => instance,
            None => {
                self.program.meter.renewed();
                self.program.instance()?
            }
        };
        let lowered = pass.layout.lower(pass.batch.columns.columns(), rows.start, rows.len())?;
        let columns: Vec<_> = lowered.iter().map(|column| column.lend()).collect();
        let output = instance.process(rows.len() as u32, &columns, fuel);
        let fuel_used = fuel - instance.fuel_left().min(fuel);
        self.program.meter.called(fuel_used);
        let answer = output.and_then(|output| {
            lift::verify(output, rows.len() as u32, &self.program.signature.adds)
                .map_err(|lie| Failure::Invalid(lie.to_string()))
        });
        if answer.is_ok() {
            instance.keep_counts();
            self.program.answered();
            self.instance = Some(instance);
        } else {
            pass.failed_calls += 1;
            pass.failed_fuel = pass.failed_fuel.saturating_add(fuel_used);
        }
        Ok(answer)
    }

    /// Fewer rows a call where the fuel ran out, more again where it did not: a plugin whose rows cost much is not
    /// made to fail with every batch.
    fn adapt(&mut self, rows: usize, failure: Option<&Failure>) {
        let used = self.instance.as_ref().map_or(0, |instance| self.fuel() - instance.fuel_left().min(self.fuel()));
        match failure {
            Some(Failure::Fuel) => self.rows_per_call = (rows / 2).max(1),
            None if rows == self.rows_per_call && used < self.fuel() / 4 => {
                self.rows_per_call = (rows * 2).min(ROWS_PER_CALL_MAX);
            }
            _ => {}
        }
    }
}

fn within(fuel: u64, bounds: RangeInclusive<u64>) -> u64 {
    fuel.clamp(*bounds.start(), *bounds.end())
}
