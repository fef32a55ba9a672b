//! What the web module is told: where its services are, what it offers, how much it keeps and how long it waits.

use std::net::SocketAddr;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use clap::Args;
use millrace_brokers::Brokers;

use crate::error::{Error, Result};
use crate::pipeline::Place;

#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// Address and port that browsers reach
    #[arg(long, env = "MILLRACE_WEB_LISTEN", default_value = "127.0.0.1:5001", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Kafka brokers
    #[arg(long, env = "KAFKA_BROKERS", default_value = "localhost:9092")]
    pub brokers: String,
    /// A file with librdkafka's own settings for these brokers, a `name=value` in each line: sasl.password…
    #[arg(long, env = "KAFKA_PROPERTIES_FILE", value_name = "FILE")]
    pub kafka_properties: Option<PathBuf>,
    /// An embedded folder instead of Kafka and MongoDB: what `millrace run --embedded` runs on
    #[arg(long, value_name = "DIR")]
    pub embedded: Option<PathBuf>,
    /// Topic that flights go to
    #[arg(long, default_value = "flight-delay-ml-request", value_name = "TOPIC")]
    pub request_topic: String,
    /// Topic that predictions come from
    #[arg(long, default_value = "flight-delay-ml-response", value_name = "TOPIC")]
    pub response_topic: String,
    /// Topic that refused flights come from
    #[arg(long, default_value = "flight-delay-ml-rejected", value_name = "TOPIC")]
    pub rejects_topic: String,
    /// Topic in which the pipeline's processes say how they are
    #[arg(long, env = "MILLRACE_STATUS_TOPIC", default_value = "flight-delay-status", value_name = "TOPIC")]
    pub status_topic: String,
    /// MongoDB
    #[arg(long, env = "MONGODB_URI", default_value = "mongodb://localhost:27017", value_name = "URI")]
    pub mongodb_uri: String,
    /// A file with that address instead, as containers are given secrets
    #[arg(long, env = "MONGODB_URI_FILE", value_name = "FILE")]
    pub mongodb_uri_file: Option<PathBuf>,
    /// Database that predictions are stored in
    #[arg(long, default_value = "agile_data_science")]
    pub database: String,
    /// Collection that predictions are stored in
    #[arg(long, default_value = "flight_delay_ml_response")]
    pub collection: String,
    /// Send traces to this OTLP collector, over HTTP
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL", value_parser = millrace_trace::collector)]
    pub otlp: Option<String>,
    /// Where the pipeline says how it is: its `--listen`; several with commas between
    #[arg(long, env = "MILLRACE_PIPELINE_STATUS", value_delimiter = ',', value_name = "URL")]
    #[arg(default_value = "http://127.0.0.1:9464")]
    pub pipeline_status: Vec<Place>,
    /// Folder of the model: its model.toml says what can be chosen and what the classes mean
    #[arg(long, env = "MILLRACE_WEB_MODEL", default_value = "examples/flight-delay/model", value_name = "DIR")]
    pub model: PathBuf,
    /// JSON file with the names of airports and carriers
    #[arg(long, env = "MILLRACE_WEB_NAMES", default_value = "examples/flight-delay/names.json", value_name = "FILE")]
    pub names: PathBuf,
    /// Messages of each partition that are read again at start
    #[arg(long, default_value = "100000", value_name = "N")]
    pub look_back_messages_max: NonZeroU64,
    /// Flights remembered; the oldest are forgotten first
    #[arg(long, default_value = "200000", value_name = "N")]
    pub flights_max: NonZeroUsize,
    /// Bytes of answers remembered; the oldest are forgotten first
    #[arg(long, default_value = "134217728", value_name = "N")]
    pub answer_bytes_max: NonZeroUsize,
    /// Event streams open at once
    #[arg(long, default_value = "1000", value_name = "N")]
    pub streams_max: NonZeroUsize,
    /// Seconds after which the page says that no answer came
    #[arg(long, default_value = "120", value_name = "SECONDS")]
    pub page_wait_seconds_max: NonZeroU64,
}

impl Settings {
    pub fn mongodb_uri(&self) -> Result<String> {
        let Some(file) = &self.mongodb_uri_file else { return Ok(self.mongodb_uri.clone()) };
        let text = std::fs::read_to_string(file);
        let text =
            text.map_err(|cause| Error::new(format!("--mongodb-uri-file {}", file.display())).caused_by(cause))?;
        Ok(text.trim().to_owned())
    }

    pub fn brokers(&self) -> Result<Brokers> {
        let read = Brokers::with_file(&self.brokers, self.kafka_properties.as_deref());
        read.map_err(|said| Error::new(format!("--kafka-properties: {said}")))
    }
}
