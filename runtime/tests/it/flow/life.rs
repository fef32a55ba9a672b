//! From start to end: services that are late or silent, signals, summary.

use std::fs;
use std::net::TcpListener;
use std::sync::atomic::Ordering;

use super::rig::{Rig, flights, request, setting};
use super::wire::Wire;

/// By which Kafka knows requests of these kinds.
const METADATA: [u8; 2] = 3_i16.to_be_bytes();
const FIND_COORDINATOR: [u8; 2] = 10_i16.to_be_bytes();

/// With which a client that hears nothing is given up after six seconds.
const SOON: &str = "[source.kafka]\nproperties = { \"socket.connection.setup.timeout.ms\" = \"1000\" }";

/// An address where nobody listens, yet.
pub fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn it_waits_for_a_topic_that_is_not_there_and_says_how_to_make_it() {
    let rig = Rig::new("topicless", 1);
    rig.delete_topic(&rig.topic("response"));
    let mut process = rig.start();
    process.await_word("create it");
    assert!(process.said().contains(&rig.topic("response")), "{}", process.said());
    rig.create_topic(&rig.topic("response"), 1);
    rig.produce(&[request("one", serde_json::json!({}))]);
    rig.await_records("response", 1, &mut process);
    process.drain();
}

#[test]
fn a_name_node_that_never_answers_is_said_and_does_not_hang_it() {
    let mut rig = Rig::new("frozen", 1);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    rig.env("HDFS_URI", &format!("hdfs://{}", silent.local_addr().unwrap()));
    rig.edit("[sinks.archive]", "[sinks.archive]\ntimeout_ms = 1000");
    rig.produce(&[request("one", serde_json::json!({}))]);
    let mut process = rig.start();
    process.await_word("sink is down");
    rig.await_records("response", 1, &mut process);
    let said = process.drain();
    assert!(said.contains("gave no answer within 1s"), "{said}");
    assert_eq!(rig.responses().len(), 1, "the others went on");
}

/// It was frozen for longer than the group waits: librdkafka may wait for ever until such a member is let go.
#[test]
fn who_is_told_to_end_as_it_wakes_ends_though_others_have_its_partitions() {
    let rig = Rig::new("woken", 2);
    let mut frozen = rig.start();
    frozen.await_word("positions read");
    frozen.signal("STOP");
    let mut other = rig.start();
    other.await_word("positions read");
    frozen.signal("CONT");
    frozen.drain();
    other.drain();
}

/// The client waits a minute for that.
#[test]
fn who_does_not_hear_where_the_group_is_asks_anew() {
    let mut rig = Rig::new("unheard", 1);
    rig.edit("roll_seconds_max = 60", "roll_seconds_max = 1");
    let is_lost = rig.alter(true, |request, answer| {
        if request.starts_with(&FIND_COORDINATOR) {
            answer.clear();
        }
    });
    rig.edit("[source.kafka]", SOON);
    let (messages, ids) = flights(20, "u");
    rig.produce(&messages);
    let mut process = rig.start();
    process.await_word("has been out of reach for");
    is_lost.store(false, Ordering::Release);
    rig.await_stored(ids.len(), &mut process);
    process.drain();
    rig.assert_exactly_once(&ids);
}

/// A broker that was frozen for longer than its controller waits answers so, until it is let in again.
#[test]
fn who_is_told_that_there_are_no_brokers_finds_them_again() {
    let mut rig = Rig::new("brokerless", 1);
    rig.edit("roll_seconds_max = 60", "roll_seconds_max = 1");
    let is_fenced = rig.alter(false, |request, answer| {
        if request.starts_with(&METADATA) {
            without_brokers(answer);
        }
    });
    // with which no client finds its way back by itself; without, one of many does not
    let strategy = "properties = { \"metadata.recovery.strategy\" = \"none\" }";
    rig.edit("[source.kafka]", &format!("[source.kafka]\n{strategy}"));
    let (messages, mut ids) = flights(20, "before");
    rig.produce(&messages);
    let mut process = rig.start();
    rig.await_records("response", ids.len(), &mut process);
    is_fenced.store(true, Ordering::Release);
    process.await_word("the brokers told a client that there are none");
    is_fenced.store(false, Ordering::Release);
    let (messages, more) = flights(20, "after");
    ids.extend(more);
    rig.produce(&messages);
    rig.await_stored(ids.len(), &mut process);
    process.drain();
    rig.assert_exactly_once(&ids);
}

