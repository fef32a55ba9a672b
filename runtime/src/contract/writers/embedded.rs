//! A collection of an embedded folder, however rows become documents.

use std::marker::PhantomData;
use std::path::PathBuf;

use millrace_embedded::Folder;

use super::super::rows::Row;
use super::super::{fresh_folder, impossible_folder};
use super::keyed::Write;
use super::refusals::Refusing;
use super::{Context, Medium, Unreachable, context};
use crate::error::Result;
use crate::plan::MongodbPlan;
use crate::sink::embedded::{self, Writer};
use crate::sink::ledger::Ledger;
use crate::sink::refusals::{Nowhere, Refusals};

fn plan<W: Write>() -> MongodbPlan {
    MongodbPlan { uri: "nobody".into(), database: "database".into(), collection: "rows".into(), write: W::write() }
}

pub struct Documents<W> {
    context: Context,
    folder: PathBuf,
    write: PhantomData<W>,
}

impl<W> Documents<W> {
    /// The same collection, once the pipeline's file says another way.
    pub fn changed_to<V>(self) -> Documents<V> {
        Documents { context: self.context, folder: self.folder, write: PhantomData }
    }
}

/// Of those that are refused here: each is written again and again. How large one may be is the suite's of all media.
const DOCUMENT_BYTES_MAX: usize = 1 << 20;

impl<W: Write> Medium for Documents<W> {
    type Writer = Writer;

    /// As on MongoDB.
    const TEXT_BYTES_REFUSED: Option<usize> = Some(17 << 20);

    async fn fresh() -> Documents<W> {
        Documents { context: context(), folder: fresh_folder(), write: PhantomData }
    }

    fn context(&self) -> &Context {
        &self.context
    }

    fn writer(&self, context: Context) -> Result<Writer> {
        Ok(Writer::new(context, self.folder.clone(), &plan::<W>(), Box::new(Nowhere)))
    }

    async fn published(&self) -> Vec<Row> {
        let documents = Folder::open(&self.folder).unwrap().documents(&plan::<W>().namespace()).unwrap();
        documents.iter().map(|(_, json)| serde_json::from_str(json).unwrap()).collect()
    }

    fn unreachable() -> Vec<Unreachable<Writer>> {
        let folder = impossible_folder();
        let address = folder.display().to_string();
        let writer = Writer::new(context(), folder, &plan::<W>(), Box::new(Nowhere));
        vec![Unreachable { writer, address, _by: Box::new(()) }]
    }
}

impl<W: Write> Refusing for Documents<W> {
    const CODE: &str = "document_too_large";

    async fn ruled() -> Documents<W> {
        Documents::fresh().await
    }

    fn refusing(&self, context: Context, refusals: Box<dyn Refusals>) -> Result<Writer> {
        let (folder, plan) = (self.folder.clone(), plan::<W>());
        Ok(Writer::of_documents_up_to(DOCUMENT_BYTES_MAX, context, folder, &plan, refusals))
    }

    fn bad() -> String {
        "x".repeat(DOCUMENT_BYTES_MAX)
    }

    fn ledger(&self, context: Context) -> impl Ledger {
        embedded::Ledger::new(context, &self.folder, &plan::<W>()).unwrap()
    }
}
