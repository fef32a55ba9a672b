//! Every reject of one pipeline in a collection, one after another; nothing is written.

use std::path::Path;
use std::vec;

use millrace_embedded::Folder;
use serde_json::Value;

use crate::embedded::error;
use crate::error::{Error, Result};
use crate::sink::Context;

/// That are in memory together; one may have 16 MB.
const DOCUMENTS_MAX: usize = 100;

pub struct Scan {
    folder: Folder,
    collection: String,
    /// Ids that were not looked at yet.
    range: (String, String),
    page: vec::IntoIter<(String, String)>,
}

impl Scan {
    pub fn open(context: &Context, folder: &Path, collection: String) -> Result<Scan> {
        let folder = Folder::look(folder).map_err(error)?;
        Ok(Scan { folder, collection, range: context.rejects_range(), page: Vec::new().into_iter() })
    }

    pub fn read(&mut self) -> Result<Option<Value>> {
        if self.page.len() == 0 {
            let (from, below) = &self.range;
            let page = self.folder.documents_between(&self.collection, from, below, DOCUMENTS_MAX).map_err(error)?;
            // the id after the last one
            self.range.0 = page.last().map_or_else(|| below.clone(), |(id, _)| format!("{id}\0"));
            self.page = page.into_iter();
        }
        let Some((id, json)) = self.page.next() else { return Ok(None) };
        serde_json::from_str(&json).map(Some).map_err(|cause| Error::stop(format!("document {id}")).caused_by(cause))
    }
}
