//! Documents of a key: which row of several stays, in whatever order and however often they are written.

use std::sync::Arc;

use arrow_array::{RecordBatch, StringArray};

use super::super::logs::embedded::Embedded;
use super::super::logs::kafka::Kafka;
use super::super::rows::{Row, batch_of, span};
use super::embedded::Documents;
use super::mongodb::Database;
use super::refusals::Refusing;
use super::rejects::{InTopic, Rejects};
use super::{Medium, starts_at};
use crate::plan::DocumentWrite;
use crate::sink::ledger::Ledger as _;
use crate::sink::{Outbound, Writer as _};

/// How rows become documents.
pub trait Write: Send + Sync + 'static {
    fn write() -> DocumentWrite;
}

pub struct Insert;
/// By a key that each row has alone.
pub struct Key;
pub struct Replace;
/// By a key that rows share.
pub struct SharedKey;
pub struct SharedReplace;

impl Write for Insert {
    fn write() -> DocumentWrite {
        DocumentWrite::Insert
    }
}

impl Write for Key {
    fn write() -> DocumentWrite {
        DocumentWrite::Key("key".into())
    }
}

impl Write for Replace {
    fn write() -> DocumentWrite {
        DocumentWrite::Replace("key".into())
    }
}

impl Write for SharedKey {
    fn write() -> DocumentWrite {
        DocumentWrite::Key("text".into())
    }
}

impl Write for SharedReplace {
    fn write() -> DocumentWrite {
        DocumentWrite::Replace("text".into())
    }
}

/// Offsets from `from` on, a row each, with these keys.
fn keyed(partition: i32, from: i64, keys: &[&str]) -> Arc<Outbound> {
    let row = |(offset, key): (i64, &&str)| Row { partition, offset, index: 0, text: (*key).to_owned() };
    let rows: Vec<_> = (from..).zip(keys).map(row).collect();
    batch_of(vec![span(partition, from..from + keys.len() as i64)], &rows)
}

/// Key, partition and offset of each document.
async fn stored<M: Medium>(medium: &M) -> Vec<(String, i32, i64)> {
    let mut rows: Vec<_> =
        medium.published().await.into_iter().map(|row| (row.text, row.partition, row.offset)).collect();
    rows.sort();
    rows
}

fn documents(expected: &[(&str, i32, i64)]) -> Vec<(String, i32, i64)> {
    expected.iter().map(|(key, partition, offset)| ((*key).to_owned(), *partition, *offset)).collect()
}

/// Every order of a writer's steps and of a zombie's, which writes the same rows from the beginning again and stops before
/// the last ones.
fn orders() -> Vec<Vec<bool>> {
    const ALL: u32 = 5;
    const ZOMBIES: u32 = 2;
    let order = |order: u32| (0..ALL).map(|n| order & 1 << n != 0).collect();
    (0..1 << ALL).filter(|order: &u32| order.count_ones() == ZOMBIES).map(order).collect()
}

const FIRST: [(&str, i32, i64); 4] = [("$b", 0, 3), ("a", 0, 0), ("b", 0, 1), ("c", 0, 5)];
/// The others.
const TWICE: [i64; 5] = [2, 4, 6, 7, 8];
const LAST: [(&str, i32, i64); 4] = [("$b", 0, 3), ("a", 0, 8), ("b", 0, 6), ("c", 0, 7)];
const STEPS: [&[&str]; 3] = [&["a", "b", "a"], &["$b", "a", "c"], &["b", "c", "a"]];

