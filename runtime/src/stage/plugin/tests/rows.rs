//! Which rows come out, and where they say that they come from.

use arrow_array::StringArray;
use proptest::prelude::*;

use super::*;

#[test]
fn one_for_one_copies_nothing() {
    let before = numbers(0..100);
    let done = run(&guest("double"), before.clone());
    assert_eq!(ints(&done, "y"), (0..100).map(|n| n * 2).collect::<Vec<_>>());
    let at = |batch: &Batch| batch.columns.column(0).as_primitive::<Int64Type>().values().as_ptr();
    assert_eq!(at(&done), at(&before));
}

#[test]
fn filter_and_explode_compose_with_the_batchs_lineage() {
    let mut before = numbers([4, 3, 2, 1, 0]);
    before.lineage = vec![0, 0, 1, 3, 3];
    let filtered = run(&guest("filter"), before.clone());
    assert_eq!((ints(&filtered, "n"), &*filtered.lineage), (vec![4, 2, 0], &[0, 1, 3][..]));
    let exploded = run(&guest("explode"), before);
    assert_eq!(ints(&exploded, "y"), [8, 8, 8, 8, 6, 6, 6, 4, 4, 2]);
    assert_eq!(exploded.lineage, [0, 0, 0, 0, 0, 0, 0, 1, 1, 3]);
    assert_eq!(exploded.positions().last(), Some((0, 3, 0)));
}

#[test]
fn all_rows_filtered() {
    let done = run(&guest("filter"), numbers([1, 3, 5]));
    assert_eq!((done.rows(), done.columns.num_columns()), (0, 2));
}

#[test]
fn no_rows_need_no_call() {
    let done = run(&guest("trap-all"), numbers([]));
    assert_eq!((done.rows(), done.columns.num_columns(), done.rejects.len()), (0, 2, 0));
}

#[test]
fn refusals_are_tidied() {
    let done = run(&guest("refuse"), numbers([1, 3, 4]));
    assert_eq!((ints(&done, "n"), ints(&done, "y")), (vec![1, 4], vec![2, 8]));
    let [(code, reason, origin)] = rejects(&done)[..] else { panic!("{:?}", done.rejects) };
    assert_eq!((code, origin), ("not_three_", 1));
    assert!(reason.starts_with("3 zzz") && reason.ends_with("z…") && reason.len() < 520, "{reason}");
}

#[test]
fn dropped_then_added() {
    let before = batch(vec![
        ("s", Arc::new(StringArray::from(vec!["a", "b"]))),
        ("n", Arc::new(Int64Array::from(vec![7, 8]))),
        ("k", Arc::new(Int64Array::from(vec![1, 2]))),
    ]);
    let done = run(&guest("replace"), before);
    let names: Vec<_> = done.columns.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["k", "n"]);
    assert_eq!(done.columns.column(1).as_string::<i32>().value(1), "8");
}

#[test]
fn columns_that_do_not_fit_stop() {
    let worker = || guest("double").worker().expect("a worker");
    let missing = worker().process(batch(vec![("m", Arc::new(Int64Array::from(vec![1])))])).expect_err("no n");
    assert_eq!(missing.to_string(), "plugin `stage`: column `n`, which the plugin reads, is not there");
    let text = worker().process(batch(vec![("n", Arc::new(StringArray::from(vec!["1"])))])).expect_err("no int64");
    assert_eq!(text.to_string(), "plugin `stage`: column `n`, which the plugin reads as int64, is Utf8");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// A row's outcome depends on the row alone: wherever calls are cut, and whoever fails beside it.
    #[test]
    fn where_calls_are_cut_changes_nothing(
        rows in prop::collection::vec(0..16_i64, 0..60),
        rows_per_call in 1..70_usize,
        mode in prop::sample::select(vec!["panic", "error", "loop", "explode", "refuse"]),
    ) {
        let program = guest(mode);
        let mut worker = program.worker().expect("a worker");
        worker.rows_per_call = rows_per_call;
        let done = worker.process(numbers(rows.iter().copied())).expect("a batch").whole();
        let refused = |n: i64| match mode {
            "panic" | "error" | "loop" => n == 13,
            "refuse" => n % 3 == 0,
            _ => false,
        };
        let times = |n: i64| if mode == "explode" { n as usize } else { usize::from(!refused(n)) };
        let expected: Vec<i64> = rows.iter().flat_map(|n| std::iter::repeat_n(*n, times(*n))).collect();
        prop_assert_eq!(ints(&done, "n"), expected.clone());
        prop_assert_eq!(ints(&done, "y"), expected.iter().map(|n| n * 2).collect::<Vec<_>>());
        let origins: Vec<u32> = done.rejects.iter().map(|reject| reject.origin).collect();
        let bad: Vec<u32> = (0..rows.len() as u32).filter(|row| refused(rows[*row as usize])).collect();
        prop_assert_eq!(origins, bad);
    }
}
