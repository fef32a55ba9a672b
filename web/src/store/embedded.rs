//! Documents of an embedded folder.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use millrace_embedded::Folder;
use serde_json::Value;
use tokio::task::spawn_blocking;

use crate::error::{Error, Result};

const ID: &str = "UUID";

#[derive(Clone)]
pub struct Embedded {
    folder: Arc<Mutex<Folder>>,
    collection: String,
}

impl Embedded {
    pub fn new(folder: &Path, database: &str, collection: &str) -> Result<Embedded> {
        let collection = format!("{database}.{collection}");
        let failed = |cause| Error::new(format!("collection `{collection}`")).caused_by(cause);
        let folder = Folder::open(folder).map_err(failed)?;
        folder.index_documents(ID).map_err(failed)?;
        Ok(Embedded { folder: Arc::new(Mutex::new(folder)), collection })
    }

    pub async fn find(&self, id: &str) -> Result<Option<Value>> {
        let (store, id) = (self.clone(), id.to_owned());
        let failed = |collection: &str| Error::new(format!("collection `{collection}`"));
        let found = spawn_blocking(move || {
            let folder = store.folder.lock().unwrap_or_else(PoisonError::into_inner);
            folder.find_document(&store.collection, ID, &id)
        });
        let found = found.await.map_err(|cause| failed(&self.collection).caused_by(cause))?;
        let found = found.map_err(|cause| failed(&self.collection).caused_by(cause))?;
        let parsed = found.map(|text| serde_json::from_str(&text)).transpose();
        parsed.map_err(|cause| failed(&self.collection).caused_by(cause))
    }
}
