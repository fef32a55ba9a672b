//! Coordinators in trouble: each request of a transaction is answered by an error, by nothing, or is not taken at all.
//!
//! On a real broker what was asked for happens, and its answer is altered on its way: whoever takes an error for
//! "it did not happen" loses or repeats rows, and a reader of what is committed sees it. librdkafka's mock cluster, the other
//! way, does not do what it refuses. It fences nobody, shows every row to everybody, and keeps no offsets of
//! transactions: there only the order of requests and the kinds of errors say something.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey as Api, RDKafkaRespErr as Code};

use super::super::logs::kafka::Kafka;
use super::super::logs::{Logs, member, plan};
use super::super::{PATIENCE, SHORT, TIMEOUT, fresh_name};
use super::{OUT, advance, assert_committed, logs, must_be_retry, row, topic};
use crate::error::Result;
use crate::plan::{GroupProtocol, SourcePlan};
use crate::sink::kafka::Transactions;
use crate::sink::transaction::Transactions as Either;
use crate::source::Membership;
use wire::Wire;

#[allow(dead_code, reason = "other tests need more of it")]
#[path = "../../../tests/it/flow/wire.rs"]
mod wire;

/// Before the trouble, in it, and after it.
const ENDS: [i64; 3] = [3, 6, 9];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Trouble {
    /// One answer is this error.
    Error(Code),
    /// One answer does not come in time.
    Silence,
}

/// Whose matter it is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    /// librdkafka asks again, and nobody hears of it.
    Client,
    /// The producer is gone; its successor takes the same id.
    Successor,
}

use Api::{AddOffsetsToTxn, AddPartitionsToTxn, EndTxn, InitProducerId, TxnOffsetCommit};
use Code::*;

const TROUBLES: [(Api, Trouble, By); 27] = [
    (InitProducerId, Trouble::Error(RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS), By::Client),
    (InitProducerId, Trouble::Error(RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS), By::Client),
    (InitProducerId, Trouble::Error(RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED), By::Successor),
    (InitProducerId, Trouble::Error(RD_KAFKA_RESP_ERR_PRODUCER_FENCED), By::Successor),
    (InitProducerId, Trouble::Silence, By::Successor),
    (AddPartitionsToTxn, Trouble::Error(RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE), By::Client),
    (AddPartitionsToTxn, Trouble::Error(RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS), By::Client),
    (AddPartitionsToTxn, Trouble::Error(RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED), By::Successor),
    (AddPartitionsToTxn, Trouble::Error(RD_KAFKA_RESP_ERR_INVALID_TXN_STATE), By::Successor),
    (AddPartitionsToTxn, Trouble::Error(RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH), By::Successor),
    (AddPartitionsToTxn, Trouble::Silence, By::Successor),
    (AddOffsetsToTxn, Trouble::Error(RD_KAFKA_RESP_ERR_NOT_COORDINATOR), By::Client),
    (AddOffsetsToTxn, Trouble::Error(RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED), By::Successor),
    (AddOffsetsToTxn, Trouble::Error(RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING), By::Successor),
    (AddOffsetsToTxn, Trouble::Error(RD_KAFKA_RESP_ERR_PRODUCER_FENCED), By::Successor),
    (AddOffsetsToTxn, Trouble::Silence, By::Successor),
    (TxnOffsetCommit, Trouble::Error(RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS), By::Client),
    (TxnOffsetCommit, Trouble::Error(RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED), By::Successor),
    (TxnOffsetCommit, Trouble::Error(RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID), By::Successor),
    (TxnOffsetCommit, Trouble::Error(RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION), By::Successor),
    (TxnOffsetCommit, Trouble::Error(RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID), By::Successor),
    (TxnOffsetCommit, Trouble::Silence, By::Successor),
    (EndTxn, Trouble::Error(RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE), By::Client),
    (EndTxn, Trouble::Error(RD_KAFKA_RESP_ERR_INVALID_TXN_STATE), By::Successor),
    (EndTxn, Trouble::Error(RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED), By::Successor),
    (EndTxn, Trouble::Error(RD_KAFKA_RESP_ERR_PRODUCER_FENCED), By::Successor),
    (EndTxn, Trouble::Silence, By::Successor),
];

