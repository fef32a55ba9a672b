//! `millrace produce`: lines of standard input into a topic.

use std::io::{BufRead, stdin};
use std::process::exit;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, sync_channel};
use std::thread;
use std::time::Duration;

use clap::Args;
use millrace::words::counted;

use super::ground::Ground;
use super::interrupt::{INTERRUPTED, Interrupt};
use super::out::{self, Reader};
use super::progress::Progress;
use super::topic::{Line, There, Topic};

#[derive(Args)]
#[command(
    after_help = "Each line is a message as it stands, JSON or not; blank lines are passed over. With a failure, and \
    with Ctrl-C,\nit says up to which line all of them are in the topic.\n\n\
    Examples:\n  echo '{\"UUID\":\"1\"}' | millrace produce flight-delay-ml-request\n  \
    millrace produce flight-delay-ml-request --embedded .millrace/embedded < flights.jsonl\n  \
    millrace explain pipelines/flight-delay.toml $(millrace produce flight-delay-ml-request --positions < one.jsonl)"
)]
pub struct Options {
    /// The topic that the lines go to; in an embedded folder it is made where it is not there
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
    let interrupt = Interrupt::watch()?;
    let mut topic = Topic::open(&options.topic, &options.ground, options.positions)?;
    let reader = if options.positions { Reader::Reads } else { Reader::HasGone };
    let mut input = Input { number: 0, messages: 0, printed: Ok(reader) };
    let read = input.send(&mut topic, options, &interrupt);
    // what was sent before the input or the topic failed is acknowledged, or known not to be
    let finished = topic.finish();
    input.say(&mut topic);
    read.and(finished)
        .and(input.printed.clone().map(drop))
        .map_err(|said| format!("{said}\n{}", input.stands(&topic.there(input.number), options)))?;
    out::tell(format_args!("{} into {}", counted(input.messages, "message"), options.topic));
    if interrupt.asked() {
        out::tell(input.stands(&topic.there(input.number), options));
        exit(INTERRUPTED);
    }
    Ok(())
}

/// Lines that were read and not taken yet: a person's are taken at once.
const READ_AHEAD_LINES_MAX: usize = 1_000;

/// How long it waits for a line before it looks whether it is to end.
const LOOK_AFTER: Duration = Duration::from_millis(100);

/// Lines of standard input, read apart: whoever waits for the next one would not hear that it is to end.
fn lines() -> Receiver<std::io::Result<String>> {
    let (sender, lines) = sync_channel(READ_AHEAD_LINES_MAX);
    thread::spawn(move || stdin().lock().lines().try_for_each(|line| sender.send(line)));
    lines
}

/// Standard input, as far as it was read.
struct Input {
    /// Of the last line that was sent, blank ones counted.
    number: usize,
    messages: u64,
    /// What came of printing positions: where nobody takes them, the lines go on all the same.
    printed: Result<Reader, String>,
}

impl Input {
    fn send(&mut self, topic: &mut Topic, options: &Options, interrupt: &Interrupt) -> Result<(), String> {
        let (progress, lines) = (Progress::of_input(), lines());
        let (mut bytes, mut number) = (0, 0);
        while !interrupt.asked() {
            let text = match lines.try_recv() {
                Ok(text) => text,
                Err(TryRecvError::Disconnected) => break,
                // a line that nobody follows does not wait for others
                Err(TryRecvError::Empty) => {
                    topic.write()?;
                    self.say(topic);
                    match lines.recv_timeout(LOOK_AFTER) {
                        Ok(text) => text,
                        Err(RecvTimeoutError::Timeout) => continue,
                        Err(RecvTimeoutError::Disconnected) => break,
                    }
                }
            };
            number += 1;
            let text = text.map_err(|error| format!("error: standard input, line {number}: {error}"))?;
            bytes += text.len() as u64 + 1;
            if text.trim().is_empty() {
                continue;
            }
            let key = options.key.as_ref().map(|field| key(&text, field, number)).transpose()?;
            self.number = number;
            topic.send(Line { number, key, text })?;
            self.messages += 1;
            progress.row(bytes);
            self.say(topic);
        }
        Ok(())
    }

    fn say(&mut self, topic: &mut Topic) {
        if self.printed == Ok(Reader::Reads) {
            let lines = topic.positions().into_iter().map(|(partition, offset)| format!("{partition}:{offset}\n"));
            self.printed = out::print(lines.collect::<String>());
        }
    }

    fn stands(&self, there: &There, options: &Options) -> String {
        if there.through == 0 && !there.perhaps_more {
            return format!("nothing of standard input is in {}", options.topic);
        }
        let more = if there.perhaps_more { "; of the lines after it some may be there too" } else { ", and no more" };
        let next = there.through + 1;
        format!(
            "standard input up to line {} is in {}{more}; to go on, give it what begins with line {next} (tail -n +{next})",
            there.through, options.topic
        )
    }
}

fn key(line: &str, field: &str, number: usize) -> Result<String, String> {
    let value: serde_json::Value = serde_json::from_str(line)
        .map_err(|error| format!("error: standard input, line {number} is not JSON: {error}"))?;
    let text = value.get(field).and_then(|value| value.as_str());
    text.map(str::to_owned)
        .ok_or_else(|| format!("error: standard input, line {number} has no text in `{field}` to be its key"))
}
