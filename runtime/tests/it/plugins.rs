//! What an author of plugins does: make one, test it, look at it, measure it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

use millrace::cases::{self, Outcome};
use millrace::stage::plugin::{Program, Settings, build};
use millrace::trial::Trial;
use serde_json::{Value, json};

use crate::flights::repository;
use crate::guest::pipeline;

pub fn millrace(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_millrace")).args(arguments).current_dir(repository()).output().unwrap()
}

pub fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

pub fn temporary(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// The test guest as a plugin of its own, with a case that has this config.
fn guest(name: &str, config: &str, messages: &str) -> PathBuf {
    let folder = temporary(name);
    let case = folder.join("cases/one");
    fs::create_dir_all(&case).unwrap();
    fs::copy(repository().join("plugins/test-guest/test-guest.wasm"), folder.join(name).with_extension("wasm"))
        .unwrap();
    fs::write(case.join("config.json"), config).unwrap();
    fs::write(case.join("in.jsonl"), messages).unwrap();
    folder
}

fn test(folder: &Path, options: &[&str]) -> (Option<i32>, String, String) {
    let arguments = [&["plugin", "test", "--no-build", folder.to_str().unwrap()], options].concat();
    said(&millrace(&arguments))
}

#[test]
fn the_cases_of_the_reference_plugin_hold() {
    let (code, out, _) = said(&millrace(&["plugin", "test", "--no-build", "plugins/flight-features"]));
    assert_eq!((code, &*out), (Some(0), "calendar: ok\nflights: ok\nrefused: ok\n"));
}

#[test]
fn the_cases_of_the_reference_pipeline_hold() {
    let (code, out, err) = said(&millrace(&["test", "pipelines/flight-delay.toml"]));
    assert_eq!((code, &*out), (Some(0), "airports: ok\ncalendar: ok\nclasses: ok\nrefused: ok\n"), "{err}");
    let cases = repository().join("pipelines/flight-delay.cases");
    let lines = |file: &str| fs::read_to_string(cases.join(file)).unwrap();
    let classes =
        (0..4).filter(|class| lines("classes/out.jsonl").contains(&format!("\"Prediction\":{class},"))).count();
    assert_eq!(classes, 4, "every class has a case");
    let refused = lines("refused/rejects.jsonl");
    for code in codes_of_a_message() {
        assert!(refused.contains(&format!("\"code\":\"{code}\"")), "no case has {code}");
    }
}

/// Of docs/rejects.md, those that a line of JSON causes here: it has a value and no key, the model takes every category,
/// and the plugin does not break.
fn codes_of_a_message() -> Vec<String> {
    let page = fs::read_to_string(repository().join("docs/rejects.md")).unwrap();
    let rows =
        page.lines().filter(|line| ["| source |", "| lookup |", "| plugin |"].iter().any(|of| line.starts_with(of)));
    let words = rows.flat_map(|row| row.split('`').skip(1).step_by(2)).map(str::to_owned);
    let other = ["no_value", "bad_key", "bad_header"];
    let codes: Vec<_> = words
        .filter(|word| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
        .filter(|word| !word.starts_with("plugin_") && word != "fuel_per_row_max" && !other.contains(&&**word))
        .collect();
    assert!(codes.len() > 10, "{codes:?}");
    codes
}

#[test]
fn a_pipeline_that_answers_otherwise_fails_its_case() {
    let cases = temporary("pipeline-cases");
    let case = cases.join("one");
    fs::create_dir(&case).unwrap();
    fs::copy(repository().join("pipelines/flight-delay.cases/classes/in.jsonl"), case.join("in.jsonl")).unwrap();
    let folder = cases.to_str().unwrap();
    let run = |more: &[&str]| {
        said(&millrace(&[&["test", "pipelines/flight-delay.toml", "--cases", folder][..], more].concat()))
    };
    assert_eq!(run(&[]).0, Some(1), "nobody has looked at it yet");
    assert_eq!(run(&["--bless"]).0, Some(0));
    assert_eq!(run(&[]).0, Some(0));
    let out = fs::read_to_string(case.join("out.jsonl")).unwrap();
    fs::write(case.join("out.jsonl"), out.replacen("\"DayOfWeek\":1", "\"DayOfWeek\":2", 1)).unwrap();
    let (code, out, err) = run(&[]);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("`DayOfWeek` is 1, and should be 2"), "{out}");
    assert!(err.contains("1 of 1 cases failed"), "{err}");
}

#[test]
fn a_case_that_fails_says_what_differs_until_it_is_blessed() {
    let folder = guest("guest-differs", "{\"mode\":\"error\"}", "{\"n\":1}\n{\"n\":13}\n{\"n\":2}\n");
    let (code, out, err) = test(&folder, &[]);
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(
        out.starts_with("one: FAILED\n") && out.contains("out.jsonl is not there: look at what comes out"),
        "{out}"
    );
    assert_eq!(test(&folder, &["--bless"]).0, Some(0));
    let written = |file: &str| fs::read_to_string(folder.join("cases/one").join(file)).unwrap();
    assert_eq!(written("out.jsonl"), "{\"n\":1,\"y\":2}\n{\"n\":2,\"y\":4}\n");
    let reject = "{\"line\":2,\"stage\":\"plugin\",\"code\":\"plugin_error\",\"reason\":\"thirteen is not welcome\"}\n";
    assert_eq!(written("rejects.jsonl"), reject);
    assert_eq!(test(&folder, &[]), (Some(0), "one: ok\n".into(), String::new()));

    fs::write(folder.join("cases/one/out.jsonl"), "{\"n\":1,\"y\":3}\n{\"n\":2,\"y\":4}\n").unwrap();
    let (code, out, err) = test(&folder, &[]);
    assert_eq!((code, &*err), (Some(1), "error: 1 of 1 cases failed\n"));
    assert_eq!(out, "one: FAILED\n  out.jsonl differs:\n  row 1: {\"n\":1,\"y\":2}\n    `y` is 2, and should be 3\n");
}

#[test]
fn a_plugin_whose_answers_depend_on_other_rows_fails_its_cases() {
    // another answer with each call; no answer alone
    for mode in ["fickle", "shy"] {
        let config = format!("{{\"mode\":\"{mode}\"}}");
        let folder = guest(&format!("guest-{mode}"), &config, "{\"n\":1}\n{\"n\":2}\n");
        let (code, out, _) = test(&folder, &["--bless"]);
        assert_eq!(code, Some(1));
        assert!(out.contains("line 1 of in.jsonl has another outcome alone than among the others"), "{out}");
        assert!(!folder.join("cases/one/out.jsonl").exists(), "nothing is blessed that is not steady");
    }
}

#[test]
fn what_a_plugin_is_for_people_and_programs() {
    let (code, text, _) = said(&millrace(&["plugin", "inspect", "plugins/flight-features"]));
    assert_eq!(code, Some(0));
    assert!(text.starts_with("flight-features 0.1.0, contract millrace:plugin@1.0.0\n"), "{text}");
    assert!(text.contains("reads   Origin      text\n") && text.contains("\n        DepDelay    float64?\n"), "{text}");
    let file = "plugins/flight-features/flight-features.wasm";
    let (_, json, _) = said(&millrace(&["plugin", "inspect", file, "--json"]));
    let found: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(found["bytes"], fs::metadata(repository().join(file)).unwrap().len());
    assert_eq!(found["adds"][3], json!({ "name": "Route", "type": "text" }));
    assert_eq!(
        (&found["accepts_dict"], &found["config_schema"], &found["drops"]),
        (&json!(true), &json!(null), &json!([]))
    );
    assert!(text.contains(found["sha256"].as_str().unwrap()), "{text}");
    let (code, _, err) = said(&millrace(&["plugin", "inspect", "plugins/flight-features", "--config", "{\"x\":1}"]));
    assert_eq!(code, Some(1));
    assert!(err.contains("does not accept its config: this plugin takes no config"), "{err}");
}

/// Whoever has to write a config needs the schema, which is there without one.
#[test]
fn a_plugin_that_takes_a_config_is_shown_without_one() {
    let run = |more: &[&str]| said(&millrace(&[&["plugin", "inspect", "plugins/order-screen"], more].concat()));
    let (code, text, err) = run(&[]);
    assert!(text.starts_with("order-screen 0.1.0, contract millrace:plugin@1.0.0\n"), "{text}{err}");
    assert!(text.contains("\nconfig  {\n") && text.contains("An order of this total or more is in a hurry."), "{text}");
    assert!(err.contains("does not accept its config: `countries` is missing"), "{err}");
    assert_eq!((code, err.contains("--config JSON")), (Some(0), true), "{err}");
    let (code, json, err) = run(&["--json", "--config", "{\"countries\":[\"DE\"],\"express_from\":0}"]);
    let found: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(found["config_schema"]["required"], json!(["countries", "express_from"]));
    assert_eq!(found["config_faults"][0]["path"], "/express_from");
    assert_eq!(code, Some(1), "a config that was given is wrong: {err}");
    let bench = ["plugin", "bench", "plugins/order-screen", "--rows", "examples/flight-delay/sample.jsonl"];
    let (code, _, err) = said(&millrace(&bench));
    assert_eq!(code, Some(1));
    assert!(err.ends_with("\n`millrace plugin inspect plugins/order-screen` shows its schema\n"), "{err}");
}

/// By the folder itself, by a link to it, and by its file; where it is not built, or was built by another name, how to.
#[test]
fn a_pipeline_finds_a_plugin_by_its_folder() {
    let folder = guest("found", "{}", "");
    fs::write(folder.join("main.py"), "").unwrap();
    let (link, file) = (folder.with_extension("link"), folder.join("pipeline.toml"));
    drop(fs::remove_file(&link));
    std::os::unix::fs::symlink(&folder, &link).unwrap();
    let check = |component: &str| {
        let shipped = format!("{}/plugins/test-guest", repository().display());
        let sink =
            "[sinks.out.kafka]\nbrokers = \"localhost:9092\"\ntopic = \"out\"\n[rejects.kafka]\ntopic = \"no\"\n";
        let toml = pipeline("found", "double", "1_000_000", sink).replace(&shipped, component);
        fs::write(&file, toml).unwrap();
        said(&millrace(&["check", file.to_str().unwrap()]))
    };
    for component in [".", "found.wasm", "../found.link", folder.to_str().unwrap()] {
        assert_eq!(check(component).0, Some(0), "{component}: {:?}", check(component));
    }
    for (component, words) in [
        ("old.wasm", "which makes found.wasm; `component` may be the folder as well"),
        ("nowhere/old.wasm", "nowhere/old.wasm does not exist"),
    ] {
        let (code, _, err) = check(component);
        assert!(code == Some(1) && err.contains(words), "{err}");
    }
    fs::remove_file(folder.join("found.wasm")).unwrap();
    for component in [".", "found.wasm"] {
        let (code, _, err) = check(component);
        assert!(code == Some(1) && err.contains("build it: `millrace plugin build "), "{err}");
    }
}

/// A case that cannot begin is one that fails, by its name, and hides no other.
#[test]
fn a_case_whose_plugin_does_not_load_fails_alone() {
    let folder = guest("unloaded", "{\"mode\":\"bad-config\"}", "{\"n\":1}\n");
    let other = folder.join("cases/two");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("config.json"), "{\"mode\":\"double\"}").unwrap();
    fs::write(other.join("in.jsonl"), "{\"n\":1}\n").unwrap();
    test(&folder, &["--bless"]);
    let (code, out, err) = test(&folder, &[]);
    assert_eq!((code, &*err), (Some(1), "error: 1 of 2 cases failed\n"), "{out}");
    assert!(out.starts_with("one: FAILED\n") && out.ends_with("two: ok\n"), "{out}");
}

