//! The same nodes and edges for Mermaid and for Graphviz; names are the edges' and nodes', types are the text's.
//!
//! Invariant: labels hold no quote: names of pipelines, stages, sinks and topics cannot have one, and a directory's or
//! collection's is replaced.

use std::fmt::Write;

use super::{kind, place};
use crate::plan::Plan;
use crate::schema::Schema;

struct Node {
    id: String,
    label: String,
}

struct Edge {
    from: String,
    to: String,
    label: String,
}

/// The source, each stage, each sink, the rejects; an edge carries the columns that are new on it.
fn drawing(plan: &Plan) -> (Vec<Node>, Vec<Edge>) {
    let node = |id: String, label: String| Node { id, label: label.replace('"', "'").replace('`', "") };
    let mut nodes = vec![node("source".into(), format!("kafka {}", plan.source.topic))];
    let (mut edges, mut last, mut before) = (Vec::new(), "source".to_owned(), Schema::default());
    let mut now = plan.source.schema();
    for (index, stage) in plan.stages.iter().enumerate() {
        let id = format!("stage{index}");
        nodes.push(node(id.clone(), format!("{} {}", kind(stage), stage.name)));
        edges.push(Edge { from: last, to: id.clone(), label: new_columns(&before, &now) });
        (before, now, last) = (now, stage.schema.clone(), id);
    }
    for (index, sink) in plan.sinks.iter().enumerate() {
        let id = format!("sink{index}");
        nodes.push(node(id.clone(), format!("{}: {}", sink.name, place(sink))));
        let new = if index == 0 { new_columns(&before, &now) } else { String::new() };
        let when = sink.when.iter().map(|when| format!("when {}", when.replace('"', "'")));
        let label = Some(new).filter(|new| !new.is_empty()).into_iter().chain(when).collect::<Vec<_>>().join("; ");
        edges.push(Edge { from: last.clone(), to: id, label });
    }
    // whoever gets a message or a row can refuse it
    let refuse: Vec<_> = nodes.iter().map(|node| node.id.clone()).collect();
    nodes.push(node("rejects".into(), format!("rejects: {}", place(&plan.rejects))));
    let edge = |(index, from)| {
        let label = if index == 0 { "refused, with the reason" } else { "" };
        Edge { from, to: "rejects".into(), label: label.into() }
    };
    edges.extend(refuse.into_iter().enumerate().map(edge));
    (nodes, edges)
}

fn new_columns(before: &Schema, now: &Schema) -> String {
    let new = now.names().filter(|name| before.get(name).is_none());
    new.map(|name| name.replace('"', "'")).collect::<Vec<_>>().join(", ")
}

pub fn mermaid(plan: &Plan) -> String {
    let (nodes, edges) = drawing(plan);
    let mut out = String::from("flowchart LR\n");
    for Node { id, label } in nodes {
        // writing to a String does not fail
        let _ = writeln!(out, "    {id}[\"{label}\"]");
    }
    for Edge { from, to, label } in edges {
        let label = if label.is_empty() { String::new() } else { format!("|\"{label}\"|") };
        let _ = writeln!(out, "    {from} -->{label} {to}");
    }
    out
}

pub fn dot(plan: &Plan) -> String {
    let (nodes, edges) = drawing(plan);
    let mut out = format!("digraph \"{}\" {{\n    rankdir = LR\n    node [shape = box]\n", plan.name);
    for Node { id, label } in nodes {
        // writing to a String does not fail
        let _ = writeln!(out, "    {id} [label = \"{label}\"]");
    }
    for Edge { from, to, label } in edges {
        let _ = writeln!(out, "    {from} -> {to} [label = \"{label}\"]");
    }
    out.push_str("}\n");
    out
}
