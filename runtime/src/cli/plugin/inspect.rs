//! `millrace plugin inspect`.

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use clap::Args;
use millrace::hash::sha256_of_file;
use millrace::schema::Field;
use millrace::stage::plugin::{CONTRACT, Program};
use serde_json::{Value, json};

use super::{Component, out};

#[derive(Args)]
#[command(
    after_help = "Columns are those that it reads and adds with this config. With --json it prints one object.\n\n\
    Examples:\n  millrace plugin inspect plugins/flight-features\n  \
    millrace plugin inspect plugins/flight-features/flight-features.wasm --json | jq -r '.adds[].name'"
)]
pub struct Options {
    #[command(flatten)]
    component: Component,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What is measured while it is loaded.
struct Measured {
    bytes: u64,
    sha256: String,
    loaded: Duration,
    opened: Duration,
    memory_bytes: u64,
}

pub fn run(options: &Options) -> Result<(), String> {
    let started = Instant::now();
    let program = options.component.load()?;
    let loaded = started.elapsed();
    let started = Instant::now();
    let worker = program.worker().map_err(super::super::failed)?;
    let (opened, memory_bytes) = (started.elapsed(), program.figures().memory_bytes);
    drop(worker);
    let cannot = |error: std::io::Error| format!("error: {}: {error}", program.file().display());
    let bytes = fs::metadata(program.file()).map_err(cannot)?.len();
    let sha256 = sha256_of_file(program.file()).map_err(cannot)?;
    let measured = Measured { bytes, sha256, loaded, opened, memory_bytes };
    let said = match options.json {
        true => format!("{}\n", json(&program, &measured, options)),
        false => text(&program, &measured, options),
    };
    out::print(said).map(drop)
}

fn text(program: &Program, measured: &Measured, options: &Options) -> String {
    let (manifest, types) = (program.manifest(), program.types());
    let mut said = format!("{} {}, contract {CONTRACT}\n", manifest.name, manifest.version);
    // writing to a String does not fail
    let mut line = |name: &str, what: String| {
        let _ = writeln!(said, "{name:<8}{what}");
    };
    line("file", program.file().display().to_string());
    line("size", format!("{} bytes", measured.bytes));
    line("sha256", measured.sha256.clone());
    let width = types.reads.iter().chain(&types.adds).map(|field| field.name.chars().count()).max().unwrap_or_default();
    for (side, fields) in [("reads", &types.reads), ("adds", &types.adds)] {
        for (index, field) in fields.iter().enumerate() {
            line(if index == 0 { side } else { "" }, format!("{:<width$}  {}", field.name, field.ty));
        }
    }
    if !types.drops.is_empty() {
        line("drops", types.drops.join(", "));
    }
    line("texts", if program.accepts_dict() { "plain or by dictionary" } else { "plain" }.to_owned());
    line("config", if manifest.config_schema.is_empty() { "none" } else { &manifest.config_schema }.to_owned());
    let kib = measured.memory_bytes >> 10;
    let limits = &options.component.limits;
    line("memory", format!("{kib} KiB once it is open, of {} MiB", limits.memory_mib_max));
    line("fuel", format!("{} units to open, of {} a row", program.open_fuel(), limits.fuel_per_row_max));
    line("start", format!("loaded in {:.1?}, an instance open in {:.1?}", measured.loaded, measured.opened));
    said
}

fn json(program: &Program, measured: &Measured, options: &Options) -> Value {
    let (manifest, types) = (program.manifest(), program.types());
    let fields = |fields: &[Field]| -> Vec<Value> {
        fields.iter().map(|field| json!({ "name": field.name, "type": field.ty.to_string() })).collect()
    };
    // a schema that is JSON is there as JSON
    let schema = Some(&manifest.config_schema).filter(|schema| !schema.is_empty());
    let schema = schema.map(|text| serde_json::from_str(text).unwrap_or_else(|_| Value::from(text.as_str())));
    json!({
        "name": manifest.name,
        "version": manifest.version,
        "contract": CONTRACT,
        "file": program.file(),
        "bytes": measured.bytes,
        "sha256": measured.sha256,
        "reads": fields(&types.reads),
        "adds": fields(&types.adds),
        "drops": types.drops,
        "accepts_dict": program.accepts_dict(),
        "config_schema": schema,
        "memory_bytes": measured.memory_bytes,
        "memory_mib_max": options.component.limits.memory_mib_max,
        "open_fuel": program.open_fuel(),
        "fuel_per_row_max": options.component.limits.fuel_per_row_max,
        "load_seconds": measured.loaded.as_secs_f64(),
        "open_seconds": measured.opened.as_secs_f64(),
    })
}
