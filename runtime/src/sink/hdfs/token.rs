//! The right to publish a partition: exactly one token directory, taken over by renaming it.
//!
//! `<directory>/_millrace/<pipeline>-<sink>/<topic>-<partition>/<token>/` holds one marker (an empty file whose name is
//! the position) and the holder's open files. `<directory>/_millrace/.owner-<topic>/` names the one sink that writes
//! the topic there.
//!
//! Invariant: a token directory appears whole, with its marker, and changes its name at every take-over; what an
//! earlier holder still asks for names a directory that is not there any more. Directories appear by one rename only, and
//! none for a partition whose position was read before: what was moved away may come back.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::try_join_all;
use uuid::Uuid;

use super::files::{FileError, Files};
use super::name::{self, Marker, Published};
use crate::error::{Error, Result};
use crate::sink::{Context, Start, Starts, begins};

/// Take-overs in a row that another writer was quicker at.
const TAKES_MAX: usize = 8;

/// Where a sink's files and tokens are. Cheap to clone, for work in the background.
pub struct Place<F> {
    pub files: Arc<F>,
    pub directory: Arc<str>,
    pub topic: Arc<str>,
    pub sink: Arc<str>,
    pub(super) topic_id: Arc<str>,
    owner: Arc<str>,
    pub(super) folder: Arc<str>,
}

impl<F> Clone for Place<F> {
    fn clone(&self) -> Place<F> {
        Place {
            files: self.files.clone(),
            directory: self.directory.clone(),
            topic: self.topic.clone(),
            sink: self.sink.clone(),
            topic_id: self.topic_id.clone(),
            owner: self.owner.clone(),
            folder: self.folder.clone(),
        }
    }
}

/// A partition whose token was taken: its directory, and how far its marker says that it is.
pub struct Taken {
    pub token: String,
    pub marker: i64,
    pub position: i64,
}

impl<F: Files> Place<F> {
    pub fn new(files: F, context: &Context, directory: &str) -> Result<Place<F>> {
        let topic_id = name::topic_id(&context.log.topic_id);
        for (what, part) in [
            ("the pipeline's name", &*context.pipeline),
            ("the sink's name", &*context.sink),
            ("the topic's name", &context.log.topic),
            ("the topic's id", &topic_id.replace('-', "_")),
        ] {
            if !name::is_fit(part) {
                return Err(Error::stop(format!(
                    "{what}, {part:?}, cannot be part of a file's name: letters, digits, `-`, `_` and `.` can"
                )));
            }
        }
        let directory = directory.trim_end_matches('/');
        if !directory.starts_with('/') {
            return Err(Error::stop(format!("the directory {directory:?} is not absolute, or is the root itself")));
        }
        Ok(Place {
            files: Arc::new(files),
            directory: directory.into(),
            topic: context.log.topic.as_str().into(),
            sink: context.sink.clone(),
            topic_id: topic_id.into(),
            owner: format!("{},{}", context.pipeline, context.sink).into(),
            folder: format!("{directory}/_millrace/{}-{}", context.pipeline, context.sink).into(),
        })
    }

    /// Takes every partition from whoever holds it, cleans up, and reads the positions, in that order: what an earlier
    /// holder published comes before the listing, and nothing of it can come after.
    pub async fn take_all(&self, starts: &Starts) -> Result<BTreeMap<i32, Taken>> {
        self.must_be_there(starts).await?;
        self.claim().await?;
        let published = self.published_of_new_partitions(starts).await?;
        let took = starts.iter().map(|(&partition, &start)| {
            let published = &published;
            async move {
                let token = self.take(partition, start, published.get(&partition).copied()).await?;
                let marker = self.clean(&token).await?;
                Ok::<_, Error>((partition, Taken { token, marker, position: marker }))
            }
        });
        let mut taken: BTreeMap<i32, Taken> = try_join_all(took).await?.into_iter().collect();
        for (partition, last) in self.last_published().await? {
            if let Some(taken) = taken.get_mut(&partition) {
                taken.position = taken.position.max(last + 1);
            }
        }
        Ok(taken)
    }

    pub fn marker_path(&self, token: &str, next: i64) -> String {
        format!("{token}/{}", self.marker(next).name())
    }

    /// Two sinks that publish one topic into one directory would take each other's files for their own.
    pub(super) async fn claim(&self) -> Result<()> {
        let path = self.claim_path();
        if self.children(&path).await?.is_none() {
            self.install(&self.owner, None, &path).await?;
        }
        let owners = self.children(&path).await?.unwrap_or_default();
        self.others(&owners).map_or(Ok(()), |said| Err(Error::stop(said)))
    }

