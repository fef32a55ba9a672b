//! `millrace produce`: lines of standard input into a topic.

use std::io::{BufRead, stdin};

use clap::Args;

use super::ground::Ground;
use super::progress::Progress;
use super::topic::Topic;

#[derive(Args)]
#[command(after_help = "Examples:\n  echo '{\"UUID\":\"1\"}' | millrace produce flight-delay-ml-request\n  \
    millrace produce flight-delay-ml-request --embedded .millrace/embedded < flights.jsonl")]
pub struct Options {
    topic: String,
    #[command(flatten)]
    ground: Ground,
    /// The JSON field whose text becomes each message's key
    #[arg(long, value_name = "FIELD")]
    key: Option<String>,
}

pub fn run(options: &Options) -> Result<(), String> {
    let mut topic = Topic::open(&options.topic, &options.ground)?;
    let progress = Progress::of_input();
    let (mut lines, mut bytes) = (0_u64, 0_u64);
    for line in stdin().lock().lines() {
        let line = line.map_err(|error| format!("error: reading standard input after line {lines}: {error}"))?;
        bytes += line.len() as u64 + 1;
        if line.is_empty() {
            continue;
        }
        let key = options.key.as_ref().map(|field| key(&line, field, lines + 1)).transpose()?;
        topic.send(key, line)?;
        lines += 1;
        progress.row(bytes);
    }
    drop(progress);
    topic.finish()?;
    eprintln!("{lines} messages into {}", options.topic);
    Ok(())
}

fn key(line: &str, field: &str, number: u64) -> Result<String, String> {
    let value: serde_json::Value =
        serde_json::from_str(line).map_err(|error| format!("error: line {number} is not JSON: {error}"))?;
    let text = value.get(field).and_then(|value| value.as_str());
    text.map(str::to_owned).ok_or_else(|| format!("error: line {number} has no text in `{field}` to be its key"))
}
