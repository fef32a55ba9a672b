//! Documents that are known by a key of the user's: `write = "key"` and `write = "replace"`.
//!
//! What a document's [`mark`](crate::sink::mark) says decides.
//!
//! Invariants: of `"key"`, rows are sent in the order of the log, one after another, and a stored document never
//! changes: so the first row of a key in a partition stays, whoever writes it, and a row is refused only by a document
//! that says it is of another row. Of `"replace"`, a row takes effect only where the document's position of that very
//! partition is lower: what comes late, or again, changes nothing. A row that is there, or that a later one of its
//! partition replaced, is never bad.

use std::collections::HashMap;

use futures::stream::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};
use mongodb::error::ErrorKind;
use mongodb::options::ReadConcern;

use super::judge::{reason, reject_code};
use super::{Chunk, DUPLICATE_KEY, Store, error, within};
use crate::batch::Refused;
use crate::error::{Error, Result};
use crate::sink::Context;
use crate::sink::mark::{FIELD, partition_name, place, taken};

impl Store {
    /// `write = "key"`: answers which of the rows are bad.
    pub(super) async fn write_first(&self, context: &Context, chunk: &Chunk) -> Result<Vec<Refused>> {
        let (mut left, mut bad): (Vec<usize>, _) = ((0..chunk.rows.len()).collect(), Vec::new());
        while !left.is_empty() {
            let what = || format!("inserting {} rows into {}", left.len(), self.rows_name());
            let insert = self.rows.insert_many(left.iter().map(|&at| &chunk.documents[at])).ordered(true);
            let Err(error) = within(self.timeout, what, insert).await? else { break };
            let failure = match &*error.kind {
                ErrorKind::InsertMany(failures) if failures.write_concern_error.is_none() => {
                    failures.write_errors.iter().flatten().next()
                }
                _ => None,
            };
            let Some(failure) = failure else { return Err(error::of(what(), error)) };
            // those before it are there; those behind it were not tried
            left.drain(..failure.index);
            let failed = left[0];
            let Some(code) = reject_code(failure.code) else {
                let what = format!("inserting row {} into {}", chunk.position(context, failed), self.rows_name());
                return Err(error::of_write(what, failure.code, &failure.message));
            };
            // whatever it is refused for: it may be there since before the owner made that rule
            let there = self.marks(chunk, &left).await?;
            if !there.contains_key(chunk.ids[failed].as_str()) {
                bad.push(Refused { row: chunk.rows[failed], code, reason: reason(&failure.message, &failure.details) });
                left.remove(0);
            }
            left.retain(|&at| {
                let Some(mark) = there.get(chunk.ids[at].as_str()) else { return true };
                let ours = chunk.position(context, at);
                if mark.as_str() != Some(&*ours) {
                    bad.push(taken(chunk.rows[at], &chunk.ids[at], mark.as_str()));
                }
                false
            });
        }
        Ok(bad)
    }

    /// `write = "replace"`: answers which of the rows are bad.
    pub(super) async fn write_last(&self, context: &Context, chunk: &Chunk) -> Result<Vec<Refused>> {
        let (mut left, mut bad): (Vec<usize>, _) = ((0..chunk.rows.len()).collect(), Vec::new());
        let mut is_again = false;
        loop {
            let failures = self.replace(context, chunk, &left).await?;
            if failures.is_empty() {
                return Ok(bad);
            }
            // an upsert whose condition does not hold fails as one that was overtaken by another does
            let failed: Vec<_> = failures.iter().map(|failure| left[failure.index]).collect();
            let there = self.marks(chunk, &failed).await?;
            let mut again = Vec::new();
            for (failure, at) in failures.iter().zip(failed) {
                let (partition, offset, index) = chunk.positions[at];
                let Some(code) = reject_code(failure.code) else {
                    let what = format!("replacing row {} in {}", chunk.position(context, at), self.rows_name());
                    return Err(error::of_write(what, failure.code, &failure.message));
                };
                let mark = there.get(chunk.ids[at].as_str());
                let stands =
                    mark.and_then(Bson::as_document).and_then(|mark| mark.get(partition_name(context, partition)));
                if stands.and_then(Bson::as_str).is_some_and(|stands| stands >= place(offset, index).as_str()) {
                    continue;
                }
                // it lost the race to insert; one whose document was there when it was sent has lost none
                if failure.code == DUPLICATE_KEY && mark.is_some() && !is_again {
                    again.push(at);
                } else {
                    bad.push(Refused { row: chunk.rows[at], code, reason: reason(&failure.message, &None) });
                }
            }
            if again.is_empty() {
                return Ok(bad);
            }
            (left, is_again) = (again, true);
        }
    }

