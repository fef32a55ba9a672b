//! The suite of sinks that can refuse a row: the row becomes a reject, once, wherever rejects go and whatever is cut off,
//! and the others go on.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::timeout;

use super::super::rows::{GENERATION, Row, batch_of, original, rows, span};
use super::rejects::{InDocuments, InFolder, InHdfs, InMongodb, InTopic, Rejects};
use super::{Context, Medium, TRIES_MAX, embedded, keyed, mongodb, must_be_retry, published, starts};
use crate::batch::{Refused, Reject};
use crate::contract::logs::embedded::Embedded;
use crate::contract::logs::kafka::Kafka;
use crate::error::{Error, Result};
use crate::sink::ledger::Ledger;
use crate::sink::refusals::{Epochs, Pending, Refusals};
use crate::sink::{Outbound, Writer};

/// A medium that refuses rows.
pub trait Refusing: Medium {
    /// Of its rejects.
    const CODE: &str;

    /// Nobody has used it before, and it refuses what is bad.
    async fn ruled() -> Self;

    fn refusing(&self, context: Context, refusals: Box<dyn Refusals>) -> Result<Self::Writer>;

    /// The text of a bad row.
    fn bad() -> String;

    fn ledger(&self, context: Context) -> impl Ledger;
}

/// Both rows of the first, the one of the second.
const BAD: [i64; 2] = [2, 7];
const REJECTS: [i64; 3] = [2, 2, 7];
const END: i64 = 12;

fn some<M: Refusing>(partition: i32, offsets: std::ops::Range<i64>) -> std::sync::Arc<Outbound> {
    let mut some = rows(partition, offsets.clone());
    some.iter_mut().filter(|row| BAD.contains(&row.offset)).for_each(|row| row.text = M::bad());
    batch_of(vec![span(partition, offsets)], &some)
}

fn good(partition: i32, end: i64) -> Vec<Row> {
    rows(partition, 0..end).into_iter().filter(|row| !BAD.contains(&row.offset)).collect()
}

/// From its position on to `end`, `step` offsets a batch.
async fn session<M: Refusing>(
    medium: &M,
    (context, refusals): (Context, Box<dyn Refusals>),
    partition: i32,
    end: i64,
    step: i64,
) -> Result<()> {
    let mut writer = medium.refusing(context, refusals)?;
    let mut position = writer.open(&starts(partition)).await?[&partition];
    while position < end {
        let to = end.min(position + step);
        writer.write(some::<M>(partition, position..to)).await?;
        position = to;
    }
    writer.finish().await
}

async fn bring<M: Refusing, R: Rejects>(medium: &M, rejects: &R, partition: i32, end: i64) {
    for _ in 0..TRIES_MAX {
        match session(medium, rejects.refusals(medium.context()), partition, end, end).await {
            Ok(()) => return,
            Err(error) => must_be_retry(&error),
        }
    }
    panic!("{TRIES_MAX} sessions that nobody disturbed came to no end");
}

async fn offsets<R: Rejects>(rejects: &R, partition: i32) -> Vec<i64> {
    let records = rejects.records().await;
    records.iter().filter(|it| it["partition"] == partition).map(|it| it["offset"].as_i64().unwrap()).collect()
}

/// Rows that went in are rows that came out, and rejects.
async fn assert_each_once<M: Refusing, R: Rejects>(medium: &M, rejects: &R, partition: i32) {
    assert_eq!(published(medium, partition).await, good(partition, END));
    assert_eq!(offsets(rejects, partition).await, REJECTS);
}

