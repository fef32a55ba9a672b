//! The documents of one message, by the position that their id is; nothing is written.

use std::path::Path;

use millrace_embedded::Folder;

use super::documents::{checked, position_name};
use super::keyed;
use crate::embedded::error;
use crate::error::{Error, Result};
use crate::plan::MongodbPlan;
use crate::sink::{Context, Found, FoundRow};

pub fn find(context: &Context, folder: &Path, plan: &MongodbPlan, (partition, offset): (i32, i64)) -> Result<Found> {
    let folder = Folder::look(folder).map_err(error)?;
    let position = folder.position(&position_name(context), &context.log.topic, partition).map_err(error)?;
    let stands_at = position.map(|position| checked(context, partition, &position)).transpose()?;
    let found = keyed::of_message(&folder, context, plan, (partition, offset))?;
    let rows = found.into_iter().map(|(id, json)| {
        let row =
            serde_json::from_str(&json).map_err(|cause| Error::stop(format!("document {id}")).caused_by(cause))?;
        Ok(FoundRow { place: format!("id {id}"), row })
    });
    Ok(Found { stands_at, rows: rows.collect::<Result<_>>()?, file: None })
}
