//! Where a pipeline stands, seen from outside of it: the group's offset and each sink's own position, in every
//! partition; and moving them by hand.
//!
//! Invariants: looking changes nothing, and works while the pipeline runs. A reset leaves a state that the engine
//! accepts: no position outside of the log, no sink beyond the head, every row with a generation; and what it does is
//! said before, asked for, and on record.
//! Knows nothing of how a medium keeps a position: `source::group` and `sink::ledger` do.

mod record;
mod reset;
mod rules;
mod view;

pub use self::record::Record;
pub use self::reset::{Proposal, Reset};
pub use self::rules::{Move, Moves, Request, Target, To, Who};
pub use self::view::{Head, Partition, Sink, View, Viewer};

use crate::ground::Ground;
use crate::plan::Plan;

/// What a person types to move a position, for messages; `what`: `--head`, `--sink NAME` or `--all`.
pub fn command(plan: &Plan, ground: &Ground, what: &str) -> String {
    let ground = match ground {
        Ground::Services => String::new(),
        Ground::Embedded(folder) => format!("--embedded {} ", folder.display()),
    };
    format!("millrace positions reset {} {ground}{what}", plan.file.display())
}
