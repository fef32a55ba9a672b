//! Two senders of one topic: the first does not know that somebody sends beside it, and goes on.

use super::super::logs::Logs;
use super::{assert_once, bring, due, logs, open};
use crate::error::Error;
use crate::resend::marks::Marks;
use crate::resend::sender::Sender;

/// What was sent before, and how far each of them then goes.
const SENT: i64 = 2;
const FIRST: i64 = 5;
const SECOND: i64 = 7;
const FIRST_STEPS: u32 = 2;
const STEPS: u32 = 5;

/// A sender on its way: gone after an error.
struct Actor {
    open: Option<(Sender, Marks)>,
    count: i64,
}

impl Actor {
    fn put(&mut self) {
        let Some((mut sender, marks)) = self.open.take() else { return };
        match sender.put(due(&marks, self.count)) {
            Ok(()) => self.open = Some((sender, marks)),
            Err(error) => must_say_why(&error),
        }
    }

    /// Was it told that everything is sent?
    fn commit(&mut self) -> bool {
        let Some((mut sender, _)) = self.open.take() else { return false };
        match sender.commit() {
            Ok(sent) => !sent.is_empty(),
            Err(error) => {
                must_say_why(&error);
                false
            }
        }
    }
}

fn must_say_why(error: &Error) {
    assert!(error.to_string().contains("somebody else"), "{error}");
}

/// Every order of the first one's steps (put, commit) among the second one's (open, put, commit).
pub fn whatever_the_order_each_message_is_sent_once<L: Logs>() {
    let orders: Vec<u32> = (0..1 << STEPS).filter(|order: &u32| order.count_ones() == FIRST_STEPS).collect();
    assert_eq!(orders.len(), 10);
    for order in orders {
        play::<L>(order);
    }
}

fn play<L: Logs>(order: u32) {
    let logs: L = logs();
    bring(&logs, SENT);
    let mut first = Actor { open: Some(open(&logs).unwrap()), count: FIRST };
    let mut second = Actor { open: None, count: SECOND };
    let (mut first_steps, mut second_steps, mut sent) = (0, 0, SENT);
    for step in 0..STEPS {
        if order & 1 << step != 0 {
            match first_steps {
                0 => first.put(),
                _ if first.commit() => sent = sent.max(FIRST),
                _ => {}
            }
            first_steps += 1;
        } else {
            match second_steps {
                0 => second.open = Some(open(&logs).unwrap()),
                1 => second.put(),
                _ if second.commit() => sent = SECOND,
                _ => {}
            }
            second_steps += 1;
        }
        // whoever was told that it is sent was told the truth; what is not said to be is not there
        assert_once(&logs, sent);
    }
    // one of them got through: that nobody does at all would be safe, and of no use
    assert!(sent > SENT, "order {order:b}");
    bring(&logs, SECOND);
    assert_once(&logs, SECOND);
}
