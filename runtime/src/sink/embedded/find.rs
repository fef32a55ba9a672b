//! The documents of one message, by the position that their id is; nothing is written.

use std::path::Path;

use millrace_embedded::Folder;

use super::documents::{checked, position_name};
use crate::embedded::error;
use crate::error::{Error, Result};
use crate::sink::{Context, FOUND_ROWS_MAX, Found, FoundRow};

pub fn find(context: &Context, folder: &Path, collection: &str, partition: i32, offset: i64) -> Result<Found> {
    let folder = Folder::open(folder).map_err(error)?;
    let position = folder.position(&position_name(context), &context.log.topic, partition).map_err(error)?;
    let stands_at = position.map(|position| checked(context, partition, &position)).transpose()?;
    // the ids of a message are this one, and this one with `/` and an index; '0' is the character after '/'
    let id = context.row_id(partition, offset, 0);
    let found = folder.documents_between(collection, &id, &format!("{id}0"), FOUND_ROWS_MAX).map_err(error)?;
    let rows = found.into_iter().map(|(id, json)| {
        let row =
            serde_json::from_str(&json).map_err(|cause| Error::stop(format!("document {id}")).caused_by(cause))?;
        Ok(FoundRow { place: format!("id {id}"), row })
    });
    Ok(Found { stands_at, rows: rows.collect::<Result<_>>()?, file: None })
}