/// A request that was answered.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Asked {
    api: Api,
    aborts: bool,
}

/// A broker behind a wire, which hears what is asked, and alters one answer when it is told to.
struct Scene {
    plan: SourcePlan,
    asked: Arc<Mutex<Vec<Asked>>>,
    /// The next answer to this request is altered.
    next: Arc<Mutex<Option<(Api, Trouble)>>>,
}

impl Scene {
    fn new(plan: &SourcePlan) -> Scene {
        let (asked, next) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(None)));
        let (hears, alters) = (asked.clone(), next.clone());
        let alter: wire::Alter = Arc::new(move |request, answer| {
            let Some(api) = api(request) else { return };
            let trouble = alters.lock().unwrap().take_if(|(which, _)| *which == api).map(|(_, trouble)| trouble);
            // the last byte of an EndTxn says whether it commits
            hears.lock().unwrap().push(Asked { api, aborts: api == EndTxn && request.last() == Some(&0) });
            match trouble {
                Some(Trouble::Error(code)) => fail(api, request, answer, code),
                Some(Trouble::Silence) => answer.clear(),
                None => {}
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let brokers = Wire::to_broker(listener, plan.brokers.to_string(), 0, alter).address;
        Scene { plan: SourcePlan { brokers: brokers.as_str().into(), ..plan.clone() }, asked, next }
    }

    /// As a session of the engine: fences, reads the position, brings what is missing.
    fn attempt(&self, plan: &SourcePlan, at: &Place<'_>, end: i64) -> Result<()> {
        // no topic is asked for its limits: the mock does not know such a request
        let mut transactions = Transactions::init(plan, &at.id, &BTreeSet::new()).map(Either::Kafka)?;
        let stands = (at.committed)();
        for offset in stands.unwrap_or(0)..end {
            transactions.send(&at.topic, None, &row(at.partition, offset), &[])?.unwrap();
        }
        transactions.commit(&advance(at.partition, stands, end), at.member)
    }

    /// Until it is there; how often that failed.
    fn bring(&self, at: &Place<'_>, end: i64, timeout: Duration) -> usize {
        let plan = SourcePlan { timeout, ..self.plan.clone() };
        let deadline = Instant::now() + PATIENCE;
        for failures in 0.. {
            match self.attempt(&plan, at, end) {
                Ok(()) => return failures,
                Err(error) => must_be_retry(&error),
            }
            assert!(Instant::now() < deadline, "{failures} failed: {:?}", self.asked.lock().unwrap());
        }
        unreachable!("it fails for ever")
    }

    fn play(&self, at: &Place<'_>, trouble: Trouble, by: By, begin: impl FnOnce(&Scene)) {
        assert_eq!(self.bring(at, ENDS[0], TIMEOUT), 0);
        self.asked.lock().unwrap().clear();
        begin(self);
        let timeout = if trouble == Trouble::Silence { SHORT } else { TIMEOUT };
        let failures = self.bring(at, ENDS[1], timeout);
        let asked = self.asked.lock().unwrap().clone();
        match (trouble, by) {
            // on a busy machine it may not be the only call that takes too long
            (Trouble::Silence, _) => assert!(failures >= 1, "{asked:?}"),
            (_, By::Successor) => assert_eq!(failures, 1, "{asked:?}"),
            (_, By::Client) => assert_eq!(failures, 0, "{asked:?}"),
        }
        assert!(!asked.iter().any(|asked| asked.aborts), "nobody aborts, and goes on: {asked:?}");
        let (before, last) = asked.split_at(asked.iter().rposition(|asked| asked.api == InitProducerId).unwrap());
        let taken_again = before.iter().any(|asked| asked.api == InitProducerId);
        // a client asks again by itself as long as the id's last transaction is not settled
        let must_be = by == By::Successor || at.trouble == InitProducerId;
        assert!(taken_again || !must_be, "who took the id: {asked:?}");
        assert_eq!(last.last().map(|asked| asked.api), Some(EndTxn), "{asked:?}");
        assert_eq!(self.bring(at, ENDS[2], TIMEOUT), 0);
    }
}

/// What a case writes, and as whom.
struct Place<'a> {
    trouble: Api,
    id: String,
    topic: String,
    partition: i32,
    member: &'a Membership,
    committed: &'a (dyn Fn() -> Option<i64> + Sync),
}

