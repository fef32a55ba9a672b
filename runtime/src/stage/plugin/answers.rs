//! The answers of a batch's calls, put together as the batch that goes on.
//!
//! Invariant: rows come out in the order in which they came in, whatever calls they were cut into. Where a row came
//! out for each that went in, the carried columns are the ones that came, not copies.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array, new_empty_array};
use arrow_schema::ArrowError;
use arrow_select::concat::concat;
use arrow_select::take::take;

use super::layout::Layout;
use super::lift::Answer;
use crate::batch::{Batch, Reject};
use crate::error::{Error, Result};

/// Answers for the rows from 0 up to `rows`, in order.
#[derive(Default)]
pub struct Answers {
    rows: u32,
    /// For each output row the batch's row that it comes from; None: so far each gave one.
    lineage: Option<Vec<u32>>,
    columns: Vec<Vec<ArrayRef>>,
    refused: Vec<Refused>,
}

/// A row of the batch that goes no further.
pub struct Refused {
    pub row: u32,
    pub code: Cow<'static, str>,
    pub reason: String,
}

impl Answers {
    /// The answer to the next `rows` rows.
    pub fn push(&mut self, rows: u32, answer: Answer) {
        let Answer { lineage, columns, refused } = answer;
        let from = self.rows;
        match lineage {
            None if refused.is_empty() => self.each_gives_one(rows),
            None => {
                let mut refused = refused.iter().map(|refused| refused.row).peekable();
                let kept = (0..rows).filter(|row| refused.next_if_eq(row).is_none());
                self.lineage().extend(kept.map(|row| from + row));
            }
            Some(rows) => self.lineage().extend(rows.into_iter().map(|row| from + row)),
        }
        self.columns.push(columns);
        self.refused.extend(refused.into_iter().map(|refused| Refused {
            row: from + refused.row,
            code: Cow::Owned(refused.code),
            reason: refused.reason,
        }));
        self.rows += rows;
    }

    fn each_gives_one(&mut self, rows: u32) {
        if let Some(lineage) = &mut self.lineage {
            lineage.extend(self.rows..self.rows + rows);
        }
    }

    fn lineage(&mut self) -> &mut Vec<u32> {
        self.lineage.get_or_insert_with(|| (0..self.rows).collect())
    }

    /// The next row goes no further.
    pub fn refuse(&mut self, code: &'static str, reason: String) {
        self.lineage();
        self.refused.push(Refused { row: self.rows, code: Cow::Borrowed(code), reason });
        self.rows += 1;
    }

    /// All rows are answered.
    pub fn into_batch(self, batch: Batch, layout: &Layout, stage: &Arc<str>) -> Result<Batch> {
        self.join(batch, layout, stage)
            .map_err(|cause| Error::stop("the plugin's answers do not make a batch").caused_by(cause))
    }

    fn join(self, mut batch: Batch, layout: &Layout, stage: &Arc<str>) -> Result<Batch, ArrowError> {
        let kept: Vec<ArrayRef> = layout.kept(batch.columns.columns()).cloned().collect();
        let (kept, lineage) = match self.lineage {
            None => (kept, batch.lineage.clone()),
            Some(rows) => {
                let lineage = rows.iter().map(|&row| batch.lineage[row as usize]).collect();
                let rows = UInt32Array::from(rows);
                (kept.iter().map(|column| take(column, &rows, None)).collect::<Result<_, _>>()?, lineage)
            }
        };
        let added = layout.to.fields()[kept.len()..].iter().enumerate().map(|(index, field)| {
            let parts: Vec<&dyn Array> = self.columns.iter().map(|columns| &*columns[index]).collect();
            match parts[..] {
                [] => Ok(new_empty_array(field.data_type())),
                [_] => Ok(self.columns[0][index].clone()),
                _ => concat(&parts),
            }
        });
        let columns = kept.into_iter().map(Ok).chain(added).collect::<Result<_, _>>()?;
        // a plugin may drop every column: the rows are still there
        let options = RecordBatchOptions::new().with_row_count(Some(lineage.len()));
        batch.rejects.extend(self.refused.into_iter().map(|Refused { row, code, reason }| Reject {
            origin: batch.lineage[row as usize],
            stage: stage.clone(),
            code,
            reason,
        }));
        batch.columns = RecordBatch::try_new_with_options(layout.to.clone(), columns, &options)?;
        batch.lineage = lineage;
        Ok(batch)
    }
}
