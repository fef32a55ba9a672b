//! What rows take that a guest made: by the rows alone, so that it is the same in whatever calls they came.
//!
//! Invariant: the size of several rows is the sum of theirs.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

use super::lift::Answer;

/// A row's share of what is not its values: its places in two lineages, and its generation.
const ROW_BYTES: usize = 40;
const OFFSET_BYTES: usize = 4;

impl Answer {
    /// Of the rows that come of the call's rows from `from` on: what was added to them, and the copies of what stays,
    /// which is in `kept`, where the call's rows begin at `start`.
    pub fn bytes(&self, from: u32, kept: &[&ArrayRef], start: usize) -> usize {
        let Answer { lineage, columns, refused } = self;
        let rows_before = match lineage {
            Some(lineage) => lineage.partition_point(|row| *row < from),
            None => from as usize - refused.partition_point(|refused| refused.row < from),
        };
        let added = columns.iter().map(|column| {
            let rows = column.len() - rows_before;
            rows * ROW_BYTES + values(column, rows_before, column.len())
        });
        let copied = lineage.iter().flat_map(|lineage| lineage[rows_before..].chunk_by(|one, next| one == next));
        let copied = copied.filter(|copies| copies.len() > 1).map(|copies| {
            let row = start + copies[0] as usize;
            let bytes: usize = kept.iter().map(|column| values(column, row, row + 1)).sum();
            (copies.len() - 1) * (ROW_BYTES + bytes)
        });
        added.sum::<usize>() + copied.sum::<usize>()
    }
}

/// From one row up to another.
fn values(column: &dyn Array, from: usize, to: usize) -> usize {
    let varlen = |offsets: &[i32]| (offsets[to] - offsets[from]) as usize + (to - from) * OFFSET_BYTES;
    match column.data_type() {
        DataType::Utf8 => varlen(column.as_string::<i32>().value_offsets()),
        DataType::Binary => varlen(column.as_binary::<i32>().value_offsets()),
        DataType::List(_) => {
            let lists = column.as_list::<i32>();
            let [first, last] = [from, to].map(|row| lists.value_offsets()[row] as usize);
            (to - from) * OFFSET_BYTES + values(lists.values(), first, last)
        }
        other => (to - from) * other.primitive_width().unwrap_or(1),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::builder::{Int64Builder, ListBuilder};
    use arrow_array::{Int64Array, StringArray};

    use super::*;
    use crate::stage::plugin::lift::Refused;

    fn lists() -> ArrayRef {
        let mut lists = ListBuilder::new(Int64Builder::new());
        for values in [vec![1], vec![], vec![2, 3]] {
            lists.append_value(values.into_iter().map(Some));
        }
        Arc::new(lists.finish())
    }

    #[test]
    fn what_several_rows_take_is_the_sum_of_theirs() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("one"), None, Some("three")]));
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
        for (column, bytes) in [(texts, [7, 4, 9]), (numbers, [8, 8, 8]), (lists(), [12, 4, 20])] {
            for (row, bytes) in bytes.into_iter().enumerate() {
                assert_eq!(values(&column, row, row + 1), bytes, "{column:?}");
            }
            assert_eq!(values(&column, 0, 3), bytes.iter().sum::<usize>());
            assert_eq!(values(&column.slice(1, 2), 0, 2), bytes[1] + bytes[2], "a part of it");
        }
    }

    #[test]
    fn copies_of_what_stays_are_counted_and_the_first_is_none() {
        let kept: ArrayRef = Arc::new(StringArray::from(vec!["before", "four", "a"]));
        let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(vec![0; 4]))];
        let answer = Answer { lineage: Some(vec![0, 0, 0, 1]), columns, refused: Vec::new() };
        assert_eq!(answer.bytes(0, &[&kept], 1), 4 * 48 + 2 * (40 + 8));
        assert_eq!(answer.bytes(1, &[&kept], 1), 48);
        let refused = vec![Refused { row: 0, code: "c".into(), reason: String::new() }];
        let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(vec![0; 2]))];
        let plain = Answer { lineage: None, columns, refused };
        assert_eq!((plain.bytes(0, &[&kept], 0), plain.bytes(2, &[&kept], 0)), (96, 48));
    }
}
