//! `millrace positions show`: a table for people, JSON for scripts.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::Args;
use millrace::plan::{Plan, SinkPlan};
use millrace::positions::{Head, Partition, Sink, View, Viewer};
use millrace::source::group::Offsets;
use serde::Serialize;

use super::super::{failed, out, runtime};
use super::Pipeline;

#[derive(Args)]
#[command(after_help = "Examples:\n  millrace positions show pipelines/flight-delay.toml\n  \
    millrace positions show pipelines/flight-delay.toml --embedded .millrace/embedded --json")]
pub struct Options {
    #[command(flatten)]
    pub pipeline: Pipeline,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(plan: &Plan, options: &Options) -> Result<(), String> {
    let runtime = runtime()?;
    let ground = options.pipeline.ground();
    let viewer = Viewer::open(plan, &ground, Offsets::Last, runtime.handle().clone());
    let view = viewer.and_then(|mut viewer| viewer.view()).map_err(failed)?;
    out::print(match options.json {
        true => {
            let report = serde_json::to_string_pretty(&Report::new(plan, &view));
            report.map_err(|error| format!("error: positions as JSON: {error}"))? + "\n"
        }
        false => table(plan, &view),
    })?;
    let unread: Vec<_> = view.unread.iter().map(|(sink, why)| format!("error: sink `{sink}`: {why}")).collect();
    if unread.is_empty() { Ok(()) } else { Err(unread.join("\n")) }
}

/// The JSON: its names and their meaning stay.
#[derive(Serialize)]
struct Report<'a> {
    pipeline: &'a str,
    topic: &'a str,
    topic_id: &'a str,
    cluster: &'a str,
    group: &'a str,
    /// Living members of the group; null where it is not known.
    members: Option<&'a [String]>,
    partitions: Vec<PartitionReport<'a>>,
}

#[derive(Serialize)]
struct PartitionReport<'a> {
    partition: i32,
    /// Offsets [first, end) that the log holds.
    log: Extent,
    head: HeadReport<'a>,
    sinks: BTreeMap<&'a str, SinkReport<'a>>,
}

#[derive(Serialize)]
struct Extent {
    first: i64,
    end: i64,
}

#[derive(Serialize)]
struct HeadReport<'a> {
    position: Option<i64>,
    topic_id: Option<&'a str>,
    /// Messages up to the log's end.
    lag: Option<i64>,
    /// Which generation computes rows from which offset on.
    generations: Vec<Generation<'a>>,
    wrong: Option<&'a str>,
}

#[derive(Serialize)]
struct Generation<'a> {
    from: i64,
    generation: &'a str,
}

#[derive(Serialize)]
struct SinkReport<'a> {
    position: Option<i64>,
    topic_id: Option<&'a str>,
    lag: Option<i64>,
    /// Messages up to the head.
    behind: Option<i64>,
    detail: Option<&'a str>,
    wrong: Option<&'a str>,
}

impl<'a> Report<'a> {
    fn new(plan: &'a Plan, view: &'a View) -> Report<'a> {
        let partitions = view.partitions.iter().map(|(&id, partition)| PartitionReport::new(id, partition));
        Report {
            pipeline: &plan.name,
            topic: &view.log.topic,
            topic_id: &view.log.topic_id,
            cluster: &view.log.cluster,
            group: &view.group,
            members: view.members.as_deref(),
            partitions: partitions.collect(),
        }
    }
}

