//! How large a record may be: what each topic's brokers say, or show by refusing one.
//!
//! Invariant: a record that is lighter than its topic's limit is taken, when it is sent alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions};

use crate::error::Result;
use crate::kafka::{self, Brokers, Kept, Quiet};

/// What topics refused in this process that do not say how much they take, by brokers and topic: the smallest record that
/// was refused alone, or none yet.
static REFUSED: Mutex<BTreeMap<(String, String), Option<usize>>> = Mutex::new(BTreeMap::new());

/// Where nobody says otherwise: brokers take a little more.
pub const BATCH_BYTES_DEFAULT: usize = 1_000_000;
const SETTING: &str = "max.message.bytes";

/// A topic refused records, of which the smallest is so large; each of them alone, or who knows which of many.
pub fn refused(brokers: &Brokers, topic: &str, bytes: usize, alone: bool) {
    let mut refused = REFUSED.lock().unwrap_or_else(PoisonError::into_inner);
    let known = refused.entry((brokers.to_string(), topic.to_owned())).or_default();
    if alone {
        *known = Some(known.map_or(bytes, |known| known.min(bytes)));
    }
}

/// What topics of these brokers take that refused something.
pub fn learned(brokers: &Brokers) -> Vec<(String, usize)> {
    let (refused, brokers) = (REFUSED.lock().unwrap_or_else(PoisonError::into_inner), brokers.to_string());
    let ours = refused.iter().filter(|((at, _), _)| *at == brokers);
    ours.map(|((_, topic), bytes)| (topic.clone(), bytes.map_or(BATCH_BYTES_DEFAULT, |bytes| bytes - 1))).collect()
}

/// What each topic takes. One that says nothing (it is not there, or its settings are not for everybody) is left out.
pub fn ask(brokers: &Brokers, topics: &BTreeSet<&str>, timeout: Duration) -> Result<BTreeMap<String, usize>> {
    if topics.is_empty() {
        return Ok(BTreeMap::new());
    }
    let what = || format!("asking {brokers} how large a record may be");
    let admin: Kept<AdminClient<Quiet>> = brokers
        .client_config("millrace-limits")
        .create_with_context(Quiet::default())
        .map_err(|cause| kafka::error(what(), cause))?;
    let options = AdminOptions::new().request_timeout(Some(timeout)).operation_timeout(Some(timeout));
    let answers = kafka::topic_settings(&admin, topics, SETTING, &options);
    let mut limits = BTreeMap::new();
    let failed = |cause| kafka::tokenless(brokers).unwrap_or_else(|| kafka::error(what(), cause));
    for answer in answers.map_err(failed)? {
        match answer {
            Ok((topic, limit)) => limits.extend(limit.and_then(|limit| Some((topic, limit.parse().ok()?)))),
            Err(cause) => tracing::debug!(%cause, "a topic does not say how large a record may be"),
        }
    }
    Ok(limits)
}
