//! The types that a field of a row may have.
//!
//! | column | read as | added as |
//! |---|---|---|
//! | bool, int64, float64 | `bool`, `i64`, `f64` | the same |
//! | text | `&str` | `String`, `&'static str` |
//! | binary | `&[u8]` | `Bytes` |
//! | date, timestamp | [`Date`], [`Timestamp`] | the same |
//! | `list<…>` | `Vec` of it | the same |
//! | `…?` of any | `Option` of it | the same |

use crate::input::{Booleans, Numbers, Texts};
use crate::{Binaries, Bits, Column, Data, Field, Input, Items, Kind, Scalars, VarlenBuilder};

/// Days since 1970-01-01.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(pub i32);

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// Bytes that are no text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bytes(pub Vec<u8>);

/// A type of a field that is read.
#[diagnostic::on_unimplemented(
    message = "a column cannot be read as `{Self}`",
    label = "no type of a column",
    note = "expected bool, i64, f64, &str, &[u8], Date or Timestamp, a Vec of one of them, or an Option of any"
)]
pub trait ReadValue<'a>: Sized {
    type Column;

    fn field(name: &str) -> Field;
    fn column(input: &'a Input, index: usize) -> Self::Column;
    fn read(column: &Self::Column, row: usize) -> Self;
}

/// A type of a field that is added.
#[diagnostic::on_unimplemented(
    message = "a column cannot be made of `{Self}`",
    label = "no type of a column",
    note = "expected bool, i64, f64, String, &'static str, Bytes, Date or Timestamp, a Vec of one of them, or an Option of any"
)]
pub trait WriteValue: Sized {
    type Builder: Default;

    fn field(name: &str) -> Field;
    fn write(self, builder: &mut Self::Builder);
    fn finish(builder: Self::Builder) -> Column;
}

/// One value: neither absent nor a list.
#[diagnostic::on_unimplemented(
    message = "a column cannot be read as `{Self}`",
    label = "no type of a column",
    note = "expected bool, i64, f64, &str, &[u8], Date or Timestamp, a Vec of one of them, or an Option of any"
)]
pub trait ReadScalar<'a>: Sized {
    const KIND: Kind;
    type Values;

    /// None: they are of another kind.
    fn values(scalars: &'a Scalars, validity: Option<&'a [u8]>) -> Option<Self::Values>;
    fn get(values: &Self::Values, index: usize) -> Option<Self>;
}

/// One value: neither absent nor a list.
#[diagnostic::on_unimplemented(
    message = "a column cannot be made of `{Self}`",
    label = "no type of a column",
    note = "expected bool, i64, f64, String, &'static str, Bytes, Date or Timestamp, a Vec of one of them, or an Option of any"
)]
pub trait WriteScalar: Sized + Default {
    const KIND: Kind;
    type Values: Default;

    fn push(self, values: &mut Self::Values);
    fn scalars(values: Self::Values) -> Scalars;
}

macro_rules! read_scalars {
    ($($ty:ty, $kind:ident, $values:ty, $get:expr, { $($pattern:pat => $make:expr),+ };)*) => {$(
        impl<'a> ReadScalar<'a> for $ty {
            const KIND: Kind = Kind::$kind;
            type Values = $values;

            fn values(scalars: &'a Scalars, validity: Option<&'a [u8]>) -> Option<$values> {
                match scalars {
                    $($pattern => Some($make(validity)),)+
                    _ => None,
                }
            }

            fn get(values: &$values, index: usize) -> Option<$ty> {
                values.get(index).map($get)
            }
        }
    )*};
}

