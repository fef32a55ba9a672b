//! Log lines on stderr: for people by default, JSON by option.

use std::io::{self, IsTerminal};

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::out;

const LEVELS: &str = "expected off, error, warn, info, debug or trace";

#[derive(Args)]
pub struct Options {
    /// What to log: a level, or module=level,… as in info,millrace::source=debug (docs/logs.md has the modules)
    #[arg(long, global = true, env = "MILLRACE_LOG", default_value = "info", value_name = "FILTER", value_parser = filter)]
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

/// By its own parser a word that is no level is a module, of which everything is logged, and nothing of the others.
fn filter(text: &str) -> Result<String, String> {
    text.split(',').try_for_each(directive)?;
    EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

fn directive(part: &str) -> Result<(), String> {
    let (module, level) = part.rsplit_once('=').map_or((None, part), |(module, level)| (Some(module), level));
    let is_level = !level.is_empty() && level.parse::<LevelFilter>().is_ok();
    match (is_level, module) {
        (false, _) => Err(format!("`{level}` is no level: {LEVELS}")),
        (true, Some("")) => Err(format!("`{part}` names no module")),
        (true, _) => Ok(()),
    }
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
        let filter = EnvFilter::new(&self.log);
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

#[cfg(test)]
mod tests {
    use super::filter;

    #[test]
    fn levels_and_levels_by_module_and_nothing_else() {
        for right in ["info", "off", "DEBUG", "info,millrace::source=debug", "warn,millrace::librdkafka=trace,h2=off"] {
            assert_eq!(filter(right).as_deref(), Ok(right));
        }
        for (wrong, part) in
            [("bogus", "`bogus`"), ("info,bla=foo", "`foo`"), ("", "``"), ("info,", "``"), ("=info", "`=info`")]
        {
            let said = filter(wrong).expect_err(wrong);
            assert!(said.starts_with(part), "{said}");
        }
    }
}
