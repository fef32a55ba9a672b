//! The crossing: a sum over 1 to 50 columns of int64, which is next to no work.

use std::hint::black_box;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array};
use millrace::batch::Batch;

use super::{best, load};

const ROWS: [usize; 4] = [1, 64, 1_024, 4_096];
const COLUMNS: [usize; 4] = [1, 5, 20, 50];

pub fn main() {
    println!("\nsum of so many int64 columns, ns a row: native, plugin, ratio");
    for columns in COLUMNS {
        let mut worker = load("test-guest", &format!("wide {columns}")).worker().expect("a worker");
        for rows in ROWS {
            let batch = batch(rows, columns);
            let sums = worker.process(batch.clone()).expect("sums").whole();
            assert_eq!(sums.columns.column(columns), &native(&batch));
            let plain = best(rows, || drop(black_box(native(black_box(&batch)))));
            let plugin = best(rows, || drop(black_box(worker.process(black_box(batch.clone())).expect("sums"))));
            println!("{columns:>3} columns {rows:>6} rows {plain:>10.1} {plugin:>10.1} {:>7.2}", plugin / plain);
        }
    }
}

fn batch(rows: usize, columns: usize) -> Batch {
    let values = |column: usize| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values((0..rows).map(|row| (row * (column + 1)) as i64)))
    };
    super::batch((0..columns).map(|column| (format!("c{column}"), values(column))).collect())
}

fn native(batch: &Batch) -> ArrayRef {
    let mut sums = vec![0_i64; batch.rows()];
    for column in batch.columns.columns() {
        let values = column.as_primitive::<Int64Type>().values();
        sums.iter_mut().zip(values).for_each(|(sum, value)| *sum = sum.wrapping_add(*value));
    }
    Arc::new(Int64Array::from(sums))
}
