//! A checked pipeline as a picture: in text with every type, for the tools that draw (Mermaid, Graphviz), or as JSON.
//!
//! Invariant: says only what the plan says, so it can be kept beside the file and compared.

mod drawing;
mod json;
mod text;

pub use drawing::{dot, mermaid};
pub use json::json;
pub use text::render;

use crate::plan::{SinkKind, SinkPlan, StageKind, StagePlan};
use crate::schema::Field;

fn kind(stage: &StagePlan) -> &'static str {
    match stage.kind {
        StageKind::Lookup(_) => "lookup",
        StageKind::Plugin(_) => "plugin",
        StageKind::Model(_) => "model",
    }
}

fn reads(stage: &StagePlan) -> Vec<Field> {
    match &stage.kind {
        StageKind::Lookup(lookup) => lookup.types().reads,
        StageKind::Plugin(program) => program.types().reads,
        StageKind::Model(model) => model.features().to_vec(),
    }
}

/// Where a sink writes, for people.
fn place(sink: &SinkPlan) -> String {
    match &sink.kind {
        SinkKind::Kafka { topic, .. } => format!("kafka `{topic}`"),
        SinkKind::Mongodb(mongodb) => format!("mongodb `{}`", mongodb.namespace()),
        SinkKind::Hdfs(hdfs) => format!("hdfs `{}`", hdfs.directory),
    }
}
