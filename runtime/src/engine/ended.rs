//! That a part of a session has ended, whatever ended it: so that the reader, who may have nothing to hand on, sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Clone, Default)]
pub struct Ended(Arc<AtomicBool>);

/// Says so when it is dropped.
pub struct Alive(Ended);

impl Ended {
    pub fn when_dropped(&self) -> Alive {
        Alive(self.clone())
    }

    pub fn is_so(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Release);
    }
}
