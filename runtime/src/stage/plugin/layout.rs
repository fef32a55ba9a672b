//! Where the columns of a batch go: which the guest reads, which stay, what comes out.
//!
//! Invariant: the order is that of `config::flow`: those that are there without the dropped ones, then the added ones.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::{ArrowError, Field as ArrowField, Schema as ArrowSchema, SchemaRef};

use super::load::Signature;
use super::lower::{Lowered, lowers};
use crate::error::{Error, Result};
use crate::schema::{Field, Type};

pub struct Layout {
    from: SchemaRef,
    pub to: SchemaRef,
    reads: Vec<(usize, Type)>,
    keeps: Vec<usize>,
    accepts_dict: bool,
}

impl Layout {
    pub fn new(signature: &Signature, from: &SchemaRef) -> Result<Layout> {
        let Signature { reads, adds, drops, accepts_dict } = signature;
        let kept = |&index: &usize| !drops.iter().any(|name| name == from.field(index).name());
        let keeps: Vec<usize> = (0..from.fields().len()).filter(kept).collect();
        let added = adds.iter().map(|Field { name, ty }| Arc::new(ArrowField::new(name, ty.arrow(), ty.nullable)));
        let to: Vec<_> = keeps.iter().map(|&index| from.fields()[index].clone()).chain(added).collect();
        let reads = reads.iter().map(|field| read(from, field)).collect::<Result<_>>()?;
        Ok(Layout { from: from.clone(), to: Arc::new(ArrowSchema::new(to)), reads, keeps, accepts_dict: *accepts_dict })
    }

    pub fn is_from(&self, schema: &SchemaRef) -> bool {
        Arc::ptr_eq(&self.from, schema) || self.from == *schema
    }

    /// The columns that the guest reads, of `rows` rows from `from` on.
    pub fn lower(&self, columns: &[ArrayRef], from: usize, rows: usize) -> Result<Vec<Lowered>> {
        let lower = |&(index, ty): &(usize, Type)| {
            let column = &columns[index];
            let whole = from == 0 && rows == column.len();
            let rows = if whole { column.clone() } else { column.slice(from, rows) };
            Lowered::new(&rows, ty, self.accepts_dict)
        };
        let lowered = self.reads.iter().map(lower).collect::<Result<_, ArrowError>>();
        lowered.map_err(|cause| Error::stop("columns could not be made ready for the plugin").caused_by(cause))
    }

    pub fn kept<'a>(&'a self, columns: &'a [ArrayRef]) -> impl Iterator<Item = &'a ArrayRef> {
        self.keeps.iter().map(|&index| &columns[index])
    }
}

fn read(from: &SchemaRef, wanted: &Field) -> Result<(usize, Type)> {
    let Ok(index) = from.index_of(&wanted.name) else {
        return Err(Error::stop(format!("column `{}`, which the plugin reads, is not there", wanted.name)));
    };
    let there = from.field(index);
    if !lowers(there.data_type(), wanted.ty) || (there.is_nullable() && !wanted.ty.nullable) {
        let (name, wanted, there) = (&wanted.name, wanted.ty, there.data_type());
        return Err(Error::stop(format!("column `{name}`, which the plugin reads as {wanted}, is {there}")));
    }
    Ok((index, wanted.ty))
}
