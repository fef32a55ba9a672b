//! A collection of a MongoDB server, however rows become documents.

use std::marker::PhantomData;

use futures::TryStreamExt;
use mongodb::bson::{Document, doc};
use mongodb::options::IndexOptions;
use mongodb::{Client, Collection, IndexModel};

use super::super::logs::kafka::Kafka;
use super::super::rows::{Row, batch_of, span};
use super::super::{Nobody, SHORT, setting};
use super::keyed::{Insert, SharedKey, SharedReplace, Write};
use super::refusals::Refusing;
use super::rejects::{InTopic, Rejects};
use super::{Context, Medium, Unreachable, context, published, starts, starts_at};
use crate::error::Result;
use crate::plan::MongodbPlan;
use crate::sink::Writer as _;
use crate::sink::ledger::Ledger;
use crate::sink::mongodb::{Ledger as Cursors, Writer};
use crate::sink::refusals::{Nowhere, Refusals};

pub const DATABASE: &str = "millrace_contract";
const BAD: &str = "bad";

pub struct Database<W> {
    context: Context,
    write: PhantomData<W>,
}

fn plan<W: Write>(context: &Context, uri: String) -> MongodbPlan {
    MongodbPlan { uri, database: DATABASE.into(), collection: context.pipeline.to_string(), write: W::write() }
}

impl<W> Database<W> {
    /// The same collection, once the pipeline's file says another way.
    pub fn changed_to<V>(self) -> Database<V> {
        Database { context: self.context, write: PhantomData }
    }

    async fn collection(&self) -> Collection<Document> {
        let client = Client::with_uri_str(setting("MONGODB_URI")).await.unwrap();
        client.database(DATABASE).collection(&self.context.pipeline)
    }
}

impl<W: Write> Medium for Database<W> {
    type Writer = Writer;

    /// A document may have 16 MiB.
    const TEXT_BYTES_REFUSED: Option<usize> = Some(17 << 20);

    async fn fresh() -> Database<W> {
        Database { context: context(), write: PhantomData }
    }

    fn context(&self) -> &Context {
        &self.context
    }

    fn writer(&self, context: Context) -> Result<Writer> {
        self.refusing(context, Box::new(Nowhere))
    }

    async fn published(&self) -> Vec<Row> {
        let documents: Vec<Document> =
            self.collection().await.find(doc! {}).await.unwrap().try_collect().await.unwrap();
        let row = |document: Document| Row {
            partition: document.get_i64("partition").unwrap() as i32,
            offset: document.get_i64("offset").unwrap(),
            index: document.get_i64("index").unwrap() as u32,
            text: document.get_str("text").unwrap().to_owned(),
        };
        documents.into_iter().map(row).collect()
    }

    fn unreachable() -> Vec<Unreachable<Writer>> {
        let gone = |by: Nobody| {
            let context = Context { timeout: SHORT, ..context() };
            let plan = plan::<W>(&context, format!("mongodb://{}", by.address));
            let writer = Writer::new(context, &plan, Box::new(Nowhere)).unwrap();
            Unreachable { writer, address: by.address.clone(), _by: Box::new(by) }
        };
        Nobody::each().into_iter().map(gone).collect()
    }
}

impl<W: Write> Refusing for Database<W> {
    const CODE: &str = "document_refused";

    /// The collection's owner has a rule.
    async fn ruled() -> Database<W> {
        let ruled = Database::<W>::fresh().await;
        let database = Client::with_uri_str(setting("MONGODB_URI")).await.unwrap().database(DATABASE);
        let rule = doc! { "text": { "$ne": BAD } };
        database.create_collection(&*ruled.context.pipeline).validator(rule).await.unwrap();
        ruled
    }

    fn refusing(&self, context: Context, refusals: Box<dyn Refusals>) -> Result<Writer> {
        Writer::new(context, &plan::<W>(&self.context, setting("MONGODB_URI")), refusals)
    }

    fn bad() -> String {
        BAD.into()
    }

    fn ledger(&self, context: Context) -> impl Ledger {
        Cursors::new(context, &plan::<W>(&self.context, setting("MONGODB_URI")))
    }
}

