//! `millrace replay`: the rows of a file into a topic, as fast as they go or at a rate.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::ground::Ground;
use super::topic::Topic;

/// Rows that go out between two looks at the clock.
const BURST_SECONDS: f64 = 0.02;

#[derive(Args)]
#[command(
    after_help = "A cell of a CSV file that is a JSON number is one, an empty one is null, all else is text.\n\n\
    Examples:\n  \
    millrace replay examples/flight-delay/sample.jsonl --topic flight-delay-ml-request --rate 100 --uuid UUID\n  \
    millrace replay flights.csv --topic flight-delay-ml-request --embedded .millrace/embedded"
)]
pub struct Options {
    /// A file of JSON lines (.jsonl, .json, .ndjson) or CSV with a header (.csv)
    file: PathBuf,
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
    let mut topic = Topic::open(&options.topic, &options.ground, false)?;
    let bar = bar();
    let (started, mut sent) = (Instant::now(), 0_u64);
    loop {
        let before = sent;
        for row in rows(&options.file)? {
            topic.send(None, with_uuid(row?, options)?)?;
            sent += 1;
            bar.inc(1);
            pace(options, started, sent, &mut topic)?;
        }
        if !options.again || sent == before {
            break;
        }
    }
    topic.finish()?;
    bar.finish_and_clear();
    eprintln!("{sent} rows of {} into {}", options.file.display(), options.topic);
    Ok(())
}

/// Drawn on a terminal only.
fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {human_pos} rows, {per_sec}, {elapsed}");
    ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}

/// Waits until the next burst is due.
fn pace(options: &Options, started: Instant, sent: u64, topic: &mut Topic) -> Result<(), String> {
    let Some(rate) = options.rate else { return Ok(()) };
    let burst = (rate * BURST_SECONDS).ceil() as u64;
    if sent.is_multiple_of(burst) {
        topic.write()?;
        let due = started + Duration::from_secs_f64(sent as f64 / rate);
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

fn with_uuid(line: String, options: &Options) -> Result<String, String> {
    let Some(field) = &options.uuid else { return Ok(line) };
    let mut row: Map<String, Value> =
        serde_json::from_str(&line).map_err(|error| format!("error: a row is no JSON object: {error}: {line}"))?;
    row.insert(field.clone(), Uuid::new_v4().to_string().into());
    Ok(Value::Object(row).to_string())
}

type Rows = Box<dyn Iterator<Item = Result<String, String>>>;

fn rows(file: &Path) -> Result<Rows, String> {
    let failed = |error: std::io::Error| format!("error: {}: {error}", file.display());
    match file.extension().and_then(|ending| ending.to_str()) {
        Some("jsonl" | "json" | "ndjson") => {
            let name = file.display().to_string();
            let lines = BufReader::new(File::open(file).map_err(failed)?).lines();
            let lines = lines.map(move |line| line.map_err(|error| format!("error: {name}: {error}")));
            Ok(Box::new(lines.filter(|line| line.as_ref().map_or(true, |line| !line.is_empty()))))
        }
        Some("csv") => csv_rows(file),
        _ => {
            Err(format!("error: {}: expected a file whose name ends in .jsonl, .json, .ndjson or .csv", file.display()))
        }
    }
}

fn csv_rows(file: &Path) -> Result<Rows, String> {
    let name = file.display().to_string();
    let failed = move |error: csv::Error| format!("error: {name}: {error}");
    let mut reader = csv::Reader::from_path(file).map_err(&failed)?;
    let header = reader.headers().map_err(&failed)?.clone();
    let row = move |record: Result<csv::StringRecord, csv::Error>| {
        let record = record.map_err(&failed)?;
        let cells = header.iter().zip(&record).map(|(name, text)| (name.to_owned(), cell(text)));
        Ok(Value::Object(cells.collect()).to_string())
    };
    Ok(Box::new(reader.into_records().map(row)))
}

fn cell(text: &str) -> Value {
    if text.is_empty() {
        return Value::Null;
    }
    match serde_json::from_str(text) {
        Ok(Value::Number(number)) => Value::Number(number),
        _ => text.into(),
    }
}
