//! Help as somebody sees it for the first time, and options whose values are wrong.

use std::path::PathBuf;
use std::process::Command;

use super::output::commands;

#[test]
fn a_negative_number_is_a_wrong_number_and_no_unknown_option() {
    for (arguments, says) in [
        ("replay f.csv --topic t --rate -1", "'--rate <N>': expected rows a second, above 0"),
        ("replay f.csv --topic t --rate=-0.5", "'--rate <N>': expected rows a second, above 0"),
        ("run f.toml --workers -1", "'--workers <"),
        ("consume t --from -1", "'--from <WHERE>': expected earliest, latest, or an offset from 0 on"),
        ("topics create f.toml --partitions -1", "-1 is not in 1.."),
        ("tap f.toml --at s --rows-max -1", "'--rows-max <N>'"),
    ] {
        let done = Command::new(env!("CARGO_BIN_EXE_millrace")).args(arguments.split(' ')).output().unwrap();
        let said = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(2), "{arguments}: {said}");
        assert!(said.contains("invalid value '-") && said.contains(says), "{arguments}: {said}");
    }
}

#[test]
fn every_command_shows_an_example_and_every_option_says_what_it_is() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("help");
    drop(std::fs::remove_dir_all(&folder));
    for command in commands(&folder) {
        let mut help = Command::new(env!("CARGO_BIN_EXE_millrace"));
        let help = help.args(command.split(' ')).arg("--help").output().unwrap();
        let help = String::from_utf8(help.stdout).unwrap();
        assert!(help.contains("Example") || help.contains("\nCommands:\n"), "no example:\n{help}");
        let mut lines = help.lines().peekable();
        while let Some(line) = lines.next() {
            let starts = ["<", "--", "-h, ", "-V, "].iter().any(|start| line.trim_start().starts_with(start));
            // the words are on the line itself, or on the next
            let next = lines.peek().is_some_and(|next| next.starts_with("          "));
            let said = line.trim_start().split_once("  ").is_some_and(|(_, words)| !words.trim().starts_with('['));
            assert!(!(starts && line.starts_with("  ")) || next || said, "{line:?} is not explained:\n{help}");
        }
    }
}
