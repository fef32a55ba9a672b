//! A column that goes through the guest and back, of each kind: flat and nested, sliced or whole, texts by dictionary.

use std::hint::black_box;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, DictionaryArray, Float64Array, Int64Array, ListArray, StringArray,
};

use super::{batch, best, load};

const ROWS: usize = 1_024;

pub fn main() {
    println!("\na column there and back, {ROWS} rows: ns a row, of a slice from row 1, and times that of int64");
    let mut unit = None;
    for (ty, config, array) in columns() {
        let mut worker = load("test-guest", config).worker().expect("a worker");
        let mut measure = |array: ArrayRef| {
            let batch = batch(vec![("x".to_owned(), array)]);
            let back = worker.process(batch.clone()).expect("an echo").whole();
            assert_eq!(back.columns.column(1), &plain(batch.columns.column(0)), "{ty}");
            best(ROWS, || drop(black_box(worker.process(black_box(batch.clone())).expect("an echo"))))
        };
        let whole = measure(array.slice(0, ROWS));
        let sliced = measure(array.slice(1, ROWS));
        let unit = *unit.get_or_insert(whole);
        println!("{ty:>24} {whole:>8.1} {sliced:>8.1} {:>7.2}", whole / unit);
    }
}

/// As a plugin answers: what comes by dictionary goes as plain texts, where the two need not be told apart.
fn plain(array: &ArrayRef) -> ArrayRef {
    let Some(dictionary) = array.as_dictionary_opt::<Int32Type>() else { return array.clone() };
    let values = dictionary.values().as_string::<i32>();
    Arc::new(dictionary.keys_iter().map(|key| key.map(|key| values.value(key))).collect::<StringArray>())
}

/// Each distinct one once.
fn dictionary(words: impl Iterator<Item = String>) -> ArrayRef {
    Arc::new(words.collect::<Vec<_>>().iter().map(|word| Some(&**word)).collect::<DictionaryArray<Int32Type>>())
}

/// One row more than is measured, so that a slice has as many.
fn columns() -> Vec<(&'static str, &'static str, ArrayRef)> {
    let rows = 0..ROWS as i64 + 1;
    let word = |row: i64| format!("word-{}", row % 50);
    let lists = rows.clone().map(|row| Some((0..row % 5).map(Some).collect::<Vec<_>>()));
    let mut texts = ListBuilder::new(StringBuilder::new())
        .with_field(arrow_schema::Field::new_list_field(arrow_schema::DataType::Utf8, false));
    for row in rows.clone() {
        (0..row % 5).for_each(|n| texts.values().append_value(word(row + n)));
        texts.append(true);
    }
    let of_ints = ListArray::from_iter_primitive::<Int64Type, _, _>(lists);
    let (_, offsets, values, nulls) = of_ints.into_parts();
    let item = Arc::new(arrow_schema::Field::new_list_field(arrow_schema::DataType::Int64, false));
    vec![
        ("int64", "echo int64", Arc::new(Int64Array::from_iter_values(rows.clone()))),
        (
            "int64?",
            "echo int64?",
            Arc::new(rows.clone().map(|row| (row % 7 != 0).then_some(row)).collect::<Int64Array>()),
        ),
        ("float64", "echo float64", Arc::new(Float64Array::from_iter_values(rows.clone().map(|row| row as f64)))),
        ("bool", "echo bool", Arc::new(rows.clone().map(|row| Some(row % 3 == 0)).collect::<BooleanArray>())),
        ("text", "echo text", Arc::new(StringArray::from_iter_values(rows.clone().map(word)))),
        ("text by dictionary", "echo-dict text", dictionary(rows.clone().map(word))),
        ("binary", "echo binary", Arc::new(BinaryArray::from_iter_values(rows.map(word)))),
        ("list<int64>, 2 each", "echo list<int64>", Arc::new(ListArray::new(item, offsets, values, nulls))),
        ("list<text>, 2 each", "echo list<text>", Arc::new(texts.finish())),
    ]
}
