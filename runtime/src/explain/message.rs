//! The message that is asked about: by its position, or by what its row's key is at the Kafka sink.

use serde::Serialize;
use serde_json::Value;

use super::Options;
use crate::error::{Error, Result};
use crate::json::decode::Message as _;
use crate::json::time::format_millis;
use crate::plan::{Metadata, Plan, SinkKind};
use crate::source::Record;
use crate::topic::search::{self, Hit, Searched};
use crate::topic::{Begin, Reader};

/// Of a message's value and key, for people.
const SHORT_CHARS_MAX: usize = 300;

/// Which message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    At { partition: i32, offset: i64 },
    Key(String),
}

impl Wanted {
    /// `TOPIC:PARTITION:OFFSET` or `PARTITION:OFFSET`; all else is a key.
    pub fn parse(text: &str, plan: &Plan) -> Result<Wanted> {
        let mut parts = text.rsplitn(3, ':');
        let numbers = (parts.next().and_then(number), parts.next().and_then(number::<i32>));
        let (Some(offset), Some(partition)) = numbers else { return Ok(Wanted::Key(text.to_owned())) };
        match parts.next() {
            Some(topic) if topic != plan.source.topic => Err(Error::stop(format!(
                "`{text}` is a position in topic `{topic}`, and {} reads `{}`",
                plan.file.display(),
                plan.source.topic
            ))),
            _ => Ok(Wanted::At { partition, offset }),
        }
    }
}

fn number<N: std::str::FromStr>(digits: &str) -> Option<N> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// The message as people see it.
#[derive(Debug, Serialize)]
pub struct Message {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub timestamp: Option<String>,
    pub key: Option<String>,
    /// Its beginning; None: it has none.
    pub value: Option<String>,
    pub value_bytes: usize,
    /// Others that were found with the same key, newer ones first: as far as was looked, and no further back than the
    /// newest of all needs.
    pub same_key_at: Vec<String>,
}

/// A message that was taken out of its log.
pub struct Owned {
    partition: i32,
    offset: i64,
    timestamp_ms: Option<i64>,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    /// Those that the pipeline takes.
    headers: Vec<(String, Vec<u8>)>,
}

impl crate::json::decode::Message for Owned {
    fn partition(&self) -> i32 {
        self.partition
    }

    fn offset(&self) -> i64 {
        self.offset
    }

    fn timestamp_ms(&self) -> Option<i64> {
        self.timestamp_ms
    }

    fn key(&self) -> Option<&[u8]> {
        self.key.as_deref()
    }

    fn value(&self) -> Option<&[u8]> {
        self.value.as_deref()
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice())
    }
}

pub fn find(plan: &Plan, reader: &mut Reader, wanted: &Wanted, options: Options) -> Result<(Message, Owned)> {
    let (partition, offset, same_key_at) = match wanted {
        Wanted::At { partition, offset } => (*partition, *offset, Vec::new()),
        Wanted::Key(key) => by_key(plan, reader, key, options)?,
    };
    let owned = read(plan, reader, partition, offset)?;
    let message = Message {
        topic: plan.source.topic.clone(),
        partition,
        offset,
        timestamp: owned.timestamp_ms.and_then(format_millis),
        key: owned.key.as_deref().map(short),
        value: owned.value.as_deref().map(short),
        value_bytes: owned.value.as_ref().map_or(0, Vec::len),
        same_key_at,
    };
    Ok((message, owned))
}

