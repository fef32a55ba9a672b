//! One member, which holds every partition.

use std::time::Instant;

use super::super::PATIENCE;
use super::super::logs::{ALL, ALONE, Logs, Message, identify, member, message, source};
use super::{TRACE, next, poll, seen};
use crate::error::Kind;
use crate::source::{Committed, Extent};

fn logs<L: Logs>(partitions: i32) -> L {
    let logs = L::fresh();
    logs.make_topic(&logs.plan().topic, partitions, ALL);
    logs
}

fn numbered(count: usize) -> Vec<Message> {
    (0..count).map(|number| message(&number.to_string())).collect()
}

pub fn an_empty_topic<L: Logs>() {
    let logs: L = logs(1);
    let source = member(&logs);
    assert_eq!(source.extent(0).unwrap(), Extent { first: 0, end: 0 });
    assert_eq!(poll(&source), None);
    logs.produce(&logs.plan().topic, 0, &[message("first")]);
    assert_eq!(next(&source), seen(0, 0, &message("first")));
    assert_eq!(source.extent(0).unwrap(), Extent { first: 0, end: 1 });
}

pub fn messages_come_as_they_went_in<L: Logs>() {
    let logs: L = logs(1);
    let bytes = |bytes: &[u8]| Some(bytes.to_vec());
    let timestamp_ms = 1_600_000_000_123;
    let plain = Message { timestamp_ms, value: bytes(b"{}"), ..Message::default() };
    let headers = vec![(TRACE, b"first".to_vec()), ("other", b"x".to_vec()), (TRACE, b"\xff\x00last".to_vec())];
    let all = [
        plain.clone(),
        Message { key: bytes(b"k\xff\x00"), headers, ..plain.clone() },
        // a tombstone
        Message { key: bytes(b"gone"), value: None, ..plain.clone() },
        Message { value: None, ..plain.clone() },
        Message { key: bytes(b""), value: bytes(b""), ..plain.clone() },
        Message { headers: vec![("other", Vec::new())], value: bytes(b"\xfe not text"), ..plain },
    ];
    logs.produce(&logs.plan().topic, 0, &all);
    let source = member(&logs);
    for (offset, message) in (0..).zip(&all) {
        assert_eq!(next(&source), seen(0, offset, message));
    }
}

pub fn large_messages<L: Logs>() {
    let logs: L = logs(1);
    let large = |letter: &str| message(&letter.repeat(L::MESSAGE_BYTES_LARGE));
    let all = [large("a"), message("small"), large("b"), large("c")];
    for message in &all {
        logs.produce(&logs.plan().topic, 0, std::slice::from_ref(message));
    }
    let source = member(&logs);
    for (offset, message) in (0..).zip(&all) {
        assert!(next(&source) == seen(0, offset, message), "message {offset} is not as it was");
    }
}

pub fn many_messages_in_order<L: Logs>() {
    const COUNT: usize = 10_000;
    let logs: L = logs(2);
    for partition in [0, 1] {
        logs.produce(&logs.plan().topic, partition, &numbered(COUNT));
    }
    let (source, all, mut offsets) = (member(&logs), numbered(COUNT), [0, 0]);
    for _ in 0..2 * COUNT {
        let message = next(&source);
        let offset = &mut offsets[message.partition as usize];
        assert_eq!(message, seen(message.partition, *offset, &all[*offset as usize]));
        *offset += 1;
    }
    assert_eq!(offsets, [COUNT as i64; 2]);
    assert_eq!(poll(&source), None);
}

pub fn reading_begins_where_it_is_told<L: Logs>() {
    let logs: L = logs(2);
    let all = numbered(20);
    for partition in [0, 1] {
        logs.produce(&logs.plan().topic, partition, &all);
    }
    let mut source = member(&logs);
    // first, then again by the same member, back and forth, whatever was read ahead
    for start in [13, 2, 19, 0] {
        source.start(&[(0, start), (1, 19)].into()).unwrap();
        let mut first = [None, None];
        for _ in start..21 {
            let message = next(&source);
            first[message.partition as usize].get_or_insert(message.offset);
        }
        assert_eq!(first, [Some(start), Some(19)]);
    }
    drop(source);
    logs.commit(0, 17, "");
    logs.commit(1, 20, "");
    assert_eq!(next(&member(&logs)), seen(0, 17, &all[17]));
}