/// As the pipeline of a new plugin has it, and not as one that says nothing.
#[test]
fn a_row_may_cost_what_its_language_needs() {
    let fuel = |plugin: &Path, more: &[&str]| {
        let inspect = ["plugin", "inspect", plugin.to_str().unwrap(), "--json"];
        let (_, json, err) = said(&millrace(&[&inspect[..], more].concat()));
        let found: Value = serde_json::from_str(&json).unwrap_or_else(|_| panic!("{err}"));
        found["fuel_per_row_max"].as_u64().unwrap()
    };
    for (source, expected) in [("Cargo.toml", 1_000_000), ("main.py", 20_000_000), ("main.js", 20_000_000)] {
        // the folder's language, whatever the component was made of
        let folder = guest("guest-fuel", "{}", "");
        fs::write(folder.join(source), "").unwrap();
        let component = build::component_of(&folder);
        assert_eq!([fuel(&folder, &[]), fuel(&component, &[])], [expected; 2], "{source}");
        assert_eq!(fuel(&component, &["--fuel-per-row-max", "5"]), 5);
    }
}

#[test]
fn what_a_row_costs() {
    let sample = "examples/flight-delay/sample.jsonl";
    let bench = ["plugin", "bench", "plugins/flight-features", "--milliseconds", "1", "--json", "--rows"];
    let (code, out, err) = said(&millrace(&[&bench[..], &[sample]].concat()));
    assert_eq!(code, Some(0), "{err}");
    let found: Value = serde_json::from_str(&out).unwrap();
    let sizes: Vec<_> = found.as_array().unwrap().iter().map(|measured| measured["rows"].as_u64().unwrap()).collect();
    assert_eq!(sizes, [1, 16, 64, 256, 1_024, 4_096]);
    for figure in ["ns_per_row", "fuel_per_row"] {
        assert!(found.as_array().unwrap().iter().all(|measured| measured[figure].as_f64() > Some(0.0)), "{found}");
    }
    assert!(err.starts_with("4010 rows, 0 refused by the plugin; 0 lines are no rows of it\n"), "{err}");
    let (code, _, err) = said(&millrace(&[&bench[..], &["examples/flight-delay/names.json"]].concat()));
    assert_eq!(code, Some(1));
    assert!(err.contains("names.json:1: "), "{err}");
}

