//! Taking refused rows out of a batch.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::BooleanArray;
use arrow_buffer::BooleanBufferBuilder;
use arrow_select::filter::filter_record_batch;

use crate::batch::{Batch, Reject};
use crate::error::{Error, Result};

/// A row of a batch that a stage refuses.
#[derive(Debug)]
pub struct Refused {
    pub row: usize,
    pub code: &'static str,
    pub reason: String,
}

/// Moves the refused rows, which are in order, from the batch's rows to its rejects.
pub fn refuse(mut batch: Batch, stage: &Arc<str>, refused: Vec<Refused>) -> Result<Batch> {
    if refused.is_empty() {
        return Ok(batch);
    }
    let mut keep = BooleanBufferBuilder::new(batch.rows());
    keep.append_n(batch.rows(), true);
    for Refused { row, code, reason } in refused {
        keep.set_bit(row, false);
        let origin = batch.lineage[row];
        batch.rejects.push(Reject { origin, stage: stage.clone(), code: Cow::Borrowed(code), reason });
    }
    let keep = keep.finish();
    batch.lineage = keep.set_indices().map(|row| batch.lineage[row]).collect();
    batch.columns = filter_record_batch(&batch.columns, &BooleanArray::new(keep, None))
        .map_err(|error| Error::stop("refused rows could not be taken out of a batch").caused_by(error))?;
    Ok(batch)
}
