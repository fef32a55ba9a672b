//! Looking for a message from the end of a topic backwards, no further than it was told to.
//!
//! A log is read forwards only: so it is read in windows, small ones first, for what is looked for is mostly new.

use std::collections::BTreeMap;

use super::{Begin, Reader};
use crate::error::Result;
use crate::json::decode::Message as _;
use crate::sink::Positions;
use crate::source::Record;

/// The first window, of each partition; each next one is larger.
const WINDOW_OFFSETS: i64 = 1_000;
const WINDOW_GROWS_BY: i64 = 4;

/// A message that was looked for, and what the search made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit<T> {
    pub partition: i32,
    pub offset: i64,
    pub timestamp_ms: Option<i64>,
    pub what: T,
}

/// What was found, the newest first; and how far was looked.
pub struct Searched<T> {
    pub hits: Vec<Hit<T>>,
    /// Of all partitions together; offsets that hold no message count.
    pub offsets: u64,
    /// The whole log was looked at.
    pub to_the_beginning: bool,
}

/// The window of `partitions` that gave anything is the last one. `per_partition_max`: offsets of each partition that
/// are looked at, at most.
pub fn backwards<T>(
    reader: &mut Reader,
    per_partition_max: u64,
    mut matches: impl FnMut(&Record<'_>) -> Option<T>,
) -> Result<Searched<T>> {
    let ends = reader.begins(Begin::Latest)?;
    let firsts = reader.begins(Begin::Earliest)?;
    let reach = i64::try_from(per_partition_max).unwrap_or(i64::MAX);
    let floors: Positions =
        ends.iter().map(|(partition, end)| (*partition, firsts[partition].max(end.saturating_sub(reach)))).collect();
    let (mut below, mut window, mut hits) = (ends.clone(), WINDOW_OFFSETS, Vec::new());
    while hits.is_empty() {
        let from: Positions = below
            .iter()
            .map(|(partition, below)| (*partition, floors[partition].max(below.saturating_sub(window))))
            .filter(|(partition, from)| *from < below[partition])
            .collect();
        if from.is_empty() {
            break;
        }
        look(reader, &from, &below, &mut matches, &mut hits)?;
        below.extend(from);
        window = window.saturating_mul(WINDOW_GROWS_BY);
    }
    hits.sort_by_key(|hit| std::cmp::Reverse((hit.timestamp_ms, hit.offset)));
    let offsets = ends.iter().map(|(partition, end)| end.abs_diff(below[partition])).sum();
    Ok(Searched { hits, offsets, to_the_beginning: below == firsts })
}

fn look<T>(
    reader: &mut Reader,
    from: &Positions,
    below: &BTreeMap<i32, i64>,
    matches: &mut impl FnMut(&Record<'_>) -> Option<T>,
    hits: &mut Vec<Hit<T>>,
) -> Result<()> {
    reader.read_to_ends(from, |message| {
        let (partition, offset) = (message.partition(), message.offset());
        if offset >= below[&partition] {
            return false;
        }
        if let Some(what) = matches(message) {
            hits.push(Hit { partition, offset, timestamp_ms: message.timestamp_ms(), what });
        }
        // the next one may be markers of transactions only: then the end says that this one was the last
        offset + 1 < below[&partition]
    })
}
