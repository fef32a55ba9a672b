//! A pipeline on Kafka, MongoDB and HDFS: several processes in one group, each behind wires to the services.

mod brokers;
mod fault;

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use tokio::runtime::Runtime;

use self::brokers::Brokers;
use self::fault::{Fault, Hold, Network, Service, WORKERS_MAX, WORKERS_MIN};
use crate::check::{Observed, Record, of_documents};
use crate::eyes;
use crate::pipeline::{Pipeline, Variant};
use crate::random::Random;
use crate::round::{Feed, Timeline, World};
use crate::wire::{State, Wire};
use crate::worker::{LOOK, PATIENCE, Worker};

const PARTITIONS: i32 = 4;
/// For a look at one output.
const LOOK_MAX: Duration = Duration::from_secs(10);
/// Seeds on one broker, for each on three.
const ONE_BROKER_SEEDS: u64 = 2;
/// Sent while a request is held, or workers are frozen.
const HELD_MESSAGES: u64 = 60;
/// Fewer than would fill a file of the pipeline.
const BUFFERED_MESSAGES: u64 = 12;
/// Longer than a file of the pipeline is open: whoever replaces others has published by then.
const FILES_ROLL: Duration = Duration::from_secs(5);

pub fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run this with ./dev chaos --real, or ./dev test"))
}

/// They stand as long as the process does; brokers have theirs.
static WIRES: LazyLock<HashMap<Service, Wire>> = LazyLock::new(|| {
    let wire = |name: &str, scheme: &str| Wire::to(setting(name).trim_start_matches(scheme).to_owned());
    let said =
        TcpListener::bind(setting("DATANODE_WIRED")).expect("the address that a NameNode tells those who ask by name");
    HashMap::from([
        (Service::Mongodb, wire("MONGODB_URI", "mongodb://")),
        (Service::NameNode, wire("HDFS_URI", "hdfs://")),
        (Service::DataNode, Wire::on(said, setting("DATANODE"))),
    ])
});

/// `services/run COMMAND NAME`.
fn service(command: &str, name: &str) -> Result<(), String> {
    let run = PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("services/run");
    let mut run = Command::new(run);
    run.args([command, name]).arg(setting("MILLRACE_SERVICES")).stdin(Stdio::null());
    let done = run.output().unwrap();
    match done.status.success() {
        true => Ok(()),
        false => Err(format!("services/run {command} {name}: {}", String::from_utf8_lossy(&done.stderr))),
    }
}

pub struct Services {
    brokers: Brokers,
    folder: PathBuf,
    pipeline: Pipeline,
    workers: Vec<Worker>,
    /// Frozen, until the next step.
    replaced: Vec<Worker>,
    started: usize,
    runtime: Runtime,
    producer: BaseProducer,
    /// Of the pipeline's group, without being in it.
    onlooker: BaseConsumer,
}

