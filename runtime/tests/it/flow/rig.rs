//! One pipeline of its own: names, topics, process, and eyes for every output.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::BufRead;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use millrace::kafka::Kept;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Message};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;
use tokio::runtime::Runtime;

use super::eyes;
use super::wire::Wire;
pub use crate::flights::{flights, repository, request};
pub use crate::process::{PATIENCE, Process};

pub fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run the tests with ./dev test"))
}

/// What is sent is in the topic once, and in its order.
pub fn producer_config() -> millrace::kafka::Config {
    millrace::kafka::producer_config(&setting("KAFKA_BROKERS").as_str().into(), "test")
}

/// `services/run COMMAND NAME`, on the services of these tests; it has to succeed.
pub fn services(command: &str, name: &str) {
    let done = services_run(command, name, &[]);
    assert!(done.status.success(), "{command} {name}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Lines of the files that `pattern` matches on the HDFS `name`, read by Hadoop's own client; none where there is no file.
pub fn lines_on(name: &str, pattern: &str) -> Vec<Value> {
    let read = services_run("fs", name, &["-cat", pattern]).stdout;
    read.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
}

pub fn services_run(command: &str, name: &str, more: &[&str]) -> Output {
    let mut run = Command::new(repository().join("services/run"));
    run.args([command, name, &setting("MILLRACE_SERVICES")]).args(more).output().unwrap()
}

pub struct Rig {
    pub name: String,
    pub folder: PathBuf,
    file: PathBuf,
    pub toml: String,
    runtime: Runtime,
    partitions: i32,
    environment: Vec<(String, String)>,
}

impl Rig {
    /// The shipped pipeline under names of its own, with topics made.
    pub fn new(test: &str, partitions: i32) -> Rig {
        let name = format!("{test}-{}-{}", std::process::id(), nanos());
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(&name);
        fs::create_dir_all(&folder).unwrap();
        let root = repository();
        let toml = fs::read_to_string(root.join("pipelines/flight-delay.toml"))
            .unwrap()
            .replace("\"flight-delay\"", &format!("\"{name}\""))
            .replace("flight-delay-ml-", &format!("{name}-"))
            .replace("flight_delay_ml_response", &name)
            .replace("/user/flight_predictions", &format!("/millrace-test/{name}"))
            .replace("\"../", &format!("\"{}/", root.display()));
        let (file, runtime) = (folder.join("pipeline.toml"), Runtime::new().unwrap());
        let rig = Rig { name, folder, file, toml, runtime, partitions, environment: Vec::new() };
        rig.write();
        for topic in ["request", "response", "rejected"] {
            rig.create_topic(&rig.topic(topic), partitions);
        }
        rig
    }

    pub fn topic(&self, role: &str) -> String {
        format!("{}-{role}", self.name)
    }

    pub fn env(&mut self, name: &str, value: &str) {
        self.environment.push((name.into(), value.into()));
    }

    /// The pipeline's brokers are behind a wire that does this to answers, as long as what is returned is true.
    pub fn alter(
        &mut self,
        starts: bool,
        alter: impl Fn(&[u8], &mut Vec<u8>) + Send + Sync + 'static,
    ) -> Arc<AtomicBool> {
        let is_on = Arc::new(AtomicBool::new(starts));
        let while_on = is_on.clone();
        let alter = move |request: &[u8], answer: &mut Vec<u8>| {
            if while_on.load(Ordering::Acquire) {
                alter(request, answer);
            }
        };
        let here = TcpListener::bind("127.0.0.1:0").unwrap();
        let wire = Wire::to_broker(here, setting("KAFKA_BROKERS"), 0, Arc::new(alter));
        self.env("KAFKA_BROKERS", &wire.address);
        is_on
    }

    /// Replaces text in the pipeline file; it must be there.
    pub fn edit(&mut self, from: &str, to: &str) {
        assert!(self.toml.contains(from), "{from} is not in\n{}", self.toml);
        self.toml = self.toml.replace(from, to);
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        ClientConfig::new().set("bootstrap.servers", setting("KAFKA_BROKERS")).create().unwrap()
    }

    pub fn create_topic(&self, topic: &str, partitions: i32) {
        self.create_topic_of(topic, partitions, "1048588");
    }

    /// One that takes records of so many bytes.
    pub fn create_topic_of(&self, topic: &str, partitions: i32, record_bytes_max: &str) {
        // messages may have timestamps that are years old, and are not for the broker's retention to drop
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1)).set("retention.ms", "-1");
        let new = new.set("max.message.bytes", record_bytes_max);
        let made = self.runtime.block_on(self.admin().create_topics([&new], &AdminOptions::new())).unwrap();
        made.into_iter().for_each(|topic| drop(topic.unwrap()));
        self.await_partitions(topic, partitions as usize);
    }

    /// The controller answers before the broker knows: until then a client may be told what was before.
    fn await_partitions(&self, topic: &str, count: usize) {
        let (admin, deadline) = (self.admin(), Instant::now() + PATIENCE);
        loop {
            let metadata = admin.inner().fetch_metadata(Some(topic), PATIENCE).unwrap();
            let found = metadata.topics()[0].partitions();
            if found.len() == count && found.iter().all(|partition| partition.leader() >= 0) {
                return;
            }
            assert!(Instant::now() < deadline, "{topic}: {} partitions, not {count}", found.len());
        }
    }

    /// Partitions and `retention.ms` of a topic.
    pub fn describe(&self, topic: &str) -> (i32, String) {
        let admin = self.admin();
        let metadata = admin.inner().fetch_metadata(Some(topic), PATIENCE).unwrap();
        let resource = ResourceSpecifier::Topic(topic);
        let described = self.runtime.block_on(admin.describe_configs([&resource], &AdminOptions::new())).unwrap();
        let config = described.into_iter().next().unwrap().unwrap();
        let retention = config.get("retention.ms").and_then(|entry| entry.value.clone()).unwrap();
        (metadata.topics()[0].partitions().len() as i32, retention)
    }

    pub fn delete_topic(&self, topic: &str) {
        let gone = self.runtime.block_on(self.admin().delete_topics(&[topic], &AdminOptions::new())).unwrap();
        gone.into_iter().for_each(|topic| drop(topic.unwrap()));
        self.await_partitions(topic, 0);
    }

    /// The group, and what it has committed.
    pub fn delete_group(&self) {
        let gone = self.runtime.block_on(self.admin().delete_groups(&[&self.name], &AdminOptions::new())).unwrap();
        gone.into_iter().for_each(|group| drop(group.unwrap()));
    }

    /// The request topic gets more partitions.
    pub fn grow(&self, partitions: usize) {
        let topic = self.topic("request");
        let more = NewPartitions::new(&topic, partitions);
        let made = self.runtime.block_on(self.admin().create_partitions([&more], &AdminOptions::new())).unwrap();
        made.into_iter().for_each(|topic| drop(topic.unwrap()));
        self.await_partitions(&topic, partitions);
    }

    /// Retention drops the first messages of the request topic's first partition.
    pub fn drop_before(&self, offset: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic("request"), 0, Offset::Offset(offset)).unwrap();
        let gone = self.runtime.block_on(self.admin().delete_records(&list, &AdminOptions::new())).unwrap();
        gone.elements().iter().for_each(|partition| partition.error().unwrap());
    }

    /// Spreads messages over the partitions in turn; they are in the log when this returns.
    pub fn produce(&self, messages: &[Vec<u8>]) {
        let partition = |index| index as i32 % self.partitions;
        self.send(messages.iter().enumerate().map(|(index, message)| (partition(index), Some(message.as_slice()))));
    }

    pub fn produce_to(&self, partition: i32, messages: &[Vec<u8>]) {
        self.send(messages.iter().map(|message| (partition, Some(message.as_slice()))));
    }

    /// Partition, and value where there is one.
    pub fn send<'m>(&self, messages: impl Iterator<Item = (i32, Option<&'m [u8]>)>) {
        let producer: Kept<BaseProducer> = producer_config().create().unwrap();
        let topic = self.topic("request");
        for (partition, value) in messages {
            let mut record = BaseRecord::<(), [u8]>::to(&topic).partition(partition);
            record.payload = value;
            while let Err((error, back)) = producer.send(record) {
                assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
                producer.poll(Duration::from_millis(10));
                record = back;
            }
            producer.poll(Duration::ZERO);
        }
        producer.flush(PATIENCE).unwrap();
        assert_eq!(producer.in_flight_count(), 0);
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Writes the pipeline file as it is now.
    pub fn write(&self) {
        fs::write(&self.file, &self.toml).unwrap();
    }

    /// One message into the first partition, as a sender that is in a trace.
    pub fn produce_traced(&self, message: &[u8], traceparent: &str) {
        let producer: Kept<BaseProducer> = producer_config().create().unwrap();
        let topic = self.topic("request");
        let headers = OwnedHeaders::new().insert(Header { key: "traceparent", value: Some(traceparent) });
        let record = BaseRecord::<(), _>::to(&topic).partition(0).payload(message).headers(headers);
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.flush(PATIENCE).unwrap();
        assert_eq!(producer.in_flight_count(), 0);
    }

    /// Its archive alone, on the HDFS at `uri`, in files that appear at once; no store.
    pub fn archive_at(&mut self, uri: &str, properties: &str) {
        self.edit("[sinks.store.mongodb]", "[sinks.store]\nenabled = false\n\n[sinks.store.mongodb]");
        self.edit("${HDFS_URI:-hdfs://localhost:9000}", uri);
        self.edit("roll_seconds_max = 60", "roll_seconds_max = 1");
        let table = format!("[sinks.archive.hdfs.properties]\n{properties}\n\n");
        self.edit("# Rows that got no answer", &format!("{table}# Rows that got no answer"));
        self.write();
    }

    /// `millrace check` or `doctor` on its file: exit code, and all that it said.
    pub fn ask(&self, command: &str) -> (Option<i32>, String) {
        let mut asked = Command::new(env!("CARGO_BIN_EXE_millrace"));
        asked.arg(command).arg(&self.file).envs(self.environment.iter().cloned());
        let done = asked.output().unwrap();
        (done.status.code(), String::from_utf8([done.stdout, done.stderr].concat()).unwrap())
    }

    /// Each row once on the HDFS `name`, and no other.
    pub fn must_be_on(&self, name: &str, expected: &BTreeSet<String>) {
        answers("archive", lines_on(name, &format!("{}/*.jsonl", self.directory())), expected);
    }

    /// Waits until as many rows are published there, and each was asked for, once.
    pub fn await_lines_on(&self, name: &str, expected: &BTreeSet<String>, process: &mut Process) {
        let (deadline, pattern) = (Instant::now() + PATIENCE, format!("{}/*.jsonl", self.directory()));
        let mut rows = Vec::new();
        while rows.len() < expected.len() {
            process.must_run();
            assert!(Instant::now() < deadline, "{} of {}; said:\n{}", rows.len(), expected.len(), process.said());
            rows = lines_on(name, &pattern);
        }
        answers("archive", rows, expected);
    }

    pub fn start(&self) -> Process {
        self.start_with(&[])
    }

    pub fn start_with(&self, options: &[&str]) -> Process {
        self.write();
        let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
        command.arg("run").arg(&self.file).arg("--state").arg(self.folder.join("state")).args(options);
        command.envs(self.environment.iter().cloned());
        Process::start(command)
    }

    /// Every committed record of a topic, in the order of each partition.
    pub fn records(&self, role: &str) -> Vec<Record> {
        read_topic(&self.topic(role), self.partitions)
    }

    /// Waits until as many records are in the topic.
    pub fn await_records(&self, role: &str, count: usize, process: &mut Process) -> Vec<Record> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let records = self.records(role);
            if records.len() >= count {
                return records;
            }
            process.must_run();
            assert!(Instant::now() < deadline, "{} of {count} in {role}; said:\n{}", records.len(), process.said());
        }
    }

    pub fn responses(&self) -> Vec<Value> {
        self.records("response").iter().map(Record::json).collect()
    }

    pub fn rejects(&self) -> Vec<Value> {
        self.records("rejected").iter().map(Record::json).collect()
    }

    pub fn documents(&self) -> Vec<mongodb::bson::Document> {
        self.documents_of(&self.name)
    }

    pub fn documents_of(&self, collection: &str) -> Vec<mongodb::bson::Document> {
        self.runtime.block_on(async {
            use futures::TryStreamExt;
            let client = mongodb::Client::with_uri_str(setting("MONGODB_URI")).await.unwrap();
            let collection = client.database("agile_data_science").collection(collection);
            collection.find(mongodb::bson::doc! {}).await.unwrap().try_collect().await.unwrap()
        })
    }

    /// The store's owner has a rule, and an index.
    pub fn rule_the_store(&self, validator: mongodb::bson::Document, unique: &str) {
        self.runtime.block_on(async {
            let client = mongodb::Client::with_uri_str(setting("MONGODB_URI")).await.unwrap();
            let database = client.database("agile_data_science");
            database.create_collection(&self.name).validator(validator).await.unwrap();
            let options = mongodb::options::IndexOptions::builder().unique(true).build();
            let index = mongodb::IndexModel::builder().keys(mongodb::bson::doc! { unique: 1 }).options(options).build();
            let collection = database.collection::<mongodb::bson::Document>(&self.name);
            collection.create_index(index).await.unwrap();
        });
    }

    /// Where files are published.
    pub fn directory(&self) -> String {
        format!("/millrace-test/{}", self.name)
    }

    /// As the superuser.
    pub fn on_hdfs<T>(&self, act: impl AsyncFnOnce(&hdfs_native::Client) -> T) -> T {
        self.runtime.block_on(async {
            let client = hdfs_native::ClientBuilder::new().with_url(setting("HDFS_URI")).build().unwrap();
            act(&client).await
        })
    }

    /// Lines of the published files, in the order of their names.
    pub fn archived(&self) -> Vec<Value> {
        self.published(&self.directory())
    }

    pub fn published(&self, directory: &str) -> Vec<Value> {
        self.on_hdfs(async |client| {
            let mut files: Vec<_> = match client.list_status(directory, false).await {
                Ok(files) => files.into_iter().filter(|file| !file.isdir).map(|file| file.path).collect(),
                Err(hdfs_native::HdfsError::FileNotFound(_)) => Vec::new(),
                Err(error) => panic!("{directory}: {error}"),
            };
            files.sort();
            let mut lines = Vec::new();
            for file in files {
                let mut reader = client.read(&file).await.unwrap();
                let bytes = reader.read_bytes(reader.file_length()).await.unwrap();
                assert!(bytes.ends_with(b"\n"), "{file} ends within a line");
                lines.extend(bytes.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()));
            }
            lines
        })
    }

    /// Lines of a directory and of those in it.
    pub fn published_below(&self, directory: &str) -> Vec<Value> {
        let folders = self.runtime.block_on(async {
            let client = hdfs_native::ClientBuilder::new().with_url(setting("HDFS_URI")).build().unwrap();
            match client.list_status(directory, false).await {
                Ok(found) => found.into_iter().filter(|found| found.isdir).map(|found| found.path).collect(),
                Err(hdfs_native::HdfsError::FileNotFound(_)) => Vec::new(),
                Err(error) => panic!("{directory}: {error}"),
            }
        });
        let all = folders.iter().map(String::as_str).filter(|path| !path.ends_with("_millrace")).chain([directory]);
        all.flat_map(|directory| self.published(directory)).collect()
    }

    /// Moves the published files out of the directory, as a person who rewinds has to.
    pub fn move_files_away(&self) {
        let directory = self.directory();
        let away = format!("{directory}-away");
        self.on_hdfs(async |client| {
            client.mkdirs(&away, 0o755, true).await.unwrap();
            for file in client.list_status(&directory, false).await.unwrap().into_iter().filter(|file| !file.isdir) {
                let name = file.path.rsplit('/').next().unwrap();
                client.rename(&file.path, &format!("{away}/{name}"), false).await.unwrap();
            }
        });
    }

    /// Waits until as many rows are in the collection, and published in the directory: a sink that is behind when the
    /// pipeline drains goes on only at the next start. Files must roll by time for this.
    pub fn await_stored(&self, count: usize, process: &mut Process) {
        let deadline = Instant::now() + PATIENCE;
        let mut stored = (0, 0);
        while stored.0 < count || stored.1 < count {
            process.must_run();
            assert!(Instant::now() < deadline, "{stored:?} of {count} stored; said:\n{}", process.said());
            stored = (self.documents().len(), self.archived().len());
        }
    }

    /// Every request is in every sink once, with one answer and one generation, and nothing else is there.
    pub fn assert_exactly_once(&self, expected: &BTreeSet<String>) {
        let responses = answers("responses", self.responses(), expected);
        let documents = self.documents().into_iter().map(|document| serde_json::to_value(document).unwrap()).collect();
        assert_eq!(responses, answers("documents", documents, expected), "the collection's answers");
        assert_eq!(responses, answers("archive", self.archived(), expected), "the directory's answers");
    }
}