/// A document that is too large, one that a validator refuses, and one that is there twice by the owner's own index: each
/// is found alone, whatever else is in its batch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_bad_row_is_found_alone_with_its_code() {
    let medium = Database::<Insert>::ruled().await;
    let options = IndexOptions::builder().unique(true).build();
    let index = IndexModel::builder().keys(doc! { "text": 1 }).options(options).build();
    medium.collection().await.create_index(index).await.unwrap();
    let rejects = InTopic::<Kafka>::fresh().await;
    let row = |offset: i64, text: String| Row { partition: 0, offset, index: 0, text };
    let mut all: Vec<_> = (0..1000).map(|offset| row(offset, format!("{offset}"))).collect();
    all[10].text = BAD.into();
    all[500].text = "499".into();
    all[501].text = "x".repeat(17 << 20);
    let (context, refusals) = rejects.refusals(medium.context());
    let mut writer = medium.refusing(context, refusals).unwrap();
    writer.open(&starts(0)).await.unwrap();
    writer.write(batch_of(vec![span(0, 0..1000)], &all)).await.unwrap();
    assert_eq!((writer.written().rows, writer.durable()[&0]), (997, 1000));
    let said = rejects.records().await;
    let said: Vec<_> = said.iter().map(|it| (it["offset"].as_i64().unwrap(), it["code"].as_str().unwrap())).collect();
    // which of two of one value is refused is the server's choice
    let twice = if said.contains(&(499, "duplicate_key")) { 499 } else { 500 };
    assert_eq!(said, [(10, "document_refused"), (twice, "duplicate_key"), (501, "document_too_large")]);
    all.retain(|row| ![10, twice, 501].contains(&row.offset));
    assert!(published(&medium, 0).await == all);
}

/// A row whose document is there, and which another unique index of the owner's cannot take, is bad: it is not sent for
/// ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_replaces_and_breaks_an_index_is_refused() {
    let medium = Database::<SharedReplace>::fresh().await;
    let options = IndexOptions::builder().unique(true).build();
    let index = IndexModel::builder().keys(doc! { "offset": 1 }).options(options).build();
    medium.collection().await.create_index(index).await.unwrap();
    let rejects = InTopic::<Kafka>::fresh().await;
    let (context, refusals) = rejects.refusals(medium.context());
    let mut writer = medium.refusing(context, refusals).unwrap();
    writer.open(&starts_at([(0, 0), (1, 0)])).await.unwrap();
    let row = |partition, offset, key: &str| Row { partition, offset, index: 0, text: key.to_owned() };
    let first = [row(0, 0, "a"), row(0, 1, "b")];
    writer.write(batch_of(vec![span(0, 0..2)], &first)).await.unwrap();
    let taken = writer.write(batch_of(vec![span(1, 0..1)], &[row(1, 0, "b")])).await.unwrap();
    assert_eq!(taken.iter().map(|reject| &*reject.code).collect::<Vec<_>>(), ["duplicate_key"]);
    assert_eq!((writer.durable()[&1], published(&medium, 0).await), (1, first.to_vec()));
    assert_eq!(published(&medium, 1).await, []);
}

/// The owner makes a rule after rows were stored that it would refuse, and they come again: they are there, and no rejects.
async fn what_is_there_is_not_refused_when_it_comes_again<W: Write>() {
    let medium = Database::<W>::fresh().await;
    let batch = || {
        let row = |offset, key: &str| Row { partition: 0, offset, index: 0, text: key.to_owned() };
        batch_of(vec![span(0, 0..2)], &[row(0, BAD), row(1, "b")])
    };
    let rejects = InTopic::<Kafka>::fresh().await;
    let (context, refusals) = rejects.refusals(medium.context());
    let mut writer = medium.refusing(context.clone(), refusals).unwrap();
    writer.open(&starts(0)).await.unwrap();
    writer.write(batch()).await.unwrap();
    let before = published(&medium, 0).await;
    let database = Client::with_uri_str(setting("MONGODB_URI")).await.unwrap().database(DATABASE);
    let rule = doc! { "collMod": &*medium.context.pipeline, "validator": { "text": { "$ne": BAD } } };
    database.run_command(rule).await.unwrap();
    let mut ledger = medium.ledger(context);
    let stands = ledger.read(&[0].into()).await.unwrap().remove(&0).unwrap();
    ledger.reset(0, &stands, 0).await.unwrap();
    let (context, refusals) = rejects.refusals(medium.context());
    let mut writer = medium.refusing(context, refusals).unwrap();
    assert_eq!(writer.open(&starts(0)).await.unwrap()[&0], 0);
    assert_eq!(writer.write(batch()).await.unwrap(), []);
    assert_eq!(published(&medium, 0).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_there_by_its_key_is_not_refused_when_it_comes_again() {
    what_is_there_is_not_refused_when_it_comes_again::<SharedKey>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_replaced_is_not_refused_when_it_comes_again() {
    what_is_there_is_not_refused_when_it_comes_again::<SharedReplace>().await;
}
