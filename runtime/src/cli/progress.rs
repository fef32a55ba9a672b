//! How far a command is: rows, rate, share of its input, time that is left. Drawn on standard error where that is a
//! terminal, and nowhere else.

use std::fmt::Write;
use std::io::{IsTerminal, stdin};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{HumanCount, ProgressBar, ProgressState, ProgressStyle};

const OF_A_WHOLE: &str = "{bar:24} {percent}%, {rows} rows, {rate}/s, {eta} left";
const OF_SOME: &str = "{spinner} {rows} rows, {rate}/s, {elapsed}";

pub struct Progress {
    bar: ProgressBar,
    rows: Arc<AtomicU64>,
}

impl Progress {
    /// `whole`: what the position will be in the end, where that is known.
    pub fn new(whole: Option<u64>) -> Progress {
        let rows = Arc::new(AtomicU64::new(0));
        let (bar, template) = match whole {
            Some(whole) => (ProgressBar::new(whole), OF_A_WHOLE),
            None => (ProgressBar::new_spinner(), OF_SOME),
        };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
        Progress { bar: bar.with_style(keys(style, &rows)), rows }
    }

    /// Of standard input: its size where it is a file; nothing where it is a person, whose words a line would disturb.
    pub fn of_input() -> Progress {
        let input = stdin();
        if input.is_terminal() {
            return Progress { bar: ProgressBar::hidden(), rows: Arc::default() };
        }
        let file = input.as_fd().try_clone_to_owned().map(std::fs::File::from);
        let found = file.and_then(|file| file.metadata()).ok();
        Progress::new(found.filter(|found| found.is_file()).map(|found| found.len()))
    }

    /// One row more, and where that is in the input.
    pub fn row(&self, at: u64) {
        self.rows.fetch_add(1, Ordering::Relaxed);
        self.bar.set_position(at);
    }

    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn keys(style: ProgressStyle, rows: &Arc<AtomicU64>) -> ProgressStyle {
    let (count, rate) = (rows.clone(), rows.clone());
    let count = move |_: &ProgressState, out: &mut dyn Write| {
        // a line that cannot be drawn is no reason to stop
        let _ = write!(out, "{}", HumanCount(count.load(Ordering::Relaxed)));
    };
    let rate = move |state: &ProgressState, out: &mut dyn Write| {
        let per_second = rate.load(Ordering::Relaxed) as f64 / state.elapsed().as_secs_f64().max(0.001);
        let _ = write!(out, "{}", HumanCount(per_second as u64));
    };
    style.with_key("rows", count).with_key("rate", rate)
}
