//! A reject as docs/rejects.md has it, read back.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::{Identity, Position};
use crate::json::time::parse_timestamp;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub pipeline: String,
    pub generation: String,
    pub stage: String,
    pub code: String,
    pub reason: String,
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub timestamp: Option<String>,
    /// When it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resent_from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_base64: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_base64: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_bytes: Option<u64>,
}

/// Why a reject's message cannot be sent again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unsendable {
    /// It is not in the reject.
    LeftThere,
    Tombstone,
    OtherTopic(String),
    NoSuchPartition(i32),
    Damaged,
}

impl fmt::Display for Unsendable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unsendable::LeftThere => f.write_str("too large for a reject, which says only where the message is"),
            Unsendable::Tombstone => f.write_str("a tombstone has nothing to send"),
            Unsendable::OtherTopic(topic) => write!(f, "from topic `{topic}`, which is not the source's"),
            Unsendable::NoSuchPartition(partition) => write!(f, "the topic has no partition {partition} any more"),
            Unsendable::Damaged => f.write_str("no message is in the reject, or its base64 is damaged"),
        }
    }
}

/// A message as it came: its key, where it has one, and its value.
pub type Original = (Option<Vec<u8>>, Vec<u8>);

impl Record {
    pub fn position(&self) -> Position {
        Position { partition: self.partition, offset: self.offset }
    }

    pub fn identity(&self) -> Identity {
        let timestamp_us = self.timestamp.as_deref().and_then(parse_timestamp);
        Identity { position: self.position(), timestamp_us }
    }

    /// The bytes of the message.
    pub fn original(&self) -> Result<Original, Unsendable> {
        if self.original_bytes.is_some() {
            return Err(Unsendable::LeftThere);
        }
        if self.stage == "source" && self.code == "no_value" {
            return Err(Unsendable::Tombstone);
        }
        let value = bytes(self.original.as_ref(), self.original_base64.as_ref())?.ok_or(Unsendable::Damaged)?;
        Ok((bytes(self.key.as_ref(), self.key_base64.as_ref())?, value))
    }

    /// In memory, nearly.
    pub fn bytes(&self) -> usize {
        let texts = [&self.key, &self.key_base64, &self.original, &self.original_base64];
        let texts = texts.into_iter().flatten().map(String::len).sum::<usize>();
        size_of::<Record>() + texts + self.reason.len()
    }
}

fn bytes(text: Option<&String>, base64: Option<&String>) -> Result<Option<Vec<u8>>, Unsendable> {
    match (text, base64) {
        (Some(text), _) => Ok(Some(text.clone().into_bytes())),
        (None, Some(base64)) => STANDARD.decode(base64).map(Some).map_err(|_| Unsendable::Damaged),
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(with: Value) -> Record {
        let mut record = json!({
            "pipeline": "p", "generation": "g", "stage": "features", "code": "c", "reason": "r", "topic": "t",
            "partition": 1, "offset": 2, "timestamp": "2013-05-06T07:08:09.123Z",
        });
        record.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
        serde_json::from_value(record).unwrap()
    }

    #[test]
    fn messages_come_out_as_they_went_in() {
        let text = read(json!({ "key": "", "original": "{\"broken" }));
        assert_eq!(text.original(), Ok((Some(Vec::new()), b"{\"broken".to_vec())));
        let bytes = read(json!({ "key_base64": "/w==", "original_base64": "/v8=" }));
        assert_eq!(bytes.original(), Ok((Some(vec![0xff]), vec![0xfe, 0xff])));
        assert_eq!(read(json!({ "original": "" })).original(), Ok((None, Vec::new())));
        assert_eq!(text.identity().timestamp_us, Some(1_367_824_089_123_000));
        assert_eq!(read(json!({ "timestamp": null })).identity().timestamp_us, None);
    }

    #[test]
    fn what_cannot_be_sent_is_told_apart() {
        assert_eq!(read(json!({ "original_bytes": 5 })).original(), Err(Unsendable::LeftThere));
        assert_eq!(read(json!({})).original(), Err(Unsendable::Damaged));
        assert_eq!(read(json!({ "original_base64": "?" })).original(), Err(Unsendable::Damaged));
        assert_eq!(read(json!({ "key_base64": "?", "original": "x" })).original(), Err(Unsendable::Damaged));
        let tombstone = read(json!({ "stage": "source", "code": "no_value", "original": "" }));
        assert_eq!(tombstone.original(), Err(Unsendable::Tombstone));
    }
}
