//! Rejects in a place that is no topic: documents, or lines of files.

use serde_json::Value;
use tokio::runtime::Handle;

use crate::error::{Error, Result};
use crate::ground::Ground;
use crate::plan::{Plan, SinkKind};
use crate::sink::hdfs::{Local, NameNode};
use crate::sink::{Context, Log, embedded, hdfs, mongodb};

pub enum Stored {
    Mongodb(Box<mongodb::Scan>, Handle),
    Hdfs(hdfs::Scan<NameNode>, Handle),
    Documents(embedded::Scan),
    Directory(hdfs::Scan<Local>, Handle),
}

impl Stored {
    /// `log`: of the source's topic. `handle`: of a runtime with several threads; nothing here must run on it.
    pub fn open(plan: &Plan, ground: &Ground, log: &Log, handle: &Handle) -> Result<Stored> {
        let (handle, topic) = (handle.clone(), &plan.source.topic);
        let context = Context::of_sink(plan, &plan.rejects, log);
        Ok(match (&plan.rejects.kind, ground) {
            (SinkKind::Mongodb(plan), Ground::Services) => {
                Stored::Mongodb(Box::new(handle.block_on(mongodb::Scan::open(&context, plan))?), handle)
            }
            (SinkKind::Mongodb(plan), Ground::Embedded(folder)) => {
                Stored::Documents(embedded::Scan::open(&context, folder, plan.namespace())?)
            }
            (SinkKind::Hdfs(plan), Ground::Services) => {
                let files = NameNode::new(plan, context.timeout)?;
                Stored::Hdfs(handle.block_on(hdfs::Scan::open(files, &plan.directory, topic))?, handle)
            }
            (SinkKind::Hdfs(plan), Ground::Embedded(folder)) => {
                let files = Local::new(folder.join("hdfs"));
                Stored::Directory(handle.block_on(hdfs::Scan::open(files, &plan.directory, topic))?, handle)
            }
            (SinkKind::Kafka { .. }, _) => return Err(Error::stop("rejects of a topic are read there")),
        })
    }

    /// None: there are no more.
    pub fn read(&mut self) -> Result<Option<Value>> {
        match self {
            Stored::Mongodb(scan, handle) => handle.block_on(scan.read()),
            Stored::Hdfs(scan, handle) => handle.block_on(scan.read()),
            Stored::Documents(scan) => scan.read(),
            Stored::Directory(scan, handle) => handle.block_on(scan.read()),
        }
    }
}
