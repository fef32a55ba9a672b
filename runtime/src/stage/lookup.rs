//! A table joined in by key columns; loaded once.
use crate::batch::Batch;
use crate::error::Result;

#[derive(Debug)]
pub struct Lookup;

impl Lookup {
    pub fn process(&self, _batch: Batch) -> Result<Batch> {
        todo!()
    }
}
