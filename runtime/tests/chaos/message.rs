//! Messages, and what must become of each: known from the message alone.

use serde_json::Value;

use crate::random::Random;

/// Digits of `n` that decide; what they mean is `fates` of plugins/test-guest.
const FATES: i64 = 100;
/// Rows of the message that gives several.
const SEVERAL: i64 = 3;

/// What a pipeline that is right makes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// So many rows, of this identity.
    Rows {
        id: String,
        n: i64,
        count: i64,
    },
    Rejected(&'static str),
    Filtered,
}

impl Fate {
    pub fn of(message: &[u8]) -> Fate {
        let Ok(value) = serde_json::from_slice::<Value>(message) else { return Fate::Rejected("not_json") };
        let Some(n) = value.get("n") else { return Fate::Rejected("missing_field") };
        let Some(n) = n.as_i64() else { return Fate::Rejected("wrong_type") };
        let id = value["id"].as_str().unwrap_or_default().to_owned();
        match n % FATES {
            13 => Fate::Rejected("plugin_trap"),
            14 => Fate::Rejected("plugin_fuel"),
            15 => Fate::Rejected("unwelcome"),
            16 => Fate::Filtered,
            17 => Fate::Rows { id, n, count: SEVERAL },
            _ => Fate::Rows { id, n, count: 1 },
        }
    }

    /// Records that it leaves in the topics of rows and rejects.
    pub fn records(&self) -> usize {
        match self {
            Fate::Rows { count, .. } => *count as usize,
            Fate::Rejected(_) => 1,
            Fate::Filtered => 0,
        }
    }
}

/// Messages that nobody sent before.
pub struct Source {
    sent: i64,
    random: Random,
}

impl Source {
    pub fn new(random: Random) -> Source {
        Source { sent: 0, random }
    }

    pub fn take(&mut self, count: usize) -> Vec<Vec<u8>> {
        (0..count).map(|_| self.next()).collect()
    }

    fn next(&mut self) -> Vec<u8> {
        self.sent += 1;
        let id = format!("m{:06}", self.sent);
        // one in four is not simply a row
        let fate = if self.random.below(4) == 0 { 13 + self.random.below(5) as i64 } else { 20 };
        let n = self.sent * FATES + fate;
        let text = match self.random.below(40) {
            0 => format!("{{\"id\":\"{id}\",\"n\":"),
            1 => format!("{{\"id\":\"{id}\"}}"),
            2 => format!("{{\"id\":\"{id}\",\"n\":\"{n}\"}}"),
            _ => format!("{{\"id\":\"{id}\",\"n\":{n}}}"),
        };
        text.into_bytes()
    }
}
