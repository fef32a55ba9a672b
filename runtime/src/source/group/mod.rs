//! The consumer group of a pipeline, seen from outside: one `match` for each act.
//!
//! Invariant: looking joins nothing and moves nothing; offsets are moved only while the group has no member, and the
//! log itself refuses it otherwise. Knows nothing of what stands beside an offset.

mod embedded;
mod kafka;

use std::collections::{BTreeMap, BTreeSet};

use super::{Committed, Extent, Membership};
use crate::error::Result;
use crate::ground::Ground;
use crate::plan::SourcePlan;
use crate::sink::Log;
use crate::sink::transaction::Advance;

/// Offsets as they are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offsets {
    /// Those of transactions that are not decided yet are left out: nobody waits for anybody.
    Last,
    /// Such transactions are waited for: what is read cannot be overtaken by them.
    Settled,
}

/// What a log and its group say of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    pub committed: Committed,
    pub extent: Extent,
}

pub enum Group {
    Kafka(Box<kafka::Group>),
    Embedded(Box<embedded::Group>),
}

impl Group {
    /// Connects to nothing yet.
    pub fn new(ground: &Ground, plan: &SourcePlan, offsets: Offsets) -> Result<Group> {
        Ok(match ground {
            Ground::Services => Group::Kafka(Box::new(kafka::Group::new(plan, offsets)?)),
            Ground::Embedded(folder) => Group::Embedded(Box::new(embedded::Group::new(plan, folder)?)),
        })
    }

    pub fn log(&self) -> Result<Log> {
        match self {
            Group::Kafka(group) => group.log(),
            Group::Embedded(group) => group.log(),
        }
    }

    /// Every partition of the topic.
    pub fn read(&self) -> Result<BTreeMap<i32, Observed>> {
        match self {
            Group::Kafka(group) => group.read(),
            Group::Embedded(group) => group.read(),
        }
    }

    /// What is committed of these partitions.
    pub fn committed(&self, partitions: &BTreeSet<i32>) -> Result<BTreeMap<i32, Committed>> {
        match self {
            Group::Kafka(group) => group.committed(partitions),
            Group::Embedded(group) => group.committed(partitions),
        }
    }

    /// Who commits for a group without members.
    pub fn nobody(&self) -> Result<Membership> {
        match self {
            Group::Kafka(group) => group.nobody().map(Membership::Kafka),
            Group::Embedded(_) => Ok(Membership::Embedded),
        }
    }

    /// Who is in it, in words. None: it is not known; whoever runs a pipeline on an embedded folder holds the folder.
    pub fn members(&self) -> Result<Option<Vec<String>>> {
        match self {
            Group::Kafka(group) => group.members().map(Some),
            Group::Embedded(_) => Ok(None),
        }
    }

    /// Ends what workers with these transactional ids may have left undecided.
    pub fn fence(&self, transactional_ids: &[String]) -> Result<()> {
        match self {
            Group::Kafka(group) => group.fence(transactional_ids),
            Group::Embedded(_) => Ok(()),
        }
    }

    /// Moves the group's offsets, all of them or none.
    pub fn commit(&mut self, advances: &BTreeMap<i32, Advance>) -> Result<()> {
        match self {
            Group::Kafka(group) => group.commit(advances),
            Group::Embedded(group) => group.commit(advances),
        }
    }
}