type Answer = (Value, Value);

/// UUID → (prediction, generation), after looking for losses and repeats.
fn answers(place: &str, rows: Vec<Value>, expected: &BTreeSet<String>) -> BTreeMap<String, Answer> {
    let total = rows.len();
    let answers: BTreeMap<_, _> = rows
        .into_iter()
        .map(|row| (row["UUID"].as_str().unwrap().to_owned(), (row["Prediction"].clone(), row["Generation"].clone())))
        .collect();
    let found: BTreeSet<_> = answers.keys().cloned().collect();
    let lost: Vec<_> = expected.difference(&found).take(5).collect();
    assert!(lost.is_empty(), "{place}: lost {lost:?}, {} of {} found", found.len(), expected.len());
    assert_eq!(found.len(), expected.len(), "{place}: rows that nobody asked for");
    assert_eq!(total, found.len(), "{place}: rows that are there twice");
    answers
}

#[derive(Clone, Debug)]
pub struct Record {
    pub key: Option<Vec<u8>>,
    pub value: Vec<u8>,
    pub headers: BTreeMap<String, String>,
}

impl Record {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.value).unwrap()
    }
}

fn read_topic(topic: &str, partitions: i32) -> Vec<Record> {
    let consumer = eyes::at_the_beginning(&setting("KAFKA_BROKERS"), topic, partitions);
    let (mut records, mut ended) = (Vec::new(), BTreeSet::new());
    let deadline = Instant::now() + PATIENCE;
    while ended.len() < partitions as usize {
        match consumer.poll(Duration::from_secs(1)) {
            Some(Ok(message)) => records.push(Record {
                key: message.key().map(<[u8]>::to_vec),
                value: message.payload().unwrap_or_default().to_vec(),
                headers: message.headers().into_iter().flat_map(Headers::iter).map(text).collect(),
            }),
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(ended.insert(partition)),
            Some(Err(error)) => panic!("reading {topic}: {error}"),
            None => assert!(Instant::now() < deadline, "{topic} could not be read to its end"),
        }
    }
    records
}

fn text(header: Header<'_, &[u8]>) -> (String, String) {
    (header.key.to_owned(), String::from_utf8(header.value.unwrap_or_default().to_vec()).unwrap())
}

fn nanos() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos()
}
