//! The suite of sinks with a position of their own: what [`Writer`] promises.
//!
//! A connector gets all of it by one line of `contract!`. Rows, positions and zombies are the same everywhere;
//! what differs (how large a row may be, what a dead service looks like) each [`Medium`] says of itself.

mod cases;
mod embedded;
mod hdfs;
mod keyed;
mod mongodb;
mod refusals;
mod rejects;
mod topic;
mod zombies;

use std::any::Any;
use std::time::Instant;

use super::rows::{COLUMNS, Row, batch, rows};
use super::{PATIENCE, TIMEOUT, fresh_name};
use crate::error::{Error, Kind, Result};
use crate::sink::{Context, Log, Of, Start, Starts, Writer};

/// Openings after which a writer that nobody disturbs must have come through.
const TRIES_MAX: usize = 5;

/// Where a sink's rows are, and what can be seen of it from outside.
trait Medium: Sized {
    type Writer: Writer;

    /// Of a row's text, in bytes: a large one that is taken, and one that is refused, if any is.
    const TEXT_BYTES_LARGE: usize = 15 << 20;
    const TEXT_BYTES_REFUSED: Option<usize> = None;
    /// Rows of others may be there: rows alone say nothing of a position that is gone.
    const IS_ANYBODYS: bool = false;

    /// Nobody has used it before.
    async fn fresh() -> Self;

    fn context(&self) -> &Context;

    /// Not opened.
    fn writer(&self, context: Context) -> Result<Self::Writer>;

    /// Every row that a reader finds, by a client that is not the writer's.
    async fn published(&self) -> Vec<Row>;

    /// Writers of services and folders that are not there, and the address that their errors must name.
    fn unreachable() -> Vec<Unreachable<Self::Writer>>;
}

struct Unreachable<W> {
    writer: W,
    address: String,
    /// What makes it unreachable, as long as it is held.
    _by: Box<dyn Any>,
}

/// A pipeline of its own.
fn context() -> Context {
    Context {
        pipeline: fresh_name().into(),
        sink: "s".into(),
        log: Log { cluster: "c".into(), topic: "t".into(), topic_id: "AbC+/9".into() },
        of: Of::Rows,
        columns: COLUMNS.map(str::to_owned).into(),
        timeout: TIMEOUT,
    }
}

fn starts(partition: i32) -> Starts {
    starts_at([(partition, 0)])
}

fn starts_at<const PARTITIONS: usize>(offsets: [(i32, i64); PARTITIONS]) -> Starts {
    offsets.map(|(partition, offset)| (partition, Start::At(offset))).into()
}

/// A writer that begins at 0, and its position.
async fn open<M: Medium>(medium: &M, partition: i32) -> (M::Writer, i64) {
    let mut writer = medium.writer(medium.context().clone()).unwrap();
    let positions = writer.open(&starts(partition)).await.unwrap();
    assert_eq!(positions, *writer.durable());
    (writer, positions[&partition])
}

/// A session of the engine: opens, and brings what is missing up to `end`.
async fn session<M: Medium>(medium: &M, partition: i32, end: i64) -> Result<()> {
    let mut writer = medium.writer(medium.context().clone())?;
    let position = writer.open(&starts(partition)).await?[&partition];
    if position < end {
        writer.write(batch(partition, position..end)).await?;
    }
    writer.finish().await?;
    assert_eq!(writer.durable()[&partition], end);
    Ok(())
}

/// Sessions, as the engine does: one that failed and may be tried again is followed by another.
async fn bring<M: Medium>(medium: &M, partition: i32, end: i64) {
    for _ in 0..TRIES_MAX {
        match session(medium, partition, end).await {
            Ok(()) => return,
            Err(error) => must_be_retry(&error),
        }
    }
    panic!("{TRIES_MAX} sessions that nobody disturbed came to no end");
}

fn must_be_retry(error: &Error) {
    assert_eq!(error.kind, Kind::Retry, "{error}");
}

async fn published<M: Medium>(medium: &M, partition: i32) -> Vec<Row> {
    let mut rows: Vec<_> = medium.published().await.into_iter().filter(|row| row.partition == partition).collect();
    rows.sort();
    rows
}

/// Once these are among them: a broker answers a commit before it has told the partitions, and a reader sees it a moment
/// later.
async fn published_with<M: Medium>(medium: &M, partition: i32, durable: &[Row]) -> Vec<Row> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = published(medium, partition).await;
        if durable.iter().all(|row| found.contains(row)) || Instant::now() > deadline {
            return found;
        }
    }
}

/// Each row up to `end` once, and no other.
async fn assert_exactly<M: Medium>(medium: &M, partition: i32, end: i64) {
    let all = rows(partition, 0..end);
    assert_eq!(published_with(medium, partition, &all).await, all);
}

/// No row twice, none that is not in the log, and none missing below what somebody was told is durable.
async fn assert_sound<M: Medium>(medium: &M, partition: i32, durable: i64, end: i64) {
    let told = rows(partition, 0..durable);
    let found = published_with(medium, partition, &told).await;
    assert!(found.is_sorted_by(|one, next| one < next), "twice: {found:?}");
    let missing: Vec<_> = told.into_iter().filter(|row| !found.contains(row)).collect();
    assert!(missing.is_empty(), "not there, and durable up to {durable}: {missing:?}");
    let all = rows(partition, 0..end);
    assert!(found.iter().all(|row| all.contains(row)), "not of this log: {found:?}");
}

/// Every case of the suite, for each connector.
macro_rules! contract {
    ($($connector:ident: $medium:ty;)+) => {
        $(mod $connector {
            use super::*;

            contract!(@cases $medium:
                cases::an_empty_batch_moves_the_position
                cases::one_row
                cases::many_rows_of_two_partitions
                cases::a_large_row
                cases::a_row_that_nobody_takes_stops_it
                cases::a_batch_given_again_is_known
                cases::positions_are_read_again
                cases::a_missing_position_begins_where_it_is_told
                cases::rows_without_their_position_stop
                cases::a_topic_made_again_stops
                cases::a_position_that_was_read_and_is_gone_is_waited_for
                cases::a_gap_is_refused
                cases::a_partition_that_is_not_open_is_refused
                cases::what_waits_is_due_some_time
                cases::closed_with_rows_that_are_not_durable
                cases::cut_off_in_the_middle_of_a_batch
                cases::a_service_that_is_gone_is_named
                zombies::whatever_the_order_each_row_is_there_once
                zombies::writers_that_run_side_by_side
            );
        })+
    };
    (@cases $medium:ty: $($file:ident::$case:ident)+) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            $file::$case::<$medium>().await;
        })+
    };
}

// a line for a connector
contract! {
    on_mongodb: mongodb::Database<keyed::Insert>;
    on_mongodb_by_key: mongodb::Database<keyed::Key>;
    on_mongodb_replacing: mongodb::Database<keyed::Replace>;
    on_hdfs: hdfs::NameNode;
    on_a_local_directory: hdfs::Local;
    on_embedded_documents: embedded::Documents<keyed::Insert>;
    on_embedded_documents_by_key: embedded::Documents<keyed::Key>;
    on_embedded_documents_replacing: embedded::Documents<keyed::Replace>;
    on_a_kafka_topic: topic::Topic<crate::contract::logs::kafka::Kafka>;
    on_an_embedded_topic: topic::Topic<crate::contract::logs::embedded::Embedded>;
}
