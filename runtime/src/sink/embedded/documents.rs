//! Rows as documents of a collection: what an embedded pipeline has in the place of MongoDB.
//!
//! A document is the row's JSON; its id is the row's position, or the row's key ([`keyed`](super::keyed)), as in MongoDB.
//!
//! Invariant: rows and position are one transaction. Where a row is refused they are two, with its reject made durable in
//! between: the first write of an id wins, so that rows of a batch that was broken off there may come again.
//! Knows nothing of who reads them.

use std::path::PathBuf;
use std::sync::Arc;

use millrace_embedded::{Folder, Position, Transaction};

use super::keyed::{self, Put};
use crate::batch::{Refused, Reject};
use crate::embedded::error;
use crate::error::{Error, Result};
use crate::json::encode::Encoder;
use crate::plan::MongodbPlan;
use crate::rejects::Encoders;
use crate::sink::blocking::Blocking;
use crate::sink::mark::{Keys, taken};
use crate::sink::refusals::{Epochs, Refusals};
use crate::sink::{Context, Of, Outbound, Positions, Starts, Written, begins, moves};

/// What MongoDB takes of one, so that a pipeline means the same there and here.
const DOCUMENT_BYTES_MAX: usize = 16 << 20;

const WRITING: &str = "writing documents";

pub struct Writer {
    /// A commit waits for the disk.
    inner: Blocking<Inner>,
    refusals: Box<dyn Refusals>,
    positions: Positions,
    /// How often each was reset.
    epochs: Epochs,
    written: Written,
}

struct Inner {
    context: Context,
    path: PathBuf,
    plan: MongodbPlan,
    encoder: Encoder,
    /// What is written of a row that is too large for a document.
    smaller: Option<Encoder>,
    document_bytes_max: usize,
    folder: Option<Folder>,
}

impl Writer {
    /// `plan`: of the collection that it is in the place of. `refusals`: what becomes of rows that cannot be documents.
    pub fn new(context: Context, folder: PathBuf, plan: &MongodbPlan, refusals: Box<dyn Refusals>) -> Writer {
        Writer::of_documents_up_to(DOCUMENT_BYTES_MAX, context, folder, plan, refusals)
    }

    /// Where rows that are too large need not be that large.
    pub(crate) fn of_documents_up_to(
        document_bytes_max: usize,
        context: Context,
        folder: PathBuf,
        plan: &MongodbPlan,
        refusals: Box<dyn Refusals>,
    ) -> Writer {
        let (encoder, smaller) =
            (context.encoder(), (context.of == Of::Rejects).then(|| Encoders::new().without_message));
        let inner =
            Inner { context, path: folder, plan: plan.clone(), encoder, smaller, document_bytes_max, folder: None };
        let (positions, epochs, written) = (Positions::new(), Epochs::new(), Written::default());
        Writer { inner: Blocking::new(inner), refusals, positions, epochs, written }
    }
}

impl crate::sink::Writer for Writer {
    async fn open(&mut self, starts: &Starts) -> Result<Positions> {
        let starts = starts.clone();
        (self.positions, self.epochs) = self.inner.call(WRITING, move |inner| inner.open(&starts)).await?;
        Ok(self.positions.clone())
    }

    async fn write(&mut self, outbound: Arc<Outbound>) -> Result<Vec<Reject>> {
        let moves = moves(&self.positions, &outbound.batch.spans)?;
        if moves.is_empty() {
            return Ok(Vec::new());
        }
        let (batch, positions, to) = (outbound.clone(), self.positions.clone(), moves.clone());
        let (written, refused) = self.inner.call(WRITING, move |inner| inner.write(&batch, &positions, &to)).await?;
        let mut rejects = Vec::new();
        if !refused.is_empty() {
            // the rows that were taken are there, and the position is not moved yet
            rejects = self.refusals.take(&outbound, &self.epochs, refused).await?;
            let (positions, to) = (self.positions.clone(), moves.clone());
            self.inner.call(WRITING, move |inner| inner.advance(&positions, &to)).await?;
        }
        self.written += written;
        self.positions.extend(moves);
        Ok(rejects)
    }

    fn durable(&self) -> &Positions {
        &self.positions
    }

    fn written(&self) -> Written {
        self.written
    }
}

impl Inner {
    fn open(&mut self, starts: &Starts) -> Result<(Positions, Epochs)> {
        let (sink, log) = (position_name(&self.context), &self.context.log);
        let mut folder = Folder::open(&self.path).map_err(error)?;
        let mut transaction = folder.begin().map_err(error)?;
        let (mut positions, mut epochs) = (Positions::new(), Epochs::new());
        for (&partition, &start) in starts {
            let next = match transaction.position(&sink, &log.topic, partition).map_err(error)? {
                Some(position) => checked(&self.context, partition, &position)?,
                None => {
                    let place = format!("the position of `{sink}` on `{}` in {}", log.topic, self.path.display());
                    let start = start.anew(&self.context.sink, partition, place)?;
                    let (context, folder) = (&self.context, transaction.folder());
                    if keyed::holds_rows(folder, context, &self.plan, partition)? {
                        return Err(rows_without_position(&self.context, &self.plan, partition));
                    }
                    begins(&self.context.sink, partition, start);
                    let first = Position { topic_uuid: log.topic_id.clone(), next: start };
                    transaction.move_position(&sink, &log.topic, partition, None, &first).map_err(error)?;
                    start
                }
            };
            positions.insert(partition, next);
            let resets = transaction.position(&resets_name(&self.context), &log.topic, partition).map_err(error)?;
            epochs.extend(resets.map(|resets| (partition, resets.next.unsigned_abs())));
        }
        transaction.commit().map_err(error)?;
        self.folder = Some(folder);
        Ok((positions, epochs))
    }

