//! Every reject of one pipeline in a collection, one after another; nothing is written.

use futures::stream::TryStreamExt;
use mongodb::Cursor;
use mongodb::bson::{Bson, Document, doc};
use serde_json::Value;

use super::Store;
use crate::error::{Error, Result};
use crate::json::time::format_millis;
use crate::plan::MongodbPlan;
use crate::sink::Context;

/// That are in memory together; one may have 16 MB.
const DOCUMENTS_MAX: u32 = 100;

pub struct Scan {
    store: Store,
    cursor: Cursor<Document>,
}

impl Scan {
    pub async fn open(context: &Context, plan: &MongodbPlan) -> Result<Scan> {
        let store = Store::connect(context, plan).await?;
        let (from, below) = context.rejects_range();
        let rows = store.rows.clone_with_type::<Document>();
        let find = rows.find(doc! { "_id": { "$gte": from, "$lt": below } }).sort(doc! { "_id": 1 });
        let what = || format!("looking for rejects in {}", store.rows_name());
        let cursor = store.call(what, find.batch_size(DOCUMENTS_MAX)).await?;
        Ok(Scan { store, cursor })
    }

    pub async fn read(&mut self) -> Result<Option<Value>> {
        let (store, cursor) = (&self.store, &mut self.cursor);
        let what = || format!("reading rejects from {}", store.rows_name());
        store.call(what, cursor.try_next()).await?.map(json).transpose()
    }
}

/// As rejects are elsewhere: times are text.
fn json(document: Document) -> Result<Value> {
    let value = |bson: Bson| match bson {
        Bson::DateTime(time) => Ok(format_millis(time.timestamp_millis()).into()),
        bson => serde_json::to_value(bson),
    };
    let fields = document.into_iter().map(|(name, bson)| Ok((name, value(bson)?)));
    let fields = fields.collect::<Result<_, serde_json::Error>>();
    fields.map(Value::Object).map_err(|cause| Error::stop("a document as JSON").caused_by(cause))
}
