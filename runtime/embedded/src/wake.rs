//! Waking readers, in this process and in others, when something was committed.
//!
//! A writer writes to the file `bell` after its commit; a thread for each [`Wake`] waits for that by inotify. The
//! database's own files would not do: they change before the commit is visible.
//! Invariant: a wait that begins before a commit ends after it; a commit between two waits is not lost.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use inotify::{Inotify, WatchMask};

use crate::error::{Error, Result};

const BELL: &str = "bell";

pub(crate) fn bell(folder: &Path) -> Result<File> {
    let path = folder.join(BELL);
    let opened = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    opened.map_err(|cause| Error::io("opening", &path, &cause))
}

fn too_many(path: &Path, cause: &std::io::Error) -> Error {
    Error::Unusable(format!(
        "watching {}: {cause}; if these are too many, raise fs.inotify.max_user_instances or the limit on open files",
        path.display()
    ))
}

pub(crate) fn is_bell_in(folder: &Path) -> bool {
    folder.join(BELL).exists()
}

#[derive(Default)]
struct Heard {
    rings: Mutex<u64>,
    rung: Condvar,
}

/// Cheap to clone; each clone counts for itself what it has heard.
#[derive(Clone)]
pub struct Wake {
    heard: Arc<Heard>,
    seen: u64,
}

impl Wake {
    pub(crate) fn new(folder: &Path) -> Result<Wake> {
        let path = folder.join(BELL);
        let mut inotify = Inotify::init().map_err(|cause| too_many(&path, &cause))?;
        inotify.watches().add(&path, WatchMask::MODIFY).map_err(|cause| Error::io("watching", &path, &cause))?;
        let heard = Arc::new(Heard::default());
        let weak = Arc::downgrade(&heard);
        let listen = move || {
            let mut buffer = [0; 4096];
            // ends with the first ring after nobody waits any more
            while let Ok(_events) = inotify.read_events_blocking(&mut buffer) {
                let Some(heard) = weak.upgrade() else { return };
                *heard.rings.lock().unwrap_or_else(PoisonError::into_inner) += 1;
                heard.rung.notify_all();
            }
        };
        std::thread::Builder::new()
            .name("millrace-wake".into())
            .spawn(listen)
            .map_err(|cause| Error::io("watching", &path, &cause))?;
        Ok(Wake { heard, seen: 0 })
    }

    /// Until something was committed since the last wait began to be answered, or so long. True: something was.
    pub fn wait(&mut self, timeout: Duration) -> bool {
        let rings = self.heard.rings.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = self.seen;
        let (rings, _) = self
            .heard
            .rung
            .wait_timeout_while(rings, timeout, |rings| *rings == seen)
            .unwrap_or_else(PoisonError::into_inner);
        let rung = *rings != self.seen;
        self.seen = *rings;
        rung
    }
}
