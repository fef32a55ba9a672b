//! The positions of a collection of documents, from outside.
//!
//! Invariant: whoever resets one holds the folder, so that no writer lives.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use millrace_embedded::{Folder, Position};

use super::{documents, keyed};
use crate::embedded::error;
use crate::error::Result;
use crate::plan::MongodbPlan;
use crate::sink::Context;
use crate::sink::ledger::{Entry, Wrong};

pub struct Ledger {
    context: Context,
    plan: MongodbPlan,
    folder: Folder,
}

impl Ledger {
    pub fn new(context: Context, folder: &Path, plan: &MongodbPlan) -> Result<Ledger> {
        Ok(Ledger { context, plan: plan.clone(), folder: Folder::look(folder).map_err(error)? })
    }

    fn entry(&self, partition: i32) -> Result<Entry> {
        let log = &self.context.log;
        let wrong = |said: crate::error::Error| Some(Wrong { said: said.to_string(), mends: true });
        let sink = documents::position_name(&self.context);
        let Some(position) = self.folder.position(&sink, &log.topic, partition).map_err(error)? else {
            let has_rows = keyed::holds_rows(&self.folder, &self.context, &self.plan, partition)?;
            let said = || documents::rows_without_position(&self.context, &self.plan, partition);
            return Ok(Entry { wrong: has_rows.then(said).and_then(wrong), ..Entry::default() });
        };
        let checked = documents::checked(&self.context, partition, &position);
        let Position { topic_uuid, next } = position;
        Ok(Entry { next: Some(next), topic_id: Some(topic_uuid), detail: None, wrong: checked.err().and_then(wrong) })
    }
}

impl crate::sink::ledger::Ledger for Ledger {
    fn place(&self) -> String {
        format!("collection `{}` in {}", self.plan.namespace(), self.folder.path().display())
    }

    fn repeats(&self) -> &'static str {
        "a document that is there stays as it is, so that a changed answer does not replace it"
    }

    async fn read(&mut self, partitions: &BTreeSet<i32>) -> Result<BTreeMap<i32, Entry>> {
        partitions.iter().map(|&partition| Ok((partition, self.entry(partition)?))).collect()
    }

    async fn obstacle(&mut self, _partition: i32, _to: i64) -> Result<Option<String>> {
        Ok(None)
    }

    async fn reset(&mut self, partition: i32, from: &Entry, to: i64) -> Result<()> {
        let (sink, log) = (documents::position_name(&self.context), &self.context.log);
        let to = Position { topic_uuid: log.topic_id.clone(), next: to };
        let mut transaction = self.folder.begin().map_err(error)?;
        // it moves only from where it was read
        transaction.move_position(&sink, &log.topic, partition, from.next, &to).map_err(error)?;
        let resets = documents::resets_name(&self.context);
        let count = transaction.position(&resets, &log.topic, partition).map_err(error)?.map(|count| count.next);
        let more = Position { topic_uuid: log.topic_id.clone(), next: count.unwrap_or(0) + 1 };
        transaction.move_position(&resets, &log.topic, partition, count, &more).map_err(error)?;
        transaction.commit().map_err(error)
    }
}
