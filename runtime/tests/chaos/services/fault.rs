//! What can happen to a pipeline on services, drawn from a seed.

use std::time::Duration;

use crate::random::Random;
use crate::wire::State;

pub const WORKERS_MIN: usize = 2;
pub const WORKERS_MAX: usize = 3;
/// Some freezes are longer than the group waits: `group.consumer.session.timeout.ms` of services/kafka is 6 s.
const FREEZE_MS_MAX: u64 = 9_000;
/// Longer than a sink's timeout, and than a transaction's.
const HELD_MS_MAX: u64 = 12_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    Kafka,
    Mongodb,
    NameNode,
    DataNode,
}

#[derive(Clone, Copy, Debug)]
pub enum Network {
    Cut,
    Frozen,
    Slow(u64),
    HalfOpen,
}

impl Network {
    pub fn state(self) -> State {
        match self {
            Network::Cut => State::Cut,
            Network::Frozen => State::Frozen,
            Network::Slow(ms) => State::Slow(Duration::from_millis(ms)),
            Network::HalfOpen => State::HalfOpen,
        }
    }
}

/// A request in the middle of a step.
#[derive(Clone, Copy, Debug)]
pub enum Request {
    EndTransaction,
    OffsetsOfTransaction,
    Documents,
    Cursor,
    Rename,
    Block,
}

impl Request {
    pub fn service(self) -> Service {
        match self {
            Request::EndTransaction | Request::OffsetsOfTransaction => Service::Kafka,
            Request::Documents | Request::Cursor => Service::Mongodb,
            Request::Rename => Service::NameNode,
            Request::Block => Service::DataNode,
        }
    }

    pub fn is_it(self) -> fn(&[u8]) -> bool {
        match self {
            Request::EndTransaction => |bytes| kafka_request(bytes) == Some(26),
            Request::OffsetsOfTransaction => |bytes| kafka_request(bytes) == Some(28),
            Request::Documents => |bytes| holds(bytes, b"\x02insert\0"),
            Request::Cursor => |bytes| holds(bytes, b"$max\0"),
            Request::Rename => |bytes| holds(bytes, b"rename2"),
            Request::Block => |bytes| bytes.starts_with(&WRITE_BLOCK),
        }
    }
}

/// Version and kind of what is asked of a DataNode.
const WRITE_BLOCK: [u8; 3] = [0, 28, 80];

/// The key of a request's kind: after its length.
fn kafka_request(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(4)?, *bytes.get(5)?]))
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// It waits on its way, or its answer does; and perhaps the worker that asks is killed.
#[derive(Clone, Copy, Debug)]
pub struct Hold {
    pub request: Request,
    pub arrives: bool,
    pub ms: u64,
    pub kill: Option<usize>,
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
    /// Every worker is frozen in the middle of what it does, and another one goes on; with the next step they wake as zombies.
    Replace {
        in_buffers: bool,
    },
    Terminate {
        worker: usize,
    },
    Join,
    Leave {
        worker: usize,
    },
    /// One worker after the other.
    Redeploy {
        kill: bool,
    },
    Network {
        service: Service,
        how: Network,
        ms: u64,
    },
    Hold(Hold),
    /// Of several brokers, this one.
    ServiceKilled {
        service: Service,
        broker: usize,
        ms: u64,
    },
    ServiceFrozen {
        service: Service,
        broker: usize,
        ms: u64,
    },
}

impl Fault {
    pub fn draw(random: &mut Random, brokers: usize) -> Fault {
        let worker = random.below(WORKERS_MAX as u64) as usize;
        let all = [Service::Kafka, Service::Mongodb, Service::NameNode, Service::DataNode];
        let service = all[random.below(4) as usize];
        let broker = random.below(brokers as u64) as usize;
        // with several brokers, one of them is what most schedules are about
        match random.below(if brokers == 1 { 24 } else { 30 }) {
            0..=3 => Fault::Kill { worker },
            4..=6 => Fault::Freeze { worker, ms: random.within(100, FREEZE_MS_MAX) },
            7 => Fault::Terminate { worker },
            8 => Fault::Join,
            9 => Fault::Leave { worker },
            10..=11 => Fault::Redeploy { kill: random.below(2) == 0 },
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
                    Request::Block,
                ];
                let kill = (random.below(2) == 0).then_some(worker);
                let request = requests[random.below(6) as usize];
                let arrives = random.below(2) == 0;
                Fault::Hold(Hold { request, arrives, ms: random.within(500, HELD_MS_MAX), kill })
            }
            19..=20 => Fault::Replace { in_buffers: random.below(2) == 0 },
            kind => {
                let service = if kind < 24 { service } else { Service::Kafka };
                let ms = random.within(200, HELD_MS_MAX / 2);
                match kind % 3 {
                    0 => Fault::ServiceFrozen { service, broker, ms },
                    _ => Fault::ServiceKilled { service, broker, ms },
                }
            }
        }
    }

    pub fn kind(&self, brokers: usize) -> &'static str {
        match self {
            Fault::Kill { .. } => "kill -9",
            Fault::Freeze { .. } => "SIGSTOP, SIGCONT",
            Fault::Replace { .. } => "all replaced, then awake",
            Fault::Terminate { .. } => "SIGTERM",
            Fault::Join => "a worker joins",
            Fault::Leave { .. } => "a worker leaves",
            Fault::Redeploy { kill: false } => "rolling redeploy",
            Fault::Redeploy { kill: true } => "rolling redeploy by kill -9",
            Fault::Network { how, .. } => match how {
                Network::Cut => "network cut",
                Network::Frozen => "network frozen",
                Network::Slow(_) => "network slow",
                Network::HalfOpen => "network half-open",
            },
            Fault::Hold(Hold { request, arrives, .. }) => match (request, arrives) {
                (Request::EndTransaction, false) => "EndTxn held",
                (Request::EndTransaction, true) => "EndTxn's answer held",
                (Request::OffsetsOfTransaction, false) => "TxnOffsetCommit held",
                (Request::OffsetsOfTransaction, true) => "TxnOffsetCommit's answer held",
                (Request::Documents, false) => "documents held",
                (Request::Documents, true) => "documents' answer held",
                (Request::Cursor, false) => "cursor held",
                (Request::Cursor, true) => "cursor's answer held",
                (Request::Rename, false) => "rename held",
                (Request::Rename, true) => "rename's answer held",
                (Request::Block, false) => "block of a file held",
                (Request::Block, true) => "block's answer held",
            },
            Fault::ServiceKilled { service, .. } => match service {
                Service::Kafka if brokers > 1 => "one of three brokers killed",
                Service::Kafka => "Kafka killed",
                Service::Mongodb => "MongoDB killed",
                Service::NameNode => "NameNode killed",
                Service::DataNode => "DataNode killed",
            },
            Fault::ServiceFrozen { service, .. } => match service {
                Service::Kafka if brokers > 1 => "one of three brokers frozen",
                Service::Kafka => "Kafka frozen",
                Service::Mongodb => "MongoDB frozen",
                Service::NameNode => "NameNode frozen",
                Service::DataNode => "DataNode frozen",
            },
        }
    }
}
