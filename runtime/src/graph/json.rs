//! The same for programs: every node with its columns and their types.

use serde::Serialize;

use super::{kind, reads};
use crate::plan::{Plan, SinkKind, SinkPlan, StagePlan};
use crate::schema::{Field, Schema};

#[derive(Serialize)]
struct Graph<'a> {
    pipeline: &'a str,
    generation: &'a str,
    source: Source<'a>,
    stages: Vec<Stage<'a>>,
    /// After the last stage: what sinks choose from.
    columns: &'a [Field],
    sinks: Vec<Sink<'a>>,
    rejects: Place<'a>,
}

#[derive(Serialize)]
struct Source<'a> {
    kind: &'static str,
    topic: &'a str,
    group: &'a str,
    columns: Vec<Field>,
}

#[derive(Serialize)]
struct Stage<'a> {
    name: &'a str,
    kind: &'static str,
    reads: Vec<Field>,
    adds: Vec<&'a Field>,
    drops: Vec<String>,
    columns: &'a [Field],
}

#[derive(Serialize)]
struct Sink<'a> {
    name: &'a str,
    #[serde(flatten)]
    place: Place<'a>,
    columns: Vec<&'a str>,
    when: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
enum Place<'a> {
    Kafka { topic: &'a str, key: Option<&'a str> },
    Mongodb { database: &'a str, collection: &'a str },
    Hdfs { directory: &'a str },
}

pub fn json(plan: &Plan) -> String {
    let mut before = plan.source.schema();
    let stages = plan.stages.iter().map(|plan| {
        let made = stage(plan, &before);
        before = plan.schema.clone();
        made
    });
    let stages = stages.collect();
    let source = &plan.source;
    let graph = Graph {
        pipeline: &plan.name,
        generation: &plan.generation,
        source: Source { kind: "kafka", topic: &source.topic, group: &source.group, columns: source.schema().0 },
        stages,
        columns: &plan.schema.0,
        sinks: plan.sinks.iter().map(|it| sink(plan, it)).collect(),
        rejects: place(plan, &plan.rejects),
    };
    // names and types are text: nothing in it that JSON does not have
    serde_json::to_string_pretty(&graph).map(|text| text + "\n").unwrap_or_default()
}

fn stage<'a>(plan: &'a StagePlan, before: &Schema) -> Stage<'a> {
    let dropped = before.names().filter(|name| plan.schema.get(name).is_none());
    Stage {
        name: &plan.name,
        kind: kind(plan),
        reads: reads(plan),
        adds: plan.schema.0.iter().filter(|field| before.get(&field.name) != Some(field)).collect(),
        drops: dropped.map(str::to_owned).collect(),
        columns: &plan.schema.0,
    }
}

fn sink<'a>(plan: &'a Plan, sink: &'a SinkPlan) -> Sink<'a> {
    let columns = sink.columns.iter().map(|&index| plan.schema.0[index].name.as_str()).collect();
    Sink { name: &sink.name, place: place(plan, sink), columns, when: sink.when.as_deref() }
}

fn place<'a>(plan: &'a Plan, sink: &'a SinkPlan) -> Place<'a> {
    let name = |index: usize| plan.schema.0[index].name.as_str();
    match &sink.kind {
        SinkKind::Kafka { topic, key } => Place::Kafka { topic, key: key.map(name) },
        SinkKind::Mongodb(it) => Place::Mongodb { database: &it.database, collection: &it.collection },
        SinkKind::Hdfs(it) => Place::Hdfs { directory: &it.directory },
    }
}
