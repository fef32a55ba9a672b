//! What it says in a life, as JSON by option: whoever collects logs reads every line.

use serde_json::{Value, json};

use crate::embedded::Bed;
use crate::flights::request;

fn lines(said: &str) -> Vec<Value> {
    let line = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line:?} is no JSON: {error}"));
    said.lines().map(line).collect()
}

/// Level, module and message.
fn shown(line: &Value) -> [&str; 3] {
    [&line["level"], &line["target"], &line["fields"]["message"]].map(|part| part.as_str().unwrap_or_default())
}

#[test]
fn a_whole_life_is_lines_of_json() {
    let bed = Bed::new("logs");
    bed.append(&[(request("one", json!({})), None)]);
    let mut process = bed.start(&["--log-format", "json", "--workers", "2", "--listen", "127.0.0.1:0"]);
    bed.await_rows(1, &mut process);
    let said = lines(&process.drain());
    let of = |message: &str| {
        let found = said.iter().find(|line| shown(line)[2].starts_with(message));
        found.unwrap_or_else(|| panic!("no line {message:?} in {said:#?}"))
    };
    for (message, level, module) in [
        ("figures are at http://127.0.0.1:", "INFO", "millrace::cli::run"),
        ("starting", "INFO", "millrace::engine"),
        ("positions read", "INFO", "millrace::engine::session"),
        ("this worker has no partition to read", "WARN", "millrace::source::embedded"),
        ("draining", "INFO", "millrace::cli::run"),
        ("flight-delay: 1 message in", "INFO", "millrace::cli::run"),
    ] {
        assert_eq!(shown(of(message))[..2], [level, module], "{message}");
    }
    assert_eq!(of("starting")["fields"]["workers"], 2);
    assert_eq!(of("positions read")["fields"]["head"], "0:0");
    // those of tasks and threads too
    for message in ["positions read", "sink has no position yet", "sink is in step"] {
        assert_eq!(of(message)["span"]["worker"], 0, "{message}");
    }
    assert_eq!(of("this worker has no partition")["span"]["worker"], 1);
}

#[test]
fn a_level_that_is_none_is_a_mistake_of_the_command_line() {
    let done =
        std::process::Command::new(env!("CARGO_BIN_EXE_millrace")).args(["schema", "--log", "inf"]).output().unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.code() == Some(2) && said.contains("`inf` is no level: expected off, error,"), "{said}");
}

#[test]
fn levels_are_set_by_module() {
    let bed = Bed::new("log-levels");
    let mut process = bed.start(&["--log", "warn,millrace::engine=info"]);
    process.await_word("positions read");
    let said = process.drain();
    assert!(said.contains("starting") && !said.contains("draining"), "{said}");
}

#[test]
fn an_error_is_a_line_like_the_others() {
    let bed = Bed::new("log-error");
    std::fs::write(&bed.data, "a file").unwrap();
    let (code, said) = bed.start(&["--log-format", "json"]).wait();
    assert_eq!(code, Some(1), "{said}");
    let last = lines(&said).pop().expect("a line");
    assert_eq!(shown(&last)[0], "ERROR");
    assert!(shown(&last)[2].contains(&bed.data.display().to_string()), "{last}");
    assert!(!shown(&last)[2].starts_with("error: "), "{last}");
}
