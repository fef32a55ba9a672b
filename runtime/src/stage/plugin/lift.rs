//! What a guest gives back, believed only as far as it was verified.
//!
//! Invariant: an [`Answer`] holds columns of the signature's types, one value for each output row, and a lineage that
//! never goes back, never names a row that is not there or was refused. A guest that lies is a guest that failed.

use std::fmt;
use std::sync::Arc;

use arrow_array::types::{ArrowPrimitiveType, Date32Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, BinaryArray, BooleanArray, ListArray, PrimitiveArray, StringArray, UInt32Array};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::Field as ArrowField;
use arrow_select::take::take;

use super::bindings::millrace::plugin::types::{
    ColumnResult, DataResult, DictResult, ItemsResult, Output, Refusal, ScalarsResult, VarlenResult,
};
use super::instance::REASON_BYTES_MAX;
use super::lower::tidy;
use crate::schema::{Field, Kind, Type};
use crate::words;

/// Of one input row: bounds what a guest can blow up, and by the row alone.
pub const ROWS_PER_ROW_MAX: usize = 1_024;
/// What the rows of one message may become at a stage, by `size`.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;
const CODE_BYTES_MAX: usize = 64;
/// Codes of the host's own begin like this.
const RESERVED: &str = "plugin_";

/// A guest's answer that holds what the contract promises.
#[derive(Debug)]
pub struct Answer {
    /// None: a row for each input row that is not refused.
    pub lineage: Option<Vec<u32>>,
    pub columns: Vec<ArrayRef>,
    pub refused: Vec<Refused>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    /// Of the call's.
    pub row: u32,
    pub code: String,
    pub reason: String,
}

/// What the guest got wrong, as the end of "it returned …".
#[derive(Debug, PartialEq, Eq)]
pub struct Lie {
    what: String,
    /// It may be right of fewer rows.
    pub is_too_much: bool,
}

impl fmt::Display for Lie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

type Verified<T> = Result<T, Lie>;

fn lie<T>(what: impl Into<String>) -> Verified<T> {
    Err(Lie { what: what.into(), is_too_much: false })
}

/// A guest's answer to a call of `rows`.
pub fn verify(output: Output, rows: u32, adds: &[Field]) -> Verified<Answer> {
    let Output { lineage, columns, refused } = output;
    let refused = refusals(refused, rows)?;
    let rows_out = match &lineage {
        Some(lineage) => origins(lineage, rows, &refused)?,
        None => rows as usize - refused.len(),
    };
    if columns.len() != adds.len() {
        return lie(format!("{} columns where its signature adds {}", columns.len(), adds.len()));
    }
    let lifted = columns.into_iter().zip(adds).map(|(column, field)| {
        lift(column, field.ty, rows_out).map_err(|lie| Lie { what: format!("{} in `{}`", lie.what, field.name), ..lie })
    });
    Ok(Answer { lineage, columns: lifted.collect::<Verified<_>>()?, refused })
}

fn refusals(refused: Vec<Refusal>, rows: u32) -> Verified<Vec<Refused>> {
    if let Some(beyond) = refused.iter().find(|refusal| refusal.row >= rows) {
        return lie(format!("a refusal of row {} of {rows}", beyond.row));
    }
    if !refused.is_sorted_by(|one, next| one.row < next.row) {
        return lie("refusals that are not in the order of their rows");
    }
    if let Some(taken) = refused.iter().find(|refusal| refusal.code.starts_with(RESERVED)) {
        return lie(format!("the code `{}`, which is the host's", words::word(&taken.code, CODE_BYTES_MAX)));
    }
    let tidy = |Refusal { row, code, reason }: Refusal| Refused {
        row,
        code: if code.is_empty() { "refused".to_owned() } else { words::word(&code, CODE_BYTES_MAX) },
        reason: words::sentence(&reason, REASON_BYTES_MAX),
    };
    Ok(refused.into_iter().map(tidy).collect())
}

