//! What flows where, with types: `<` is read, `+` added, `~` retyped, `-` dropped.

use std::fmt::Write;

use super::{kind, place, reads};
use crate::plan::{Plan, SinkPlan, StagePlan};
use crate::schema::{Field, Schema};

pub fn render(plan: &Plan) -> String {
    let mut out = Lines(format!("{}, generation {}\n", plan.name, plan.generation));
    let source = &plan.source;
    out.node(&format!("source  kafka `{}` as group `{}`", source.topic, source.group));
    let mut before = source.schema();
    out.columns('+', before.0.iter());
    for stage in &plan.stages {
        out.stage(stage, &before);
        before = stage.schema.clone();
    }
    out.node("every row");
    out.columns('+', added(&before, &plan.schema));
    for sink in &plan.sinks {
        out.sink(plan, sink);
    }
    plan.off.iter().for_each(|sink| out.node(&format!("sink  `{sink}` is switched off")));
    out.node(&format!("rejects  {}", place(&plan.rejects)));
    out.0
}

struct Lines(String);

impl Lines {
    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        // writing to a String does not fail
        let _ = writeln!(self.0, "{text}");
    }

    fn node(&mut self, text: &str) {
        self.line(format_args!("\n{text}"));
    }

    fn columns<'f>(&mut self, mark: char, fields: impl Iterator<Item = &'f Field>) {
        let fields: Vec<_> = fields.collect();
        let width = fields.iter().map(|field| field.name.chars().count()).max().unwrap_or(0);
        for Field { name, ty } in fields {
            self.line(format_args!("  {mark} {name:width$}  {ty}"));
        }
    }

    fn stage(&mut self, stage: &StagePlan, before: &Schema) {
        self.node(&format!("{}  `{}`", kind(stage), stage.name));
        self.columns('<', reads(stage).iter());
        let after = &stage.schema;
        self.columns('-', before.0.iter().filter(|field| after.get(&field.name).is_none()));
        self.columns('~', after.0.iter().filter(|field| before.get(&field.name).is_some_and(|was| was.ty != field.ty)));
        self.columns('+', added(before, after));
    }

    fn sink(&mut self, plan: &Plan, sink: &SinkPlan) {
        let when = sink.when.as_ref().map_or(String::new(), |when| format!(", rows where `{when}` is true"));
        self.node(&format!("sink  `{}` to {}{when}", sink.name, place(sink)));
        if sink.columns.len() < plan.schema.0.len() {
            self.columns('<', sink.columns.iter().map(|&index| &plan.schema.0[index]));
        } else {
            self.line(format_args!("  < all {} columns", sink.columns.len()));
        }
    }
}

fn added<'a>(before: &'a Schema, after: &'a Schema) -> impl Iterator<Item = &'a Field> {
    after.0.iter().filter(|field| before.get(&field.name).is_none())
}
