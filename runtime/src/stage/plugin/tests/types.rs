//! Every type of the contract, to the guest and back.

use std::cell::RefCell;

use arrow_array::types::{
    ArrowPrimitiveType, ByteArrayType, Date32Type, Float64Type, GenericBinaryType, GenericStringType, Int32Type,
    TimestampMicrosecondType,
};
use arrow_array::{
    Array, BooleanArray, DictionaryArray, GenericByteArray, Int32Array, ListArray, PrimitiveArray, StringArray,
    UInt32Array,
};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field as ArrowField, Schema as ArrowSchema};
use arrow_select::take::take;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::schema::{Kind, Type};
use crate::stage::plugin::lower::Lowered;

/// Of each row a seed, and whether the value is there; slots of nulls are not empty.
type Rows = Vec<(u64, bool)>;

fn rows() -> impl Strategy<Value = Rows> {
    prop::collection::vec((any::<u64>(), prop::bool::weighted(0.8)), 1..80)
}

fn nulls(rows: &Rows, ty: Type) -> Option<NullBuffer> {
    ty.nullable.then(|| NullBuffer::from_iter(rows.iter().map(|(_, there)| *there)))
}

fn primitive<T: ArrowPrimitiveType>(values: Vec<T::Native>, nulls: Option<NullBuffer>) -> PrimitiveArray<T> {
    PrimitiveArray::new(values.into(), nulls)
}

fn words(rows: &Rows) -> Vec<String> {
    let word = |seed: u64| {
        ["", "a", "été", "日本", "SFO", "long enough to be told apart"][seed as usize % 6].repeat(seed as usize / 7 % 3)
    };
    rows.iter().map(|(seed, _)| word(*seed)).collect()
}

fn varlen<T: ByteArrayType<Offset = i32>>(rows: &Rows, nulls: Option<NullBuffer>) -> GenericByteArray<T> {
    let words = words(rows);
    let offsets = OffsetBuffer::from_lengths(words.iter().map(String::len));
    GenericByteArray::new(offsets, Buffer::from_vec(words.concat().into_bytes()), nulls)
}

fn flat(rows: &Rows, kind: Kind, nulls: Option<NullBuffer>) -> ArrayRef {
    let seeds = rows.iter().map(|(seed, _)| *seed);
    match kind {
        Kind::Boolean => Arc::new(BooleanArray::new(BooleanBuffer::from_iter(seeds.map(|seed| seed % 2 == 0)), nulls)),
        Kind::Int64 => Arc::new(primitive::<Int64Type>(seeds.map(|seed| seed as i64).collect(), nulls)),
        // any bits: NaNs of all kinds, -0, infinities
        Kind::Float64 => Arc::new(primitive::<Float64Type>(seeds.map(f64::from_bits).collect(), nulls)),
        Kind::Text => Arc::new(varlen::<GenericStringType<i32>>(rows, nulls)),
        Kind::Binary => Arc::new(varlen::<GenericBinaryType<i32>>(rows, nulls)),
        Kind::Date => Arc::new(primitive::<Date32Type>(seeds.map(|seed| seed as i32).collect(), nulls)),
        Kind::Timestamp => Arc::new(
            primitive::<TimestampMicrosecondType>(seeds.map(|seed| seed as i64).collect(), nulls).with_timezone("UTC"),
        ),
    }
}

fn array(rows: &Rows, ty: Type) -> ArrayRef {
    if !ty.list {
        return flat(rows, ty.kind, nulls(rows, ty));
    }
    let lengths: Vec<usize> = rows.iter().map(|(seed, _)| (seed % 4) as usize).collect();
    let items: Rows = (0..lengths.iter().sum::<usize>())
        .map(|item| (rows[item % rows.len()].0.rotate_left(item as u32), true))
        .collect();
    let item = Arc::new(ArrowField::new("item", ty.kind.arrow(), false));
    Arc::new(ListArray::new(item, OffsetBuffer::from_lengths(lengths), flat(&items, ty.kind, None), nulls(rows, ty)))
}

fn every_type() -> impl Iterator<Item = Type> {
    let kinds = Kind::ALL.into_iter().flat_map(|kind| [false, true].map(|list| Type { list, ..Type::of(kind) }));
    kinds.flat_map(|ty| [ty, ty.nullable()])
}

pub fn column(array: ArrayRef, nullable: bool) -> Batch {
    let field = ArrowField::new("x", array.data_type().clone(), nullable);
    let mut batch = numbers(0..array.len() as i64);
    batch.columns = RecordBatch::try_new(Arc::new(ArrowSchema::new(vec![field])), vec![array]).expect("a column");
    batch
}

#[test]
fn host_to_guest_to_host_is_the_identity() {
    echoes_every_type(48, Nans::Kept, |ty| guest(&format!("echo {ty}")));
}

/// What becomes of numbers that are none, of which there are many.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Nans {
    Kept,
    /// A language has one: it is not told which it was.
    One,
}

impl Nans {
    fn of(self, array: &ArrayRef) -> ArrayRef {
        match array.data_type() {
            DataType::Float64 if self == Nans::One => {
                let one = |x: f64| if x.is_nan() { f64::NAN } else { x };
                Arc::new(array.as_primitive::<Float64Type>().unary::<_, Float64Type>(one))
            }
            DataType::List(item) => {
                let list = array.as_list::<i32>();
                let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
                Arc::new(ListArray::new(item.clone(), offsets, self.of(list.values()), nulls))
            }
            _ => array.clone(),
        }
    }
}

