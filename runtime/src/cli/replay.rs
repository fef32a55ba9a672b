//! `millrace replay`: the rows of a file into a topic, as fast as they go or at a rate.

use std::path::PathBuf;
use std::process::exit;
use std::time::{Duration, Instant};

use clap::Args;
use millrace::words::counted;

use super::ground::Ground;
use super::interrupt::{INTERRUPTED, Interrupt};
use super::out;
use super::progress::Progress;
use super::rows::Rows;
use super::topic::{Line, There, Topic};

/// Rows that go out between two looks at the clock.
const BURST_SECONDS: f64 = 0.02;

#[derive(Args)]
#[command(after_help = "A cell of a CSV file that is a JSON number is one, an empty one is null, all else is text.\n\
    A column of a Parquet file is a field: decimals are numbers, binary is base64, NaN is null, nested columns\n\
    are arrays and objects, and a timestamp that has no zone in the file has none in the message.\n\
    A line of JSON that is no object ends the replay, as every failure does, and Ctrl-C: it says how many rows are\n\
    in the topic, and which --skip goes on from there. With --loop Ctrl-C is its end, and the exit code 0.\n\n\
    Examples:\n  \
    millrace replay examples/flight-delay/sample.jsonl --topic flight-delay-ml-request --rate 100 --uuid UUID\n  \
    millrace replay flights.parquet --topic flight-delay-ml-request --embedded .millrace/embedded")]
pub struct Options {
    /// A file of JSON lines (.jsonl, .json, .ndjson), CSV with a header (.csv), or Parquet (.parquet)
    file: PathBuf,
    /// The topic that the rows go to; in an embedded folder it is made where it is not there
    #[arg(long)]
    topic: String,
    #[command(flatten)]
    ground: Ground,
    /// Rows a second; without it, as fast as they go
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<f64>,
    /// Begin again at the end, until Ctrl-C
    #[arg(long = "loop")]
    again: bool,
    /// Pass over so many rows first: an earlier replay says how many of them are there
    #[arg(long, value_name = "N", default_value = "0", conflicts_with = "again", hide_default_value = true)]
    skip: usize,
    /// Put a new UUID into this field of each row
    #[arg(long, value_name = "FIELD")]
    uuid: Option<String>,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if rate > 0.0 && f64::is_finite(rate) => Ok(rate),
        _ => Err("expected rows a second, above 0".into()),
    }
}

pub fn run(options: &Options) -> Result<(), String> {
    let mut rows = open(options)?;
    (0..options.skip).try_for_each(|before| passed_over(&mut rows, before)).map_err(|said| of_file(options, &said))?;
    let mut topic = Topic::open(&options.topic, &options.ground, false)?;
    let (progress, interrupt) = (Progress::new((!options.again).then(|| rows.whole())), Interrupt::watch()?);
    let read = send(&mut rows, &mut topic, &progress, options, &interrupt);
    let sent = progress.rows();
    drop(progress);
    // what was sent before the file or the topic failed is acknowledged, or known not to be
    let done = read.and(topic.finish());
    done.map_err(|said| format!("{said}\n{}", stands(&topic.there(options.skip + sent as usize), options)))?;
    out::tell(format_args!("{} of {} into {}", counted(sent, "row"), options.file.display(), options.topic));
    if interrupt.asked() && !options.again {
        out::tell(stands(&topic.there(options.skip + sent as usize), options));
        exit(INTERRUPTED);
    }
    Ok(())
}

/// Until the rows end, or it is interrupted.
fn send(
    rows: &mut Rows,
    topic: &mut Topic,
    progress: &Progress,
    options: &Options,
    interrupt: &Interrupt,
) -> Result<(), String> {
    let (started, mut before) = (Instant::now(), 0);
    while !interrupt.asked() {
        match rows.next_row().map_err(|said| of_file(options, &said))? {
            Some(text) => {
                progress.row(rows.at());
                let number = options.skip + progress.rows() as usize;
                topic.send(Line { number, key: None, text })?;
                if let Some(due) = due(options, started, progress.rows()) {
                    topic.write()?;
                    interrupt.wait(due.saturating_duration_since(Instant::now()));
                }
            }
            // a file without rows has no second round
            None if options.again && progress.rows() > before => {
                before = progress.rows();
                *rows = open(options)?;
            }
            None => break,
        }
    }
    Ok(())
}

fn passed_over(rows: &mut Rows, before: usize) -> Result<(), String> {
    let row = rows.next_row()?;
    row.map(drop).ok_or_else(|| format!("it has {before} rows, fewer than --skip says"))
}

fn of_file(options: &Options, said: &str) -> String {
    format!("error: {}: {said}", options.file.display())
}

fn stands(there: &There, options: &Options) -> String {
    let (through, file, topic) = (there.through, options.file.display(), &options.topic);
    if options.again {
        return format!("{} of {file} went into {topic} before that", counted(through, "row"));
    }
    if through == 0 && !there.perhaps_more {
        return format!("no row of {file} is in {topic}");
    }
    let more = if there.perhaps_more { "; of the rows after them some may be there too" } else { ", and no more" };
    let first = match through {
        1 => "the first row".into(),
        rows => format!("the first {rows} rows"),
    };
    format!(
        "{first} of {file} {} in {topic}{more}; to go on, add --skip {through}",
        if through == 1 { "is" } else { "are" }
    )
}

fn open(options: &Options) -> Result<Rows, String> {
    Rows::open(&options.file, options.uuid.as_deref())
}

/// When the next burst is due, after the last row of one.
fn due(options: &Options, started: Instant, sent: u64) -> Option<Instant> {
    let rate = options.rate?;
    let burst = (rate * BURST_SECONDS).ceil() as u64;
    sent.is_multiple_of(burst).then(|| started + Duration::from_secs_f64(sent as f64 / rate))
}
