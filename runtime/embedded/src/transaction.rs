//! Changes, all of them or none.
//!
//! Invariant: a position moves only from where its writer says that it stands, in the transaction of the rows that it
//! is about; so a writer that was overtaken commits nothing.

use rusqlite::{OptionalExtension, TransactionBehavior, params};

use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::log::{Extent, Record, TOPIC_NAMES, Topic, is_topic_name, pack};
use crate::positions::{Offset, Position};

/// Dropped without `commit`, it never was.
pub struct Transaction<'a> {
    folder: &'a Folder,
    inner: rusqlite::Transaction<'a>,
}

impl<'a> Transaction<'a> {
    pub(crate) fn begin(folder: &'a mut Folder) -> Result<Transaction<'a>> {
        let folder: &'a Folder = folder;
        folder.is_as_it_was()?;
        // the lock is taken at once: what is read in here stays true until the commit
        let inner = rusqlite::Transaction::new_unchecked(&folder.connection, TransactionBehavior::Immediate)
            .map_err(folder.failed("beginning a transaction"))?;
        Ok(Transaction { folder, inner })
    }

    pub fn commit(self) -> Result<()> {
        self.inner.commit().map_err(self.folder.failed("committing"))?;
        self.folder.committed();
        Ok(())
    }

    /// The topic of that name; made where it is not there. A partition keeps its last `rows_max` messages.
    pub fn topic(&mut self, name: &str, partitions: i32, rows_max: u64) -> Result<Topic> {
        if let Some(topic) = self.folder.topic(name)? {
            return Ok(topic);
        }
        if !is_topic_name(name) {
            return Err(Error::Unusable(format!("`{name}` cannot be a topic: expected {TOPIC_NAMES}")));
        }
        let failed = || self.folder.failed("making a topic");
        let uuid = uuid::Uuid::new_v4().to_string();
        self.inner
            .execute("INSERT INTO topics (name, uuid, rows_max) VALUES (?, ?, ?)", params![name, uuid, rows_max as i64])
            .map_err(failed())?;
        let id = self.inner.last_insert_rowid();
        for partition in 0..partitions {
            self.inner
                .execute("INSERT INTO partitions VALUES (?, ?, 0, 0)", params![id, partition])
                .map_err(failed())?;
        }
        Ok(Topic { id, name: name.to_owned(), uuid, partitions })
    }

    pub fn delete_topic(&mut self, topic: &Topic) -> Result<()> {
        for table in ["messages", "partitions", "offsets"] {
            let delete = format!("DELETE FROM {table} WHERE topic = ?");
            self.inner.execute(&delete, [topic.id]).map_err(self.folder.failed("deleting a topic"))?;
        }
        let deleted = self.inner.execute("DELETE FROM topics WHERE id = ?", [topic.id]);
        deleted.map(drop).map_err(self.folder.failed("deleting a topic"))
    }

    /// Appends to a partition, in order, and drops what it need not keep any more; the first one's offset.
    pub fn append<'r>(
        &mut self,
        topic: &Topic,
        partition: i32,
        records: impl IntoIterator<Item = Record<'r>>,
    ) -> Result<i64> {
        let first = self.folder.extent(topic, partition)?.end;
        let failed = || self.folder.failed("writing messages");
        let mut insert =
            self.inner.prepare_cached("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?)").map_err(failed())?;
        let mut next = first;
        for record in records {
            let Record { timestamp_ms, key, value, headers } = record;
            insert
                .execute(params![topic.id, partition, next, timestamp_ms, key, value, pack(headers)])
                .map_err(failed())?;
            next += 1;
        }
        drop(insert);
        self.end(topic, partition, next)?;
        Ok(first)
    }

    fn end(&self, topic: &Topic, partition: i32, end: i64) -> Result<()> {
        let failed = || self.folder.failed("writing messages");
        let first: i64 = self
            .inner
            .prepare_cached(
                "UPDATE partitions SET end = ?3, first = max(first, ?3 - (SELECT rows_max FROM topics WHERE id = ?1))
                 WHERE topic = ?1 AND partition = ?2 RETURNING first",
            )
            .and_then(|mut update| update.query_row(params![topic.id, partition, end], |row| row.get(0)))
            .map_err(failed())?;
        self.inner
            .prepare_cached("DELETE FROM messages WHERE topic = ? AND partition = ? AND offset < ?")
            .and_then(|mut delete| delete.execute(params![topic.id, partition, first]))
            .map(drop)
            .map_err(failed())
    }

