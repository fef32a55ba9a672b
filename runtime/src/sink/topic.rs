//! Rows as records of a topic, in transactions of this sink's own: with each batch's rows its position is committed, as
//! the offset of a consumer group that nobody joins. What rejects of a detached sink are written by.
//!
//! The group is `<the source's group>-<sink>`; on Kafka, a partition's transactional id is
//! `<pipeline>-<sink>-<partition>`. Beside the offset stands the id of the topic that it is about.
//!
//! Invariants: a partition's transactional id is taken before its position is read, so that who wrote it before is
//! fenced, and what that left open never was; rows and the position that they are about are one transaction. After any
//! error the producers are gone for good.
//! A record's key is its message's. Knows nothing of the head's transaction, nor of the head's group.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::batch::{Batch, Reject};
use crate::embedded::Share;
use crate::error::{Error, Result};
use crate::ground::Ground;
use crate::json::encode::{BoundEncoder, Encoder};
use crate::plan::SourcePlan;
use crate::rejects::Encoders;
use crate::sink::blocking::Blocking;
use crate::sink::transaction::{Advance, TooLarge, Transactions};
use crate::sink::{Context, Of, Outbound, Positions, Starts, Written, moves};
use crate::source::group::{Group, Offsets};

const WRITING: &str = "writing to a topic";

pub struct Writer {
    inner: Blocking<Inner>,
    positions: Positions,
    written: Written,
}

struct Inner {
    context: Context,
    ground: Ground,
    /// Of the topic that the rows come from; its group is this sink's own.
    source: SourcePlan,
    topic: String,
    encoder: Encoder,
    /// What is written of a row that is too large for a record.
    smaller: Option<Encoder>,
    open: Option<Open>,
}

struct Open {
    group: Group,
    /// Of each partition, as it was opened.
    transactions: BTreeMap<i32, Transactions>,
    /// None: nothing is committed yet.
    committed: BTreeMap<i32, Option<i64>>,
}

impl Writer {
    /// Connects to nothing. `topic`: on the source's cluster.
    pub fn new(context: Context, ground: &Ground, source: &SourcePlan, topic: &str) -> Writer {
        let source = SourcePlan { group: format!("{}-{}", source.group, context.sink), ..source.clone() };
        let smaller = (context.of == Of::Rejects).then(|| Encoders::new().without_message);
        let (encoder, ground, topic) = (context.encoder(), ground.clone(), topic.to_owned());
        let inner = Inner { context, ground, source, topic, encoder, smaller, open: None };
        Writer { inner: Blocking::new(inner), positions: Positions::new(), written: Written::default() }
    }
}

impl super::Writer for Writer {
    async fn open(&mut self, starts: &Starts) -> Result<Positions> {
        let starts = starts.clone();
        self.positions = self.inner.call(WRITING, move |inner| inner.open(&starts)).await?;
        Ok(self.positions.clone())
    }

    async fn write(&mut self, outbound: Arc<Outbound>) -> Result<Vec<Reject>> {
        let moves = moves(&self.positions, &outbound.batch.spans)?;
        if moves.is_empty() {
            return Ok(Vec::new());
        }
        let (positions, to) = (self.positions.clone(), moves.clone());
        let written = self.inner.call(WRITING, move |inner| inner.write(&outbound, &positions, &to)).await?;
        self.written += written;
        self.positions.extend(moves);
        // what does not fit stops it
        Ok(Vec::new())
    }

    fn durable(&self) -> &Positions {
        &self.positions
    }

    fn written(&self) -> Written {
        self.written
    }
}

