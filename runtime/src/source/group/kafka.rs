//! A consumer group at its brokers, by a client that never joins it.
//!
//! Invariant: offsets are committed without a member's name, which the coordinator takes from nobody while the group
//! has members; so what is moved here is never moved under a living worker.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use millrace_native::members::members;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerGroupMetadata};

use super::{Observed, Offsets};
use crate::error::{Error, Result};
use crate::kafka::{self, Kept, Quiet};
use crate::plan::SourcePlan;
use crate::sink::Log;
use crate::sink::kafka::{Transactions, offsets};
use crate::sink::transaction::Advance;
use crate::source::{Committed, broker};

pub struct Group {
    consumer: Kept<BaseConsumer<Quiet>>,
    plan: SourcePlan,
    timeout: Duration,
}

impl Group {
    pub fn new(plan: &SourcePlan, read: Offsets) -> Result<Group> {
        let isolation = match read {
            Offsets::Last => "read_uncommitted",
            Offsets::Settled => "read_committed",
        };
        let mut config = plan.brokers.client_config("millrace-positions");
        // the group's protocol is for its members
        config.set("group.id", &plan.group).set("enable.auto.commit", "false").set("isolation.level", isolation);
        let consumer = config
            .create_with_context(Quiet::default())
            .map_err(|cause| kafka::error("the consumer's settings", cause))?;
        Ok(Group { consumer, plan: plan.clone(), timeout: plan.timeout })
    }

    pub fn log(&self) -> Result<Log> {
        // it says best that a topic is not there
        broker::partitions(&self.consumer, &self.plan.brokers, &self.plan.topic, self.timeout)?;
        broker::log(&self.consumer, &self.plan.brokers, &self.plan.topic, self.timeout)
    }

    pub fn read(&self) -> Result<BTreeMap<i32, Observed>> {
        let (consumer, topic) = (&self.consumer, &self.plan.topic);
        let partitions = (0..broker::partitions(consumer, &self.plan.brokers, topic, self.timeout)?).collect();
        let committed = self.committed(&partitions)?;
        let observed = committed.into_iter().map(|(partition, committed)| {
            let extent = broker::extent(consumer, topic, partition, self.timeout)?;
            Ok((partition, Observed { committed, extent }))
        });
        observed.collect()
    }

    pub fn committed(&self, partitions: &BTreeSet<i32>) -> Result<BTreeMap<i32, Committed>> {
        broker::committed(&self.consumer, &self.plan.topic, partitions, self.timeout)
    }

    /// A consumer that never joined has no generation and no name.
    pub fn nobody(&self) -> Result<Arc<ConsumerGroupMetadata>> {
        let nobody = || Error::retry(format!("the client of group `{}` has none", self.plan.group));
        self.consumer.group_metadata().map(Arc::new).ok_or_else(nobody)
    }

    pub fn members(&self) -> Result<Vec<String>> {
        let found = members(self.consumer.client(), &self.plan.group, self.timeout);
        let found = found.map_err(|cause| Error::retry(format!("asking {}", self.plan.brokers)).caused_by(cause))?;
        let mut said: Vec<_> = found
            .iter()
            .map(|member| format!("{} on {}", member.client_id, member.host.trim_start_matches('/')))
            .collect();
        said.sort();
        Ok(said)
    }

    pub fn fence(&self, transactional_ids: &[String]) -> Result<()> {
        transactional_ids.iter().try_for_each(|id| Transactions::init(&self.plan, id, &BTreeSet::new()).map(drop))
    }

    pub fn commit(&self, advances: &BTreeMap<i32, Advance>) -> Result<()> {
        let list = offsets(&self.plan.topic, advances)?;
        self.consumer.commit(&list, CommitMode::Sync).map_err(|cause| {
            let what = "committing offsets (the brokers refuse it once the group has a member)";
            kafka::error(what, cause)
        })
    }
}
