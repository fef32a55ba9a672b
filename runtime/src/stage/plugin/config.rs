//! A plugin's config against the JSON Schema that the plugin gave.
//!
//! Invariant: a schema is the guest's word: its size is bounded, its patterns take linear time, nothing is fetched for
//! it, and one that takes for ever is not waited for.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, ValidationError};
use serde_json::Value;

use super::load::within;
use crate::hash::sha256;
use crate::words;

const SCHEMA_KIB_MAX: usize = 64;
const PATTERN_KIB_MAX: usize = 1_024;
const TIME_MAX: Duration = Duration::from_secs(5);
/// Of which it is remembered that they take too long.
const ENDLESS_MAX: usize = 64;
pub const FAULTS_MAX: usize = 64;
const MESSAGE_BYTES_MAX: usize = 1_024;

/// What is wrong with a config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// A JSON pointer into the config; empty: the whole.
    pub path: String,
    pub message: String,
}

impl Fault {
    /// In words of a guest or of its schema.
    pub fn new(path: &str, message: &str) -> Fault {
        let [path, message] = [path, message].map(|text| words::sentence(text, MESSAGE_BYTES_MAX));
        Fault { path, message }
    }
}

/// What of the config (JSON) does not fit the schema; an error is one of the schema itself. Without a schema, the guest
/// alone knows.
pub fn faults(schema: &str, config: &str) -> Result<Vec<Fault>, String> {
    if schema.is_empty() {
        return Ok(Vec::new());
    }
    if schema.len() > SCHEMA_KIB_MAX << 10 {
        return Err(format!("is {} KiB, and {SCHEMA_KIB_MAX} is the most", schema.len() >> 10));
    }
    let asked = (schema, config);
    let schema: Value = serde_json::from_str(schema).map_err(|error| format!("is no JSON: {error}"))?;
    let config = match serde_json::from_str::<Value>(config) {
        Ok(config) => config,
        Err(error) => return Ok(vec![Fault::new("", &format!("is no JSON: {error}"))]),
    };
    ENDLESS.ask(asked, || within(TIME_MAX, move || validate(&schema, &config)))
}

/// Schemas and configs that took too long, by their hashes. What is not waited for goes on: it is not begun again.
struct Endless(Mutex<BTreeSet<String>>);

static ENDLESS: Endless = Endless(Mutex::new(BTreeSet::new()));

impl Endless {
    fn ask<T>(&self, of: (&str, &str), check: impl FnOnce() -> Option<Result<T, String>>) -> Result<T, String> {
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let hash = sha256(format!("{}:{}{}", of.0.len(), of.0, of.1).as_bytes());
        let is_known = known().contains(&hash);
        let checked = if is_known { None } else { check() };
        checked.unwrap_or_else(|| {
            let mut known = known();
            if known.len() < ENDLESS_MAX {
                known.insert(hash);
            }
            Err(format!("takes more than {} s of a core to be checked", TIME_MAX.as_secs()))
        })
    }
}

fn validate(schema: &Value, config: &Value) -> Result<Vec<Fault>, String> {
    let patterns = PatternOptions::regex().size_limit(PATTERN_KIB_MAX << 10).dfa_size_limit(PATTERN_KIB_MAX << 10);
    let validator = jsonschema::options().with_pattern_options(patterns).build(schema).map_err(|error| {
        let at = error.instance_path().as_str();
        let at = if at.is_empty() { String::new() } else { format!(" at `{at}`") };
        words::sentence(&format!("is no JSON Schema that can be used{at}: {error}"), MESSAGE_BYTES_MAX)
    })?;
    Ok(validator.iter_errors(config).flat_map(|error| of(&error)).take(FAULTS_MAX).collect())
}

/// A key that nobody knows is told where it stands, and not where it is missing in a list.
fn of(error: &ValidationError) -> Vec<Fault> {
    let path = error.instance_path().as_str();
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            let unknown = |key: &String| Fault::new(&format!("{path}/{}", escaped(key)), "is no key of this plugin");
            unexpected.iter().map(unknown).collect()
        }
        ValidationErrorKind::Required { property } => {
            vec![Fault::new(path, &format!("`{}` is missing", property.as_str().unwrap_or_default()))]
        }
        // a value may be a secret: whoever may see it finds it by the path
        _ => vec![Fault::new(path, &error.masked_with("this").to_string())],
    }
}

