//! `millrace check` as a person sees it: a folder for each case, `pipeline.toml` and what is said of it, `expected.txt`.
//!
//! `MILLRACE_BLESS=1` writes what is said now; read it before it is committed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/check");
    let mut cases: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    cases
}

/// What it says, and its exit code; hashes are not the case's.
fn check(case: &Path) -> String {
    let done = Command::new(env!("CARGO_BIN_EXE_millrace"))
        .args(["check", "pipeline.toml"])
        .current_dir(case)
        .env_remove("MILLRACE_TEST_UNSET")
        .output()
        .unwrap();
    let said = String::from_utf8(done.stdout).unwrap() + &String::from_utf8(done.stderr).unwrap();
    let said = said.lines().map(|line| match line.split_once("generation ") {
        Some((before, _)) => format!("{before}generation …"),
        None => line.trim_end().to_owned(),
    });
    let said: Vec<_> = said.collect();
    format!("{}\nexit code {}\n", said.join("\n"), done.status.code().unwrap())
}

#[test]
fn every_case_is_said_as_expected() {
    let bless = std::env::var_os("MILLRACE_BLESS").is_some();
    let mut differing = Vec::new();
    for case in cases() {
        let (said, file) = (check(&case), case.join("expected.txt"));
        if bless {
            fs::write(&file, &said).unwrap();
        } else if fs::read_to_string(&file).unwrap_or_default() != said {
            differing.push(format!("{}:\n{said}", case.display()));
        }
    }
    assert!(differing.is_empty(), "not as expected.txt has it:\n{}", differing.join("\n"));
}

#[test]
fn every_error_has_a_place_and_there_is_a_case_of_each_kind() {
    let all: Vec<_> = cases().iter().map(|case| (case.clone(), check(case))).collect();
    assert!(all.len() > 10, "{} cases", all.len());
    for (case, said) in all {
        let errors = said.lines().filter(|line| line.starts_with("error: ")).count();
        let places = said.lines().filter(|line| line.trim_start().starts_with("--> pipeline.toml")).count();
        assert!(places >= errors, "{}: {errors} errors, {places} places\n{said}", case.display());
        assert_eq!(said.ends_with("exit code 1\n"), errors > 0, "{}\n{said}", case.display());
    }
}

/// Editors find the schema by the first line, relative to the file.
fn names_its_schema(file: &Path) {
    let text = fs::read_to_string(file).unwrap();
    let schema = text.lines().next().and_then(|line| line.strip_prefix("#:schema ")).expect("it names its schema");
    let named = fs::canonicalize(file.with_file_name(schema)).unwrap_or_else(|error| panic!("{schema}: {error}"));
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config/schema.json");
    assert_eq!(named, fs::canonicalize(ours).unwrap(), "{}", file.display());
}

#[test]
fn every_pipeline_that_ships_is_in_order() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found = 0;
    for file in fs::read_dir(root.join("pipelines")).unwrap().map(|entry| entry.unwrap().path()) {
        if file.extension().is_some_and(|ending| ending == "toml") {
            names_its_schema(&file);
            found += 1;
            let mut check = Command::new(env!("CARGO_BIN_EXE_millrace"));
            let done = check.arg("check").arg(&file).env_clear().output().unwrap();
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            assert!(done.stderr.is_empty(), "warnings: {}", String::from_utf8_lossy(&done.stderr));
        }
    }
    assert!(found > 0);
}
