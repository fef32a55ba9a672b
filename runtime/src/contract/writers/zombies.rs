//! Two writers of one partition: the first does not know that it was replaced, and goes on.

use futures::future::join_all;

use super::super::rows::batch;
use super::{Medium, assert_exactly, assert_sound, bring, must_be_retry, open, session, starts};
use crate::error::Result;
use crate::sink::Writer;

/// What the zombie took while it was alive, and how far each of them then goes: their batches, and so their files, are
/// not the same.
const TAKEN: i64 = 4;
const ZOMBIE_END: i64 = 10;
const END: i64 = 12;
const ZOMBIE_STEPS: u32 = 2;
const STEPS: u32 = 5;

/// A writer on its way through a partition; gone after an error, as the engine has it.
struct Actor<W> {
    writer: Option<W>,
    durable: i64,
    end: i64,
}

impl<W: Writer> Actor<W> {
    fn after(&mut self, partition: i32, writer: W, done: Result<()>) {
        match done {
            Ok(()) => {
                self.durable = writer.durable()[&partition];
                self.writer = Some(writer);
            }
            Err(error) => must_be_retry(&error),
        }
    }

    async fn write(&mut self, partition: i32, from: i64) {
        if let Some(mut writer) = self.writer.take() {
            let done = writer.write(batch(partition, from..self.end)).await;
            self.after(partition, writer, done.map(drop));
        }
    }

    async fn finish(&mut self, partition: i32) {
        if let Some(mut writer) = self.writer.take() {
            let done = writer.finish().await;
            self.after(partition, writer, done.map(drop));
        }
    }
}

/// Every order of the zombie's steps (write, finish) among the successor's (open, write, finish), each in a partition
/// of its own.
pub async fn whatever_the_order_each_row_is_there_once<M: Medium>() {
    let medium = M::fresh().await;
    let orders: Vec<u32> = (0..1 << STEPS).filter(|order: &u32| order.count_ones() == ZOMBIE_STEPS).collect();
    assert_eq!(orders.len(), 10);
    for (partition, order) in (0..).zip(orders) {
        play(&medium, partition, order).await;
        bring(&medium, partition, END).await;
        assert_exactly(&medium, partition, END).await;
    }
}

async fn play<M: Medium>(medium: &M, partition: i32, order: u32) {
    let (mut writer, _) = open(medium, partition).await;
    writer.write(batch(partition, 0..TAKEN)).await.unwrap();
    let mut zombie = Actor { durable: writer.durable()[&partition], writer: Some(writer), end: ZOMBIE_END };
    let mut successor = Actor { writer: None, durable: 0, end: END };
    let (mut zombie_steps, mut successor_steps) = (0, 0);
    for step in 0..STEPS {
        if order & 1 << step != 0 {
            match zombie_steps {
                0 => zombie.write(partition, TAKEN).await,
                _ => zombie.finish(partition).await,
            }
            zombie_steps += 1;
        } else {
            match successor_steps {
                0 => {
                    let mut writer = medium.writer(medium.context().clone()).unwrap();
                    let opened = writer.open(&starts(partition)).await.map(drop);
                    successor.after(partition, writer, opened);
                }
                1 => successor.write(partition, successor.durable).await,
                _ => successor.finish(partition).await,
            }
            successor_steps += 1;
        }
        let told = zombie.durable.max(successor.durable);
        assert_sound(medium, partition, told, END).await;
    }
}

/// All of them at once, as a machine has it; who is fenced gives up, and one more comes when it is over.
pub async fn writers_that_run_side_by_side<M: Medium>() {
    let medium = M::fresh().await;
    for end in [10, 25, 60] {
        let sessions = join_all((0..4).map(|_| session(&medium, 0, end))).await;
        sessions.iter().filter_map(|session| session.as_ref().err()).for_each(must_be_retry);
        assert_sound(&medium, 0, 0, end).await;
        bring(&medium, 0, end).await;
        assert_exactly(&medium, 0, end).await;
    }
}
