//! The markers and files of a directory, from outside.
//!
//! Invariants: reading takes no token; what a living writer renames meanwhile is looked for again. A reset is a
//! take-over like a writer's own, whose only act is to rename the marker; it never touches published files, so a
//! position below them is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::files::{FileError, Files};
use super::local::Local;
use super::name::{Marker, Published};
use super::native::NameNode;
use super::token::Place;
use crate::error::{Error, Result};
use crate::plan::HdfsPlan;
use crate::sink::ledger::{Entry, Wrong, moved};
use crate::sink::{Context, Start};

/// Files that are named one by one where they are in the way.
const NAMED_MAX: usize = 3;

pub struct Ledger<F: Files = NameNode> {
    place: Place<F>,
}

impl Ledger {
    /// Connects to nothing.
    pub fn new(context: Context, plan: &HdfsPlan) -> Result<Ledger> {
        Ledger::over(NameNode::new(plan, context.timeout)?, &context, &plan.directory)
    }
}

impl Ledger<Local> {
    pub fn in_folder(context: Context, plan: &HdfsPlan, root: PathBuf) -> Result<Ledger<Local>> {
        Ledger::over(Local::new(root), &context, &plan.directory)
    }
}

impl<F: Files> Ledger<F> {
    pub fn over(files: F, context: &Context, directory: &str) -> Result<Ledger<F>> {
        Ok(Ledger { place: Place::new(files, context, directory)? })
    }

    /// The lowest position that its files allow.
    #[cfg(test)]
    pub async fn floor(&self, partition: i32) -> Result<i64> {
        Ok(self.place.last_published().await?.get(&partition).map_or(0, |last| last + 1))
    }

    fn entry(&self, partition: i32, marker: Option<Marker>, published: Option<i64>) -> Entry {
        let files = published.map(|last| format!("files up to {last}"));
        let Some(marker) = marker else {
            let said = published.map(|last| self.place.files_without_position(partition, last));
            let wrong = said.map(|said| Wrong { said, mends: true });
            return Entry { next: None, topic_id: None, detail: files, wrong };
        };
        let said = self.place.of_another_log(&marker);
        Entry {
            next: Some(stands(&marker, published)),
            topic_id: Some(marker.topic_id),
            detail: files,
            wrong: said.map(|said| Wrong { said, mends: true }),
        }
    }

    /// Why no row from `to` on can be written again.
    async fn in_the_way(&self, partition: i32, to: i64) -> Result<Option<String>> {
        let (mut first, mut count) = (BTreeMap::new(), 0);
        let each = |name: &str| {
            let published = Published::parse(name, &self.place.topic);
            if let Some(file) = published.filter(|file| file.partition == partition && file.last >= to) {
                count += 1;
                first.insert(file.first, name.to_owned());
                if first.len() > NAMED_MAX {
                    first.pop_last();
                }
            }
        };
        match self.place.files.list(&self.place.directory, each).await {
            Ok(()) | Err(FileError::Missing(_)) => Ok(self.said_of(&first, count, to)),
            Err(error) => Err(error.into()),
        }
    }

    async fn must_be_free(&self, partition: i32, to: i64) -> Result<()> {
        self.in_the_way(partition, to).await?.map_or(Ok(()), |said| Err(Error::stop(said)))
    }

    /// `first`: the names of the first of `count` files, by their first offset.
    fn said_of(&self, first: &BTreeMap<i64, String>, count: usize, to: i64) -> Option<String> {
        let begins = *first.keys().next()?;
        let names: Vec<_> = first.values().map(String::as_str).collect();
        let more = if count > names.len() { format!(" and {} more", count - names.len()) } else { String::new() };
        let instead = match begins < to {
            true => format!(", and move the position to {begins} instead, where the first of them begins"),
            false => String::new(),
        };
        Some(format!(
            "{} has files that hold rows from {to} on: {}{more}. A row is never in two files: move them to another \
             directory first{instead}",
            self.place.directory,
            names.join(", ")
        ))
    }
}

/// A partition's position, from its marker and the last offset of its files.
pub(super) fn stands(marker: &Marker, published: Option<i64>) -> i64 {
    published.map_or(marker.next, |last| marker.next.max(last + 1))
}

impl<F: Files> crate::sink::ledger::Ledger for Ledger<F> {
    fn place(&self) -> String {
        format!("directory {}", self.place.directory)
    }

    fn repeats(&self) -> &'static str {
        "no file there holds them"
    }

    async fn read(&mut self, partitions: &BTreeSet<i32>) -> Result<BTreeMap<i32, Entry>> {
        let others = self.place.claimed_by_others().await?;
        let mut markers = BTreeMap::new();
        for &partition in partitions {
            markers.insert(partition, self.place.look(partition).await);
        }
        let published = self.place.last_published().await?;
        let entry = |(partition, marker): (i32, Result<Option<Marker>>)| {
            let mut entry = match marker {
                Ok(marker) => self.entry(partition, marker, published.get(&partition).copied()),
                // one that waiting mends is no fault of the directory's
                Err(error) if error.kind == crate::error::Kind::Retry => return Err(error),
                Err(error) => {
                    Entry { wrong: Some(Wrong { said: error.to_string(), mends: false }), ..Entry::default() }
                }
            };
            if let Some(said) = &others {
                entry.wrong = Some(Wrong { said: said.clone(), mends: false });
            }
            Ok((partition, entry))
        };
        markers.into_iter().map(entry).collect()
    }

    async fn obstacle(&mut self, partition: i32, to: i64) -> Result<Option<String>> {
        self.in_the_way(partition, to).await
    }

    async fn reset(&mut self, partition: i32, from: &Entry, to: i64) -> Result<()> {
        self.place.claim().await?;
        if from.next.is_none() {
            // taking makes the folder, with its marker
            self.must_be_free(partition, to).await?;
        }
        let token = self.place.take(partition, Start::At(to), None).await?;
        // from here on nobody else publishes, and what an earlier holder published is there
        let gone = || Error::retry(format!("fenced: {token} was taken over in the middle of a reset"));
        let (marker, leftovers) = self.place.contents(&token).await?.ok_or_else(gone)?;
        self.place.delete_all(&token, &leftovers).await?;
        let published = self.place.last_published().await?.get(&partition).copied();
        self.must_be_free(partition, to).await?;
        let target = self.place.marker(to);
        let as_read = from.next == Some(stands(&marker, published)) && from.topic_id.as_ref() == Some(&marker.topic_id);
        // the folder that taking has just made
        let made = from.next.is_none() && marker == target;
        if !(as_read || made) {
            return Err(moved(&self.place.directory, partition, from.next));
        }
        if marker == target {
            return Ok(());
        }
        let at = |marker: &Marker| format!("{token}/{}", marker.name());
        Ok(self.place.files.rename(&at(&marker), &at(&target)).await?)
    }
}
