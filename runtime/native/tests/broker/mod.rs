//! The broker that these tests are against, and names that nobody used before.

use rdkafka::ClientConfig;

pub fn config() -> ClientConfig {
    let brokers = std::env::var("KAFKA_BROKERS").expect("KAFKA_BROKERS is not set: run `./dev test`");
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    config
}

pub fn unique(name: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock after 1970");
    format!("{name}-{}-{}", std::process::id(), now.as_nanos())
}
