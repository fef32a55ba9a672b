//! What the processes of a pipeline say of themselves in its status topic, as a reader of the topic sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::Message;
use rdkafka::error::KafkaError;
use serde_json::{Value, json};

use super::eyes;
use super::life::free_address;
use super::rig::{PATIENCE, Process, Rig, flights, setting};
use crate::embedded::Bed;
use crate::figures::await_scrape;

/// The last word of each process; null where it is gone.
type Said = BTreeMap<String, Value>;

fn said(topic: &str) -> Said {
    let consumer = eyes::at_the_beginning(&setting("KAFKA_BROKERS"), topic, 1);
    let mut said = Said::new();
    loop {
        match consumer.poll(PATIENCE).expect("the topic's end in time") {
            Ok(message) => {
                let key = String::from_utf8(message.key().expect("a key").to_vec()).unwrap();
                let value = message.payload().map(|value| serde_json::from_slice(value).unwrap());
                said.insert(key, value.unwrap_or_default());
            }
            Err(KafkaError::PartitionEOF(_)) => return said,
            Err(error) => panic!("{topic}: {error}"),
        }
    }
}

fn await_said(topic: &str, process: &mut Process, wanted: impl Fn(&Said) -> bool) -> Said {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = said(topic);
        if wanted(&found) {
            return found;
        }
        process.must_run();
        assert!(Instant::now() < deadline, "{found:#?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The processes that say something, by their numbers.
fn living(said: &Said) -> BTreeMap<u64, &Value> {
    said.values().filter_map(|said| Some((said["process"].as_u64()?, said))).collect()
}

fn partitions(said: &Value) -> Vec<i64> {
    let workers = said["workers"].as_object().unwrap().values();
    workers.flat_map(|worker| worker["partitions"].as_array().unwrap()).map(|id| id.as_i64().unwrap()).collect()
}

fn process(said: &Said, process: &Process) -> Value {
    living(said).get(&u64::from(process.id())).map(|said| (*said).clone()).unwrap_or_default()
}

#[test]
fn each_process_says_how_it_is_and_takes_its_word_back_at_an_orderly_end() {
    let mut rig = Rig::new("heartbeats", 2);
    rig.edit("roll_seconds_max = 60", "roll_seconds_max = 1");
    let topic = rig.topic("status");
    let address = free_address();
    let mut first = rig.start_with(&["--listen", &address]);
    first.await_word("positions read");
    let mut second = rig.start();
    await_said(&topic, &mut second, |said| {
        living(said).len() == 2 && living(said).values().all(|said| partitions(said).len() == 1)
    });
    let (messages, ids) = flights(40, "h-");
    rig.produce(&messages);
    rig.produce_to(0, &[b"no json".to_vec()]);
    rig.await_stored(ids.len(), &mut first);
    let heads = |said: &Said| {
        let positions = living(said).into_values().flat_map(|said| said["sinks"]["archive"]["positions"].as_object());
        positions.flat_map(|positions| positions.values()).filter_map(Value::as_i64).sum::<i64>()
    };
    let in_step = |said: &Value| {
        let sink = |sink: &str| {
            said["sinks"][sink]["workers"]["0"]["state"] == "in_step" && said["sinks"][sink]["behind"] == 0
        };
        said["workers"]["0"]["lag"] == 0 && sink("store") && sink("archive")
    };
    let all = await_said(&topic, &mut first, |said| heads(said) == 41 && living(said).into_values().all(in_step));
    let one = process(&all, &first);
    assert_eq!(
        (&one["pipeline"], &one["listen"], &one["every_seconds"]),
        (&json!(rig.name), &json!(address), &json!(2))
    );
    assert_eq!((&one["workers"]["0"]["state"], &one["workers"]["0"]["lag"]), (&json!("running"), &json!(0)), "{one}");
    assert!(one["at"].as_u64() >= one["started"].as_u64() && one["started"].as_u64() > Some(0), "{one}");
    for sink in ["store", "archive"] {
        assert_eq!(one["sinks"][sink]["workers"]["0"]["state"], json!("in_step"), "{one}");
        assert_eq!(one["sinks"][sink]["behind"], json!(0), "{one}");
    }
    let rejects = living(&all).into_values().map(|said| said["rejects_total"].as_u64().unwrap()).sum::<u64>();
    assert_eq!(rejects, 1);
    let held: BTreeSet<_> = living(&all).into_values().flat_map(partitions).collect();
    assert_eq!(held.into_iter().collect::<Vec<_>>(), [0, 1]);

    // an orderly end is told at once; who was killed is not gone, and its successor speaks in its place
    first.drain();
    let gone = await_said(&topic, &mut second, |said| living(said).len() == 1);
    assert!(gone.values().any(Value::is_null), "{gone:#?}");
    second.kill_nine();
    assert_eq!(process(&said(&topic), &second)["process"], json!(second.id()));
    let keys: BTreeSet<_> = gone.keys().cloned().collect();
    let mut third = rig.start();
    let id = u64::from(third.id());
    let last = await_said(&topic, &mut third, |said| living(said).contains_key(&id));
    assert_eq!(last.keys().cloned().collect::<BTreeSet<_>>(), keys);
    third.drain();

    assert_eq!(rig.describe(&topic), (1, "3600000".to_owned()));
}

#[test]
fn a_topic_that_is_not_there_is_said_once_and_stops_nothing() {
    let mut rig = Rig::new("unheard", 1);
    rig.edit("create = { partitions = 1 }", "");
    rig.edit("roll_seconds_max = 60", "roll_seconds_max = 1");
    let address = free_address();
    let mut process = rig.start_with(&["--listen", &address]);
    let (messages, ids) = flights(10, "u-");
    rig.produce(&messages);
    rig.await_stored(ids.len(), &mut process);
    let lost = |scrape: &crate::figures::Scrape| scrape.series.get("millrace_heartbeats_lost_total").copied();
    await_scrape(&address, &mut process, |scrape| lost(scrape) >= Some(2.0));
    let said = process.drain();
    assert_eq!(said.matches("this process is not seen in the status topic").count(), 1, "{said}");
    assert!(said.contains(&rig.topic("status")), "{said}");
    rig.assert_exactly_once(&ids);
    // it is there now
    rig.create_topic(&rig.topic("status"), 1);
    let mut process = rig.start();
    await_said(&rig.topic("status"), &mut process, |said| living(said).len() == 1);
    process.drain();
}

#[test]
fn a_folder_has_them_too() {
    let bed = Bed::new("heartbeats");
    let (messages, _) = flights(10, "h-");
    bed.produce(&messages);
    let mut process = bed.start(&["--workers", "2"]);
    bed.await_rows(10, &mut process);
    bed.await_records("flight-delay-status", 2, &mut process);
    process.drain();
    let folder = millrace_embedded::Folder::open(&bed.data).unwrap();
    let topic = folder.topic("flight-delay-status").unwrap().unwrap();
    let messages = folder.read(&topic, 0, 0, 1_000, usize::MAX).unwrap();
    let keys: BTreeSet<_> = messages.iter().map(|message| message.key.clone()).collect();
    assert_eq!(keys.len(), 1);
    let (last, before) = messages.split_last().unwrap();
    assert_eq!(last.value, None, "it is gone");
    let said: Value = serde_json::from_slice(before[0].value.as_ref().unwrap()).unwrap();
    assert_eq!((&said["pipeline"], &said["process"]), (&json!("flight-delay"), &json!(process.id())));
}
