//! Ctrl-C: what was taken is in the topic, and it is said how to go on; what was typed is there at once.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;

use crate::process::{PATIENCE, signal};
use crate::replay::{folder, millrace};

const ROWS: usize = 500;

/// A file of rows, and a folder to send them to.
fn bed(test: &str) -> (PathBuf, PathBuf) {
    let (folder, lines) = (folder(test), (0..ROWS).map(|n| format!("{{\"n\":{n}}}\n")));
    let file = folder.join("rows.jsonl");
    fs::write(&file, lines.collect::<String>()).unwrap();
    (file, folder.join("data"))
}

fn there(data: &Path) -> Vec<String> {
    let read = millrace(&["consume", "rows"], data);
    String::from_utf8(read.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn await_rows(data: &Path, count: usize) {
    let deadline = Instant::now() + PATIENCE;
    while there(data).len() < count {
        assert!(Instant::now() < deadline);
    }
}

fn start(arguments: &[&str], data: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    command.args(arguments).arg("--embedded").arg(data).stdin(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Exit code, and what it said.
fn interrupt(child: Child) -> (Option<i32>, String) {
    signal(child.id(), "INT");
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn a_replay_says_how_to_go_on() {
    let (file, data) = bed("interrupted");
    let replay = ["replay", file.to_str().unwrap(), "--topic", "rows"];
    let slowly = start(&[&replay[..], &["--rate", "20"]].concat(), &data);
    await_rows(&data, 3);
    let (code, said) = interrupt(slowly);
    let sent = there(&data).len();
    assert!(code == Some(130) && (3..ROWS).contains(&sent), "{code:?} {said}");
    assert!(said.contains(&format!("{sent} rows of {} into rows", file.display())), "{said}");
    assert!(said.contains(&format!("and no more; to go on, add --skip {sent}\n")), "{said}");
    let done = millrace(&[&replay[..], &["--skip", &sent.to_string()]].concat(), &data);
    assert!(done.status.success());
    assert_eq!(there(&data), fs::read_to_string(&file).unwrap().lines().collect::<Vec<_>>());
}

#[test]
fn a_replay_that_waits_for_its_next_row_ends_at_once() {
    let (file, data) = bed("interrupted-wait");
    // the second row is due in the next month
    let waits = start(&["replay", file.to_str().unwrap(), "--topic", "rows", "--rate", "0.0000005"], &data);
    await_rows(&data, 1);
    assert_eq!(interrupt(waits).0, Some(130));
}

#[test]
fn what_goes_on_until_then_has_come_to_its_end() {
    let (file, data) = bed("interrupted-loop");
    let again = start(&["replay", file.to_str().unwrap(), "--topic", "rows", "--loop", "--rate", "5000"], &data);
    await_rows(&data, ROWS + 1);
    let (code, said) = interrupt(again);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.ends_with(&format!("{} rows of {} into rows\n", there(&data).len(), file.display())), "{said}");
}

#[test]
fn a_line_that_is_typed_is_there_at_once() {
    let (_, data) = bed("interrupted-typed");
    let mut typed = start(&["produce", "rows"], &data);
    let mut input = typed.stdin.take().unwrap();
    for count in 1..=2 {
        input.write_all(b"{\"n\":1}\n").unwrap();
        await_rows(&data, count);
    }
    let (code, said) = interrupt(typed);
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("2 messages into rows\nstandard input up to line 2 is in rows, and no more"), "{said}");
}
