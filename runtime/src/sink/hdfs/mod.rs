//! Rows as JSON lines in files of a directory; a file appears whole, by one rename.
//!
//! A published file is `<directory>/<topic>-<partition>-<first>-<last>.jsonl`: the rows of the offsets from `first` to
//! `last`, both included, whether or not each offset gave a row. A partition's position is the offset after its last
//! file, or its marker's where that is higher ([`token`]): offsets that gave no row, and files that were moved away.
//!
//! Invariants: at every instant the published files are disjoint, and complete from the sink's start up to the
//! position; the rows of one offset never straddle two files; one open file a partition, and one being closed behind
//! it, so the files of a partition appear in order. What was taken and what is durable are two positions: only
//! publication moves the second.
//! Does not know whether the partition is still this worker's: a writer that is fenced answers an error that says so,
//! and the engine asks its consumer group before it opens another.

mod files;
mod find;
mod ledger;
mod lines;
mod local;
mod name;
mod native;
mod publish;
mod scan;
mod token;

#[cfg(test)]
mod model;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tracing::Instrument;

pub use self::files::{FileError, Files};
pub use self::find::find;
pub use self::ledger::Ledger;
pub use self::local::Local;
pub use self::native::NameNode;
use self::publish::{Done, Publication, Rows};
pub use self::scan::Scan;
use self::token::Place;
use super::{Context, Outbound, Positions, Starts, Written, moves};
use crate::batch::{Batch, Reject};
use crate::error::{Error, Result};
use crate::json::encode::Encoder;
use crate::plan::HdfsPlan;

/// Rows are sent on in pieces of about this size; a partition's memory is bounded by it and a batch.
const CHUNK_BYTES: usize = 256 << 10;
/// A file that is closed in the background is looked after at the latest then. Closing takes half a second.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// When a file is closed and published: at whichever comes first.
#[derive(Clone, Copy, Debug)]
pub struct Roll {
    pub rows_max: u64,
    pub bytes_max: u64,
    /// Since its first row.
    pub after: Duration,
}

impl Roll {
    fn of(plan: &HdfsPlan) -> Roll {
        Roll { rows_max: plan.roll_rows_max, bytes_max: plan.roll_bytes_max, after: plan.roll_max }
    }
}

pub struct Writer<F: Files = NameNode> {
    place: Place<F>,
    roll: Roll,
    encoder: Encoder,
    partitions: BTreeMap<i32, Partition<F>>,
    /// What was taken, of every partition that is open.
    accepted: Positions,
    durable: Positions,
    written: Written,
    closing: Closing,
}

/// A partition whose token this writer holds.
struct Partition<F: Files> {
    token: String,
    marker: i64,
    /// Up to where the files reach that are published or being closed.
    handed: i64,
    /// Since when there is something that is not durable.
    since: Option<Instant>,
    rows: Option<Rows<F>>,
    /// Into the open file.
    taken: Written,
    /// Of the files of this token, for names that were never used.
    files_count: u64,
    is_closing: bool,
}

/// Files being closed and published in the background, at most one a partition. Dropped, they are abandoned.
#[derive(Default)]
struct Closing {
    tasks: JoinSet<Result<Done>>,
    look_at: Option<Instant>,
}

impl Writer {
    /// Connects to nothing.
    pub fn new(context: Context, plan: &HdfsPlan) -> Result<Writer> {
        Writer::over(NameNode::new(plan, context.timeout)?, context, &plan.directory, Roll::of(plan))
    }
}

impl Writer<Local> {
    /// The same directories and protocol below a local folder.
    pub fn in_folder(context: Context, plan: &HdfsPlan, root: PathBuf) -> Result<Writer<Local>> {
        Writer::over(Local::new(root), context, &plan.directory, Roll::of(plan))
    }
}

impl<F: Files> Writer<F> {
    pub fn over(files: F, context: Context, directory: &str, roll: Roll) -> Result<Writer<F>> {
        Ok(Writer {
            place: Place::new(files, &context, directory)?,
            roll,
            encoder: context.encoder(),
            partitions: BTreeMap::new(),
            accepted: Positions::new(),
            durable: Positions::new(),
            written: Written::default(),
            closing: Closing::default(),
        })
    }

    async fn take(&mut self, batch: &Batch) -> Result<()> {
        self.settle_what_is_done()?;
        let moves = moves(&self.accepted, &batch.spans)?;
        if moves.is_empty() {
            return Ok(());
        }
        self.take_rows(batch, &moves).await?;
        let now = Instant::now();
        for (&partition, &next) in &moves {
            self.accepted.insert(partition, next);
            let open = opened(&mut self.partitions, partition)?;
            open.since.get_or_insert(now);
            if open.taken.rows >= self.roll.rows_max || open.taken.bytes >= self.roll.bytes_max {
                self.publish(partition).await?;
            }
        }
        Ok(())
    }

    async fn take_rows(&mut self, batch: &Batch, moves: &Positions) -> Result<()> {
        let encoder = self.encoder.batch(&batch.columns)?;
        for (row, (partition, offset, _index)) in batch.positions().enumerate() {
            let is_new = moves.contains_key(&partition) && offset >= self.accepted[&partition];
            if !is_new {
                continue;
            }
            let open = opened(&mut self.partitions, partition)?;
            if open.push(|line| encoder.row(row, line)) >= CHUNK_BYTES
                && let Some(rows) = &mut open.rows
            {
                rows.flush(&self.place).await?;
            }
        }
        Ok(())
    }

