//! The file's JSON Schema, for editors; written by hand beside [`super::file`].
//!
//! Invariant: it knows exactly the keys that the reader knows; a test compares them.

pub const SCHEMA: &str = include_str!("schema.json");

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::SCHEMA;
    use crate::config::{file, train};

    fn keys<'v>(schema: &'v Value, path: &str) -> BTreeSet<&'v str> {
        let properties = schema.pointer(path).unwrap_or_else(|| panic!("the schema has no {path}"));
        properties["properties"].as_object().expect("properties").keys().map(String::as_str).collect()
    }

    #[test]
    fn it_knows_the_keys_that_the_reader_knows() {
        let schema: Value = serde_json::from_str(SCHEMA).expect("JSON");
        let known: [(&str, &[&str]); 23] = [
            ("", file::KEYS),
            ("/properties/source", file::SOURCE_KEYS),
            ("/properties/source/properties/kafka", file::SOURCE_KAFKA_KEYS),
            ("/properties/source/properties/kafka/properties/create", file::CREATE_KEYS),
            ("/properties/batch", file::BATCH_KEYS),
            ("/properties/commit", file::COMMIT_KEYS),
            ("/properties/stages/items", file::STAGE_KEYS),
            ("/properties/stages/items/properties/lookup", file::LOOKUP_KEYS),
            ("/properties/stages/items/properties/plugin", file::PLUGIN_KEYS),
            ("/properties/stages/items/properties/model", file::MODEL_KEYS),
            ("/properties/sinks/additionalProperties", file::SINK_KEYS),
            ("/properties/sinks/additionalProperties/properties/kafka", file::KAFKA_KEYS),
            ("/properties/sinks/additionalProperties/properties/kafka/properties/create", file::CREATE_KEYS),
            ("/properties/sinks/additionalProperties/properties/mongodb", file::MONGODB_KEYS),
            ("/properties/sinks/additionalProperties/properties/hdfs", file::HDFS_KEYS),
            ("/properties/rejects", file::REJECTS_KEYS),
            ("/properties/rejects/properties/kafka", file::REJECTS_KAFKA_KEYS),
            ("/properties/rejects/properties/mongodb", file::REJECTS_MONGODB_KEYS),
            ("/properties/rejects/properties/hdfs", file::HDFS_KEYS),
            ("/properties/rejects/properties/kafka/properties/create", file::CREATE_KEYS),
            ("/properties/status", file::STATUS_KEYS),
            ("/properties/status/properties/create", file::CREATE_KEYS),
            ("/properties/train", train::KEYS),
        ];
        for (path, reader) in known {
            assert_eq!(keys(&schema, path), reader.iter().copied().collect(), "{path}");
        }
    }
}
