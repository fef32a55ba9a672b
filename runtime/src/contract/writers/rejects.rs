//! Where a pipeline's rejects go, and what can be seen of them from outside.

use std::path::PathBuf;
use std::time::Duration;

use futures::TryStreamExt;
use millrace_embedded::Folder;
use mongodb::bson::{Document, doc};
use serde_json::Value;

use super::super::logs::Logs;
use super::super::{TIMEOUT, fresh_folder, fresh_name, setting};
use super::hdfs::{NameNode, lines_of_a_disk};
use super::mongodb::DATABASE;
use super::topic::Topic;
use super::{Context, Medium};
use crate::ground::Ground;
use crate::plan::{
    DocumentWrite, GroupProtocol, HdfsPlan, MongodbPlan, OnGap, SinkKind, SinkPlan, SinkStart, SourcePlan, Start,
};
use crate::rejects;
use crate::sink::Log;
use crate::sink::refusals::{Destination, Refusals, ToRejects, who};

pub trait Rejects: Sized {
    async fn fresh() -> Self;

    fn ground(&self) -> Ground;

    fn kind(&self) -> SinkKind;

    /// The topic that rows come from, and its group.
    fn source(&self) -> SourcePlan {
        SourcePlan {
            brokers: "nobody asks for brokers".into(),
            topic: "t".into(),
            group: "g".into(),
            group_protocol: GroupProtocol::Consumer,
            start: Start::Earliest,
            timeout: TIMEOUT,
            fields: Vec::new(),
            metadata: Vec::new(),
        }
    }

    /// In the order of their partitions and offsets.
    async fn records(&self) -> Vec<Value> {
        let mut records = self.found().await;
        records.sort_by_key(|record| (record["partition"].as_i64(), record["offset"].as_i64()));
        records
    }

    async fn found(&self) -> Vec<Value>;

    /// The context of a sink whose rejects come here, and what takes them.
    fn refusals(&self, context: &Context) -> (Context, Box<dyn Refusals>) {
        let source = self.source();
        let log = Log { topic: source.topic.clone(), ..context.log.clone() };
        let rejects = SinkPlan {
            name: rejects::SINK.into(),
            columns: Vec::new(),
            when: None,
            start: SinkStart::Head,
            timeout: TIMEOUT,
            required: false,
            on_gap: OnGap::Stop,
            kind: self.kind(),
        };
        let (ground, pipeline, context) =
            (self.ground(), context.pipeline.to_string(), Context { log: log.clone(), ..context.clone() });
        let to = Destination { ground, pipeline, source, rejects, log };
        let refusals = ToRejects::new(to, &context.sink, who(&context.sink));
        (context, Box::new(refusals))
    }
}

pub struct InTopic<L: Logs>(Topic<L>);

impl<L: Logs> Rejects for InTopic<L> {
    async fn fresh() -> InTopic<L> {
        InTopic(Topic::fresh().await)
    }

    fn ground(&self) -> Ground {
        self.0.logs().ground()
    }

    fn kind(&self) -> SinkKind {
        SinkKind::Kafka { topic: self.0.name(), key: None }
    }

    fn source(&self) -> SourcePlan {
        self.0.logs().plan().clone()
    }

    async fn found(&self) -> Vec<Value> {
        self.0.values().iter().map(|value| serde_json::from_slice(value).unwrap()).collect()
    }
}

pub struct InMongodb(String);

impl Rejects for InMongodb {
    async fn fresh() -> InMongodb {
        InMongodb(fresh_name())
    }

    fn ground(&self) -> Ground {
        Ground::Services
    }

    fn kind(&self) -> SinkKind {
        let (uri, database, collection) = (setting("MONGODB_URI"), DATABASE.into(), self.0.clone());
        SinkKind::Mongodb(MongodbPlan { uri, database, collection, write: DocumentWrite::Insert })
    }

    async fn found(&self) -> Vec<Value> {
        let client = mongodb::Client::with_uri_str(setting("MONGODB_URI")).await.unwrap();
        let rejects = client.database(DATABASE).collection::<Document>(&self.0);
        let found: Vec<Document> = rejects.find(doc! {}).await.unwrap().try_collect().await.unwrap();
        found.into_iter().map(|document| serde_json::to_value(document).unwrap()).collect()
    }
}

fn directory(name: &str, uri: String) -> SinkKind {
    SinkKind::Hdfs(HdfsPlan {
        properties: Default::default(),
        uri,
        user: None,
        directory: format!("/millrace-test/{name}"),
        roll_rows_max: 1_000,
        roll_bytes_max: 1 << 30,
        roll_max: Duration::from_secs(3600),
    })
}

pub struct InHdfs(String);

impl Rejects for InHdfs {
    async fn fresh() -> InHdfs {
        InHdfs(fresh_name())
    }

    fn ground(&self) -> Ground {
        Ground::Services
    }

    fn kind(&self) -> SinkKind {
        directory(&self.0, setting("HDFS_URI"))
    }

    async fn found(&self) -> Vec<Value> {
        let mut found = Vec::new();
        for folder in ["s.rejects", "s.rejects.1"] {
            found.extend(NameNode::lines(&format!("/millrace-test/{}/{folder}", self.0)).await);
        }
        found
    }
}

pub struct InFolder(PathBuf);

impl Rejects for InFolder {
    async fn fresh() -> InFolder {
        InFolder(fresh_folder())
    }

    fn ground(&self) -> Ground {
        Ground::Embedded(self.0.clone())
    }

    fn kind(&self) -> SinkKind {
        directory("rejects", "nobody asks for it".into())
    }

    async fn found(&self) -> Vec<Value> {
        let folder = |who: &str| self.0.join("hdfs/millrace-test/rejects").join(who);
        ["s.rejects", "s.rejects.1"].iter().flat_map(|who| lines_of_a_disk(&folder(who))).collect()
    }
}

pub struct InDocuments(PathBuf);

impl Rejects for InDocuments {
    async fn fresh() -> InDocuments {
        InDocuments(fresh_folder())
    }

    fn ground(&self) -> Ground {
        Ground::Embedded(self.0.clone())
    }

    fn kind(&self) -> SinkKind {
        let (uri, database, collection) = ("nobody asks for it".into(), "d".into(), "rejects".into());
        SinkKind::Mongodb(MongodbPlan { uri, database, collection, write: DocumentWrite::Insert })
    }

    async fn found(&self) -> Vec<Value> {
        let documents = Folder::open(&self.0).unwrap().documents("d.rejects").unwrap();
        documents.iter().map(|(_, json)| serde_json::from_str(json).unwrap()).collect()
    }
}
