//! What a plugin costs beside native code on the same Arrow batch: ns a row, each a worker's whole `process`.
//!
//! `cargo bench -p millrace --bench plugin`

mod flights;
mod hostile;
mod languages;
mod types;
mod wide;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, RecordBatch};
use millrace::batch::{Batch, Origins};
use millrace::stage::plugin::{Program, Settings};

/// Of each measurement; the best of several is told, for other work on the machine only slows.
const MEASURED: Duration = Duration::from_millis(100);
const TRIES: usize = 5;

fn main() {
    flights::main();
    wide::main();
    types::main();
    hostile::main();
    languages::main();
}

/// As in a pipeline that says nothing.
fn load(plugin: &str, config: &str) -> Program {
    load_with(plugin, config, 1_000_000)
}

fn load_with(plugin: &str, config: &str, fuel_per_row_max: u64) -> Program {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins").join(plugin);
    let settings = Settings { stage: plugin.into(), memory_mib_max: 256, fuel_per_row_max, config: config.into() };
    let file = folder.join(plugin).with_extension("wasm");
    Program::load(&file, settings).unwrap_or_else(|error| panic!("`millrace plugin build plugins/{plugin}`: {error}"))
}

fn batch(columns: Vec<(String, ArrayRef)>) -> Batch {
    let columns = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| {
        let nullable = column.null_count() > 0;
        (name, column, nullable)
    }));
    let columns = columns.expect("columns of one length");
    let lineage = (0..columns.num_rows() as u32).collect();
    Batch { columns, lineage, origins: Arc::new(Origins::default()), spans: Vec::new(), rejects: Vec::new() }
}

/// ns a row.
fn best(rows: usize, mut call: impl FnMut()) -> f64 {
    let mut once = || {
        let (started, mut calls) = (Instant::now(), 0_u32);
        while started.elapsed() < MEASURED {
            (0..8).for_each(|_| call());
            calls += 8;
        }
        started.elapsed().as_nanos() as f64 / f64::from(calls) / rows as f64
    };
    (0..TRIES).map(|_| once()).fold(f64::INFINITY, f64::min)
}
