//! A collection of an embedded folder.

use std::path::PathBuf;

use millrace_embedded::Folder;

use super::super::rows::Row;
use super::super::{fresh_folder, impossible_folder};
use super::{Context, Medium, Unreachable, context};
use crate::error::Result;
use crate::sink::embedded::Writer;

const COLLECTION: &str = "database.collection";

pub struct Documents {
    context: Context,
    folder: PathBuf,
}

impl Medium for Documents {
    type Writer = Writer;

    async fn fresh() -> Documents {
        Documents { context: context(), folder: fresh_folder() }
    }

    fn context(&self) -> &Context {
        &self.context
    }

    fn writer(&self, context: Context) -> Result<Writer> {
        Ok(Writer::new(context, self.folder.clone(), COLLECTION.into()))
    }

    async fn published(&self) -> Vec<Row> {
        let documents = Folder::open(&self.folder).unwrap().documents(COLLECTION).unwrap();
        documents.iter().map(|(_, json)| serde_json::from_str(json).unwrap()).collect()
    }

    fn unreachable() -> Vec<Unreachable<Writer>> {
        let folder = impossible_folder();
        let address = folder.display().to_string();
        vec![Unreachable { writer: Writer::new(context(), folder, COLLECTION.into()), address, _by: Box::new(()) }]
    }
}