/// Which of the requests of a transaction it is.
fn api(request: &[u8]) -> Option<Api> {
    let key = i16::from_be_bytes([*request.first()?, *request.get(1)?]);
    [InitProducerId, AddPartitionsToTxn, AddOffsetsToTxn, TxnOffsetCommit, EndTxn]
        .into_iter()
        .find(|api| *api as i16 == key)
}

/// Puts the error where an answer has it: behind its number and the throttle time, or at its end, of the one partition.
fn fail(api: Api, request: &[u8], answer: &mut [u8], code: Code) {
    let version = i16::from_be_bytes([request[2], request[3]]);
    let tagged_since = if api == InitProducerId { 2 } else { 3 };
    let tagged = version >= tagged_since;
    let at = match api {
        AddPartitionsToTxn | TxnOffsetCommit => answer.len() - if tagged { 5 } else { 2 },
        _ => 8 + usize::from(tagged),
    };
    answer[at..at + 2].copy_from_slice(&(code as i16).to_be_bytes());
}

/// Those of each request one after the other, beside the others'.
fn each(play: impl Fn(i32, Api, Trouble, By) + Sync) {
    let all: Vec<_> = (0..).zip(TROUBLES).collect();
    std::thread::scope(|scope| {
        for of_one in all.chunk_by(|(_, one), (_, next)| one.0 == next.0) {
            let play = &play;
            scope.spawn(move || of_one.iter().for_each(|&(number, (api, trouble, by))| play(number, api, trouble, by)));
        }
    });
}

/// What was asked for has happened.
#[test]
fn whatever_is_answered_each_row_is_there_once() {
    let logs: Kafka = logs(TROUBLES.len() as i32);
    let source = member(&logs);
    let member = source.membership().unwrap();
    each(|partition, api, trouble, by| {
        let id = format!("{}-{partition}", logs.plan().group);
        let (topic, committed) = (topic(&logs, OUT), &|| logs.committed(partition).offset);
        let place = Place { trouble: api, id, topic, partition, member: &member, committed };
        Scene::new(logs.plan()).play(&place, trouble, by, |scene| *scene.next.lock().unwrap() = Some((api, trouble)));
    });
    (0..TROUBLES.len()).for_each(|partition| assert_committed(&logs, partition as i32, ENDS[2]));
}

/// What was asked for has not happened.
#[test]
fn whatever_is_refused_the_next_one_goes_on() {
    each(|partition, api, trouble, by| {
        let mock: MockCluster<'static, DefaultProducerContext> = MockCluster::new(1).unwrap();
        let name = fresh_name();
        let plan = plan(mock.bootstrap_servers(), &name, GroupProtocol::Consumer);
        for topic in [&plan.topic, &name] {
            mock.create_topic(topic, TROUBLES.len() as i32, 1).unwrap();
        }
        let mut config = ClientConfig::new();
        let reader: BaseConsumer =
            config.set("bootstrap.servers", plan.brokers.to_string()).set("group.id", &name).create().unwrap();
        let member = Membership::Kafka(Arc::new(reader.group_metadata().unwrap()));
        let (id, topic) = (name.clone(), name);
        let place = Place { trouble: api, id, topic, partition, member: &member, committed: &|| None };
        Scene::new(&plan).play(&place, trouble, by, |scene| match trouble {
            Trouble::Error(code) => mock.request_errors(api, &[code]),
            Trouble::Silence => *scene.next.lock().unwrap() = Some((api, trouble)),
        });
    });
}
