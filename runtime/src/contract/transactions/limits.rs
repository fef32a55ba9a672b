//! Topics that take less, or more, than others: what a broker would refuse is known before it is sent.

use std::collections::BTreeSet;

use super::super::logs::kafka::Kafka;
use super::super::logs::{ALL, ALONE, Logs, member};
use super::{advance, topic};
use crate::error::Kind;
use crate::sink::transaction::TooLarge;

const LITTLE: usize = 5_000;
/// Around a key of one byte and a value of some thousands, in a batch of their own.
const AROUND: usize = 61 + 2 + 3 + 1 + 1 + 2 + 1;

/// The largest record that the broker takes is taken, and the next larger one is the only one that is refused.
#[test]
fn a_topic_with_a_limit_of_its_own() {
    let logs = Kafka::fresh();
    logs.make_topic(&logs.plan().topic, 1, ALL);
    let (little, other) = (topic(&logs, "little"), topic(&logs, "other"));
    logs.make_topic_of(&little, 1, LITTLE);
    logs.make_topic(&other, 1, ALL);
    let source = member(&logs);
    let topics = BTreeSet::from([little.as_str(), other.as_str()]);
    let mut transactions = logs.ground().transactions(logs.plan(), &topics, "limits", ALONE).unwrap();
    // many that are more together than the topic takes at once
    let small = vec![b's'; 100];
    for _ in 0..1_000 {
        transactions.send(&little, None, &small, &[]).unwrap().unwrap();
    }
    let largest = vec![b'v'; LITTLE - AROUND];
    transactions.send(&little, Some(b"k"), &largest, &[]).unwrap().unwrap();
    let larger = vec![b'v'; LITTLE - AROUND + 1];
    assert_eq!(transactions.send(&little, Some(b"k"), &larger, &[]).unwrap(), Err(TooLarge));
    let header = [("h".to_owned(), b"v".to_vec())];
    assert_eq!(transactions.send(&little, Some(b"k"), &largest, &header).unwrap(), Err(TooLarge));
    // far beyond what the client takes by itself
    let huge = vec![b'h'; 5_000_000];
    transactions.send(&other, None, &huge, &[]).unwrap().unwrap();
    transactions.commit(&advance(0, None, 1), &source.membership().unwrap()).unwrap();
    let sizes: Vec<_> = logs.read_what_came(&little, 1_001).iter().map(|(_, value)| value.len()).collect();
    assert_eq!((sizes.len(), sizes.last()), (1_001, Some(&largest.len())));
    assert_eq!(logs.read_what_came(&other, 1).len(), 1);
}

/// As of a topic whose settings this user may not see: nothing of it is asked here. What is refused is sent again, a record
/// a batch, and then it is known how large is too large.
#[test]
fn a_topic_that_does_not_say_what_it_takes() {
    let logs = Kafka::fresh();
    logs.make_topic(&logs.plan().topic, 1, ALL);
    let silent = topic(&logs, "silent");
    logs.make_topic_of(&silent, 1, LITTLE);
    let source = member(&logs);
    let (small, large) = (vec![b's'; LITTLE / 2], vec![b'l'; LITTLE + 1]);
    let send = |values: &[&Vec<u8>]| {
        let mut transactions = logs.ground().transactions(logs.plan(), &BTreeSet::new(), "silent", ALONE).unwrap();
        let sent = values.iter().map(|value| transactions.send(&silent, None, value, &[]).unwrap().is_ok()).collect();
        let committed = transactions.commit(&advance(0, None, 1), &source.membership().unwrap());
        committed.map(|()| sent).map_err(|error| (error.kind, error.to_string()))
    };
    // two that fit alone, and not together
    let (kind, said) = send(&[&small, &small]).unwrap_err();
    assert!(kind == Kind::Retry && said.contains("right to describe its configuration"), "{said}");
    let each: Vec<bool> = send(&[&small, &small]).unwrap();
    assert_eq!(each, [true, true]);
    assert_eq!(send(&[&small, &large, &small]).unwrap_err().0, Kind::Retry);
    assert_eq!(send(&[&small, &large, &small]), Ok(vec![true, false, true]));
    assert_eq!(logs.read_what_came(&silent, 4).len(), 4);
}
