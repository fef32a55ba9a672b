//! The documents of one message, by the position that their `_id` is; nothing is written.

use futures::stream::TryStreamExt;
use mongodb::bson::{Document, doc};

use super::{Store, cursor_id};
use crate::error::{Error, Result};
use crate::plan::{DocumentWrite, MongodbPlan};
use crate::sink::{Context, FOUND_ROWS_MAX, Found, FoundRow, mark};

pub async fn find(context: &Context, plan: &MongodbPlan, (partition, offset): (i32, i64)) -> Result<Found> {
    let store = Store::connect(context, plan).await?;
    let stands_at = match store.cursor(&cursor_id(context, partition)).await? {
        Some(cursor) => Some(store.checked(context, &cursor)?.next),
        None => None,
    };
    let id = context.row_id(partition, offset, 0);
    // the ids of a message are this one, and this one with `/` and an index; '0' is the character after '/'
    let texts = doc! { "$gte": &id, "$lt": format!("{id}0") };
    let range = match &plan.write {
        DocumentWrite::Insert => doc! { "_id": texts },
        DocumentWrite::Key(_) => doc! { mark::FIELD: texts },
        DocumentWrite::Replace(_) => {
            let field = format!("{}.{}", mark::FIELD, mark::partition_name(context, partition));
            doc! { field: { "$gte": mark::place(offset, 0), "$lte": mark::place(offset, u32::MAX) } }
        }
    };
    let rows = store.rows.clone_with_type::<Document>();
    let what = || format!("looking for row {id} in {} at {}", rows.namespace(), store.address);
    let limit = FOUND_ROWS_MAX as i64;
    let find = rows.find(range).sort(doc! { "_id": 1 }).limit(limit);
    let found: Vec<Document> = store.call(what, async { find.await?.try_collect().await }).await?;
    let rows = found.into_iter().map(|document| {
        let place = format!("_id {}", document.get_str("_id").unwrap_or_default());
        let row = serde_json::to_value(document).map_err(|cause| Error::stop("a document as JSON").caused_by(cause))?;
        Ok(FoundRow { place, row })
    });
    Ok(Found { stands_at, rows: rows.collect::<Result<_>>()?, file: None })
}