async fn a_refused_row_becomes_a_reject_and_the_others_go_on<M: Refusing, R: Rejects>() {
    let (medium, rejects) = (M::ruled().await, R::fresh().await);
    let (context, refusals) = rejects.refusals(medium.context());
    let mut writer = medium.refusing(context, refusals).unwrap();
    writer.open(&starts(0)).await.unwrap();
    let taken = writer.write(some::<M>(0, 0..END)).await.unwrap();
    assert_eq!(writer.written().rows as usize, good(0, END).len());
    let told: Vec<_> = taken.iter().map(|Reject { stage, code, .. }| (&**stage, &**code)).collect();
    assert_eq!(told, [("s", M::CODE); REJECTS.len()]);
    assert_eq!(writer.durable()[&0], END);
    assert_each_once(&medium, &rejects, 0).await;
    for record in rejects.records().await {
        let offset = record["offset"].as_i64().unwrap();
        let expected = [
            ("pipeline", &*medium.context().pipeline),
            ("generation", GENERATION),
            ("stage", "s"),
            ("code", M::CODE),
            ("topic", &rejects.source().topic),
            ("key", "key"),
            ("original", &original(0, offset)),
        ];
        expected.into_iter().for_each(|(field, value)| assert_eq!(record[field], value, "{field} of {record}"));
        let said = |field: &str| record[field].as_str().is_some_and(|said| !said.is_empty());
        assert!(said("reason"), "{record}");
        assert!(record.get("time").is_some_and(|time| !time.is_null()), "{record}");
        assert!(record.get("original_base64").is_none() && record.get("original_bytes").is_none(), "{record}");
    }
    // and nothing more of what is known
    assert_eq!(writer.write(some::<M>(0, 0..END)).await.unwrap(), []);
    assert_each_once(&medium, &rejects, 0).await;
}

/// Breaks off before the rejects are written, or after.
struct BreaksOff(Box<dyn Refusals>, bool);

impl Refusals for BreaksOff {
    fn take<'a>(
        &'a mut self,
        outbound: &'a Outbound,
        epochs: &'a Epochs,
        refused: Vec<Refused>,
    ) -> Pending<'a, Vec<Reject>> {
        let BreaksOff(inner, after) = self;
        Box::pin(async move {
            if *after {
                inner.take(outbound, epochs, refused).await?;
            }
            Err(Error::retry("it broke off"))
        })
    }
}

async fn broken_off_around_its_rejects<M: Refusing, R: Rejects>() {
    let (medium, rejects) = (M::ruled().await, R::fresh().await);
    // the batches are others each time, as they are when a log is read again
    for (after, step) in [(false, END), (true, 5), (true, END), (false, 3), (true, 1)] {
        let (context, refusals) = rejects.refusals(medium.context());
        let broken = Box::new(BreaksOff(refusals, after));
        must_be_retry(&session(&medium, (context, broken), 0, END, step).await.unwrap_err());
    }
    bring(&medium, &rejects, 0, END).await;
    assert_each_once(&medium, &rejects, 0).await;
}

async fn cut_off_at_any_moment<M: Refusing, R: Rejects>() {
    let (medium, rejects) = (M::ruled().await, R::fresh().await);
    for (partition, millis) in (0..).zip([1, 3, 10, 20, 40, 80, 160, 320]) {
        let cut = session(&medium, rejects.refusals(medium.context()), partition, END, 5);
        let cut = timeout(Duration::from_millis(millis), cut).await;
        assert!(cut.is_err() || cut.is_ok_and(|done| done.is_ok()), "nobody disturbed it");
        bring(&medium, &rejects, partition, END).await;
        assert_each_once(&medium, &rejects, partition).await;
    }
}

