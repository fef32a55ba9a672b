//! The registry of sinks with a position of their own: one `match` for each act.

use std::sync::Arc;
use std::time::Instant;

use crate::error::Result;
use crate::plan::{Plan, SinkKind, SinkPlan};
use crate::sink::{Context, Log, Outbound, Positions, Writer, hdfs, mongodb};

pub enum AnyWriter {
    Mongodb(mongodb::Writer),
    Hdfs(hdfs::Writer<hdfs::NameNode>),
}

impl AnyWriter {
    /// None: the sink is part of the head's transaction.
    pub fn new(plan: &Plan, sink: &SinkPlan, log: &Log) -> Result<Option<AnyWriter>> {
        let context = Context::new(&plan.name, &plan.schema, sink, log.clone());
        Ok(match &sink.kind {
            SinkKind::Kafka { .. } => None,
            SinkKind::Mongodb(plan) => Some(AnyWriter::Mongodb(mongodb::Writer::new(context, plan)?)),
            SinkKind::Hdfs(plan) => Some(AnyWriter::Hdfs(hdfs::Writer::new(context, plan)?)),
        })
    }
}

impl Writer for AnyWriter {
    async fn open(&mut self, starts: &Positions) -> Result<Positions> {
        match self {
            AnyWriter::Mongodb(writer) => writer.open(starts).await,
            AnyWriter::Hdfs(writer) => writer.open(starts).await,
        }
    }

    async fn write(&mut self, outbound: Arc<Outbound>) -> Result<()> {
        match self {
            AnyWriter::Mongodb(writer) => writer.write(outbound).await,
            AnyWriter::Hdfs(writer) => writer.write(outbound).await,
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match self {
            AnyWriter::Mongodb(writer) => writer.deadline(),
            AnyWriter::Hdfs(writer) => writer.deadline(),
        }
    }

    async fn roll(&mut self, now: Instant) -> Result<()> {
        match self {
            AnyWriter::Mongodb(writer) => writer.roll(now).await,
            AnyWriter::Hdfs(writer) => writer.roll(now).await,
        }
    }

    async fn finish(&mut self) -> Result<()> {
        match self {
            AnyWriter::Mongodb(writer) => writer.finish().await,
            AnyWriter::Hdfs(writer) => writer.finish().await,
        }
    }

    fn durable(&self) -> &Positions {
        match self {
            AnyWriter::Mongodb(writer) => writer.durable(),
            AnyWriter::Hdfs(writer) => writer.durable(),
        }
    }
}
