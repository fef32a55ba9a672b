//! What a hostile guest costs its neighbours: one row of many on which it breaks, and one on which every row breaks.

use std::hint::black_box;
use std::sync::Arc;

use arrow_array::Int64Array;
use millrace::batch::Batch;

use super::{batch, best, load};

const ROWS: usize = 1_024;
/// On which the test guest breaks.
const UNLUCKY: i64 = 13;

pub fn main() {
    println!("\na guest that breaks on one row of {ROWS}: ns a row, and times one that does not");
    let good = measured("double", 0..ROWS as i64, 0);
    for mode in ["error", "panic", "loop", "memory", "stack"] {
        let ns = measured(mode, 0..ROWS as i64, 1);
        println!("{mode:>10} {ns:>12.1} {:>8.1}", ns / good);
    }
    let ns = measured("error", std::iter::repeat_n(UNLUCKY, ROWS), ROWS);
    println!("{:>10} {ns:>12.1} {:>8.1}", "every row", ns / good);
}

fn measured(mode: &str, numbers: impl IntoIterator<Item = i64>, refused: usize) -> f64 {
    let mut worker = load("test-guest", mode).worker().expect("a worker");
    let batch: Batch = batch(vec![("n".to_owned(), Arc::new(Int64Array::from_iter_values(numbers)))]);
    assert_eq!(worker.process(batch.clone()).expect("a batch").whole().rejects.len(), refused, "{mode}");
    best(ROWS, || drop(black_box(worker.process(black_box(batch.clone())).expect("a batch"))))
}
