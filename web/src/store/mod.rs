//! Stored predictions, looked up by `UUID` and shown as JSON.

mod embedded;
mod mongodb;

use serde_json::Value;

use self::embedded::Embedded;
use self::mongodb::Mongodb;
use crate::error::Result;
use crate::settings::Settings;

#[derive(Clone)]
pub enum Store {
    Mongodb(Mongodb),
    Embedded(Embedded),
}

impl Store {
    /// Waits for no server.
    pub async fn new(settings: &Settings) -> Result<Store> {
        let Settings { database, collection, .. } = settings;
        Ok(match &settings.embedded {
            None => Store::Mongodb(Mongodb::new(&settings.mongodb_uri()?, database, collection).await?),
            Some(folder) => Store::Embedded(Embedded::new(folder, database, collection)?),
        })
    }

    /// The stored prediction of a flight.
    pub async fn find(&self, id: &str) -> Result<Option<Value>> {
        match self {
            Store::Mongodb(store) => store.find(id).await,
            Store::Embedded(store) => store.find(id).await,
        }
    }

    /// Makes the index that [`Store::find`] needs; waits for the server as long as that takes.
    pub async fn ensure_index(&self) {
        match self {
            Store::Mongodb(store) => store.ensure_index().await,
            Store::Embedded(_) => {}
        }
    }
}