/// The plugin of that name, as a pipeline would run it that says nothing else.
fn outcome(plugin: &str, config: &Value, messages: &[(usize, Vec<u8>)]) -> Outcome {
    let file = build::component_of(&repository().join("plugins").join(plugin));
    assert!(file.is_file(), "{} is not built: `./dev test` builds it", file.display());
    let language = build::language_of(&file).unwrap();
    let settings = Settings {
        stage: "plugin".into(),
        memory_mib_max: 64,
        fuel_per_row_max: language.fuel_per_row_max(),
        config: config.to_string(),
    };
    // an interpreter takes a minute to compile, once: not in several tests at once
    static LOADING: Mutex<()> = Mutex::new(());
    let loading = LOADING.lock();
    let program = Program::load(&file, settings).unwrap();
    drop(loading);
    Trial::of_plugin(&program).unwrap().run(messages).unwrap()
}

/// One plugin in three languages: the same bits for every flight of the sample, and the same refusals.
#[test]
fn the_same_features_in_every_language() {
    let sample = cases::messages(&repository().join("examples/flight-delay/sample.jsonl"), 10_000).unwrap();
    assert_eq!(sample.len(), 4_010);
    let rust = outcome("flight-features", &json!({}), &sample);
    assert_eq!((rust.rows.len(), rust.rejects.len()), (4_010, 0));
    for plugin in ["flight-features-py", "flight-features-js"] {
        let found = outcome(plugin, &json!({}), &sample);
        for (rust, found) in rust.rows.iter().zip(&found.rows) {
            assert_eq!(rust, found, "{plugin}");
        }
        assert_eq!((found.rows.len(), found.rejects.len()), (4_010, 0), "{plugin}");
        let (code, out, err) = test(&repository().join("plugins").join(plugin), &[]);
        assert_eq!((code, &*out), (Some(0), "calendar: ok\nflights: ok\nrefused: ok\n"), "{plugin}: {err}");
    }
}