read_scalars! {
    bool, Boolean, Booleans<'a>, |bit| bit, { Scalars::Bits(bits) => |validity| Booleans { bits, validity } };
    i64, Int64, Numbers<'a, i64>, |n| n, { Scalars::S64s(values) => |validity| Numbers { values, validity } };
    f64, Float64, Numbers<'a, f64>, |x| x, { Scalars::F64s(values) => |validity| Numbers { values, validity } };
    Date, Date, Numbers<'a, i32>, Date, { Scalars::Days(values) => |validity| Numbers { values, validity } };
    Timestamp, Timestamp, Numbers<'a, i64>, Timestamp,
        { Scalars::MicrosUtc(values) => |validity| Numbers { values, validity } };
    &'a str, Text, Texts<'a>, |text| text, {
        Scalars::Texts(values) => |validity| Texts::new(values, None, validity),
        Scalars::DictTexts(dict) => |validity| Texts::new(&dict.values, Some(&dict.keys), validity)
    };
    &'a [u8], Binary, Binaries<'a>, |bytes| bytes,
        { Scalars::Binaries(values) => |validity| Binaries { values, validity } };
}

macro_rules! write_scalars {
    ($($ty:ty, $kind:ident, $values:ty, $push:expr, $scalars:expr;)*) => {$(
        impl WriteScalar for $ty {
            const KIND: Kind = Kind::$kind;
            type Values = $values;

            fn push(self, values: &mut $values) {
                let push: fn(&mut $values, $ty) = $push;
                push(values, self);
            }

            fn scalars(values: $values) -> Scalars {
                $scalars(values)
            }
        }
    )*};
}

write_scalars! {
    bool, Boolean, Bits, Bits::push, |bits: Bits| Scalars::Bits(bits.finish());
    i64, Int64, Vec<i64>, Vec::push, Scalars::S64s;
    f64, Float64, Vec<f64>, Vec::push, Scalars::F64s;
    Date, Date, Vec<i32>, |days, Date(day)| days.push(day), Scalars::Days;
    Timestamp, Timestamp, Vec<i64>, |all, Timestamp(micros)| all.push(micros), Scalars::MicrosUtc;
    String, Text, VarlenBuilder, VarlenBuilder::push, |texts: VarlenBuilder| Scalars::Texts(texts.finish());
    &'static str, Text, VarlenBuilder, VarlenBuilder::push, |texts: VarlenBuilder| Scalars::Texts(texts.finish());
    Bytes, Binary, VarlenBuilder, |all, Bytes(bytes)| all.push(bytes), |all: VarlenBuilder| Scalars::Binaries(all.finish());
}

fn plain(name: &str, kind: Kind) -> Field {
    Field { name: name.into(), kind, list: false, nullable: false }
}

fn flat<'a, T: ReadScalar<'a>>(input: &'a Input, index: usize) -> T::Values {
    let column = input.column(index);
    let values = match &column.data {
        Data::Flat(scalars) => T::values(scalars, column.validity.as_deref()),
        Data::Nested(_) => None,
    };
    values.unwrap_or_else(|| panic!("column {index} is not {:?}", T::KIND))
}

#[diagnostic::do_not_recommend]
impl<'a, T: ReadScalar<'a>> ReadValue<'a> for T {
    type Column = T::Values;

    fn field(name: &str) -> Field {
        plain(name, T::KIND)
    }

    fn column(input: &'a Input, index: usize) -> T::Values {
        flat::<T>(input, index)
    }

    fn read(values: &T::Values, row: usize) -> T {
        T::get(values, row).unwrap_or_else(|| panic!("row {row} of a column that is never null is null"))
    }
}

impl<'a, T: ReadScalar<'a>> ReadValue<'a> for Option<T> {
    type Column = T::Values;

    fn field(name: &str) -> Field {
        plain(name, T::KIND).nullable()
    }

    fn column(input: &'a Input, index: usize) -> T::Values {
        flat::<T>(input, index)
    }

    fn read(values: &T::Values, row: usize) -> Option<T> {
        T::get(values, row)
    }
}

/// The lists of a column.
pub struct Lists<'a, V> {
    offsets: &'a [u32],
    values: V,
}