fn short(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    match text.char_indices().nth(SHORT_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

fn read(plan: &Plan, reader: &mut Reader, partition: i32, offset: i64) -> Result<Owned> {
    let place = format!("{}:{partition}:{offset}", plan.source.topic);
    if !reader.partitions().contains(&partition) {
        let count = reader.partitions().len();
        return Err(Error::stop(format!("{place} is not there: the topic's partitions are 0 to {}", count - 1)));
    }
    let (first, end) = (reader.begins(Begin::Earliest)?[&partition], reader.begins(Begin::Latest)?[&partition]);
    if !(first..end).contains(&offset) {
        return Err(Error::stop(format!(
            "{place} is not there: the partition holds offsets from {first} on, and the next one to come is {end}"
        )));
    }
    let mut found = None;
    reader.read_to_ends(&[(partition, offset)].into(), |message| {
        found = (message.offset() == offset).then(|| owned(plan, message));
        false
    })?;
    found.ok_or_else(|| {
        Error::stop(format!(
            "{place} is no message: the offset is a transaction's marker, or its message was aborted, is not committed \
             yet, or was compacted away"
        ))
    })
}

fn owned(plan: &Plan, message: &Record<'_>) -> Owned {
    let headers = plan.source.metadata.iter().filter_map(|(_, metadata)| match metadata {
        Metadata::Header(name) => Some((name.clone(), message.header(name)?.to_vec())),
        _ => None,
    });
    Owned {
        partition: message.partition(),
        offset: message.offset(),
        timestamp_ms: message.timestamp_ms(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.value().map(<[u8]>::to_vec),
        headers: headers.collect(),
    }
}

/// The column that a Kafka sink takes its records' keys from.
pub fn key_column(plan: &Plan) -> Option<&str> {
    plan.sinks.iter().find_map(|sink| match sink.kind {
        SinkKind::Kafka { key: Some(key), .. } => Some(plan.schema.0[key].name.as_str()),
        _ => None,
    })
}

fn by_key(plan: &Plan, reader: &mut Reader, key: &str, options: Options) -> Result<(i32, i64, Vec<String>)> {
    let column = key_column(plan).ok_or_else(|| {
        Error::stop(format!(
            "`{key}` cannot be looked for: no Kafka sink of {} names a `key` column. Give PARTITION:OFFSET",
            plan.file.display()
        ))
    })?;
    let wanted = Key { text: key, column, metadata: from(plan, column) };
    let Searched { hits, offsets, to_the_beginning } =
        search::backwards(reader, options.look_back_messages_max, |message| wanted.is_of(message).then_some(()))?;
    let topic = &plan.source.topic;
    let Some(newest) = hits.first() else {
        let looked = match to_the_beginning {
            true => format!("looked through all that it holds, {offsets} offsets"),
            false => format!(
                "looked through its last {offsets} offsets ({} of each partition); --look-back-messages-max looks \
                 further",
                options.look_back_messages_max
            ),
        };
        return Err(Error::stop(format!("no message of `{topic}` has `{key}` in its `{column}`: {looked}")));
    };
    let (partition, offset) = (newest.partition, newest.offset);
    Ok((partition, offset, others(topic, (partition, offset), hits)))
}

fn others(topic: &str, than: (i32, i64), hits: Vec<Hit<()>>) -> Vec<String> {
    let others = hits.into_iter().filter(|hit| (hit.partition, hit.offset) != than);
    others.map(|hit| format!("{topic}:{}:{}", hit.partition, hit.offset)).collect()
}

/// Notes the others of this key, where the message was named by its position.
pub fn look_for_twins(
    plan: &Plan,
    reader: &mut Reader,
    message: &mut Message,
    (column, key): (&str, &str),
    options: Options,
) -> Result<()> {
    let wanted = Key { text: key, column, metadata: from(plan, column) };
    let max = options.look_back_messages_max;
    let found = search::backwards(reader, max, |message| wanted.is_of(message).then_some(()))?;
    message.same_key_at = others(&message.topic, (message.partition, message.offset), found.hits);
    Ok(())
}

/// What the column is taken from, if it is no field of the message's value.
fn from<'p>(plan: &'p Plan, column: &str) -> Option<&'p Metadata> {
    plan.source.metadata.iter().find(|(field, _)| field.name == column).map(|(_, metadata)| metadata)
}

struct Key<'a> {
    text: &'a str,
    column: &'a str,
    metadata: Option<&'a Metadata>,
}

impl Key<'_> {
    /// A message whose key is the same counts too: a stage may make the column of whatever it likes.
    fn is_of(&self, message: &Record<'_>) -> bool {
        let text = self.text.as_bytes();
        if message.key() == Some(text) {
            return true;
        }
        match self.metadata {
            Some(Metadata::Header(name)) => message.header(name) == Some(text),
            Some(_) => false,
            None => message.value().is_some_and(|value| self.is_in(value)),
        }
    }

    /// As a field of the value; or anywhere in it, if it is not JSON, which is why one asks about such a message.
    fn is_in(&self, value: &[u8]) -> bool {
        // most messages are other ones: they are not parsed. With an escape the text may stand there otherwise
        if !value.contains(&b'\\') && !holds(value, self.text.as_bytes()) {
            return false;
        }
        match serde_json::from_slice::<Value>(value) {
            Ok(object) => object.get(self.column).and_then(Value::as_str) == Some(self.text),
            Err(_) => holds(value, format!("\"{}\"", self.text).as_bytes()),
        }
    }
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    !part.is_empty() && bytes.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_in_its_field_and_in_what_is_no_json() {
        let key = Key { text: "é-1", column: "UUID", metadata: None };
        assert!(key.is_in("{\"UUID\":\"é-1\"}".as_bytes()));
        assert!(key.is_in(br#"{"UUID":"\u00e9-1"}"#));
        assert!(!key.is_in("{\"Other\":\"é-1\",\"UUID\":\"2\"}".as_bytes()));
        assert!(!key.is_in("{\"UUID\":\"é-12\"}".as_bytes()));
        assert!(key.is_in("{\"UUID\":\"é-1\"".as_bytes()));
        assert!(!key.is_in("{\"UUID\":\"é-12\"".as_bytes()));
    }

    #[test]
    fn what_is_long_is_cut_between_letters() {
        assert_eq!(short(b"abc"), "abc");
        let long = short("é".repeat(SHORT_CHARS_MAX + 1).as_bytes());
        assert_eq!(long, format!("{}…", "é".repeat(SHORT_CHARS_MAX)));
    }
}
