//! A pipeline on Kafka, MongoDB and HDFS: several processes in one group, each behind wires to the services.

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
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Message};
use tokio::runtime::Runtime;

use crate::check::{Observed, Record};
use crate::eyes;
use crate::pipeline::Pipeline;
use crate::random::Random;
use crate::round::{Timeline, World};
use crate::wire::{State, Wire};
use crate::worker::{PATIENCE, Worker};

const PARTITIONS: i32 = 4;
const WORKERS_MIN: usize = 2;
const WORKERS_MAX: usize = 3;
/// Some freezes are longer than the group waits: `group.consumer.session.timeout.ms` of services/kafka is 6 s.
const FREEZE_MS_MAX: u64 = 9_000;
/// Longer than a sink's timeout, and than a transaction's.
const HELD_MS_MAX: u64 = 12_000;
/// For a look at one output.
const LOOK_MAX: Duration = Duration::from_secs(10);

pub fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run this with ./dev chaos --real, or ./dev test"))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    Kafka,
    Mongodb,
    NameNode,
    DataNode,
}

impl Service {
    fn name(self) -> &'static str {
        match self {
            Service::Kafka => "kafka",
            Service::Mongodb => "mongodb",
            Service::NameNode => "namenode",
            Service::DataNode => "datanode",
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub enum Network {
    Cut,
    Frozen,
    Slow(u64),
    HalfOpen,
}

/// A request in the middle of a step.
#[derive(Clone, Copy, Debug)]
pub enum Request {
    EndTransaction,
    OffsetsOfTransaction,
    Documents,
    Cursor,
    Rename,
}

impl Request {
    fn service(self) -> Service {
        match self {
            Request::EndTransaction | Request::OffsetsOfTransaction => Service::Kafka,
            Request::Documents | Request::Cursor => Service::Mongodb,
            Request::Rename => Service::NameNode,
        }
    }

    fn is_it(self) -> fn(&[u8]) -> bool {
        match self {
            Request::EndTransaction => |bytes| kafka_request(bytes) == Some(26),
            Request::OffsetsOfTransaction => |bytes| kafka_request(bytes) == Some(28),
            Request::Documents => |bytes| holds(bytes, b"\x02insert\0"),
            Request::Cursor => |bytes| holds(bytes, b"$max\0"),
            Request::Rename => |bytes| holds(bytes, b"rename2"),
        }
    }
}

/// The key of a request's kind: after its length.
fn kafka_request(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(4)?, *bytes.get(5)?]))
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[derive(Debug)]
pub enum Fault {
    Kill {
        worker: usize,
    },
    /// Longer than the group waits, it wakes as a zombie.
    Freeze {
        worker: usize,
        ms: u64,
    },
    Terminate {
        worker: usize,
    },
    Join,
    Leave {
        worker: usize,
    },
    /// One worker after the other.
    Redeploy,
    Network {
        service: Service,
        how: Network,
        ms: u64,
    },
    /// And perhaps the worker that waits for it is killed.
    Hold {
        request: Request,
        ms: u64,
        kill: Option<usize>,
    },
    ServiceKilled {
        service: Service,
        ms: u64,
    },
    ServiceFrozen {
        service: Service,
        ms: u64,
    },
}

/// They stand as long as the process does: the broker tells its clients one address.
static WIRES: LazyLock<HashMap<Service, Wire>> = LazyLock::new(|| {
    let host = |name: &str, scheme: &str| setting(name).trim_start_matches(scheme).to_owned();
    let kafka = TcpListener::bind(setting("KAFKA_WIRED")).expect("the address that the broker tells its clients");
    HashMap::from([
        (Service::Kafka, Wire::on(kafka, setting("KAFKA_WIRE"))),
        (Service::Mongodb, Wire::to(host("MONGODB_URI", "mongodb://"))),
        (Service::NameNode, Wire::to(host("HDFS_URI", "hdfs://"))),
    ])
});

pub struct Services {
    folder: PathBuf,
    pipeline: Pipeline,
    workers: Vec<Worker>,
    started: usize,
    runtime: Runtime,
    producer: BaseProducer,
}

