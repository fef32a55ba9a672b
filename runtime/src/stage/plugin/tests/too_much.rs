//! Guests that make much of little: rows, copies, dictionaries. What a message may become is bounded, by the message
//! alone; what is held at once is bounded too, by cutting a batch into pieces.

use std::sync::Arc;

use arrow_array::StringArray;

use super::*;
use crate::stage::plugin::lift::MESSAGE_BYTES_MAX;

const MIB: usize = 1 << 20;

/// Rows whose number is how many KiB they become.
fn large(mode: &str) -> Program {
    let settings = Settings { memory_mib_max: 64, fuel_per_row_max: 1_000_000_000, ..settings(mode) };
    Program::load(&component("test-guest"), settings).expect("the test guest")
}

fn held(piece: &Batch) -> usize {
    piece.columns.get_array_memory_size()
}

/// One message says the same in company and alone.
fn is_refused_alone_and_in_company(mode: &str) {
    let program = large(mode);
    let kib = 17 * 1_024;
    for company in [vec![kib], vec![1, kib, 2], vec![kib, kib]] {
        let mut worker = program.worker().expect("a worker");
        let pieces = pieces(&mut worker, numbers(company.iter().copied()));
        let rows: usize = pieces.iter().map(Batch::rows).sum();
        assert_eq!(rows, company.iter().filter(|n| **n != kib).count(), "{mode}");
        let rejects: Vec<_> = pieces.iter().flat_map(rejects).collect();
        assert_eq!(rejects.len(), company.len() - rows, "{mode}");
        for (code, reason, _) in rejects {
            assert_eq!(code, "plugin_invalid_output");
            assert!(reason.contains(&format!("where {MESSAGE_BYTES_MAX} are the most")), "{mode}: {reason}");
        }
    }
}

#[test]
fn a_text_that_is_too_large() {
    is_refused_alone_and_in_company("large-text");
}

#[test]
fn a_dictionary_that_spreads_out_too_far() {
    is_refused_alone_and_in_company("large-dict");
}

#[test]
fn rows_that_carry_too_much_each() {
    let program = guest("explode");
    let of = |copies: i64, bytes: usize| {
        let text: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(bytes), "y".into()]));
        batch(vec![("n", Arc::new(Int64Array::from(vec![copies, 2]))), ("s", text)])
    };
    let few = run(&program, of(16, MIB - 100));
    assert_eq!((few.rows(), few.rejects.len()), (18, 0));
    let many = run(&program, of(18, MIB));
    let [(code, reason, 0)] = rejects(&many)[..] else { panic!("{:?}", many.rejects) };
    assert_eq!((many.rows(), code), (2, "plugin_invalid_output"));
    assert!(reason.starts_with("it returned rows of a message that are 178"), "{reason}");
}

/// Each is as large as may be: they are not held all at once.
#[test]
fn what_is_large_together_goes_on_in_pieces() {
    let program = large("large-text");
    let mut worker = program.worker().expect("a worker");
    let pieces = pieces(&mut worker, numbers([9 * 1_024; 40]));
    assert_eq!(pieces.iter().map(Batch::rows).sum::<usize>(), 40);
    assert!(pieces.iter().all(|piece| piece.rejects.is_empty() && held(piece) < 40 * MIB));
    assert!(pieces.len() >= 10, "{} pieces", pieces.len());
    let offsets = pieces.iter().flat_map(|piece| piece.positions().map(|(_, offset, _)| offset));
    assert_eq!(offsets.collect::<Vec<_>>(), (0..40).collect::<Vec<_>>());
}

/// A stage before made many rows of a message: what this one makes of them counts together, in whatever calls they are.
#[test]
fn rows_of_a_message_count_together_in_whatever_calls() {
    let program = large("large-text");
    let kib = [1, 6 * 1_024, 6 * 1_024, 6 * 1_024, 2, 7];
    let lineage = vec![0, 1, 1, 1, 1, 2];
    for rows_per_call in [1, 2, 3, 8_192] {
        let mut worker = program.worker().expect("a worker");
        worker.rows_per_call = rows_per_call;
        let batch = Batch { lineage: lineage.clone(), ..numbers(kib) };
        let pieces = pieces(&mut worker, batch);
        let positions: Vec<_> =
            pieces.iter().flat_map(|piece| piece.positions().map(|(_, offset, _)| offset)).collect();
        assert_eq!(positions, [0, 1, 1, 1, 2], "{rows_per_call} rows a call");
        let refused: Vec<_> = pieces.iter().flat_map(rejects).map(|(code, reason, _)| (code, reason)).collect();
        let [("plugin_invalid_output", reason)] = refused[..] else { panic!("{refused:?}") };
        assert!(reason.contains("rows of a message that are 188"), "{reason}");
    }
}

/// Where calls begin follows from their size, and has nothing to do with where messages do.
#[test]
fn pieces_end_with_a_message_wherever_calls_do() {
    let program = large("large-text");
    let mut worker = program.worker().expect("a worker");
    worker.rows_per_call = 2;
    let lineage: Vec<u32> = [0].into_iter().chain((1..40).flat_map(|message| [message; 4])).collect();
    let batch = Batch { lineage: lineage.clone(), ..numbers(vec![512; lineage.len()]) };
    let pieces = pieces(&mut worker, batch);
    let rows: Vec<_> = pieces.iter().flat_map(|piece| piece.positions().map(|(_, offset, _)| offset as u32)).collect();
    assert_eq!(rows, lineage);
    let largest = pieces.iter().map(Batch::bytes).max().unwrap_or_default();
    // what is enough, a call, and a message
    assert!(largest <= (8 + 4 + 2) * MIB, "{largest} bytes in a piece");
}

/// What a guest hides under a null is no part of anything.
#[test]
fn nothing_is_under_a_null() {
    let program = large("hidden");
    let done = run(&program, numbers([1, 2]));
    assert_eq!(done.columns.column_by_name("large").expect("a column").null_count(), 2);
    assert!(done.bytes() < 1_000, "{} bytes", done.bytes());
}
