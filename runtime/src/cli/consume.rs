//! `millrace consume`: messages of a topic as lines of standard output, oldest first, committed ones only.

use std::io::{self, ErrorKind, Write};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use millrace::error::Error;
use millrace::json::decode::Message;
use millrace::json::time::format_timestamp;
use millrace::topic::{Begin, Event, Manner, Reader};
use serde_json::{Map, Value};

use super::ground::Ground;

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
    match read(options) {
        // who reads our output has seen enough
        Err(Failed::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(Failed::Output(error)) => Err(format!("error: writing to standard output: {error}")),
        Err(Failed::Topic(error)) => Err(format!("error: {error}")),
        Ok(()) => Ok(()),
    }
}

enum Failed {
    Output(io::Error),
    Topic(Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Failed {
        Failed::Topic(error)
    }
}

fn read(options: &Options) -> Result<(), Failed> {
    let mut reader = Reader::open(&options.ground.place(), &options.topic, Manner::looking("millrace-consume"))?;
    let starts = reader.begins(options.from)?;
    if !options.follow {
        let mut written = Ok(());
        reader.read_to_ends(&starts, |message| {
            if written.is_ok() {
                written = write(options, message);
            }
            written.is_ok()
        })?;
        return written.map_err(Failed::Output);
    }
    reader.start(&starts)?;
    loop {
        if let Event::Message(message) = reader.poll(WAIT)? {
            write(options, &message).map_err(Failed::Output)?;
        }
    }
}

fn write(options: &Options, message: &impl Message) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if options.json {
        return writeln!(out, "{}", object(message));
    }
    if options.positions {
        write!(out, "{}:{}\t", message.partition(), message.offset())?;
    }
    out.write_all(message.value().unwrap_or(b"null"))?;
    out.write_all(b"\n")
}

fn object(message: &impl Message) -> Value {
    let timestamp = message.timestamp_ms().and_then(|ms| format_timestamp(ms * 1000));
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
