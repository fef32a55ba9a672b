//! One web module with topics and a collection of its own, and the pipeline's side of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use clap::Parser;
use millrace_web::{Catalogue, Settings, serve};
use mongodb::bson::{DateTime, Document, doc};
use mongodb::{Client, Collection};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, Headers};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::http;

/// Long enough for a busy machine; nothing waits for it to pass.
pub const PATIENCE: Duration = Duration::from_secs(90);
pub const CLASSIFY: &str = "/flights/delays/predict/classify_realtime";
pub const FORM: &str = "DepDelay=14&Carrier=AA&FlightDate=2013-12-24&Dest=SFO&FlightNum=1519&Origin=JFK";
const PARTITIONS: i32 = 3;

pub fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run the tests with ./dev test"))
}

pub fn response_path(id: &str) -> String {
    format!("{CLASSIFY}/response/{id}")
}

pub fn events_path(id: &str) -> String {
    format!("/flights/delays/predict/kafka_event_stream/{id}")
}

pub fn fixture(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name).display().to_string()
}

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    settings: Settings,
}

pub struct Rig {
    name: String,
    flags: Vec<String>,
    producer: FutureProducer,
    requests: BaseConsumer,
    pub documents: Collection<Document>,
}

impl Rig {
    pub async fn new(test: &str) -> Rig {
        let rig = Rig::without_topics(test).await;
        for role in ["request", "response", "rejected"] {
            rig.create_topic(role).await;
        }
        rig.begin_reading();
        rig
    }

    pub async fn without_topics(test: &str) -> Rig {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let name = format!("web-{test}-{}", since.as_nanos());
        let mongodb = Client::with_uri_str(setting("MONGODB_URI")).await.unwrap();
        let documents = mongodb.database("millrace_test").collection(&name);
        // as the pipeline does: in transactions
        let producer: FutureProducer = config().set("transactional.id", &name).create().unwrap();
        producer.init_transactions(PATIENCE).unwrap();
        let requests = config().set("group.id", &name).set("enable.auto.commit", "false").create().unwrap();
        Rig { flags: Vec::new(), producer, requests, documents, name }
    }

    pub fn topic(&self, role: &str) -> String {
        format!("{}-{role}", self.name)
    }

    pub async fn create_topic(&self, role: &str) {
        let admin: AdminClient<DefaultClientContext> = config().create().unwrap();
        let topic = self.topic(role);
        let new = NewTopic::new(&topic, PARTITIONS, TopicReplication::Fixed(1));
        admin.create_topics(&[new], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    }

    /// One more flag of the command line.
    pub fn flag(&mut self, name: &str, value: &str) {
        self.flags.extend([format!("--{name}"), value.to_owned()]);
    }

    fn settings(&self) -> Settings {
        let (brokers, mongodb) = (setting("KAFKA_BROKERS"), setting("MONGODB_URI"));
        let topics = ["request", "response", "rejected", "status"].map(|role| self.topic(role));
        let own = [
            ("listen", "127.0.0.1:0"),
            ("brokers", &brokers),
            ("request-topic", &topics[0]),
            ("response-topic", &topics[1]),
            ("rejects-topic", &topics[2]),
            ("status-topic", &topics[3]),
            ("mongodb-uri", &mongodb),
            ("database", "millrace_test"),
            ("collection", &self.name),
            // nobody's, until a test says whose
            ("pipeline-status", "http://127.0.0.1:1"),
            ("model", &fixture("model")),
            ("names", &fixture("names.json")),
        ];
        let own = own.into_iter().filter(|(name, _)| !self.flags.contains(&format!("--{name}")));
        let own = own.flat_map(|(name, value)| [format!("--{name}"), value.to_owned()]);
        let flags = ["web".to_owned()].into_iter().chain(own).chain(self.flags.clone());
        Flags::try_parse_from(flags).unwrap_or_else(|error| panic!("{error}")).settings
    }

    /// Starts the web module, as often as wanted.
    pub async fn web(&self) -> Web {
        let settings = self.settings();
        let catalogue = Catalogue::load(&settings.model, &settings.names).unwrap();
        let listener = TcpListener::bind(settings.listen).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async move { drop(stopped.await) };
        let serving = tokio::spawn(async move { serve(listener, &settings, &catalogue, stopped).await.unwrap() });
        Web { address, stop, serving }
    }

    fn begin_reading(&self) {
        let mut all = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            all.add_partition_offset(&self.topic("request"), partition, Offset::Beginning).unwrap();
        }
        self.requests.assign(&all).unwrap();
    }

    /// The next flight that came to the pipeline.
    pub fn next_request(&self) -> Value {
        let message = self.requests.poll(PATIENCE).expect("a request in time").unwrap();
        let value: Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
        assert_eq!(message.key(), value["UUID"].as_str().map(str::as_bytes));
        value
    }

