//! What is outside of a worker, in memory: a log with retention and compaction, a group, a topic with transactions, collections with
//! cursors, a directory with tokens. Each request is carried out at once, later, or never.
//!
//! What must hold is checked where it could break: the head's commits decide, once, whose each offset is; everything
//! else is compared with that.

use std::collections::{BTreeMap, BTreeSet};

use super::rows::{Content, Generation, PARTITIONS, Row, SINKS, Sink, WORKERS, content, is_for, is_message};
use crate::engine::history::History;
use crate::sink::Positions;
use crate::sink::transaction::Advance;
use crate::source::{Committed, Extent};

/// Who the consumer was when it read, as the group numbers its generations.
pub type Member = u32;

/// Of a worker's transactional id; epochs fence.
#[derive(Clone, Copy, Debug)]
pub struct Producer {
    pub worker: usize,
    pub epoch: u32,
}

#[derive(Clone, Debug)]
pub struct Transaction {
    pub advances: BTreeMap<i32, Advance>,
    pub rows: Vec<Row>,
}

#[derive(Clone, Debug)]
pub enum Request {
    EndTransaction(Producer),
    SetUpCursors(Sink, Positions),
    Insert(Sink, Vec<Row>),
    MoveCursors(Sink, Positions),
    SetUpToken { partition: i32, start: i64 },
    Take { partition: i32, from: u64, to: u64 },
    Publish { partition: i32, token: u64, first: i64, next: i64, rows: Vec<Row> },
    MoveMarker { partition: i32, token: u64, from: i64, to: i64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Nothing of it happened.
    Before,
    /// It happened, and the answer was lost.
    After,
    /// No answer, and it may happen yet.
    Late,
}

/// It was refused, or nobody knows.
#[derive(Debug)]
pub struct Failed;

#[derive(Default)]
struct Collection {
    documents: BTreeMap<(i32, i64), Generation>,
    cursors: Positions,
}

pub struct Directory {
    pub token: u64,
    pub marker: i64,
    files: BTreeMap<i64, i64>,
}

pub struct Media {
    pub log: BTreeMap<i32, Extent>,
    /// Of the group.
    pub member: Member,
    pub assigned: [usize; PARTITIONS as usize],
    committed: BTreeMap<i32, Committed>,
    /// Commits that the group took.
    pub commits: u64,
    epochs: [u32; WORKERS],
    /// Offsets are in it, and its end is not there yet.
    open: BTreeMap<usize, Transaction>,
    /// Whose each offset is: what the head's commits decided.
    owners: [Vec<Generation>; PARTITIONS as usize],
    collections: BTreeMap<Sink, Collection>,
    pub directories: BTreeMap<i32, Directory>,
    tokens: u64,
    /// What the log dropped before a sink had it.
    gone: BTreeSet<(Sink, i32, i64)>,
    compacted: BTreeSet<(i32, i64)>,
    pub late: Vec<Request>,
    pub broken: Option<String>,
}

impl Media {
    pub fn new() -> Media {
        let none = |partition| (partition, Committed { offset: None, metadata: String::new() });
        let collection = |sink| (sink, Collection::default());
        Media {
            log: (0..PARTITIONS).map(|partition| (partition, Extent { first: 0, end: 0 })).collect(),
            member: 1,
            assigned: [0, 1],
            committed: (0..PARTITIONS).map(none).collect(),
            commits: 0,
            epochs: [0; WORKERS],
            open: BTreeMap::new(),
            owners: Default::default(),
            collections: [Sink::Collection, Sink::Rejects].map(collection).into(),
            directories: BTreeMap::new(),
            tokens: 0,
            gone: BTreeSet::new(),
            compacted: BTreeSet::new(),
            late: Vec::new(),
            broken: None,
        }
    }

    pub fn must(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds && self.broken.is_none() {
            self.broken = Some(otherwise());
        }
    }

    pub fn head(&self, partition: i32) -> i64 {
        self.committed[&partition].offset.unwrap_or(0)
    }

    pub fn produce(&mut self, partition: i32, messages: i64, end_max: i64) {
        let extent = self.log.get_mut(&partition).expect("a partition");
        extent.end = (extent.end + messages).min(end_max);
    }

    pub fn assign(&mut self, to: [usize; PARTITIONS as usize]) {
        self.assigned = to;
        self.member += 1;
    }

    /// The log forgets what the head has passed.
    pub fn retain(&mut self, partition: i32, messages: i64) {
        let head = self.head(partition);
        let extent = self.log.get_mut(&partition).expect("a partition");
        extent.first = (extent.first + messages).min(head);
    }

    /// And loses single messages there.
    pub fn compact(&mut self, partition: i32, offset: i64) {
        if offset < self.head(partition) {
            self.compacted.insert((partition, offset));
        }
    }

