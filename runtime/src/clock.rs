//! This host's clock, for what is said to people and programs: no decision rests on it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Since 1970; 0 before that.
pub fn now_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
