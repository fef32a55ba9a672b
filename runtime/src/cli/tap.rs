//! `millrace tap`: rows as they leave a stage, live and sampled, as JSON lines.
//!
//! It reads the log itself and runs the file's own stages in its own process, so it can neither slow the pipeline nor
//! move it; and it shows what an edited file would do before anybody runs that.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use millrace::batch::Reject;
use millrace::json::decode::Message;
use millrace::json::time::format_millis;
use millrace::plan::Plan;
use millrace::probe::{self, Probe};
use millrace::topic::{Begin, Event, Manner, Place, Reader};
use millrace::words::counted;
use serde_json::{Value, json};

use super::interrupt::Interrupt;
use super::{ground, out};

/// How late a signal may be seen.
const POLL: Duration = Duration::from_millis(200);
/// Between two words on how far it is.
const TELL_AFTER: Duration = Duration::from_secs(5);

#[derive(Args)]
#[command(
    after_help = "Each line is one JSON object: where the row comes from (partition, offset, and index among the \
    rows of one\nmessage), the message's timestamp, and `row`; or `rejected` with the code and the reason, where the \
    stage\nrefused it. Rows that an earlier stage refused never come to this one: tap that.\n\n\
    Tapping joins no consumer group and commits nothing: it reads the topic and runs this file's stages itself, so\n\
    the pipeline neither slows nor moves, whether it runs or not. With an edited file it shows what the edit does.\n\
    What comes faster than --rows-per-second-max is passed over, whole messages at a time, and counted.\n\n\
    Examples:\n  \
    millrace tap pipelines/flight-delay.toml --at delay\n  \
    millrace tap pipelines/flight-delay.toml --at features --embedded .millrace/embedded --from earliest --rows-max 5\n  \
    millrace tap pipelines/flight-delay.toml --at delay | jq .row.Prediction"
)]
pub struct Options {
    /// The pipeline's TOML file
    pub file: PathBuf,
    /// Rows as they leave this stage: its name in the file, or `source` for what the decoder gives
    #[arg(long, value_name = "STAGE")]
    at: String,
    /// A topic of this embedded folder instead of the file's brokers
    #[arg(long, value_name = "DIR")]
    embedded: Option<PathBuf>,
    /// Where to begin in each partition: latest, earliest, or an offset
    #[arg(long, default_value = "latest", value_name = "WHERE")]
    from: Begin,
    /// End after so many lines
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    rows_max: Option<u64>,
    /// Lines a second at most: as many come at once, then the rest is sampled
    #[arg(long, default_value = "10", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rows_per_second_max: u32,
}

pub fn run(plan: &Plan, options: &Options) -> Result<(), String> {
    let stages = stage(plan, &options.at)?;
    let failed = |error: millrace::error::Error| format!("error: {error}");
    let mut probe = Probe::new(plan, stages).map_err(failed)?;
    let place = Place::of(&ground::of(options.embedded.as_ref()), &plan.source);
    let interrupt = Interrupt::watch()?;
    let mut reader = Reader::open(&place, &plan.source.topic, Manner::looking("millrace-tap")).map_err(failed)?;
    let begins = reader.begins(options.from).map_err(failed)?;
    reader.start(&begins).map_err(failed)?;
    let from: Vec<_> = begins.iter().map(|(partition, offset)| format!("{partition}:{offset}")).collect();
    let (at, topic) = (&options.at, &plan.source.topic);
    out::tell(format_args!("tapping `{at}` of `{topic}` {place}, from {}; Ctrl-C ends", from.join(" ")));
    let mut tap =
        Tap { probe: &mut probe, options, stages, sample: Sample::new(options.rows_per_second_max), lines: 0 };
    let done = tap.follow(&mut reader, &interrupt);
    out::tell(tap.said());
    done.map_err(|failed| match failed {
        Failed::Output(said) => said,
        Failed::Topic(error) => format!("error: topic `{topic}` {place}: {error}"),
    })
}

/// How many stages come up to that one, itself included.
fn stage(plan: &Plan, name: &str) -> Result<usize, String> {
    let found = probe::names(plan).position(|known| known == name);
    found.ok_or_else(|| {
        let known: Vec<_> = probe::names(plan).map(|known| format!("`{known}`")).collect();
        format!("error: {} has no stage `{name}`: --at takes {}", plan.file.display(), known.join(", "))
    })
}

