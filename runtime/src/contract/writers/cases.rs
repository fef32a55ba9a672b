//! One writer at a time: batches of every size, errors, ends and new beginnings.

use std::time::Duration;

use tokio::time::timeout;

use super::super::PATIENCE;
use super::super::rows::{Row, batch, batch_of, rows, span};
use super::{
    Medium, assert_exactly, assert_sound, bring, must_be_retry, open, published, published_with, starts, starts_at,
};
use crate::error::Kind;
use crate::sink::{Positions, Start, Starts, Writer, Written};

pub async fn an_empty_batch_moves_the_position<M: Medium>() {
    let medium = M::fresh().await;
    let (mut writer, _) = open(&medium, 0).await;
    writer.write(batch_of(vec![span(0, 0..7)], &[])).await.unwrap();
    // nothing at all is no batch of rows either
    writer.write(batch_of(Vec::new(), &[])).await.unwrap();
    writer.finish().await.unwrap();
    assert_eq!((writer.durable(), writer.written()), (&Positions::from([(0, 7)]), Written::default()));
    assert_eq!(medium.published().await, []);
    drop(writer);
    assert_eq!(open(&medium, 0).await.1, 7);
}

pub async fn one_row<M: Medium>() {
    let medium = M::fresh().await;
    let (mut writer, position) = open(&medium, 0).await;
    writer.write(batch(0, 0..1)).await.unwrap();
    writer.finish().await.unwrap();
    assert_eq!((position, writer.durable()[&0], writer.written().rows), (0, 1, 1));
    assert_exactly(&medium, 0, 1).await;
}

pub async fn many_rows_of_two_partitions<M: Medium>() {
    const END: i64 = 3000;
    let medium = M::fresh().await;
    let mut writer = medium.writer(medium.context().clone()).unwrap();
    writer.open(&starts_at([(0, 0), (3, 0)])).await.unwrap();
    for from in (0..END).step_by(1500) {
        let (offsets, mut both) = (from..from + 1500, rows(0, from..from + 1500));
        both.extend(rows(3, offsets.clone()));
        let spans = vec![span(0, offsets.clone()), span(3, offsets)];
        writer.write(batch_of(spans, &both)).await.unwrap();
    }
    writer.finish().await.unwrap();
    assert_eq!(*writer.durable(), Positions::from([(0, END), (3, END)]));
    for partition in [0, 3] {
        assert_exactly(&medium, partition, END).await;
    }
    assert_eq!(writer.written().rows as usize, rows(0, 0..END).len() * 2);
}

fn large(offset: i64, bytes: usize) -> Row {
    Row { partition: 0, offset, index: 0, text: "x".repeat(bytes) }
}

pub async fn a_large_row<M: Medium>() {
    let medium = M::fresh().await;
    let (mut writer, _) = open(&medium, 0).await;
    let all = [large(0, 1), large(1, M::TEXT_BYTES_LARGE), large(2, 1)];
    writer.write(batch_of(vec![span(0, 0..3)], &all)).await.unwrap();
    writer.finish().await.unwrap();
    let Written { rows, bytes } = writer.written();
    assert!(rows == 3 && bytes > M::TEXT_BYTES_LARGE as u64, "{rows} rows of {bytes} bytes");
    assert!(published_with(&medium, 0, &all).await == all, "the large row is not as it was");
}

/// Where nobody takes rejects, the sink stops before the row, and says which it is. A medium that refuses no size takes
/// one that any other would refuse.
pub async fn a_row_that_nobody_takes_stops_it<M: Medium>() {
    const REFUSED_BY_OTHERS: usize = 40 << 20;
    let medium = M::fresh().await;
    let (mut writer, _) = open(&medium, 0).await;
    writer.write(batch(0, 0..4)).await.unwrap();
    writer.finish().await.unwrap();
    let bytes = M::TEXT_BYTES_REFUSED.unwrap_or(REFUSED_BY_OTHERS);
    let some = [large(4, 1), large(5, bytes), large(6, 1)];
    let written = writer.write(batch_of(vec![span(0, 4..7)], &some)).await;
    if M::TEXT_BYTES_REFUSED.is_none() {
        written.unwrap();
        writer.finish().await.unwrap();
        return assert_eq!(published(&medium, 0).await.len(), rows(0, 0..4).len() + 3);
    }
    let error = written.unwrap_err();
    assert_eq!(error.kind, Kind::Stop, "{error}");
    assert!(error.to_string().contains("partition 0, offset 5"), "{error}");
    assert_eq!(writer.written().rows as usize, rows(0, 0..4).len(), "what is durable is known after an error too");
    drop(writer);
    assert_eq!(open(&medium, 0).await.1, 4, "it would be skipped");
}

