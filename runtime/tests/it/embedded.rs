//! The shipped pipeline on a folder and nothing else: every row once at every sink, whatever is killed.

use std::collections::BTreeSet;
use std::fs;

use std::time::Instant;

use millrace_embedded::{Folder, Record};
use serde_json::Value;

use crate::flights::{flights, request};
use crate::parity;
use crate::process::PATIENCE;

pub mod bed;
mod input;
mod positions;

pub use bed::{Bed, Sent};
use bed::{files, lines};

#[test]
fn one_flight_goes_in_and_its_answer_is_in_three_places() {
    let bed = Bed::new("one");
    bed.produce(&[request("one", serde_json::json!({}))]);
    let mut process = bed.start(&[]);
    bed.await_rows(1, &mut process);
    let said = process.drain();
    bed.assert_exactly_once(&BTreeSet::from(["one".to_owned()]));
    assert!(said.contains("1 message in 1 transaction;"), "{said}");
}

#[test]
fn answers_are_those_that_training_gives_for_the_same_flights() {
    let bed = Bed::new("parity");
    bed.produce(&parity::requests());
    let mut process = bed.start(&[]);
    bed.await_rows(parity::FLIGHTS, &mut process);
    process.drain();
    let responses = bed.consume("flight-delay-ml-response");
    parity::assert_alike(&bed.folder.join("pipeline.toml"), &bed.folder, &responses);
}

#[test]
fn killed_again_and_again_every_row_is_once_at_every_sink() {
    let mut bed = Bed::new("kill");
    bed.toml = bed.toml.replace("roll_seconds_max = 60", "roll_seconds_max = 1\nroll_rows_max = 300");
    bed.toml += "\n[batch]\nrows_max = 100\n\n[commit]\nrows_max = 150\n";
    let (mut messages, ids) = flights(3000, "k");
    messages.insert(700, b"{\"broken\"".to_vec());
    bed.produce(&messages);
    for target in [1, 700, 1500, 1600] {
        let mut process = bed.start(&["--workers", "1"]);
        bed.await_rows(target, &mut process);
        process.kill_nine();
    }
    let mut process = bed.start(&[]);
    bed.await_rows(ids.len(), &mut process);
    bed.await_stored(ids.len(), &mut process);
    // those that were killed may have done it all: it must be there to hear that it is to end
    process.await_word("positions read");
    process.drain();
    bed.assert_exactly_once(&ids);
    let rejects = bed.consume("flight-delay-ml-rejected");
    assert_eq!(rejects.len(), 1, "{rejects:?}");
    assert_eq!((&rejects[0]["code"], &rejects[0]["offset"]), (&"not_json".into(), &700.into()));
}

/// Killed again and again; what each place of `[rejects]` holds in the end. A row of 1 MB is too large for a topic, and
/// one of 17 MB for a document too.
fn refused_everywhere(test: &str, rejects: &str, found: impl Fn(&Bed) -> Vec<Value>) {
    let mut bed = Bed::new(test);
    bed.toml = bed.toml.replace("[rejects.kafka]\ntopic = \"flight-delay-ml-rejected\"", rejects);
    bed.toml = bed.toml.replace("roll_seconds_max = 60", "roll_seconds_max = 1");
    bed.toml += "\n[batch]\nrows_max = 50\n\n[commit]\nrows_max = 100\n";
    let (mut messages, ids) = flights(500, "r");
    let [large, huge] = [1 << 20, 17 << 20].map(|bytes| request(&"x".repeat(bytes), serde_json::json!({})));
    let originals = [b"{\"broken\"".len(), large.len(), huge.len()];
    for (at, bad) in [(100, b"{\"broken\"".to_vec()), (200, large), (300, huge)] {
        messages.insert(at, bad);
    }
    // `millrace produce` takes none that large
    bed.append(&messages.into_iter().map(|message| (message, None)).collect::<Vec<_>>());
    for target in [1, 150, 260] {
        let mut process = bed.start(&["--workers", "1"]);
        bed.await_rows(target, &mut process);
        process.kill_nine();
    }
    let mut process = bed.start(&[]);
    bed.await_rows(ids.len(), &mut process);
    let deadline = Instant::now() + PATIENCE;
    // 500 flights, and what only the topic refused
    while bed.documents().len() < ids.len() + 1 || bed.archived().len() < ids.len() + 2 || found(&bed).len() < 4 {
        process.must_run();
        assert!(Instant::now() < deadline, "{:?}; said:\n{}", found(&bed), process.said());
    }
    // those that were killed may have done it all: it must be there to hear that it is to end
    process.await_word("positions read");
    process.drain();
    assert_eq!((bed.documents().len(), bed.archived().len()), (ids.len() + 1, ids.len() + 2));
    assert_eq!(bed.consume("flight-delay-ml-response").len(), ids.len());
    let size = |reject: &Value| match (&reject["original"], &reject["original_bytes"]) {
        (Value::String(original), Value::Null) => original.len(),
        (Value::Null, bytes) => bytes.as_u64().unwrap() as usize,
        both => panic!("{both:?}"),
    };
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let told = |reject: &Value| (text(&reject["stage"]), text(&reject["code"]), size(reject));
    let mut told: Vec<_> = found(&bed).iter().map(told).collect();
    told.sort();
    let expected = [
        ("responses", "record_too_large", originals[1]),
        ("responses", "record_too_large", originals[2]),
        ("source", "not_json", originals[0]),
        ("store", "document_too_large", originals[2]),
    ];
    assert_eq!(told, expected.map(|(stage, code, size)| (stage.to_owned(), code.to_owned(), size)));
}

