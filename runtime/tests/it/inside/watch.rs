//! `run --watch`: a plugin that is built again takes over in the process that runs, between two rows.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::stand::{Stand, good};
use crate::flights::request;

const ROWS: usize = 200;

/// The pipeline with a component of its own, which a test may replace.
fn with_own_component(stand: &mut Stand) -> PathBuf {
    let file = stand.file();
    let toml = fs::read_to_string(&file).unwrap();
    let written = toml.lines().find(|line| line.starts_with("component = ")).unwrap();
    let component = file.with_file_name("features.wasm");
    replace(&component, &built());
    stand.edit(written, &format!("component = \"{}\"", component.display()));
    component
}

fn built() -> Vec<u8> {
    built_of("flight-features")
}

fn built_of(plugin: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins").join(plugin);
    fs::read(folder.join(plugin).with_extension("wasm")).unwrap()
}

/// At once, as `millrace plugin build` does it.
fn replace(component: &Path, bytes: &[u8]) {
    let new = component.with_extension("new");
    fs::write(&new, bytes).unwrap();
    fs::rename(new, component).unwrap();
}

/// Another file of the same meaning: a custom section, which nobody reads.
fn another(mark: u8) -> Vec<u8> {
    let mut bytes = built();
    bytes.extend([0, 3, 1, b'x', mark]);
    bytes
}

fn messages(label: &str) -> Vec<Vec<u8>> {
    (0..ROWS).map(|n| request(&format!("{label}-{n:04}"), json!({}))).collect()
}

fn generation(stand: &Stand) -> String {
    let said = good(Command::new(env!("CARGO_BIN_EXE_millrace")).arg("check").arg(stand.file()).arg("--json"));
    serde_json::from_str::<Value>(&said).unwrap()["generation"].as_str().unwrap().to_owned()
}

/// What it says once the one before has been drained.
fn started(generation: &str) -> String {
    format!("generation={generation} workers=")
}

/// By id; none twice.
fn generations(rows: &[Value]) -> BTreeMap<String, String> {
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let found: BTreeMap<_, _> = rows.iter().map(|row| (text(row, "UUID"), text(row, "Generation"))).collect();
    assert_eq!(found.len(), rows.len(), "rows that are there twice");
    found
}

fn a_plugin_that_is_built_again_takes_over(mut stand: Stand) {
    let component = with_own_component(&mut stand);
    let first = generation(&stand);
    let mut process = stand.start_with(&["--watch"]);
    process.await_word(&started(&first));
    // rows are on their way while the file is replaced
    stand.produce(&messages("a"));
    replace(&component, &another(1));
    let second = generation(&stand);
    process.await_word(&started(&second));
    stand.produce(&messages("b"));
    stand.await_responses(2 * ROWS, &mut process);
    // what is no plugin takes over from nobody
    replace(&component, b"no plugin");
    process.await_word("it goes on as it was");
    // nor what is one, and does not fit this pipeline
    replace(&component, &built_of("order-lines"));
    process.await_word("plugin `features` wants `items`, which is not there");
    stand.produce(&messages("c"));
    stand.await_responses(3 * ROWS, &mut process);
    replace(&component, &another(2));
    let third = generation(&stand);
    process.await_word(&started(&third));
    stand.produce(&messages("d"));
    stand.await_responses(4 * ROWS, &mut process);
    // one that is built only after the file names it
    let later = component.with_file_name("later.wasm");
    stand.edit(&component.display().to_string(), &later.display().to_string());
    stand.file();
    process.await_word("later.wasm does not exist");
    replace(&later, &another(3));
    let fourth = generation(&stand);
    process.await_word(&started(&fourth));
    stand.produce(&messages("e"));
    stand.await_responses(5 * ROWS, &mut process);
    let said = process.drain();
    assert_eq!(said.matches("later.wasm does not exist").count(), 1, "{said}");
    let responses = generations(&stand.responses());
    assert_eq!(responses.len(), 5 * ROWS);
    for (id, generation) in &responses {
        let expected: &[&String] = match id.as_bytes()[0] {
            b'a' => &[&first, &second],
            b'b' | b'c' => &[&second],
            b'd' => &[&third],
            _ => &[&fourth],
        };
        assert!(expected.contains(&generation), "{id} is of {generation}");
    }
    assert_eq!(generations(&stand.documents()), responses);
    assert_eq!(generations(&stand.archived()), responses);
}

#[test]
fn a_plugin_that_is_built_again_takes_over_on_services() {
    a_plugin_that_is_built_again_takes_over(Stand::services("watch"));
}

#[test]
fn a_plugin_that_is_built_again_takes_over_embedded() {
    a_plugin_that_is_built_again_takes_over(Stand::embedded("watch"));
}