    async fn replace(&self, context: &Context, chunk: &Chunk, rows: &[usize]) -> Result<Vec<Failure>> {
        let updates: Vec<Document> = rows.iter().map(|&at| statement(context, chunk, at)).collect::<Result<_>>()?;
        let what = || format!("replacing {} rows in {}", rows.len(), self.rows_name());
        let namespace = self.rows.namespace();
        let database = self.rows.client().database(&namespace.db);
        let concern = doc! { "w": "majority", "j": true };
        let command = doc! { "update": namespace.coll, "updates": updates, "ordered": false, "writeConcern": concern };
        let answer = self.call(what, database.run_command(command)).await?;
        if let Some(concern) = answer.get("writeConcernError") {
            return Err(Error::retry(format!("{} failed: {concern}", what())));
        }
        let failures = answer.get_array("writeErrors").ok().into_iter().flatten();
        failures
            .map(|failure| Failure::read(failure).ok_or_else(|| Error::retry(format!("{}: {failure}", what()))))
            .collect()
    }

    /// What the documents of these rows' keys say of which row they are; of those that are there, at a majority.
    async fn marks(&self, chunk: &Chunk, rows: &[usize]) -> Result<HashMap<String, Bson>> {
        let ids: Vec<&str> = rows.iter().map(|&at| chunk.ids[at].as_str()).collect();
        let there = self.marks_of(&ids, ReadConcern::local()).await?;
        // what another worker has just written may be lost with its server, and is no reason yet to leave a row out
        if there.is_empty() || self.marks_of(&ids, ReadConcern::majority()).await? == there {
            return Ok(there);
        }
        Err(Error::retry(format!(
            "rows of {} are with some of its servers, and not with a majority yet",
            self.rows_name()
        )))
    }

    async fn marks_of(&self, ids: &[&str], concern: ReadConcern) -> Result<HashMap<String, Bson>> {
        let what = || format!("looking for {} rows in {}", ids.len(), self.rows_name());
        let documents = self.rows.clone_with_type::<Document>();
        let find = documents.find(doc! { "_id": { "$in": ids } }).projection(doc! { FIELD: 1 }).read_concern(concern);
        let found: Vec<Document> = self.call(what, async { find.await?.try_collect().await }).await?;
        let mark = |mut document: Document| {
            let mark = document.remove(FIELD).unwrap_or(Bson::Null);
            Some((document.get_str("_id").ok()?.to_owned(), mark))
        };
        Ok(found.into_iter().filter_map(mark).collect())
    }
}

/// One of a command's statements that failed.
struct Failure {
    index: usize,
    code: i32,
    message: String,
}

impl Failure {
    fn read(failure: &Bson) -> Option<Failure> {
        let failure = failure.as_document()?;
        let index = usize::try_from(failure.get_i32("index").ok()?).ok()?;
        let message = failure.get_str("errmsg").unwrap_or_default().to_owned();
        Some(Failure { index, code: failure.get_i32("code").ok()?, message })
    }
}

/// Replaces the document, but for what it says of other partitions, where this partition's row in it is an older one.
fn statement(context: &Context, chunk: &Chunk, at: usize) -> Result<Document> {
    let (partition, offset, index) = chunk.positions[at];
    let (name, place) = (partition_name(context, partition), place(offset, index));
    let field = format!("{FIELD}.{name}");
    let document = Document::try_from(&*chunk.documents[at]);
    let document = document.map_err(|cause| Error::stop("a row as a document").caused_by(cause))?;
    // literals: a text may begin with a dollar
    let there = format!("${FIELD}");
    // of a document that is none of these, or that was written by `"key"`, it may be anything
    let is_ours = doc! { "$eq": [{ "$type": &there }, "object"] };
    let there = doc! { "$cond": [is_ours, there, {}] };
    let marks = doc! { "$mergeObjects": [there, { name: { "$literal": &place } }] };
    let whole = doc! { "$mergeObjects": [{ "$literal": document }, { FIELD: marks }] };
    let is_older = doc! { "$or": [{ &field: { "$exists": false } }, { &field: { "$lt": &place } }] };
    let filter = doc! { "_id": &chunk.ids[at], "$and": [is_older] };
    Ok(doc! { "q": filter, "u": [{ "$replaceWith": whole }], "upsert": true })
}
