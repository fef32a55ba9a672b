//! The cursors of a collection, from outside.
//!
//! Invariant: a reset replaces the very cursor that was read, and counts itself in it (`resets`); a writer moves only
//! a cursor whose count is the one that it opened. So whatever a zombie still writes, it does not move the position.

use std::collections::{BTreeMap, BTreeSet};

use mongodb::bson::{Bson, Document, doc};

use super::{Store, cursor_id};
use crate::error::{Error, Result};
use crate::plan::MongodbPlan;
use crate::sink::Context;
use crate::sink::ledger::{Entry, Wrong, moved};

/// What makes one state of a cursor another.
const STATE: [&str; 4] = ["cluster", "topic_id", "next", "resets"];

pub struct Ledger {
    context: Context,
    plan: MongodbPlan,
    store: Option<Store>,
    /// As they were read.
    cursors: BTreeMap<i32, Document>,
}

impl Ledger {
    /// Connects to nothing.
    pub fn new(context: Context, plan: &MongodbPlan) -> Ledger {
        Ledger { context, plan: plan.clone(), store: None, cursors: BTreeMap::new() }
    }

    async fn connect(&mut self) -> Result<Store> {
        match self.store.take() {
            Some(store) => Ok(store),
            None => Store::connect(&self.context, &self.plan).await,
        }
    }

    async fn entry(&mut self, store: &Store, partition: i32) -> Result<Entry> {
        let id = cursor_id(&self.context, partition);
        let wrong = |error: Error| Wrong { said: error.to_string(), mends: true };
        let Some(cursor) = store.cursor(&id).await? else {
            self.cursors.remove(&partition);
            let rows = store.rows_without_cursor(&self.context, &self.plan.write, partition, &id).await?;
            return Ok(Entry { wrong: rows.map(wrong), ..Entry::default() });
        };
        let entry = Entry {
            next: cursor.get_i64("next").ok(),
            topic_id: cursor.get_str("topic_id").ok().map(str::to_owned),
            detail: None,
            wrong: store.checked(&self.context, &cursor).err().map(wrong),
        };
        self.cursors.insert(partition, cursor);
        Ok(entry)
    }

    async fn put(&self, store: &Store, partition: i32, to: i64) -> Result<bool> {
        let (id, log) = (cursor_id(&self.context, partition), &self.context.log);
        let found = self.cursors.get(&partition);
        let resets = found.and_then(|cursor| cursor.get_i64("resets").ok()).unwrap_or(0) + 1;
        let fields = doc! { "cluster": &log.cluster, "topic_id": &log.topic_id, "next": to, "resets": resets };
        let what = || format!("moving the position {id:?} in {} to {to}", store.cursors_name());
        let Some(found) = found else {
            let put = store.cursors.update_one(doc! { "_id": &id }, doc! { "$setOnInsert": fields }).upsert(true);
            return Ok(store.call(what, put).await?.upserted_id.is_some());
        };
        let mut as_read = doc! { "_id": &id };
        // null is what is missing, too
        as_read.extend(STATE.map(|field| (field.to_owned(), found.get(field).cloned().unwrap_or(Bson::Null))));
        let put = store.call(what, store.cursors.update_one(as_read, doc! { "$set": fields })).await?;
        Ok(put.matched_count == 1)
    }
}

impl crate::sink::ledger::Ledger for Ledger {
    fn place(&self) -> String {
        format!("collection `{}`", self.plan.namespace())
    }

    fn repeats(&self) -> &'static str {
        "a document that is there stays as it is, so that a changed answer does not replace it"
    }

    async fn read(&mut self, partitions: &BTreeSet<i32>) -> Result<BTreeMap<i32, Entry>> {
        let store = self.connect().await?;
        let mut entries = BTreeMap::new();
        for &partition in partitions {
            entries.insert(partition, self.entry(&store, partition).await?);
        }
        self.store = Some(store);
        Ok(entries)
    }

    async fn obstacle(&mut self, _partition: i32, _to: i64) -> Result<Option<String>> {
        Ok(None)
    }

    async fn reset(&mut self, partition: i32, from: &Entry, to: i64) -> Result<()> {
        let store = self.connect().await?;
        let done = self.put(&store, partition, to).await?;
        let place = store.cursors_name();
        self.store = Some(store);
        if done { Ok(()) } else { Err(moved(&place, partition, from.next)) }
    }
}