impl<'a> PartitionReport<'a> {
    fn new(id: i32, partition: &'a Partition) -> PartitionReport<'a> {
        let Partition { extent, head, sinks } = partition;
        let sinks = sinks.iter().map(|(name, sink)| {
            let behind = sink.entry.next.zip(head.next).map(|(next, head)| head - next);
            let Sink { entry, wrong } = sink;
            let report = SinkReport {
                position: entry.next,
                topic_id: entry.topic_id.as_deref(),
                lag: entry.next.map(|next| extent.end - next),
                behind,
                detail: entry.detail.as_deref(),
                wrong: wrong.as_deref(),
            };
            (&**name, report)
        });
        PartitionReport {
            partition: id,
            log: Extent { first: extent.first, end: extent.end },
            head: HeadReport::new(head, extent.end),
            sinks: sinks.collect(),
        }
    }
}

impl<'a> HeadReport<'a> {
    fn new(head: &'a Head, end: i64) -> HeadReport<'a> {
        let entries = head.history.iter().flat_map(|history| history.entries());
        HeadReport {
            position: head.next,
            topic_id: head.history.as_ref().map(|history| &*history.topic_id),
            lag: head.next.map(|next| end - next),
            generations: entries.map(|(from, hash)| Generation { from: *from, generation: hash }).collect(),
            wrong: head.wrong.as_deref(),
        }
    }
}

/// A row for the head and for each sink, and below them what is wrong, at length.
fn table(plan: &Plan, view: &View) -> String {
    let mut out = format!("{}: topic `{}` (id {}), ", plan.name, view.log.topic, view.log.topic_id);
    let _ = writeln!(out, "group `{}`, {}", view.group, said_of(view.members.as_deref()));
    let mut rows = vec![["PARTITION", "WHO", "POSITION", "LOG", "LAG", "STATE"].map(str::to_owned)];
    let mut notes = Vec::new();
    for (id, partition) in &view.partitions {
        rows_of(plan, *id, partition, &mut rows, &mut notes);
    }
    let widths: Vec<_> =
        (0..6).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    for row in &rows {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        let _ = writeln!(out, "{}", cells.join("  ").trim_end());
    }
    for (name, place) in &view.places {
        let _ = writeln!(out, "`{name}`: {place}");
    }
    notes.iter().for_each(|note| out += &format!("{note}\n"));
    out
}

fn said_of(members: Option<&[String]>) -> String {
    match members {
        None => "on an embedded folder".into(),
        Some([]) => "which has no member now".into(),
        Some(members) => format!("whose members are {}", members.join(", ")),
    }
}

fn rows_of(plan: &Plan, id: i32, partition: &Partition, rows: &mut Vec<[String; 6]>, notes: &mut Vec<String>) {
    let Partition { extent, head, sinks } = partition;
    let mut row = |who: &str, next: Option<i64>, state: String, wrong: Option<&str>| {
        let state = if wrong.is_some() { "WRONG, see below".to_owned() } else { state };
        notes.extend(wrong.map(|wrong| format!("partition {id}, {who}: {wrong}")));
        rows.push([
            id.to_string(),
            who.to_owned(),
            next.map_or("none".into(), |next| next.to_string()),
            format!("{}..{}", extent.first, extent.end),
            next.map_or("–".into(), |next| (extent.end - next).to_string()),
            state,
        ]);
    };
    row("head", head.next, generations(head), head.wrong.as_deref());
    for (name, sink) in sinks {
        let state = match (sink.entry.next, head.next) {
            (Some(next), Some(head)) if next < head => format!("{} behind the head{}", head - next, files(plan, name)),
            (Some(_), _) => "in step".into(),
            (None, _) => "begins at its first start".into(),
        };
        let detail = sink.entry.detail.as_ref().map_or(String::new(), |detail| format!(", {detail}"));
        row(&format!("sink `{name}`"), sink.entry.next, state + &detail, sink.wrong.as_deref());
    }
}

/// What such a sink is behind may be in an open file: from outside nobody knows.
fn files(plan: &Plan, name: &str) -> String {
    let sink = plan.sinks_apart().find(|sink| &*sink.name == name);
    let time = sink.and_then(SinkPlan::publishes_within);
    time.map_or(String::new(), |time| format!(" (its files are published within {} s)", time.as_secs()))
}

fn generations(head: &Head) -> String {
    let entries = head.history.iter().flat_map(|history| history.entries());
    let said: Vec<_> = entries.map(|(from, hash)| format!("{hash} from {from}")).collect();
    match (head.next, said.as_slice()) {
        (None, _) => "begins at its first start".into(),
        (Some(_), []) => "no generation beside it".into(),
        (Some(_), said) => format!("generation {}", said.join(", ")),
    }
}
