//! Arrow columns as the contract has them.
//!
//! Invariant: the same values give the same bytes, however the array was made: offsets begin at 0, bitmaps at bit 0,
//! slots of nulls hold zero or nothing. Where an array is like that already its buffers are lent, not copied.

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Date32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, ArrowNativeTypeOp, PrimitiveArray, UInt32Array};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType};
use arrow_select::take::take;

use super::bindings::millrace::plugin::types::{
    ColumnParam, DataParam, DictParam, ItemsParam, ScalarsParam, VarlenParam,
};
use crate::schema::{Kind, Type};

/// A column ready to be lent to a guest.
pub struct Lowered {
    validity: Option<Vec<u8>>,
    offsets: Option<ScalarBuffer<u32>>,
    values: Values,
}

enum Values {
    Bits(Vec<u8>),
    Ints(ScalarBuffer<i64>),
    Floats(ScalarBuffer<f64>),
    Texts(Varlen),
    Binaries(Varlen),
    Dict(ScalarBuffer<u32>, Varlen),
    Days(ScalarBuffer<i32>),
    Micros(ScalarBuffer<i64>),
}

struct Varlen {
    offsets: ScalarBuffer<u32>,
    bytes: Buffer,
}

/// Can a column of this Arrow type be lowered as `ty`?
pub fn lowers(arrow: &DataType, ty: Type) -> bool {
    *arrow == ty.arrow() || (is_dictionary(arrow) && ty.kind == Kind::Text && !ty.list)
}

fn is_dictionary(arrow: &DataType) -> bool {
    matches!(arrow, DataType::Dictionary(key, value) if **key == DataType::Int32 && **value == DataType::Utf8)
}

impl Lowered {
    /// Of a type that [`lowers`].
    pub fn new(array: &ArrayRef, ty: Type, accepts_dict: bool) -> Result<Lowered, ArrowError> {
        let array = tidy(array)?;
        if ty.list {
            let list = array.as_list::<i32>();
            let (first, end) = ends(list.offsets());
            let items = list.values().slice(first, end - first);
            let values = Values::new(&tidy(&items)?, ty.kind)?;
            return Ok(Lowered { validity: validity(array.nulls()), offsets: Some(rebased(list.offsets())), values });
        }
        if is_dictionary(array.data_type()) {
            // which rows are null is also up to the nulls inside of the dictionary
            let validity = validity(array.logical_nulls().as_ref());
            return Ok(Lowered { validity, offsets: None, values: Values::dictionary(&array, accepts_dict)? });
        }
        Ok(Lowered { validity: validity(array.nulls()), offsets: None, values: Values::new(&array, ty.kind)? })
    }

    pub fn lend(&self) -> ColumnParam<'_> {
        let values = self.values.lend();
        let data = match &self.offsets {
            Some(offsets) => DataParam::Nested(ItemsParam { offsets, validity: None, values }),
            None => DataParam::Flat(values),
        };
        ColumnParam { validity: self.validity.as_deref(), data }
    }
}

impl Values {
    fn new(array: &ArrayRef, kind: Kind) -> Result<Values, ArrowError> {
        Ok(match kind {
            Kind::Boolean => {
                let array = array.as_boolean();
                let there = array.nulls().filter(|nulls| nulls.null_count() > 0);
                Values::Bits(
                    there.map_or_else(|| bitmap(array.values()), |nulls| bitmap(&(array.values() & nulls.inner()))),
                )
            }
            Kind::Int64 => Values::Ints(zeroed(array.as_primitive::<Int64Type>())),
            Kind::Float64 => Values::Floats(zeroed(array.as_primitive::<Float64Type>())),
            Kind::Text => {
                let array = array.as_string::<i32>();
                Values::Texts(Varlen::new(array.offsets(), array.values()))
            }
            Kind::Binary => {
                let array = array.as_binary::<i32>();
                Values::Binaries(Varlen::new(array.offsets(), array.values()))
            }
            Kind::Date => Values::Days(zeroed(array.as_primitive::<Date32Type>())),
            Kind::Timestamp => Values::Micros(zeroed(array.as_primitive::<TimestampMicrosecondType>())),
        })
    }

