//! The registry of sinks with a position of their own: one `match` for each act.

use std::sync::Arc;
use std::time::Instant;

use crate::error::Result;
use crate::ground::Ground;
use crate::plan::{Plan, SinkKind, SinkPlan};
use crate::sink::{Context, Log, Outbound, Positions, Writer, Written, embedded, hdfs, mongodb};

pub enum AnyWriter {
    Mongodb(mongodb::Writer),
    Hdfs(hdfs::Writer<hdfs::NameNode>),
    Documents(embedded::Writer),
    Directory(hdfs::Writer<hdfs::Local>),
}

/// The writer inside, whichever it is.
macro_rules! each {
    ($any:expr, $writer:ident => $act:expr) => {
        match $any {
            AnyWriter::Mongodb($writer) => $act,
            AnyWriter::Hdfs($writer) => $act,
            AnyWriter::Documents($writer) => $act,
            AnyWriter::Directory($writer) => $act,
        }
    };
}

impl AnyWriter {
    /// None: the sink is part of the head's transaction.
    pub fn new(ground: &Ground, plan: &Plan, sink: &SinkPlan, log: &Log) -> Result<Option<AnyWriter>> {
        let context = Context::new(&plan.name, &plan.schema, sink, log.clone());
        Ok(match (&sink.kind, ground) {
            (SinkKind::Kafka { .. }, _) => None,
            (SinkKind::Mongodb(plan), Ground::Services) => {
                Some(AnyWriter::Mongodb(mongodb::Writer::new(context, plan)?))
            }
            (SinkKind::Hdfs(plan), Ground::Services) => Some(AnyWriter::Hdfs(hdfs::Writer::new(context, plan)?)),
            (SinkKind::Mongodb(plan), Ground::Embedded(folder)) => {
                let collection = format!("{}.{}", plan.database, plan.collection);
                Some(AnyWriter::Documents(embedded::Writer::new(context, folder.clone(), collection)))
            }
            (SinkKind::Hdfs(plan), Ground::Embedded(folder)) => {
                Some(AnyWriter::Directory(hdfs::Writer::in_folder(context, plan, folder.join("hdfs"))?))
            }
        })
    }
}

impl Writer for AnyWriter {
    async fn open(&mut self, starts: &Positions) -> Result<Positions> {
        each!(self, writer => writer.open(starts).await)
    }

    async fn write(&mut self, outbound: Arc<Outbound>) -> Result<()> {
        each!(self, writer => writer.write(outbound).await)
    }

    fn deadline(&self) -> Option<Instant> {
        each!(self, writer => writer.deadline())
    }

    async fn roll(&mut self, now: Instant) -> Result<()> {
        each!(self, writer => writer.roll(now).await)
    }

    async fn finish(&mut self) -> Result<()> {
        each!(self, writer => writer.finish().await)
    }

    fn durable(&self) -> &Positions {
        each!(self, writer => writer.durable())
    }

    fn written(&self) -> Written {
        each!(self, writer => writer.written())
    }
}