    fn claim_path(&self) -> String {
        format!("{}/_millrace/.owner-{}", self.directory, self.topic)
    }

    /// Whose the topic is here, if it is somebody else's.
    pub(super) async fn claimed_by_others(&self) -> Result<Option<String>> {
        Ok(self.children(&self.claim_path()).await?.and_then(|owners| self.others(&owners)))
    }

    fn others(&self, owners: &[String]) -> Option<String> {
        if owners.iter().any(|owner| **owner == *self.owner) {
            return None;
        }
        Some(format!(
            "{} already holds topic `{}` of the pipeline and sink {owners:?}: give this sink, `{}`, a directory of its \
             own, or delete {} if the other was given up, and its files with it",
            self.directory,
            self.topic,
            self.owner,
            self.claim_path()
        ))
    }

    pub(super) fn partition_path(&self, partition: i32) -> String {
        format!("{}/{}", self.folder, name::partition(&self.topic, partition))
    }

    /// The last offset of each partition's files, if a partition has no folder yet. Listed before the folders are
    /// looked at again: a folder that is there once stays.
    async fn published_of_new_partitions(&self, starts: &Starts) -> Result<BTreeMap<i32, i64>> {
        let folders = self.children(&self.folder).await?.unwrap_or_default();
        let has_folder = |partition: &i32| folders.contains(&name::partition(&self.topic, *partition));
        if starts.keys().all(has_folder) { Ok(BTreeMap::new()) } else { self.last_published().await }
    }

    /// Before anything is made: where the directory of a partition was moved away, nothing is in the way of its return.
    async fn must_be_there(&self, starts: &Starts) -> Result<()> {
        for (&partition, start) in starts {
            let stood = matches!(start, Start::Stood(_));
            if stood && self.children(&self.partition_path(partition)).await?.is_none() {
                self.anew(partition, *start)?;
            }
        }
        Ok(())
    }

    /// Where a partition without a folder begins.
    fn anew(&self, partition: i32, start: Start) -> Result<i64> {
        let place = self.files.place(&self.partition_path(partition));
        start.anew(&self.sink, partition, format_args!("the directory {place}"))
    }

    /// Why `path`, in a token directory, is not there.
    pub(super) async fn lost(&self, path: &str) -> Result<Error> {
        let partition = path.rsplitn(3, '/').last().unwrap_or_default();
        let place = self.files.place(path);
        Ok(match self.children(partition).await? {
            Some(_) => Error::retry(format!("fenced: {place} is gone, another writer took the partition")),
            None => Error::retry(format!("{place} is gone with the directory that it was in: it was moved or deleted")),
        })
    }

