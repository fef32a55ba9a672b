//! `millrace train`.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use millrace::config;
use millrace::train::{self, Progress};

use super::out;

/// Without a terminal, a line for each so many rounds or lines read.
const ROUNDS_PER_LINE: u32 = 25;
const READ_PER_LINE: usize = 16 * 4_096;

pub fn run(file: &Path) -> Result<(), String> {
    let env = |name: &str| std::env::var(name).ok();
    let training = config::check_training(file, &env).map_err(|diagnostics| diagnostics.to_string())?;
    if !training.warnings.is_empty() {
        out::tell(training.warnings.to_string().trim_end());
    }
    let terminal = io::stderr().is_terminal();
    let report = train::train(&training, &mut |progress| say(progress, terminal));
    if terminal {
        drop(write!(io::stderr(), "\r\x1b[K"));
    }
    out::print(report.map_err(|error| format!("error: {error}"))?.to_string()).map(drop)
}

fn say(progress: Progress, terminal: bool) {
    let (line, at_a_step) = match progress {
        Progress::Read { lines } => (format!("read {lines} lines"), lines % READ_PER_LINE < 4_096),
        Progress::Round { of, round, rounds } => {
            let line = format!("training on {of}: round {round} of {rounds}");
            (line, round % ROUNDS_PER_LINE == 0 || round == rounds)
        }
    };
    // progress that nobody reads is no reason to stop
    if terminal {
        drop(write!(io::stderr(), "\r\x1b[K{line}"));
    } else if at_a_step {
        drop(writeln!(io::stderr(), "{line}"));
    }
}