    /// What the log gives to who has read so far.
    pub fn next_message(&self, partition: i32, read: i64) -> Option<i64> {
        let is_there = |offset: &i64| is_message(*offset) && !self.compacted.contains(&(partition, *offset));
        (read..self.log[&partition].end).find(is_there)
    }

    pub fn send(&mut self, request: Request, fault: Fault) -> Result<(), Failed> {
        match fault {
            Fault::None => return self.carry_out(request),
            Fault::Before => {}
            Fault::After => drop(self.carry_out(request)),
            Fault::Late => self.late.push(request),
        }
        Err(Failed)
    }

    pub fn carry_out(&mut self, request: Request) -> Result<(), Failed> {
        match request {
            Request::EndTransaction(producer) => return self.end_transaction(producer),
            Request::SetUpCursors(sink, starts) => {
                let cursors = &mut self.collection(sink).cursors;
                for (partition, start) in starts {
                    cursors.entry(partition).or_insert(start);
                }
            }
            Request::Insert(sink, rows) => {
                for row in rows {
                    self.check_row(&row, sink);
                    let documents = &mut self.collection(sink).documents;
                    documents.entry((row.partition, row.offset)).or_insert(row.generation);
                }
            }
            Request::MoveCursors(sink, moves) => {
                for (partition, to) in moves {
                    let cursor = self.collection(sink).cursors.entry(partition).or_insert(to);
                    *cursor = to.max(*cursor);
                    self.check_position(sink, partition, to);
                }
            }
            Request::SetUpToken { partition, start } => {
                let token = self.fresh_token();
                let new = Directory { token, marker: start, files: BTreeMap::new() };
                self.directories.entry(partition).or_insert(new);
            }
            Request::Take { partition, from, to } => self.held(partition, from)?.token = to,
            Request::Publish { partition, token, first, next, rows } => {
                self.held(partition, token)?;
                self.publish(partition, first, next, &rows);
            }
            Request::MoveMarker { partition, token, from, to } => {
                let directory = self.held(partition, token)?;
                if directory.marker != from {
                    return Err(Failed);
                }
                directory.marker = to;
                self.check_position(Sink::Directory, partition, to);
            }
        }
        Ok(())
    }
}

/// The topic, and the group's offsets.
impl Media {
    /// Fences the transactions of a worker's id, and aborts what is open.
    pub fn init(&mut self, worker: usize) -> Producer {
        self.open.remove(&worker);
        self.epochs[worker] += 1;
        Producer { worker, epoch: self.epochs[worker] }
    }

    /// The broker aborts by itself what is open for too long.
    pub fn time_out(&mut self, worker: usize) {
        if self.open.contains_key(&worker) {
            self.init(worker);
        }
    }

    /// None: a transaction holds an offset that may be committed yet.
    pub fn committed(&self, partition: i32) -> Option<Committed> {
        let is_open = self.open.values().any(|open| open.advances.contains_key(&partition));
        (!is_open).then(|| self.committed[&partition].clone())
    }

    /// The group takes offsets only of its present members. What is in an open transaction already stays in it.
    pub fn commit(&mut self, who: Producer, tx: Transaction, member: Member, fault: Fault) -> Result<(), Failed> {
        if who.epoch != self.epochs[who.worker] || member != self.member || fault == Fault::Before {
            return Err(Failed);
        }
        let empty = Transaction { advances: BTreeMap::new(), rows: Vec::new() };
        let open = self.open.entry(who.worker).or_insert(empty);
        open.advances.extend(tx.advances);
        open.rows.extend(tx.rows);
        self.send(Request::EndTransaction(who), fault)
    }

    fn end_transaction(&mut self, Producer { worker, epoch }: Producer) -> Result<(), Failed> {
        if epoch != self.epochs[worker] {
            return Err(Failed);
        }
        let Transaction { advances, rows } = self.open.remove(&worker).ok_or(Failed)?;
        for (partition, Advance { to, metadata, .. }) in advances {
            let rows: Vec<&Row> = rows.iter().filter(|row| row.partition == partition).collect();
            let from = self.head(partition);
            let expected: Vec<i64> = (from..to).filter(|&offset| content(offset) == Content::Row).collect();
            let offsets: Vec<i64> = rows.iter().map(|row| row.offset).collect();
            self.must(offsets == expected, || {
                format!("topic: partition {partition} stood at {from}, and {offsets:?} came before {to}")
            });
            let list = History::parse(&metadata).expect("a generation list");
            let needed = SINKS.iter().filter_map(|&sink| self.position(sink, partition)).min().unwrap_or(0);
            let owners = &mut self.owners[partition as usize];
            owners.extend(
                (owners.len() as i64..to).map(|offset| list.at(offset).expect("it covers what is new").clone()),
            );
            let owns = |offset: i64| &owners[offset as usize];
            let is_right = rows.iter().all(|row| row.generation == *owns(row.offset))
                && (needed..owners.len() as i64).all(|offset| list.at(offset) == Some(owns(offset)));
            self.must(is_right, || {
                format!("generations: {list:?} beside {to} of partition {partition}, and a sink at {needed}")
            });
            self.committed.insert(partition, Committed { offset: Some(to), metadata });
        }
        self.commits += 1;
        Ok(())
    }

