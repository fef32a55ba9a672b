//! Messages and marks in one transaction of a folder's.
//!
//! Invariant: a transaction first looks whether the marks are those that were read; so nobody's is passed over.

use std::path::Path;

use millrace_embedded::{Folder, Record, Topic, now_ms};

use super::super::Position;
use super::super::marks::{render, topic_of};
use super::{Message, Resent};
use crate::embedded::error;
use crate::error::{Error, Result};
use crate::plan::SourcePlan;

/// No mark is ever dropped.
const MARKS_KEPT: u64 = i64::MAX as u64;

pub struct Sender {
    folder: Folder,
    source: Topic,
    marks: Topic,
    /// Of the marks, as this sender knows them.
    end: i64,
    pending: Vec<Message>,
}

/// Makes the topic of the marks where it is not there; nothing else.
pub fn prepare(path: &Path, plan: &SourcePlan) -> Result<()> {
    let mut folder = Folder::open(path).map_err(error)?;
    let mut transaction = folder.begin().map_err(error)?;
    transaction.topic(&topic_of(&plan.topic), 1, MARKS_KEPT).map_err(error)?;
    transaction.commit().map_err(error)
}

impl Sender {
    /// `end`: of the marks that were read.
    pub fn open(path: &Path, plan: &SourcePlan, end: i64) -> Result<Sender> {
        let folder = Folder::open(path).map_err(error)?;
        let topic = |name: &str| {
            let found = folder.topic(name).map_err(error)?;
            found.ok_or_else(|| Error::stop(format!("topic `{name}` is not in {}", path.display())))
        };
        let (source, marks) = (topic(&plan.topic)?, topic(&topic_of(&plan.topic))?);
        Ok(Sender { folder, source, marks, end, pending: Vec::new() })
    }

    pub fn put(&mut self, messages: Vec<Message>) {
        self.pending.extend(messages);
    }

    pub fn commit(&mut self) -> Result<Vec<Resent>> {
        let (pending, timestamp_ms) = (std::mem::take(&mut self.pending), now_ms());
        let path = self.folder.path().to_owned();
        let mut transaction = self.folder.begin().map_err(error)?;
        let extent = transaction.extent(&self.marks, 0).map_err(error)?;
        if extent.end != self.end {
            return Err(Error::stop(format!(
                "somebody else sends rejects of `{}` in {} again at this moment: nothing of this transaction was sent; \
                 run it again when the other is through",
                self.source.name,
                path.display()
            )));
        }
        let mut resent = Vec::with_capacity(pending.len());
        for Message { of, key, value, headers } in &pending {
            let partition = of.position.partition;
            let record = Record { timestamp_ms, key: key.as_deref(), value: Some(value), headers };
            let offset = transaction.append(&self.source, partition, [record]).map_err(error)?;
            let to = Position { partition, offset };
            let (key, value) = render(&self.source.name, *of, to)?;
            let mark = Record { timestamp_ms, key: Some(key.as_bytes()), value: Some(&value), headers: &[] };
            transaction.append(&self.marks, 0, [mark]).map_err(error)?;
            resent.push((*of, to));
        }
        transaction.commit().map_err(error)?;
        self.end += resent.len() as i64;
        Ok(resent)
    }
}
