//! What `produce` and `replay` do where brokers refuse, or ask for something again: librdkafka's own mock of a cluster
//! does so when it is told to, which a real one does not.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use millrace::kafka::{Brokers, Kept};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr as Answer};
use rdkafka::{Message, Offset, TopicPartitionList};

use crate::process::PATIENCE;

type Cluster = MockCluster<'static, DefaultProducerContext>;

/// For good.
const REFUSED: Answer = Answer::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
/// More than one request to the broker takes.
const ROWS: usize = 60_000;

fn cluster(partitions: i32) -> Cluster {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("rows", partitions, 1).unwrap();
    cluster
}

fn file(test: &str) -> PathBuf {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("sending-{test}.jsonl"));
    let lines: String = (0..ROWS).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    fs::write(&file, lines).unwrap();
    file
}

fn replay(cluster: &Cluster, file: &PathBuf, options: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    command.arg("replay").arg(file).args(["--topic", "rows", "--brokers", &cluster.bootstrap_servers()]).args(options);
    command.output().unwrap()
}

/// Of each partition, in its order.
fn rows(cluster: &Cluster, partitions: i32) -> Vec<Vec<usize>> {
    let mut config = Brokers::from(cluster.bootstrap_servers().as_str()).client_config("eyes");
    config.set("group.id", "eyes").set("enable.auto.commit", "false").set("enable.partition.eof", "true");
    let consumer: Kept<BaseConsumer> = config.create().unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset("rows", partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let (mut rows, mut ended) = (vec![Vec::new(); partitions as usize], BTreeSet::new());
    let deadline = Instant::now() + PATIENCE;
    while ended.len() < partitions as usize {
        assert!(Instant::now() < deadline);
        match consumer.poll(Duration::from_secs(1)) {
            Some(Ok(message)) => {
                let row: serde_json::Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
                rows[message.partition() as usize].push(row["n"].as_u64().unwrap() as usize);
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(ended.insert(partition)),
            Some(Err(error)) => panic!("{error}"),
            None => {}
        }
    }
    rows
}

#[test]
fn what_a_broker_asks_for_again_comes_in_its_place() {
    let cluster = cluster(1);
    // the first request of several that are under way: the broker takes its time
    cluster.broker_round_trip_time(1, Duration::from_millis(200)).unwrap();
    cluster.request_errors(RDKafkaApiKey::Produce, &[Answer::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS]);
    let done = replay(&cluster, &file("again"), &[]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let rows = rows(&cluster, 1);
    assert_eq!(rows[0].len(), ROWS);
    let wrong = rows[0].iter().enumerate().find(|(at, row)| at != *row);
    assert_eq!(wrong, None, "offset, and the row that is there");
}

/// The rows of which it says that they are there, from the first on.
fn through(said: &str, what: &str) -> usize {
    let (_, rest) = said.split_once(what).unwrap_or_else(|| panic!("{what:?} is not in: {said}"));
    rest.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn where_a_broker_refuses_it_is_said_how_far_all_rows_are_there() {
    const PARTITIONS: i32 = 3;
    let (cluster, file) = (cluster(PARTITIONS), file("refused"));
    let answers = [vec![Answer::RD_KAFKA_RESP_ERR_NO_ERROR; 3], vec![REFUSED; 100]].concat();
    cluster.request_errors(RDKafkaApiKey::Produce, &answers);
    let done = replay(&cluster, &file, &[]);
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("error: writing to topic `rows`: "), "{said}");
    let through = through(&said, "the first ");
    assert!(said.contains("of the rows after them some may be there too; to go on, add --skip "), "{said}");
    assert!((1..ROWS).contains(&through), "{said}");
    let there: BTreeSet<_> = rows(&cluster, PARTITIONS).concat().into_iter().collect();
    assert_eq!((0..through).find(|row| !there.contains(row)), None, "it said that it is there: {said}");
    assert!(!there.contains(&through), "it is there, and was said to be missing: {said}");

    cluster.clear_request_errors(RDKafkaApiKey::Produce);
    let done = replay(&cluster, &file, &["--skip", &through.to_string()]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let there: BTreeSet<_> = rows(&cluster, PARTITIONS).concat().into_iter().collect();
    assert_eq!(there, (0..ROWS).collect());
}

#[test]
fn of_standard_input_the_next_line_is_named() {
    let (cluster, file) = (cluster(1), file("produce"));
    let answers = [vec![Answer::RD_KAFKA_RESP_ERR_NO_ERROR; 2], vec![REFUSED; 100]].concat();
    cluster.request_errors(RDKafkaApiKey::Produce, &answers);
    let mut produce = Command::new(env!("CARGO_BIN_EXE_millrace"));
    produce.args(["produce", "rows", "--positions", "--brokers", &cluster.bootstrap_servers()]);
    let done = produce.stdin(fs::File::open(&file).unwrap()).stdout(Stdio::piped()).output().unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(1), "{said}");
    let through = through(&said, "standard input up to line ");
    let next = through + 1;
    assert!(said.contains(&format!("give it what begins with line {next} (tail -n +{next})")), "{said}");
    let there = &rows(&cluster, 1)[0];
    assert!(there.len() >= through && there[..through].iter().copied().eq(0..through), "{said}");
    let positions = String::from_utf8(done.stdout).unwrap();
    assert!(positions.lines().count() >= through, "what was acknowledged was not said");
}