impl Inner {
    fn open(&mut self, starts: &Starts) -> Result<Positions> {
        let (mut transactions, topics) = (BTreeMap::new(), BTreeSet::from([self.topic.as_str()]));
        for &partition in starts.keys() {
            let id = format!("{}-{}-{partition}", self.context.pipeline, self.context.sink);
            // in one embedded folder each partition's rows go to one of the topic's
            let share = Share { worker: partition, of: 1 };
            transactions.insert(partition, self.ground.transactions(&self.source, &topics, &id, share)?);
        }
        let group = Group::new(&self.ground, &self.source, Offsets::Settled)?;
        let read = group.committed(&starts.keys().copied().collect())?;
        let (mut committed, mut positions) = (BTreeMap::new(), Positions::new());
        for (&partition, &start) in starts {
            let found = read.get(&partition).filter(|found| found.offset.is_some());
            if let Some(found) = found
                && found.metadata != self.context.log.topic_id
            {
                return Err(self.of_another_topic(partition, &found.metadata));
            }
            let offset = found.and_then(|found| found.offset);
            committed.insert(partition, offset);
            let place = || format!("group `{}`", self.source.group);
            positions.insert(
                partition,
                match offset {
                    Some(offset) => offset,
                    None => start.anew(&self.context.sink, partition, place())?,
                },
            );
        }
        let mut open = Open { group, transactions, committed };
        for (&partition, &start) in &positions {
            if open.committed[&partition].is_none() {
                self.commit(&mut open, partition, start)?;
            }
        }
        self.open = Some(open);
        Ok(positions)
    }

    fn of_another_topic(&self, partition: i32, theirs: &str) -> Error {
        Error::stop(format!(
            "group `{}` stands in partition {partition} of another topic `{}` (id {theirs}, now {}): the topic was \
             deleted and made again. Delete the group, and it begins anew; what was written before stays",
            self.source.group, self.source.topic, self.context.log.topic_id
        ))
    }

    fn commit(&self, open: &mut Open, partition: i32, to: i64) -> Result<()> {
        let from = open.committed.get(&partition).copied().flatten();
        let advance = Advance { from, to, metadata: self.context.log.topic_id.clone() };
        let member = open.group.nobody()?;
        opened(&mut open.transactions, partition)?.commit(&BTreeMap::from([(partition, advance)]), &member)?;
        open.committed.insert(partition, Some(to));
        Ok(())
    }

    fn write(&mut self, outbound: &Outbound, from: &Positions, to: &Positions) -> Result<Written> {
        let mut open = self.open.take().ok_or_else(|| Error::retry("the sink is not open"))?;
        let batch = &outbound.batch;
        let forms = [Some(&self.encoder), self.smaller.as_ref()].into_iter().flatten();
        let forms = forms.map(|encoder| encoder.batch(&batch.columns)).collect::<Result<Vec<_>>>()?;
        let mut written = Written::default();
        for (row, (partition, offset, _index)) in batch.positions().enumerate() {
            if to.contains_key(&partition) && from.get(&partition).is_some_and(|&position| offset >= position) {
                let transactions = opened(&mut open.transactions, partition)?;
                let Some(bytes) = send(transactions, &self.topic, batch, row, &forms)? else {
                    return Err(Error::stop(format!(
                        "partition {partition}, offset {offset}: the row is larger than a record of topic `{}` may be",
                        self.topic
                    )));
                };
                written.row(bytes);
            }
        }
        for (&partition, &to) in to {
            self.commit(&mut open, partition, to)?;
        }
        self.open = Some(open);
        Ok(written)
    }
}

fn opened(transactions: &mut BTreeMap<i32, Transactions>, partition: i32) -> Result<&mut Transactions> {
    transactions.get_mut(&partition).ok_or_else(|| Error::retry(format!("partition {partition} is not open")))
}

/// A row in the first of its forms that fits into a record; only the first has its key. Its bytes; None: none fits.
fn send(
    to: &mut Transactions,
    topic: &str,
    batch: &Batch,
    row: usize,
    forms: &[BoundEncoder<'_>],
) -> Result<Option<usize>> {
    let message = batch.lineage[row];
    let (mut key, headers) = (batch.origins.key(message), batch.origins.traces.headers(message));
    for form in forms {
        let mut value = Vec::new();
        form.row(row, &mut value);
        if to.send(topic, key.take(), &value, headers)? != Err(TooLarge) {
            return Ok(Some(value.len()));
        }
    }
    Ok(None)
}
