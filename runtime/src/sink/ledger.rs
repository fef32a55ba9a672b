//! Where a sink's positions are written down, seen from outside of a running pipeline: one `match` for each act.
//!
//! Invariant: reading fences nobody, takes no token, cleans nothing and creates nothing. A reset first makes every
//! writer of the partition harmless, by the medium's own protocol, and moves only what still stands as it was read.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

use crate::error::{Error, Result};
use crate::ground::Ground;
use crate::plan::{Plan, SinkKind, SinkPlan};
use crate::sink::{Context, Log, embedded, hdfs, mongodb};

/// What is written of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The first offset that is not there. None: there is no position.
    pub next: Option<i64>,
    /// The topic that it is about, as the medium spells its id.
    pub topic_id: Option<String>,
    /// What else there is to know, for people.
    pub detail: Option<String>,
    /// Why the sink would not open.
    pub wrong: Option<Wrong>,
}

/// Why a sink would not open a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    pub said: String,
    /// Would a reset mend it?
    pub mends: bool,
}

pub trait Ledger: Send {
    /// Where it is, for people.
    fn place(&self) -> String;

    /// What writing again means for rows that are there already, for people.
    fn repeats(&self) -> &'static str;

    fn read(&mut self, partitions: &BTreeSet<i32>) -> impl Future<Output = Result<BTreeMap<i32, Entry>>> + Send;

    /// Why the partition cannot be moved there, and what to do about it.
    fn obstacle(&mut self, partition: i32, to: i64) -> impl Future<Output = Result<Option<String>>> + Send;

    /// Moves the partition from where it was read.
    fn reset(&mut self, partition: i32, from: &Entry, to: i64) -> impl Future<Output = Result<()>> + Send;
}

pub enum AnyLedger {
    Mongodb(Box<mongodb::Ledger>),
    Hdfs(Box<hdfs::Ledger<hdfs::NameNode>>),
    Documents(Box<embedded::Ledger>),
    Directory(Box<hdfs::Ledger<hdfs::Local>>),
}

/// The ledger inside, whichever it is.
macro_rules! each {
    ($any:expr, $ledger:ident => $act:expr) => {
        match $any {
            AnyLedger::Mongodb($ledger) => $act,
            AnyLedger::Hdfs($ledger) => $act,
            AnyLedger::Documents($ledger) => $act,
            AnyLedger::Directory($ledger) => $act,
        }
    };
}

impl AnyLedger {
    /// Connects to nothing yet. None: the sink's position is the head's.
    pub fn new(ground: &Ground, plan: &Plan, sink: &SinkPlan, log: &Log) -> Result<Option<AnyLedger>> {
        let context = Context::of_sink(plan, sink, log);
        Ok(match (&sink.kind, ground) {
            (SinkKind::Kafka { .. }, _) => None,
            (SinkKind::Mongodb(plan), Ground::Services) => {
                Some(AnyLedger::Mongodb(Box::new(mongodb::Ledger::new(context, plan))))
            }
            (SinkKind::Hdfs(plan), Ground::Services) => {
                Some(AnyLedger::Hdfs(Box::new(hdfs::Ledger::new(context, plan)?)))
            }
            (SinkKind::Mongodb(plan), Ground::Embedded(folder)) => {
                Some(AnyLedger::Documents(Box::new(embedded::Ledger::new(context, folder, plan)?)))
            }
            (SinkKind::Hdfs(plan), Ground::Embedded(folder)) => {
                Some(AnyLedger::Directory(Box::new(hdfs::Ledger::in_folder(context, plan, folder.join("hdfs"))?)))
            }
        })
    }
}

impl Ledger for AnyLedger {
    fn place(&self) -> String {
        each!(self, ledger => ledger.place())
    }

    fn repeats(&self) -> &'static str {
        each!(self, ledger => ledger.repeats())
    }

    async fn read(&mut self, partitions: &BTreeSet<i32>) -> Result<BTreeMap<i32, Entry>> {
        each!(self, ledger => ledger.read(partitions).await)
    }

    async fn obstacle(&mut self, partition: i32, to: i64) -> Result<Option<String>> {
        each!(self, ledger => ledger.obstacle(partition, to).await)
    }

    async fn reset(&mut self, partition: i32, from: &Entry, to: i64) -> Result<()> {
        each!(self, ledger => ledger.reset(partition, from, to).await)
    }
}

/// A position that is not where it was read.
pub(super) fn moved(what: &str, partition: i32, from: Option<i64>) -> Error {
    let from = from.map_or("nowhere".to_owned(), |from| format!("at {from}"));
    Error::stop(format!(
        "{what}: the position of partition {partition} stood {from}, and does not any more: somebody else has moved it. \
         Look again before you reset it"
    ))
}
