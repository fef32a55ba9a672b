//! Topics and what is in them, read.
//!
//! Invariant: a call is one short read transaction; nothing is held open between two.

use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{OptionalExtension, Row, ToSql, params};

use crate::error::{Error, Result};
use crate::folder::Folder;

const TOPIC_CHARS_MAX: usize = 249;
/// What a name is made of, for people.
pub const TOPIC_NAMES: &str = "a-z, A-Z, 0-9, `.`, `_` and `-`, at most 249";

/// A folder takes the names that Kafka takes: a pipeline may go from one to the other.
pub fn is_topic_name(name: &str) -> bool {
    let legal = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    name.chars().all(legal) && (1..=TOPIC_CHARS_MAX).contains(&name.len()) && name != "." && name != ".."
}

/// For a record's timestamp.
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// Messages that each partition of a topic keeps, unless its maker says otherwise.
pub const TOPIC_ROWS_MAX: u64 = 1_000_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    pub(crate) id: i64,
    pub name: String,
    pub uuid: String,
    pub partitions: i32,
}

/// Offsets [first, end) that a partition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    pub first: i64,
    pub end: i64,
}

/// Name and value, in order.
pub type Headers = Vec<(String, Vec<u8>)>;

/// A message on its way in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record<'a> {
    pub timestamp_ms: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: &'a [(String, Vec<u8>)],
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub partition: i32,
    pub offset: i64,
    pub timestamp_ms: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Headers,
}

