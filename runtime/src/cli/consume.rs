//! `millrace consume`: messages of a topic as lines of standard output, each partition's oldest first, committed ones
//! only.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use millrace::json::decode::Message;
use millrace::json::time::format_millis;
use millrace::sink::Positions;
use millrace::topic::{Begin, Event, Manner, Reader};
use serde_json::{Map, Value};

use super::ground::Ground;
use super::out;

const WAIT: Duration = Duration::from_millis(500);

#[derive(Args)]
#[command(
    after_help = "With --json each line is an object: `partition`, `offset`, `timestamp` (or null), and `key` and \
    `value` as\ntext (null where there is none; `key_base64`, `value_base64` where they are not UTF-8).\n\n\
    Examples:\n  millrace consume flight-delay-ml-response --follow\n  \
    millrace consume flight-delay-ml-rejected --from 100 --positions --embedded .millrace/embedded\n  \
    millrace consume flight-delay-ml-response --json | jq -r '\"\\(.partition):\\(.offset) \\(.key)\"'"
)]
pub struct Options {
    /// The topic; it must be there
    topic: String,
    #[command(flatten)]
    ground: Ground,
    /// Where to begin in each partition: earliest, latest, or an offset
    #[arg(long, default_value = "earliest", value_name = "WHERE")]
    from: Begin,
    /// Go on waiting for new messages instead of ending with the last
    #[arg(long)]
    follow: bool,
    /// Write partition:offset and a tab before each message
    #[arg(long, conflicts_with = "json")]
    positions: bool,
    /// Write each message as a JSON object with its position, time and key
    #[arg(long)]
    json: bool,
}

pub fn run(options: &Options) -> Result<(), String> {
    let failed = |error: millrace::error::Error| format!("error: {error}");
    let opened = Reader::open(&options.ground.place()?, &options.topic, Manner::looking("millrace-consume"));
    let mut reader = opened.map_err(failed)?;
    let starts = reader.begins(options.from).map_err(failed)?;
    said_of_nothing(options, &starts).into_iter().for_each(out::tell);
    if !options.follow {
        let mut printed = Ok(out::Reader::Reads);
        let is_heard = |printed: &Result<_, _>| *printed == Ok(out::Reader::Reads);
        let read = reader.read_to_ends(&starts, |message| {
            if is_heard(&printed) {
                printed = out::print(line(options, message));
            }
            is_heard(&printed)
        });
        return read.map_err(failed).and(printed).map(drop);
    }
    reader.start(&starts).map_err(failed)?;
    loop {
        if let Event::Message(message) = reader.poll(WAIT).map_err(failed)?
            && out::print(line(options, &message))? == out::Reader::HasGone
        {
            return Ok(());
        }
    }
}

/// An offset that a partition has not come to begins at its end.
fn said_of_nothing(options: &Options, starts: &Positions) -> Option<String> {
    let Begin::Offset(from) = options.from else { return None };
    let short: Vec<_> = starts.iter().filter(|(_, start)| **start < from).collect();
    let ends: Vec<_> = short.iter().map(|(partition, end)| format!("{partition} at {end}")).collect();
    let waits = if options.follow { "; new messages are waited for" } else { "" };
    (!ends.is_empty()).then(|| format!("no message has offset {from} yet: partitions end, {}{waits}", ends.join(", ")))
}

fn line(options: &Options, message: &impl Message) -> Vec<u8> {
    if options.json {
        return format!("{}\n", object(message)).into_bytes();
    }
    let mut line = Vec::new();
    if options.positions {
        line.extend(format!("{}:{}\t", message.partition(), message.offset()).into_bytes());
    }
    line.extend(message.value().unwrap_or(b"null"));
    line.push(b'\n');
    line
}

fn object(message: &impl Message) -> Value {
    let timestamp = message.timestamp_ms().and_then(format_millis);
    let mut object = Map::from_iter([
        ("partition".to_owned(), message.partition().into()),
        ("offset".to_owned(), message.offset().into()),
        ("timestamp".to_owned(), timestamp.into()),
    ]);
    for (name, bytes) in [("key", message.key()), ("value", message.value())] {
        let (name, value) = match bytes.map(std::str::from_utf8) {
            None => (name.to_owned(), Value::Null),
            Some(Ok(text)) => (name.to_owned(), text.into()),
            Some(Err(_)) => (format!("{name}_base64"), bytes.map(|bytes| STANDARD.encode(bytes)).into()),
        };
        object.insert(name, value);
    }
    Value::Object(object)
}
