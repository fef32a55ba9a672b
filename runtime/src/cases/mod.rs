//! Cases: rows that go in, and what should become of them. A folder for each case, and folders of them:
//!
//! ```text
//! cases/leap-day/in.jsonl        messages, one a line
//! cases/leap-day/out.jsonl       the rows that come out, in order
//! cases/leap-day/rejects.jsonl   what is refused: line, stage, code, reason; no file: nothing is
//! cases/leap-day/config.json     a plugin's config, where it takes one
//! ```
//!
//! Invariant: a case that has no `out.jsonl` fails until somebody has looked at what comes out and kept it (`bless`).
//! Knows nothing of what makes rows of rows.

mod diff;

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::diff::Tolerance;
use crate::json::lines::Lines;

const IN: &str = "in.jsonl";
const OUT: &str = "out.jsonl";
const REJECTS: &str = "rejects.jsonl";
const CONFIG: &str = "config.json";
const LINES_MAX: usize = 100_000;

/// A folder with an `in.jsonl`.
#[derive(Debug)]
pub struct Case {
    pub name: String,
    pub folder: PathBuf,
    /// Number of the line, from 1, and the message.
    pub messages: Vec<(usize, Vec<u8>)>,
    /// JSON; `{}` where the case has none.
    pub config: String,
    /// None: nobody has said yet what should come out.
    expected: Option<Outcome>,
}

/// What became of a case's messages.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// JSON objects.
    pub rows: Vec<String>,
    /// Of each row, the line of its message; nobody knows them of what was read from files.
    pub lines: Vec<usize>,
    pub rejects: Vec<Refused>,
}

/// A message, or a row of it, that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// In `in.jsonl`, from 1.
    pub line: usize,
    pub stage: String,
    pub code: String,
    pub reason: String,
}

/// The cases in a folder, by name; or the one case that the folder is. What is wrong names its file.
pub fn read(folder: &Path) -> Result<Vec<Case>, String> {
    if folder.join(IN).is_file() {
        return Ok(vec![Case::read(folder)?]);
    }
    if !folder.is_dir() {
        return Err(format!("{} is no folder: it has the cases, each a folder with an {IN}", folder.display()));
    }
    let at = |error: io::Error| format!("{}: {error}", folder.display());
    let entries = fs::read_dir(folder).map_err(at)?.collect::<io::Result<Vec<_>>>().map_err(at)?;
    let mut folders: Vec<_> = entries.iter().map(|entry| entry.path()).filter(|path| path.join(IN).is_file()).collect();
    folders.sort();
    if folders.is_empty() {
        return Err(format!("{} holds no case: a case is a folder in it, with an {IN}", folder.display()));
    }
    folders.iter().map(|folder| Case::read(folder)).collect()
}

impl Case {
    fn read(folder: &Path) -> Result<Case, String> {
        let file = folder.join(IN);
        let messages = messages(&file, LINES_MAX + 1)?;
        if messages.len() > LINES_MAX {
            return Err(format!("{}: a case has {LINES_MAX} messages at most: make several of it", file.display()));
        }
        let rows = text(&folder.join(OUT))?;
        let rejects = text(&folder.join(REJECTS))?.unwrap_or_default();
        let config = text(&folder.join(CONFIG))?.unwrap_or_else(|| "{}".to_owned());
        let expected = rows.map(|rows| Outcome::read(folder, &rows, &rejects)).transpose()?;
        let name = folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy().into_owned();
        Ok(Case { name, folder: folder.to_owned(), messages, config, expected })
    }

    /// None: what came out is what should. Else what differs, for people.
    pub fn compare(&self, found: &Outcome, tolerance: Tolerance) -> Option<String> {
        let Some(expected) = &self.expected else {
            let rows = self.folder.join(OUT);
            return Some(format!("{} is not there: look at what comes out, and keep it by --bless\n", rows.display()));
        };
        let rejects = |outcome: &Outcome| outcome.rejects.iter().map(Refused::line).collect::<Vec<_>>();
        let mut said = diff::rows(OUT, &expected.rows, &found.rows, tolerance);
        said += &diff::rows(REJECTS, &rejects(expected), &rejects(found), Tolerance::EXACT);
        Some(said).filter(|said| !said.is_empty())
    }

    /// What came out is what should, from now on. The files that changed.
    pub fn bless(&self, found: &Outcome) -> Result<Vec<PathBuf>, String> {
        let rows = found.rows.iter().fold(String::new(), |text, row| text + row + "\n");
        let rejects = found.rejects.iter().fold(String::new(), |text, refused| text + &refused.line() + "\n");
        let mut changed = Vec::new();
        for (name, new, may_be_absent) in [(OUT, rows, false), (REJECTS, rejects, true)] {
            let file = self.folder.join(name);
            let at = |error: io::Error| format!("{}: {error}", file.display());
            let old = text(&file)?;
            if new.is_empty() && may_be_absent {
                if old.is_some() {
                    fs::remove_file(&file).map_err(at)?;
                    changed.push(file);
                }
            } else if old.as_ref() != Some(&new) {
                fs::write(&file, new).map_err(at)?;
                changed.push(file);
            }
        }
        Ok(changed)
    }
}

