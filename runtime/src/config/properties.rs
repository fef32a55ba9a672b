//! Settings of a client's own, by the client's own names: `[source.kafka.properties]`, `[sinks.NAME.hdfs.properties]`.
//!
//! A dotted name is TOML's way of nesting tables: `sasl.password = "…"` and `"sasl.password" = "…"` are one.
//! Invariant: what librdkafka would refuse is refused here, and what the engine sets itself is nobody else's to set.
//! Values may be secrets: no word here repeats one.

use std::collections::BTreeMap;

use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use toml::de::DeValue;

use super::diagnostics::Diagnostic;
use super::reader::{At, Context, Read, Table, Value, in_file_order};
use crate::kafka::{self, Properties};

/// What exactly once, the bounds and the rest of the file rest on. Some are librdkafka's other names of one.
const OURS: &[&str] = &[
    "acks",
    "allow.auto.create.topics",
    "auto.commit.interval.ms",
    "auto.offset.reset",
    "batch.size",
    "bootstrap.servers",
    "client.id",
    "delivery.report.only.error",
    "delivery.timeout.ms",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.gapless.guarantee",
    "enable.idempotence",
    "enable.partition.eof",
    "fetch.max.bytes",
    "fetch.queue.backoff.ms",
    "fetch.wait.max.ms",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "heartbeat.interval.ms",
    "isolation.level",
    "linger.ms",
    "message.max.bytes",
    "message.timeout.ms",
    "metadata.broker.list",
    "partition.assignment.strategy",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "queue.buffering.max.ms",
    "queued.max.messages.kbytes",
    "queued.min.messages",
    "reconnect.backoff.max.ms",
    "request.required.acks",
    "session.timeout.ms",
    "statistics.interval.ms",
    "topic.metadata.refresh.interval.ms",
    "transaction.timeout.ms",
    "transactional.id",
];

/// Of librdkafka.
pub fn of_kafka(table: &Table) -> Read<Properties> {
    let (all, whole) = written(table);
    let mut result = whole;
    for (name, value) in all.iter().filter(|(name, _)| !millrace_brokers::is_ours(&name.value)) {
        result = result.and(kafka_takes(table.cx, name, value));
    }
    // one that could not be read is not one that is missing
    whole.and_then(|()| properties(table.cx, all)).and_then(|properties| result.map(|()| properties))
}

fn properties(cx: &Context, all: Vec<(At<String>, String)>) -> Read<Properties> {
    let spans: BTreeMap<_, _> = all.iter().map(|(name, _)| (name.value.clone(), name.span.clone())).collect();
    Properties::new(map(all)).map_err(|wrong| {
        let said = Diagnostic::error(wrong.to_string()).hiding_values();
        // what is there may be librdkafka's other name of it
        cx.error(if let Some(span) = spans.get(wrong.name) { said.at(span) } else { said })
    })
}

/// Of Hadoop: hdfs-native takes any name, as Hadoop does.
pub fn of_hadoop(table: &Table) -> Read<BTreeMap<String, String>> {
    let (all, result) = written(table);
    result.map(|()| map(all))
}

fn map(all: Vec<(At<String>, String)>) -> BTreeMap<String, String> {
    all.into_iter().map(|(name, value)| (name.value, value)).collect()
}

fn kafka_takes(cx: &Context, name: &At<String>, value: &str) -> Read<()> {
    let wrong = |what: &str, label: String| {
        Err(cx.error(Diagnostic::error(format!("`{}` {what}", name.value)).at(&name.span).label(label).hiding_values()))
    };
    if OURS.contains(&name.value.as_str()) {
        return wrong("is not to be set here", "the pipeline sets it, or a key of its own does".into());
    }
    match ClientConfig::new().set(&name.value, value).create_native_config() {
        Ok(_) => Ok(()),
        Err(KafkaError::ClientConfig(_, why, _, _)) => {
            wrong("is no setting of librdkafka, or not with this value", kafka::without(&why, value))
        }
        Err(_) => wrong("cannot be set", "librdkafka does not say why".into()),
    }
}

/// In the file's order; and whether that is all that is there.
fn written(table: &Table) -> (Vec<(At<String>, String)>, Read<()>) {
    let (mut all, place) = (Vec::new(), table.place("properties"));
    let result = table.get("properties").map_or(Ok(()), |value| flatten(table.cx, value, &place, "", &mut all));
    (all, result)
}

fn flatten<'a>(
    cx: &Context<'a>,
    value: &Value<'a>,
    place: &str,
    above: &str,
    all: &mut Vec<(At<String>, String)>,
) -> Read<()> {
    let mut result = Ok(());
    for (key, value) in in_file_order(cx.entries(value, place)?) {
        let name = format!("{above}{}", key.value);
        let read = match value.get_ref() {
            DeValue::Table(_) => flatten(cx, value, place, &format!("{name}."), all),
            DeValue::String(_) => cx.text(value, place).map(|text| all.push((At::new(name, key.span), text.value))),
            DeValue::Integer(_) => cx.integer(value, place).map(|n| all.push((At::new(name, key.span), n.to_string()))),
            DeValue::Boolean(flag) => {
                all.push((At::new(name, key.span), flag.to_string()));
                Ok(())
            }
            _ => Err(cx.wrong_type(value, &format!("`{name}`"), "a text, a whole number, or true or false")),
        };
        result = result.and(read);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::OURS;

    /// Every name that a client's settings are made with, in the sources themselves.
    #[test]
    fn what_the_engine_sets_is_nobody_elses() {
        let sources = [
            include_str!("../../brokers/src/lib.rs"),
            include_str!("../kafka.rs"),
            include_str!("../resend/sender/kafka.rs"),
            include_str!("../source/group/kafka.rs"),
            include_str!("../source/kafka.rs"),
            include_str!("../sink/kafka.rs"),
            include_str!("../sink/topic.rs"),
            include_str!("../topic/kafka.rs"),
        ];
        let code = |source: &&'static str| source.split("#[cfg(test)]").next();
        let set = sources.iter().filter_map(code).flat_map(|source| source.split(".set(\"").skip(1));
        let names: Vec<_> = set.filter_map(|rest| rest.split('"').next()).collect();
        assert!(names.len() > 25, "{names:?}");
        for name in names {
            // a topic's own
            let is_of_a_topic = ["retention.ms", "max.message.bytes", "cleanup.policy"].contains(&name);
            assert!(is_of_a_topic || OURS.contains(&name), "{name}");
        }
    }
}
