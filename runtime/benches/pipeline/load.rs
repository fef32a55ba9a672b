//! What goes into Kafka, and what is measured there from outside.

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use millrace::kafka::Kept;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use crate::figures;
use crate::rig::{PATIENCE, Rig, flights, producer_config, setting};

/// Readers and groups find each other in the first rows' time: these are not counted.
pub const WARM_UP: Duration = Duration::from_secs(3);

fn eyes(group: &str) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", setting("KAFKA_BROKERS"))
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .create()
        .unwrap()
}

/// How many rows of the request topic are committed, at each look.
pub fn committed(rig: &Rig) -> impl Fn() -> u64 {
    let (consumer, topic) = (eyes(&rig.name), rig.topic("request"));
    move || {
        let mut list = TopicPartitionList::new();
        list.add_partition(&topic, 0);
        // a broker that is overloaded may be its groups' coordinator only a moment later
        let deadline = Instant::now() + PATIENCE;
        let committed = loop {
            match consumer.committed_offsets(list.clone(), PATIENCE) {
                Ok(committed) => break committed,
                Err(error) => assert!(Instant::now() < deadline, "the group's offset: {error}"),
            }
        };
        match committed.elements()[0].offset() {
            Offset::Offset(offset) => offset as u64,
            _ => 0,
        }
    }
}

/// Rows a second between the first commit that is seen and the last.
pub fn rate(rig: &Rig, rows: usize) -> f64 {
    figures::rate(rows, committed(rig))
}

/// Milliseconds from produce to response for each of the rows, at 1,000 a second.
pub fn pace(rig: &Rig, time: Duration) -> Vec<f64> {
    let (messages, _) = flights(time.as_secs() as usize * 1000, "paced");
    let count = messages.len();
    let (request, response) = (rig.topic("request"), rig.topic("response"));
    let reader = thread::spawn(move || arrivals(&response, count));
    let producer: Kept<BaseProducer> = producer_config().set("linger.ms", "0").create().unwrap();
    let (start, mut sent) = (Instant::now(), HashMap::new());
    let warm = start + WARM_UP;
    for (index, message) in messages.iter().enumerate() {
        let due = start + Duration::from_millis(index as u64);
        producer.poll(Duration::ZERO);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        sent.insert(id(message), Instant::now());
        producer.send(BaseRecord::<(), _>::to(&request).payload(message.as_slice())).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    let arrived = reader.join().unwrap();
    let counted = arrived.iter().filter(|(id, _)| sent[id] >= warm);
    counted.map(|(id, at)| at.duration_since(sent[id]).as_secs_f64() * 1000.0).collect()
}

pub fn id(message: &[u8]) -> String {
    let row: serde_json::Value = serde_json::from_slice(message).unwrap();
    row["UUID"].as_str().unwrap().to_owned()
}

fn arrivals(topic: &str, count: usize) -> Vec<(String, Instant)> {
    let consumer = eyes("eyes");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    let mut arrived = Vec::with_capacity(count);
    let deadline = Instant::now() + PATIENCE;
    while arrived.len() < count {
        assert!(Instant::now() < deadline, "{} of {count} arrived", arrived.len());
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            arrived.push((id(message.unwrap().payload().unwrap()), Instant::now()));
        }
    }
    arrived
}
