//! Against real guests: `plugins/flight-features`, and `plugins/test-guest`, which behaves as its config says.

mod failures;
mod features;
mod frozen;
mod languages;
mod lies;
mod loading;
mod rows;
mod too_much;
mod types;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch};

use super::*;
use crate::batch::{Batch, Origins};

const FUEL: u64 = 1_000_000;

/// The built component of a plugin of ours.
fn component(plugin: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins").join(plugin);
    let file = folder.join(plugin).with_extension("wasm");
    assert!(file.is_file(), "{} is not built: `cargo run -- plugin build plugins/{plugin}`", file.display());
    file
}

fn settings(config: &str) -> Settings {
    Settings { stage: "stage".into(), memory_mib_max: 16, fuel_per_row_max: FUEL, config: config.to_owned() }
}

fn guest(config: &str) -> Program {
    Program::load(&component("test-guest"), settings(config)).expect("the test guest")
}

/// Each row from a message of its own.
fn batch(columns: Vec<(&str, ArrayRef)>) -> Batch {
    let nullable = columns.into_iter().map(|(name, column)| {
        let nullable = column.null_count() > 0;
        (name, column, nullable)
    });
    let columns = RecordBatch::try_from_iter_with_nullable(nullable).expect("columns of one length");
    let rows = columns.num_rows();
    let mut origins = Origins {
        partitions: vec![0; rows],
        offsets: (0..rows as i64).collect(),
        timestamps_ms: vec![0; rows],
        has_key: vec![false; rows],
        ..Origins::default()
    };
    (0..rows).for_each(|_| [&mut origins.keys, &mut origins.values].into_iter().for_each(|arena| arena.push(b"")));
    Batch {
        columns,
        lineage: (0..rows as u32).collect(),
        origins: Arc::new(origins),
        spans: Vec::new(),
        rejects: Vec::new(),
    }
}

fn numbers(numbers: impl IntoIterator<Item = i64>) -> Batch {
    batch(vec![("n", Arc::new(Int64Array::from_iter_values(numbers)))])
}

fn ints(batch: &Batch, name: &str) -> Vec<i64> {
    batch.columns.column_by_name(name).expect("a column").as_primitive::<Int64Type>().values().to_vec()
}

/// Code, reason and origin of every reject.
fn rejects(batch: &Batch) -> Vec<(&str, &str, u32)> {
    batch.rejects.iter().map(|reject| (&*reject.code, &*reject.reason, reject.origin)).collect()
}

/// All that a batch becomes.
fn pieces(worker: &mut Worker, batch: Batch) -> Vec<Batch> {
    let mut rest = Some(batch);
    let piece = || {
        let piece = worker.process(rest.take()?).expect("a piece");
        rest = piece.rest;
        Some(piece.done)
    };
    std::iter::from_fn(piece).collect()
}

fn run(program: &Program, batch: Batch) -> Batch {
    program.worker().expect("a worker").process(batch).expect("a batch").whole()
}
