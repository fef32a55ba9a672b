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
        for line in [waits, ends] {
            assert!(line.contains("127.0.0.1:1 failed: Connection refused"), "{said}");
        }
    }
}