pub async fn a_batch_given_again_is_known<M: Medium>() {
    let medium = M::fresh().await;
    let (mut writer, _) = open(&medium, 0).await;
    writer.write(batch(0, 0..6)).await.unwrap();
    writer.write(batch(0, 0..6)).await.unwrap();
    writer.write(batch(0, 2..9)).await.unwrap();
    writer.finish().await.unwrap();
    assert_eq!(writer.written().rows as usize, rows(0, 0..9).len());
    drop(writer);
    // and by another one, from the beginning of the log
    let (mut writer, position) = open(&medium, 0).await;
    writer.write(batch(0, 0..9)).await.unwrap();
    writer.write(batch(0, 1..12)).await.unwrap();
    writer.finish().await.unwrap();
    assert_eq!((position, writer.written().rows as usize), (9, rows(0, 9..12).len()));
    assert_exactly(&medium, 0, 12).await;
}

pub async fn positions_are_read_again<M: Medium>() {
    let medium = M::fresh().await;
    let both = starts_at([(0, 0), (1, 0)]);
    let mut writer = medium.writer(medium.context().clone()).unwrap();
    writer.open(&both).await.unwrap();
    writer.write(batch(0, 0..5)).await.unwrap();
    writer.write(batch(1, 0..3)).await.unwrap();
    writer.finish().await.unwrap();
    let durable = writer.durable().clone();
    assert_eq!(durable, Positions::from([(0, 5), (1, 3)]));
    drop(writer);
    for _ in 0..3 {
        let mut writer = medium.writer(medium.context().clone()).unwrap();
        assert_eq!(writer.open(&both).await.unwrap(), durable);
        assert_eq!(*writer.durable(), durable);
    }
    // one partition alone, and one that is new beside one that is not
    assert_eq!(open(&medium, 1).await.1, 3);
    let mut writer = medium.writer(medium.context().clone()).unwrap();
    let some = writer.open(&starts_at([(0, 0), (2, 40)])).await.unwrap();
    assert_eq!(some, Positions::from([(0, 5), (2, 40)]));
}

pub async fn a_missing_position_begins_where_it_is_told<M: Medium>() {
    let medium = M::fresh().await;
    let mut writer = medium.writer(medium.context().clone()).unwrap();
    assert_eq!(writer.open(&starts_at([(0, 8)])).await.unwrap()[&0], 8);
    drop(writer);
    // and that is remembered, before any row
    assert_eq!(open(&medium, 0).await.1, 8);
    bring(&medium, 0, 12).await;
    assert_eq!(published_with(&medium, 0, &rows(0, 8..12)).await, rows(0, 8..12));
}

pub async fn rows_without_their_position_stop<M: Medium>() {
    let medium = M::fresh().await;
    bring(&medium, 0, 4).await;
    // a sink of another name knows no position, and finds rows of its pipeline
    let mut other = medium.context().clone();
    other.sink = "other".into();
    let opened = medium.writer(other).unwrap().open(&starts(0)).await;
    if M::IS_ANYBODYS {
        assert_eq!(opened.unwrap(), Positions::from([(0, 0)]));
        return assert_exactly(&medium, 0, 4).await;
    }
    let error = opened.unwrap_err();
    assert_eq!(error.kind, Kind::Stop, "{error}");
    assert!(error.to_string().contains("delete"), "what to do: {error}");
    assert_exactly(&medium, 0, 4).await;
}

pub async fn a_topic_made_again_stops<M: Medium>() {
    let medium = M::fresh().await;
    bring(&medium, 0, 4).await;
    let mut again = medium.context().clone();
    again.log.topic_id = "another".into();
    let error = medium.writer(again).unwrap().open(&starts(0)).await.unwrap_err();
    assert_eq!(error.kind, Kind::Stop, "{error}");
    assert!(error.to_string().contains("made a"), "{error}");
    assert_exactly(&medium, 0, 4).await;
}

