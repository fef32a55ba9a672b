//! `millrace topics`: the topics that a pipeline reads and writes, made where they are not there.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use futures::executor::block_on;
use millrace::kafka;
use millrace::plan::Plan;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::types::RDKafkaErrorCode;
use serde_json::json;

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
    millrace topics create pipelines/flight-delay.toml --json | jq -r '.topics[] | select(.created).topic'"
)]
pub struct Create {
    /// The pipeline's TOML file
    pub file: PathBuf,
    /// Partitions of each: as many workers can share the work
    #[arg(long, default_value = "4", value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: i32,
    /// Brokers that hold each partition
    #[arg(long, default_value = "1", value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    replication: i32,
    /// Print what was made, and what was there, as one JSON object
    #[arg(long)]
    json: bool,
}

pub fn create(plan: &Plan, options: &Create) -> Result<(), String> {
    let brokers = &plan.source.brokers;
    let config = kafka::client_config(brokers, "millrace-topics");
    let admin: AdminClient<kafka::Quiet> =
        config.create_with_context(kafka::Quiet).map_err(|error| format!("error: {error}"))?;
    let mut topics = plan.topics_written();
    topics.insert(&plan.source.topic);
    let new = |name| NewTopic::new(name, options.partitions, TopicReplication::Fixed(options.replication));
    let new: Vec<_> = topics.into_iter().map(new).collect();
    let asked = AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT));
    let made = block_on(admin.create_topics(&new, &asked))
        .map_err(|error| format!("error: creating topics at {brokers}: {error}"))?;
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for topic in made {
        match topic {
            Ok(name) => done.push((name, true)),
            Err((name, RDKafkaErrorCode::TopicAlreadyExists)) => done.push((name, false)),
            Err((name, code)) => failed.push(format!("error: topic `{name}` at {brokers} cannot be created: {code}")),
        }
    }
    let printed = out::print(said(&done, options)).map(drop);
    if failed.is_empty() { printed } else { Err(failed.join("\n")) }
}

fn said(done: &[(String, bool)], options: &Create) -> String {
    if options.json {
        let topic = |(name, created): &(String, bool)| json!({ "topic": name, "created": created, "partitions": created.then_some(options.partitions) });
        return format!("{}\n", json!({ "topics": done.iter().map(topic).collect::<Vec<_>>() }));
    }
    let line = |(name, created): &(String, bool)| match created {
        true => format!("{name}: created, {} partitions\n", options.partitions),
        false => format!("{name}: there already\n"),
    };
    done.iter().map(line).collect()
}