/// How many rows come out.
fn origins(lineage: &[u32], rows: u32, refused: &[Refused]) -> Verified<usize> {
    if !lineage.is_sorted() {
        return lie("a lineage that goes back");
    }
    // it is in order: the last is the largest
    if let Some(&last) = lineage.last().filter(|last| **last >= rows) {
        return lie(format!("a lineage with row {last} of {rows}"));
    }
    if let Some(named) = refused.iter().find(|refused| lineage.binary_search(&refused.row).is_ok()) {
        return lie(format!("a lineage with row {}, which it refused", named.row));
    }
    if lineage.chunk_by(|one, next| one == next).any(|same| same.len() > ROWS_PER_ROW_MAX) {
        return lie(format!("more than {ROWS_PER_ROW_MAX} rows for one row"));
    }
    Ok(lineage.len())
}

fn lift(column: ColumnResult, ty: Type, rows: usize) -> Verified<ArrayRef> {
    let nulls = validity(column.validity, rows)?;
    if let (false, Some(nulls)) = (ty.nullable, &nulls) {
        return lie(format!("{} absent values, where its signature says there are none,", nulls.null_count()));
    }
    let column = match (column.data, ty.list) {
        (DataResult::Flat(values), false) => scalars(values, ty.kind, rows, nulls)?,
        (DataResult::Nested(items), true) => lists(items, ty.kind, rows, nulls)?,
        (DataResult::Flat(_), true) => return lie("no lists"),
        (DataResult::Nested(_), false) => return lie("lists"),
    };
    // what hides under a null would be a part of its message's size
    tidy(&column).or_else(|error| lie(format!("values under nulls that cannot be left out ({error})")))
}

/// None where every value is there.
fn validity(bits: Option<Vec<u8>>, rows: usize) -> Verified<Option<NullBuffer>> {
    let Some(bits) = bits else { return Ok(None) };
    let nulls = NullBuffer::new(self::bits(bits, rows)?);
    Ok(Some(nulls).filter(|nulls| nulls.null_count() > 0))
}

fn bits(bytes: Vec<u8>, rows: usize) -> Verified<BooleanBuffer> {
    if bytes.len() != rows.div_ceil(8) {
        return lie(format!("{} bytes of bits for {rows} values", bytes.len()));
    }
    Ok(BooleanBuffer::new(Buffer::from_vec(bytes), 0, rows))
}

fn scalars(values: ScalarsResult, kind: Kind, rows: usize, nulls: Option<NullBuffer>) -> Verified<ArrayRef> {
    Ok(match (values, kind) {
        (ScalarsResult::Bits(bytes), Kind::Boolean) => Arc::new(BooleanArray::new(bits(bytes, rows)?, nulls)),
        (ScalarsResult::S64s(values), Kind::Int64) => numbers::<Int64Type>(values, rows, nulls)?,
        (ScalarsResult::F64s(values), Kind::Float64) => numbers::<Float64Type>(values, rows, nulls)?,
        (ScalarsResult::Texts(values), Kind::Text) => Arc::new(texts(values, rows, nulls)?),
        (ScalarsResult::DictTexts(dict), Kind::Text) => dict_texts(dict, rows, nulls)?,
        (ScalarsResult::Binaries(VarlenResult { offsets: ends, bytes }), Kind::Binary) => {
            let offsets = offsets(ends, rows, bytes.len())?;
            Arc::new(BinaryArray::new(offsets, Buffer::from_vec(bytes), nulls))
        }
        (ScalarsResult::Days(values), Kind::Date) => numbers::<Date32Type>(values, rows, nulls)?,
        (ScalarsResult::MicrosUtc(values), Kind::Timestamp) => {
            counted(values.len(), rows)?;
            let values = PrimitiveArray::<TimestampMicrosecondType>::new(values.into(), nulls);
            Arc::new(values.with_timezone("UTC"))
        }
        (values, kind) => return lie(format!("{} where its signature says {}", name(&values), kind.name())),
    })
}

