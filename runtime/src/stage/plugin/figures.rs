//! What the instances of one program cost since the start, all workers together.

use std::sync::atomic::{AtomicU64, Ordering};

/// One for each program; its workers and their instances share it.
#[derive(Debug, Default)]
pub struct Meter {
    calls: AtomicU64,
    fuel: AtomicU64,
    renewals: AtomicU64,
    refused_rows: AtomicU64,
    memory_bytes: AtomicU64,
    memory_peak_bytes: AtomicU64,
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
}

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
        }
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
