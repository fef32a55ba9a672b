//! Where each sink stood when this process last looked: what was there once is not begun anew.
//!
//! Invariant: it outlives sessions, and is told of a position only after that was read, or is durable. It decides
//! nothing but whether a position that is missing is a new one; how far a sink is, its own medium says.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::sink::{Positions, Start, Starts};

#[derive(Default)]
pub struct Seen(Mutex<HashMap<(Arc<str>, i32), i64>>);

impl Seen {
    pub fn tell(&self, sink: &Arc<str>, positions: &Positions) {
        let stand = positions.iter().map(|(&partition, &position)| ((sink.clone(), partition), position));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(stand);
    }

    /// `starts`: where partitions begin that were never seen.
    pub fn starts(&self, sink: &Arc<str>, starts: &Positions) -> Starts {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let start = |(&partition, &start): (&i32, &i64)| {
            let stood = seen.get(&(sink.clone(), partition));
            (partition, stood.map_or(Start::At(start), |&position| Start::Stood(position)))
        };
        starts.iter().map(start).collect()
    }
}
