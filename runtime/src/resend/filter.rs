//! Which rejects are meant.

use super::Position;
use super::read::Refused;

/// All of what is said must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub stage: Option<String>,
    pub code: Option<String>,
    /// Of the message, as its offsets are; both ends are meant too.
    pub partition: Option<i32>,
    pub from: Option<i64>,
    pub to: Option<i64>,
    /// When it was refused, in milliseconds since 1970.
    pub since_ms: Option<i64>,
}

impl Filter {
    pub fn takes(&self, refused: &Refused) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
        let record = &refused.record;
        is(&self.stage, &record.stage)
            && is(&self.code, &record.code)
            && self.takes_position(record.position())
            && self.since_ms.is_none_or(|since| refused.at_ms.is_some_and(|at| at >= since))
    }

    /// Can a reject of this message be meant?
    pub fn takes_position(&self, Position { partition, offset }: Position) -> bool {
        self.partition.is_none_or(|wanted| wanted == partition)
            && self.from.is_none_or(|from| offset >= from)
            && self.to.is_none_or(|to| offset <= to)
    }
}
