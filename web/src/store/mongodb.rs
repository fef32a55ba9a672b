//! Stored predictions, looked up by `UUID` in MongoDB and shown as JSON.
//!
//! A date of BSON at midnight in UTC is a day, `YYYY-MM-DD`: so no time zone moves it. Invariant: a call that takes
//! longer than its timeout is an error.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use mongodb::bson::{Bson, Document, doc};
use mongodb::error::ErrorKind;
use mongodb::options::{ClientOptions, CollectionOptions, ReadConcern};
use mongodb::{Client, Collection, IndexModel};
use serde_json::{Map, Value, json};
use tokio::time::{sleep, timeout};

use crate::error::{Error, Result};

const SERVER_SELECTION_TIMEOUT: Duration = Duration::from_secs(2);
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(4);
const INDEX_PAUSE_MIN: Duration = Duration::from_millis(500);
const INDEX_PAUSE_MAX: Duration = Duration::from_secs(10);
const DAY_MS: i64 = 86_400_000;

#[derive(Clone)]
pub struct Mongodb {
    documents: Collection<Document>,
}

impl Mongodb {
    /// Waits for no server.
    pub async fn new(uri: &str, database: &str, collection: &str) -> Result<Mongodb> {
        let failed = |cause| Error::new("the address of MongoDB").caused_by(cause);
        let mut options = ClientOptions::parse(uri).await.map_err(failed)?;
        options.app_name.get_or_insert_with(|| "millrace-web".into());
        options.server_selection_timeout.get_or_insert(SERVER_SELECTION_TIMEOUT);
        options.connect_timeout.get_or_insert(SERVER_SELECTION_TIMEOUT);
        let client = Client::with_options(options).map_err(failed)?;
        // what a failover could take back is not shown
        let durable = CollectionOptions::builder().read_concern(ReadConcern::majority()).build();
        Ok(Mongodb { documents: client.database(database).collection_with_options(collection, durable) })
    }

    /// The stored prediction of a flight.
    pub async fn find(&self, id: &str) -> Result<Option<Value>> {
        let failed = || Error::new(format!("collection `{}`", self.documents.name()));
        match timeout(LOOK_UP_TIMEOUT, self.documents.find_one(doc! { "UUID": id })).await {
            Ok(Ok(found)) => Ok(found.map(object)),
            Ok(Err(cause)) => Err(failed().caused_by(cause)),
            Err(late) => Err(failed().caused_by(late)),
        }
    }

    /// Makes the index that [`Mongodb::find`] needs; waits for MongoDB as long as that takes.
    pub async fn ensure_index(&self) {
        let mut pause = INDEX_PAUSE_MIN;
        loop {
            let index = IndexModel::builder().keys(doc! { "UUID": 1 }).build();
            match self.documents.create_index(index).await {
                Ok(_) => {
                    tracing::info!(collection = %self.documents.namespace(), "MongoDB is there, with an index on UUID");
                    return;
                }
                // the server's own word, such as a right that is missing: it will not change by itself
                Err(cause) if matches!(*cause.kind, ErrorKind::Command(_)) => {
                    tracing::warn!(%cause, "no index on UUID: looking a prediction up reads the whole collection");
                    return;
                }
                Err(cause) if pause == INDEX_PAUSE_MIN => {
                    tracing::warn!(%cause, "MongoDB is not there yet; trying again and again");
                }
                Err(cause) => tracing::debug!(%cause, "MongoDB is not there yet"),
            }
            sleep(pause).await;
            pause = (pause * 2).min(INDEX_PAUSE_MAX);
        }
    }
}

fn object(document: Document) -> Value {
    Value::Object(document.into_iter().map(|(name, value)| (name, shown(value))).collect::<Map<_, _>>())
}

fn shown(value: Bson) -> Value {
    match value {
        Bson::String(text) => text.into(),
        Bson::Boolean(truth) => truth.into(),
        Bson::Int32(number) => number.into(),
        Bson::Int64(number) => number.into(),
        // what JSON has no number for is null
        Bson::Double(number) => json!(number),
        Bson::Null | Bson::Undefined => Value::Null,
        Bson::DateTime(time) => date(time.timestamp_millis()).into(),
        Bson::ObjectId(id) => id.to_hex().into(),
        Bson::Binary(binary) => STANDARD.encode(binary.bytes).into(),
        Bson::Array(items) => items.into_iter().map(shown).collect(),
        Bson::Document(document) => object(document),
        other => other.to_string().into(),
    }
}

fn date(ms: i64) -> Option<String> {
    let time = DateTime::<Utc>::from_timestamp_millis(ms)?;
    let is_day = ms.rem_euclid(DAY_MS) == 0;
    Some(if is_day { time.format("%F").to_string() } else { time.to_rfc3339_opts(SecondsFormat::Millis, true) })
}

#[cfg(test)]
mod tests {
    use mongodb::bson::oid::ObjectId;
    use mongodb::bson::spec::BinarySubtype;
    use mongodb::bson::{Binary, DateTime as BsonDate};

    use super::*;

    #[test]
    fn a_document_is_shown_as_json() {
        let day = BsonDate::parse_rfc3339_str("2013-12-24T00:00:00Z").expect("a date");
        let shown = object(doc! {
            "_id": "flight-delay/AAAA/0/7", "FlightDate": day, "Stored": BsonDate::from_millis(-1),
            "Prediction": 2_i64, "DepDelay": 14.5, "Missing": Bson::Null, "Odd": f64::NAN, "SeasonKnown": false,
            "Probability": [0.25, 0.75], "Raw": Binary { subtype: BinarySubtype::Generic, bytes: vec![255] },
        });
        let expected = json!({
            "_id": "flight-delay/AAAA/0/7", "FlightDate": "2013-12-24", "Stored": "1969-12-31T23:59:59.999Z",
            "Prediction": 2, "DepDelay": 14.5, "Missing": null, "Odd": null, "SeasonKnown": false,
            "Probability": [0.25, 0.75], "Raw": "/w==",
        });
        assert_eq!(shown, expected);
    }

    #[test]
    fn an_object_id_is_text() {
        let id = ObjectId::from_bytes([1; 12]);
        assert_eq!(object(doc! { "_id": id })["_id"], json!("010101010101010101010101"));
    }
}
