//! Guests that return what the contract does not allow.

use super::*;
use crate::schema::{Field, Kind, Type};
use crate::stage::plugin::bindings::millrace::plugin::types::{
    ColumnResult, DataResult, Output, ScalarsResult, VarlenResult,
};

/// The lie of the test guest, and what is said of it.
const LIES: [(&str, &str); 33] = [
    ("int64:no-columns", "it returned 0 columns where its signature adds 1"),
    ("int64:two-columns", "it returned 2 columns where its signature adds 1"),
    ("int64:short", "it returned 0 values for 1 rows in `y`"),
    ("int64:long", "it returned 2 values for 1 rows in `y`"),
    ("int64:kind", "it returned f64s where its signature says int64 in `y`"),
    ("text:short", "it returned s64s where its signature says text in `y`"),
    ("int64:nested", "it returned lists in `y`"),
    ("list<int64>:short", "it returned no lists in `y`"),
    ("int64:validity-short", "it returned 0 bytes of bits for 1 values in `y`"),
    ("int64:validity-long", "it returned 2 bytes of bits for 1 values in `y`"),
    ("int64:nulls", "it returned 1 absent values, where its signature says there are none, in `y`"),
    ("list<int64>:nulls", "it returned 1 absent values, where its signature says there are none, in `y`"),
    ("bool:bits-short", "it returned 0 bytes of bits for 1 values in `y`"),
    ("text:no-offsets", "it returned 0 offsets for 1 values in `y`"),
    ("text:offsets-short", "it returned 1 offsets for 1 values in `y`"),
    ("text:offsets-not-0", "it returned offsets that do not rise from 0 in `y`"),
    ("text:offsets-fall", "it returned offsets that end at 2 of 1 in `y`"),
    ("text:offsets-beyond", "it returned offsets that end at 4294967295 of 1 in `y`"),
    ("text:offsets-before-end", "it returned offsets that end at 0 of 1 in `y`"),
    ("text:utf-8", "it returned texts that are not UTF-8 in `y`"),
    ("text:dict-key", "it returned the key 1 into a dictionary of 1 in `y`"),
    ("text:dict-empty", "it returned the key 0 into a dictionary of 0 in `y`"),
    ("text:dict-no-offsets", "it returned a dictionary without offsets in `y`"),
    ("text:dict-short", "it returned 0 values for 1 rows in `y`"),
    ("list<int64>:items-short", "it returned 2 values for 3 rows in `y`"),
    ("list<int64>:items-null", "it returned lists with absent values in them in `y`"),
    ("list<int64>:items-no-offsets", "it returned 0 offsets for 1 values in `y`"),
    ("int64:lineage-beyond", "it returned a lineage with row 1 of 1"),
    ("int64:lineage-many", "it returned more than 1024 rows for one row"),
    ("int64:lineage-refused", "it returned a lineage with row 0, which it refused"),
    ("int64:refused-beyond", "it returned a refusal of row 1 of 1"),
    ("int64:refused-twice", "it returned refusals that are not in the order of their rows"),
    ("int64:code", "it returned the code `plugin_trap`, which is the host's"),
];

#[test]
fn a_lie_costs_its_row() {
    for (lie, said) in LIES {
        let done = run(&guest(&format!("lie {lie}")), numbers([1, 2, 13, 4]));
        assert_eq!(rejects(&done), [("plugin_invalid_output", said, 2)], "{lie}");
        assert_eq!(ints(&done, "n"), [1, 2, 4], "{lie}");
    }
}

#[test]
fn more_than_the_guest_itself_may_hold() {
    let done = run(&guest("lie int64:giant"), numbers([1, 13]));
    let [(code, reason, 1)] = rejects(&done)[..] else { panic!("{:?}", done.rejects) };
    assert_eq!(code, "plugin_invalid_output");
    assert!(reason.contains("too much data"), "{reason}");
}

/// Lies that take several rows: a row alone cannot tell them.
#[test]
fn lies_about_several_rows() {
    let verify = |lineage: Option<Vec<u32>>, data: ScalarsResult, kind: Kind| {
        let columns = vec![ColumnResult { validity: None, data: DataResult::Flat(data) }];
        let output = Output { lineage, columns, refused: Vec::new() };
        lift::verify(output, 2, &[Field::new("y", Type::of(kind))]).map(|_| ()).map_err(|lie| lie.to_string())
    };
    let ints = |n: usize| ScalarsResult::S64s(vec![0; n]);
    let texts = |offsets: [u32; 3], bytes: &str| {
        ScalarsResult::Texts(VarlenResult { offsets: offsets.into(), bytes: bytes.into() })
    };
    assert_eq!(verify(Some(vec![0, 1, 1]), ints(3), Kind::Int64), Ok(()));
    assert_eq!(verify(Some(vec![1, 0]), ints(2), Kind::Int64), Err("a lineage that goes back".into()));
    assert_eq!(verify(None, texts([0, 2, 2], "é"), Kind::Text), Ok(()));
    assert_eq!(verify(None, texts([0, 1, 2], "é"), Kind::Text), Err("texts that are not UTF-8 in `y`".into()));
    assert_eq!(verify(None, texts([0, 3, 2], "é"), Kind::Text), Err("offsets that do not rise from 0 in `y`".into()));
}
