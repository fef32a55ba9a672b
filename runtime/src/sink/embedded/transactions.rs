//! Rows, rejects and offsets of the head, gathered and written at once.

use std::collections::BTreeMap;
use std::path::Path;

use millrace_embedded::{Folder, Headers, Offset, Record, TOPIC_ROWS_MAX, now_ms};

use crate::batch::Arena;
use crate::embedded::{Share, error};
use crate::error::Result;
use crate::plan::SourcePlan;
use crate::sink::transaction::{Advance, TooLarge};

/// What a Kafka broker takes by default.
pub const RECORD_BYTES_MAX: usize = 1_000_000;

pub struct Transactions {
    folder: Folder,
    source: String,
    group: String,
    share: Share,
    /// By topic, in the order in which they came.
    pending: BTreeMap<String, Pending>,
}

#[derive(Default)]
struct Pending {
    keys: Arena,
    has_key: Vec<bool>,
    values: Arena,
    /// Of those records that have any, by their index.
    headers: BTreeMap<usize, Headers>,
}

impl Transactions {
    pub fn new(plan: &SourcePlan, folder: &Path, share: Share) -> Result<Transactions> {
        let folder = Folder::open(folder).map_err(error)?;
        let (source, group) = (plan.topic.clone(), plan.group.clone());
        Ok(Transactions { folder, source, group, share, pending: BTreeMap::new() })
    }

    pub fn send(
        &mut self,
        topic: &str,
        key: Option<&[u8]>,
        value: &[u8],
        headers: &[(String, Vec<u8>)],
    ) -> Result<(), TooLarge> {
        if key.unwrap_or_default().len() + value.len() > RECORD_BYTES_MAX {
            return Err(TooLarge);
        }
        let pending = match self.pending.get_mut(topic) {
            Some(pending) => pending,
            None => self.pending.entry(topic.to_owned()).or_default(),
        };
        if !headers.is_empty() {
            pending.headers.insert(pending.values.len(), headers.to_vec());
        }
        pending.keys.push(key.unwrap_or_default());
        pending.has_key.push(key.is_some());
        pending.values.push(value);
        Ok(())
    }

    pub fn commit(&mut self, advances: &BTreeMap<i32, Advance>) -> Result<()> {
        let pending = std::mem::take(&mut self.pending);
        let mut transaction = self.folder.begin().map_err(error)?;
        let source = transaction.topic(&self.source, self.share.of, TOPIC_ROWS_MAX).map_err(error)?;
        for (partition, Advance { from, to, metadata }) in advances {
            let to = Offset { next: *to, metadata: metadata.clone() };
            transaction.move_offset(&self.group, &source, *partition, *from, &to).map_err(error)?;
        }
        for (name, rows) in &pending {
            let topic = transaction.topic(name, self.share.of, TOPIC_ROWS_MAX).map_err(error)?;
            // a worker's rows stay in order: all of them go to one partition
            let partition = self.share.worker % topic.partitions;
            transaction.append(&topic, partition, rows.records(now_ms())).map_err(error)?;
        }
        transaction.commit().map_err(error)
    }
}

impl Pending {
    fn records(&self, timestamp_ms: i64) -> impl Iterator<Item = Record<'_>> {
        (0..self.values.len()).map(move |row| Record {
            timestamp_ms,
            key: self.has_key[row].then(|| self.keys.get(row)),
            value: Some(self.values.get(row)),
            headers: self.headers.get(&row).map_or(&[], Vec::as_slice),
        })
    }
}
