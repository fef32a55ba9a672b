//! `millrace produce`: lines of standard input into a topic.

use std::io::{BufRead, Write, stdin, stdout};

use clap::Args;

use super::ground::Ground;
use super::progress::Progress;
use super::topic::Topic;

#[derive(Args)]
#[command(after_help = "Examples:\n  echo '{\"UUID\":\"1\"}' | millrace produce flight-delay-ml-request\n  \
    millrace produce flight-delay-ml-request --embedded .millrace/embedded < flights.jsonl\n  \
    millrace explain pipelines/flight-delay.toml $(millrace produce flight-delay-ml-request --positions < one.jsonl)")]
pub struct Options {
    topic: String,
    #[command(flatten)]
    ground: Ground,
    /// The JSON field whose text becomes each message's key
    #[arg(long, value_name = "FIELD")]
    key: Option<String>,
    /// Print partition:offset of each message on standard output, in the order in which they were acknowledged
    #[arg(long)]
    positions: bool,
}

pub fn run(options: &Options) -> Result<(), String> {
    let mut topic = Topic::open(&options.topic, &options.ground, options.positions)?;
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
        say(&mut topic, options)?;
    }
    drop(progress);
    let finished = topic.finish();
    say(&mut topic, options)?;
    finished?;
    eprintln!("{lines} messages into {}", options.topic);
    Ok(())
}

fn say(topic: &mut Topic, options: &Options) -> Result<(), String> {
    if !options.positions {
        return Ok(());
    }
    let mut out = stdout().lock();
    let mut written = topic.written().into_iter();
    written
        .try_for_each(|(partition, offset)| writeln!(out, "{partition}:{offset}"))
        .map_err(|error| format!("error: writing to standard output: {error}"))
}

fn key(line: &str, field: &str, number: u64) -> Result<String, String> {
    let value: serde_json::Value =
        serde_json::from_str(line).map_err(|error| format!("error: line {number} is not JSON: {error}"))?;
    let text = value.get(field).and_then(|value| value.as_str());
    text.map(str::to_owned).ok_or_else(|| format!("error: line {number} has no text in `{field}` to be its key"))
}
