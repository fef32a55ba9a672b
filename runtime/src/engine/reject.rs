//! A refused row as the rejects topic has it: one JSON object.
//!
//! `pipeline`, `generation`, `stage`, `code`, `reason`; where the message is: `topic`, `partition`, `offset`,
//! `timestamp` (the message's own, ISO 8601, or null), `resent_from` (where it was before it was sent again); and the
//! message itself: `key` and `original`, as text where they are UTF-8, else as `key_base64` and `original_base64`. An
//! original that does not fit into a record of the rejects topic is left where it is, and `original_bytes` says how
//! large it was.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::batch::{Origins, Reject};
use crate::error::{Error, Result};
use crate::json::time;

/// What all rejects of a batch share.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    pub pipeline: &'a str,
    pub generation: &'a str,
    pub topic: &'a str,
}

#[derive(Serialize)]
struct Record<'a> {
    pipeline: &'a str,
    generation: &'a str,
    stage: &'a str,
    code: &'a str,
    reason: &'a str,
    topic: &'a str,
    partition: i32,
    offset: i64,
    timestamp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resent_from: Option<&'a str>,
    #[serde(flatten)]
    key: Option<Key<'a>>,
    #[serde(flatten)]
    original: Original<'a>,
}

#[derive(Serialize)]
enum Key<'a> {
    #[serde(rename = "key")]
    Text(&'a str),
    #[serde(rename = "key_base64")]
    Bytes(String),
}

#[derive(Serialize)]
enum Original<'a> {
    #[serde(rename = "original")]
    Text(&'a str),
    #[serde(rename = "original_base64")]
    Bytes(String),
    #[serde(rename = "original_bytes")]
    LeftThere(usize),
}

fn key(bytes: &[u8]) -> Key<'_> {
    std::str::from_utf8(bytes).map(Key::Text).unwrap_or_else(|_| Key::Bytes(STANDARD.encode(bytes)))
}

fn original(bytes: &[u8]) -> Original<'_> {
    std::str::from_utf8(bytes).map(Original::Text).unwrap_or_else(|_| Original::Bytes(STANDARD.encode(bytes)))
}

/// Replaces what is in `out`.
pub fn render(place: Place<'_>, reject: &Reject, origins: &Origins, whole: bool, out: &mut Vec<u8>) -> Result<()> {
    let message = reject.origin as usize;
    let value = origins.values.get(message);
    let timestamp_ms = origins.timestamps_ms[message];
    let record = Record {
        pipeline: place.pipeline,
        generation: place.generation,
        stage: &reject.stage,
        code: &reject.code,
        reason: &reject.reason,
        topic: place.topic,
        partition: origins.partitions[message],
        offset: origins.offsets[message],
        timestamp: (timestamp_ms >= 0).then(|| time::format_timestamp(timestamp_ms * 1000)).flatten(),
        resent_from: origins.resent_from.get(&reject.origin).map(String::as_str),
        key: origins.has_key[message].then(|| key(origins.keys.get(message))),
        original: if whole { original(value) } else { Original::LeftThere(value.len()) },
    };
    out.clear();
    serde_json::to_writer(out, &record).map_err(|cause| Error::stop("a reject as JSON").caused_by(cause))
}
