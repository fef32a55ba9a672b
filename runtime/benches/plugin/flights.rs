//! Flight features. The native side computes the same columns with the same checks, plainly
//! written, and makes Arrow arrays of them; the plugin side does the same in the guest.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float64Type};
use arrow_array::{Array, ArrayRef, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray};
use millrace::batch::Batch;
use millrace::calendar::{Civil, civil, days};
use millrace::stage::plugin::Worker;

use super::{best, load};

const SIZES: [usize; 6] = [1, 16, 64, 256, 1_024, 4_096];

const AIRPORTS: [&str; 6] = ["ATL", "SFO", "JFK", "ORD", "LAX", "DEN"];
const CARRIERS: [&str; 4] = ["AA", "B6", "DL", "UA"];

pub fn main() {
    let started = Instant::now();
    let program = load("flight-features", "{}");
    println!("load: {:.0?}", started.elapsed());
    let started = Instant::now();
    let mut worker = program.worker().expect("a worker");
    println!("worker: {:.0?}", started.elapsed());
    same(&mut worker);
    println!("{:>6} {:>12} {:>12} {:>7}", "rows", "native ns", "plugin ns", "ratio");
    for rows in SIZES {
        let batch = batch(rows);
        let native = best(rows, || drop(black_box(native(black_box(&batch.columns)))));
        let plugin = best(rows, || drop(black_box(worker.process(black_box(batch.clone())).expect("features"))));
        println!("{rows:>6} {native:>12.1} {plugin:>12.1} {:>7.2}", plugin / native);
    }
}

fn same(worker: &mut Worker) {
    let batch = batch(1_000);
    let native = native(&batch.columns);
    let plugin = worker.process(batch).expect("features").whole();
    assert_eq!(plugin.rejects.len(), 0);
    assert_eq!(plugin.columns.columns()[6..], native);
}

pub fn batch(rows: usize) -> Batch {
    let texts = |words: &[&str], step: usize| -> ArrayRef {
        Arc::new(StringArray::from_iter_values((0..rows).map(|row| words[row * step % words.len()])))
    };
    let delays = (0..rows).map(|row| (row % 10 != 0).then_some(row as f64 % 100.0 - 20.0));
    let origins = (0..rows).map(|row| AIRPORTS[row % 6]);
    let dests = (0..rows).map(|row| AIRPORTS[(row + 1 + row / 6 % 5) % 6]);
    let columns: [(&str, ArrayRef); 6] = [
        ("Origin", Arc::new(StringArray::from_iter_values(origins))),
        ("Dest", Arc::new(StringArray::from_iter_values(dests))),
        ("FlightDate", Arc::new(Date32Array::from_iter_values((0..rows).map(|row| 15_706 + row as i32 % 365)))),
        ("Carrier", texts(&CARRIERS, 7)),
        ("DepDelay", Arc::new(delays.collect::<Float64Array>())),
        ("Distance", Arc::new(Float64Array::from_iter_values((0..rows).map(|row| 100.0 + row as f64 % 2_000.0)))),
    ];
    super::batch(columns.into_iter().map(|(name, column)| (name.to_owned(), column)).collect())
}

fn native(columns: &RecordBatch) -> Vec<ArrayRef> {
    let [origins, dests, carriers] = [0, 1, 3].map(|index| columns.column(index).as_string::<i32>());
    let dates = columns.column(2).as_primitive::<Date32Type>().values();
    let delays = columns.column(4).as_primitive::<Float64Type>();
    let distances = columns.column(5).as_primitive::<Float64Type>().values();
    let rows = columns.num_rows();
    let [mut of_month, mut of_week, mut of_year] = [(); 3].map(|()| Vec::with_capacity(rows));
    let mut routes = StringBuilder::with_capacity(rows, rows * 7);
    let mut route = String::with_capacity(7);
    for row in 0..rows {
        let (origin, dest, carrier) = (origins.value(row), dests.value(row), carriers.value(row));
        let delay = delays.is_valid(row).then(|| delays.value(row));
        let good = is_code(origin, 3, false)
            && is_code(dest, 3, false)
            && origin != dest
            && is_code(carrier, 2, true)
            && delay.is_none_or(|delay| (-1_440.0..=2_880.0).contains(&delay))
            && distances[row] > 0.0
            && distances[row] <= 12_500.0;
        assert!(good, "the data of this bench are good");
        let Civil { year, day, .. } = civil(dates[row]);
        of_month.push(i64::from(day));
        of_week.push((i64::from(dates[row]) + 3).rem_euclid(7) + 1);
        of_year.push(i64::from(dates[row] - days(Civil { year, month: 1, day: 1 }) + 1));
        route.clear();
        [origin, "-", dest].iter().for_each(|part| route.push_str(part));
        routes.append_value(&route);
    }
    let numbers = [of_month, of_week, of_year].map(|values| Arc::new(Int64Array::from(values)) as ArrayRef);
    numbers.into_iter().chain([Arc::new(routes.finish()) as ArrayRef]).collect()
}

fn is_code(code: &str, len: usize, digits: bool) -> bool {
    code.len() == len && code.bytes().all(|byte| byte.is_ascii_uppercase() || (digits && byte.is_ascii_digit()))
}
