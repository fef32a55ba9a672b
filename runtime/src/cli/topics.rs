//! `millrace topics`: the topics that a pipeline reads and writes, made where they are not there.

use std::time::Duration;

use clap::{Args, Subcommand};
use millrace::plan::Plan;
use millrace::topics;
use millrace::words::counted;
use serde_json::json;

use super::ground::Pipeline;
use super::out;

const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Subcommand)]
pub enum Topics {
    /// Create those of a pipeline's topics that are not there
    Create(Create),
}

#[derive(Args)]
#[command(
    after_help = "With --json it prints one object: `topics`, each with `topic`, `created` (false: it was there) and \
    `partitions`\n(null where it was there).\n\n\
    Examples:\n  millrace topics create pipelines/flight-delay.toml --partitions 8\n  \
    millrace topics create pipelines/flight-delay.toml --embedded .millrace/embedded\n  \
    millrace topics create pipelines/flight-delay.toml --json | jq -r '.topics[] | select(.created).topic'"
)]
pub struct Create {
    #[command(flatten)]
    pub pipeline: Pipeline,
    /// Partitions of each, whatever the file's `create` says; else 4: as many workers can share the work
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// Brokers that hold each partition, whatever the file's `create` says; else 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..), conflicts_with = "embedded")]
    replication: Option<i32>,
    /// How long each keeps messages, whatever the file's `create` says; else as the brokers keep them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "embedded")]
    retention_ms: Option<u64>,
    /// Print what was made, and what was there, as one JSON object
    #[arg(long)]
    json: bool,
}

pub fn create(plan: &Plan, options: &Create) -> Result<(), String> {
    let mut topics = topics::all(plan);
    for create in topics.values_mut() {
        create.replication = options.replication.unwrap_or(create.replication);
        // heartbeats are few: partitions are for those who share the work
        create.partitions = options.partitions.filter(|_| !create.compact).unwrap_or(create.partitions);
        create.retention_ms = options.retention_ms.filter(|_| !create.compact).or(create.retention_ms);
    }
    let made = match &options.pipeline.embedded {
        None => topics::make(&plan.source.brokers, &topics, TIMEOUT).map_err(|error| format!("error: {error}"))?,
        Some(folder) => {
            let made = topics::make_in(folder, &topics).map_err(|error| format!("error: {error}"))?;
            made.into_iter().map(|(topic, made)| (topic, Ok(made))).collect()
        }
    };
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for (topic, made) in made {
        match made {
            Ok(made) => done.push((made.then_some(topics[&topic].partitions), topic)),
            Err(error) => failed.push(format!("error: {error}")),
        }
    }
    let printed = out::print(said(&done, options.json)).map(drop);
    if failed.is_empty() { printed } else { Err(failed.join("\n")) }
}

/// Partitions of what was made; None: it was there.
fn said(done: &[(Option<i32>, String)], as_json: bool) -> String {
    if as_json {
        let topic = |(made, name): &(Option<i32>, String)| json!({ "topic": name, "created": made.is_some(), "partitions": made });
        return format!("{}\n", json!({ "topics": done.iter().map(topic).collect::<Vec<_>>() }));
    }
    let line = |(made, name): &(Option<i32>, String)| match made {
        Some(partitions) => format!("{name}: created, {}\n", counted(*partitions, "partition")),
        None => format!("{name}: there already\n"),
    };
    done.iter().map(line).collect()
}