impl Services {
    pub fn new(folder: PathBuf, seed: u64) -> Services {
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(&folder).unwrap();
        let brokers = if seed.is_multiple_of(ONE_BROKER_SEEDS + 1) { Brokers::three() } else { Brokers::one() };
        brokers.set(State::Flows);
        WIRES.values().for_each(Wire::mend);
        let name = format!("chaos-{seed}-{}", std::process::id());
        let pipeline = Pipeline::new(&name, folder.join("pipeline.toml"), Variant::of(seed));
        let runtime = Runtime::new().unwrap();
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &brokers.addresses).set("group.id", &name).set("enable.idempotence", "true");
        let producer = config.create().unwrap();
        let onlooker = config.create().unwrap();
        let admin: AdminClient<DefaultClientContext> = config.create().unwrap();
        let topics = ["request", "response", "rejected"].map(|role| pipeline.topic(role));
        let topics =
            topics.each_ref().map(|topic| NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(brokers.copies())));
        let made = runtime.block_on(admin.create_topics(&topics, &AdminOptions::new())).unwrap();
        made.into_iter().for_each(|topic| drop(topic.unwrap()));
        Services {
            brokers,
            folder,
            pipeline,
            workers: Vec::new(),
            replaced: Vec::new(),
            started: 0,
            runtime,
            producer,
            onlooker,
        }
    }

    fn run(&mut self) -> Worker {
        self.pipeline.write();
        self.started += 1;
        let wire = |service| &WIRES[&service].address;
        let mut run = Command::new(env!("CARGO_BIN_EXE_millrace"));
        run.arg("run").arg(&self.pipeline.file).arg("--state").arg(self.folder.join("state"));
        run.env("KAFKA_BROKERS", self.brokers.wired())
            .env("MONGODB_URI", format!("mongodb://{}/?directConnection=true", wire(Service::Mongodb)))
            .env("HDFS_URI", format!("hdfs://{}", wire(Service::NameNode)));
        Worker::start(&run, self.folder.join(format!("worker-{}.log", self.started)))
    }

    fn restart(&mut self, worker: usize) {
        self.workers[worker] = self.run();
    }

    fn at(&self, worker: usize) -> usize {
        worker % self.workers.len()
    }

    /// As `services/run` knows it.
    fn name(&self, service: Service, broker: usize) -> &'static str {
        match service {
            Service::Kafka => self.brokers.names[broker],
            Service::Mongodb => "mongodb",
            Service::NameNode => "namenode",
            Service::DataNode => "datanode",
        }
    }

    /// Of the wires to it.
    fn set(&self, service: Service, state: State) {
        match service {
            Service::Kafka => self.brokers.set(state),
            other if matches!(state, State::Cut) => WIRES[&other].cut(),
            other => WIRES[&other].set(state),
        }
    }

    fn network(&self, service: Service, how: Network, ms: u64) {
        self.set(service, how.state());
        sleep(Duration::from_millis(ms));
        self.set(service, State::Flows);
    }

    fn hold(&mut self, hold: Hold, feed: &mut Feed, timeline: &mut Timeline) -> Result<(), String> {
        let Hold { request, arrives, ms, kill } = hold;
        let state = if arrives { State::Mutes } else { State::Holds };
        self.set(request.service(), state(request.is_it()));
        // somebody asks for it now
        feed.send(self, HELD_MESSAGES, timeline)?;
        sleep(Duration::from_millis(ms / 2));
        if let Some(worker) = kill {
            let worker = self.at(worker);
            self.workers[worker].kill_nine();
            self.restart(worker);
        }
        sleep(Duration::from_millis(ms / 2));
        self.set(request.service(), State::Flows);
        Ok(())
    }

    /// As soon as they have committed something. `in_buffers`: all that is in no file is a few rows, which no request is
    /// about: each that waits for an answer is given up by a worker that wakes.
    fn replace(&mut self, in_buffers: bool, feed: &mut Feed, timeline: &mut Timeline) -> Result<(), String> {
        if in_buffers {
            self.await_commits()?;
            sleep(FILES_ROLL);
            feed.send(self, BUFFERED_MESSAGES, timeline)?;
            self.await_commits()?;
        } else {
            let (before, deadline) = (self.committed(), Instant::now() + FILES_ROLL);
            while self.committed() == before && self.ends() != before && Instant::now() < deadline {}
        }
        self.workers.iter().for_each(|worker| worker.signal("STOP"));
        self.replaced.append(&mut self.workers);
        // in every partition, so that the files of who goes on end elsewhere
        for _ in 0..2 * PARTITIONS {
            feed.send(self, HELD_MESSAGES / PARTITIONS as u64, timeline)?;
        }
        let successor = self.run();
        self.workers.push(successor);
        Ok(())
    }

    /// What was sent meanwhile went another way than through those that were replaced: they wake, and then they end.
    fn wake(&mut self) -> Result<(), String> {
        if self.replaced.is_empty() {
            return Ok(());
        }
        self.await_commits()?;
        sleep(FILES_ROLL);
        self.replaced.iter().for_each(|worker| worker.signal("CONT"));
        self.replaced.drain(..).try_for_each(|mut worker| worker.terminate(1, &[0]))
    }

    /// The group's offsets; None: nobody can tell just now, or of a transaction that is not decided.
    fn committed(&self) -> Option<Vec<Offset>> {
        let mut list = TopicPartitionList::new();
        list.add_partition_range(&self.topic(), 0, PARTITIONS - 1);
        let list = self.onlooker.committed_offsets(list, LOOK_MAX).ok()?;
        Some(list.elements().iter().map(|element| element.offset()).collect())
    }

    fn ends(&self) -> Option<Vec<Offset>> {
        let end = |partition| self.onlooker.fetch_watermarks(&self.topic(), partition, LOOK_MAX).ok();
        (0..PARTITIONS).map(|partition| end(partition).map(|(_, end)| Offset::Offset(end))).collect()
    }

    /// Up to the end of the log, by somebody who is awake.
    fn await_commits(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (committed, ends) = (self.committed(), self.ends());
            if ends.is_some() && committed == ends {
                return Ok(());
            }
            self.must_run()?;
            if Instant::now() > deadline {
                return Err(format!(
                    "{committed:?} of {ends:?} committed after {PATIENCE:?}, by one that replaced all"
                ));
            }
            sleep(LOOK);
        }
    }

    fn read(&self, topic: &str) -> Option<Vec<Record>> {
        let consumer = eyes::at_the_beginning(&self.brokers.addresses, topic, PARTITIONS);
        let (mut records, mut ended, deadline) = (Vec::new(), BTreeSet::new(), Instant::now() + LOOK_MAX);
        while ended.len() < PARTITIONS as usize {
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => records.push(Record {
                    partition: message.partition(),
                    offset: message.offset(),
                    value: message.payload().unwrap_or_default().to_vec(),
                }),
                Some(Err(KafkaError::PartitionEOF(partition))) => drop(ended.insert(partition)),
                _ if Instant::now() > deadline => return None,
                _ => {}
            }
        }
        Some(records)
    }

    fn rejects(&self) -> Option<Vec<Record>> {
        match self.pipeline.variant.rejects_are_documents {
            true => {
                within(&self.runtime, self.documents(self.pipeline.rejects())).map(|it| of_documents(it.into_iter()))
            }
            false => self.read(&self.pipeline.topic("rejected")),
        }
    }

    /// Of a collection, with its database.
    async fn documents(&self, collection: String) -> Option<Vec<(String, serde_json::Value)>> {
        let (database, collection) = collection.split_once('.').unwrap();
        let client = mongodb::Client::with_uri_str(setting("MONGODB_URI")).await.ok()?;
        let found = client.database(database).collection::<Document>(collection).find(doc! {}).await.ok()?;
        let documents: Vec<Document> = found.try_collect().await.ok()?;
        let json = |mut document: Document| {
            let id = document.remove("_id").as_ref().and_then(Bson::as_str).unwrap_or_default().to_owned();
            (id, serde_json::to_value(document).unwrap())
        };
        Some(documents.into_iter().map(json).collect())
    }

    async fn files(&self) -> Option<Vec<(String, Vec<u8>)>> {
        let client = hdfs_native::ClientBuilder::new().with_url(setting("HDFS_URI")).build().unwrap();
        let listed = match client.list_status(&self.pipeline.directory(), false).await {
            Ok(listed) => listed,
            Err(hdfs_native::HdfsError::FileNotFound(_)) => Vec::new(),
            Err(_) => return None,
        };
        let mut files = Vec::new();
        for file in listed.into_iter().filter(|file| !file.isdir) {
            let mut reader = client.read(&file.path).await.ok()?;
            let text = reader.read_bytes(reader.file_length()).await.ok()?;
            files.push((file.path.rsplit('/').next().unwrap().to_owned(), text.to_vec()));
        }
        Some(files)
    }
}

