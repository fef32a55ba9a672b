//! What a guest can call: a line for people, a counter for machines.
//!
//! Invariant: neither can flood the host. Bytes that a call may hand over are bounded, and a call that goes beyond is
//! a trap like any other; log lines beyond a rate are left out and counted. Counts of a call that failed do not count.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::bindings::millrace::plugin::host::{self, Level};
use super::bindings::millrace::plugin::types;
use crate::words;

/// Of messages and names that one call of the guest may hand over.
const HOST_BYTES_PER_CALL_MAX: usize = 1 << 20;
const LOG_LINES_PER_SECOND_MAX: u32 = 10;
const LOG_MESSAGE_BYTES_MAX: usize = 1_024;
const COUNTER_NAMES_MAX: usize = 64;
const COUNTER_NAME_BYTES_MAX: usize = 64;
const SECOND: Duration = Duration::from_secs(1);

/// One for each program; its workers and their instances share it.
#[derive(Debug)]
pub struct Console {
    stage: Arc<str>,
    rate: Mutex<Rate>,
    /// Of the host's own lines about the plugin, which the plugin's cannot drown.
    own_rate: Mutex<Rate>,
    counters: Mutex<BTreeMap<String, u64>>,
}

#[derive(Debug)]
struct Rate {
    since: Instant,
    lines: u32,
    left_out: u64,
}

impl Console {
    pub fn new(stage: Arc<str>) -> Console {
        let [rate, own_rate] = [(); 2].map(|()| Mutex::new(Rate { since: Instant::now(), lines: 0, left_out: 0 }));
        Console { stage, rate, own_rate, counters: Mutex::default() }
    }

    pub fn counters(&self) -> BTreeMap<String, u64> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, counts: &mut Vec<(String, u64)>) {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, by) in counts.drain(..) {
            if counters.contains_key(&name) || counters.len() < COUNTER_NAMES_MAX {
                let counter = counters.entry(name).or_default();
                *counter = counter.saturating_add(by);
            }
        }
    }

    /// Of the host's own.
    pub fn error(&self, message: &str) {
        self.log(&self.own_rate, Level::Error, message);
    }

    pub fn info(&self, message: &str) {
        self.log(&self.own_rate, Level::Info, message);
    }

    fn log(&self, rate: &Mutex<Rate>, level: Level, message: &str) {
        let Some(left_out) = rate.lock().unwrap_or_else(PoisonError::into_inner).turn(Instant::now()) else {
            return;
        };
        let stage = &*self.stage;
        if left_out > 0 {
            tracing::warn!(stage, left_out, "lines of the plugin were left out");
        }
        match level {
            Level::Debug => tracing::debug!(stage, "{message}"),
            Level::Info => tracing::info!(stage, "{message}"),
            Level::Warn => tracing::warn!(stage, "{message}"),
            Level::Error => tracing::error!(stage, "{message}"),
        }
    }
}

/// A flood that nothing followed.
impl Drop for Console {
    fn drop(&mut self) {
        for rate in [&mut self.rate, &mut self.own_rate] {
            let left_out = rate.get_mut().unwrap_or_else(PoisonError::into_inner).left_out;
            if left_out > 0 {
                tracing::warn!(stage = &*self.stage, left_out, "lines of the plugin were left out");
            }
        }
    }
}

impl Rate {
    /// None: this line is left out; else how many were since the last.
    fn turn(&mut self, now: Instant) -> Option<u64> {
        if now.duration_since(self.since) >= SECOND {
            (self.since, self.lines) = (now, 0);
        }
        if self.lines == LOG_LINES_PER_SECOND_MAX {
            self.left_out += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

/// Stops a guest that hands over too much.
#[derive(Debug)]
pub struct Flood;

impl fmt::Display for Flood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it logged and counted more than {HOST_BYTES_PER_CALL_MAX} bytes in a call")
    }
}

impl std::error::Error for Flood {}

/// The host as one instance has it.
pub struct Host {
    console: Arc<Console>,
    bytes_left: usize,
    /// What the guest said last at level error in this call: a trap alone does not say why.
    last_error: Option<String>,
    /// Of this call: an instance whose call failed is gone, and they with it.
    counts: Vec<(String, u64)>,
}

impl Host {
    pub fn new(console: Arc<Console>) -> Host {
        Host { console, bytes_left: HOST_BYTES_PER_CALL_MAX, last_error: None, counts: Vec::new() }
    }

    pub fn begin_call(&mut self) {
        self.bytes_left = HOST_BYTES_PER_CALL_MAX;
        self.last_error = None;
    }

    /// The call is good: so are its counts.
    pub fn keep_counts(&mut self) {
        if !self.counts.is_empty() {
            self.console.add(&mut self.counts);
        }
    }

    pub fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    fn charge(&mut self, bytes: usize) -> wasmtime::Result<()> {
        // a call without a byte costs the host something too
        self.bytes_left = self.bytes_left.checked_sub(bytes + 1).ok_or(Flood)?;
        Ok(())
    }
}

impl host::Host for Host {
    fn log(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        self.charge(message.len())?;
        let message = words::sentence(&message, LOG_MESSAGE_BYTES_MAX);
        self.console.log(&self.console.rate, level, &message);
        if level == Level::Error {
            self.last_error = Some(message);
        }
        Ok(())
    }

    fn count(&mut self, name: String, by: u64) -> wasmtime::Result<()> {
        self.charge(name.len())?;
        let name = words::word(&name, COUNTER_NAME_BYTES_MAX);
        match self.counts.iter().position(|(known, _)| *known == name) {
            Some(known) => self.counts[known].1 = self.counts[known].1.saturating_add(by),
            None if self.counts.len() < COUNTER_NAMES_MAX => self.counts.push((name, by)),
            None => {}
        }
        Ok(())
    }
}

impl types::Host for Host {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_rate_are_left_out_and_counted() {
        let start = Instant::now();
        let mut rate = Rate { since: start, lines: 0, left_out: 0 };
        let turns: Vec<_> = (0..12).map(|_| rate.turn(start)).collect();
        assert_eq!(turns, [vec![Some(0); 10], vec![None; 2]].concat());
        assert_eq!(rate.turn(start + SECOND), Some(2));
        assert_eq!(rate.turn(start + SECOND), Some(0));
    }

    #[test]
    fn counters_are_bounded_in_number() {
        let console = Arc::new(Console::new("s".into()));
        for call in 0..3 {
            let mut host = Host::new(console.clone());
            (0..COUNTER_NAMES_MAX)
                .for_each(|n| host::Host::count(&mut host, format!("c{call}_{n}"), 2).expect("a count"));
            host.keep_counts();
        }
        assert_eq!(console.counters().len(), COUNTER_NAMES_MAX);
        assert_eq!(console.counters()["c0_0"], 2);
    }
}