fn name(values: &ScalarsResult) -> &'static str {
    match values {
        ScalarsResult::Bits(_) => "bits",
        ScalarsResult::S64s(_) => "s64s",
        ScalarsResult::F64s(_) => "f64s",
        ScalarsResult::Texts(_) => "texts",
        ScalarsResult::Binaries(_) => "binaries",
        ScalarsResult::DictTexts(_) => "dict-texts",
        ScalarsResult::Days(_) => "days",
        ScalarsResult::MicrosUtc(_) => "micros-utc",
    }
}

fn counted(values: usize, rows: usize) -> Verified<()> {
    if values != rows {
        return lie(format!("{values} values for {rows} rows"));
    }
    Ok(())
}

fn numbers<T: ArrowPrimitiveType>(
    values: Vec<T::Native>,
    rows: usize,
    nulls: Option<NullBuffer>,
) -> Verified<ArrayRef> {
    counted(values.len(), rows)?;
    Ok(Arc::new(PrimitiveArray::<T>::new(values.into(), nulls)))
}

/// Rising from 0 to `end`.
fn offsets(offsets: Vec<u32>, values: usize, end: usize) -> Verified<OffsetBuffer<i32>> {
    if offsets.len() != values + 1 {
        return lie(format!("{} offsets for {values} values", offsets.len()));
    }
    if offsets[0] != 0 || !offsets.is_sorted() {
        return lie("offsets that do not rise from 0");
    }
    if offsets[values] as usize != end || i32::try_from(end).is_err() {
        return lie(format!("offsets that end at {} of {end}", offsets[values]));
    }
    // rising to what i32 holds: none of them is negative as i32
    Ok(OffsetBuffer::new(ScalarBuffer::from(Buffer::from_vec(offsets))))
}

fn texts(
    VarlenResult { offsets: ends, bytes }: VarlenResult,
    values: usize,
    nulls: Option<NullBuffer>,
) -> Verified<StringArray> {
    let offsets = offsets(ends, values, bytes.len())?;
    StringArray::try_new(offsets, Buffer::from_vec(bytes), nulls).or_else(|_| lie("texts that are not UTF-8"))
}

/// Plain afterwards: no other stage knows dictionaries.
fn dict_texts(DictResult { keys, values }: DictResult, rows: usize, nulls: Option<NullBuffer>) -> Verified<ArrayRef> {
    counted(keys.len(), rows)?;
    let values = texts_of_dictionary(values)?;
    let there = |row: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
    let wild = keys.iter().enumerate().find(|&(row, &key)| key as usize >= values.len() && there(row));
    if let Some((_, key)) = wild {
        return lie(format!("the key {key} into a dictionary of {}", values.len()));
    }
    // a small answer may spread out to any size
    let length = |row: usize| if there(row) { values.value_length(keys[row] as usize) as usize } else { 0 };
    let bytes: usize = (0..rows).map(length).sum();
    if bytes > MESSAGE_BYTES_MAX {
        let what = format!("a dictionary that spreads out to {bytes} bytes, where {MESSAGE_BYTES_MAX} are the most,");
        return Err(Lie { what, is_too_much: true });
    }
    let keys = UInt32Array::new(keys.into(), nulls);
    take(&values, &keys, None).or_else(|error| lie(format!("a dictionary that does not spread out ({error})")))
}

fn texts_of_dictionary(values: VarlenResult) -> Verified<StringArray> {
    let Some(count) = values.offsets.len().checked_sub(1) else { return lie("a dictionary without offsets") };
    texts(values, count, None)
}

fn lists(items: ItemsResult, kind: Kind, rows: usize, nulls: Option<NullBuffer>) -> Verified<ArrayRef> {
    let ItemsResult { offsets: ends, validity: items_there, values } = items;
    let count = ends.last().map_or(0, |&last| last as usize);
    let offsets = offsets(ends, rows, count)?;
    if validity(items_there, count)?.is_some() {
        return lie("lists with absent values in them");
    }
    let values = scalars(values, kind, count, None)?;
    let item = ArrowField::new("item", kind.arrow(), false);
    let lists = ListArray::try_new(Arc::new(item), offsets, values, nulls);
    lists.map(|lists| Arc::new(lists) as ArrayRef).or_else(|error| lie(format!("lists that are none ({error})")))
}
