//! `millrace positions reset`: what it would do, a question, and then it does it.

use std::collections::BTreeMap;
use std::str::FromStr;

use clap::Args;
use millrace::plan::Plan;
use millrace::positions::{Request, Reset, Target, To};
use millrace::words::counted;

use super::super::agree::agreed;
use super::super::out::{self, Reader};
use super::super::state::State;
use super::super::{failed, runtime};
use super::Pipeline;

#[derive(Args)]
#[command(
    after_help = "Positions: `earliest` is the log's beginning, `latest` its end (for a sink alone: where the head is).\n\
    A sink cannot be beyond the head, and a directory not before the files that it holds.\n\
    Each reset is recorded in resets.jsonl, in the pipeline's state folder.\n\n\
    Examples:\n  \
    millrace positions reset pipelines/flight-delay.toml --sink store --to latest\n  \
    millrace positions reset pipelines/flight-delay.toml --all --to 0:1200,1:900 --embedded .millrace/embedded"
)]
#[group(id = "target", required = true, multiple = false, args = ["sink", "head", "all"])]
pub struct Options {
    #[command(flatten)]
    pub pipeline: Pipeline,
    /// This sink's own position
    #[arg(long, value_name = "NAME")]
    sink: Option<String>,
    /// The group's offset: what Kafka sinks and rejects get
    #[arg(long)]
    head: bool,
    /// The head, and every sink
    #[arg(long)]
    all: bool,
    /// earliest, latest, an offset, or partition:offset,…
    #[arg(long, value_name = "WHERE")]
    to: Where,
    /// This partition only
    #[arg(long, value_name = "N")]
    partition: Option<i32>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    state: State,
}

#[derive(Clone, Debug)]
struct Where(To);

impl FromStr for Where {
    type Err = String;

    fn from_str(text: &str) -> Result<Where, String> {
        Ok(Where(match text {
            "earliest" => To::Earliest,
            "latest" => To::Latest,
            _ if text.contains(':') => To::Each(each(text)?),
            _ => To::Offset(number(text)?),
        }))
    }
}

fn each(text: &str) -> Result<BTreeMap<i32, i64>, String> {
    let mut offsets = BTreeMap::new();
    for part in text.split(',') {
        let (partition, offset) = part.split_once(':').ok_or_else(|| format!("`{part}` is no partition:offset"))?;
        let partition = i32::try_from(number(partition)?).map_err(|_| format!("{partition} is no partition"))?;
        if offsets.insert(partition, number(offset)?).is_some() {
            return Err(format!("partition {partition} is there twice"));
        }
    }
    Ok(offsets)
}

fn number(text: &str) -> Result<i64, String> {
    match text.parse() {
        Ok(number) if number >= 0 => Ok(number),
        _ => Err(format!("`{text}`: expected earliest, latest, an offset from 0 on, or partition:offset,…")),
    }
}

pub fn run(plan: &Plan, options: &Options) -> Result<(), String> {
    let runtime = runtime()?;
    let ground = options.pipeline.ground();
    let state = options.state.folder(&ground);
    let mut reset = Reset::begin(plan, &ground, &state, runtime.handle().clone()).map_err(failed)?;
    let proposal = reset.propose(options.request()).map_err(failed)?;
    if !proposal.moves.refused.is_empty() {
        let refused: Vec<_> = proposal.moves.refused.iter().map(|said| format!("error: {said}")).collect();
        return Err(refused.join("\n"));
    }
    if proposal.moves.moves.is_empty() {
        return out::print("everything stands there already: nothing to move\n").map(drop);
    }
    let reader = out::print(reset.explain(&proposal).join("\n") + "\n")?;
    if !options.yes && (reader == Reader::HasGone || !agreed("Move them?", "moves anything")?) {
        return Err("nothing was moved".into());
    }
    let record = reset.run(&proposal).map_err(failed)?;
    let moved = counted(proposal.moves.moves.len(), "position");
    out::print(format!("{moved} moved; recorded in {}\n", record.display())).map(drop)
}

impl Options {
    fn request(&self) -> Request {
        let target = match &self.sink {
            Some(name) => Target::Sink(name.as_str().into()),
            None if self.all => Target::All,
            None => Target::Head,
        };
        Request { target, to: self.to.0.clone(), partition: self.partition }
    }
}
