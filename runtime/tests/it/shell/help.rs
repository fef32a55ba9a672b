//! Options whose values are wrong: the option and what it takes are named.

use std::process::Command;

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