    /// The rows, and the position with them unless one of them is refused: then it is left where it stands.
    fn write(&mut self, outbound: &Outbound, from: &Positions, to: &Positions) -> Result<(Written, Vec<Refused>)> {
        let (mut folder, batch) = (self.opened()?, &outbound.batch);
        let rows = self.encoder.batch(&batch.columns)?;
        let collection = self.plan.namespace();
        let keys = Keys::of(&self.plan.write, &batch.columns)?;
        let smaller = self.smaller.as_ref().map(|smaller| smaller.batch(&batch.columns)).transpose()?;
        let mut transaction = folder.begin().map_err(error)?;
        let (mut json, mut written, mut refused) = (Vec::new(), Written::default(), Vec::new());
        for (row, (partition, offset, index)) in batch.positions().enumerate() {
            if from.get(&partition).is_none_or(|&position| offset < position) {
                continue;
            }
            let id = match keys.id(row, || self.context.row_id(partition, offset, index)) {
                Ok(id) => id,
                Err(no_key) => {
                    refused.push(no_key);
                    continue;
                }
            };
            json.clear();
            rows.row(row, &mut json);
            if let Some(smaller) = smaller.as_ref().filter(|_| json.len() > self.document_bytes_max) {
                json.clear();
                smaller.row(row, &mut json);
            }
            if json.len() > self.document_bytes_max {
                refused.push(too_large(row, json.len(), self.document_bytes_max));
                continue;
            }
            let (bytes, position) = (json.len(), (partition, offset, index));
            let (context, write) = (&self.context, &self.plan.write);
            let put = keyed::Row { context, collection: &collection, id: &id, position, json: &mut json };
            match keyed::put(&mut transaction, write, put)? {
                Put::There => written.row(bytes),
                Put::Taken(mark) => refused.push(taken(row, &id, mark.as_deref())),
            }
        }
        // whoever was overtaken writes nothing, wherever the position goes
        self.step(&mut transaction, from, if refused.is_empty() { to } else { from })?;
        transaction.commit().map_err(error)?;
        self.folder = Some(folder);
        Ok((written, refused))
    }

    fn advance(&mut self, from: &Positions, to: &Positions) -> Result<()> {
        let mut folder = self.opened()?;
        let mut transaction = folder.begin().map_err(error)?;
        self.step(&mut transaction, from, to)?;
        transaction.commit().map_err(error)?;
        self.folder = Some(folder);
        Ok(())
    }

    fn opened(&mut self) -> Result<Folder> {
        self.folder.take().ok_or_else(|| Error::retry("the sink is not open"))
    }

    fn step(&self, transaction: &mut Transaction<'_>, from: &Positions, to: &Positions) -> Result<()> {
        let (sink, log) = (position_name(&self.context), &self.context.log);
        for (&partition, &next) in to {
            let next = Position { topic_uuid: log.topic_id.clone(), next };
            let stands = from.get(&partition).copied();
            transaction.move_position(&sink, &log.topic, partition, stands, &next).map_err(error)?;
        }
        Ok(())
    }
}

fn too_large(row: usize, bytes: usize, bytes_max: usize) -> Refused {
    let reason = format!("the row is {bytes} bytes as a document, and a document may have {bytes_max}");
    Refused { row, code: "document_too_large", reason }
}

/// How often a sink's position was reset is kept as a position, too.
pub(super) fn resets_name(context: &Context) -> String {
    format!("{}/resets", position_name(context))
}

/// What a sink's positions are found by.
pub(super) fn position_name(context: &Context) -> String {
    format!("{}/{}", context.pipeline, context.sink)
}

pub(super) fn checked(context: &Context, partition: i32, position: &Position) -> Result<i64> {
    let log = &context.log;
    if position.topic_uuid == log.topic_id {
        return Ok(position.next);
    }
    Err(Error::stop(format!(
        "the position on `{}` partition {partition} is of another topic of this name (id {}, now {}): the topic was \
         deleted and made again. To begin with the new one: `millrace positions reset FILE --embedded DIR --sink {} --to \
         earliest`; what was written before stays",
        log.topic, position.topic_uuid, log.topic_id, context.sink
    )))
}

pub(super) fn rows_without_position(context: &Context, plan: &MongodbPlan, partition: i32) -> Error {
    Error::stop(format!(
        "collection `{}` holds rows of this pipeline, and its position on `{}` partition {partition} is gone. \
         Give it the first offset that is not there: `millrace positions reset FILE --embedded DIR --sink {} --to \
         {partition}:OFFSET`; to begin anew, delete the documents whose id, or `_millrace`, begins with {:?}",
        plan.namespace(),
        context.log.topic,
        context.sink,
        context.rows_prefix(partition)
    ))
}