    /// Closes and publishes what the partition took, in the background.
    async fn publish(&mut self, partition: i32) -> Result<()> {
        while opened(&mut self.partitions, partition)?.is_closing {
            self.settle_next().await?;
        }
        let next = self.accepted[&partition];
        let publication = opened(&mut self.partitions, partition)?.hand_over(partition, next);
        self.closing.tasks.spawn(publication.publish(self.place.clone()).in_current_span());
        self.closing.look_at.get_or_insert_with(|| Instant::now() + LOOK_AFTER);
        Ok(())
    }

    /// Publishes the partitions that are due, and waits for them and those before them.
    async fn publish_all(&mut self, due: impl Fn(Instant) -> bool) -> Result<()> {
        let is_due = |open: &Partition<F>| open.since.is_some_and(&due);
        let due: Vec<i32> = self.partitions.iter().filter(|(_, open)| is_due(open)).map(|(&id, _)| id).collect();
        for partition in due {
            self.publish(partition).await?;
        }
        while !self.closing.tasks.is_empty() {
            self.settle_next().await?;
        }
        Ok(())
    }

    async fn settle_next(&mut self) -> Result<()> {
        let done = self.closing.tasks.join_next().await;
        done.map_or(Ok(()), |done| self.settle(done))
    }

    fn settle_what_is_done(&mut self) -> Result<()> {
        while let Some(done) = self.closing.tasks.try_join_next() {
            self.settle(done)?;
        }
        Ok(())
    }

    fn settle(&mut self, done: Result<Result<Done>, tokio::task::JoinError>) -> Result<()> {
        let done = done.map_err(|error| Error::retry("publishing a file broke off").caused_by(error))?;
        let Done { partition, next, written } = done?;
        let open = opened(&mut self.partitions, partition)?;
        open.marker = next;
        open.is_closing = false;
        self.durable.insert(partition, next);
        self.written += written;
        if self.closing.tasks.is_empty() {
            self.closing.look_at = None;
        }
        Ok(())
    }

    /// A writer that failed takes nothing more: what it has taken may be lost.
    fn close_on_error<T>(&mut self, result: Result<T>) -> Result<T> {
        if result.is_err() {
            self.partitions.clear();
            self.accepted.clear();
            self.closing = Closing::default();
        }
        result
    }
}

fn opened<F: Files>(partitions: &mut BTreeMap<i32, Partition<F>>, partition: i32) -> Result<&mut Partition<F>> {
    partitions.get_mut(&partition).ok_or_else(|| Error::retry(format!("partition {partition} is not open")))
}

impl<F: Files> Partition<F> {
    fn new(token: String, marker: i64, position: i64) -> Partition<F> {
        Partition {
            token,
            marker,
            handed: position,
            since: None,
            rows: None,
            taken: Written::default(),
            files_count: 0,
            is_closing: false,
        }
    }

    /// Takes a row, and answers how many bytes wait to be written.
    fn push(&mut self, encode: impl FnOnce(&mut Vec<u8>)) -> usize {
        if self.rows.is_none() {
            self.files_count += 1;
            // the time of a file counts from its first row
            self.since = Some(Instant::now());
        }
        let rows = self.rows.get_or_insert_with(|| Rows {
            first: self.handed,
            path: format!("{}/rows-{}", self.token, self.files_count),
            file: None,
            buffer: Vec::new(),
        });
        let before = rows.buffer.len();
        encode(&mut rows.buffer);
        rows.buffer.push(b'\n');
        self.taken.row(rows.buffer.len() - before);
        rows.buffer.len()
    }

    fn hand_over(&mut self, partition: i32, next: i64) -> Publication<F> {
        self.handed = next;
        self.since = None;
        self.is_closing = true;
        Publication {
            partition,
            token: self.token.clone(),
            marker: self.marker,
            next,
            written: std::mem::take(&mut self.taken),
            rows: self.rows.take(),
        }
    }
}

impl<F: Files> super::Writer for Writer<F> {
    async fn open(&mut self, starts: &Starts) -> Result<Positions> {
        // boxed, here and below: what hdfs-native's calls need is large, and each caller's stack would hold it
        let taken = Box::pin(self.place.take_all(starts)).await?;
        self.durable = taken.iter().map(|(&partition, taken)| (partition, taken.position)).collect();
        self.accepted = self.durable.clone();
        let partition =
            |(id, taken): (i32, token::Taken)| (id, Partition::new(taken.token, taken.marker, taken.position));
        self.partitions = taken.into_iter().map(partition).collect();
        Ok(self.durable.clone())
    }

    async fn write(&mut self, outbound: Arc<Outbound>) -> Result<Vec<Reject>> {
        let result = Box::pin(self.take(&outbound.batch)).await;
        self.close_on_error(result)?;
        // files take every row
        Ok(Vec::new())
    }

    fn deadline(&self) -> Option<Instant> {
        let since = self.partitions.values().filter_map(|open| open.since).min();
        let due = since.and_then(|since| since.checked_add(self.roll.after));
        [due, self.closing.look_at].into_iter().flatten().min()
    }

    async fn roll(&mut self, now: Instant) -> Result<()> {
        let after = self.roll.after;
        let result = self.publish_all(|since| since.checked_add(after).is_some_and(|due| due <= now)).await;
        self.close_on_error(result)
    }

    async fn finish(&mut self) -> Result<()> {
        let result = self.publish_all(|_since| true).await;
        self.close_on_error(result)
    }

    fn durable(&self) -> &Positions {
        &self.durable
    }

    fn written(&self) -> Written {
        self.written
    }
}
