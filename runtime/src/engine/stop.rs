//! The wish to end: asked once it drains, asked twice it is over at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

#[derive(Clone, Default)]
pub struct Stop(Arc<Inner>);

#[derive(Default)]
struct Inner {
    asked: AtomicBool,
    lock: Mutex<()>,
    woken: Condvar,
}

pub struct AskWhenDropped(Stop);

impl Drop for AskWhenDropped {
    fn drop(&mut self) {
        self.0.ask();
    }
}

impl Stop {
    pub fn ask(&self) {
        let _guard = self.0.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.asked.store(true, Ordering::Release);
        self.0.woken.notify_all();
    }

    pub fn ask_when_dropped(&self) -> AskWhenDropped {
        AskWhenDropped(self.clone())
    }

    pub fn asked(&self) -> bool {
        self.0.asked.load(Ordering::Acquire)
    }

    /// Waits this long, or until somebody asks for the end.
    pub fn wait(&self, time: Duration) {
        let guard = self.0.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.asked() {
            drop(self.0.woken.wait_timeout_while(guard, time, |()| !self.asked()));
        }
    }
}