fn column(found: &Outcome, name: &str) -> Vec<Value> {
    found.rows.iter().map(|row| serde_json::from_str::<Value>(row).unwrap()[name].clone()).collect()
}

/// What the SDK's test guest answers to two rows, whose `n` is 0 and 1: its answers, or the error that it refuses one by.
fn answers(plugin: &str, adds: &str, row: &str) -> Result<Vec<Value>, String> {
    let messages = [0, 1].map(|n| (n + 1, json!({ "n": n }).to_string().into_bytes()));
    let found = outcome(plugin, &json!({ "adds": adds, "row": row }), &messages);
    match found.rejects.first() {
        Some(refused) => {
            assert_eq!(refused.code, "plugin_error", "{adds} {row}: {}", refused.reason);
            Err(refused.reason.clone())
        }
        None => Ok(column(&found, "y")),
    }
}

/// In Python one column may be returned without a tuple, unless `None` or a list would be a value and no row, or rows.
#[test]
fn python_never_takes_a_value_for_the_lack_of_a_row() {
    let answers = |adds: &str, row: &str| answers("test-guest-py", &format!("[{adds}]"), &format!("lambda n: {row}"));
    let (plain, nullable, list) = ("int64('y')", "int64('y').nullable()", "int64('y').list()");
    for (adds, row, rows) in [
        (plain, "n", json!([0, 1])),
        (plain, "n if n else None", json!([1])),
        (plain, "[n, n]", json!([0, 0, 1, 1])),
        (nullable, "(n if n else None,)", json!([null, 1])),
        (nullable, "n if n else NO_ROW", json!([1])),
        (nullable, "[(n,), (None,)]", json!([0, null, 1, null])),
        (list, "([n, n],)", json!([[0, 0], [1, 1]])),
        (list, "([],) if n else None", json!([[]])),
        (list, "[([n],), ([],)]", json!([[0], [], [1], []])),
        ("int64('y').list().nullable()", "(None,) if n else NO_ROW", json!([null])),
    ] {
        assert_eq!(answers(adds, row).map(Value::from), Ok(rows), "{adds} {row}");
    }
    for (adds, row, said) in [
        (nullable, "None", "row returned None, and `y` is nullable(): `return (None,)` adds a value that is absent, "),
        (nullable, "[n, None]", "row returned [0, None], and `y` is nullable(): `return [(None,)]` adds a value "),
        (list, "[n, n]", "row returned [0, 0], and `y` is a list(): `return ([…],)` adds a value that is a list, "),
        (list, "[]", "row returned [], and `y` is a list(): "),
        ("int64('y').list().nullable()", "None", "row returned None, and `y` is nullable(): "),
        ("int64('y'), int64('z')", "(n,)", "row returned (0,): expected a value for each of 2 columns"),
        ("int64('y'), int64('z')", "n", "row returned 0: expected a tuple of 2 values, None or a list of tuples"),
    ] {
        let found = answers(adds, row).expect_err(row);
        assert!(found.contains(said), "{adds} {row}: {found}");
    }
}