pub fn echoes_every_type(cases: u32, nans: Nans, guest: impl Fn(Type) -> Program) {
    for ty in every_type() {
        let program = guest(ty);
        let worker = RefCell::new(program.worker().expect("a worker"));
        let inputs = (rows(), 0..80_usize, 0..80_usize, 1..100_usize);
        let mut runner = TestRunner::new(Config::with_cases(cases));
        let outcome = runner.run(&inputs, |(rows, from, len, rows_per_call)| {
            let whole = array(&rows, ty);
            let from = from % whole.len();
            let sliced = whole.slice(from, len.min(whole.len() - from));
            worker_echoes(&mut worker.borrow_mut(), rows_per_call, nans.of(&sliced), nans, ty)
        });
        outcome.unwrap_or_else(|error| panic!("{ty}: {error}"));
    }
}

fn worker_echoes(
    worker: &mut Worker,
    rows_per_call: usize,
    array: ArrayRef,
    nans: Nans,
    ty: Type,
) -> Result<(), TestCaseError> {
    worker.rows_per_call = rows_per_call;
    let done = worker.process(column(array.clone(), ty.nullable)).expect("a batch").whole();
    prop_assert_eq!(&done.rejects, &[]);
    prop_assert_eq!(done.columns.column(1).data_type(), &ty.arrow());
    prop_assert_eq!(nans.of(done.columns.column(1)).to_data(), array.to_data());
    Ok(())
}

/// However an array was made: what the guest sees depends on its values.
#[test]
fn the_same_values_give_the_same_bytes() {
    for ty in every_type() {
        let mut runner = TestRunner::new(Config::with_cases(64));
        let outcome = runner.run(&(rows(), 0..80_usize, 0..80_usize), |(rows, from, len)| {
            let whole = array(&rows, ty);
            let from = from % whole.len();
            let sliced = whole.slice(from, len.min(whole.len() - from));
            let fresh = take(&sliced, &UInt32Array::from_iter_values(0..sliced.len() as u32), None).expect("taken");
            let (sliced, fresh) = [sliced, fresh].map(|array| Lowered::new(&array, ty, false).expect("lowered")).into();
            prop_assert_eq!(format!("{:?}", sliced.lend()), format!("{:?}", fresh.lend()));
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{ty}: {error}"));
    }
}

#[test]
fn slots_of_nulls_are_zero() {
    let there = Some(NullBuffer::from(vec![true, false, true]));
    let lowered = |array: ArrayRef, kind: Kind| {
        format!("{:?}", Lowered::new(&array, Type::of(kind).nullable(), false).expect("lowered").lend())
    };
    let ints = primitive::<Int64Type>(vec![1, 2, 3], there.clone());
    assert!(lowered(Arc::new(ints), Kind::Int64).contains("S64s([1, 0, 3])"));
    let offsets = OffsetBuffer::new(ScalarBuffer::from(vec![0, 1, 2, 3]));
    let texts = StringArray::new(offsets, Buffer::from(b"abc"), there.clone());
    let texts = lowered(Arc::new(texts), Kind::Text);
    assert!(texts.contains("offsets: [0, 1, 1, 2]") && texts.contains("bytes: [97, 99]"), "{texts}");
    let bits = BooleanArray::new(BooleanBuffer::from(vec![true, true, false]), there);
    let bits = lowered(Arc::new(bits), Kind::Boolean);
    assert!(bits.contains("validity: Some([5])") && bits.contains("Bits([1])"), "{bits}");
}

#[test]
fn dictionaries_only_for_those_who_accept_them() {
    let texts = StringArray::from(vec!["zero", "one", "two"]);
    let keys = Int32Array::from(vec![Some(2), None, Some(0), Some(2)]);
    let dict: ArrayRef = Arc::new(DictionaryArray::<Int32Type>::new(keys.clone(), Arc::new(texts.clone())));
    let plain = StringArray::from(vec![Some("two"), None, Some("zero"), Some("two")]);
    for mode in ["echo", "echo-dict"] {
        let done = run(&guest(&format!("{mode} text?")), column(dict.clone(), true));
        assert_eq!(done.columns.column(1).as_string::<i32>(), &plain, "{mode}");
        let sliced = run(&guest(&format!("{mode} text?")), column(dict.slice(1, 2), true));
        assert_eq!(sliced.columns.column(1).as_string::<i32>(), &plain.slice(1, 2), "{mode}");
    }
    // accepted they come as they are; nulls inside of the dictionary itself make them plain
    let keys = Int32Array::from(vec![1, 0]);
    let came = |mode: &str, values: StringArray| {
        let dict: ArrayRef = Arc::new(DictionaryArray::<Int32Type>::new(keys.clone(), Arc::new(values)));
        run(&guest(mode), column(dict, false)).columns.column(1).as_string::<i32>().value(0).to_owned()
    };
    assert_eq!(came("kinds", texts.clone()), "dict");
    assert_eq!(came("kinds-plain", texts), "plain");
    let done = run(&guest("echo-dict text?"), {
        let values = StringArray::from(vec![None, Some("one")]);
        column(Arc::new(DictionaryArray::<Int32Type>::new(keys.clone(), Arc::new(values))), true)
    });
    assert_eq!(done.columns.column(1).as_string::<i32>(), &StringArray::from(vec![Some("one"), None]));
}
