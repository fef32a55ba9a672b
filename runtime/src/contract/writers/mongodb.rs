//! A collection of a MongoDB server.

use futures::TryStreamExt;
use mongodb::bson::{Document, doc};
use mongodb::options::IndexOptions;
use mongodb::{Client, Collection, IndexModel};

use super::super::rows::{Row, batch};
use super::super::{Nobody, SHORT, setting};
use super::{Context, Medium, Unreachable, context, open};
use crate::error::{Kind, Result};
use crate::plan::MongodbPlan;
use crate::sink::Writer as _;
use crate::sink::mongodb::Writer;

const DATABASE: &str = "millrace_contract";

pub struct Database {
    context: Context,
}

fn plan(context: &Context, uri: String) -> MongodbPlan {
    MongodbPlan { uri, database: DATABASE.into(), collection: context.pipeline.to_string() }
}

impl Database {
    async fn collection(&self) -> Collection<Document> {
        let client = Client::with_uri_str(setting("MONGODB_URI")).await.unwrap();
        client.database(DATABASE).collection(&self.context.pipeline)
    }
}

impl Medium for Database {
    type Writer = Writer;

    /// A document may have 16 MiB.
    const TEXT_BYTES_REFUSED: Option<usize> = Some(17 << 20);

    async fn fresh() -> Database {
        Database { context: context() }
    }

    fn context(&self) -> &Context {
        &self.context
    }

    fn writer(&self, context: Context) -> Result<Writer> {
        let plan = plan(&self.context, setting("MONGODB_URI"));
        Writer::new(context, &plan)
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
            let plan = plan(&context, format!("mongodb://{}", by.address));
            let writer = Writer::new(context, &plan).unwrap();
            Unreachable { writer, address: by.address.clone(), _by: Box::new(by) }
        };
        Nobody::each().into_iter().map(gone).collect()
    }
}

/// The collection's owner may refuse rows too: by a unique index, or a validator.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_of_the_collections_owner_stop_it() {
    let unique = Database::fresh().await;
    let options = IndexOptions::builder().unique(true).build();
    let index = IndexModel::builder().keys(doc! { "partition": 1 }).options(options).build();
    unique.collection().await.create_index(index).await.unwrap();
    let ruled = Database::fresh().await;
    let database = Client::with_uri_str(setting("MONGODB_URI")).await.unwrap().database(DATABASE);
    let rule = doc! { "offset": { "$lt": 2 } };
    database.create_collection(&*ruled.context.pipeline).validator(rule).await.unwrap();
    for medium in [unique, ruled] {
        let (mut writer, _) = open(&medium, 0).await;
        let error = writer.write(batch(0, 0..4)).await.unwrap_err();
        assert_eq!(error.kind, Kind::Stop, "{error}");
        let id = format!("{}/{}/0/2", medium.context.pipeline, medium.context.log.topic_id);
        assert!(error.to_string().contains(&id), "{error}");
        drop(writer);
        assert_eq!(open(&medium, 0).await.1, 0);
    }
}