pub async fn a_position_that_was_read_and_is_gone_is_waited_for<M: Medium>() {
    let medium = M::fresh().await;
    let stood = Starts::from([(1, Start::Stood(7))]);
    for _ in 0..2 {
        let error = medium.writer(medium.context().clone()).unwrap().open(&stood).await.unwrap_err();
        must_be_retry(&error);
        assert!(error.to_string().contains("is gone: it was moved or deleted while the pipeline ran"), "{error}");
        assert!(error.to_string().contains("partition 1 stood at offset 7"), "{error}");
    }
    // nothing was made in its place; and one that is there again is what it is
    let mut writer = medium.writer(medium.context().clone()).unwrap();
    let begun = Positions::from([(1, 5)]);
    assert_eq!(writer.open(&starts_at([(1, 5)])).await.unwrap(), begun);
    drop(writer);
    assert_eq!(medium.writer(medium.context().clone()).unwrap().open(&stood).await.unwrap(), begun);
}

pub async fn a_gap_is_refused<M: Medium>() {
    let medium = M::fresh().await;
    let (mut writer, _) = open(&medium, 0).await;
    writer.write(batch(0, 0..4)).await.unwrap();
    let error = writer.write(batch(0, 6..9)).await.unwrap_err();
    must_be_retry(&error);
    assert!(error.to_string().contains("rows 4 to 5 are missing"), "{error}");
    drop(writer);
    assert_sound(&medium, 0, 0, 4).await;
    bring(&medium, 0, 9).await;
    assert_exactly(&medium, 0, 9).await;
}

pub async fn a_partition_that_is_not_open_is_refused<M: Medium>() {
    let medium = M::fresh().await;
    let mut unopened = medium.writer(medium.context().clone()).unwrap();
    must_be_retry(&unopened.write(batch(0, 0..4)).await.unwrap_err());
    let (mut writer, _) = open(&medium, 0).await;
    let error = writer.write(batch(1, 0..4)).await.unwrap_err();
    must_be_retry(&error);
    assert!(error.to_string().contains("partition 1"), "{error}");
    assert_eq!(medium.published().await, []);
}

pub async fn what_waits_is_due_some_time<M: Medium>() {
    let medium = M::fresh().await;
    let (mut writer, _) = open(&medium, 0).await;
    assert_eq!(writer.deadline(), None);
    writer.write(batch(0, 0..3)).await.unwrap();
    if let Some(due) = writer.deadline() {
        assert!(writer.durable()[&0] < 3, "what is durable is not due");
        assert_eq!(writer.written(), Written::default(), "what is not durable is counted");
        writer.roll(due).await.unwrap();
    }
    assert_eq!((writer.durable()[&0], writer.written().rows as usize), (3, rows(0, 0..3).len()));
    assert_exactly(&medium, 0, 3).await;
}

pub async fn closed_with_rows_that_are_not_durable<M: Medium>() {
    let medium = M::fresh().await;
    // fewer rows than a file is rolled at, and as many
    for (from, to) in [(0, 2), (2, 20), (20, 21)] {
        let (mut writer, position) = open(&medium, 0).await;
        assert!(position <= from, "{position} was never durable");
        writer.write(batch(0, position..to)).await.unwrap();
        let durable = writer.durable()[&0];
        drop(writer);
        assert_sound(&medium, 0, durable, to).await;
        let reopened = open(&medium, 0).await.1;
        assert!((durable..=to).contains(&reopened), "durable was {durable}, and now it is {reopened}");
    }
    bring(&medium, 0, 30).await;
    assert_exactly(&medium, 0, 30).await;
}

pub async fn cut_off_in_the_middle_of_a_batch<M: Medium>() {
    let medium = M::fresh().await;
    // a partition for each moment: what became of the batch is not known to who gave it
    for (partition, micros) in (0..).zip([0, 50, 200, 500, 1_000, 2_000, 4_000, 8_000, 16_000]) {
        let (mut writer, _) = open(&medium, partition).await;
        writer.write(batch(partition, 0..2)).await.unwrap();
        let cut = timeout(Duration::from_micros(micros), async {
            writer.write(batch(partition, 2..40)).await?;
            writer.finish().await
        });
        let cut = cut.await;
        assert!(cut.is_err() || cut.is_ok_and(|done| done.is_ok()), "nobody disturbed it");
        drop(writer);
        bring(&medium, partition, 44).await;
        assert_exactly(&medium, partition, 44).await;
    }
}

pub async fn a_service_that_is_gone_is_named<M: Medium>() {
    for mut gone in M::unreachable() {
        let opened = timeout(PATIENCE, gone.writer.open(&starts(0))).await;
        let error = opened.expect("it hangs").unwrap_err().to_string();
        assert!(error.contains(&gone.address), "{} is not in: {error}", gone.address);
    }
}
