//! A wish to end, by SIGTERM or Ctrl-C, for commands that go on until then.
//!
//! Invariant: the first wish lets a command finish what it has in hand; whoever asks again does not want to wait, and the
//! process ends at once.

use std::io;
use std::process::exit;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// As a shell says of a program that a signal ended.
pub const INTERRUPTED: i32 = 130;
/// Signals that come together are one wish: `timeout` and some supervisors signal a process, and then its group.
const ONE_WISH: Duration = Duration::from_millis(300);

pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Inside of a runtime. From here on the signals do not end the process by themselves.
    pub fn watch() -> io::Result<Signals> {
        Ok(Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The first wish.
    pub async fn wish(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Another one, after the first.
    pub async fn another(&mut self) {
        let first = Instant::now();
        loop {
            self.wish().await;
            if first.elapsed() > ONE_WISH {
                return;
            }
        }
    }
}

/// For commands that are no runtime's tasks.
#[derive(Clone, Default)]
pub struct Interrupt(Arc<(Mutex<bool>, Condvar)>);

impl Interrupt {
    pub fn watch() -> Result<Interrupt, String> {
        let failed = |error: io::Error| format!("error: waiting for signals: {error}");
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let entered = runtime.enter();
        let mut signals = Signals::watch().map_err(failed)?;
        drop(entered);
        let asked = Interrupt::default();
        let ask = asked.clone();
        thread::spawn(move || {
            runtime.block_on(signals.wish());
            ask.ask();
            runtime.block_on(signals.another());
            exit(INTERRUPTED);
        });
        Ok(asked)
    }

    fn ask(&self) {
        let (asked, changed) = &*self.0;
        *asked.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
    }

    pub fn asked(&self) -> bool {
        self.wait(Duration::ZERO)
    }

    /// Waits so long, or until it is asked: was it?
    pub fn wait(&self, time: Duration) -> bool {
        let (asked, changed) = &*self.0;
        let asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = changed.wait_timeout_while(asked, time, |asked| !*asked);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}
