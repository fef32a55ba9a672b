//! Documents that are known by a key, as on MongoDB; here the transaction that the position moves in decides alone.

use millrace_embedded::{Folder, Transaction};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::embedded::error;
use crate::error::{Error, Result};
use crate::plan::{DocumentWrite, MongodbPlan};
use crate::sink::mark::{FIELD, partition_name, place};
use crate::sink::{Context, FOUND_ROWS_MAX};

/// A row on its way into a collection.
pub struct Row<'a> {
    pub context: &'a Context,
    pub collection: &'a str,
    pub id: &'a str,
    /// Partition, offset and index.
    pub position: (i32, i64, u32),
    /// Without its mark.
    pub json: &'a mut Vec<u8>,
}

pub enum Put {
    /// Or another row that comes after it is.
    There,
    /// The document is another row's, if any row's.
    Taken(Option<String>),
}

pub fn put(transaction: &mut Transaction<'_>, write: &DocumentWrite, row: Row<'_>) -> Result<Put> {
    let Row { context, collection, id, position: (partition, offset, index), json } = row;
    match write {
        DocumentWrite::Insert => transaction.insert_document(collection, id, text(json)?),
        DocumentWrite::Key(_) => {
            let ours = context.row_id(partition, offset, index);
            if let Some(there) = transaction.document(collection, id).map_err(error)? {
                let mark = mark(&there, id)?.as_str().map(str::to_owned);
                return Ok(if mark.as_ref() == Some(&ours) { Put::There } else { Put::Taken(mark) });
            }
            add(json, &Value::String(ours));
            transaction.insert_document(collection, id, text(json)?)
        }
        DocumentWrite::Replace(_) => {
            let there = transaction.document(collection, id).map_err(error)?;
            let mut marks = match there.map(|there| mark(&there, id)).transpose()? {
                Some(Value::Object(marks)) => marks,
                _ => Map::new(),
            };
            let (name, place) = (partition_name(context, partition), place(offset, index));
            if marks.get(&name).and_then(Value::as_str).is_some_and(|stands| stands >= place.as_str()) {
                return Ok(Put::There);
            }
            marks.insert(name, place.into());
            add(json, &Value::Object(marks));
            transaction.replace_document(collection, id, text(json)?)
        }
    }
    .map_err(error)?;
    Ok(Put::There)
}

/// Is any row of the partition there?
pub fn holds_rows(folder: &Folder, context: &Context, plan: &MongodbPlan, partition: i32) -> Result<bool> {
    let (collection, prefix) = (plan.namespace(), context.rows_prefix(partition));
    let text = match plan.write {
        DocumentWrite::Insert => return folder.has_document_with_prefix(&collection, &prefix).map_err(error),
        DocumentWrite::Key(_) => format!("\"{FIELD}\":\"{prefix}"),
        DocumentWrite::Replace(_) => format!("\"{}\":\"", partition_name(context, partition)),
    };
    Ok(!folder.documents_with(&collection, &text, 1).map_err(error)?.is_empty())
}

/// Documents of one message's rows, with their ids; of replaced ones, those that no later row took.
pub fn of_message(
    folder: &Folder,
    context: &Context,
    plan: &MongodbPlan,
    (partition, offset): (i32, i64),
) -> Result<Vec<(String, String)>> {
    let (collection, id) = (plan.namespace(), context.row_id(partition, offset, 0));
    let found = match plan.write {
        // the ids of a message are this one, and this one with `/` and an index; '0' is the character after '/'
        DocumentWrite::Insert => folder.documents_between(&collection, &id, &format!("{id}0"), FOUND_ROWS_MAX),
        DocumentWrite::Key(_) => {
            let text =
                |end: &str| folder.documents_with(&collection, &format!("\"{FIELD}\":\"{id}{end}"), FOUND_ROWS_MAX);
            text("\"").and_then(|first| Ok([first, text("/")?].concat()))
        }
        DocumentWrite::Replace(_) => {
            let (name, place) = (partition_name(context, partition), place(offset, 0));
            let of_offset = place.split('/').next().unwrap_or_default();
            folder.documents_with(&collection, &format!("\"{name}\":\"{of_offset}/"), FOUND_ROWS_MAX)
        }
    };
    found.map_err(error)
}

fn text(json: &[u8]) -> Result<&str> {
    std::str::from_utf8(json).map_err(|cause| Error::stop("a row as JSON").caused_by(cause))
}

/// As the object's last field.
fn add(json: &mut Vec<u8>, mark: &Value) {
    json.pop();
    if json.len() > 1 {
        json.push(b',');
    }
    json.extend_from_slice(format!("\"{FIELD}\":{mark}}}").as_bytes());
}

fn mark(json: &str, id: &str) -> Result<Value> {
    #[derive(Deserialize)]
    struct Marked {
        #[serde(default, rename = "_millrace")]
        mark: Value,
    }
    let marked: Result<Marked, _> = serde_json::from_str(json);
    marked.map(|marked| marked.mark).map_err(|cause| Error::stop(format!("document {id}")).caused_by(cause))
}