impl<'a, T: ReadScalar<'a>> ReadValue<'a> for Vec<T> {
    type Column = Lists<'a, T::Values>;

    fn field(name: &str) -> Field {
        plain(name, T::KIND).list()
    }

    fn column(input: &'a Input, index: usize) -> Self::Column {
        lists::<T>(input, index)
    }

    fn read(Lists { offsets, values }: &Self::Column, row: usize) -> Vec<T> {
        (offsets[row]..offsets[row + 1]).filter_map(|index| T::get(values, index as usize)).collect()
    }
}

impl<'a, T: ReadScalar<'a>> ReadValue<'a> for Option<Vec<T>> {
    type Column = (Option<Booleans<'a>>, Lists<'a, T::Values>);

    fn field(name: &str) -> Field {
        plain(name, T::KIND).list().nullable()
    }

    fn column(input: &'a Input, index: usize) -> Self::Column {
        let there = input.column(index).validity.as_deref().map(|bits| Booleans { bits, validity: None });
        (there, lists::<T>(input, index))
    }

    fn read((there, lists): &Self::Column, row: usize) -> Option<Vec<T>> {
        let is_there = there.as_ref().is_none_or(|there| there.get(row) == Some(true));
        is_there.then(|| <Vec<T> as ReadValue>::read(lists, row))
    }
}

fn lists<'a, T: ReadScalar<'a>>(input: &'a Input, index: usize) -> Lists<'a, T::Values> {
    let lists = match &input.column(index).data {
        Data::Nested(Items { offsets, values, .. }) => T::values(values, None).map(|values| Lists { offsets, values }),
        Data::Flat(_) => None,
    };
    lists.unwrap_or_else(|| panic!("column {index} holds no lists of {:?}", T::KIND))
}

fn column(scalars: Scalars) -> Column {
    Column { validity: None, data: Data::Flat(scalars) }
}

#[diagnostic::do_not_recommend]
impl<T: WriteScalar> WriteValue for T {
    type Builder = T::Values;

    fn field(name: &str) -> Field {
        plain(name, T::KIND)
    }

    fn write(self, values: &mut T::Values) {
        self.push(values);
    }

    fn finish(values: T::Values) -> Column {
        column(T::scalars(values))
    }
}

impl<T: WriteScalar> WriteValue for Option<T> {
    type Builder = (T::Values, Bits);

    fn field(name: &str) -> Field {
        plain(name, T::KIND).nullable()
    }

    fn write(self, (values, validity): &mut Self::Builder) {
        validity.push(self.is_some());
        self.unwrap_or_default().push(values);
    }

    fn finish((values, validity): Self::Builder) -> Column {
        column(T::scalars(values)).with_validity(validity)
    }
}

/// Lists as they are pushed.
pub struct ListsBuilder<V> {
    offsets: Vec<u32>,
    values: V,
}

impl<V: Default> Default for ListsBuilder<V> {
    fn default() -> ListsBuilder<V> {
        ListsBuilder { offsets: vec![0], values: V::default() }
    }
}

impl<T: WriteScalar> WriteValue for Vec<T> {
    type Builder = ListsBuilder<T::Values>;

    fn field(name: &str) -> Field {
        plain(name, T::KIND).list()
    }

    fn write(self, ListsBuilder { offsets, values }: &mut Self::Builder) {
        let last = offsets[offsets.len() - 1];
        offsets.push(last + self.len() as u32);
        self.into_iter().for_each(|value| value.push(values));
    }

    fn finish(ListsBuilder { offsets, values }: Self::Builder) -> Column {
        Column { validity: None, data: Data::Nested(Items { offsets, validity: None, values: T::scalars(values) }) }
    }
}

impl<T: WriteScalar> WriteValue for Option<Vec<T>> {
    type Builder = (ListsBuilder<T::Values>, Bits);

    fn field(name: &str) -> Field {
        plain(name, T::KIND).list().nullable()
    }

    fn write(self, (lists, validity): &mut Self::Builder) {
        validity.push(self.is_some());
        self.unwrap_or_default().write(lists);
    }

    fn finish((lists, validity): Self::Builder) -> Column {
        <Vec<T> as WriteValue>::finish(lists).with_validity(validity)
    }
}