    /// Plain where the guest does not accept a dictionary, or where the dictionary itself holds nulls or nothing.
    fn dictionary(array: &ArrayRef, accepts_dict: bool) -> Result<Values, ArrowError> {
        let array = array.as_dictionary::<Int32Type>();
        let values = array.values();
        if !accepts_dict || values.is_empty() || values.null_count() > 0 {
            return Values::new(&tidy(&take(values, array.keys(), None)?)?, Kind::Text);
        }
        let keys: ScalarBuffer<u32> = ScalarBuffer::from(zeroed(array.keys()).into_inner());
        let values = values.as_string::<i32>();
        Ok(Values::Dict(keys, Varlen::new(values.offsets(), values.values())))
    }

    fn lend(&self) -> ScalarsParam<'_> {
        match self {
            Values::Bits(bits) => ScalarsParam::Bits(bits),
            Values::Ints(values) => ScalarsParam::S64s(values),
            Values::Floats(values) => ScalarsParam::F64s(values),
            Values::Texts(values) => ScalarsParam::Texts(values.lend()),
            Values::Binaries(values) => ScalarsParam::Binaries(values.lend()),
            Values::Dict(keys, values) => ScalarsParam::DictTexts(DictParam { keys, values: values.lend() }),
            Values::Days(values) => ScalarsParam::Days(values),
            Values::Micros(values) => ScalarsParam::MicrosUtc(values),
        }
    }
}

impl Varlen {
    fn new(offsets: &OffsetBuffer<i32>, bytes: &Buffer) -> Varlen {
        let (first, end) = ends(offsets);
        Varlen { offsets: rebased(offsets), bytes: bytes.slice_with_length(first, end - first) }
    }

    fn lend(&self) -> VarlenParam<'_> {
        VarlenParam { offsets: &self.offsets, bytes: &self.bytes }
    }
}

fn ends(offsets: &OffsetBuffer<i32>) -> (usize, usize) {
    (offsets[0] as usize, offsets[offsets.len() - 1] as usize)
}

/// Offsets that begin at 0; they are never negative, so their bits are those of u32.
fn rebased(offsets: &OffsetBuffer<i32>) -> ScalarBuffer<u32> {
    match offsets[0] {
        0 => ScalarBuffer::from(offsets.inner().inner().clone()),
        first => offsets.iter().map(|offset| (offset - first) as u32).collect(),
    }
}

/// Bits from bit 0, those beyond the last 0.
fn bitmap(bits: &BooleanBuffer) -> Vec<u8> {
    let mut bytes = bits.sliced()[..bits.len().div_ceil(8)].to_vec();
    if let (Some(last), 1..) = (bytes.last_mut(), bits.len() % 8) {
        *last &= (1 << (bits.len() % 8)) - 1;
    }
    bytes
}

/// None where every value is there.
fn validity(nulls: Option<&NullBuffer>) -> Option<Vec<u8>> {
    nulls.filter(|nulls| nulls.null_count() > 0).map(|nulls| bitmap(nulls.inner()))
}

fn null_rows(nulls: Option<&NullBuffer>) -> impl Iterator<Item = usize> {
    let rows =
        nulls.filter(|nulls| nulls.null_count() > 0).map(|nulls| (!nulls.inner()).set_indices().collect::<Vec<_>>());
    rows.into_iter().flatten()
}

/// The values, with zero in the slots of nulls.
fn zeroed<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>) -> ScalarBuffer<T::Native> {
    let values = array.values();
    if null_rows(array.nulls()).all(|row| values[row].is_zero()) {
        return values.clone();
    }
    let mut values = values.to_vec();
    null_rows(array.nulls()).for_each(|row| values[row] = T::Native::default());
    values.into()
}

/// The array, with nothing in the slots of nulls where values vary in length.
pub fn tidy(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let offsets = match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().offsets(),
        DataType::Binary => array.as_binary::<i32>().offsets(),
        DataType::List(_) => array.as_list::<i32>().offsets(),
        _ => return Ok(array.clone()),
    };
    if null_rows(array.nulls()).all(|row| offsets[row] == offsets[row + 1]) {
        return Ok(array.clone());
    }
    take(array, &UInt32Array::from_iter_values(0..array.len() as u32), None)
}
