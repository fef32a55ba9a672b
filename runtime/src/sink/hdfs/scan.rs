//! Every reject in a directory of rejects, one after another: those of the stages, and below it a folder for each sink
//! that keeps its own. Nothing is written, and no token is taken.
//!
//! Invariant: what is read are the files that were there at the beginning. In memory are their names, and a part of one.

use std::vec;

use serde_json::Value;

use super::files::{FileError, ReadFiles};
use super::lines::Lines;
use super::name::Published;
use crate::error::Result;
use crate::sink::refusals;

pub struct Scan<F> {
    files: F,
    paths: vec::IntoIter<String>,
    lines: Option<Lines>,
}

impl<F: ReadFiles> Scan<F> {
    /// `topic`: the one that was read.
    pub async fn open(files: F, directory: &str, topic: &str) -> Result<Scan<F>> {
        let directory = directory.trim_end_matches('/');
        let children = children(&files, directory).await?;
        let of_sinks = children.iter().filter(|name| refusals::is_who(name)).map(|name| format!("{directory}/{name}"));
        let mut paths = published(directory, &children, topic);
        for folder in of_sinks {
            paths.extend(published(&folder, &self::children(&files, &folder).await?, topic));
        }
        Ok(Scan { files, paths: paths.into_iter(), lines: None })
    }

    /// None: there are no more. A line that is no JSON is null.
    pub async fn read(&mut self) -> Result<Option<Value>> {
        loop {
            if let Some(lines) = &mut self.lines
                && let Some(line) = lines.next(&self.files).await?
            {
                return Ok(Some(serde_json::from_slice(line).unwrap_or(Value::Null)));
            }
            let Some(path) = self.paths.next() else { return Ok(None) };
            self.lines = Some(Lines::of(path));
        }
    }
}

async fn children<F: ReadFiles>(files: &F, directory: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    match files.list(directory, |name| names.push(name.to_owned())).await {
        // nothing was refused yet
        Ok(()) | Err(FileError::Missing(_)) => Ok(names),
        Err(error) => Err(error.into()),
    }
}

/// In the order of their offsets.
fn published(directory: &str, names: &[String], topic: &str) -> Vec<String> {
    let mut names: Vec<_> = names.iter().filter(|name| Published::parse(name, topic).is_some()).collect();
    names.sort();
    names.into_iter().map(|name| format!("{directory}/{name}")).collect()
}
