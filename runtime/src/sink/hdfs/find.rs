//! The published file whose offsets cover a message, and its lines in it; nothing is written, and no token is taken.
//!
//! A line has no position: it is known by what is in it. While a writer publishes, what is read here may be older than
//! what is there a moment later, never newer.

use super::files::{FileError, ReadFiles};
use super::ledger::stands;
use super::lines::Lines;
use super::name::Published;
use super::token::Place;
use crate::error::{Error, Result};
use crate::sink::{Context, FOUND_ROWS_MAX, Found, FoundRow};

/// `is_row`: what a line of the message looks like.
pub async fn find<F: ReadFiles>(
    files: F,
    context: &Context,
    directory: &str,
    (partition, offset): (i32, i64),
    is_row: impl Fn(&str) -> bool,
) -> Result<Found> {
    let place = Place::new(files, context, directory)?;
    // the marker moves after the files: read before them, it is never ahead of what is listed
    let marker = place.look(partition).await?;
    if let Some(said) = marker.as_ref().and_then(|marker| place.of_another_log(marker)) {
        return Err(Error::stop(said));
    }
    let (mut last, mut covering) = (None, None);
    let each = |name: &str| {
        let Some(file) = Published::parse(name, &place.topic).filter(|file| file.partition == partition) else {
            return;
        };
        last = last.max(Some(file.last));
        if (file.first..=file.last).contains(&offset) {
            covering = Some(name.to_owned());
        }
    };
    match place.files.list(&place.directory, each).await {
        Ok(()) | Err(FileError::Missing(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let stands_at = match &marker {
        Some(marker) => Some(stands(marker, last)),
        None => last.map(|last| last + 1),
    };
    let Some(name) = covering else { return Ok(Found { stands_at, rows: Vec::new(), file: None }) };
    let path = format!("{}/{name}", place.directory);
    let rows = lines(&*place.files, &path, is_row).await?;
    Ok(Found { stands_at, rows, file: Some(path) })
}

async fn lines<F: ReadFiles>(files: &F, path: &str, is_row: impl Fn(&str) -> bool) -> Result<Vec<FoundRow>> {
    let (mut rows, mut lines) = (Vec::new(), Lines::of(path.to_owned()));
    while rows.len() < FOUND_ROWS_MAX {
        let Some(line) = lines.next(files).await? else { break };
        let Some(line) = std::str::from_utf8(line).ok().filter(|line| is_row(line)) else { continue };
        let row = serde_json::from_str(line);
        let place = lines.place();
        rows.push(FoundRow { row: row.map_err(|cause| Error::stop(place.clone()).caused_by(cause))?, place });
    }
    Ok(rows)
}
