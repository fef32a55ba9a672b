//! The registry of sinks with a position of their own: one `match` for each act.

use std::sync::Arc;
use std::time::Instant;

use crate::batch::Reject;
use crate::error::{Error, Result};
use crate::ground::Ground;
use crate::plan::{Plan, SinkKind, SinkPlan};
use crate::sink::refusals::{self, Destination, Nowhere, Refusals, ToRejects};
use crate::sink::{Context, Log, Of, Outbound, Positions, Starts, Writer, Written, embedded, hdfs, mongodb, topic};

pub enum AnyWriter {
    Mongodb(mongodb::Writer),
    Hdfs(hdfs::Writer<hdfs::NameNode>),
    Documents(embedded::Writer),
    Directory(hdfs::Writer<hdfs::Local>),
    Topic(topic::Writer),
}

/// The writer inside, whichever it is.
macro_rules! each {
    ($any:expr, $writer:ident => $act:expr) => {
        match $any {
            AnyWriter::Mongodb($writer) => $act,
            AnyWriter::Hdfs($writer) => $act,
            AnyWriter::Documents($writer) => $act,
            AnyWriter::Directory($writer) => $act,
            AnyWriter::Topic($writer) => $act,
        }
    };
}

impl AnyWriter {
    /// None: the sink is part of the head's transaction. The pipeline's rejects are such a sink too.
    pub fn new(ground: &Ground, plan: &Plan, sink: &SinkPlan, log: &Log) -> Result<Option<AnyWriter>> {
        if sink.topic().is_some() {
            return Ok(None);
        }
        let context = Context::of_sink(plan, sink, log);
        let refusals: Box<dyn Refusals> = match context.of {
            Of::Rejects => Box::new(Nowhere),
            Of::Rows => {
                let to = Destination::of(ground, plan, log);
                Box::new(ToRejects::new(to, &sink.name, refusals::who(&sink.name)))
            }
        };
        AnyWriter::apart(ground, context, &sink.kind, refusals).map(Some)
    }

    /// Of the rejects of one sink, `who`: apart from all others', with a position of their own.
    pub fn of_rejects(to: &Destination, who: &str) -> Result<AnyWriter> {
        let Destination { ground, pipeline, source, rejects, log } = to;
        let context = Context::of_rejects(pipeline, who.into(), rejects, log.clone());
        match rejects.kind.apart(who) {
            SinkKind::Kafka { topic, .. } => Ok(AnyWriter::Topic(topic::Writer::new(context, ground, source, &topic))),
            kind => AnyWriter::apart(ground, context, &kind, Box::new(Nowhere)),
        }
    }

    fn apart(ground: &Ground, context: Context, kind: &SinkKind, refusals: Box<dyn Refusals>) -> Result<AnyWriter> {
        Ok(match (kind, ground) {
            (SinkKind::Mongodb(plan), Ground::Services) => {
                AnyWriter::Mongodb(mongodb::Writer::new(context, plan, refusals)?)
            }
            (SinkKind::Hdfs(plan), Ground::Services) => AnyWriter::Hdfs(hdfs::Writer::new(context, plan)?),
            (SinkKind::Mongodb(plan), Ground::Embedded(folder)) => {
                AnyWriter::Documents(embedded::Writer::new(context, folder.clone(), plan, refusals))
            }
            (SinkKind::Hdfs(plan), Ground::Embedded(folder)) => {
                AnyWriter::Directory(hdfs::Writer::in_folder(context, plan, folder.join("hdfs"))?)
            }
            (SinkKind::Kafka { .. }, _) => return Err(Error::stop("a topic is written in the head's transaction")),
        })
    }
}

impl Writer for AnyWriter {
    async fn open(&mut self, starts: &Starts) -> Result<Positions> {
        each!(self, writer => writer.open(starts).await)
    }

    async fn write(&mut self, outbound: Arc<Outbound>) -> Result<Vec<Reject>> {
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
