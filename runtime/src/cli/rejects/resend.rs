//! `millrace rejects resend`: what it would do, a question, and then it does it.

use clap::Args;
use millrace::plan::{Metadata, Plan};
use millrace::resend::{Outcome, Position, Resend};
use serde::Serialize;
use tokio::runtime::Handle;

use super::super::agree::agreed;
use super::super::failed;
use super::super::out::{self, Reader};
use super::super::progress::Progress;
use super::{Pipeline, Which};

#[derive(Args)]
#[command(
    after_help = "A message goes to the partition that it came from, with its key and its bytes, as a message of its \
    own: what comes\nback is another position, in every sink. Its header `millrace-resent-from` says the first one. \
    A mark in the topic\n`<source topic>-resent`, which this command makes, goes with it: so each message is sent \
    again once, whatever ends\nthis command, and whoever calls it at the same time. Run it again after an error.\n\n\
    Each line of the result is a message: where it was, and where it came back. With --json: `partition`, `offset`, \
    `to`.\n\n\
    Examples:\n  \
    millrace rejects resend pipelines/flight-delay.toml --stage features --dry-run\n  \
    millrace rejects resend pipelines/flight-delay.toml --code bad_carrier --since 1d --embedded .millrace/embedded\n  \
    millrace rejects resend pipelines/flight-delay.toml --partition 0 --from 41 --to 41 --yes"
)]
pub struct Options {
    #[command(flatten)]
    pub pipeline: Pipeline,
    #[command(flatten)]
    which: Which,
    /// Print what would be sent, and send nothing
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// JSON lines, for scripts
    #[arg(long)]
    json: bool,
}

pub fn run(plan: &Plan, options: &Options, handle: &Handle) -> Result<(), String> {
    let ground = options.pipeline.ground();
    let mut resend = Resend::open(plan, &ground, options.which.filter(), handle).map_err(failed)?;
    if let Some(note) = not_as_they_were(plan) {
        out::tell(note);
    }
    if options.dry_run {
        let mut printed = Ok(Reader::Reads);
        let outcome = resend.survey(|at| {
            if printed == Ok(Reader::Reads) {
                printed = line(options, plan, at, None);
            }
        });
        out::tell(said(&outcome.map_err(failed)?, plan, "would be sent"));
        return printed.map(drop);
    }
    let mut whole = None;
    if !options.yes {
        let outcome = resend.survey(|_| {}).map_err(failed)?;
        out::tell(said(&outcome, plan, "are to be sent"));
        if outcome.sent == 0 {
            return Ok(());
        }
        if !agreed("Send them?", "sends anything")? {
            return Err("nothing was sent".into());
        }
        whole = Some(outcome.sent);
    }
    let (progress, mut printed) = (Progress::new(whole), Ok(Reader::Reads));
    let done = resend.run(|resent| {
        for (of, to) in resent {
            progress.row(progress.rows() + 1);
            if printed == Ok(Reader::Reads) {
                printed = line(options, plan, of.position, Some(*to));
            }
        }
    });
    let sent = progress.rows();
    drop(progress);
    let outcome = done.map_err(|error| format!("error: {error}\n{sent} messages were sent before that"))?;
    out::tell(said(&outcome, plan, "sent"));
    printed.map(drop)
}

/// The JSON: its names and their meaning stay.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    of: Position,
    /// Null: nothing was sent.
    to: Option<Position>,
}

fn line(options: &Options, plan: &Plan, of: Position, to: Option<Position>) -> Result<Reader, String> {
    let topic = &plan.source.topic;
    let text = match to {
        _ if options.json => {
            serde_json::to_string(&Report { of, to }).map_err(|error| format!("error: a position as JSON: {error}"))?
        }
        Some(to) => format!("{topic}:{of} → {topic}:{to}"),
        None => format!("{topic}:{of}"),
    };
    out::print(text + "\n")
}

/// What of a message the pipeline reads, and a reject has not, or not for a message that comes again.
fn not_as_they_were(plan: &Plan) -> Option<String> {
    let columns = plan.source.metadata.iter().filter_map(|(field, metadata)| match metadata {
        Metadata::Header(name) => Some(format!("`{}` is null (a reject has no header `{name}`)", field.name)),
        Metadata::Timestamp => Some(format!("`{}` is the time of sending again", field.name)),
        Metadata::Offset => Some(format!("`{}` is the new offset", field.name)),
        Metadata::Key | Metadata::Partition => None,
    });
    let columns: Vec<_> = columns.collect();
    (!columns.is_empty()).then(|| format!("note: in what comes back, {}", columns.join(", ")))
}

fn said(outcome: &Outcome, plan: &Plan, verb: &str) -> String {
    let Outcome { sent, already, unsendable } = outcome;
    let mut said = vec![format!(
        "{sent} messages {verb} to `{}` again; {already} rejects had been sent before",
        plan.source.topic
    )];
    for (why, (count, named)) in unsendable {
        let named: Vec<_> = named.iter().map(Position::to_string).collect();
        said.push(format!("{count} rejects cannot be sent again, of {}: {why}", named.join(" ")));
    }
    said.join("\n")
}
