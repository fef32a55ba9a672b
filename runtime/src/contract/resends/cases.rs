//! One sender at a time.

use std::time::Instant;

use super::super::PATIENCE;
use super::super::logs::Logs;
use super::{assert_once, bring, identity, logs, message, open};
use crate::resend::sender::{Message, Sender, look};
use crate::resend::{Filter, Identity, Position};

pub fn a_message_comes_back_as_it_was_and_its_mark_says_where<L: Logs>() {
    let logs: L = logs();
    let keys = [None, Some(b"".to_vec()), Some(b"k\xff".to_vec())];
    let values = [b"".to_vec(), b"{\"broken".to_vec(), b"\xfe".to_vec()];
    let with = |(offset, (key, value)): (i64, (_, _))| Message { key, value, ..message(offset) };
    let messages: Vec<_> = (0..).zip(keys.clone().into_iter().zip(values.clone())).map(with).collect();
    let (mut sender, marks) = open(&logs).unwrap();
    assert!(marks.is_empty());
    sender.put(messages).unwrap();
    assert_eq!(logs.read(&logs.plan().topic), [], "seen before the commit");
    let resent = sender.commit().unwrap();
    let expected: Vec<_> = keys.into_iter().zip(values).collect();
    assert_eq!(logs.read_what_came(&logs.plan().topic, expected.len()), expected);
    let at = |offset| Position { partition: 0, offset };
    assert_eq!(resent, [0, 1, 2].map(|offset| (identity(offset), at(offset))));
    let (_, marks) = open(&logs).unwrap();
    assert_eq!([0, 1, 2, 3].map(|offset| marks.to(&identity(offset))), [Some(at(0)), Some(at(1)), Some(at(2)), None]);
    let looked = look(&logs.ground(), logs.plan(), &Filter::default()).unwrap();
    assert_eq!(looked.targets().count(), 3);
}

pub fn several_transactions_of_one_sender<L: Logs>() {
    let logs: L = logs();
    let (mut sender, _) = open(&logs).unwrap();
    for range in [0..1, 1..1_000, 1_000..1_001] {
        sender.put(range.clone().map(message).collect()).unwrap();
        let resent = sender.commit().unwrap();
        assert!(resent.iter().map(|(of, _)| of.position.offset).eq(range));
    }
    assert_eq!(bring(&logs, 1_001), []);
    assert_once(&logs, 1_001);
}

pub fn what_was_not_committed_never_was<L: Logs>() {
    let logs: L = logs();
    assert_eq!(bring(&logs, 2).len(), 2);
    let (mut sender, _) = open(&logs).unwrap();
    sender.put((2..5).map(message).collect()).unwrap();
    drop(sender);
    // nobody waits for it to time out: its successor ends it
    assert_eq!(bring(&logs, 4).len(), 2);
    assert_once(&logs, 4);
}

pub fn a_topic_that_was_made_again_has_other_messages<L: Logs>() {
    let logs: L = logs();
    bring(&logs, 1);
    let (_, marks) = open(&logs).unwrap();
    let same_place = Identity { timestamp_us: Some(5), ..identity(0) };
    assert_eq!(marks.to(&same_place), None);
    assert!(marks.to(&identity(0)).is_some());
}

pub fn marks_that_nobody_asked_for_are_passed_over<L: Logs>() {
    let logs: L = logs();
    bring(&logs, 4);
    let filter = Filter { from: Some(1), to: Some(2), ..Filter::default() };
    let (mut sender, marks) = Sender::open(&logs.ground(), logs.plan(), &filter).unwrap();
    let known = [0, 1, 2, 3].map(|offset| marks.to(&identity(offset)).is_some());
    assert_eq!(known, [false, true, true, false]);
    // it knows them all the same
    sender.put(vec![message(4)]).unwrap();
    sender.commit().unwrap();
    assert_once(&logs, 5);
}

pub fn a_service_that_is_gone_is_named<L: Logs>() {
    for gone in L::unreachable() {
        let asked = Instant::now();
        let opened = Sender::open(&gone.ground, &gone.plan, &Filter::default());
        let error = opened.err().expect("nobody is there").to_string();
        assert!(asked.elapsed() < PATIENCE, "it hangs");
        assert!(error.contains(&gone.address), "{} is not in: {error}", gone.address);
        drop(gone.by);
    }
}
