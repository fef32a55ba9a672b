//! Log lines on stderr: for people by default, JSON by option; the same options as the runtime's.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

#[derive(Args)]
pub struct Options {
    /// What to log: a level, or module=level,…
    #[arg(long, env = "MILLRACE_LOG", default_value = "info", value_name = "FILTER")]
    log: String,
    /// How log lines look
    #[arg(long, env = "MILLRACE_LOG_FORMAT", default_value = "text")]
    log_format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

impl Options {
    /// Why the process ends.
    pub fn fail(&self, error: &dyn Display) {
        match self.log_format {
            // if standard error takes nothing, there is nobody to tell
            Format::Text => drop(writeln!(io::stderr(), "error: {error}")),
            Format::Json => tracing::error!("{error}"),
        }
    }

    pub fn start(&self) {
        let filter = EnvFilter::try_new(&self.log).unwrap_or_else(|error| {
            // if standard error takes nothing, there is nobody to tell
            let _ = writeln!(io::stderr(), "warning: --log `{}`: {error}; logging at info", self.log);
            EnvFilter::new("info")
        });
        let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(colours);
        // it would say by a panic that a line cannot be written
        let lines = lines.log_internal_errors(false);
        match self.log_format {
            Format::Text => lines.with_target(false).init(),
            Format::Json => lines.json().init(),
        }
    }
}
