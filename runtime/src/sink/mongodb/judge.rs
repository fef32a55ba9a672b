//! What became of the rows that MongoDB did not insert: they are there already, they are bad, or the server could not.
//!
//! Invariant: a row is bad only by a code that is about its document, and only if it is not there under its own `_id`;
//! whatever else went wrong is an error, and the batch is written again.

use std::collections::HashSet;

use futures::stream::TryStreamExt;
use mongodb::bson::{Document, doc};
use mongodb::error::IndexedWriteError;

use super::{Chunk, DUPLICATE_KEY, Store, error};
use crate::batch::Refused;
use crate::error::Result;
use crate::words;

pub const TOO_LARGE: &str = "document_too_large";
const REASON_BYTES_MAX: usize = 1_000;

/// The reject code of a row that the server refuses with this code of its own; None: it says nothing of the row.
pub(super) fn reject_code(code: i32) -> Option<&'static str> {
    Some(match code {
        // DocumentValidationFailure
        121 => "document_refused",
        // DuplicateKey; of an index that is not `_id`'s, if the row is not there
        DUPLICATE_KEY => "duplicate_key",
        // BSONObjectTooLarge, KeyTooLong, and a document that would be too large
        10_334 | 17_280 | 17_419 => TOO_LARGE,
        // BadValue, a field's name that is empty or has dollars or dots, what is no DBRef, and what an index (of several
        // lists, of places on earth or on a plane, of texts, of hashes) cannot take
        2
        | 52
        | 55
        | 56
        | 57
        | 171
        | 13_022..=13_027
        | 13_067
        | 13_068
        | 16_755
        | 16_756
        | 16_766
        | 17_261
        | 17_262 => "bad_field",
        _ => return None,
    })
}

impl Store {
    /// The rows of a chunk that are bad, of those that failed.
    pub(super) async fn judge(&self, failures: &[IndexedWriteError], chunk: &Chunk) -> Result<Vec<Refused>> {
        let mut suspects = Vec::with_capacity(failures.len());
        for failure in failures {
            match reject_code(failure.code) {
                Some(code) => suspects.push((failure, code)),
                None => {
                    let what = format!("inserting row {} into {}", chunk.ids[failure.index], self.rows_name());
                    return Err(error::of_write(what, failure.code, &failure.message));
                }
            }
        }
        let ids: Vec<&str> = suspects.iter().map(|(failure, _)| chunk.ids[failure.index].as_str()).collect();
        let there = self.ids_among(&ids).await?;
        let bad = suspects.into_iter().filter(|(failure, _)| !there.contains(&chunk.ids[failure.index]));
        let refused = |(failure, code): (&IndexedWriteError, _)| Refused {
            row: chunk.rows[failure.index],
            code,
            reason: reason(&failure.message, &failure.details),
        };
        Ok(bad.map(refused).collect())
    }

    async fn ids_among(&self, ids: &[&str]) -> Result<HashSet<String>> {
        if ids.is_empty() {
            return Ok(HashSet::new());
        }
        let what = || format!("looking for {} rows in {}", ids.len(), self.rows_name());
        let rows = self.rows.clone_with_type::<Document>();
        let find = rows.find(doc! { "_id": { "$in": ids } }).projection(doc! { "_id": 1 });
        let found: Vec<Document> = self.call(what, async { find.await?.try_collect().await }).await?;
        Ok(found.iter().filter_map(|row| row.get_str("_id").ok().map(str::to_owned)).collect())
    }
}

pub(super) fn reason(message: &str, details: &Option<Document>) -> String {
    let details = details.as_ref().map(|details| format!(" {details}")).unwrap_or_default();
    words::sentence(&format!("MongoDB says: {message}{details}"), REASON_BYTES_MAX)
}
