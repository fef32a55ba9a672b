//! The limit on services: what librdkafka and the broker do alone, exactly once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use crate::rig::{PATIENCE, Rig, setting};

struct Loop {
    consumer: BaseConsumer,
    producer: BaseProducer,
    request: String,
    response: String,
}

impl Loop {
    fn new(rig: &Rig) -> Loop {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", setting("KAFKA_BROKERS"))
            .set("group.id", &rig.name)
            .set("group.protocol", "consumer")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("fetch.queue.backoff.ms", "5")
            .create()
            .unwrap();
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", setting("KAFKA_BROKERS"))
            .set("transactional.id", &rig.name)
            .set("linger.ms", "0.5")
            .set("queue.buffering.max.messages", "100000")
            .set("delivery.report.only.error", "true")
            .create()
            .unwrap();
        producer.init_transactions(PATIENCE).unwrap();
        let (request, response) = (rig.topic("request"), rig.topic("response"));
        consumer.subscribe(&[&request]).unwrap();
        Loop { consumer, producer, request, response }
    }

    /// One transaction of at most so many rows, begun with the first; false: nothing came.
    fn turn(&self, rows_max: usize, wait: Duration) -> bool {
        let Some(first) = self.consumer.poll(Duration::from_millis(20)) else { return false };
        let deadline = Instant::now() + wait;
        self.producer.begin_transaction().unwrap();
        let (mut message, mut rows, mut next) = (Some(first), 0, 0);
        while let Some(row) = message {
            let row = row.unwrap();
            let record = BaseRecord::<[u8], _>::to(&self.response).payload(row.payload().unwrap());
            self.producer.send(record).unwrap();
            next = row.offset() + 1;
            rows += 1;
            if rows == rows_max {
                break;
            }
            message = self.consumer.poll(deadline.saturating_duration_since(Instant::now()));
        }
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(&self.request, 0, Offset::Offset(next)).unwrap();
        let group = self.consumer.group_metadata().unwrap();
        self.producer.send_offsets_to_transaction(&offsets, &group, PATIENCE).unwrap();
        while self.producer.in_flight_count() > 0 {
            self.producer.poll(Duration::ZERO);
            thread::sleep(Duration::from_micros(100));
        }
        self.producer.commit_transaction(PATIENCE).unwrap();
        true
    }
}

pub fn spawn(rig: &Rig, rows_max: usize, wait: Duration) -> Arc<AtomicBool> {
    let bare = Loop::new(rig);
    let stop = Arc::new(AtomicBool::new(false));
    let stopping = stop.clone();
    thread::spawn(move || {
        while !stopping.load(Ordering::Relaxed) {
            bare.turn(rows_max, wait);
        }
    });
    stop
}
