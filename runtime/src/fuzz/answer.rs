//! What a guest returns: refused, or columns that hold what the contract promises and make a batch.

use arrow_array::Array;

use crate::schema::Field;
use crate::stage::plugin::fuzz::{Output, adds, output, verified};

pub fn answer(bytes: &[u8]) {
    let mut bytes = Bytes(bytes);
    let rows = u32::from(bytes.byte() % 9) + 1;
    let adds = adds(&mut bytes);
    let given: Output = output(&mut bytes);
    let Ok(answer) = verified(given, rows, &adds) else { return };
    let refused: Vec<u32> = answer.refused.iter().map(|refused| refused.row).collect();
    let lineage = answer.lineage.unwrap_or_else(|| (0..rows).filter(|row| !refused.contains(row)).collect());
    assert!(lineage.is_sorted() && lineage.iter().all(|row| *row < rows && !refused.contains(row)));
    assert!(refused.is_sorted_by(|one, next| one < next) && refused.iter().all(|row| *row < rows));
    assert_eq!(answer.columns.len(), adds.len());
    for (column, Field { ty, .. }) in answer.columns.iter().zip(&adds) {
        assert_eq!((column.len(), column.data_type()), (lineage.len(), &ty.arrow()));
        assert!(ty.nullable || column.null_count() == 0);
        column.to_data().validate_full().expect("an array");
    }
}

/// Choices, taken from bytes; zeros where they end.
pub struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    pub fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    /// Mostly small; else large, or next to a border.
    pub fn number(&mut self) -> u32 {
        match self.byte() {
            small @ 0..=199 => u32::from(small % 10),
            200..=219 => u32::MAX,
            220..=239 => i32::MAX as u32,
            _ => u32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()]),
        }
    }

    pub fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.byte() % 12).map(|_| item(self)).collect()
    }

    pub fn maybe<T>(&mut self, item: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.byte() % 2 == 1).then(|| item(self))
    }
}