#[test]
fn rejects_in_a_topic_are_there_once() {
    let topic = "[rejects.kafka]\ntopic = \"flight-delay-ml-rejected\"";
    refused_everywhere("rejects-topic", topic, |bed| bed.consume("flight-delay-ml-rejected"));
}

#[test]
fn rejects_in_documents_are_there_once() {
    let table = "[rejects.mongodb]\nuri = \"mongodb://nobody\"\ndatabase = \"d\"\ncollection = \"rejected\"";
    refused_everywhere("rejects-documents", table, |bed| {
        let documents = Folder::open(&bed.data).unwrap().documents("d.rejected").unwrap();
        documents.iter().map(|(_, json)| serde_json::from_str(json).unwrap()).collect()
    });
}

#[test]
fn rejects_in_a_directory_are_there_once() {
    let table = "[rejects.hdfs]\nuri = \"hdfs://nobody:1\"\ndirectory = \"/user/rejected\"\nroll_seconds_max = 1";
    refused_everywhere("rejects-directory", table, |bed| {
        let directory = bed.data.join("hdfs/user/rejected");
        let folders = fs::read_dir(&directory).into_iter().flatten().map(|entry| entry.unwrap().path());
        let folders = folders.filter(|path| path.is_dir() && !path.ends_with("_millrace"));
        let all: Vec<_> = folders.chain([directory.clone()]).collect();
        all.iter().flat_map(|folder| lines(&files(folder))).collect()
    });
}

#[test]
fn workers_are_threads_that_share_the_partitions() {
    let bed = Bed::new("workers");
    // the topics are made with a partition for each
    let mut process = bed.start(&["--workers", "3"]);
    process.await_word("positions read");
    let (messages, ids) = flights(900, "w");
    bed.produce(&messages);
    bed.await_rows(ids.len(), &mut process);
    process.drain();
    bed.assert_exactly_once(&ids);
}

#[test]
fn a_second_process_on_the_folder_is_told_who_holds_it() {
    let bed = Bed::new("second");
    let mut first = bed.start(&[]);
    first.await_word("positions read");
    let (code, said) = bed.start(&[]).wait();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&first.id().to_string()), "{said}");
    first.drain();
}

#[test]
fn a_topic_made_again_stops_the_pipeline_that_knows_the_old_one_with_a_clear_word() {
    let bed = Bed::new("again");
    bed.produce(&flights(10, "a").0);
    let mut process = bed.start(&[]);
    bed.await_rows(10, &mut process);
    process.drain();
    let mut folder = Folder::open(&bed.data).unwrap();
    let topic = folder.topic("flight-delay-ml-request").unwrap().unwrap();
    let mut transaction = folder.begin().unwrap();
    transaction.delete_topic(&topic).unwrap();
    transaction.commit().unwrap();
    bed.produce(&flights(20, "b").0);
    let (code, said) = bed.start(&[]).wait();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("the topic was deleted and made again"), "{said}");
    assert_eq!(bed.consume("flight-delay-ml-response").len(), 10);
}

