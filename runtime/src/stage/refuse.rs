//! Taking refused rows out of a batch.

use std::sync::Arc;

use arrow_array::BooleanArray;
use arrow_buffer::BooleanBufferBuilder;
use arrow_select::filter::filter_record_batch;

use crate::batch::{Batch, Refused};
use crate::error::{Error, Result};

/// Moves the refused rows, which are in order, from the batch's rows to its rejects.
pub fn refuse(mut batch: Batch, stage: &Arc<str>, refused: Vec<Refused>) -> Result<Batch> {
    if refused.is_empty() {
        return Ok(batch);
    }
    let mut keep = BooleanBufferBuilder::new(batch.rows());
    keep.append_n(batch.rows(), true);
    for refused in refused {
        keep.set_bit(refused.row, false);
        let reject = batch.reject(stage, refused);
        batch.rejects.push(reject);
    }
    let keep = keep.finish();
    batch.lineage = keep.set_indices().map(|row| batch.lineage[row]).collect();
    batch.columns = filter_record_batch(&batch.columns, &BooleanArray::new(keep, None))
        .map_err(|error| Error::stop("refused rows could not be taken out of a batch").caused_by(error))?;
    Ok(batch)
}
