//! `millrace rejects`: what a pipeline refused, and sending it again.

mod resend;
mod show;

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use millrace::json::time::parse_timestamp;
use millrace::plan::Plan;
use millrace::resend::Filter;

use super::ground::Pipeline;
use super::runtime;

#[derive(Subcommand)]
pub enum Rejects {
    /// Print the newest rejects, or count them; it changes nothing, and the pipeline may run
    Show(show::Options),
    /// Send the messages of rejects to the source's topic again, each once; the pipeline may run
    Resend(resend::Options),
}

/// Which rejects; all of it must hold.
#[derive(Args)]
#[command(next_help_heading = "Which rejects")]
struct Which {
    /// Refused by this stage or sink; `source` where the message could not be decoded
    #[arg(long, value_name = "NAME")]
    stage: Option<String>,
    /// Refused with this code
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    /// Of messages in this partition of the source's topic
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// Of messages from this offset on
    #[arg(long, value_name = "OFFSET", value_parser = clap::value_parser!(i64).range(0..))]
    from: Option<i64>,
    /// Of messages up to this offset, which is meant too
    #[arg(long, value_name = "OFFSET", value_parser = clap::value_parser!(i64).range(0..))]
    to: Option<i64>,
    /// Refused since then: 2026-05-06T07:08:09Z, or how long ago, as 90s, 15m, 2h or 7d
    #[arg(long, value_name = "WHEN", value_parser = since)]
    since: Option<i64>,
}

impl Which {
    fn filter(&self) -> Filter {
        let Which { stage, code, partition, from, to, since } = self;
        let (stage, code) = (stage.clone(), code.clone());
        Filter { stage, code, partition: *partition, from: *from, to: *to, since_ms: *since }
    }
}

impl Rejects {
    pub fn file(&self) -> &Path {
        match self {
            Rejects::Show(options) => &options.pipeline.file,
            Rejects::Resend(options) => &options.pipeline.file,
        }
    }

    pub fn run(&self, plan: &Plan) -> Result<(), String> {
        match self {
            Rejects::Show(options) => show::run(plan, options, runtime()?.handle()),
            Rejects::Resend(options) => resend::run(plan, options, runtime()?.handle()),
        }
    }
}

/// In milliseconds since 1970.
fn since(text: &str) -> Result<i64, String> {
    if let Some(micros) = parse_timestamp(text) {
        return Ok(micros / 1000);
    }
    let expected = || "expected a time with its zone, as 2026-05-06T07:08:09Z, or how long ago, as 90s, 15m, 2h or 7d";
    let unit = text.char_indices().next_back().and_then(|(at, unit)| {
        let seconds =
            [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400)].into_iter().find(|(known, _)| *known == unit)?.1;
        text[..at].parse::<u64>().ok()?.checked_mul(seconds)
    });
    let ago = Duration::from_secs(unit.ok_or_else(expected)?);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(now.saturating_sub(ago).as_millis() as i64)
}

#[cfg(test)]
mod tests {
    use super::since;

    #[test]
    fn times_and_how_long_ago() {
        assert_eq!(since("1970-01-01T00:00:01.5Z"), Ok(1_500));
        let (hour, day) = (since("2h").unwrap(), since("1d").unwrap());
        assert!((79_200_000..79_300_000).contains(&(hour - day)), "{hour} {day}");
        for wrong in ["", "h", "5", "-5s", "2w", "1970-01-01T00:00:01", "99999999999999999999d", "5é"] {
            assert!(since(wrong).is_err(), "{wrong}");
        }
    }
}
