//! What an author of plugins does: make one, test it, look at it, measure it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use millrace::cases::{self, Outcome};
use millrace::stage::plugin::{Program, Settings, build};
use millrace::trial::Trial;
use serde_json::{Value, json};

use crate::flights::repository;

fn millrace(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_millrace")).args(arguments).current_dir(repository()).output().unwrap()
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn temporary(name: &str) -> PathBuf {
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

/// The plugin of that name, as a pipeline would run it.
fn outcome(plugin: &str, messages: &[(usize, Vec<u8>)]) -> Outcome {
    let file = build::component_of(&repository().join("plugins").join(plugin));
    assert!(file.is_file(), "{} is not built: `./dev test` builds it", file.display());
    let limits = (64, 20_000_000);
    let settings = Settings {
        stage: "plugin".into(),
        memory_mib_max: limits.0,
        fuel_per_row_max: limits.1,
        config: "{}".to_owned(),
    };
    let program = Program::load(&file, settings).unwrap();
    Trial::of_plugin(&program).unwrap().run(messages).unwrap()
}

/// One plugin in three languages: the same bits for every flight of the sample, and the same refusals.
#[test]
fn the_same_features_in_every_language() {
    let sample = cases::messages(&repository().join("examples/flight-delay/sample.jsonl"), 10_000).unwrap();
    assert_eq!(sample.len(), 4_010);
    let rust = outcome("flight-features", &sample);
    assert_eq!((rust.rows.len(), rust.rejects.len()), (4_010, 0));
    for plugin in ["flight-features-py", "flight-features-js"] {
        let found = outcome(plugin, &sample);
        for (rust, found) in rust.rows.iter().zip(&found.rows) {
            assert_eq!(rust, found, "{plugin}");
        }
        assert_eq!((found.rows.len(), found.rejects.len()), (4_010, 0), "{plugin}");
        let (code, out, err) = test(&repository().join("plugins").join(plugin), &[]);
        assert_eq!((code, &*out), (Some(0), "calendar: ok\nflights: ok\nrefused: ok\n"), "{plugin}: {err}");
    }
}

/// The folder's build is kept from run to run: the first takes a minute.
fn new(language: &str, kept: &str) -> PathBuf {
    let made = temporary("new").join(format!("{language}-plugin"));
    let (code, out, err) = said(&millrace(&["new", "plugin", made.to_str().unwrap(), "--lang", language]));
    assert_eq!(code, Some(0), "{out}{err}");
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("new-{language}"));
    fs::create_dir_all(&folder).unwrap();
    let built = folder.join(format!("{language}-plugin"));
    if let Ok(entries) = fs::read_dir(&built) {
        for path in entries.map(|entry| entry.unwrap().path()).filter(|path| !path.ends_with(kept)) {
            if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
        }
    }
    let copied = Command::new("cp").arg("-r").arg(&made).arg(&folder).status().unwrap();
    assert!(copied.success());
    built
}

/// In whatever language: the same orders give the same bills.
#[test]
fn a_new_plugin_passes_its_own_cases() {
    for (language, kept) in [("rust", "target"), ("python", "python-plugin.wasm"), ("js", "js-plugin.wasm")] {
        let folder = new(language, kept);
        let (code, out, err) = said(&millrace(&["plugin", "test", folder.to_str().unwrap()]));
        assert_eq!((code, &*out), (Some(0), "orders: ok\n"), "{language}: {err}");
        let (code, _, err) = said(&millrace(&["check", folder.join("pipeline.toml").to_str().unwrap()]));
        assert_eq!(code, Some(0), "{language}: {err}");
        let (code, _, err) = said(&millrace(&["new", "plugin", folder.to_str().unwrap()]));
        assert_eq!(code, Some(1));
        assert!(err.ends_with("is there already: choose another name, or remove it\n"), "{err}");
    }
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