impl Services {
    pub fn new(folder: PathBuf, seed: u64) -> Services {
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(&folder).unwrap();
        WIRES.values().for_each(Wire::mend);
        let name = format!("chaos-{seed}-{}", std::process::id());
        let pipeline = Pipeline::new(&name, folder.join("pipeline.toml"));
        let (runtime, brokers) = (Runtime::new().unwrap(), setting("KAFKA_BROKERS"));
        let producer =
            ClientConfig::new().set("bootstrap.servers", &brokers).set("enable.idempotence", "true").create().unwrap();
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &brokers).create().unwrap();
        let topics = ["request", "response", "rejected"].map(|role| pipeline.topic(role));
        let topics = topics.each_ref().map(|topic| NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(1)));
        let made = runtime.block_on(admin.create_topics(&topics, &AdminOptions::new())).unwrap();
        made.into_iter().for_each(|topic| drop(topic.unwrap()));
        Services { folder, pipeline, workers: Vec::new(), started: 0, runtime, producer }
    }

    fn run(&mut self) -> Worker {
        self.pipeline.write();
        self.started += 1;
        let wire = |service| &WIRES[&service].address;
        let mut run = Command::new(env!("CARGO_BIN_EXE_millrace"));
        run.arg("run").arg(&self.pipeline.file).arg("--state").arg(self.folder.join("state"));
        run.env("KAFKA_BROKERS", wire(Service::Kafka))
            .env("MONGODB_URI", format!("mongodb://{}/?directConnection=true", wire(Service::Mongodb)))
            .env("HDFS_URI", format!("hdfs://{}", wire(Service::NameNode)));
        Worker::start(&mut run, self.folder.join(format!("worker-{}.log", self.started)))
    }

    fn restart(&mut self, worker: usize) {
        self.workers[worker] = self.run();
    }

    fn at(&self, worker: usize) -> usize {
        worker % self.workers.len()
    }

    /// `services/run COMMAND NAME`.
    fn service(&self, command: &str, service: Service) -> Result<(), String> {
        let run = PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("services/run");
        let mut run = Command::new(run);
        run.args([command, service.name()]).arg(setting("MILLRACE_SERVICES")).stdin(Stdio::null());
        let done = run.output().unwrap();
        match done.status.success() {
            true => Ok(()),
            false => {
                Err(format!("services/run {command} {}: {}", service.name(), String::from_utf8_lossy(&done.stderr)))
            }
        }
    }

    fn network(&self, service: Service, how: Network, ms: u64) {
        let wire = &WIRES[&service];
        match how {
            Network::Cut => wire.cut(),
            Network::Frozen => wire.freeze(),
            Network::Slow(ms) => wire.set(State::Slow(Duration::from_millis(ms))),
            Network::HalfOpen => wire.set(State::HalfOpen),
        }
        sleep(Duration::from_millis(ms));
        wire.mend();
    }

    fn hold(&mut self, request: Request, ms: u64, kill: Option<usize>) {
        let wire = &WIRES[&request.service()];
        wire.set(State::Holds(request.is_it()));
        sleep(Duration::from_millis(ms / 2));
        if let Some(worker) = kill {
            let worker = self.at(worker);
            self.workers[worker].kill_nine();
            self.restart(worker);
        }
        sleep(Duration::from_millis(ms / 2));
        wire.mend();
    }

    fn read(&self, topic: &str) -> Option<Vec<Record>> {
        let consumer = eyes::at_the_beginning(&setting("KAFKA_BROKERS"), topic, PARTITIONS);
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

    async fn documents(&self) -> Option<Vec<(String, serde_json::Value)>> {
        let collection = self.pipeline.collection();
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

    fn draw(random: &mut Random) -> Fault {
        let worker = random.below(WORKERS_MAX as u64) as usize;
        let wired = [Service::Kafka, Service::Mongodb, Service::NameNode];
        let service = wired[random.below(3) as usize];
        match random.below(22) {
            0..=3 => Fault::Kill { worker },
            4..=6 => Fault::Freeze { worker, ms: random.within(100, FREEZE_MS_MAX) },
            7 => Fault::Terminate { worker },
            8 => Fault::Join,
            9 => Fault::Leave { worker },
            10..=11 => Fault::Redeploy,
            12..=14 => {
                let slow = random.within(5, 200);
                let how = [Network::Cut, Network::Frozen, Network::Slow(slow), Network::HalfOpen];
                Fault::Network { service, how: how[random.below(4) as usize], ms: random.within(200, HELD_MS_MAX / 2) }
            }
            15..=18 => {
                let requests = [
                    Request::EndTransaction,
                    Request::OffsetsOfTransaction,
                    Request::Documents,
                    Request::Cursor,
                    Request::Rename,
                ];
                let kill = (random.below(2) == 0).then_some(worker);
                let request = requests[random.below(5) as usize];
                Fault::Hold { request, ms: random.within(500, HELD_MS_MAX), kill }
            }
            kind => {
                let service = [service, Service::DataNode][random.below(2) as usize];
                let ms = random.within(200, HELD_MS_MAX / 2);
                if kind < 20 { Fault::ServiceKilled { service, ms } } else { Fault::ServiceFrozen { service, ms } }
            }
        }
    }

    fn kind(fault: &Fault) -> &'static str {
        match fault {
            Fault::Kill { .. } => "kill -9",
            Fault::Freeze { .. } => "SIGSTOP, SIGCONT",
            Fault::Terminate { .. } => "SIGTERM",
            Fault::Join => "a worker joins",
            Fault::Leave { .. } => "a worker leaves",
            Fault::Redeploy => "rolling redeploy",
            Fault::Network { how, .. } => match how {
                Network::Cut => "network cut",
                Network::Frozen => "network frozen",
                Network::Slow(_) => "network slow",
                Network::HalfOpen => "network half-open",
            },
            Fault::Hold { request, .. } => match request {
                Request::EndTransaction => "EndTxn held",
                Request::OffsetsOfTransaction => "TxnOffsetCommit held",
                Request::Documents => "documents held",
                Request::Cursor => "cursor held",
                Request::Rename => "rename held",
            },
            Fault::ServiceKilled { service, .. } => match service {
                Service::Kafka => "Kafka killed",
                Service::Mongodb => "MongoDB killed",
                Service::NameNode => "NameNode killed",
                Service::DataNode => "DataNode killed",
            },
            Fault::ServiceFrozen { service, .. } => match service {
                Service::Kafka => "Kafka frozen",
                Service::Mongodb => "MongoDB frozen",
                Service::NameNode => "NameNode frozen",
                Service::DataNode => "DataNode frozen",
            },
        }
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
        let count = |role| self.read(&self.pipeline.topic(role)).map(|records| records.len());
        Some(count("response")? + count("rejected")?)
    }

    fn act(&mut self, fault: &Fault, timeline: &mut Timeline) -> Result<(), String> {
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
            Fault::Redeploy => {
                self.pipeline.redeploy();
                for worker in 0..self.workers.len() {
                    self.workers[worker].terminate(1, &[0])?;
                    self.restart(worker);
                }
            }
            Fault::Network { service, how, ms } => self.network(service, how, ms),
            Fault::Hold { request, ms, kill } => self.hold(request, ms, kill),
            Fault::ServiceKilled { service, ms } => {
                self.service("kill", service)?;
                sleep(Duration::from_millis(ms));
                self.service("start", service)?;
            }
            Fault::ServiceFrozen { service, ms } => {
                self.service("freeze", service)?;
                sleep(Duration::from_millis(ms));
                self.service("thaw", service)?;
            }
        }
        Ok(())
    }

    fn heal(&mut self) -> Result<(), String> {
        Ok(())
    }

    fn must_run(&mut self) -> Result<(), String> {
        self.workers.iter_mut().try_for_each(Worker::must_run)
    }

    fn observe(&mut self) -> Option<Observed> {
        let (responses, rejects) =
            (self.read(&self.pipeline.topic("response"))?, self.read(&self.pipeline.topic("rejected"))?);
        let (documents, files) = (within(&self.runtime, self.documents())?, within(&self.runtime, self.files())?);
        Some(Observed { responses, rejects, documents, files, log: self.read(&self.topic())? })
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
