//! A pipeline file: checked or refused, with words that can be shown.

use std::path::Path;

use crate::config;

/// Nothing that a pipeline names is there.
const FILE: &str = "/nowhere/millrace/pipeline.toml";

pub fn config(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    let env = |name: &str| name.len().is_multiple_of(2).then(|| name.to_owned());
    match config::check_text(Path::new(FILE), text, &env) {
        Ok(plan) => {
            assert!(!plan.sinks.is_empty() && plan.sinks.iter().all(|sink| !sink.name.is_empty()));
            let columns = plan.schema.0.len();
            assert!(plan.sinks.iter().flat_map(|sink| &sink.columns).all(|&column| column < columns));
        }
        Err(diagnostics) => {
            assert!(diagnostics.has_errors(), "refused, and nothing is wrong");
            assert!(!diagnostics.to_string().is_empty());
        }
    }
}
