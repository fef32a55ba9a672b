//! The kept inputs, and changes of them that are the same at every run: no coverage guides them, so that they run
//! anywhere. A failure says what its input was.

use std::fs;
use std::path::{Path, PathBuf};

use super::{answer, config, message};

type Target = fn(&[u8]);

/// The words that a change puts in.
const JSON: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"\\",
    b"\\u",
    b"\\ud800",
    b"\\ud83d\\ude00",
    b"null",
    b"true",
    b"NaN",
    b"-0",
    b"1e999",
    b"1e-999",
    b"9223372036854775808",
    b"18446744073709551616",
    b"0.1",
    b"\xef\xbb\xbf",
    b"\xff",
    b"\xed\xa0\x80",
    b"\0",
    b"\"t\":",
    b"\"is\":[",
    b"\"fs\":[",
    b"\"ts\":[",
    b"\"must\":\"\"",
    b"\"d\":\"2013-05-06\"",
    b"\"s\":\"9999-12-31T23:59:60-23:59\"",
    b"\"y\":\"AQI=\"",
    b"{\"a\":",
    b"[[[[[[[[[[[[[[[[",
];
const TOML: &[&[u8]] = &[
    b"[",
    b"]",
    b"[[",
    b"]]",
    b"{",
    b"}",
    b"=",
    b"\"",
    b"'''",
    b"\"\"\"",
    b"\n",
    b".",
    b"a.a.a.a.",
    b"${",
    b"${A}",
    b"${AB:-x}",
    b"$$",
    b"nan",
    b"inf",
    b"0x",
    b"1979-05-27",
    b"[source.kafka]",
    b"[sinks.a.kafka]",
    b"[[stages]]",
    b"[stages.lookup]",
    b"[train]",
    b"[batch]",
    b"rows_max = 0",
    b"-9223372036854775809",
    b"\"text?\"",
    b"\"list<\"",
    b"\xc3\xa9",
    b"\r",
    b"[[[[[[[[[[[[[[[[",
];
const NONE: &[&[u8]] = &[b"\0", b"\x01", b"\xff", b"\xc8", b"\xdc", b"\xf0\x01\0\0\0"];
const INPUT_BYTES_MAX: usize = 1 << 16;

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    // the same order everywhere, for the same changes
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files.into_iter().map(|file| (file.clone(), fs::read(file).expect("a kept input"))).collect()
}

/// Says the input of a target that panics.
struct Say<'a>(&'a str, &'a [u8]);

impl Drop for Say<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{} on these bytes: {}", self.0, self.1.escape_ascii());
        }
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }

    fn range(&mut self, len: usize) -> std::ops::Range<usize> {
        let from = self.below(len);
        from..from + self.below((len - from).min(64) + 1)
    }

    fn change(&mut self, input: &mut Vec<u8>, other: &[u8], words: &[&[u8]]) {
        let at = self.below(input.len() + 1);
        match self.below(6) {
            0 if at < input.len() => input[at] ^= 1 << self.below(8),
            1 => drop(input.drain(self.range(input.len()))),
            2 => drop(input.splice(at..at, input[self.range(input.len())].to_vec())),
            3 => drop(input.splice(at..at, other[self.range(other.len())].to_vec())),
            4 => input.truncate(at),
            _ => drop(input.splice(at..at, words[self.below(words.len())].to_vec())),
        }
        input.truncate(INPUT_BYTES_MAX);
    }
}

fn run(name: &str, target: Target, words: &[&[u8]], changes: usize) {
    let kept = corpus(name);
    for (file, input) in &kept {
        let _say = Say(&file.display().to_string(), input);
        target(input);
    }
    let mut random = Random(0x6d69_6c6c_7261_6365);
    for number in 0..changes {
        let (_, seed) = &kept[random.below(kept.len())];
        let (mut input, other) = (seed.clone(), &kept[random.below(kept.len())].1);
        for _ in 0..=random.below(4) {
            random.change(&mut input, other, words);
        }
        let _say = Say(&format!("{name}, change {number}"), &input);
        target(&input);
    }
}

#[test]
fn messages() {
    run("message", message, JSON, 10_000);
}

#[test]
fn pipeline_files() {
    run("config", config, TOML, 3_000);
}

#[test]
fn answers_of_guests() {
    run("answer", answer, NONE, 100_000);
}
