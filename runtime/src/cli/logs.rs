//! Log lines on stderr: for people by default, JSON by option.

use std::io::{self, IsTerminal};

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

use super::out;

#[derive(Args)]
pub struct Options {
    /// What to log: a level, or module=level,… as in info,millrace::source=debug (docs/logs.md has the modules)
    #[arg(long, global = true, env = "MILLRACE_LOG", default_value = "info", value_name = "FILTER")]
    log: String,
    /// How log lines look
    #[arg(long, global = true, env = "MILLRACE_LOG_FORMAT", default_value = "text")]
    log_format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

impl Options {
    /// The last word of a command that failed: for people as it is, for machines a line like the others.
    pub fn fail(&self, said: &str) {
        match self.log_format {
            Format::Text => out::tell(said),
            Format::Json => tracing::error!("{}", said.trim_start_matches("error: ")),
        }
    }

    pub fn start(&self) {
        let filter = EnvFilter::try_new(&self.log).unwrap_or_else(|error| {
            out::tell(format_args!("warning: --log `{}`: {error}; logging at info", self.log));
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
