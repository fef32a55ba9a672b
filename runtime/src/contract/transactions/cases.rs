//! One writer at a time.

use std::collections::BTreeSet;
use std::time::Instant;

use super::super::PATIENCE;
use super::super::logs::{ALONE, Logs, member};
use super::{ASIDE, OUT, advance, assert_committed, bring, logs, must_be_retry, open, send, topic};
use crate::error::Result;
use crate::sink::transaction::TooLarge;
use crate::source::Committed;

pub fn offsets_alone_are_a_transaction<L: Logs>() {
    let logs: L = logs(2);
    let source = member(&logs);
    let member = source.membership().unwrap();
    let mut transactions = open(&logs, 0).unwrap();
    transactions.commit(&advance(0, None, 5), &member).unwrap();
    assert_eq!(logs.committed(0), Committed { offset: Some(5), metadata: "at 5".into() });
    assert_eq!(logs.committed(1).offset, None);
    assert_eq!(logs.read(&topic(&logs, OUT)), []);
}

pub fn rows_and_offsets_are_seen_at_once<L: Logs>() {
    let logs: L = logs(1);
    let source = member(&logs);
    let (out, aside) = (topic(&logs, OUT), topic(&logs, ASIDE));
    let mut transactions = open(&logs, 0).unwrap();
    let keys = [None, Some(&b""[..]), Some(b"k\xff")];
    for key in keys {
        transactions.send(&out, key, b"a row", &[]).unwrap().unwrap();
    }
    transactions.send(&aside, None, b"a reject", &[]).unwrap().unwrap();
    assert_eq!((logs.read(&out), logs.read(&aside), logs.committed(0).offset), (vec![], vec![], None));
    transactions.commit(&advance(0, None, 3), &source.membership().unwrap()).unwrap();
    assert_eq!(logs.read_what_came(&out, keys.len()), keys.map(|key| (key.map(<[u8]>::to_vec), b"a row".to_vec())));
    assert_eq!(logs.read_what_came(&aside, 1), [(None, b"a reject".to_vec())]);
    assert_eq!(logs.committed(0), Committed { offset: Some(3), metadata: "at 3".into() });
}

pub fn many_rows_keep_their_order<L: Logs>() {
    let logs: L = logs(1);
    let source = member(&logs);
    let mut transactions = open(&logs, 0).unwrap();
    let mut stands = None;
    for end in [1, 2, 5_000, 5_001, 20_000] {
        send(&logs, &mut transactions, 0, stands.unwrap_or(0)..end).unwrap();
        transactions.commit(&advance(0, stands, end), &source.membership().unwrap()).unwrap();
        stands = Some(end);
    }
    assert_committed(&logs, 0, 20_000);
}

/// Room for the key, and for what surrounds both.
const RECORD_BYTES_AROUND: usize = 2_000;

pub fn a_large_record<L: Logs>() {
    let logs: L = logs(1);
    let source = member(&logs);
    let mut transactions = open(&logs, 0).unwrap();
    let (key, value) = (vec![b'k'; 1000], vec![b'v'; L::RECORD_BYTES_MAX - RECORD_BYTES_AROUND]);
    transactions.send(&topic(&logs, OUT), Some(&key), &value, &[]).unwrap().unwrap();
    transactions.commit(&advance(0, None, 1), &source.membership().unwrap()).unwrap();
    assert!(logs.read_what_came(&topic(&logs, OUT), 1) == [(Some(key), value)], "the record is not as it was");
}

pub fn a_record_that_is_refused_leaves_the_others<L: Logs>() {
    let logs: L = logs(1);
    let source = member(&logs);
    let mut transactions = open(&logs, 0).unwrap();
    send(&logs, &mut transactions, 0, 0..1).unwrap();
    let refused = transactions.send(&topic(&logs, OUT), None, &vec![b'v'; L::RECORD_BYTES_MAX + 1], &[]).unwrap();
    assert_eq!(refused, Err(TooLarge));
    let refused = transactions.send(&topic(&logs, OUT), Some(&vec![b'k'; L::RECORD_BYTES_MAX + 1]), b"", &[]).unwrap();
    assert_eq!(refused, Err(TooLarge));
    send(&logs, &mut transactions, 0, 1..2).unwrap();
    transactions.commit(&advance(0, None, 2), &source.membership().unwrap()).unwrap();
    assert_committed(&logs, 0, 2);
}

pub fn what_was_not_committed_never_was<L: Logs>() {
    let logs: L = logs(1);
    let source = member(&logs);
    let mut transactions = open(&logs, 0).unwrap();
    send(&logs, &mut transactions, 0, 0..3).unwrap();
    drop(transactions);
    // nobody waits for it to time out: its successor ends it
    bring(&logs, 0, 2, &source.membership().unwrap());
    assert_committed(&logs, 0, 2);
}

/// Whoever does not know what became of a commit opens again, and reads it from the position.
pub fn whatever_became_of_the_last_one_the_next_goes_on<L: Logs>() {
    let logs: L = logs(1);
    let source = member(&logs);
    let member = source.membership().unwrap();
    for (round, steps) in (0..).zip([0, 1, 2, 2, 1, 0]) {
        let (stands, end) = (logs.committed(0).offset, 10 * (round + 1));
        let mut transactions = open(&logs, 0).unwrap();
        if steps > 0 {
            send(&logs, &mut transactions, 0, stands.unwrap_or(0)..end).unwrap();
        }
        if steps > 1 {
            transactions.commit(&advance(0, stands, end), &member).unwrap();
        }
        drop(transactions);
        bring(&logs, 0, end, &member);
        assert_committed(&logs, 0, end);
    }
}

/// It is made, or it is said which one is not there; and nothing else of the transaction happens.
pub fn a_topic_that_is_not_there<L: Logs>() {
    let logs: L = logs(1);
    let source = member(&logs);
    let mut transactions = open(&logs, 0).unwrap();
    let missing = topic(&logs, "missing");
    send(&logs, &mut transactions, 0, 0..2).unwrap();
    let sent: Result<_> = transactions.send(&missing, None, b"a row", &[]).map(|sent| sent.unwrap());
    let done = sent.and_then(|()| transactions.commit(&advance(0, None, 2), &source.membership().unwrap()));
    if L::MAKES_TOPICS {
        done.unwrap();
        assert_eq!(logs.read_what_came(&missing, 1), [(None, b"a row".to_vec())]);
        return assert_committed(&logs, 0, 2);
    }
    let error = done.unwrap_err();
    must_be_retry(&error);
    assert!(error.to_string().contains(&missing), "{error}");
    drop(transactions);
    assert_committed(&logs, 0, 0);
    bring(&logs, 0, 2, &source.membership().unwrap());
    assert_committed(&logs, 0, 2);
}

pub fn a_service_that_is_gone_is_named<L: Logs>() {
    for gone in L::unreachable() {
        let asked = Instant::now();
        let error = gone
            .ground
            .transactions(&gone.plan, &BTreeSet::from(["out"]), "nobody", ALONE)
            .err()
            .expect("nobody is there")
            .to_string();
        assert!(asked.elapsed() < PATIENCE, "it hangs");
        assert!(error.contains(&gone.address), "{} is not in: {error}", gone.address);
        drop(gone.by);
    }
}
