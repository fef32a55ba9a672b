//! A WASM component on columns.
use crate::batch::Batch;
use crate::error::Result;

#[derive(Debug)]
pub struct Program;
impl Program {
    pub fn worker(&self) -> Result<Worker> {
        todo!()
    }
}

pub struct Worker;
impl Worker {
    pub fn process(&mut self, _batch: Batch) -> Result<Batch> {
        todo!()
    }
}