    fn check_row(&mut self, row: &Row, sink: Sink) {
        let owner = self.owners[row.partition as usize].get(row.offset as usize).cloned();
        let is_right = owner.as_ref() == Some(&row.generation)
            && row.offset < self.head(row.partition)
            && is_for(sink, row.offset);
        self.must(is_right, || format!("{sink:?}: {row:?}, and the head's commits say {owner:?}"));
    }
}

/// The sinks.
impl Media {
    fn collection(&mut self, sink: Sink) -> &mut Collection {
        self.collections.get_mut(&sink).expect("a collection")
    }

    pub fn position(&self, sink: Sink, partition: i32) -> Option<i64> {
        if sink != Sink::Directory {
            return self.collections[&sink].cursors.get(&partition).copied();
        }
        let directory = self.directories.get(&partition)?;
        let last = directory.files.last_key_value().map_or(0, |(_, next)| *next);
        Some(directory.marker.max(last))
    }

    pub fn fresh_token(&mut self) -> u64 {
        self.tokens += 1;
        self.tokens
    }

    pub fn skip(&mut self, sink: Sink, partition: i32, from: i64, to: i64) {
        let first = self.log[&partition].first;
        self.must(to <= first, || {
            format!("{sink:?} skips {from} to {to} of partition {partition}: the log has {first}")
        });
        self.gone.extend((from..to).map(|offset| (sink, partition, offset)));
    }

    fn is_due(&self, sink: Sink, partition: i32, offset: i64) -> bool {
        let is_gone = self.gone.contains(&(sink, partition, offset)) || self.compacted.contains(&(partition, offset));
        is_for(sink, offset) && !is_gone
    }

    fn has(&self, sink: Sink, partition: i32, offset: i64) -> bool {
        if sink != Sink::Directory {
            return self.collections[&sink].documents.contains_key(&(partition, offset));
        }
        let files = &self.directories[&partition].files;
        files.range(..=offset).next_back().is_some_and(|(_, next)| offset < *next)
    }

    fn check_position(&mut self, sink: Sink, partition: i32, to: i64) {
        let head = self.head(partition);
        self.must(to <= head, || format!("{sink:?}: position {to} of partition {partition}, and the head's is {head}"));
        let is_missing = |&offset: &i64| self.is_due(sink, partition, offset) && !self.has(sink, partition, offset);
        let missing = (0..to).find(is_missing);
        self.must(missing.is_none(), || {
            format!("{sink:?}: position {to} of partition {partition} without {missing:?}")
        });
    }

    /// Fails where the token is another's by now.
    fn held(&mut self, partition: i32, token: u64) -> Result<&mut Directory, Failed> {
        self.directories.get_mut(&partition).filter(|directory| directory.token == token).ok_or(Failed)
    }

    fn publish(&mut self, partition: i32, first: i64, next: i64, rows: &[Row]) {
        let sink = Sink::Directory;
        rows.iter().for_each(|row| self.check_row(row, sink));
        let offsets: Vec<i64> = rows.iter().map(|row| row.offset).collect();
        let mut due = (first..next).filter(|&offset| self.is_due(sink, partition, offset));
        let is_whole = due.all(|offset| offsets.contains(&offset));
        let is_inside =
            offsets.is_sorted_by(|a, b| a < b) && offsets.iter().all(|offset| (first..next).contains(offset));
        self.must(is_whole && is_inside, || {
            format!("{sink:?}: {first} to {next} of partition {partition}: {offsets:?}")
        });
        let files = &mut self.directories.get_mut(&partition).expect("it is held").files;
        let end = files.last_key_value().map_or(0, |(_, next)| *next);
        files.insert(first, next);
        self.must(first >= end, || format!("{sink:?}: {first} to {next} of partition {partition} twice, after {end}"));
        self.check_position(sink, partition, next);
    }

    /// Everything is everywhere.
    pub fn is_complete(&self) -> bool {
        self.log.iter().all(|(&partition, extent)| {
            let head = self.head(partition);
            !(head..extent.end).any(is_message)
                && SINKS.iter().all(|&sink| self.position(sink, partition) == Some(head))
        })
    }

    /// For those who look at it.
    pub fn stands(&self) -> String {
        let of = |(&partition, extent): (&i32, &Extent)| {
            let positions = SINKS.map(|sink| (sink, self.position(sink, partition)));
            format!("partition {partition}: {extent:?}, head {}, {positions:?}; ", self.head(partition))
        };
        self.log.iter().map(of).collect()
    }
}