    /// The headers of the next flight that came to the pipeline.
    pub fn next_headers(&self) -> BTreeMap<String, String> {
        let message = self.requests.poll(PATIENCE).expect("a request in time").unwrap();
        let text = |header: Header<'_, &[u8]>| {
            (header.key.to_owned(), String::from_utf8(header.value.unwrap_or_default().to_vec()).unwrap())
        };
        message.headers().into_iter().flat_map(Headers::iter).map(text).collect()
    }

    pub async fn produce(&self, role: &str, key: &str, value: &str) -> String {
        let place = self.write(role, key, value).await;
        self.producer.commit_transaction(PATIENCE).unwrap();
        place
    }

    /// As if it had been sent a while ago.
    pub async fn produce_before(&self, role: &str, key: &str, value: &str, age_ms: i64) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as i64;
        let topic = self.topic(role);
        self.send(FutureRecord::to(&topic).key(key).payload(value).timestamp(now - age_ms)).await;
    }

    /// The last word of a key: there is none.
    pub async fn take_off(&self, role: &str, key: &str) {
        let topic = self.topic(role);
        self.send(FutureRecord::<_, str>::to(&topic).key(key)).await;
    }

    async fn send(&self, record: FutureRecord<'_, str, str>) {
        self.producer.begin_transaction().unwrap();
        self.producer.send(record, PATIENCE).await.unwrap();
        self.producer.commit_transaction(PATIENCE).unwrap();
    }

    /// Written, and not committed.
    pub async fn take_back(&self, role: &str, key: &str, value: &str) {
        self.write(role, key, value).await;
        self.producer.abort_transaction(PATIENCE).unwrap();
    }

    async fn write(&self, role: &str, key: &str, value: &str) -> String {
        self.producer.begin_transaction().unwrap();
        let topic = self.topic(role);
        let record = FutureRecord::to(&topic).key(key).payload(value);
        let sent = self.producer.send(record, PATIENCE).await.unwrap();
        format!("{topic}-{}-{}", sent.partition, sent.offset)
    }

    /// A prediction as the pipeline writes it; returns where it is.
    pub async fn answer(&self, id: &str, class: usize) -> String {
        self.produce("response", id, &prediction(id, class).to_string()).await
    }

    /// A refusal as the pipeline writes it; returns where it is.
    pub async fn reject(&self, id: &str) -> String {
        let original = json!({ "UUID": id, "Carrier": "AA" }).to_string();
        let record = json!({
            "pipeline": "flight-delay", "generation": "g", "stage": "features", "code": "no_distance",
            "reason": "no distance is known from JFK to SFO", "topic": self.topic("request"), "partition": 0,
            "offset": 0, "timestamp": null, "key": id, "original": original,
        });
        self.produce("rejected", id, &record.to_string()).await
    }

    pub async fn store(&self, id: &str, class: i64) {
        let day = DateTime::parse_rfc3339_str("2013-12-24T00:00:00Z").unwrap();
        let model_date = DateTime::parse_rfc3339_str("2013-12-31T00:00:00Z").unwrap();
        let document = doc! {
            "_id": format!("flight-delay/{}/0/{id}", self.name), "Origin": "JFK", "Dest": "SFO", "Carrier": "AA",
            "DepDelay": 14.0, "FlightDate": day, "Distance": 2586.0, "UUID": id, "Prediction": class,
            "Probability": [0.08, 0.27, 0.45, 0.2], "ModelDate": model_date, "SeasonKnown": false,
        };
        self.documents.insert_one(document).await.unwrap();
    }
}

pub fn prediction(id: &str, class: usize) -> Value {
    json!({
        "Origin": "JFK", "Dest": "SFO", "Carrier": "AA", "DepDelay": 14.0, "FlightDate": "2013-12-24",
        "DayOfWeek": 2, "DayOfYear": 358, "DayOfMonth": 24, "Distance": 2586.0, "Route": "JFK-SFO",
        "Timestamp": "2013-12-24T10:00:00.000Z", "UUID": id, "Prediction": class,
        "Probability": [0.08, 0.27, 0.45, 0.2], "ModelDate": "2013-12-31", "SeasonKnown": false,
    })
}

fn config() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", setting("KAFKA_BROKERS"));
    config
}

pub struct Web {
    pub address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Web {
    /// Sends a flight as the old form does, and returns its id.
    pub async fn send(&self) -> String {
        let answer = http::post(self.address, CLASSIFY, FORM).await;
        assert_eq!(answer.code, 200, "{}", answer.text);
        answer.json()["id"].as_str().expect("an id").to_owned()
    }

    pub async fn response(&self, id: &str) -> Value {
        http::get(self.address, &response_path(id)).await.json()
    }

    pub async fn events(&self, id: &str) -> http::Events {
        http::events(self.address, &events_path(id), None).await
    }

    pub async fn stop(self) {
        self.stop.send(()).expect("it serves");
        self.serving.await.expect("it ended well");
    }
}