/// A zombie that has written a reject before goes on beside its successor, in every order of their batches.
async fn a_zombie_repeats_no_reject<M: Refusing, R: Rejects>() {
    let (medium, rejects) = (M::ruled().await, R::fresh().await);
    for (partition, order) in (0..).zip([0b0011_u32, 0b0101, 0b0110, 0b1001, 0b1010, 0b1100]) {
        let mut writers = Vec::new();
        for _ in 0..2 {
            let (context, refusals) = rejects.refusals(medium.context());
            let mut writer = medium.refusing(context, refusals).unwrap();
            let position = writer.open(&starts(partition)).await.unwrap()[&partition];
            if writers.is_empty() {
                writer.write(some::<M>(partition, position..4)).await.unwrap();
            }
            writers.push(Some((writer, position.max(0))));
        }
        let mut stands = [4, writers[1].as_ref().unwrap().1];
        for step in 0..4 {
            let who = usize::from(order & 1 << step != 0);
            let Some((mut writer, _)) = writers[who].take() else { continue };
            let to = if stands[who] < 8 { 8 } else { END };
            match writer.write(some::<M>(partition, stands[who]..to)).await {
                Ok(_) => {
                    stands[who] = to;
                    writers[who] = Some((writer, to));
                }
                Err(error) => must_be_retry(&error),
            }
        }
        drop(writers);
        bring(&medium, &rejects, partition, END).await;
        assert_each_once(&medium, &rejects, partition).await;
    }
}

async fn writers_side_by_side<M: Refusing, R: Rejects>() {
    let (medium, rejects) = (M::ruled().await, R::fresh().await);
    let all =
        join_all((1..=3).map(|step| session(&medium, rejects.refusals(medium.context()), 0, END, step * 2))).await;
    all.iter().filter_map(|session| session.as_ref().err()).for_each(must_be_retry);
    bring(&medium, &rejects, 0, END).await;
    assert_each_once(&medium, &rejects, 0).await;
}

/// Rows that come again because a person says so may fare otherwise: none is taken for one that was rejected then.
async fn a_sink_that_was_moved_rejects_anew<M: Refusing, R: Rejects>() {
    let (medium, rejects) = (M::ruled().await, R::fresh().await);
    bring(&medium, &rejects, 0, END).await;
    let (context, _) = rejects.refusals(medium.context());
    let mut ledger = medium.ledger(context);
    let stands = ledger.read(&[0].into()).await.unwrap().remove(&0).unwrap();
    ledger.reset(0, &stands, 5).await.unwrap();
    bring(&medium, &rejects, 0, END).await;
    assert_eq!(published(&medium, 0).await, good(0, END));
    assert_eq!(offsets(&rejects, 0).await, [&REJECTS[..], &[7]].concat());
}

/// Every case, for each medium that refuses and each place that rejects go to.
macro_rules! refusals {
    ($($name:ident: $medium:ty, $rejects:ty;)+) => {
        $(mod $name {
            use super::*;

            refusals!(@cases $medium, $rejects:
                a_refused_row_becomes_a_reject_and_the_others_go_on
                broken_off_around_its_rejects
                cut_off_at_any_moment
                a_zombie_repeats_no_reject
                writers_side_by_side
                a_sink_that_was_moved_rejects_anew
            );
        })+
    };
    (@cases $medium:ty, $rejects:ty: $($case:ident)+) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            super::$case::<$medium, $rejects>().await;
        })+
    };
}

refusals! {
    mongodb_to_a_kafka_topic: mongodb::Database<keyed::Insert>, InTopic<Kafka>;
    mongodb_to_mongodb: mongodb::Database<keyed::Insert>, InMongodb;
    mongodb_to_hdfs: mongodb::Database<keyed::Insert>, InHdfs;
    mongodb_by_key_to_mongodb: mongodb::Database<keyed::Key>, InMongodb;
    mongodb_replacing_to_mongodb: mongodb::Database<keyed::Replace>, InMongodb;
    documents_by_key_to_an_embedded_topic: embedded::Documents<keyed::Key>, InTopic<Embedded>;
    documents_replacing_to_documents: embedded::Documents<keyed::Replace>, InDocuments;
    documents_to_an_embedded_topic: embedded::Documents<keyed::Insert>, InTopic<Embedded>;
    documents_to_documents: embedded::Documents<keyed::Insert>, InDocuments;
    documents_to_a_directory: embedded::Documents<keyed::Insert>, InFolder;
}