/// Takes the only broker out of an answer about the cluster, and with it the controller.
fn without_brokers(answer: &mut Vec<u8>) {
    // behind the request's number, no tags, and for how long who asks is throttled
    const BROKERS: usize = 9;
    assert_eq!(answer[BROKERS], 1 + 1, "lengths have one added: {answer:02x?}");
    let host = usize::from(answer[BROKERS + 5] - 1);
    // its number, its host with the length, its port, no rack and no tags
    let broker = 4 + 1 + host + 4 + 1 + 1;
    answer.splice(BROKERS..=BROKERS + broker, [1]);
    let cluster = usize::from(answer[BROKERS + 1] - 1);
    answer[BROKERS + 2 + cluster..][..4].copy_from_slice(&(-1_i32).to_be_bytes());
}

#[test]
fn who_gets_no_partition_says_so_once_and_takes_over_from_who_goes() {
    let mut rig = Rig::new("spare", 1);
    // who were taken for out of touch would begin anew before it has nothing to say
    rig.edit("[source.kafka]", &SOON.replace("1000", "5000"));
    let mut first = rig.start();
    first.await_word("positions read");
    let mut spare = rig.start();
    spare.await_word("the group has no partition for this worker now");
    first.drain();
    spare.await_word("positions read");
    let said = spare.drain();
    assert!(!said.contains("not running"), "{said}");
    assert_eq!(said.matches("has no partition").count(), 1, "{said}");
}

#[test]
fn a_store_that_is_not_there_is_said_and_waited_for() {
    let mut rig = Rig::new("storeless", 1);
    let address = free_address();
    rig.env("MONGODB_URI", &format!("mongodb://{address}/?serverSelectionTimeoutMS=1000"));
    let (messages, ids) = flights(20, "s");
    rig.produce(&messages);
    rig.edit("roll_seconds_max = 60", "roll_seconds_max = 1");
    let mut process = rig.start();
    process.await_word("sink is down");
    let target = setting("MONGODB_URI").trim_start_matches("mongodb://").split('/').next().unwrap().to_owned();
    rig.await_records("response", ids.len(), &mut process);
    Wire::on(TcpListener::bind(&address).unwrap(), target);
    rig.await_stored(ids.len(), &mut process);
    process.drain();
    rig.assert_exactly_once(&ids);
}

#[test]
fn a_port_that_speaks_no_kafka_is_no_crash() {
    let mut rig = Rig::new("mute", 1);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    rig.env("KAFKA_BROKERS", &silent.local_addr().unwrap().to_string());
    rig.edit("[source.kafka]", "[source.kafka]\ntimeout_ms = 1000");
    let mut process = rig.start();
    process.await_word("not running");
    process.drain();
}

#[test]
fn one_bad_message_among_good_ones_is_rejected_alone() {
    let rig = Rig::new("bad", 1);
    let (mut messages, ids) = flights(30, "g");
    messages.insert(10, b"{\"UUID\":\"broken\"".to_vec());
    messages.insert(20, request("nowhere", serde_json::json!({ "Origin": "jfk" })));
    rig.produce(&messages);
    let mut process = rig.start();
    rig.await_records("response", ids.len(), &mut process);
    let rejects = rig.await_records("rejected", 2, &mut process);
    let said = process.drain();
    for response in rig.records("response") {
        assert_eq!(response.key.as_deref(), response.json()["UUID"].as_str().map(str::as_bytes));
    }
    rig.assert_exactly_once(&ids);
    let rejects: Vec<_> = rejects.iter().map(super::rig::Record::json).collect();
    assert_eq!(rejects[0]["stage"], "source");
    assert_eq!(rejects[0]["code"], "not_json");
    assert_eq!(rejects[0]["offset"], 10);
    assert_eq!(rejects[0]["original"], "{\"UUID\":\"broken\"");
    assert_eq!(rejects[1]["offset"], 20);
    assert!(rejects[1]["reason"].as_str().unwrap().contains("jfk"), "{}", rejects[1]);
    assert!(said.contains("2 rejected"), "{said}");
}

#[test]
fn a_topic_made_again_stops_the_pipeline_that_knows_the_old_one_with_a_clear_word() {
    let rig = Rig::new("again", 1);
    let (messages, _) = flights(10, "a");
    rig.produce(&messages);
    let mut process = rig.start();
    rig.await_records("response", 10, &mut process);
    process.drain();
    rig.delete_topic(&rig.topic("request"));
    rig.create_topic(&rig.topic("request"), 1);
    rig.produce(&flights(20, "b").0);
    // the group's offsets went with the topic
    for state_folder_too in [true, false] {
        let (code, said) = rig.start().wait();
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("the topic was deleted and made again"), "{said}");
        if state_folder_too {
            fs::remove_dir_all(rig.folder.join("state")).unwrap();
        }
    }
    assert_eq!((rig.records("response").len(), rig.documents().len(), rig.archived().len()), (10, 10, 10));
}
