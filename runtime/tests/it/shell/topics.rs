//! A topic that is named wrong, that is not there yet, or whose brokers are away.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::flights::repository;
use crate::replay::{folder, millrace};

/// Exit code, and what it said.
fn produce(topic: &str, data: &Path, lines: &str) -> (Option<i32>, String) {
    let mut produce = Command::new(env!("CARGO_BIN_EXE_millrace"));
    produce.args(["produce", topic, "--embedded"]).arg(data).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut produce = produce.spawn().unwrap();
    produce.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let done = produce.wait_with_output().unwrap();
    (done.status.code(), String::from_utf8(done.stderr).unwrap())
}

#[test]
fn a_topic_of_a_folder_has_a_name_that_kafka_takes() {
    let data = folder("topic-names").join("data");
    for wrong in ["a b", "", ".", "é", &"x".repeat(250)] {
        let (code, said) = produce(wrong, &data, "1\n");
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(&format!("`{wrong}` cannot be a topic: expected a-z")), "{said}");
        assert!(said.contains("nothing of standard input is in"), "{said}");
    }
    assert_eq!(produce(&"x".repeat(249), &data, "1\n").0, Some(0));
}

#[test]
fn a_topic_is_made_by_its_first_line() {
    let data = folder("topic-first").join("data");
    assert_eq!(produce("rows", &data, ""), (Some(0), "0 messages into rows\n".to_owned()));
    let read = millrace(&["consume", "rows"], &data);
    assert_eq!(read.status.code(), Some(1), "it was made of nothing");
    assert_eq!(produce("rows", &data, "1\n"), (Some(0), "1 message into rows\n".to_owned()));
    let beyond = millrace(&["consume", "rows", "--from", "7"], &data);
    assert!(beyond.status.success() && beyond.stdout.is_empty());
    assert_eq!(String::from_utf8_lossy(&beyond.stderr), "no message has offset 7 yet: partitions end, 0 at 1\n");
}

#[test]
fn a_line_that_no_topic_takes_ends_it_and_those_before_it_are_there() {
    let data = folder("topic-large").join("data");
    let large = "x".repeat(1_000_001);
    let (code, said) = produce("rows", &data, &format!("1\n \n2\n{large}\n3\n"));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("error: line 4 is 1000001 bytes with its key, and a message of rows"), "{said}");
    assert!(said.contains("standard input up to line 3 is in rows, and no more; to go on"), "{said}");
    assert_eq!(millrace(&["consume", "rows"], &data).stdout, b"1\n2\n");
    assert_eq!(produce("rows", &data, &large[1..]).0, Some(0), "one byte less");
}

#[test]
fn an_environment_with_a_state_folder_does_not_forbid_an_embedded_one() {
    let data = folder("topic-state").join("data");
    let file = repository().join("pipelines/flight-delay.toml");
    let reset = |options: &[&str]| {
        let mut reset = Command::new(env!("CARGO_BIN_EXE_millrace"));
        reset.args(["positions", "reset"]).arg(&file).args(["--all", "--to", "latest", "--yes", "--embedded"]);
        let done = reset.arg(&data).args(options).env("MILLRACE_STATE", "/nowhere").output().unwrap();
        String::from_utf8(done.stderr).unwrap()
    };
    assert_eq!(produce("flight-delay-ml-request", &data, "1\n").0, Some(0));
    let said = reset(&[]);
    assert!(!said.contains("cannot be used with"), "{said}");
    assert!(reset(&["--state", "x"]).contains("cannot be used with"));
}

#[test]
fn the_topics_of_a_file_are_made_in_a_folder() {
    let data = folder("topic-create").join("data");
    let file = repository().join("pipelines/flight-delay.toml");
    let create = || {
        let made = millrace(&["topics", "create", file.to_str().unwrap(), "--partitions", "1"], &data);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        String::from_utf8(made.stdout).unwrap()
    };
    let said = |each: &str| {
        ["ml-rejected", "ml-request", "ml-response", "status"]
            .map(|role| format!("flight-delay-{role}: {each}\n"))
            .concat()
    };
    assert_eq!(create(), said("created, 1 partition"));
    assert_eq!(create(), said("there already"));
    assert_eq!(millrace(&["consume", "flight-delay-ml-request"], &data).status.code(), Some(0));
}

#[test]
fn brokers_that_are_away_are_named_with_the_reason() {
    for command in ["produce", "consume"] {
        let mut millrace = Command::new(env!("CARGO_BIN_EXE_millrace"));
        let done = millrace.args([command, "rows", "--brokers", "127.0.0.1:1"]).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(1), "{said}");
        let (waits, ends) = said.split_once('\n').expect("two lines");
        assert!(waits.contains("no answer from the brokers at 127.0.0.1:1 yet"), "{said}");
        assert!(ends.starts_with("error: ") && ends.contains("the brokers at 127.0.0.1:1 did not answer"), "{said}");
        // the first line may be said before the client has heard why
        assert!(ends.contains("127.0.0.1:1 failed: Connection refused"), "{said}");
    }
}
