//! Two writers of one partition: the first does not know that it was replaced, and goes on.

use super::super::logs::{Logs, member};
use super::{advance, assert_committed, bring, logs, must_be_retry, open, send};
use crate::error::Result;
use crate::sink::transaction::Transactions;
use crate::source::Membership;

/// What was committed before, and how far each of them then goes.
const TAKEN: i64 = 4;
const ZOMBIE_END: i64 = 7;
const END: i64 = 9;
const ZOMBIE_STEPS: u32 = 2;
const STEPS: u32 = 5;

/// A writer on its way: gone after an error, as the engine has it.
struct Actor {
    transactions: Option<Transactions>,
    stands: Option<i64>,
    end: i64,
}

impl Actor {
    /// Is it still alive after it?
    fn act(&mut self, act: impl FnOnce(&mut Transactions, Option<i64>) -> Result<()>) -> bool {
        let Some(mut transactions) = self.transactions.take() else { return false };
        match act(&mut transactions, self.stands) {
            Ok(()) => self.transactions = Some(transactions),
            Err(error) => must_be_retry(&error),
        }
        self.transactions.is_some()
    }

    fn send<L: Logs>(&mut self, logs: &L, partition: i32) {
        let end = self.end;
        self.act(|to, stands| send(logs, to, partition, stands.unwrap_or(0)..end));
    }

    fn commit(&mut self, partition: i32, member: &Membership) -> bool {
        let end = self.end;
        self.act(|to, stands| to.commit(&advance(partition, stands, end), member))
    }
}

/// Every order of the zombie's steps (send, commit) among the successor's (open, send, commit), each in a partition of
/// its own.
pub fn whatever_the_order_each_row_is_there_once<L: Logs>() {
    let orders: Vec<u32> = (0..1 << STEPS).filter(|order: &u32| order.count_ones() == ZOMBIE_STEPS).collect();
    assert_eq!(orders.len(), 10);
    let logs: L = logs(orders.len() as i32);
    let source = member(&logs);
    let member = source.membership().unwrap();
    for (partition, order) in (0..).zip(orders) {
        play(&logs, partition, order, &member);
        bring(&logs, partition, END, &member);
        assert_committed(&logs, partition, END);
    }
}

fn play<L: Logs>(logs: &L, partition: i32, order: u32, member: &Membership) {
    bring(logs, partition, TAKEN, member);
    let mut zombie = Actor { transactions: Some(open(logs, partition).unwrap()), stands: Some(TAKEN), end: ZOMBIE_END };
    let mut successor = Actor { transactions: None, stands: None, end: END };
    let (mut zombie_steps, mut successor_steps) = (0, 0);
    for step in 0..STEPS {
        let (is_zombie, steps) = match order & 1 << step != 0 {
            true => (true, &mut zombie_steps),
            false => (false, &mut successor_steps),
        };
        let committed = match (is_zombie, *steps) {
            (true, 0) => {
                zombie.send(logs, partition);
                false
            }
            (true, _) => zombie.commit(partition, member),
            (false, 0) => {
                successor.transactions = Some(open(logs, partition).unwrap());
                successor.stands = logs.committed(partition).offset;
                false
            }
            (false, 1) => {
                successor.send(logs, partition);
                false
            }
            (false, _) => successor.commit(partition, member),
        };
        *steps += 1;
        // whoever was told that it is committed was told the truth, and it is there once
        let end = match (committed, is_zombie) {
            (true, true) => ZOMBIE_END,
            (true, false) => END,
            (false, _) => logs.committed(partition).offset.unwrap(),
        };
        assert_committed(logs, partition, end);
    }
}

/// The group has moved on since the rows were read: their reader's slot is its own, and fences nobody.
pub fn who_lost_its_partitions_commits_nothing<L: Logs>() {
    let logs: L = logs(1);
    let old = member(&logs);
    let mut zombie = Actor { transactions: Some(open(&logs, 100).unwrap()), stands: None, end: ZOMBIE_END };
    let membership = old.membership().unwrap();
    zombie.send(&logs, 0);
    drop(old);
    let new = member(&logs);
    bring(&logs, 0, END, &new.membership().unwrap());
    assert!(!zombie.commit(0, &membership), "both committed the same rows");
    // as it does after any error: what it left is ended, and holds no reader back
    drop(open(&logs, 100).unwrap());
    assert_committed(&logs, 0, END);
}