pub fn reading_begins_at_the_end<L: Logs>() {
    let logs: L = logs(1);
    logs.produce(&logs.plan().topic, 0, &numbered(5));
    let mut source = member(&logs);
    let Extent { end, .. } = source.extent(0).unwrap();
    assert_eq!(end, 5);
    source.start(&[(0, end)].into()).unwrap();
    assert_eq!(poll(&source), None);
    logs.produce(&logs.plan().topic, 0, &[message("new")]);
    assert_eq!(next(&source), seen(0, 5, &message("new")));
}

pub fn committed_offsets_come_with_their_metadata<L: Logs>() {
    let logs: L = logs(3);
    let nothing = Committed { offset: None, metadata: String::new() };
    let mut source = member(&logs);
    let committed = source.committed().unwrap();
    assert_eq!(committed, [(0, nothing.clone()), (1, nothing.clone()), (2, nothing.clone())].into());
    assert!(!source.group_is_known().unwrap());
    drop(source);
    // as long as Kafka takes it
    let long = format!("{{\"ü\":\"{}\"}}", "x".repeat(4_000));
    logs.commit(1, 7, &long);
    logs.commit(2, 0, "");
    let mut source = member(&logs);
    let some = |offset, metadata: &str| Committed { offset: Some(offset), metadata: metadata.into() };
    assert_eq!(source.committed().unwrap(), [(0, nothing), (1, some(7, &long)), (2, some(0, ""))].into());
    assert!(source.group_is_known().unwrap());
}

pub fn rows_that_were_dropped<L: Logs>() {
    let logs = L::fresh();
    let topic = &logs.plan().topic;
    logs.make_topic(topic, 1, 5);
    logs.produce(topic, 0, &numbered(8));
    logs.drop_below(topic, 0, 3);
    let mut source = source(&logs, ALONE);
    assert_eq!(source.extent(0).unwrap(), Extent { first: 3, end: 8 });
    source.subscribe().unwrap();
    super::super::logs::wait_for_partitions(&mut source);
    source.start(&[(0, 3)].into()).unwrap();
    assert_eq!(next(&source), seen(0, 3, &message("3")));
    // never skipped in silence
    source.start(&[(0, 1)].into()).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let error = loop {
        match source.poll(super::LOOK) {
            Ok(None) => assert!(Instant::now() < deadline, "nobody says that rows are gone"),
            Ok(Some(_)) => panic!("rows were skipped"),
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.contains(topic), "{error}");
}

pub fn a_topic_that_is_not_there<L: Logs>() {
    let logs = L::fresh();
    let mut source = logs.ground().source(logs.plan(), "nobody", ALONE).unwrap();
    let identified = source.identify(&[].into());
    if L::MAKES_TOPICS {
        identified.unwrap();
        return assert_eq!(source.extent(0).unwrap(), Extent { first: 0, end: 0 });
    }
    let error = identified.unwrap_err();
    assert_eq!(error.kind, Kind::Retry, "{error}");
    assert!(error.to_string().contains(&logs.plan().topic), "{error}");
    // one that is written to
    logs.make_topic(&logs.plan().topic, 1, ALL);
    identify(&mut source);
    let missing = format!("{}-missing", logs.plan().topic);
    let error = source.identify(&[missing.as_str()].into()).unwrap_err().to_string();
    assert!(error.contains(&missing) && error.contains("create"), "{error}");
}

pub fn a_topic_made_again_is_another<L: Logs>() {
    let logs: L = logs(1);
    let topic = &logs.plan().topic;
    let identified = || identify(&mut logs.ground().source(logs.plan(), "eyes", ALONE).unwrap());
    let first = identified();
    assert_eq!(first, identified());
    logs.delete_topic(topic);
    logs.make_topic(topic, 1, ALL);
    let second = identified();
    assert_eq!((&first.cluster, &first.topic), (&second.cluster, &second.topic));
    assert_ne!(first.topic_id, second.topic_id);
}

pub fn a_service_that_is_gone_is_named<L: Logs>() {
    for gone in L::unreachable() {
        let asked = Instant::now();
        let made = gone.ground.source(&gone.plan, "nobody", ALONE);
        let error = made.and_then(|mut source| source.identify(&[].into())).unwrap_err().to_string();
        assert!(asked.elapsed() < PATIENCE, "it hangs");
        assert!(error.contains(&gone.address), "{} is not in: {error}", gone.address);
        drop(gone.by);
    }
}
