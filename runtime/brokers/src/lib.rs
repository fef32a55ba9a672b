//! A Kafka cluster as clients are told of it. What `runtime` and `web` share.
//!
//! Every client is made of its [`Config`], and is looked after by it: see `client`.
//!
//! Invariant: for people a cluster is its addresses; the values of its settings, which may be secrets, are in no text that
//! is made here.

mod client;
mod endpoint;
// what rdkafka does not do: see there
#[allow(unsafe_code)]
mod native;
mod oidc;
mod tokens;
mod watch;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};

pub use client::{Client, Config, Kept};
pub use oidc::{Wrong, is_ours};
use tokens::Tokens;

/// In librdkafka's words.
const REFUSALS: [&str; 2] = ["SASL OAUTHBEARER authentication failed", "SASL authentication error"];

/// `host:port,…`, and librdkafka's own settings for the cluster, by its names: `sasl.password`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Brokers {
    addresses: String,
    properties: Properties,
}

/// A cluster's settings, of which those about tokens are whole. Clones get the same tokens.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties {
    librdkafkas: BTreeMap<String, String>,
    tokens: Option<Arc<Tokens>>,
}

impl Properties {
    pub fn new(properties: BTreeMap<String, String>) -> Result<Properties, Wrong> {
        let (librdkafkas, settings) = oidc::split(properties)?;
        Ok(Properties { librdkafkas, tokens: settings.map(|settings| Arc::new(Tokens::new(settings))) })
    }
}

impl Brokers {
    pub fn new(addresses: impl Into<String>, properties: Properties) -> Brokers {
        Brokers { addresses: addresses.into(), properties }
    }

    /// With the settings of a file, if there is one: [`properties`].
    pub fn with_file(addresses: impl Into<String>, file: Option<&Path>) -> Result<Brokers, String> {
        let Some(file) = file else { return Ok(Brokers::new(addresses, Properties::default())) };
        let properties = Properties::new(properties(file)?);
        Ok(Brokers::new(addresses, properties.map_err(|wrong| format!("{}: {wrong}", file.display()))?))
    }

    /// Settings for a client of these brokers; a lost broker is tried again within half a second.
    pub fn client_config(&self, client_id: &str) -> Config {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.addresses)
            .set("client.id", client_id)
            .set("reconnect.backoff.max.ms", "500")
            .set("allow.auto.create.topics", "false")
            // what librdkafka's own `debug` asks for would be left out otherwise
            .set_log_level(match self.properties.librdkafkas.contains_key("debug") {
                true => RDKafkaLogLevel::Debug,
                false => RDKafkaLogLevel::Warning,
            });
        for (name, value) in &self.properties.librdkafkas {
            config.set(name, value);
        }
        Config::new(config, self.properties.tokens.clone())
    }

    /// Why clients have no token to show to the brokers, where they need one.
    pub fn trouble(&self) -> Option<String> {
        self.properties.tokens.as_ref()?.trouble()
    }

    /// A sentence of librdkafka's that says that the brokers refuse a token, made whole; another token is asked for then.
    pub fn refused(&self, said: &str) -> Option<String> {
        let tokens = self.properties.tokens.as_ref()?;
        if !REFUSALS.iter().any(|refusal| said.contains(refusal)) {
            return None;
        }
        tokens.doubt();
        Some(format!(
            "they refuse the token of {tokens} ({said}): do they trust who signs it, and want another audience or scope?"
        ))
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
        Brokers::new(addresses, Properties::default())
    }
}

impl fmt::Display for Brokers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.addresses)
    }
}

impl fmt::Debug for Brokers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Brokers").field("addresses", &self.addresses).field("properties", &self.properties).finish()
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.librdkafkas.keys()).finish()
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