/// A value of another type than its column's is an error that names the column and the value; so is one out of range.
#[test]
fn a_wrong_value_is_told_by_its_column() {
    for (adds, row, said) in [
        ("int64('y')", "1.5", "1.5, and values of int64 are int, not float"),
        ("int64('y')", "2**63", "9223372036854775808, which does not fit into int64: "),
        ("int64('y'), int64('z')", "(1, None)", "None, and is not nullable()"),
        ("int64('y').list()", "([1, None],)", "a list with None, and values of int64 are int, not NoneType"),
        ("float64('y')", "'1'", "'1', and values of float64 are float, not str"),
        ("text('y')", "b'ab'", "b'ab', and values of text are str, not bytes"),
        ("text('y')", "chr(0xd800)", "'\\ud800', which does not fit into text: "),
        ("text('y').list()", "('ab',)", "'ab', and each of its values is a list"),
        ("binary('y')", "'ab'", "'ab', and values of binary are bytes, not str"),
        ("boolean('y')", "'false'", "'false', and values of boolean are bool, not str"),
        ("date('y')", "2**31", "2147483648, which does not fit into date: "),
        ("timestamp('y')", "1.0", "1.0, and values of timestamp are int, not float"),
    ] {
        let found = answers("test-guest-py", &format!("[{adds}]"), &format!("lambda n: {row}")).expect_err(row);
        let column = if adds.contains('z') { "z" } else { "y" };
        assert!(found.contains(&format!("`{column}` of row 0 of this call is {said}")), "{adds} {row}: {found}");
    }
    for (adds, y, said) in [
        ("float64('y')", "'x'", "TypeError: `y` of row 0 of this call is \"x\", and not a number"),
        ("float64('y').asList()", "[1, null]", "TypeError: `y` of row 0 of this call holds null, and not a number"),
        ("date('y')", "1.5", "RangeError: `y` of row 0 of this call is 1.5, and not a whole number of days"),
        ("date('y')", "2 ** 31", "RangeError: `y` of row 0 of this call is 2147483648, and not "),
        ("int64('y')", "2n ** 63n", "RangeError: `y` of row 0 of this call is 9223372036854775808n, and not "),
        ("int64('y')", "'5'", "TypeError: `y` of row 0 of this call is \"5\", and not a whole number"),
        ("int64('y').asList()", "[1, , 2]", "TypeError: `y` of row 0 of this call holds undefined, and not "),
        ("text('y')", "5", "TypeError: `y` of row 0 of this call is 5, and not a string"),
        ("text('y')", "'\\ud800'", "RangeError: `y` of row 0 of this call is \"\\ud800\", and not a string of whole"),
        ("text('y').asList()", "'ab'", "TypeError: `y` of row 0 of this call is \"ab\", and not an array"),
        ("binary('y')", "'ab'", "TypeError: `y` of row 0 of this call is \"ab\", and not a Uint8Array"),
        ("boolean('y')", "'false'", "TypeError: `y` of row 0 of this call is \"false\", and not a boolean"),
        ("int64('y')", "null", "TypeError: `y` of row 0 of this call is absent (null), and is not nullable()"),
    ] {
        let found = answers("test-guest-js", &format!("[{adds}]"), &format!("() => ({{ y: {y} }})")).expect_err(y);
        assert!(found.starts_with(said), "{adds} {y}: {found}");
    }
    let found = answers("test-guest-js", "[int64('y').nullable()]", "() => 5").expect_err("a number is no row");
    assert!(found.starts_with("TypeError: row returned 5: expected an object"), "{found}");
}

