//! Topics that take less, or more, than others: what a broker would refuse is known before it is sent.

use std::collections::BTreeSet;

use super::super::logs::kafka::Kafka;
use super::super::logs::{ALL, ALONE, Logs, member};
use super::{advance, topic};
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
    let sizes: Vec<_> = logs.read(&little).iter().map(|(_, value)| value.len()).collect();
    assert_eq!((sizes.len(), sizes.last()), (1_001, Some(&largest.len())));
    assert_eq!(logs.read(&other).len(), 1);
}