/// A key as a part of a JSON pointer.
pub fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r#"{
        "type": "object",
        "properties": {
            "minutes_max": { "type": "integer", "minimum": 1 },
            "airports": { "type": "array", "items": { "type": "string", "pattern": "^[A-Z]{3}$" } },
            "how": { "enum": ["drop", "mark"] }
        },
        "required": ["minutes_max"],
        "additionalProperties": false
    }"#;

    fn said(config: &str) -> Vec<String> {
        let faults = faults(SCHEMA, config).expect("a schema that can be used");
        let mut said: Vec<_> = faults.into_iter().map(|fault| format!("{} {}", fault.path, fault.message)).collect();
        said.sort();
        said
    }

    #[test]
    fn each_fault_has_its_place() {
        assert_eq!(said(r#"{"minutes_max":3,"airports":["JFK"],"how":"drop"}"#), Vec::<String>::new());
        assert_eq!(
            said(r#"{"minute_max":0,"airports":["JFK","jfk"],"how":"x","a/b":1}"#),
            [
                " `minutes_max` is missing",
                "/airports/1 this does not match \"^[A-Z]{3}$\"",
                "/a~1b is no key of this plugin",
                "/how this is not one of \"drop\" or \"mark\"",
                "/minute_max is no key of this plugin",
            ]
        );
        assert_eq!(said(r#"{"minutes_max":0}"#), ["/minutes_max this is less than the minimum of 1"]);
    }

    #[test]
    fn without_a_schema_nothing_is_said() {
        assert_eq!(faults("", "anything"), Ok(vec![]));
    }

    #[test]
    fn a_schema_may_be_bad_too() {
        let bad = |schema: &str| faults(schema, "{}").expect_err(schema);
        assert!(bad("{").starts_with("is no JSON: "));
        assert!(bad(r#"{"type":"objekt"}"#).starts_with("is no JSON Schema that can be used at `/type`: "));
        assert!(bad(r#"{"pattern":"(?=a)b"}"#).contains("at `/pattern`"), "what takes more than linear time");
        assert!(bad(r#"{"$ref":"http://example.com/x.json"}"#).contains("example.com"), "nothing is fetched");
        assert_eq!(bad(&format!("{{\"x\":\"{}\"}}", "x".repeat(65 << 10))), "is 65 KiB, and 64 is the most");
    }

    /// A pipeline that is watched asks again and again.
    #[test]
    fn what_takes_too_long_is_not_begun_again() {
        let (endless, mut begun) = (Endless(Mutex::default()), 0);
        let mut ask = |schema: &str, config: &str, answer: Option<Result<(), String>>| {
            let asked = endless.ask((schema, config), || {
                begun += 1;
                answer
            });
            (asked.map_err(|wrong| wrong.contains("more than 5 s")), begun)
        };
        assert_eq!(ask("a", "1", None), (Err(true), 1));
        assert_eq!(ask("a", "1", None), (Err(true), 1));
        assert_eq!(ask("a", "", Some(Ok(()))), (Ok(()), 2));
        assert_eq!(ask("", "a1", Some(Ok(()))), (Ok(()), 3));
        assert_eq!(ask("b", "1", Some(Err("is wrong".into()))), (Err(false), 4));
        assert_eq!(ask("b", "1", Some(Err("is wrong".into()))), (Err(false), 5));
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        assert_eq!(faults(r##"{"allOf":[{"$ref":"#"}]}"##, "{}"), Ok(vec![]));
    }

    #[test]
    fn many_faults_are_some() {
        let many: Vec<_> = (0..1_000).map(|n| format!("\"k{n}\":1")).collect();
        let found = faults(SCHEMA, &format!("{{\"minutes_max\":1,{}}}", many.join(","))).expect("a schema");
        assert_eq!(found.len(), FAULTS_MAX);
    }
}