    pub(super) async fn take(&self, partition: i32, start: Start, published: Option<i64>) -> Result<String> {
        let path = self.partition_path(partition);
        for _ in 0..TAKES_MAX {
            let Some(tokens) = self.children(&path).await? else {
                self.set_up(&path, partition, start, published).await?;
                continue;
            };
            let [token] = tokens.as_slice() else {
                return Err(no_token(&path, tokens.len()));
            };
            let mine = format!("{path}/{}", Uuid::new_v4());
            match self.files.rename(&format!("{path}/{token}"), &mine).await {
                Ok(()) => return Ok(mine),
                Err(FileError::Missing(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::retry(format!("fenced: other writers took {path} {TAKES_MAX} times while this one tried to")))
    }

    async fn set_up(&self, path: &str, partition: i32, start: Start, published: Option<i64>) -> Result<()> {
        let start = self.anew(partition, start)?;
        if let Some(last) = published {
            return Err(Error::stop(self.files_without_position(partition, last)));
        }
        begins(&self.sink, partition, start);
        self.install(&Uuid::new_v4().to_string(), Some(&self.marker(start)), path).await
    }

    pub(super) fn marker(&self, next: i64) -> Marker {
        Marker { next, topic_id: self.topic_id.to_string() }
    }

    pub(super) fn files_without_position(&self, partition: i32, last: i64) -> String {
        format!(
            "{} holds files of partition {partition} of topic `{}` up to offset {last}, but there is no position ({}). If \
             it was deleted: `millrace positions reset FILE --sink {} --to {partition}:{}`; to begin anew, move those \
             files away",
            self.directory,
            self.topic,
            self.partition_path(partition),
            self.sink,
            last + 1
        )
    }

    /// Makes the directory `path` with the one directory `child` in it, and a file in that, at once. Whoever is first
    /// has made it.
    async fn install(&self, child: &str, marker: Option<&Marker>, path: &str) -> Result<()> {
        let new = format!("{}/.new-{}", self.folder, Uuid::new_v4());
        self.files.make_directory(&format!("{new}/{child}")).await?;
        if let Some(marker) = marker {
            let file = self.files.create(&format!("{new}/{child}/{}", marker.name())).await?;
            self.files.close(file).await?;
        }
        match self.files.rename(&new, path).await {
            Err(FileError::Exists(_)) => Ok(self.files.delete(&new).await?),
            done => Ok(done?),
        }
    }

    /// The marker, looked at without taking the token; a living writer may rename it meanwhile. None: the partition has no
    /// folder.
    pub(super) async fn look(&self, partition: i32) -> Result<Option<Marker>> {
        let path = self.partition_path(partition);
        let mut last = Error::retry(format!("{path} was taken over again and again while it was read"));
        for _ in 0..TAKES_MAX {
            let Some(tokens) = self.children(&path).await? else { return Ok(None) };
            let [token] = tokens.as_slice() else {
                last = no_token(&path, tokens.len());
                continue;
            };
            match self.contents(&format!("{path}/{token}")).await {
                Ok(Some((marker, _leftovers))) => return Ok(Some(marker)),
                Ok(None) => {}
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Deletes what an earlier holder left, and answers the marker's position.
    async fn clean(&self, token: &str) -> Result<i64> {
        let gone = || Error::retry(format!("fenced: {token} was taken over while it was cleaned"));
        let (marker, leftovers) = self.contents(token).await?.ok_or_else(gone)?;
        if let Some(said) = self.of_another_log(&marker) {
            return Err(Error::stop(said));
        }
        self.delete_all(token, &leftovers).await?;
        Ok(marker.next)
    }

    pub(super) async fn delete_all(&self, token: &str, leftovers: &[String]) -> Result<()> {
        for leftover in leftovers {
            self.files.delete(&format!("{token}/{leftover}")).await?;
        }
        Ok(())
    }

    /// The marker of a token directory, and what else is in it. None: the directory is gone.
    pub(super) async fn contents(&self, token: &str) -> Result<Option<(Marker, Vec<String>)>> {
        let Some(names) = self.children(token).await? else { return Ok(None) };
        let (markers, leftovers): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| Marker::parse(name).is_some());
        match markers.as_slice() {
            [marker] => Ok(Marker::parse(marker).map(|marker| (marker, leftovers))),
            markers => Err(Error::stop(format!(
                "{token} holds {} files `position-<next>-<topic id>` instead of one: it was changed by hand. Leave the one \
                 with the first offset that is not in the published files",
                markers.len()
            ))),
        }
    }

    pub(super) fn of_another_log(&self, marker: &Marker) -> Option<String> {
        if *marker.topic_id == *self.topic_id {
            return None;
        }
        Some(format!(
            "{} holds topic `{}` of id {}, and its id is {} now: the topic was made anew, or it is on another cluster. \
             Give this sink another directory, or move its files away and begin with the new one: `millrace positions \
             reset FILE --sink {} --to earliest`",
            self.directory, self.topic, marker.topic_id, self.topic_id, self.sink
        ))
    }

    pub(super) async fn last_published(&self) -> Result<BTreeMap<i32, i64>> {
        let mut lasts = BTreeMap::new();
        let each = |name: &str| {
            if let Some(file) = Published::parse(name, &self.topic) {
                let last: &mut i64 = lasts.entry(file.partition).or_insert(file.last);
                *last = (*last).max(file.last);
            }
        };
        match self.files.list(&self.directory, each).await {
            Ok(()) | Err(FileError::Missing(_)) => Ok(lasts),
            Err(error) => Err(error.into()),
        }
    }

    /// None: there is no such directory.
    pub(super) async fn children(&self, path: &str) -> Result<Option<Vec<String>>> {
        let mut names = Vec::new();
        match self.files.list(path, |name: &str| names.push(name.to_owned())).await {
            Ok(()) => Ok(Some(names)),
            Err(FileError::Missing(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn no_token(path: &str, entries: usize) -> Error {
    Error::stop(format!(
        "{path} holds {entries} entries instead of its one token directory: it was changed by hand. Leave the one that \
         holds a file `position-…`, or move {path} and the partition's files away to begin anew"
    ))
}
