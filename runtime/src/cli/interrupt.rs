//! A wish to end, by SIGTERM or Ctrl-C, for commands that go on until then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From here on the signals do not end the process by themselves.
    pub fn watch() -> Result<Interrupt, String> {
        let failed = |error: std::io::Error| format!("error: waiting for signals: {error}");
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let entered = runtime.enter();
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        drop(entered);
        let asked = Interrupt::default();
        let ask = asked.clone();
        thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            });
            ask.0.store(true, Ordering::Release);
        });
        Ok(asked)
    }

    pub fn asked(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
