//! How large a record may be: what each topic's brokers say, and what a record weighs.
//!
//! Invariant: a record that is lighter than its topic's limit is taken, when it is sent alone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, ResourceSpecifier};

use crate::error::{Error, Result};
use crate::kafka::{self, Quiet};

/// Where nobody says otherwise: brokers take a little more.
pub const BATCH_BYTES_DEFAULT: usize = 1_000_000;
const SETTING: &str = "max.message.bytes";
/// What surrounds the records of a batch.
const BATCH_BYTES: usize = 61;

/// What each topic takes. One that says nothing (it is not there, or its settings are not for everybody) is left out.
pub fn ask(brokers: &str, topics: &BTreeSet<&str>, timeout: Duration) -> Result<BTreeMap<String, usize>> {
    if topics.is_empty() {
        return Ok(BTreeMap::new());
    }
    let what = || format!("asking {brokers} how large a record may be");
    let admin: AdminClient<Quiet> = kafka::client_config(brokers, "millrace-limits")
        .create_with_context(Quiet)
        .map_err(|cause| kafka::error(what(), cause))?;
    let resources: Vec<_> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
    let options = AdminOptions::new().request_timeout(Some(timeout)).operation_timeout(Some(timeout));
    // its answer comes from a thread of the client's own
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(|cause| Error::retry(what()).caused_by(cause))?;
    let answers = runtime.block_on(admin.describe_configs(&resources, &options));
    let answers = answers.map_err(|cause| kafka::error(what(), cause))?;
    let limit = |answer: ConfigResource| {
        let found = answer.entries.iter().find(|entry| entry.name == SETTING)?.value.clone();
        let rdkafka::admin::OwnedResourceSpecifier::Topic(topic) = answer.specifier else { return None };
        Some((topic, found?.parse().ok()?))
    };
    let mut limits = BTreeMap::new();
    for answer in answers {
        match answer {
            Ok(answer) => limits.extend(limit(answer)),
            Err(cause) => tracing::debug!(%cause, "a topic does not say how large a record may be"),
        }
    }
    Ok(limits)
}

/// Of a record alone, as brokers weigh it.
pub fn batch_bytes(key: Option<&[u8]>, value: &[u8], headers: &[(String, Vec<u8>)]) -> usize {
    let sized = |length: usize| varint_bytes(length) + length;
    let headers_bytes: usize = headers.iter().map(|(name, value)| sized(name.len()) + sized(value.len())).sum();
    // attributes, and two distances from the batch's first record
    let record =
        3 + key.map_or(1, |key| sized(key.len())) + sized(value.len()) + varint_bytes(headers.len()) + headers_bytes;
    BATCH_BYTES + sized(record)
}

/// As Kafka writes lengths: seven bits a byte, the lowest for the sign.
fn varint_bytes(length: usize) -> usize {
    let bits = usize::BITS - (length << 1).leading_zeros();
    (bits.max(1) as usize).div_ceil(7)
}
