//! What the instances of one program cost since the start, and how they fare, all workers together.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// So many rows in a row without an answer are no bad rows any more, but a bad plugin.
const FAILING_ROWS: u64 = 10;

/// One for each program; its workers and their instances share it.
#[derive(Debug, Default)]
pub struct Meter {
    calls: AtomicU64,
    fuel: AtomicU64,
    renewals: AtomicU64,
    refused_rows: AtomicU64,
    memory_bytes: AtomicU64,
    memory_peak_bytes: AtomicU64,
    failed_rows_in_a_row: AtomicU64,
    has_answered: AtomicBool,
    last_failure: Mutex<Option<LastFailure>>,
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
    /// It has answered none of its last ten rows, or none ever.
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
}

use crate::clock::now_seconds;

impl Meter {
    pub fn read(&self) -> Figures {
        let read = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        Figures {
            calls: read(&self.calls),
            fuel: read(&self.fuel),
            renewals: read(&self.renewals),
            refused_rows: read(&self.refused_rows),
            memory_bytes: read(&self.memory_bytes),
            memory_peak_bytes: read(&self.memory_peak_bytes),
            failed_rows_in_a_row: read(&self.failed_rows_in_a_row),
        }
    }

    pub fn health(&self) -> Health {
        let failed_rows_in_a_row = self.failed_rows_in_a_row.load(Ordering::Relaxed);
        let state = match (failed_rows_in_a_row, self.has_answered.load(Ordering::Relaxed)) {
            (0, false) => State::Unused,
            (failed, answered) if failed >= FAILING_ROWS || !answered => State::Failing,
            _ => State::Answering,
        };
        let last_failure = self.last_failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Health { state, failed_rows_in_a_row, last_failure }
    }

    /// A call was answered as agreed. True: that is news, for it was failing.
    pub fn answered(&self) -> bool {
        let answered = self.has_answered.swap(true, Ordering::Relaxed);
        let failed = self.failed_rows_in_a_row.swap(0, Ordering::Relaxed);
        failed >= FAILING_ROWS || (failed > 0 && !answered)
    }

    /// A row failed alone. True: that is news, for the plugin is failing from now on.
    pub fn failed(&self, code: &str, reason: &str) -> bool {
        let at = now_seconds();
        let failure = LastFailure { code: code.to_owned(), reason: reason.to_owned(), at };
        *self.last_failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
        let failed = self.failed_rows_in_a_row.fetch_add(1, Ordering::Relaxed) + 1;
        failed == if self.has_answered.load(Ordering::Relaxed) { FAILING_ROWS } else { 1 }
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