async fn whatever_the_order<M: Refusing, R: Rejects>(expected: &[(&str, i32, i64)], refused: &[i64]) {
    for order in orders() {
        let medium = M::fresh().await;
        let rejects = R::fresh().await;
        let mut writers = Vec::new();
        for _ in 0..2 {
            let (context, refusals) = rejects.refusals(medium.context());
            let mut writer = medium.refusing(context, refusals).unwrap();
            writer.open(&starts_at([(0, 0)])).await.unwrap();
            writers.push((writer, 0));
        }
        for which in &order {
            let (writer, step) = &mut writers[usize::from(*which)];
            // a zombie's rejects may be fenced; what it wrote of rows stays what it is
            drop(writer.write(keyed(0, *step as i64 * 3, STEPS[*step])).await);
            *step += 1;
        }
        // whoever comes last goes on from the position
        let (context, refusals) = rejects.refusals(medium.context());
        let mut writer = medium.refusing(context, refusals).unwrap();
        let position = writer.open(&starts_at([(0, 0)])).await.unwrap()[&0];
        for (step, keys) in STEPS.iter().enumerate().skip(position as usize / 3) {
            writer.write(keyed(0, step as i64 * 3, keys)).await.unwrap();
        }
        assert_eq!(stored(&medium).await, documents(expected), "{order:?}");
        let mut said: Vec<_> = rejects.records().await.iter().map(|it| it["offset"].as_i64().unwrap()).collect();
        said.sort_unstable();
        assert_eq!(said, refused, "{order:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_row_of_a_key_stays_and_the_others_are_rejects_once() {
    whatever_the_order::<Database<SharedKey>, InTopic<Kafka>>(&FIRST, &TWICE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_row_of_a_key_stays() {
    whatever_the_order::<Database<SharedReplace>, InTopic<Kafka>>(&LAST, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_row_of_a_key_stays_in_a_folder_too() {
    whatever_the_order::<Documents<SharedKey>, InTopic<Embedded>>(&FIRST, &TWICE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_row_of_a_key_stays_in_a_folder_too() {
    whatever_the_order::<Documents<SharedReplace>, InTopic<Embedded>>(&LAST, &[]).await;
}

/// What a zombie of one partition still has to say does not undo what another partition said after it.
async fn a_late_row_of_one_partition_brings_no_key_back<M: Refusing>() {
    let medium = M::fresh().await;
    let both = starts_at([(0, 0), (1, 0)]);
    let mut zombie = medium.writer(medium.context().clone()).unwrap();
    zombie.open(&both).await.unwrap();
    let mut writer = medium.writer(medium.context().clone()).unwrap();
    writer.open(&both).await.unwrap();
    writer.write(keyed(0, 0, &["a"])).await.unwrap();
    writer.write(keyed(1, 0, &["a"])).await.unwrap();
    // it may be fenced
    drop(zombie.write(keyed(0, 0, &["a"])).await);
    assert_eq!(stored(&medium).await, documents(&[("a", 1, 0)]));
    // a newer one of it does
    writer.write(keyed(0, 1, &["a"])).await.unwrap();
    drop(zombie.write(keyed(1, 0, &["a"])).await);
    assert_eq!(stored(&medium).await, documents(&[("a", 0, 1)]));
}

/// A person moves the position back: rows come again, whoever wrote their keys last.
async fn moved_back<M: Refusing, R: Rejects>(expected: &[(&str, i32, i64)], refused: &[&str]) {
    let (medium, rejects) = (M::fresh().await, R::fresh().await);
    let both = starts_at([(0, 0), (1, 0)]);
    let (context, refusals) = rejects.refusals(medium.context());
    let mut writer = medium.refusing(context.clone(), refusals).unwrap();
    writer.open(&both).await.unwrap();
    writer.write(keyed(0, 0, &["a", "b", "a"])).await.unwrap();
    writer.write(keyed(1, 0, &["a"])).await.unwrap();
    drop(writer);
    let mut ledger = medium.ledger(context);
    let stands = ledger.read(&[0].into()).await.unwrap().remove(&0).unwrap();
    ledger.reset(0, &stands, 0).await.unwrap();
    drop(ledger);
    let (context, refusals) = rejects.refusals(medium.context());
    let mut writer = medium.refusing(context, refusals).unwrap();
    assert_eq!(writer.open(&both).await.unwrap()[&0], 0);
    let again = writer.write(keyed(0, 0, &["a", "b", "a"])).await.unwrap();
    assert_eq!(stored(&medium).await, documents(expected));
    assert_eq!(again.iter().map(|reject| &*reject.code).collect::<Vec<_>>(), refused);
}

/// A row without a key is a reject, and the others go on.
async fn a_null_key_is_refused<M: Refusing, R: Rejects>() {
    let (medium, rejects) = (M::fresh().await, R::fresh().await);
    let (context, refusals) = rejects.refusals(medium.context());
    let mut writer = medium.refusing(context, refusals).unwrap();
    writer.open(&starts_at([(0, 0)])).await.unwrap();
    let mut outbound = Arc::into_inner(keyed(0, 0, &["a", "b", "c"])).unwrap();
    let keys: StringArray = [Some("a"), None, Some("c")].into_iter().collect();
    let columns = outbound.batch.columns;
    let (names, mut arrays) = (columns.schema(), columns.columns().to_vec());
    arrays[names.index_of("key").unwrap()] = Arc::new(keys);
    let names = names.fields().iter().map(|field| field.name().clone());
    outbound.batch.columns = RecordBatch::try_from_iter(names.zip(arrays)).unwrap();
    let taken = writer.write(Arc::new(outbound)).await.unwrap();
    assert_eq!(taken.iter().map(|reject| &*reject.code).collect::<Vec<_>>(), ["missing_key"]);
    assert_eq!(writer.durable()[&0], 3);
    assert_eq!(stored(&medium).await, documents(&[("a", 0, 0), ("c", 0, 2)]));
    let said: Vec<_> = rejects.records().await.iter().map(|it| it["offset"].as_i64().unwrap()).collect();
    assert_eq!(said, [1]);
}

/// On each ground.
macro_rules! grounds {
    ($($name:ident: $medium:ident, $log:ty;)+) => {
        $(mod $name {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_late_row_of_one_partition_brings_no_key_back() {
                super::a_late_row_of_one_partition_brings_no_key_back::<$medium<SharedReplace>>().await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn the_first_row_of_a_key_stays_when_it_comes_again() {
                let first = [("a", 0, 0), ("b", 0, 1)];
                moved_back::<$medium<SharedKey>, InTopic<$log>>(&first, &["duplicate_key"]).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn the_last_row_of_a_key_stays_when_others_come_again() {
                let last = [("a", 1, 0), ("b", 0, 1)];
                moved_back::<$medium<SharedReplace>, InTopic<$log>>(&last, &[]).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_null_key_is_refused() {
                super::a_null_key_is_refused::<$medium<Key>, InTopic<$log>>().await;
                super::a_null_key_is_refused::<$medium<Replace>, InTopic<$log>>().await;
            }
        })+
    };
}

grounds! {
    on_mongodb: Database, Kafka;
    on_embedded_documents: Documents, Embedded;
}

/// `_millrace` of the document is a text, as the first way has it, and no object.
async fn takes_the_place<M: Medium, N: Medium>(by_key: M, change: impl FnOnce(M) -> N) {
    let mut writer = by_key.writer(by_key.context().clone()).unwrap();
    writer.open(&starts_at([(0, 0)])).await.unwrap();
    writer.write(keyed(0, 0, &["a", "b"])).await.unwrap();
    let replacing = change(by_key);
    let mut writer = replacing.writer(replacing.context().clone()).unwrap();
    assert_eq!(writer.open(&starts_at([(0, 0)])).await.unwrap()[&0], 2);
    writer.write(keyed(0, 2, &["a"])).await.unwrap();
    assert_eq!(stored(&replacing).await, documents(&[("a", 0, 2), ("b", 0, 1)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_that_was_written_by_key_is_replaced() {
    takes_the_place(Database::<SharedKey>::fresh().await, Database::changed_to::<SharedReplace>).await;
    takes_the_place(Documents::<SharedKey>::fresh().await, Documents::changed_to::<SharedReplace>).await;
}
