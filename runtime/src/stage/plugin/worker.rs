//! A plugin as one worker runs it: a batch in as few calls as the fuel allows, and bad rows apart from good ones.
//!
//! A call is given the fuel of one row, however many rows it carries. Thus rows that went through together would have
//! gone through alone, a call that fails is short, and where calls are cut changes nothing. A call that fails is cut in
//! halves; a row that fails alone is tried once more in a fresh instance, and that is the verdict on it. The same holds
//! for what rows become: those of a call may be as large together as those of one message.
//!
//! Invariant: an instance whose call failed is thrown away. A batch whose failing calls cost much, or that becomes large,
//! goes on in pieces, each of whole messages: nobody waits long for one, and what is held is bounded.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use arrow_array::ArrayRef;

use super::Loaded;
use super::answers::Answers;
use super::instance::{Failure, Instance};
use super::layout::Layout;
use super::lift::{self, Answer, MESSAGE_BYTES_MAX};
use crate::batch::{Batch, Reject};
use crate::error::Result;
use crate::stage::Piece;

/// Beyond it a call's own cost no longer shows.
const ROWS_PER_CALL_MAX: usize = 8_192;
/// For what a call costs whatever it carries: some thousands in fact. An interpreter takes hundreds of times that, and
/// as much again to open: so what opening takes tells, by the component and its config alone.
const CALL_FUEL: RangeInclusive<u64> = 100_000..=20_000_000;
const CALL_FUEL_OF_OPEN: u64 = 2;
/// A first call may set up what later ones find. It is given more, so that no row that passed in company fails alone.
const FRESH_FUEL: RangeInclusive<u64> = 1_000_000..=100_000_000;
const FRESH_FUEL_OF_OPEN: u64 = 10;
/// What is enough for one piece of a batch.
#[derive(Clone, Copy)]
pub struct Bounds {
    pub failed_calls_max: u32,
    pub failed_fuel_max: u64,
    pub bytes_max: usize,
}

/// A batch of 8,000 rows that all trap stays below the number of calls; the fuel is some ten seconds of computing.
const BOUNDS: Bounds =
    Bounds { failed_calls_max: 16_384, failed_fuel_max: 20_000_000_000, bytes_max: MESSAGE_BYTES_MAX / 2 };

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
    /// Columns that stay.
    kept: Vec<&'a ArrayRef>,
    answers: Answers,
    failed_calls: u32,
    failed_fuel: u64,
    /// Of all answers.
    bytes: usize,
    /// A message whose rows go on beyond a call, and what those up to there became.
    begun: Option<(u32, usize)>,
}

impl<'a> Pass<'a> {
    fn new(batch: &'a Batch, layout: &'a Layout) -> Pass<'a> {
        let kept = layout.kept(batch.columns.columns()).collect();
        let answers = Answers::default();
        Pass { batch, layout, kept, answers, failed_calls: 0, failed_fuel: 0, bytes: 0, begun: None }
    }

    fn is_enough(&self, bounds: Bounds) -> bool {
        self.failed_calls >= bounds.failed_calls_max
            || self.failed_fuel >= bounds.failed_fuel_max
            || self.bytes >= bounds.bytes_max
    }

    /// What these rows become; too much for their messages: perhaps not, if they were fewer.
    fn measure(&self, rows: &Range<usize>, answer: &Answer) -> Result<usize, Failure> {
        let bytes = answer.bytes(0, &self.kept, rows.start);
        let begun = self.begun.filter(|(message, _)| *message == self.batch.lineage[rows.start]);
        let whole = begun.map_or(0, |(_, bytes)| bytes) + bytes;
        match whole <= MESSAGE_BYTES_MAX {
            true => Ok(bytes),
            false => Err(Failure::TooMuch(format!(
                "rows of a message that are {whole} bytes, where {MESSAGE_BYTES_MAX} are the most"
            ))),
        }
    }

    fn push(&mut self, rows: Range<usize>, answer: Answer, bytes: usize) {
        let lineage = &self.batch.lineage;
        let last = lineage[rows.end - 1];
        if lineage.get(rows.end) == Some(&last) {
            let first = lineage[rows.clone()].partition_point(|message| *message < last);
            let before = self.begun.filter(|(message, _)| *message == last && first == 0).map_or(0, |(_, bytes)| bytes);
            self.begun = Some((last, before + answer.bytes(first as u32, &self.kept, rows.start)));
        }
        let of_refused = answer.refused.iter().map(|refused| Reject::bytes(&refused.code, &refused.reason));
        self.bytes += bytes + of_refused.sum::<usize>();
        self.answers.push(rows.len() as u32, answer);
    }

    fn refuse(&mut self, code: &'static str, reason: String) {
        self.bytes += Reject::bytes(code, &reason);
        self.answers.refuse(code, reason);
    }
}

impl Worker {
    pub(super) fn new(program: Arc<Loaded>) -> Result<Worker> {
        let instance = Some(program.instance()?);
        Ok(Worker { program, instance, layout: None, rows_per_call: ROWS_PER_CALL_MAX, bounds: BOUNDS })
    }

    pub fn process(&mut self, batch: Batch) -> Result<Piece> {
        let layout = self.layout(&batch)?;
        let mut pass = Pass::new(&batch, &layout);
        let answered = self.answer(&mut pass)?;
        let answers = pass.answers;
        let (batch, rest) = match answered < batch.rows() {
            true => {
                let (first, rest) = batch.cut(answered);
                (first, Some(rest))
            }
            false => (batch, None),
        };
        let rejects = batch.rejects.len();
        let done = answers.into_batch(batch, &layout, &self.program.settings.stage)?;
        self.program.meter.refused(done.rejects.len() - rejects);
        Ok(Piece { done, rest })
    }

