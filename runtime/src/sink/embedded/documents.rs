//! Rows as documents of a collection: what an embedded pipeline has in the place of MongoDB.
//!
//! A document is the row's JSON; its id is the row's position, as in MongoDB.
//! Knows nothing of who reads them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use millrace_embedded::{Folder, Position};
use tokio::task::spawn_blocking;

use crate::embedded::error;
use crate::error::{Error, Result};
use crate::json::encode::Encoder;
use crate::sink::{Context, Outbound, Positions, Written, moves};

pub struct Writer {
    inner: Option<Inner>,
    positions: Positions,
    written: Written,
}

struct Inner {
    context: Context,
    path: PathBuf,
    collection: String,
    encoder: Encoder,
    folder: Option<Folder>,
}

impl Writer {
    /// `collection`: with its database, as people name it.
    pub fn new(context: Context, folder: PathBuf, collection: String) -> Writer {
        let encoder = Encoder::of_names(context.columns.iter().map(String::as_str));
        let inner = Inner { context, path: folder, collection, encoder, folder: None };
        Writer { inner: Some(inner), positions: Positions::new(), written: Written::default() }
    }

    /// A commit waits for the disk: not on the threads that drive the other sinks.
    async fn blocking<T: Send + 'static>(
        &mut self,
        act: impl FnOnce(&mut Inner) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let gone = || Error::retry("the writer was given up in the middle of a call");
        let mut inner = self.inner.take().ok_or_else(gone)?;
        let (inner, acted) = spawn_blocking(move || {
            let acted = act(&mut inner);
            (inner, acted)
        })
        .await
        .map_err(|cause| Error::stop("writing documents broke").caused_by(cause))?;
        self.inner = Some(inner);
        acted
    }
}

impl crate::sink::Writer for Writer {
    async fn open(&mut self, starts: &Positions) -> Result<Positions> {
        let starts = starts.clone();
        self.positions = self.blocking(move |inner| inner.open(&starts)).await?;
        Ok(self.positions.clone())
    }

    async fn write(&mut self, outbound: Arc<Outbound>) -> Result<()> {
        let moves = moves(&self.positions, &outbound.batch.spans)?;
        if moves.is_empty() {
            return Ok(());
        }
        let (positions, to) = (self.positions.clone(), moves.clone());
        let written = self.blocking(move |inner| inner.write(&outbound, &positions, &to)).await?;
        self.written += written;
        self.positions.extend(moves);
        Ok(())
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }

    async fn roll(&mut self, _now: Instant) -> Result<()> {
        Ok(())
    }

    async fn finish(&mut self) -> Result<()> {
        Ok(())
    }

    fn durable(&self) -> &Positions {
        &self.positions
    }

    fn written(&self) -> Written {
        self.written
    }
}

impl Inner {
    fn open(&mut self, starts: &Positions) -> Result<Positions> {
        let (sink, log) = (position_name(&self.context), &self.context.log);
        let mut folder = Folder::open(&self.path).map_err(error)?;
        let mut transaction = folder.begin().map_err(error)?;
        let mut positions = Positions::new();
        for (&partition, &start) in starts {
            let next = match transaction.position(&sink, &log.topic, partition).map_err(error)? {
                Some(position) => checked(&self.context, partition, &position)?,
                None => {
                    let prefix = self.context.rows_prefix(partition);
                    if transaction.has_document_with_prefix(&self.collection, &prefix).map_err(error)? {
                        return Err(rows_without_position(&self.context, &self.collection, partition));
                    }
                    let first = Position { topic_uuid: log.topic_id.clone(), next: start };
                    transaction.move_position(&sink, &log.topic, partition, None, &first).map_err(error)?;
                    start
                }
            };
            positions.insert(partition, next);
        }
        transaction.commit().map_err(error)?;
        self.folder = Some(folder);
        Ok(positions)
    }

    fn write(&mut self, outbound: &Outbound, from: &Positions, to: &Positions) -> Result<Written> {
        let (sink, log) = (position_name(&self.context), &self.context.log);
        let folder = self.folder.as_mut().ok_or_else(|| Error::retry("the sink is not open"))?;
        let batch = &outbound.batch;
        let rows = self.encoder.batch(&batch.columns)?;
        let mut transaction = folder.begin().map_err(error)?;
        for (&partition, &next) in to {
            let next = Position { topic_uuid: log.topic_id.clone(), next };
            let stands = from.get(&partition).copied();
            transaction.move_position(&sink, &log.topic, partition, stands, &next).map_err(error)?;
        }
        let (mut json, mut written) = (Vec::new(), Written::default());
        for (row, (partition, offset, index)) in batch.positions().enumerate() {
            if from.get(&partition).is_none_or(|&position| offset < position) {
                continue;
            }
            json.clear();
            rows.row(row, &mut json);
            let text = std::str::from_utf8(&json).map_err(|cause| Error::stop("a row as JSON").caused_by(cause))?;
            let id = self.context.row_id(partition, offset, index);
            transaction.insert_document(&self.collection, &id, text).map_err(error)?;
            written.row(json.len());
        }
        transaction.commit().map_err(error)?;
        Ok(written)
    }
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

pub(super) fn rows_without_position(context: &Context, collection: &str, partition: i32) -> Error {
    Error::stop(format!(
        "collection `{collection}` holds rows of this pipeline, and its position on `{}` partition {partition} is gone. \
         Give it the first offset that is not there: `millrace positions reset FILE --embedded DIR --sink {} --to \
         {partition}:OFFSET`; to begin anew, delete the documents whose id begins with {:?}",
        context.log.topic,
        context.sink,
        context.rows_prefix(partition)
    ))
}
