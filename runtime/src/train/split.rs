//! Which rows a model is trained on, and which it is then asked, to see how it does on flights that it does not know.
//!
//! Invariant: whole weeks and whole months, never single rows: rows of one day are alike, and a model that saw some of
//! them knows the others.

use std::collections::BTreeSet;

use super::data::Row;
use crate::calendar::civil;
use crate::error::{Error, Result};

/// A week of five is held out.
const WEEKS_PER_HELD_OUT: i32 = 5;
/// Two months, and no more than half of them.
const LAST_MONTHS_MAX: usize = 2;

pub struct Split {
    pub name: &'static str,
    /// Indices of rows.
    pub trained: Vec<usize>,
    pub held_out: Vec<usize>,
}

impl Split {
    /// Every fifth week from Monday to Sunday: all seasons are on both sides.
    pub fn fifth_weeks(rows: &[Row]) -> Result<Split> {
        // 1970-01-01 was a Thursday
        let week = |day: i32| (day + 3).div_euclid(7);
        let first = rows.iter().map(|row| week(row.day)).min().unwrap_or_default();
        let held_out = |row: &Row| (week(row.day) - first) % WEEKS_PER_HELD_OUT == WEEKS_PER_HELD_OUT - 1;
        Split::by("weeks", rows, held_out, "the data have no fifth week")
    }

    /// The last months: the model is asked about a season that it was not trained on, as it will be.
    pub fn last_months(rows: &[Row]) -> Result<Split> {
        let month = |day: i32| (civil(day).year, civil(day).month);
        let months: Vec<_> = rows.iter().map(|row| month(row.day)).collect::<BTreeSet<_>>().into_iter().collect();
        let last = LAST_MONTHS_MAX.min(months.len() / 2);
        let from = months.len() - last;
        let held_out = |row: &Row| months.get(from).is_some_and(|first| month(row.day) >= *first);
        Split::by("last months", rows, held_out, "the data are of one month")
    }

    fn by(name: &'static str, rows: &[Row], held_out: impl Fn(&Row) -> bool, else_said: &str) -> Result<Split> {
        let (held_out, trained): (Vec<_>, Vec<_>) = (0..rows.len()).partition(|&row| held_out(&rows[row]));
        if held_out.is_empty() || trained.is_empty() {
            let sentence = format!("{else_said}: a model is judged by rows of a time that it was not trained on");
            return Err(Error::stop(sentence + "; two months with five weeks are the least"));
        }
        Ok(Split { name, trained, held_out })
    }
}
