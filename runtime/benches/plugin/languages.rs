//! The same plugin in Rust, Python and JavaScript: what each costs, how large it is, how long it takes to compile.

use std::fs;
use std::hint::black_box;
use std::time::Instant;

use millrace::stage::plugin::build::Language;

use super::{best, flights, load_with};

const ROWS: [usize; 3] = [64, 1_024, 4_096];

pub fn main() {
    println!("\nflight features in each language: ns a row, and times the Rust one");
    let mut rust = Vec::new();
    for plugin in ["flight-features", "flight-features-py", "flight-features-js"] {
        let started = Instant::now();
        let program = load_with(plugin, "{}", Language::Python.fuel_per_row_max());
        let (compiled, bytes) = (started.elapsed(), fs::metadata(program.file()).map_or(0, |data| data.len()));
        let mut worker = program.worker().expect("a worker");
        println!("{plugin}: {} KiB, loaded in {compiled:.1?}", bytes >> 10);
        for (index, rows) in ROWS.into_iter().enumerate() {
            let batch = flights::batch(rows);
            let ns = best(rows, || drop(black_box(worker.process(black_box(batch.clone())).expect("features"))));
            if rust.len() == index {
                rust.push(ns);
            }
            println!("{rows:>6} rows {ns:>10.1} {:>7.1}", ns / rust[index]);
        }
    }
}