    pub fn extent(&self, topic: &Topic, partition: i32) -> Result<Extent> {
        self.folder.extent(topic, partition)
    }

    pub fn offset(&self, consumer: &str, topic: &Topic, partition: i32) -> Result<Option<Offset>> {
        self.folder.offset(consumer, topic, partition)
    }

    /// Moves a consumer from where it stands (`None`: nowhere) to `to`.
    pub fn move_offset(
        &mut self,
        consumer: &str,
        topic: &Topic,
        partition: i32,
        from: Option<i64>,
        to: &Offset,
    ) -> Result<()> {
        let stands = self.offset(consumer, topic, partition)?.map(|offset| offset.next);
        if stands != from {
            return Err(moved(&format!("consumer `{consumer}` on `{}`", topic.name), partition, from, stands));
        }
        self.inner
            .prepare_cached("INSERT OR REPLACE INTO offsets VALUES (?, ?, ?, ?, ?)")
            .and_then(|mut put| put.execute(params![consumer, topic.id, partition, to.next, to.metadata]))
            .map(drop)
            .map_err(self.folder.failed("writing offsets"))
    }

    pub fn position(&self, sink: &str, topic: &str, partition: i32) -> Result<Option<Position>> {
        self.folder.position(sink, topic, partition)
    }

    /// Moves a sink from where it stands (`None`: nowhere) to `to`.
    pub fn move_position(
        &mut self,
        sink: &str,
        topic: &str,
        partition: i32,
        from: Option<i64>,
        to: &Position,
    ) -> Result<()> {
        let stands = self.position(sink, topic, partition)?.map(|position| position.next);
        if stands != from {
            return Err(moved(&format!("sink `{sink}` on `{topic}`"), partition, from, stands));
        }
        self.inner
            .prepare_cached("INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?, ?)")
            .and_then(|mut put| put.execute(params![sink, topic, partition, to.topic_uuid, to.next]))
            .map(drop)
            .map_err(self.folder.failed("writing positions"))
    }

    /// In the place of one that has its id.
    pub fn replace_document(&mut self, collection: &str, id: &str, json: &str) -> Result<()> {
        self.put_document("INSERT OR REPLACE INTO documents VALUES (?, ?, ?)", collection, id, json)
    }

    pub fn document(&self, collection: &str, id: &str) -> Result<Option<String>> {
        self.inner
            .prepare_cached("SELECT document FROM documents WHERE collection = ? AND id = ?")
            .and_then(|mut select| select.query_row(params![collection, id], |row| row.get(0)).optional())
            .map_err(self.folder.failed("reading documents"))
    }

    /// A stored document never changes: the first one of an id stays.
    pub fn insert_document(&mut self, collection: &str, id: &str, json: &str) -> Result<()> {
        self.put_document("INSERT OR IGNORE INTO documents VALUES (?, ?, ?)", collection, id, json)
    }

    fn put_document(&mut self, put: &str, collection: &str, id: &str, json: &str) -> Result<()> {
        self.inner
            .prepare_cached(put)
            .and_then(|mut put| put.execute(params![collection, id, json]))
            .map(drop)
            .map_err(self.folder.failed("writing documents"))
    }

    /// As it is in this transaction, for reading.
    pub fn folder(&self) -> &Folder {
        self.folder
    }
}

fn moved(who: &str, partition: i32, from: Option<i64>, stands: Option<i64>) -> Error {
    let word = |offset: Option<i64>| offset.map_or("nowhere".to_owned(), |offset| format!("at {offset}"));
    Error::Moved(format!(
        "{who} partition {partition} stands {}, and its writer left it {}: somebody else has moved it",
        word(stands),
        word(from)
    ))
}
