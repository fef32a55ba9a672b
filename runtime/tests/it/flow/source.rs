//! What comes out of Kafka: protocols of the group, metadata as columns, compression, tombstones, fields nobody takes.

use std::time::Duration;

use millrace::kafka::Kept;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::json;

use super::rig::{PATIENCE, Rig, flights, producer_config, request};

fn producer(compression: &str) -> Kept<BaseProducer> {
    producer_config().set("compression.type", compression).create().unwrap()
}

#[test]
fn the_classic_group_protocol_works_too() {
    let mut rig = Rig::new("classic", 2);
    rig.edit("group_protocol = \"consumer\"", "group_protocol = \"classic\"");
    let (messages, ids) = flights(300, "c");
    rig.produce(&messages);
    let mut first = rig.start();
    rig.await_records("response", ids.len(), &mut first);
    // a second member comes, and the first goes
    let mut second = rig.start();
    second.await_word("positions read");
    first.drain();
    let (messages, more) = flights(300, "d");
    rig.produce(&messages);
    rig.await_records("response", ids.len() + more.len(), &mut second);
    second.drain();
    rig.assert_exactly_once(&ids.union(&more).cloned().collect());
}

#[test]
fn what_surrounds_a_message_can_be_columns() {
    let mut rig = Rig::new("metadata", 1);
    rig.edit(
        "# Stages: a row",
        "[source.metadata]\nKey = \"key\"\nWhen = \"timestamp\"\nWhere = \"partition\"\nAt = \"offset\"\nTrace = \"header:trace\"\n\
         \n# Stages: a row",
    );
    let producer = producer("none");
    let (topic, value) = (rig.topic("request"), request("one", json!({})));
    let headers = OwnedHeaders::new()
        .insert(Header { key: "trace", value: Some("first") })
        .insert(Header { key: "trace", value: Some("last") });
    let record = BaseRecord::to(&topic).key("k-1").payload(&value).timestamp(1_367_824_089_000).headers(headers);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.send(BaseRecord::<(), _>::to(&topic).payload(&request("two", json!({})))).map_err(|(e, _)| e).unwrap();
    producer.flush(PATIENCE).unwrap();
    let mut process = rig.start();
    rig.await_records("response", 2, &mut process);
    process.drain();
    let answers = rig.responses();
    assert_eq!(answers[0]["Key"], "k-1");
    assert_eq!(answers[0]["When"], "2013-05-06T07:08:09.000000Z");
    assert_eq!((&answers[0]["Where"], &answers[0]["At"]), (&json!(0), &json!(0)));
    assert_eq!(answers[0]["Trace"], "last");
    assert_eq!((&answers[1]["Key"], &answers[1]["Trace"], &answers[1]["At"]), (&json!(null), &json!(null), &json!(1)));
}

#[test]
fn whatever_a_producer_compresses_with_is_read() {
    let rig = Rig::new("compressed", 1);
    let topic = rig.topic("request");
    let kinds = ["none", "gzip", "snappy", "lz4", "zstd"];
    for kind in kinds {
        let producer = producer(kind);
        producer.send(BaseRecord::<(), _>::to(&topic).payload(&request(kind, json!({})))).map_err(|(e, _)| e).unwrap();
        producer.flush(PATIENCE).unwrap();
    }
    let mut process = rig.start();
    rig.await_records("response", kinds.len(), &mut process);
    process.drain();
    rig.assert_exactly_once(&kinds.iter().map(|kind| kind.to_string()).collect());
}

#[test]
fn a_tombstone_is_a_reject_and_fields_that_nobody_takes_are_counted() {
    let rig = Rig::new("tombstone", 1);
    let (producer, topic) = (producer("none"), rig.topic("request"));
    producer.send(BaseRecord::<str, ()>::to(&topic).key("gone")).map_err(|(error, _)| error).unwrap();
    let value = request("one", json!({ "Gate": "B7", "Crew": { "n": [1, 2, { "deep": "x" }] } }));
    producer.send(BaseRecord::<(), _>::to(&topic).payload(&value)).map_err(|(error, _)| error).unwrap();
    producer.flush(PATIENCE).unwrap();
    producer.poll(Duration::ZERO);
    let mut process = rig.start();
    rig.await_records("response", 1, &mut process);
    let rejects = rig.await_records("rejected", 1, &mut process);
    let said = process.drain();
    let reject = rejects[0].json();
    assert_eq!((&reject["code"], &reject["key"]), (&json!("no_value"), &json!("gone")));
    // FlightNum, Gate and Crew
    assert!(said.contains("ignored 3 fields that the pipeline does not take"), "{said}");
}
