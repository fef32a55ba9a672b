//! What the instances of one program cost since the start, and how they fare, all workers together.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::clock::now_seconds;

/// So many failures among the last rows are no bad rows any more, but a bad plugin; it is one until half as many are left.
const FAILING_ROWS: u32 = 10;
/// That are looked back upon.
const LAST_ROWS: usize = u64::BITS as usize;

/// One for each program; its workers and their instances share it.
#[derive(Debug, Default)]
pub struct Meter {
    calls: AtomicU64,
    fuel: AtomicU64,
    renewals: AtomicU64,
    refused_rows: AtomicU64,
    memory_bytes: AtomicU64,
    memory_peak_bytes: AtomicU64,
    outcomes: Mutex<Outcomes>,
}

/// What became of the last rows.
#[derive(Debug, Default)]
struct Outcomes {
    /// A bit for each of the last rows, the latest lowest: it failed.
    failed: u64,
    failed_in_a_row: u64,
    has_answered: bool,
    is_failing: bool,
    last_failure: Option<LastFailure>,
}

impl Outcomes {
    /// True: that is news.
    fn settle(&mut self) -> bool {
        let failed = self.failed.count_ones();
        let many = if self.is_failing { FAILING_ROWS / 2 } else { FAILING_ROWS };
        let is_failing = failed >= many || (failed > 0 && !self.has_answered);
        std::mem::replace(&mut self.is_failing, is_failing) != is_failing
    }

    fn state(&self) -> State {
        match self.failed_in_a_row {
            _ if self.is_failing => State::Failing,
            0 if !self.has_answered => State::Unused,
            _ => State::Answering,
        }
    }
}

/// How a plugin fares, for `/status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Health {
    pub state: State,
    /// Since its last answer.
    pub failed_rows_in_a_row: u64,
    pub last_failure: Option<LastFailure>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It was given no row yet.
    Unused,
    Answering,
    /// It has failed on ten of its last 64 rows, or has answered none ever.
    Failing,
}

/// The last row that it did not answer: why, and when, in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LastFailure {
    pub code: String,
    pub reason: String,
    pub at: u64,
}

/// A [`Meter`], read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    pub calls: u64,
    pub fuel: u64,
    /// Instances that were made because a call of the one before had failed.
    pub renewals: u64,
    pub refused_rows: u64,
    /// Linear memory of all instances that live.
    pub memory_bytes: u64,
    /// The most that one instance ever had.
    pub memory_peak_bytes: u64,
    /// Rows that failed since the last answer.
    pub failed_rows_in_a_row: u64,
    pub is_failing: bool,
}

impl Meter {
    pub fn read(&self) -> Figures {
        let read = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        let outcomes = self.outcomes();
        Figures {
            calls: read(&self.calls),
            fuel: read(&self.fuel),
            renewals: read(&self.renewals),
            refused_rows: read(&self.refused_rows),
            memory_bytes: read(&self.memory_bytes),
            memory_peak_bytes: read(&self.memory_peak_bytes),
            failed_rows_in_a_row: outcomes.failed_in_a_row,
            is_failing: outcomes.is_failing,
        }
    }

    pub fn health(&self) -> Health {
        let outcomes = self.outcomes();
        Health {
            state: outcomes.state(),
            failed_rows_in_a_row: outcomes.failed_in_a_row,
            last_failure: outcomes.last_failure.clone(),
        }
    }

    /// So many rows were answered as agreed. True: that is news, for it was failing.
    pub fn answered(&self, rows: usize) -> bool {
        let mut outcomes = self.outcomes();
        outcomes.failed = if rows < LAST_ROWS { outcomes.failed << rows } else { 0 };
        outcomes.failed_in_a_row = 0;
        outcomes.has_answered = true;
        outcomes.settle()
    }

    /// A row failed alone. True: that is news, for the plugin is failing from now on.
    pub fn failed(&self, code: &str, reason: &str) -> bool {
        let (code, reason) = (code.to_owned(), reason.to_owned());
        let mut outcomes = self.outcomes();
        outcomes.failed = outcomes.failed << 1 | 1;
        outcomes.failed_in_a_row += 1;
        outcomes.last_failure = Some(LastFailure { code, reason, at: now_seconds() });
        outcomes.settle()
    }

    fn outcomes(&self) -> MutexGuard<'_, Outcomes> {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn called(&self, fuel: u64) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.fuel.fetch_add(fuel, Ordering::Relaxed);
    }

    pub fn renewed(&self) {
        self.renewals.fetch_add(1, Ordering::Relaxed);
    }

    pub fn refused(&self, rows: usize) {
        self.refused_rows.fetch_add(rows as u64, Ordering::Relaxed);
    }

    /// An instance went from so many bytes to so many.
    pub fn grew(&self, from: usize, to: usize) {
        self.memory_bytes.fetch_add((to - from) as u64, Ordering::Relaxed);
        self.memory_peak_bytes.fetch_max(to as u64, Ordering::Relaxed);
    }

    /// An instance that had so many bytes is gone.
    pub fn freed(&self, bytes: usize) {
        self.memory_bytes.fetch_sub(bytes as u64, Ordering::Relaxed);
    }
}
