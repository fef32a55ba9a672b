//! Components that were built when contract 1.0.0 was settled, and are never built again: what their authors have is
//! theirs for as long as there is a contract 1.

use super::types::{Nans, echoes_every_type};
use super::*;

fn file(plugin: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract-1.0.0").join(plugin).with_extension("wasm")
}

fn frozen(plugin: &str, config: &str) -> Program {
    Program::load(&file(plugin), settings(config)).expect("a component of contract 1.0.0")
}

#[test]
fn a_component_of_contract_1_0_0_takes_and_gives_every_type() {
    echoes_every_type(48, Nans::Kept, |ty| frozen("test-guest", &format!("echo {ty}")));
}

#[test]
fn a_component_of_contract_1_0_0_says_what_it_said() {
    let features = frozen("flight-features", "{}");
    assert_eq!((&*features.manifest().name, features.version()), ("flight-features", "0.1.0"));
    let names = |fields: &[crate::schema::Field]| fields.iter().map(|field| field.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&features.types().adds), ["DayOfMonth", "DayOfWeek", "DayOfYear", "Route"]);
}

#[test]
fn a_component_of_contract_1_0_0_makes_the_features_that_it_made() {
    features::of_the_calendar(&frozen("flight-features", "{}"));
}

/// Filtered, made several, refused by the guest, replaced, counted.
#[test]
fn a_component_of_contract_1_0_0_answers_as_it_did() {
    let run = |mode: &str, rows: &[i64]| run(&frozen("test-guest", mode), numbers(rows.iter().copied()));
    let done = run("filter", &[1, 2, 3, 4]);
    assert_eq!((ints(&done, "y"), &*done.lineage), (vec![4, 8], &[1, 3][..]));
    let done = run("explode", &[2, 0, 1]);
    assert_eq!((ints(&done, "y"), &*done.lineage), (vec![4, 4, 2], &[0, 0, 2][..]));
    let done = run("refuse", &[1, 3, 2]);
    assert_eq!(ints(&done, "y"), [2, 4]);
    let [(_, reason, 1)] = rejects(&done)[..] else { panic!("{:?}", done.rejects) };
    assert!(reason.starts_with("3 zzz"), "{reason}");
    let done = run("replace", &[7]);
    assert_eq!(done.columns.column_by_name("n").expect("a column").as_string::<i32>().value(0), "7");
    let counting = frozen("test-guest", "count");
    super::run(&counting, numbers([1, 2]));
    assert_eq!(counting.counters(), [("calls".to_owned(), 1), ("rows".to_owned(), 2)].into());
}

#[test]
fn a_component_of_contract_1_0_0_fails_as_it_did() {
    for (mode, code) in [("panic", "plugin_trap"), ("error", "plugin_error"), ("loop", "plugin_fuel")] {
        let done = run(&frozen("test-guest", mode), numbers(0..20));
        assert_eq!(done.rows(), 19, "the row on which it fails is alone");
        assert_eq!((done.rejects[0].origin, &*done.rejects[0].code), (13, code));
    }
    let file = file("test-guest");
    let said = Program::load(&file, settings("bad-config")).expect_err("a config that it does not take").to_string();
    assert!(said.ends_with("does not accept its config: `/limit`: is not a number; no good "), "{said}");
}

/// What a guest is built against is what this host gives: a comment may change.
#[test]
fn the_contract_is_the_one_that_was_settled() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let said = |file: PathBuf| -> Vec<String> {
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let code = text.lines().map(|line| line.split("//").next().unwrap_or_default().trim().to_owned());
        code.filter(|line| !line.is_empty()).collect()
    };
    let settled = said(folder.join("tests/contract-1.0.0/plugin.wit"));
    assert!(settled.len() > 80, "{settled:?}");
    assert_eq!(said(folder.join("../plugins/wit/plugin.wit")), settled);
}