    /// The first rows, as many as make a piece: how many.
    fn answer(&mut self, pass: &mut Pass<'_>) -> Result<usize> {
        let rows = pass.batch.rows();
        // the next is the last
        let mut waiting: Vec<_> = std::iter::once(0..rows).collect();
        while let Some(mut rows) = waiting.pop().filter(|rows| !rows.is_empty()) {
            // a message at least: it goes on
            if rows.start > 0 && pass.is_enough(self.bounds) {
                if pass.batch.begins_message(rows.start) {
                    return Ok(rows.start);
                }
                if let Some(next) = rows.clone().find(|&row| pass.batch.begins_message(row)) {
                    waiting.push(next..rows.end);
                    rows.end = next;
                }
            }
            if rows.len() > self.rows_per_call {
                let end = std::mem::replace(&mut rows.end, rows.start + self.rows_per_call);
                waiting.push(rows.end..end);
            }
            if !self.ask(pass, rows.clone())? {
                // where failing has cost enough the first row alone is next: looking for it by halves costs more
                let first = if pass.is_enough(self.bounds) { 1 } else { rows.len() / 2 };
                let middle = rows.start + first;
                waiting.extend([middle..rows.end, rows.start..middle]);
            }
        }
        Ok(rows)
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

    /// By one call. False: fewer rows are to be asked for.
    fn ask(&mut self, pass: &mut Pass<'_>, rows: Range<usize>) -> Result<bool> {
        // one row without an instance would get a fresh one: that is the verdict at once
        if rows.len() > 1 || self.instance.is_some() {
            let answered = self.call(pass, rows.clone(), self.fuel())?;
            self.adapt(rows.len(), answered.as_ref().map(|(_, bytes)| *bytes));
            match answered {
                Ok((answer, bytes)) => {
                    pass.push(rows, answer, bytes);
                    return Ok(true);
                }
                Err(_) if rows.len() > 1 => return Ok(false),
                Err(_) => {}
            }
        }
        self.verdict(pass, rows)?;
        Ok(true)
    }

    fn fuel(&self) -> u64 {
        let call = within(self.program.open_fuel * CALL_FUEL_OF_OPEN, CALL_FUEL);
        self.program.settings.fuel_per_row_max.saturating_add(call)
    }

    /// What becomes of this row is decided here, in an instance without a past: the last one failed and is gone.
    fn verdict(&mut self, pass: &mut Pass<'_>, row: Range<usize>) -> Result<()> {
        let fresh = within(self.program.open_fuel * FRESH_FUEL_OF_OPEN, FRESH_FUEL);
        let fuel = self.fuel().saturating_add(fresh);
        match self.call(pass, row.clone(), fuel)? {
            Ok((answer, bytes)) => pass.push(row, answer, bytes),
            Err(failure) => {
                let (code, reason) = self.reject(failure);
                self.program.failed(code, &reason);
                pass.refuse(code, reason);
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
            Failure::Invalid(reason) | Failure::TooMuch(reason) => {
                ("plugin_invalid_output", format!("it returned {reason}"))
            }
            Failure::Error(reason) => ("plugin_error", reason),
        }
    }

    /// An instance is kept only if its answer is good. With what the rows become, in bytes.
    fn call(&mut self, pass: &mut Pass<'_>, rows: Range<usize>, fuel: u64) -> Result<Result<(Answer, usize), Failure>> {
        let mut instance = match self.instance.take() {
            Some(instance) => instance,
            None => {
                self.program.meter.renewed();
                // what opening takes is a part of what the failure before took
                pass.failed_fuel = pass.failed_fuel.saturating_add(self.program.open_fuel);
                self.program.instance()?
            }
        };
        let lowered = pass.layout.lower(pass.batch.columns.columns(), rows.start, rows.len())?;
        let columns: Vec<_> = lowered.iter().map(|column| column.lend()).collect();
        let output = instance.process(rows.len() as u32, &columns, fuel);
        let fuel_used = fuel - instance.fuel_left().min(fuel);
        self.program.meter.called(fuel_used);
        let answer = output.and_then(|output| {
            let answer = lift::verify(output, rows.len() as u32, &self.program.signature.adds)?;
            let bytes = pass.measure(&rows, &answer)?;
            Ok((answer, bytes))
        });
        if answer.is_ok() {
            instance.keep_counts();
            self.program.answered(rows.len());
            self.instance = Some(instance);
        } else {
            pass.failed_calls += 1;
            pass.failed_fuel = pass.failed_fuel.saturating_add(fuel_used);
        }
        Ok(answer)
    }

    /// Fewer rows a call where they were too much for one, more again where they were not: a plugin whose rows cost
    /// much, or are large, is not made to fail with every batch.
    fn adapt(&mut self, rows: usize, answered: Result<usize, &Failure>) {
        let used = self.instance.as_ref().map_or(0, |instance| self.fuel() - instance.fuel_left().min(self.fuel()));
        match answered {
            Err(Failure::Fuel | Failure::TooMuch(_)) => self.rows_per_call = (rows / 2).max(1),
            Ok(bytes) if rows == self.rows_per_call && used < self.fuel() / 4 && bytes < MESSAGE_BYTES_MAX / 4 => {
                self.rows_per_call = (rows * 2).min(ROWS_PER_CALL_MAX);
            }
            _ => {}
        }
    }
}

fn within(fuel: u64, bounds: RangeInclusive<u64>) -> u64 {
    fuel.clamp(*bounds.start(), *bounds.end())
}
