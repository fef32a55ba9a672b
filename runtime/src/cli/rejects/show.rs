//! `millrace rejects show`: a table for people, JSON lines for scripts.

use std::fmt::Write as _;

use clap::Args;
use millrace::json::time::format_millis;
use millrace::plan::Plan;
use millrace::resend::record::Record;
use millrace::resend::view::Count;
use millrace::resend::{Again, Position, Row, View, view};
use serde::Serialize;
use tokio::runtime::Handle;

use super::super::{failed, out};
use super::{Pipeline, Which};

#[derive(Args)]
#[command(
    after_help = "Without --counts the newest rejects are printed, oldest first; what is left out is said on standard \
    error.\nA message that was sent again has its new position, and what became of it there: `waits`, `passed` (the \
    pipeline\nand all of its sinks are beyond it, and did not refuse it), `refused again`, or nothing where that is not known.\n\n\
    With --json each line is an object: a reject as docs/rejects.md has it, with `resent_to` (null, or\n\
    `topic`, `partition`, `offset`, `became`); with --counts, `stage`, `code`, `rejects`, `resent`, `newest`.\n\n\
    Examples:\n  millrace rejects show pipelines/flight-delay.toml --since 2h\n  \
    millrace rejects show pipelines/flight-delay.toml --counts --embedded .millrace/embedded\n  \
    millrace rejects show pipelines/flight-delay.toml --code not_json --json | jq -r .original"
)]
pub struct Options {
    #[command(flatten)]
    pub pipeline: Pipeline,
    #[command(flatten)]
    which: Which,
    /// How many, by stage and code
    #[arg(long)]
    counts: bool,
    /// As many of the newest are printed at most
    #[arg(long, default_value = "100", value_name = "N", conflicts_with = "counts", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rows_max: u32,
    /// JSON lines, for scripts
    #[arg(long)]
    json: bool,
}

pub fn run(plan: &Plan, options: &Options, handle: &Handle) -> Result<(), String> {
    let rows_max = if options.counts { 0 } else { options.rows_max as usize };
    let view = view(plan, &options.pipeline.ground(), &options.which.filter(), rows_max, handle).map_err(failed)?;
    let text = match (options.counts, options.json) {
        (true, true) => lines(counts(&view).map(CountReport::new))?,
        (true, false) => table(["STAGE", "CODE", "REJECTS", "RESENT", "NEWEST"], counts(&view).map(count_cells)),
        (false, true) => lines(view.rows.iter().map(|row| RowReport::new(plan, row)))?,
        (false, false) => {
            table(["REFUSED", "MESSAGE", "STAGE", "CODE", "RESENT", "REASON"], view.rows.iter().map(row_cells))
        }
    };
    out::print(text)?;
    out::tell(said(&view, options.counts));
    Ok(())
}

/// A stage, a code, and how many.
type Counted<'a> = (&'a str, &'a str, Count);

fn counts(view: &View) -> impl Iterator<Item = Counted<'_>> {
    let counted = view.counts.iter().map(|((stage, code), count)| (stage.as_str(), code.as_str(), *count));
    counted.chain((view.others.rejects > 0).then_some(("(others)", "(others)", view.others)))
}

/// The JSON: its names and their meaning stay.
#[derive(Serialize)]
struct RowReport<'a> {
    #[serde(flatten)]
    record: &'a Record,
    resent_to: Option<ResentReport<'a>>,
}

#[derive(Serialize)]
struct ResentReport<'a> {
    topic: &'a str,
    #[serde(flatten)]
    position: Position,
    became: Option<&'static str>,
}

#[derive(Serialize)]
struct CountReport<'a> {
    stage: &'a str,
    code: &'a str,
    rejects: u64,
    resent: u64,
    newest: Option<String>,
}

impl<'a> RowReport<'a> {
    fn new(plan: &'a Plan, row: &'a Row) -> RowReport<'a> {
        let resent = |(position, again)| ResentReport { topic: &plan.source.topic, position, became: word(again) };
        RowReport { record: &row.record, resent_to: row.resent.map(resent) }
    }
}

impl<'a> CountReport<'a> {
    fn new((stage, code, count): Counted<'a>) -> CountReport<'a> {
        let Count { rejects, resent, newest_ms } = count;
        CountReport { stage, code, rejects, resent, newest: time(newest_ms) }
    }
}

fn lines(reports: impl Iterator<Item = impl Serialize>) -> Result<String, String> {
    let mut text = String::new();
    for report in reports {
        let line = serde_json::to_string(&report).map_err(|error| format!("error: a reject as JSON: {error}"))?;
        let _ = writeln!(text, "{line}");
    }
    Ok(text)
}

fn word(again: Again) -> Option<&'static str> {
    match again {
        Again::Waits => Some("waits"),
        Again::Passed => Some("passed"),
        Again::Refused => Some("refused again"),
        Again::Unknown => None,
    }
}

fn time(ms: Option<i64>) -> Option<String> {
    ms.and_then(format_millis)
}

fn row_cells(Row { at_ms, record, resent }: &Row) -> [String; 6] {
    let from = record.resent_from.as_ref().map(|from| match from.rsplitn(3, ':').collect::<Vec<_>>()[..] {
        // of the same topic, as it mostly is
        [offset, partition, topic] if topic == record.topic => format!(" from {partition}:{offset}"),
        _ => format!(" from {from}"),
    });
    let message = record.position().to_string() + &from.unwrap_or_default();
    let resent = resent.map_or("–".to_owned(), |(to, again)| match word(again) {
        Some(word) => format!("to {to}, {word}"),
        None => format!("to {to}"),
    });
    let when = time(*at_ms).unwrap_or_else(|| "–".into());
    [when, message, record.stage.clone(), record.code.clone(), resent, record.reason.clone()]
}

fn count_cells((stage, code, Count { rejects, resent, newest_ms }): Counted<'_>) -> [String; 5] {
    let newest = time(newest_ms).unwrap_or_else(|| "–".into());
    [stage.into(), code.into(), rejects.to_string(), resent.to_string(), newest]
}

fn table<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let rows: Vec<_> = std::iter::once(head.map(str::to_owned)).chain(rows).collect();
    let widths: Vec<_> =
        (0..N).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    let mut out = String::new();
    for row in &rows {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        let _ = writeln!(out, "{}", cells.join("  ").trim_end());
    }
    out
}

fn said(view: &View, counts_only: bool) -> String {
    let Count { rejects, resent, .. } = view.all;
    let mut said = format!("{rejects} rejects, {resent} of them sent again");
    let shown = view.rows.len() as u64;
    if !counts_only && shown < rejects {
        let _ = write!(said, "; the newest {shown} are shown");
    }
    if view.of_others > 0 {
        let _ = write!(said, "; {} rejects of other pipelines passed over", view.of_others);
    }
    if view.foreign > 0 {
        let _ = write!(said, "; {} records that are no rejects passed over", view.foreign);
    }
    said
}