enum Failed {
    Output(String),
    Topic(millrace::error::Error),
}

struct Tap<'a, 'p> {
    probe: &'a mut Probe<'p>,
    options: &'a Options,
    stages: usize,
    sample: Sample,
    lines: u64,
}

impl Tap<'_, '_> {
    fn follow(&mut self, reader: &mut Reader, interrupt: &Interrupt) -> Result<(), Failed> {
        let (mut told, mut said) = (Instant::now(), String::new());
        while !interrupt.asked() {
            match reader.poll(POLL).map_err(Failed::Topic)? {
                Event::Message(message) if self.sample.takes() => {
                    if !self.show(&message)? {
                        return Ok(());
                    }
                }
                Event::Message(_) => self.sample.passed_over += 1,
                Event::End(_) | Event::Nothing => {}
            }
            if told.elapsed() >= TELL_AFTER {
                told = Instant::now();
                let now = self.said();
                if now != said {
                    out::tell(&now);
                    said = now;
                }
            }
        }
        Ok(())
    }

    fn said(&self) -> String {
        let Sample { taken, passed_over, .. } = self.sample;
        let number = |number: u64, what| counted(number, what);
        let (lines, taken) = (number(self.lines, "line"), number(taken, "message"));
        format!("{lines} of {taken}; {} passed over", number(passed_over, "message"))
    }

    /// False: as many lines as were asked for are out, or who reads them has seen enough.
    fn show(&mut self, message: &impl Message) -> Result<bool, Failed> {
        let (steps, _) = self.probe.run(message).map_err(Failed::Topic)?;
        // steps end where no row is left: then this stage was not reached
        let Some(step) = steps.get(self.stages) else { return Ok(true) };
        let rows = (0..).zip(&step.rows).map(|(index, row)| line(message, index, row));
        let lines = rows.chain(step.rejects.iter().map(|reject| rejected(message, reject)));
        for line in lines.collect::<Vec<_>>() {
            if out::print(line + "\n").map_err(Failed::Output)? == out::Reader::HasGone {
                return Ok(false);
            }
            self.lines += 1;
            self.sample.shown();
            if self.options.rows_max.is_some_and(|rows_max| self.lines >= rows_max) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Columns in their order, which a JSON tree would lose.
fn line(message: &impl Message, index: u32, row: &str) -> String {
    format!(
        r#"{{"partition":{},"offset":{},"index":{index},"timestamp":{},"row":{row}}}"#,
        message.partition(),
        message.offset(),
        timestamp(message)
    )
}

fn rejected(message: &impl Message, Reject { code, reason, .. }: &Reject) -> String {
    format!(
        r#"{{"partition":{},"offset":{},"timestamp":{},"rejected":{}}}"#,
        message.partition(),
        message.offset(),
        timestamp(message),
        json!({ "code": code, "reason": reason })
    )
}

fn timestamp(message: &impl Message) -> Value {
    message.timestamp_ms().and_then(format_millis).into()
}

/// Whole messages are taken as long as lines may be written: a second's worth at once, and as time gives more.
struct Sample {
    per_second: f64,
    left: f64,
    filled: Instant,
    taken: u64,
    passed_over: u64,
    /// Of the last message that was taken.
    lines: u64,
}

impl Sample {
    fn new(per_second_max: u32) -> Sample {
        let per_second = f64::from(per_second_max);
        Sample { per_second, left: per_second, filled: Instant::now(), taken: 0, passed_over: 0, lines: 0 }
    }

    fn takes(&mut self) -> bool {
        let now = Instant::now();
        let new = now.duration_since(self.filled).as_secs_f64() * self.per_second;
        (self.left, self.filled) = ((self.left + new).min(self.per_second), now);
        let takes = self.left >= 1.0;
        if takes {
            // a message that gives no line costs one all the same, or a filter would have every message computed
            self.left -= 1.0;
            self.lines = 0;
            self.taken += 1;
        }
        takes
    }

    fn shown(&mut self) {
        if self.lines > 0 {
            self.left -= 1.0;
        }
        self.lines += 1;
    }
}