/// It lacks rows of a generation that every other sink has passed, and comes back under a third.
#[test]
fn a_sink_that_was_off_while_it_was_behind_has_the_answers_that_the_others_have() {
    let mut bed = Bed::new("off-behind");
    let (messages, mut ids) = flights(100, "old");
    bed.produce(&messages);
    let mut process = bed.start(&[]);
    bed.await_rows(100, &mut process);
    // before its file is published
    process.kill_nine();
    assert_eq!(bed.archived().len(), 0);
    let on = bed.toml.clone();
    bed.toml = on.replace("${HDFS_SINK:-true}", "false").replace("= \"missing\"", "= \"reject\"");
    let (messages, more) = flights(100, "new");
    ids.extend(more);
    bed.produce(&messages);
    bed.run_until(200);
    // a commit that forgets what nobody lacks, as far as it knows
    let (messages, more) = flights(20, "newer");
    ids.extend(more);
    bed.produce(&messages);
    bed.run_until(220);
    bed.toml = on.replace("roll_seconds_max = 60", "roll_seconds_max = 1");
    let mut process = bed.start(&[]);
    bed.await_stored(220, &mut process);
    process.drain();
    bed.assert_exactly_once(&ids);
}

#[test]
fn a_folder_that_cannot_be_used_is_said() {
    let bed = Bed::new("unusable");
    fs::write(&bed.data, "a file").unwrap();
    let (code, said) = bed.start(&[]).wait();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&bed.data.display().to_string()), "{said}");
}

/// Appends requests to one partition.
fn append(folder: &mut Folder, partition: i32, messages: &[Vec<u8>]) {
    let mut transaction = folder.begin().unwrap();
    let topic = transaction.topic("flight-delay-ml-request", 2, 1_000_000).unwrap();
    let records = messages.iter().map(|value| Record { value: Some(value), ..Record::default() });
    transaction.append(&topic, partition, records).unwrap();
    transaction.commit().unwrap();
}

#[test]
fn rows_read_again_for_a_sink_do_not_overtake_new_ones_that_wait_for_the_commit() {
    let mut bed = Bed::new("overtake");
    let mut folder = Folder::open(&bed.data).unwrap();
    let (few, mut ids) = flights(100, "few");
    let (many, more) = flights(1500, "many");
    append(&mut folder, 0, &few);
    append(&mut folder, 1, &many);
    ids.extend(more);
    // nothing is published, so that the directory is behind in both partitions
    let mut process = bed.start(&[]);
    bed.await_rows(ids.len(), &mut process);
    process.kill_nine();
    let (new, more) = flights(50, "new");
    append(&mut folder, 0, &new);
    ids.extend(more);
    bed.toml = bed.toml.replace("roll_seconds_max = 60", "roll_seconds_max = 1");
    bed.toml += "\n[batch]\nrows_max = 200\nwait_ms_max = 1000\n\n[commit]\ninterval_ms_max = 500\n";
    let mut process = bed.start(&[]);
    bed.await_stored(ids.len(), &mut process);
    let said = process.drain();
    bed.assert_exactly_once(&ids);
    assert!(!said.contains("not running"), "{said}");
}

#[test]
fn a_sink_that_breaks_while_nothing_comes_is_noticed_and_opened_again() {
    let mut bed = Bed::new("idle");
    bed.toml = bed.toml.replace("roll_seconds_max = 60", "roll_seconds_max = 2");
    let mut process = bed.start(&[]);
    process.await_word("sink is in step sink=archive");
    // it takes the rows, and finds out when it publishes them, with nothing new to write
    bed.fence_archive();
    let (messages, ids) = flights(3, "i");
    bed.produce(&messages);
    process.await_word("sink is down");
    bed.await_stored(ids.len(), &mut process);
    process.drain();
    bed.assert_exactly_once(&ids);
}
