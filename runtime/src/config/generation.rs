//! The generation: a hash of everything that decides what a row becomes, and of nothing else.
//!
//! Invariant: where services are, how large batches are and where files lie does not change it; what is in the files,
//! the stages' settings, the columns of source and sinks and the version of XGBoost do.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::hash::sha256;
use crate::plan::{Metadata, SinkPlan, SourcePlan};
use crate::schema::Schema;
use crate::stage::model;

const HEX_DIGITS: usize = 16;

pub struct Generation<'a> {
    pub source: &'a SourcePlan,
    /// Of each stage, in order: name, settings, hashes of its files.
    pub stages: &'a [Value],
    pub schema: &'a Schema,
    pub sinks: &'a [SinkPlan],
    pub rejects: &'a SinkPlan,
}

/// Raised with every change of what this program itself makes of a row, refusals too: a sink that reads the log again after
/// an upgrade is to find the answers that the others have.
const RULES: u32 = 2;

impl Generation<'_> {
    pub fn digest(&self) -> Arc<str> {
        let metadata = self.source.metadata.iter().map(|(field, from)| json!([field.name, metadata(from)]));
        let whole = json!({
            "fields": self.source.fields,
            "metadata": metadata.collect::<Vec<_>>(),
            "stages": self.stages,
            "schema": self.schema.0,
            "sinks": self.sinks(),
            "rules": RULES,
            "xgboost": model::version(),
        });
        let mut hex = sha256(canonical(&whole).to_string().as_bytes());
        hex.truncate(HEX_DIGITS);
        Arc::from(hex)
    }

    /// By name: their order in the file means nothing.
    fn sinks(&self) -> Vec<Value> {
        let names =
            |sink: &SinkPlan| sink.columns.iter().map(|&column| &self.schema.0[column].name).collect::<Vec<_>>();
        let mut sinks: Vec<_> = self.sinks.iter().map(|sink| (&sink.name, names(sink), &sink.when)).collect();
        sinks.sort();
        let sink = |(name, columns, when): (&Arc<str>, Vec<&String>, &Option<String>)| match when {
            None => json!([**name, columns]),
            Some(when) => json!([**name, columns, when]),
        };
        let mut sinks: Vec<_> = sinks.into_iter().map(sink).collect();
        // a sink with a position of its own begins with its generation
        if self.rejects.topic().is_none() {
            sinks.push(json!([*self.rejects.name, null]));
        }
        sinks
    }
}

fn metadata(from: &Metadata) -> Value {
    match from {
        Metadata::Key => json!("key"),
        Metadata::Timestamp => json!("timestamp"),
        Metadata::Partition => json!("partition"),
        Metadata::Offset => json!("offset"),
        Metadata::Header(name) => json!({ "header": name }),
    }
}

/// Objects as lists of pairs in order of their keys, whatever order the JSON library keeps.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Array(values) => values.iter().map(canonical).collect(),
        Value::Object(entries) => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            let pairs = entries.into_iter().map(|(key, value)| json!([key, canonical(value)]));
            json!({ "": pairs.collect::<Vec<_>>() })
        }
        _ => value.clone(),
    }
}
