//! Components that were built when contract 1.0.0 was settled, and are never built again: what their authors have is
//! theirs for as long as there is a contract 1.

use super::types::echoes_every_type;
use super::*;

fn frozen(plugin: &str, config: &str) -> Program {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract-1.0.0");
    Program::load(&folder.join(plugin).with_extension("wasm"), settings(config)).expect("a component of contract 1.0.0")
}

#[test]
fn a_component_of_contract_1_0_0_takes_and_gives_every_type() {
    echoes_every_type(|config| frozen("test-guest", config));
}

#[test]
fn a_component_of_contract_1_0_0_says_what_it_said() {
    let features = frozen("flight-features", "{}");
    assert_eq!((&*features.manifest().name, features.version()), ("flight-features", "0.1.0"));
    let names = |fields: &[crate::schema::Field]| fields.iter().map(|field| field.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&features.types().adds), ["DayOfMonth", "DayOfWeek", "DayOfYear", "Route"]);
}

#[test]
fn a_component_of_contract_1_0_0_fails_and_refuses_as_it_did() {
    let mut worker = frozen("test-guest", "panic").worker().expect("a worker");
    let done = worker.process(numbers(0..20)).expect("a batch").whole();
    assert_eq!(done.rows(), 19, "the row on which it traps is alone");
    assert_eq!((done.rejects[0].origin, &*done.rejects[0].code), (13, "plugin_trap"));
}
