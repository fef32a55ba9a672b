//! A consumer group in an embedded folder.
//!
//! Invariant: looking makes no folder and no topic. Whoever moves offsets holds the folder, so that no worker lives.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use millrace_embedded::{Folder, Offset, Topic};

use super::Observed;
use crate::embedded::error;
use crate::error::{Error, Result};
use crate::plan::SourcePlan;
use crate::sink::Log;
use crate::sink::transaction::Advance;
use crate::source::{Committed, Extent};

pub struct Group {
    folder: Folder,
    topic: Topic,
    group: String,
}

impl Group {
    pub fn new(plan: &SourcePlan, path: &Path) -> Result<Group> {
        if !Folder::is_one(path) {
            return Err(Error::stop(format!(
                "{} is no embedded folder: name the one that the pipeline runs on",
                path.display()
            )));
        }
        let folder = Folder::look(path).map_err(error)?;
        let topic = folder.topic(&plan.topic).map_err(error)?.ok_or_else(|| {
            let here = path.display();
            Error::stop(format!(
                "topic `{}` is not in {here}: the pipeline makes it at its first start there",
                plan.topic
            ))
        })?;
        Ok(Group { folder, topic, group: plan.group.clone() })
    }

    pub fn log(&self) -> Result<Log> {
        Ok(Log::embedded(&self.topic))
    }

    pub fn read(&self) -> Result<BTreeMap<i32, Observed>> {
        let observed = |(partition, committed)| {
            let extent = self.folder.extent(&self.topic, partition).map_err(error)?;
            let extent = Extent { first: extent.first, end: extent.end };
            Ok((partition, Observed { committed, extent }))
        };
        self.committed(&(0..self.topic.partitions).collect())?.into_iter().map(observed).collect()
    }

    pub fn committed(&self, partitions: &BTreeSet<i32>) -> Result<BTreeMap<i32, Committed>> {
        let committed = |&partition: &i32| {
            let offset = self.folder.offset(&self.group, &self.topic, partition).map_err(error)?;
            let (offset, metadata) = offset.map_or((None, String::new()), |o| (Some(o.next), o.metadata));
            Ok((partition, Committed { offset, metadata }))
        };
        partitions.iter().map(committed).collect()
    }

    pub fn commit(&mut self, advances: &BTreeMap<i32, Advance>) -> Result<()> {
        let mut transaction = self.folder.begin().map_err(error)?;
        for (partition, Advance { from, to, metadata }) in advances {
            let to = Offset { next: *to, metadata: metadata.clone() };
            transaction.move_offset(&self.group, &self.topic, *partition, *from, &to).map_err(error)?;
        }
        transaction.commit().map_err(error)
    }
}