fn within<T>(runtime: &Runtime, look: impl Future<Output = Option<T>>) -> Option<T> {
    runtime.block_on(async { tokio::time::timeout(LOOK_MAX, look).await.ok().flatten() })
}

impl World for Services {
    type Fault = Fault;
    const PARTITIONS: u64 = PARTITIONS as u64;
    const MESSAGES_MAX: u64 = 400;
    const TOLD_EVERY: u64 = 1;

    fn draw(&self, random: &mut Random) -> Fault {
        Fault::draw(random, self.brokers.names.len())
    }

    fn kind(&self, fault: &Fault) -> &'static str {
        fault.kind(self.brokers.names.len())
    }

    fn is_kill(fault: &Fault) -> bool {
        matches!(fault, Fault::Kill { .. })
    }

    fn start(&mut self) -> Result<(), String> {
        for _ in 0..WORKERS_MIN {
            let worker = self.run();
            self.workers.push(worker);
        }
        Ok(())
    }

    fn produce(&mut self, partition: i32, messages: &[Vec<u8>]) -> Result<(), String> {
        let topic = self.topic();
        for message in messages {
            let mut record = BaseRecord::<(), _>::to(&topic).partition(partition).payload(message.as_slice());
            while let Err((error, back)) = self.producer.send(record) {
                assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
                self.producer.poll(Duration::from_millis(10));
                record = back;
            }
        }
        self.producer.flush(PATIENCE).map_err(|error| format!("messages were not taken: {error}"))
    }

    fn records(&mut self) -> Option<usize> {
        Some(self.read(&self.pipeline.topic("response"))?.len() + self.rejects()?.len())
    }

    fn act(&mut self, fault: &Fault, feed: &mut Feed, timeline: &mut Timeline) -> Result<(), String> {
        self.wake()?;
        match *fault {
            Fault::Kill { worker } => {
                let worker = self.at(worker);
                self.workers[worker].kill_nine();
                self.restart(worker);
            }
            Fault::Freeze { worker, ms } => {
                let worker = self.at(worker);
                self.workers[worker].signal("STOP");
                sleep(Duration::from_millis(ms));
                self.workers[worker].signal("CONT");
            }
            Fault::Replace { in_buffers } => self.replace(in_buffers, feed, timeline)?,
            Fault::Terminate { worker } => {
                let worker = self.at(worker);
                self.workers[worker].terminate(1, &[0])?;
                self.restart(worker);
            }
            Fault::Join if self.workers.len() < WORKERS_MAX => {
                let worker = self.run();
                self.workers.push(worker);
            }
            Fault::Leave { worker } if self.workers.len() > 1 => {
                let worker = self.at(worker);
                self.workers.swap_remove(worker).terminate(1, &[0])?;
            }
            Fault::Join | Fault::Leave { .. } => timeline.note("as many workers as may be"),
            Fault::Redeploy { kill } => {
                self.pipeline.redeploy();
                for worker in 0..self.workers.len() {
                    match kill {
                        true => self.workers[worker].kill_nine(),
                        false => self.workers[worker].terminate(1, &[0])?,
                    }
                    self.restart(worker);
                }
            }
            Fault::Network { service, how, ms } => self.network(service, how, ms),
            Fault::Hold(hold) => self.hold(hold, feed, timeline)?,
            Fault::ServiceKilled { service: which, broker, ms } => {
                let name = self.name(which, broker);
                service("kill", name)?;
                sleep(Duration::from_millis(ms));
                service("start", name)?;
            }
            Fault::ServiceFrozen { service: which, broker, ms } => {
                let name = self.name(which, broker);
                service("freeze", name)?;
                sleep(Duration::from_millis(ms));
                service("thaw", name)?;
            }
        }
        Ok(())
    }

    fn heal(&mut self) -> Result<(), String> {
        self.wake()
    }

    fn must_run(&mut self) -> Result<(), String> {
        self.workers.iter_mut().try_for_each(Worker::must_run)
    }

    fn observe(&mut self) -> Option<Observed> {
        let (responses, rejects) = (self.read(&self.pipeline.topic("response"))?, self.rejects()?);
        let documents = within(&self.runtime, self.documents(self.pipeline.collection()))?;
        let files = within(&self.runtime, self.files())?;
        Some(Observed {
            documents_of: self.pipeline.variant.documents_of,
            responses,
            rejects,
            documents,
            files,
            log: self.read(&self.topic())?,
        })
    }

    fn topic(&self) -> String {
        self.pipeline.topic("request")
    }

    fn deployed(&self) -> BTreeSet<i64> {
        self.pipeline.deployed()
    }

    fn drain(&mut self) -> Result<(), String> {
        self.workers.iter_mut().try_for_each(|worker| worker.terminate(1, &[0]))
    }
}
