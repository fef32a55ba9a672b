//! `millrace plugin inspect`.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use millrace::schema::Field;
use millrace::stage::plugin::{CONTRACT, CannotLoad, Manifest, OPEN_FUEL, Program};
use serde_json::{Value, json};

use super::{Component, help, out};

#[derive(Args)]
#[command(
    after_help = "Columns are those that it reads and adds with this config. Where it does not accept its config, name, hash \
    and\nthe config's schema are printed, and what is wrong: without --config this is no failure, for a config that was \
    not\ngiven cannot be wrong. With --json it prints one object, then with `config_faults` and without columns.\n\n\
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

/// The component as a file.
struct Measured {
    bytes: u64,
    sha256: String,
}

/// What is measured while it is loaded.
struct Opened {
    loaded: Duration,
    opened: Duration,
    memory_bytes: u64,
}

pub fn run(options: &Options) -> Result<(), String> {
    let component = &options.component;
    let started = Instant::now();
    match component.try_load() {
        Ok(program) => out::print(whole(options, &program, started.elapsed())?).map(drop),
        Err(error) => without_columns(options, &error),
    }
}

fn whole(options: &Options, program: &Program, loaded: Duration) -> Result<String, String> {
    let started = Instant::now();
    let worker = program.worker().map_err(super::super::failed)?;
    let (opened, memory_bytes) = (started.elapsed(), program.figures().memory_bytes);
    drop(worker);
    let measured = Measured::of(program.file(), program.sha256())?;
    let opened = Opened { loaded, opened, memory_bytes };
    Ok(match options.json {
        true => format!("{}\n", json(program, &measured, &opened, options)),
        false => text(program, &measured, &opened, options),
    })
}

/// Without a config that it accepts it has no columns, and its schema says how to write one. Whoever gave a config wants
/// to know of it; whoever gave none has what there is to know.
fn without_columns(options: &Options, error: &CannotLoad) -> Result<(), String> {
    let CannotLoad::Config { file, sha256, manifest, faults } = error else {
        return Err(format!("error: {error}{}", help(&options.component.plugin, error)));
    };
    let measured = Measured::of(file, sha256)?;
    let faults = faults.iter().map(|fault| json!({ "path": fault.path, "message": fault.message }));
    out::print(match options.json {
        true => {
            let mut said = head_json(file, manifest, &measured);
            said["config_faults"] = faults.collect();
            format!("{said}\n")
        }
        false => format!("{}{}", head(file, manifest, &measured), line("config", schema(manifest))),
    })?;
    match options.component.config {
        Some(_) => Err(format!("error: {error}")),
        None => {
            out::tell(error);
            out::tell("what it reads and adds is told once it has a config: `--config JSON` gives it one");
            Ok(())
        }
    }
}

impl Measured {
    fn of(file: &Path, sha256: &str) -> Result<Measured, String> {
        let found = fs::metadata(file).map_err(|error| format!("error: {}: {error}", file.display()))?;
        Ok(Measured { bytes: found.len(), sha256: sha256.to_owned() })
    }
}

fn text(program: &Program, measured: &Measured, opened: &Opened, options: &Options) -> String {
    let (manifest, types) = (program.manifest(), program.types());
    let mut said = head(program.file(), manifest, measured);
    let width = types.reads.iter().chain(&types.adds).map(|field| field.name.chars().count()).max().unwrap_or_default();
    for (side, fields) in [("reads", &types.reads), ("adds", &types.adds)] {
        for (index, field) in fields.iter().enumerate() {
            said += &line(if index == 0 { side } else { "" }, &format!("{:<width$}  {}", field.name, field.ty));
        }
    }
    if !types.drops.is_empty() {
        said += &line("drops", &types.drops.join(", "));
    }
    said += &line("texts", if program.accepts_dict() { "plain or by dictionary" } else { "plain" });
    said += &line("config", schema(manifest));
    let kib = opened.memory_bytes >> 10;
    let limits = &options.component.limits;
    let fuel = limits.fuel_per_row_max(program.file());
    said += &line("memory", &format!("{kib} KiB once it is open, of {} MiB", limits.memory_mib_max));
    said += &line("fuel", &format!("{} units to open, of {OPEN_FUEL}; a row may take {fuel}", program.open_fuel()));
    said += &line("start", &format!("loaded in {:.1?}, an instance open in {:.1?}", opened.loaded, opened.opened));
    said
}

/// What it is, whatever its config.
fn head(file: &Path, manifest: &Manifest, measured: &Measured) -> String {
    let said = format!("{} {}, contract {CONTRACT}\n", manifest.name, manifest.version);
    let size = format!("{} bytes", measured.bytes);
    said + &line("file", &file.display().to_string()) + &line("size", &size) + &line("sha256", &measured.sha256)
}

fn schema(manifest: &Manifest) -> &str {
    if manifest.config_schema.is_empty() { "none" } else { &manifest.config_schema }
}

fn line(name: &str, what: &str) -> String {
    format!("{name:<8}{what}\n")
}

fn json(program: &Program, measured: &Measured, opened: &Opened, options: &Options) -> Value {
    let types = program.types();
    let fields = |fields: &[Field]| -> Vec<Value> {
        fields.iter().map(|field| json!({ "name": field.name, "type": field.ty.to_string() })).collect()
    };
    let limits = &options.component.limits;
    let mut said = head_json(program.file(), program.manifest(), measured);
    for (key, value) in [
        ("reads", fields(&types.reads).into()),
        ("adds", fields(&types.adds).into()),
        ("drops", types.drops.into()),
        ("accepts_dict", program.accepts_dict().into()),
        ("memory_bytes", opened.memory_bytes.into()),
        ("memory_mib_max", limits.memory_mib_max.into()),
        ("open_fuel", program.open_fuel().into()),
        ("fuel_per_row_max", limits.fuel_per_row_max(program.file()).into()),
        ("load_seconds", opened.loaded.as_secs_f64().into()),
        ("open_seconds", opened.opened.as_secs_f64().into()),
    ] {
        said[key] = value;
    }
    said
}

fn head_json(file: &Path, manifest: &Manifest, measured: &Measured) -> Value {
    // a schema that is JSON is there as JSON
    let schema = Some(&manifest.config_schema).filter(|schema| !schema.is_empty());
    let schema = schema.map(|text| serde_json::from_str(text).unwrap_or_else(|_| Value::from(text.as_str())));
    json!({
        "name": manifest.name,
        "version": manifest.version,
        "contract": CONTRACT,
        "file": file,
        "bytes": measured.bytes,
        "sha256": measured.sha256,
        "config_schema": schema,
    })
}