/// What is right is taken as it is, at the limits too.
#[test]
fn right_values_come_back_as_they_are() {
    for (adds, value, y) in [
        ("int64('y')", "-2**63", json!(i64::MIN)),
        ("int64('y')", "True", json!(1)),
        ("float64('y')", "3", json!(3.0)),
        ("text('y')", "'é' + chr(0xfeff)", json!("é\u{feff}")),
        ("boolean('y')", "n == n", json!(true)),
        ("date('y').nullable()", "None", json!(null)),
        ("float64('y').list()", "[1, 2.5]", json!([1.0, 2.5])),
    ] {
        let found = answers("test-guest-py", &format!("[{adds}]"), &format!("lambda n: ({value},)"));
        assert_eq!(found, Ok(vec![y.clone(), y]), "{adds} {value}");
    }
    for (adds, value, y) in [
        ("int64('y')", "-(2n ** 63n)", json!(i64::MIN)),
        ("int64('y')", "-(2 ** 40)", json!(-(1_i64 << 40))),
        ("float64('y').nullable()", "n ? null : undefined", json!(null)),
        ("text('y').nullable()", "null", json!(null)),
        ("text('y')", "'é\\ufeff'", json!("é\u{feff}")),
        ("boolean('y')", "n === n", json!(true)),
        ("text('y').asList().nullable()", "['a', 'é']", json!(["a", "é"])),
    ] {
        let found = answers("test-guest-js", &format!("[{adds}]"), &format!("({{ n }}) => ({{ y: {value} }})"));
        assert_eq!(found, Ok(vec![y.clone(), y]), "{adds} {value}");
    }
}

