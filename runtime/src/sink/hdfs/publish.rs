//! From an open file to a published one: close, one rename, and the marker after it.
//!
//! Invariant: the rename is commit, publication and position at once, and only the token's holder can do it. A step
//! that fails, or of which it is not known whether it was done, ends the writer: the next one takes the token, and
//! reads from the files how far they are.

use super::files::{FileError, Files};
use super::name::Published;
use super::token::Place;
use crate::error::Result;
use crate::sink::Written;

/// What a partition took since its last publication.
pub struct Publication<F: Files> {
    pub partition: i32,
    pub token: String,
    /// Where the marker is, and where it goes.
    pub marker: i64,
    pub next: i64,
    /// Of the rows, once they are published.
    pub written: Written,
    /// None: the offsets gave no rows.
    pub rows: Option<Rows<F>>,
}

/// A publication that is known to have happened.
pub struct Done {
    pub partition: i32,
    pub next: i64,
    pub written: Written,
}

/// Rows of offsets from `first` on, in a file of the token directory.
pub struct Rows<F: Files> {
    pub first: i64,
    pub path: String,
    /// None: nothing was written to it yet.
    pub file: Option<F::File>,
    /// What is still to be written to it.
    pub buffer: Vec<u8>,
}

impl<F: Files> Rows<F> {
    /// Writes what is buffered.
    pub async fn flush(&mut self, place: &Place<F>) -> Result<()> {
        if self.file.is_none() {
            self.file = Some(held(place, &self.path, place.files.create(&self.path)).await?);
        }
        if let Some(file) = &mut self.file {
            let bytes = std::mem::take(&mut self.buffer);
            held(place, &self.path, place.files.append(file, bytes)).await?;
        }
        Ok(())
    }
}

impl<F: Files> Publication<F> {
    pub async fn publish(self, place: Place<F>) -> Result<Done> {
        if let Some(rows) = self.rows {
            let range = Published { partition: self.partition, first: rows.first, last: self.next - 1 };
            link(rows, range, &place).await?;
        }
        let (from, to) = (place.marker_path(&self.token, self.marker), place.marker_path(&self.token, self.next));
        held(&place, &from, place.files.rename(&from, &to)).await?;
        Ok(Done { partition: self.partition, next: self.next, written: self.written })
    }
}

async fn link<F: Files>(mut rows: Rows<F>, range: Published, place: &Place<F>) -> Result<()> {
    rows.flush(place).await?;
    if let Some(file) = rows.file.take() {
        held(place, &rows.path, place.files.close(file)).await?;
    }
    let target = format!("{}/{}", place.directory, range.name(&place.topic));
    held(place, &rows.path, place.files.rename(&rows.path, &target)).await
}

/// What is done to `path` in a token directory, where nothing vanishes but the directory itself.
async fn held<F: Files, T>(
    place: &Place<F>,
    path: &str,
    act: impl Future<Output = Result<T, FileError>> + Send,
) -> Result<T> {
    match act.await {
        Err(FileError::Missing(cause)) => Err(place.lost(path).await?.caused_by(cause)),
        done => Ok(done?),
    }
}