impl Outcome {
    fn read(folder: &Path, rows: &str, rejects: &str) -> Result<Outcome, String> {
        let wrong = |name: &str, line: usize, error: serde_json::Error| {
            format!("{}:{line}: {error}", folder.join(name).display())
        };
        let lines = |text: &str| {
            let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.to_owned()));
            lines.filter(|(_, line)| !line.trim().is_empty()).collect::<Vec<_>>()
        };
        let rows = lines(rows).into_iter().map(|(number, line)| match serde_json::from_str::<Value>(&line) {
            Ok(_) => Ok(line),
            Err(error) => Err(wrong(OUT, number, error)),
        });
        let rejects = lines(rejects).into_iter().map(|(number, line)| {
            serde_json::from_str::<Refused>(&line).map_err(|error| wrong(REJECTS, number, error))
        });
        let (rows, rejects) = (rows.collect::<Result<_, _>>()?, rejects.collect::<Result<_, _>>()?);
        Ok(Outcome { rows, lines: Vec::new(), rejects })
    }
}

impl Refused {
    fn line(&self) -> String {
        // four plain values: it does not fail
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The lines of a file that are not blank, with their numbers; no more than `lines_max`.
pub fn messages(file: &Path, lines_max: usize) -> Result<Vec<(usize, Vec<u8>)>, String> {
    let at = |error: io::Error| format!("{}: {error}", file.display());
    let mut lines = Lines::open(file).map_err(at)?;
    let mut messages = Vec::new();
    while let Some(line) = lines.next_line().map_err(at)?.filter(|_| messages.len() < lines_max) {
        messages.push((line.number, line.value.to_vec()));
    }
    Ok(messages)
}

fn text(file: &Path) -> Result<Option<String>, String> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", file.display())),
    }
}

/// `said`, each line further to the right.
pub fn indented(said: &str) -> String {
    said.lines().fold(String::new(), |mut text, line| {
        // writing to a String does not fail
        let _ = writeln!(text, "  {line}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn temporary(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("millrace-cases-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(&folder).expect("a folder of our own");
        folder
    }

    fn outcome(rows: &[&str], rejects: &[(usize, &str)]) -> Outcome {
        let refused =
            |&(line, code): &(usize, &str)| Refused { line, stage: "s".into(), code: code.into(), reason: "r".into() };
        Outcome {
            rows: rows.iter().map(|row| row.to_string()).collect(),
            rejects: rejects.iter().map(refused).collect(),
            ..Outcome::default()
        }
    }

    #[test]
    fn a_case_from_its_first_look_to_a_change() {
        let folder = temporary("life");
        assert!(read(&folder).expect_err("nothing in it").contains("holds no case"));
        fs::create_dir(folder.join("one")).expect("our folder");
        fs::write(folder.join("one/in.jsonl"), "{\"n\":1}\n\n{\"n\":2}\n").expect("our folder");
        let case = || read(&folder).expect("a case").remove(0);
        assert_eq!(case().messages, [(1, b"{\"n\":1}".to_vec()), (3, b"{\"n\":2}".to_vec())]);
        let first = outcome(&["{\"y\":0.1}"], &[(3, "bad")]);
        let said = case().compare(&first, Tolerance::EXACT).expect("nobody has looked yet");
        assert!(
            said.ends_with("one/out.jsonl is not there: look at what comes out, and keep it by --bless\n"),
            "{said}"
        );
        assert_eq!(case().bless(&first).expect("kept").len(), 2);
        assert_eq!(case().compare(&first, Tolerance::EXACT), None);
        assert_eq!(case().bless(&first), Ok(vec![]), "nothing is new");
        let other = outcome(&["{\"y\":0.2}"], &[]);
        let said = case().compare(&other, Tolerance::EXACT).expect("it differs");
        assert!(said.contains("`y` is 0.2, and should be 0.1") && said.contains("- {\"line\":3,"), "{said}");
        assert_eq!(case().bless(&other), Ok(vec![folder.join("one/out.jsonl"), folder.join("one/rejects.jsonl")]));
        assert!(!folder.join("one/rejects.jsonl").exists());
        assert_eq!(read(&folder.join("one")).expect("the case itself")[0].name, "one");
        fs::remove_dir_all(&folder).expect("our folder");
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_line() {
        let folder = temporary("wrong");
        fs::write(folder.join("in.jsonl"), "{}\n").expect("our folder");
        fs::write(folder.join("out.jsonl"), "{}\n{\n").expect("our folder");
        assert!(read(&folder).expect_err("no JSON").contains("out.jsonl:2: EOF"));
        fs::write(folder.join("out.jsonl"), "").expect("our folder");
        fs::write(folder.join("rejects.jsonl"), "{\"line\":1,\"why\":2}\n").expect("our folder");
        assert!(read(&folder).expect_err("no reject").contains("rejects.jsonl:1: unknown field `why`"));
        fs::remove_dir_all(&folder).expect("our folder");
    }
}
