//! Counts since the start of the process, for the summary at its end.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Default)]
pub struct Stats {
    messages: AtomicU64,
    transactions: AtomicU64,
    unknown_fields: AtomicU64,
    restarts: AtomicU64,
    sinks: BTreeMap<Arc<str>, Arc<SinkStats>>,
    rejects: Mutex<BTreeMap<String, u64>>,
}

/// Rows that a sink was given since the start; those that it had already are among them.
#[derive(Default)]
pub struct SinkStats {
    rows: AtomicU64,
}

impl SinkStats {
    pub fn rows(&self, rows: u64) {
        self.rows.fetch_add(rows, Relaxed);
    }
}

impl Stats {
    pub fn new<'n>(sinks: impl Iterator<Item = &'n Arc<str>>) -> Stats {
        Stats { sinks: sinks.map(|name| (name.clone(), Arc::default())).collect(), ..Stats::default() }
    }

    /// Of a sink that the plan names.
    pub fn sink(&self, name: &str) -> Arc<SinkStats> {
        self.sinks.get(name).cloned().unwrap_or_default()
    }

    pub fn committed(&self, messages: u64) {
        self.messages.fetch_add(messages, Relaxed);
        self.transactions.fetch_add(1, Relaxed);
    }

    pub fn unknown_fields(&self, fields: u64) {
        self.unknown_fields.fetch_add(fields, Relaxed);
    }

    pub fn restarted(&self) {
        self.restarts.fetch_add(1, Relaxed);
    }

    pub fn reject(&self, stage: &str, code: &str) {
        let mut rejects = self.rejects.lock().unwrap_or_else(PoisonError::into_inner);
        *rejects.entry(format!("{stage}/{code}")).or_default() += 1;
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (messages, transactions) = (self.messages.load(Relaxed), self.transactions.load(Relaxed));
        write!(f, "{messages} messages in {transactions} transactions")?;
        for (name, sink) in &self.sinks {
            write!(f, "; {name}: {} rows", sink.rows.load(Relaxed))?;
        }
        let rejects = self.rejects.lock().unwrap_or_else(PoisonError::into_inner);
        write!(f, "; {} rejected", rejects.values().sum::<u64>())?;
        let each: Vec<_> = rejects.iter().map(|(code, count)| format!("{code} {count}")).collect();
        if !each.is_empty() {
            write!(f, " ({})", each.join(", "))?;
        }
        let unknown = self.unknown_fields.load(Relaxed);
        if unknown > 0 {
            write!(f, "; {unknown} fields that the pipeline does not take were ignored")?;
        }
        let restarts = self.restarts.load(Relaxed);
        if restarts > 0 {
            write!(f, "; started over {restarts} times after errors")?;
        }
        Ok(())
    }
}
