//! Where topics are: brokers, or an embedded folder.

use std::path::PathBuf;

use clap::Args;

#[derive(Args)]
pub struct Ground {
    /// Kafka's brokers, host:port with commas between
    #[arg(long, env = "KAFKA_BROKERS", default_value = "localhost:9092")]
    pub brokers: String,
    /// A topic of this embedded folder instead
    #[arg(long, value_name = "DIR")]
    pub embedded: Option<PathBuf>,
}