/// U+FEFF at the beginning of a text is a character, and no mark of an encoding, in every language.
#[test]
fn a_text_may_begin_with_a_byte_order_mark() {
    let texts = ["\u{feff}first", "plain", "\u{feff}", "\u{feff}\u{feff}é"];
    let messages: Vec<_> = (1..).zip(texts.map(|text| json!({ "x": text }).to_string().into_bytes())).collect();
    for (plugin, config) in [
        ("test-guest", json!({ "mode": "echo text" })),
        ("test-guest-py", json!({ "reads": "[text('x')]", "adds": "[text('echo')]", "row": "lambda x: x" })),
        (
            "test-guest-js",
            json!({ "reads": "[text('x')]", "adds": "[text('echo')]", "row": "({ x }) => ({ echo: x })" }),
        ),
    ] {
        let found = outcome(plugin, &config, &messages);
        assert_eq!(column(&found, "echo"), texts, "{plugin}");
    }
}

/// By the compiler that componentize-js brings along.
#[test]
fn the_types_of_the_javascript_sdk_follow_its_columns() {
    let compiler = repository().join(".millrace/componentize-js/node_modules/typescript/bin/tsc");
    assert!(compiler.is_file(), "{} is not there: `./dev test` fetches it", compiler.display());
    let mut check = Command::new("node");
    check.arg(compiler).args(["--noEmit", "--strict", "--target", "es2022", "--module", "nodenext"]);
    let (code, out, err) = said(&check.arg(repository().join("runtime/tests/sdk-js/types.ts")).output().unwrap());
    assert_eq!(code, Some(0), "{out}{err}");
}

#[test]
fn what_a_build_needs_is_said_with_the_command_that_installs_it() {
    // outside of this repository, which has the tools
    let folder = std::env::temp_dir().join(format!("millrace-no-tools-{}", std::process::id()));
    drop(fs::remove_dir_all(&folder));
    for (main, tool, command) in [
        ("main.py", "componentize-py", "python3 -m pip install --target"),
        ("main.js", "componentize-js", "npm install --prefix"),
    ] {
        let plugin = folder.join(tool);
        fs::create_dir_all(&plugin).unwrap();
        fs::write(plugin.join(main), "").unwrap();
        let (code, _, err) = said(&millrace(&["plugin", "build", plugin.to_str().unwrap()]));
        assert_eq!(code, Some(1));
        assert!(err.contains(&format!("{tool} is not there: ")), "{err}");
        assert!(err.contains(&format!("`{command} {}/.millrace/{tool} ", plugin.display())), "{err}");
    }
    let (code, _, err) = said(&millrace(&["plugin", "build", folder.to_str().unwrap()]));
    assert_eq!(code, Some(1));
    assert!(err.ends_with("holds no plugin: a plugin's folder has one of Cargo.toml, main.py, main.js\n"), "{err}");
    fs::remove_dir_all(&folder).unwrap();
}
