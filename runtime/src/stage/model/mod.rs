//! An XGBoost model over columns.
use std::sync::Arc;

use crate::batch::Batch;
use crate::error::Result;

#[derive(Debug)]
pub struct Model;
impl Model {
    pub fn scorer(self: &Arc<Self>) -> Scorer {
        todo!()
    }
}

pub struct Scorer;
impl Scorer {
    pub fn process(&mut self, _batch: Batch) -> Result<Batch> {
        todo!()
    }
}
