//! Where topics are, and what a pipeline runs on: brokers and services, or an embedded folder.

use std::path::PathBuf;

use clap::Args;
use millrace::kafka::Brokers;
use millrace::topic::Place;

#[derive(Args)]
pub struct Ground {
    /// Kafka's brokers
    #[arg(long, env = "KAFKA_BROKERS", default_value = "localhost:9092", value_name = "HOST:PORT,…")]
    brokers: String,
    /// A file with librdkafka's own settings for these brokers, a `name=value` in each line: sasl.password…
    #[arg(long, env = "KAFKA_PROPERTIES_FILE", value_name = "FILE")]
    kafka_properties: Option<PathBuf>,
    /// The topic is in this embedded folder instead, as with `millrace run --embedded`
    #[arg(long, value_name = "DIR")]
    pub embedded: Option<PathBuf>,
}

impl Ground {
    pub fn place(&self) -> Result<Place, String> {
        Ok(match &self.embedded {
            Some(folder) => Place::Folder(folder.clone()),
            None => Place::Brokers(self.brokers()?),
        })
    }

    pub fn brokers(&self) -> Result<Brokers, String> {
        let file = self.kafka_properties.as_deref();
        Brokers::with_file(&self.brokers, file).map_err(|said| format!("error: --kafka-properties: {said}"))
    }
}

/// What a pipeline runs on, by its `--embedded`.
pub fn of(embedded: Option<&PathBuf>) -> millrace::ground::Ground {
    embedded.map_or(millrace::ground::Ground::Services, |folder| millrace::ground::Ground::Embedded(folder.clone()))
}

/// A pipeline of either ground.
#[derive(Args)]
pub struct Pipeline {
    /// The pipeline's TOML file
    pub file: PathBuf,
    /// The folder that the pipeline runs on, if it runs embedded
    #[arg(long, value_name = "DIR")]
    pub embedded: Option<PathBuf>,
}

impl Pipeline {
    pub fn ground(&self) -> millrace::ground::Ground {
        of(self.embedded.as_ref())
    }
}
