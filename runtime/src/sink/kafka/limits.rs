//! How large a record may be: what each topic's brokers say, and what a record weighs.
//!
//! Invariant: a record that is lighter than its topic's limit is taken, when it is sent alone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions};

use crate::error::Result;
use crate::kafka::{self, Brokers, Quiet};

/// Where nobody says otherwise: brokers take a little more.
pub const BATCH_BYTES_DEFAULT: usize = 1_000_000;
const SETTING: &str = "max.message.bytes";
/// What surrounds the records of a batch.
const BATCH_BYTES: usize = 61;

/// What each topic takes. One that says nothing (it is not there, or its settings are not for everybody) is left out.
pub fn ask(brokers: &Brokers, topics: &BTreeSet<&str>, timeout: Duration) -> Result<BTreeMap<String, usize>> {
    if topics.is_empty() {
        return Ok(BTreeMap::new());
    }
    let what = || format!("asking {brokers} how large a record may be");
    let admin: AdminClient<Quiet> = brokers
        .client_config("millrace-limits")
        .create_with_context(Quiet::default())
        .map_err(|cause| kafka::error(what(), cause))?;
    let options = AdminOptions::new().request_timeout(Some(timeout)).operation_timeout(Some(timeout));
    let answers = kafka::topic_settings(&admin, topics, SETTING, &options);
    let mut limits = BTreeMap::new();
    for answer in answers.map_err(|cause| kafka::error(what(), cause))? {
        match answer {
            Ok((topic, limit)) => limits.extend(limit.and_then(|limit| Some((topic, limit.parse().ok()?)))),
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