impl Folder {
    pub fn topic(&self, name: &str) -> Result<Option<Topic>> {
        let mut select = self
            .connection
            .prepare_cached(
                "SELECT id, uuid, (SELECT count(*) FROM partitions WHERE topic = topics.id) FROM topics WHERE name = ?",
            )
            .map_err(self.failed("reading topics"))?;
        let topic = |row: &Row<'_>| {
            Ok(Topic { id: row.get(0)?, name: name.to_owned(), uuid: row.get(1)?, partitions: row.get(2)? })
        };
        select.query_row([name], topic).optional().map_err(self.failed("reading topics"))
    }

    pub fn topics(&self) -> Result<Vec<String>> {
        let failed = || self.failed("reading topics");
        let mut select = self.connection.prepare_cached("SELECT name FROM topics ORDER BY name").map_err(failed())?;
        let names = select.query_map([], |row| row.get(0)).map_err(failed())?;
        names.collect::<Result<_, _>>().map_err(failed())
    }

    pub fn extent(&self, topic: &Topic, partition: i32) -> Result<Extent> {
        let found = self.extent_maybe(topic, partition)?;
        self.is_as_it_was()?;
        found.ok_or_else(|| Error::Unusable(format!("topic `{}` has no partition {partition}", topic.name)))
    }

    /// None: there is no such partition.
    fn extent_maybe(&self, topic: &Topic, partition: i32) -> Result<Option<Extent>> {
        let mut select = self
            .connection
            .prepare_cached("SELECT first, end FROM partitions WHERE topic = ? AND partition = ?")
            .map_err(self.failed("reading partitions"))?;
        let extent = |row: &Row<'_>| Ok(Extent { first: row.get(0)?, end: row.get(1)? });
        let found = select.query_row(params![topic.id, partition], extent).optional();
        found.map_err(self.failed("reading partitions"))
    }

    /// From this offset on, in order; ends after so many rows, or with the row that goes beyond so many bytes.
    pub fn read(
        &self,
        topic: &Topic,
        partition: i32,
        from: i64,
        rows_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Message>> {
        let failed = || self.failed("reading messages");
        // messages lie beside their keys: looking for those after the last one would read its value, however large
        if self.extent_maybe(topic, partition)?.is_none_or(|extent| from >= extent.end) {
            self.is_as_it_was()?;
            return Ok(Vec::new());
        }
        let mut select = self
            .connection
            .prepare_cached(
                "SELECT offset, timestamp_ms, key, value, headers FROM messages
                 WHERE topic = ? AND partition = ? AND offset >= ? ORDER BY offset LIMIT ?",
            )
            .map_err(failed())?;
        let mut rows = select.query(params![topic.id, partition, from, rows_max as i64]).map_err(failed())?;
        let (mut messages, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.next().map_err(failed())? {
            let message = message(row, partition).map_err(failed())?;
            bytes += message.key.as_ref().map_or(0, Vec::len) + message.value.as_ref().map_or(0, Vec::len);
            messages.push(message);
            if bytes >= bytes_max {
                break;
            }
        }
        self.is_as_it_was()?;
        Ok(messages)
    }

    /// A document of a collection whose JSON has this text in this field; the first by id.
    pub fn find_document(&self, collection: &str, field: &str, value: &str) -> Result<Option<String>> {
        let select = format!(
            "SELECT document FROM documents WHERE collection = ? AND {} = ? ORDER BY id LIMIT 1",
            extract(field)?
        );
        let mut select = self.connection.prepare_cached(&select).map_err(self.failed("reading documents"))?;
        let found = select.query_row(params![collection, value], |row| row.get(0)).optional();
        self.is_as_it_was()?;
        found.map_err(self.failed("reading documents"))
    }

    /// Makes [`Folder::find_document`] by this field quick, however many documents there are.
    pub fn index_documents(&self, field: &str) -> Result<()> {
        let index = format!(
            "CREATE INDEX IF NOT EXISTS \"documents by {field}\" ON documents (collection, {})",
            extract(field)?
        );
        self.connection.execute_batch(&index).map_err(self.failed("indexing documents"))
    }

    /// Documents of a collection whose ids lie in [from, below), in the order of these.
    pub fn documents_between(
        &self,
        collection: &str,
        from: &str,
        below: &str,
        rows_max: usize,
    ) -> Result<Vec<(String, String)>> {
        let select =
            "SELECT id, document FROM documents WHERE collection = ? AND id >= ? AND id < ? ORDER BY id LIMIT ?";
        self.select_documents(select, params![collection, from, below, rows_max as i64])
    }

    /// Documents of a collection that have this in their text, with their ids: each of the collection is looked at.
    pub fn documents_with(&self, collection: &str, text: &str, rows_max: usize) -> Result<Vec<(String, String)>> {
        let select =
            "SELECT id, document FROM documents WHERE collection = ? AND instr(document, ?) > 0 ORDER BY id LIMIT ?";
        self.select_documents(select, params![collection, text, rows_max as i64])
    }

    /// Documents of a collection with their ids, in the order of these.
    pub fn documents(&self, collection: &str) -> Result<Vec<(String, String)>> {
        self.select_documents(
            "SELECT id, document FROM documents WHERE collection = ? ORDER BY id",
            params![collection],
        )
    }

    /// Ids and documents.
    fn select_documents(&self, select: &str, of: &[&dyn ToSql]) -> Result<Vec<(String, String)>> {
        let failed = || self.failed("reading documents");
        let mut select = self.connection.prepare_cached(select).map_err(failed())?;
        let rows = select.query_map(of, |row| Ok((row.get(0)?, row.get(1)?))).map_err(failed())?;
        let documents = rows.collect::<Result<_, _>>().map_err(failed())?;
        self.is_as_it_was()?;
        Ok(documents)
    }
}

/// A field of a document, in SQL: as text, for an index is used only where the same text stands in both places.
fn extract(field: &str) -> Result<String> {
    match field.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_') {
        true => Ok(format!("json_extract(document, '$.{field}')")),
        false => Err(Error::Unusable(format!("documents cannot be looked up by `{field}`: letters, digits and _"))),
    }
}

fn message(row: &Row<'_>, partition: i32) -> rusqlite::Result<Message> {
    let headers: Option<Vec<u8>> = row.get(4)?;
    Ok(Message {
        partition,
        offset: row.get(0)?,
        timestamp_ms: row.get(1)?,
        key: row.get(2)?,
        value: row.get(3)?,
        headers: headers.map(|bytes| unpack(&bytes)).unwrap_or_default(),
    })
}

/// Length, name, length, value; lengths of four bytes.
pub(crate) fn pack(headers: &[(String, Vec<u8>)]) -> Option<Vec<u8>> {
    let mut packed = Vec::new();
    for part in headers.iter().flat_map(|(name, value)| [name.as_bytes(), value]) {
        packed.extend_from_slice(&(part.len() as u32).to_le_bytes());
        packed.extend_from_slice(part);
    }
    (!packed.is_empty()).then_some(packed)
}

fn unpack(mut packed: &[u8]) -> Headers {
    let mut parts = Vec::new();
    while let Some((length, rest)) = packed.split_first_chunk::<4>() {
        let Some((part, rest)) = rest.split_at_checked(u32::from_le_bytes(*length) as usize) else { break };
        parts.push(part.to_vec());
        packed = rest;
    }
    let pairs = parts.chunks_exact(2);
    pairs.map(|pair| (String::from_utf8_lossy(&pair[0]).into_owned(), pair[1].clone())).collect()
}
