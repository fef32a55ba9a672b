//! A Kafka cluster as clients are told of it. What `runtime` and `web` share.
//!
//! Invariant: for people a cluster is its addresses; the values of its settings, which may be secrets, are in no text that
//! is made here.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};

/// `host:port,…`, and librdkafka's own settings for the cluster, by its names: `sasl.password`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Brokers {
    addresses: String,
    properties: BTreeMap<String, String>,
}

impl Brokers {
    pub fn new(addresses: impl Into<String>, properties: BTreeMap<String, String>) -> Brokers {
        Brokers { addresses: addresses.into(), properties }
    }

    /// With the settings of a file, if there is one: [`properties`].
    pub fn with_file(addresses: impl Into<String>, file: Option<&Path>) -> Result<Brokers, String> {
        Ok(Brokers::new(addresses, file.map(properties).transpose()?.unwrap_or_default()))
    }

    /// librdkafka's settings for a client of these brokers; a lost broker is tried again within half a second.
    pub fn client_config(&self, client_id: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.addresses)
            .set("client.id", client_id)
            .set("reconnect.backoff.max.ms", "500")
            .set("allow.auto.create.topics", "false")
            .set_log_level(RDKafkaLogLevel::Warning);
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config
    }
}

/// A `name=value` in each line; lines that begin with `#`, and empty ones, say nothing.
pub fn properties(file: &Path) -> Result<BTreeMap<String, String>, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("reading {}: {error}", file.display()))?;
    let lines = (1..).zip(text.lines()).map(|(number, line)| (number, line.trim()));
    let property = |(number, line): (usize, &str)| match line.split_once('=') {
        Some((name, value)) => Ok((name.trim().to_owned(), value.trim().to_owned())),
        None => {
            Err(format!("{}, line {number}: expected name=value, as in security.protocol=SASL_SSL", file.display()))
        }
    };
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).map(property).collect()
}

impl From<&str> for Brokers {
    fn from(addresses: &str) -> Brokers {
        Brokers::new(addresses, BTreeMap::new())
    }
}

impl fmt::Display for Brokers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.addresses)
    }
}

impl fmt::Debug for Brokers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.properties.keys().collect();
        f.debug_struct("Brokers").field("addresses", &self.addresses).field("properties", &names).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_a_file_reach_the_client_and_no_text() {
        let file = std::env::temp_dir().join(format!("millrace-brokers-{}", std::process::id()));
        fs::write(&file, "# of the cluster\n\n sasl.password = a=b \nsecurity.protocol=SASL_SSL\n").expect("written");
        let brokers = Brokers::with_file("a:1,b:2", Some(&file)).expect("read");
        let config = brokers.client_config("me");
        assert_eq!(config.get("sasl.password"), Some("a=b"));
        assert_eq!(
            (config.get("security.protocol"), config.get("bootstrap.servers")),
            (Some("SASL_SSL"), Some("a:1,b:2"))
        );
        assert_eq!(brokers.to_string(), "a:1,b:2");
        assert!(!format!("{brokers:?}").contains("a=b"), "{brokers:?}");
        fs::write(&file, "# x\nhunter2\n").expect("written");
        let said = Brokers::with_file("a:1", Some(&file)).expect_err("no name");
        assert!(said.contains("line 2: expected name=value") && !said.contains("hunter2"), "{said}");
        fs::remove_file(&file).expect("removed");
        assert!(Brokers::with_file("a:1", Some(&file)).is_err_and(|said| said.contains("No such file")));
    }
}
