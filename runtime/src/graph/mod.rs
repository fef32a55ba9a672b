//! A checked pipeline as a picture: in text with every type, or for the tools that draw (Mermaid, Graphviz).
//!
//! Invariant: says only what the plan says, so it can be kept beside the file and compared.

mod drawing;
mod text;

pub use drawing::{dot, mermaid};
pub use text::render;

use crate::plan::{SinkKind, SinkPlan, StageKind, StagePlan};

fn kind(stage: &StagePlan) -> &'static str {
    match stage.kind {
        StageKind::Lookup(_) => "lookup",
        StageKind::Plugin(_) => "plugin",
        StageKind::Model(_) => "model",
    }
}

/// Where a sink writes, for people.
fn place(sink: &SinkPlan) -> String {
    match &sink.kind {
        SinkKind::Kafka { topic, .. } => format!("kafka `{topic}`"),
        SinkKind::Mongodb(mongodb) => format!("mongodb `{}.{}`", mongodb.database, mongodb.collection),
        SinkKind::Hdfs(hdfs) => format!("hdfs `{}`", hdfs.directory),
    }
}
