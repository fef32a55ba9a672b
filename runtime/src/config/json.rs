//! TOML values as JSON, for those whose keys are not known here: a plugin's config, a lookup's defaults.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use toml::de::DeValue;

use super::diagnostics::Span;
use super::reader::{Context, Read, Value, in_file_order};
use crate::stage::plugin::config::escaped;

/// A value as JSON, its texts expanded.
pub fn json(cx: &Context, value: &Value, what: &str) -> Read<Json> {
    Ok(match value.get_ref() {
        DeValue::String(_) => Json::String(cx.text(value, what)?.value),
        DeValue::Integer(_) => cx.integer(value, what)?.into(),
        DeValue::Float(_) => cx.number(value, what)?.into(),
        DeValue::Boolean(value) => Json::Bool(*value),
        DeValue::Datetime(value) => Json::String(value.to_string()),
        DeValue::Array(values) => {
            let values: Vec<_> = values.iter().map(|value| json(cx, value, what)).collect();
            Json::Array(values.into_iter().collect::<Read<_>>()?)
        }
        DeValue::Table(entries) => {
            let entries = in_file_order(entries).into_iter();
            let entries: Vec<_> = entries
                .map(|(key, value)| Ok((key.value.to_owned(), json(cx, value, &within(what, key.value))?)))
                .collect();
            Json::Object(entries.into_iter().collect::<Read<_>>()?)
        }
    })
}

/// `a.b` as a part of `a`: what is quoted stays so.
fn within(what: &str, key: &str) -> String {
    match what.strip_suffix('`') {
        Some(quoted) => format!("{quoted}.{key}`"),
        None => format!("{what}.{key}"),
    }
}

/// Where everything in a value stands, by JSON pointer: of what has a key, that.
pub fn places(value: &Value) -> BTreeMap<String, Span> {
    let mut places = BTreeMap::new();
    let mut open = vec![(String::new(), value.span(), value)];
    while let Some((path, span, value)) = open.pop() {
        match value.get_ref() {
            DeValue::Array(values) => {
                let inner =
                    values.iter().enumerate().map(|(index, value)| (format!("{path}/{index}"), value.span(), value));
                open.extend(inner);
            }
            DeValue::Table(entries) => {
                let inner = entries.iter().map(|(key, value)| {
                    let whole = key.span().start..value.span().end.max(key.span().end);
                    let span = if matches!(value.get_ref(), DeValue::Table(_)) { key.span() } else { whole };
                    (format!("{path}/{}", escaped(key.get_ref())), span, value)
                });
                open.extend(inner);
            }
            _ => {}
        }
        places.insert(path, span);
    }
    places
}
