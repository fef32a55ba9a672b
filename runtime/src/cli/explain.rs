//! `millrace explain`: where one message is, from the log to every sink.

use std::path::PathBuf;

use clap::Args;
use millrace::explain::{self, Wanted};
use millrace::plan::Plan;

use super::{failed, ground, out, runtime};

#[derive(Args)]
#[command(
    after_help = "It says which generation owns the message's offset, what the message becomes at every stage of \
    this file,\nand for each sink whether and where its row is, or how far the sink has come. It only looks.\n\n\
    A key is a value of the column that the Kafka sink names as its `key` (UUID in the flight pipeline). It is looked\n\
    for from the end of the source's topic backwards, the newest first, as records of the response and reject topics are: no further\n\
    than --look-back-messages-max, and it says how far it looked.\n\n\
    Exit code 1: the message was not found, or a sink could not be asked.\n\n\
    Examples:\n  \
    millrace explain pipelines/flight-delay.toml 6b1cf5b0-1f0e-4c89-8d5c-9f6ed7c2a4f1\n  \
    millrace explain pipelines/flight-delay.toml flight-delay-ml-request:0:41 --embedded .millrace/embedded\n  \
    millrace explain pipelines/flight-delay.toml 0:41 --json | jq '.sinks[] | {sink, state, stands_at}'"
)]
pub struct Options {
    /// The pipeline's TOML file
    pub file: PathBuf,
    /// Which message: a UUID (or whatever the Kafka sink's key is), TOPIC:PARTITION:OFFSET, or PARTITION:OFFSET
    message: String,
    /// Look in this embedded folder instead of the file's services
    #[arg(long, value_name = "DIR")]
    embedded: Option<PathBuf>,
    /// How far topics are looked through, of each partition
    #[arg(long, default_value = "100000", value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    look_back_messages_max: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(plan: &Plan, options: &Options) -> Result<(), String> {
    let wanted = Wanted::parse(&options.message, plan).map_err(failed)?;
    let runtime = runtime()?;
    let bounds = explain::Options { look_back_messages_max: options.look_back_messages_max };
    let ground = ground::of(options.embedded.as_ref());
    let explained = explain::explain(plan, &ground, runtime.handle(), &wanted, bounds).map_err(failed)?;
    out::print(match options.json {
        true => serde_json::to_string_pretty(&explained).map_err(|error| format!("error: {error}"))? + "\n",
        false => explained.to_string(),
    })?;
    match explained.unanswered() {
        0 => Ok(()),
        count => Err(format!("error: {count} of the sinks could not be asked; the words above say why")),
    }
}
